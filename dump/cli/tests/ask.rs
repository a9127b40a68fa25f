//! The commands that query a service, tested against a real one: this program, with the probe's server in it.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{LazyLock, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runtime_probe::pprof::{self, Server};
use runtime_probe::runtime::{self, Runtime};
use runtime_probe::sync::Mutex;
use runtime_probe::task::{Builder, JoinHandle, JoinSet};
use runtime_probe::{spawn, time};
use serde_json::Value;

const TOKEN: &str = "a-token-of-this-test-0123456789";

/// A service with ten tasks that wait for a lock, and three servers.
struct Service {
    open: SocketAddr,
    locked: SocketAddr,
    socket: PathBuf,
    _runtime: Runtime,
}

static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        static LOCK: LazyLock<Mutex<u32>> = LazyLock::new(|| Mutex::new(0));
        spawn(hold(&LOCK));
        time::sleep(Duration::from_millis(50)).await;
        for _ in 0..10 {
            spawn(wait_for(&LOCK));
        }
        time::sleep(Duration::from_millis(50)).await;
    });
    let socket =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ask-{}.sock", std::process::id()));
    let open = pprof::serve("127.0.0.1:0").unwrap();
    let locked = Server::new("127.0.0.1:0")
        .allow_remote(TOKEN)
        .serve()
        .unwrap();
    let service = Service {
        open: open.local_addr().unwrap(),
        locked: locked.local_addr().unwrap(),
        socket: socket.clone(),
        _runtime: runtime,
    };
    open.detach();
    locked.detach();
    Server::unix(socket).serve().unwrap().detach();
    service
});

async fn hold(lock: &Mutex<u32>) {
    let _guard = lock.lock().await;
    std::future::pending::<()>().await;
}

async fn wait_for(lock: &Mutex<u32>) {
    *lock.lock().await += 1;
}

/// The command, without this process's variables for it.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime-dump"));
    command
        .args(arguments)
        .env_remove("RUNTIME_DUMP_URL")
        .env_remove("RUNTIME_DUMP_TOKEN");
    command
}

