//! `/metrics`, read by Prometheus and its `promtool`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::pending;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use runtime_probe as tokio;
use runtime_probe::pprof;
use serde_json::Value;

use crate::burning::alone;
use crate::client::{Answer, PATIENCE, ask, get, send};
use crate::server;

fn metrics(accept: &str) -> Answer {
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n\r\n"
    );
    let answer = send(server(), request.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";

/// Whether a program of Prometheus is installed; in CI it must be.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    let is_there = found.is_ok_and(|output| output.status.success());
    assert!(is_there || std::env::var_os("CI").is_none(), "no {program}");
    if !is_there {
        eprintln!("######## SKIPPED: no {program}: apt-get install prometheus ########");
    }
    is_there
}

fn promtool(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(stdin.as_bytes()).unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

fn assert_clean(output: &Output) {
    let told = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{told:?}");
}

#[test]
fn a_client_gets_the_format_that_it_prefers() {
    let _alone = alone();
    let open_metrics = metrics(OPEN_METRICS);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open_metrics.header("content-type"), Some(content_type));
    let text = open_metrics.text();
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert!(
        text.contains("# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n"),
        "{text}"
    );
    let prometheus = metrics("*/*");
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(prometheus.header("content-type"), Some(content_type));
    let text = prometheus.text();
    assert!(
        text.contains("# TYPE process_cpu_seconds_total counter\n"),
        "{text}"
    );
    assert_eq!(get(server(), "/metrics?debug=1").status, 400);
    assert_eq!(ask(server(), "POST", "/metrics", "").status, 405);
    if is_there("promtool") {
        let output = promtool(&["check", "metrics"], text);
        assert_clean(&output);
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A Prometheus that scrapes the server of this process; dropping it ends it.
struct Prometheus {
    child: Child,
    address: std::net::SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start() -> Prometheus {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("prometheus.yml");
        let yaml = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: service\n    static_configs:\n      - targets: ['{}']\n",
            server()
        );
        fs::write(&config, yaml).unwrap();
        // A port that was free a moment ago; Prometheus does not print the port that it was given.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Prometheus { child, address }
    }

    /// The values of all series of a query.
    fn query(&self, query: &str) -> Vec<f64> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let request = format!(
            "GET /api/v1/query?query={encoded} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        let Ok(answer) = send(self.address, request.as_bytes()) else {
            return Vec::new(); // It does not listen yet.
        };
        let Ok(json) = serde_json::from_str::<Value>(answer.text()) else {
            return Vec::new();
        };
        let series = json["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let value = |one: &Value| one["value"][1].as_str().unwrap().parse().unwrap();
        series.iter().map(value).collect()
    }

    /// Queries until the answer is this.
    fn expect(&self, query: &str, values: &[f64]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.query(query);
            if found == values {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{query}: {found:?}, not {values:?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn prometheus_has_what_the_service_counts() {
    let _alone = alone();
    if !is_there("prometheus") {
        return;
    }
    let runtime = crate::runtime();
    runtime.block_on(async {
        let mut alive = tokio::task::JoinSet::new();
        for _ in 0..7 {
            alive.spawn(pending::<()>());
        }
        let alive_at = format!("tests/metrics/page.rs:{}:19", line!() - 2);
        let mut ended = tokio::task::JoinSet::new();
        for number in 0..12 {
            ended.spawn(async move { assert!(number % 4 != 0, "one of three that panic") });
        }
        let ended_at = format!("tests/metrics/page.rs:{}:19", line!() - 2);
        while ended.join_next().await.is_some() {}
        let prometheus = Prometheus::start();
        let check = move || {
            prometheus.expect("up", &[1.0]);
            let of = |family: &str, site: &str| format!("sum({family}{{site=~\".*{site}\"}})");
            prometheus.expect(&of("runtime_probe_tasks_alive", &alive_at), &[7.0]);
            prometheus.expect(
                &of("runtime_probe_tasks_finished_total", &ended_at),
                &[12.0],
            );
            prometheus.expect(&of("runtime_probe_tasks_panicked_total", &ended_at), &[3.0]);
            prometheus.expect("count(process_open_fds)", &[1.0]);
        };
        tokio::task::spawn_blocking(check).await.unwrap();
    });
}

/// The series of a sample's line, as in Prometheus: labels in order, without empty ones.
fn series(line: &str) -> (&str, BTreeMap<&str, &str>) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap(), BTreeMap::new());
    };
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    while let Some((label, value)) = rest.split_once("=\"") {
        let mut end = value.match_indices('"').map(|(at, _)| at);
        // An escaped quote has an odd number of backslashes before it.
        let escaped = |at: &usize| value[..*at].len() - value[..*at].trim_end_matches('\\').len();
        let end = end.find(|at| escaped(at) % 2 == 0).unwrap();
        if end > 0 {
            labels.insert(label.trim_start_matches(','), &value[..end]);
        }
        rest = &value[end + 1..];
    }
    (name, labels)
}

#[test]
fn a_series_is_known_by_its_labels() {
    let one = series(r#"a{x="1",y="} \\\"z\"",z=""} 5"#);
    assert_eq!(one, series(r#"a{y="} \\\"z\"",x="1"} 7"#));
    assert_eq!(one.1["y"], r#"} \\\"z\""#);
    assert_eq!(series("a 5"), series(r#"a{x=""} 7"#));
    assert_ne!(one, series("a 5"));
}

async fn of_a_type<T>(value: T) {
    pending::<()>().await;
    drop(value);
}

/// Spawns at one place, for any type.
fn spawn_typed<T: Send + 'static>(runtime: &tokio::runtime::Runtime, value: T) {
    runtime.spawn(of_a_type(value));
}

/// Prometheus stores the first of two equal series and does not report the other one.
#[test]
fn no_series_stands_twice() {
    let _alone = alone();
    pprof::set_task_histograms(true);
    pprof::set_block_profile_rate(1);
    pprof::set_mutex_profile_fraction(1);
    let named = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(2)
            .max_blocking_threads(2)
            .enable_all();
        builder.name("twice").build().unwrap()
    };
    // Two runtimes with one name, two tasks of one line whose types have the same readable name, and one line that
    // spawns on both runtimes.
    let runtimes = [named(), named(), crate::runtime(), crate::runtime()];
    for runtime in &runtimes {
        spawn_typed(runtime, 1_u8);
        spawn_typed(runtime, 1_u16);
        drop(runtime.spawn_blocking(|| ()));
        runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
    }
    for accept in ["*/*", OPEN_METRICS] {
        let page = metrics(accept);
        let mut seen = BTreeSet::new();
        let lines = page.text().lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            assert!(seen.insert(series(line)), "twice: {line}\n{}", page.text());
        }
        let of = |family: &str| seen.iter().filter(|(name, _)| *name == family).count();
        // The series that must be merged exist.
        assert!(
            of("tokio_workers") >= 2 && of("runtime_probe_tasks_alive") >= 2,
            "{seen:?}"
        );
    }
    pprof::set_task_histograms(false);
    pprof::set_block_profile_rate(0);
    pprof::set_mutex_profile_fraction(0);
}

/// The delay begins at the wake, and a timer wakes its task when a worker looks at the driver.
#[test]
fn a_late_driver_is_in_no_delay() {
    let _alone = alone();
    pprof::set_task_histograms(true);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let timed = runtime.spawn(async { tokio::time::sleep(Duration::from_millis(100)).await });
    let timed_at = format!("page.rs:{}:", line!() - 1);
    let told = runtime.spawn(async move { receive.recv().await.unwrap() });
    let told_at = format!("page.rs:{}:", line!() - 1);
    // Both tasks wait before the worker is blocked.
    runtime
        .block_on(runtime.spawn(async { tokio::task::yield_now().await }))
        .unwrap();
    runtime.spawn(async move {
        begun.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(600));
    });
    has_begun.recv().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    send.send(()).unwrap();
    runtime.block_on(async { (timed.await.unwrap(), told.await.unwrap()) });
    let page = metrics("*/*");
    pprof::set_task_histograms(false);
    let delay = |site: &str| -> f64 {
        let mut lines = page.text().lines();
        let line = lines.find(|line| {
            line.starts_with("runtime_probe_task_delay_seconds_sum{") && line.contains(site)
        });
        line.map_or(0.0, |line| {
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
    };
    let (timed, told) = (delay(&timed_at), delay(&told_at));
    assert!(
        told > 0.35 && timed < 0.25,
        "{told} {timed}\n{}",
        page.text()
    );
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring")
}

/// The queries of the dashboard, with values for its variables.
fn queries() -> Vec<String> {
    let dashboard = fs::read_to_string(monitoring().join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    queries
        .map(|query| {
            let query = query.replace("$__rate_interval", "1m");
            query.replace("$job", "service").replace("$instance", ".*")
        })
        .collect()
}

#[test]
fn alert_rules_and_queries_are_those_of_the_page() {
    let _alone = alone();
    let alerts = fs::read_to_string(monitoring().join("alerts.yml")).unwrap();
    let queries = queries();
    assert!(queries.len() > 10);
    // Every family in the queries exists, while it has values.
    pprof::set_task_histograms(true);
    let runtime = crate::runtime();
    let page = runtime.block_on(async {
        for _ in 0..3 {
            let polled = tokio::spawn(tokio::time::sleep(Duration::from_millis(5)));
            polled.await.unwrap();
        }
        metrics("text/plain")
    });
    pprof::set_task_histograms(false);
    let there: BTreeSet<&str> = page
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let texts = queries.iter().map(String::as_str).chain([alerts.as_str()]);
    let words = texts.flat_map(|text| text.split(|c| !is_name(c)));
    let named: BTreeSet<&str> = words
        .filter(|word| {
            ["runtime_probe_", "tokio_", "process_"]
                .iter()
                .any(|of| word.starts_with(of))
        })
        .collect();
    let missing: Vec<_> = named.difference(&there).collect();
    assert!(
        named.len() > 10 && missing.is_empty(),
        "{missing:?} of {named:?}"
    );
    if !is_there("promtool") {
        return;
    }
    let path = |file: &str| monitoring().join(file).to_str().unwrap().to_owned();
    assert_clean(&promtool(&["check", "rules", &path("alerts.yml")], ""));
    assert_clean(&promtool(&["test", "rules", &path("alerts_test.yml")], ""));
    assert_clean(&promtool(&["check", "config", &path("prometheus.yml")], ""));
    // promtool reads queries as rules.
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, query) in queries.iter().enumerate() {
        rules.push_str(&format!(
            "      - record: query:{number}\n        expr: {query:?}\n"
        ));
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard_rules.yml");
    fs::write(&file, rules).unwrap();
    assert_clean(&promtool(&["check", "rules", file.to_str().unwrap()], ""));
}

#[test]
fn a_registry_of_the_services_own_has_them_beside_its_own() {
    let _alone = alone();
    let mut registry = Registry::default();
    let orders = Counter::<u64>::default();
    orders.inc_by(5);
    registry.register("orders", "Orders", orders);
    registry.register_collector(pprof::metrics::collector());
    let mut page = String::new();
    encode(&mut page, &registry).unwrap();
    assert!(page.contains("orders_total 5\n"), "{page}");
    assert!(page.contains("\nruntime_probe_tasks_unlisted "), "{page}");
    assert!(!page.contains("process_"), "{page}");
}