fn ask(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = ask(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn file(name: &str, content: &[u8]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The server's answer to a page, without the command.
fn page(page: &str) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(SERVICE.open).unwrap();
    write!(
        stream,
        "GET /debug/pprof/{page} HTTP/1.0\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let end = reply
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    reply.split_off(end + 4)
}

#[test]
fn each_way_to_a_service_tells_the_same() {
    let open = SERVICE.open.to_string();
    let url = format!("http://{open}/debug/pprof/goroutine?debug=1");
    let with_token = format!("http://x:{TOKEN}@{}", SERVICE.locked);
    let socket = SERVICE.socket.to_str().unwrap();
    for source in [&open, &url, &with_token, socket, &format!("unix:{socket}")] {
        let table = text(&ask(&["tasks", source, "--match", "^ask::wait_for"]));
        let rows = table
            .lines()
            .filter(|line| line.contains("sync.Mutex.Lock") && line.contains("ask::wait_for"));
        assert_eq!(rows.count(), 10, "{source}: {table}");
    }
    let mut command = command(&["tasks", "--json", "--state", "sync.Mutex.Lock"]);
    let output = command
        .env("RUNTIME_DUMP_URL", SERVICE.locked.to_string())
        .env("RUNTIME_DUMP_TOKEN", TOKEN)
        .output()
        .unwrap();
    let document: Value = serde_json::from_str(&text(&output)).unwrap();
    let tasks = document["goroutines"].as_array().unwrap();
    assert_eq!(tasks.len(), 10);
    assert!(tasks.iter().all(|task| task["state"] == "waiting"
        && task["polls"] == 1
        && task["wait_ns"].as_u64() > Some(1)));
    assert!(!text(&output).contains(TOKEN));
}

async fn joins(task: JoinHandle<()>) {
    task.await.unwrap();
}

async fn drains() {
    let mut set = JoinSet::new();
    for _ in 0..6 {
        set.spawn(std::future::pending::<()>());
    }
    while set.join_next().await.is_some() {}
}

/// The command reads awaited ends from the text of a dump. The page reads them from the process.
#[test]
fn awaited_ends_are_those_of_the_page() {
    let open = SERVICE.open.to_string();
    let named = Builder::new().name("ends, (never)");
    let awaited = named.spawn_on(std::future::pending(), SERVICE._runtime.handle());
    let awaited = awaited.unwrap();
    let id = awaited.id();
    let both = [
        SERVICE._runtime.spawn(joins(awaited)),
        SERVICE._runtime.spawn(drains()),
    ];
    let ends = |document: &Value, task: &JoinHandle<()>| {
        let mut all = document["goroutines"].as_array().unwrap().iter();
        let id: u64 = task.id().to_string().parse().unwrap();
        let one = all.find(|one| one["id"] == id);
        one.map_or(Value::Null, |one| one["joins"].clone())
    };
    let begun = Instant::now();
    let told = loop {
        let document = serde_json::from_str(&text(&ask(&["tasks", "--json", &open]))).unwrap();
        let told = both.each_ref().map(|task| ends(&document, task));
        if told.iter().all(|ends| ends.get(0).is_some()) {
            break told;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{told:?}");
    };
    let document = serde_json::from_slice(&page("goroutine?format=json")).unwrap();
    assert_eq!(told, both.each_ref().map(|task| ends(&document, task)));
    let task = &told[0][0]["tasks"][0];
    assert_eq!(task["id"].to_string(), id.to_string());
    assert_eq!(task["name"], "ends, (never)");
    assert_eq!(told[1][0]["members"], 6);
    for task in both {
        task.abort();
    }
}

#[test]
fn several_sources_are_one_answer() {
    let open = SERVICE.open.to_string();
    let dump = file("several.txt", &page("goroutine?debug=2"));
    let counts = file("several_counts.txt", &page("goroutine?debug=1"));
    let profile = file("several.pb.gz", &page("goroutine"));
    let stacks = text(&ask(&["stacks", "--json", &open, &dump, &counts, &profile]));
    let document: Value = serde_json::from_str(&stacks).unwrap();
    let of = |function: &str| {
        let stacks = document["stacks"].as_array().unwrap().iter();
        let counts = stacks
            .filter(|stack| stack["frames"].to_string().contains(function))
            .map(|stack| stack["count"].as_i64().unwrap());
        counts.sum::<i64>()
    };
    assert_eq!((of("ask::wait_for"), of("ask::hold")), (40, 4), "{stacks}");

    // The readable sources are shown, and the exit code reports the other one.
    let output = ask(&["tasks", &dump, "/nowhere/dump.txt"]);
    assert_eq!(output.status.code(), Some(1));
    let output = ask(&[
        "tasks",
        &dump,
        &file("half.txt", b"goroutine 1 [sleep]:\nf(...)\n"),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("ask::wait_for"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("half.txt: it is truncated"));
}

#[test]
fn filters_and_limits_say_what_they_leave_out() {
    let open = SERVICE.open.to_string();
    let limited = text(&ask(&[
        "tasks", &open, "--match", "wait_for", "--limit", "3",
    ]));
    assert!(
        limited.starts_with("# --limit leaves out 7 tasks\n"),
        "{limited}"
    );
    let none = text(&ask(&["tasks", &open, "--minwait", "1000h"]));
    assert!(none.contains("# no tasks\n"), "{none}");
    let full = text(&ask(&["tasks", &open, "--full", "--match", "^ask::hold"]));
    assert!(
        full.contains("ask::hold(...)\n\t") && full.contains("# waiting "),
        "{full}"
    );
    let output = ask(&["tasks", &open, "--match", "("]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn threads_and_locks_are_told() {
    let open = SERVICE.open.to_string();
    let threads = text(&ask(&["threads", &open]));
    assert!(
        threads.contains("tokio-rt-worker") && threads.contains("worker\tbusy\t"),
        "{threads}"
    );
    let threads: Value = serde_json::from_str(&text(&ask(&["threads", "--json", &open]))).unwrap();
    assert!(
        threads["threads"]
            .as_array()
            .unwrap()
            .iter()
            .any(|thread| thread["name"] == "tokio-rt-worker")
    );

    let dump = file("locks.txt", &page("goroutine?debug=2"));
    for source in [&open, &dump] {
        let locks = text(&ask(&["locks", source]));
        assert!(
            locks.contains("a Mutex<u32> created at ") && locks.contains("10 wait, the first for "),
            "{locks}"
        );
        assert!(
            locks.contains("taken by goroutine ") && locks.contains("ask::hold"),
            "{locks}"
        );
    }
    let locks: Value = serde_json::from_str(&text(&ask(&["locks", "--json", &open]))).unwrap();
    assert_eq!(
        locks[0]["locks"]["locks"][0]["waiters"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
}

#[test]
fn a_refusal_says_what_to_do() {
    let locked = SERVICE.locked.to_string();
    assert!(
        refused(&["tasks", &locked])
            .contains("401: the server asks for a token: --token TOKEN, or RUNTIME_DUMP_TOKEN")
    );
    assert!(
        refused(&["tasks", &locked, "--token", "another-token-0123456789"])
            .contains("401: the server has a different token")
    );
    let elsewhere = format!("http://{}/elsewhere/", SERVICE.open);
    assert!(
        refused(&["locks", &elsewhere])
            .contains("404: there is no page locks: the server is older")
    );
    // The listener chose this port, and it is dropped, so the port is closed.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    assert!(refused(&["tasks", &closed]).contains("connection refused: nothing listens there"));
    assert!(refused(&["tasks", "unix:/nowhere/app.sock"]).contains("there is no such socket"));
    assert!(refused(&["tasks"]).contains("no source: give a URL"));
    assert!(
        refused(&["tasks", &file("picture.png", b"\x89PNG\r\n\x1a\n0000")])
            .contains("it is no dump: it begins with")
    );
    assert!(
        refused(&["tasks", &file("cut.pb.gz", &page("goroutine")[..100])])
            .contains("not a gzip file, or a damaged one")
    );
    assert!(
        refused(&["tasks", &file("counts.txt", &page("goroutine?debug=1"))])
            .contains("`runtime-dump stacks` reads it")
    );
    let output = ask(&["nonsense"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let closer = std::thread::spawn(move || {
        let connection = silent.accept().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        drop(connection);
    });
    let started = Instant::now();
    let refusal = refused(&["tasks", &address]);
    assert!(
        refusal.contains(&address) && started.elapsed() < Duration::from_secs(20),
        "{refusal}"
    );
    closer.join().unwrap();
}

async fn leaked() {
    std::future::pending::<()>().await;
}

/// Spawns tasks that never end.
fn leak(count: usize) {
    SERVICE._runtime.block_on(async {
        for _ in 0..count {
            spawn(leaked());
        }
        time::sleep(Duration::from_millis(50)).await;
    });
}

async fn forgotten() {
    std::future::pending::<()>().await;
}

#[test]
fn a_difference_has_an_exit_code() {
    let open = SERVICE.open.to_string();
    for (form, name) in [
        ("goroutine?debug=1", "before.txt"),
        ("goroutine?debug=2", "before2.txt"),
        ("goroutine", "before.pb.gz"),
    ] {
        let before = file(name, &page(form));
        SERVICE._runtime.block_on(async {
            for _ in 0..5 {
                spawn(forgotten());
            }
            time::sleep(Duration::from_millis(50)).await;
        });
        let output = ask(&["diff", &before, &open, "--fail-if-grown", "5"]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("grown by 5: ") && said.contains("ask::forgotten"),
            "{name}: {said}"
        );
        let changed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            changed.contains("+5 (") && changed.contains("ask::forgotten(...)"),
            "{name}: {changed}"
        );
        assert!(!text(&ask(&["diff", &before, &before])).contains("ask::"));
    }
    let (before, profile) = (
        file("form.txt", &page("goroutine?debug=1")),
        file("form.pb.gz", &page("goroutine")),
    );
    assert!(refused(&["diff", &before, &profile]).contains("take both with the same debug="));
}

#[test]
fn a_leak_is_watched_logged_and_drawn() {
    let open = SERVICE.open.to_string();
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("prof.log");
    let _ = std::fs::remove_file(&log);
    let log = log.to_str().unwrap();
    leak(1);
    let watch = command(&[
        "watch", &open, "--every", "200ms", "--looks", "9", "-o", log,
    ])
    .stdout(std::process::Stdio::piped())
    .spawn()
    .unwrap();
    for _ in 0..12 {
        leak(3);
        std::thread::sleep(Duration::from_millis(100));
    }
    let lines = text(&watch.wait_with_output().unwrap());
    assert_eq!(lines.lines().count(), 9, "{lines}");
    assert!(
        lines.lines().last().unwrap().contains("ask::leaked"),
        "{lines}"
    );

    let table = text(&ask(&["watch", log]));
    let row = table
        .lines()
        .find(|line| line.contains("ask::leaked"))
        .expect("a row");
    assert!(row.contains(" grows ") && row.contains('+'), "{table}");
    let still = table
        .lines()
        .find(|line| line.contains("ask::wait_for"))
        .expect("a row");
    assert!(!still.contains("grows"), "{table}");

    // A loop in a shell writes the same log.
    let written = std::fs::read_to_string(log).unwrap();
    let by_hand: String = written
        .lines()
        .map(|line| {
            if line.starts_with("20") && line.ends_with('Z') {
                "Sun Nov 29 23:07:10 UTC 2026\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    let by_hand = file("by_hand.log", by_hand.as_bytes());
    assert!(text(&ask(&["watch", &by_hand])).contains("9 looks"));

    let html = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("prof.html");
    let said = text(&ask(&["graph", log, "-o", html.to_str().unwrap()]));
    assert!(said.contains("9 moments, "), "{said}");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(
        html.contains("ask::leaked")
            && html.contains("<polyline")
            && !html.contains("http:")
            && !html.contains("https:"),
        "{html}"
    );
    // A dump that is cut off in the middle is left out and reported.
    let cut = file("cut.log", &written.as_bytes()[..written.len() - 20]);
    assert!(text(&ask(&["watch", &cut])).contains("# 1 dump of the log is incomplete"));
}

async fn ticking() {
    loop {
        time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn what_is_polled_is_at_the_top() {
    let open = SERVICE.open.to_string();
    SERVICE._runtime.spawn(ticking());
    let tasks = text(&ask(&["top", &open, "--every", "500ms", "--sort", "polls"]));
    assert!(!tasks.contains('\x1b'), "{tasks}");
    let head = tasks.lines().next().expect("a head");
    assert!(head.contains(", busy in all "), "{tasks}");
    assert!(head.contains("%, CPU of the process "), "{tasks}");
    let first = tasks.lines().nth(2).expect("a row");
    assert!(first.contains("ask::ticking"), "{tasks}");
    let rate: f64 = first.split_whitespace().nth(1).unwrap().parse().unwrap();
    // The tasks sleep for a millisecond, on a machine that may be busy.
    assert!(rate > 20.0 && rate < 1001.0, "{tasks}");
    let sites = text(&ask(&["top", &open, "--every", "1s", "--by", "sites"]));
    assert!(
        sites.contains("tests/ask.rs:") && sites.contains("POLL p50"),
        "{sites}"
    );

    // This service does not use the probe's allocator.
    assert!(!sites.contains("HEAP"), "{sites}");
    let by_heap = [
        "top", &open, "--every", "1s", "--by", "sites", "--sort", "heap",
    ];
    let said = refused(&by_heap);
    assert!(
        said.contains("the global allocator is not the probe's"),
        "{said}"
    );

    let leaked = text(&ask(&["tasks", &open, "--leaked"]));
    assert!(
        !leaked.contains("ask::wait_for"),
        "a held lock is no leak: {leaked}"
    );
    let block = text(&ask(&[
        "stacks",
        &open,
        "--page",
        "block?seconds=1&rate=1&include=sleep",
    ]));
    assert!(
        block.starts_with("# counts are delay, in the unit nanoseconds\n"),
        "{block}"
    );
    assert!(block.contains("ask::ticking"), "{block}");
}

#[test]
fn a_bundle_has_all_and_no_secret() {
    let _alone = alone();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let bundle = folder.join("bundle.tar.zst");
    let bundle = bundle.to_str().unwrap();
    let locked = format!("http://x:{TOKEN}@{}", SERVICE.locked);
    let said = text(&ask(&["record", &locked, "-o", bundle, "--for", "1s"]));
    // This service does not use the probe's allocator.
    assert!(said.contains("1 not there"), "{said}");
    let into = folder.join("bundle");
    let shown = text(&ask(&["open", bundle, "--into", into.to_str().unwrap()]));
    assert!(
        shown.contains("not there: heap.pb.gz: ") && shown.contains("ask::wait_for"),
        "{shown}"
    );
    assert!(shown.contains("        10 -> 10"), "{shown}");
    for entry in std::fs::read_dir(&into).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !bytes
                .windows(TOKEN.len())
                .any(|window| window == TOKEN.as_bytes())
        );
    }
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(into.join("manifest.json")).unwrap()).unwrap();
    assert!(
        manifest["build_id"]
            .as_str()
            .is_some_and(|id| id.len() >= 16),
        "{manifest}"
    );
    // Foreign readers check the file, where they are installed, and its contents.
    let listed = Command::new("tar").args(["--zstd", "-tf", bundle]).output();
    if let Ok(listed) = listed
        .as_ref()
        .map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned())
        && Command::new("zstd").arg("--version").output().is_ok()
    {
        assert!(
            listed.lines().any(|line| line == "trace.out")
                && listed.lines().any(|line| line == "cpu.pb.gz"),
            "{listed}"
        );
    }
    assert!(
        text(&ask(&["stacks", into.join("before.txt").to_str().unwrap()]))
            .contains("ask::wait_for(...)")
    );
    assert!(refused(&["open", &file("no.tar.zst", b"no bundle")]).contains("it is no bundle"));
}

/// A process takes one trace and one CPU profile at a time, so these tests run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for another task, and uses the CPU. The block profile leaves out sleeps.
async fn labelled() {
    loop {
        let other = spawn(time::sleep(Duration::from_millis(1)));
        other.await.unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2) {}
    }
}

#[test]
fn a_bundle_is_without_labels_if_that_is_asked() {
    let _alone = alone();
    const TENANT: &str = "acme-and-sons";
    let open = SERVICE.open.to_string();
    let future = pprof::labels(["tenant", TENANT], labelled());
    let task = SERVICE._runtime.spawn(future);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // The names of the files that contain the label.
    let with_it = |name: &str, arguments: &[&str]| {
        let bundle = folder.join(format!("{name}.tar.zst"));
        let bundle = bundle.to_str().unwrap();
        let mut all = vec!["record", &open, "-o", bundle, "--for", "2s"];
        all.extend(arguments);
        text(&ask(&all));
        let into = folder.join(name);
        text(&ask(&["open", bundle, "--into", into.to_str().unwrap()]));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&into).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = std::fs::read(&path).unwrap();
            let text = match name.ends_with(".pb.gz") {
                true => {
                    let profile = runtime_dump::profile::proto::Profile::decode(&bytes).unwrap();
                    assert!(!profile.sample.is_empty() || name != "cpu.pb.gz");
                    profile.string_table.join("\n")
                }
                false => String::from_utf8_lossy(&bytes).into_owned(),
            };
            if text.contains(TENANT) {
                files.push(name);
            }
        }
        files.sort();
        files
    };
    let kept = with_it("labelled", &[]);
    for name in [
        "after.txt",
        "before.txt",
        "block.pb.gz",
        "cpu.pb.gz",
        "trace.out",
    ] {
        assert!(kept.iter().any(|file| file == name), "{name}: {kept:?}");
    }
    let left = with_it("redacted", &["--without-labels"]);
    assert!(left.is_empty(), "{left:?}");
    let trace = std::fs::read(folder.join("redacted/trace.out")).unwrap();
    assert!(String::from_utf8_lossy(&trace).contains("ask::labelled at "));
    task.abort();
}

#[test]
fn traces_and_flame_graphs_are_files() {
    let _alone = alone();
    let open = SERVICE.open.to_string();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let trace = folder.join("t.out");
    let said = text(&ask(&["trace", &open, "-o", trace.to_str().unwrap()]));
    assert!(said.contains("go tool trace"), "{said}");
    if let Some(go) = std::env::var_os("PROBE_TEST_GO") {
        let parsed = Command::new(go)
            .args(["tool", "trace", "-d=parsed"])
            .arg(&trace)
            .env("GOTOOLCHAIN", "local")
            .output()
            .unwrap();
        assert!(
            parsed.status.success(),
            "{}",
            String::from_utf8_lossy(&parsed.stderr)
        );
    }
    for name in ["f.svg", "f.html"] {
        let picture = folder.join(name);
        let said = text(&ask(&[
            "flame",
            &open,
            "--page",
            "goroutine",
            "-o",
            picture.to_str().unwrap(),
        ]));
        assert!(said.contains(" frames"), "{said}");
        let picture = std::fs::read_to_string(picture).unwrap();
        assert!(
            picture.contains("<title>ask::wait_for") && picture.contains("(10 x, "),
            "{picture}"
        );
        assert!(
            !picture
                .replace("http://www.w3.org/2000/svg", "")
                .contains("http:"),
            "only the name of SVG is a URL"
        );
    }
}

#[test]
fn shells_and_readers_are_told() {
    let bash = text(&ask(&["completions", "bash"]));
    assert!(
        bash.contains("--fail-if-grown") && bash.contains("runtime-dump"),
        "{bash}"
    );
    let page = text(&ask(&["man"]));
    assert!(
        page.contains(".TH runtime-dump 1") && page.contains("RUNTIME_DUMP_URL"),
        "{page}"
    );
    assert!(text(&ask(&["man", "watch"])).contains(".TH runtime-dump-watch 1"));
}
