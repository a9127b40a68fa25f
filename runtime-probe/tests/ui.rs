//! The pages for a browser: without scripts, and in a real browser.
#![cfg(feature = "ui")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, Notify};
use runtime_probe::task;
use std::sync::Arc;
use support::client::{Answer, ask, get, send};

mod support {
    #[allow(dead_code, reason = "each test asks in another way")]
    pub mod client;
}

/// All pages, with parameters that they have.
const PAGES: [&str; 11] = [
    "",
    "locks",
    "profiles",
    "profiles?kind=cpu",
    "tasks",
    "tasks?group=site",
    "tasks?group=task&sort=since",
    "tasks?state=waiting&match=hostile",
    "tasks?crate=ui&minwait=1ms",
    "tasks?match=&state=&label=&minwait=&crate=",
    "timeline",
];

/// Text that would be markup, or end an attribute, if it were not escaped.
const HOSTILE: &str =
    "</code><script>alert(1)</script><img src=x onerror='alert(2)'>\" onmouseover=\"alert(3)";

struct Application {
    server: SocketAddr,
    /// The task with the hostile name.
    task: u64,
    _runtime: Runtime,
}

/// A type whose name contains markup.
struct Tagged<T>(#[allow(dead_code, reason = "its name counts")] T);

async fn hostile(lock: Arc<Mutex<Tagged<&'static str>>>) {
    let _guard = lock.lock().await;
    std::future::pending::<()>().await;
}

async fn ticks() {
    loop {
        runtime_probe::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Occupies its worker for 50 ms at times, and wakes a task at the end.
async fn burns(done: Arc<Notify>) {
    loop {
        runtime_probe::time::sleep(Duration::from_millis(200)).await;
        std::thread::sleep(Duration::from_millis(50));
        done.notify_one();
    }
}

async fn follows(done: Arc<Notify>) {
    loop {
        done.notified().await;
    }
}

fn application() -> &'static Application {
    static APPLICATION: OnceLock<Application> = OnceLock::new();
    APPLICATION.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let lock = Arc::new(Mutex::new(Tagged("")));
        let future = pprof::labels(["tenant", HOSTILE], hostile(lock.clone()));
        let task = task::Builder::new()
            .name(HOSTILE)
            .spawn_on(future, runtime.handle())
            .unwrap();
        for _ in 0..3 {
            runtime.spawn(hostile(lock.clone()));
        }
        for _ in 0..120 {
            runtime.spawn(std::future::pending::<()>());
        }
        // A task that is polled all the time.
        runtime.spawn(ticks());
        let done = Arc::new(Notify::new());
        runtime.spawn(burns(done.clone()));
        runtime.spawn(follows(done));
        pprof::trace::FlightRecorder::new()
            .start()
            .unwrap()
            .detach();
        let server = pprof::serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        server.detach();
        let application = Application {
            server: address,
            task: task.id().to_string().parse().unwrap(),
            _runtime: runtime,
        };
        // Until all tasks have been polled, and wait.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let dump = get(address, "/debug/pprof/goroutine?debug=2");
            if dump.text().contains("3 more wait for it")
                || dump.text().contains("2 more wait for it")
            {
                return application;
            }
            assert!(Instant::now() < deadline, "{}", dump.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    })
}

fn page(name: &str) -> Answer {
    get(application().server, &format!("/debug/pprof/ui/{name}"))
}

#[track_caller]
fn assert_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let header = |name| answer.header(name).unwrap_or_default();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("cache-control"), "no-store");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = answer.text();
    assert!(text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    for forbidden in [
        "<style",
        " style=",
        "<script>",
        " onclick=",
        "href=\"http",
        "src=\"http",
        "src=\"//",
    ] {
        assert!(!text.contains(forbidden), "{forbidden} in\n{text}");
    }
    assert_nested(text);
}

/// Checks that each element ends, and that elements are nested correctly.
#[track_caller]
fn assert_nested(html: &str) {
    const VOID: [&str; 6] = ["br", "img", "input", "link", "meta", "!DOCTYPE"];
    let mut open = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag ends");
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "before <{part}"),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// The links of a page to other pages of the UI, as a browser sends them.
fn links(html: &str) -> Vec<String> {
    let parts = html.split("href=\"").skip(1);
    let links = parts.filter_map(|part| Some(part.split_once('"')?.0.replace("&amp;", "&")));
    links.filter(|link| !link.starts_with('#')).collect()
}

#[test]
fn every_page_is_whole_without_scripts_and_its_links_lead_somewhere() {
    let mut known = Vec::new();
    for name in PAGES {
        let answer = page(name);
        assert_page(&answer, 200);
        known.extend(links(answer.text()));
    }
    known.sort();
    known.dedup();
    // Links to a recording, which other tests may replace.
    known.retain(|link| !link.contains("past="));
    assert!(known.len() > 20, "{known:?}");
    for link in known {
        let path = match link.strip_prefix("../") {
            Some(outside) => format!("/debug/pprof/{outside}"),
            None => format!("/debug/pprof/ui/{}", link.trim_start_matches("./")),
        };
        let answer = get(application().server, &path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

#[test]
fn what_comes_from_the_process_is_escaped() {
    let task = format!("task?id={}", application().task);
    let of_names = ["tasks?group=task&match=hostile", &task];
    for name in of_names {
        let answer = page(name);
        assert_page(&answer, 200);
        let text = answer.text();
        // The name, and the label.
        let escaped = "&lt;/code&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&#39;alert(2)&#39;&gt;&#34; onmouseover=&#34;alert(3)";
        assert!(text.contains(escaped), "{name}:\n{text}");
        assert!(
            text.contains(&format!("tenant={escaped}")),
            "{name}:\n{text}"
        );
        assert!(!text.contains("<img src=x"), "{name}:\n{text}");
    }
    // The type of a lock.
    let answer = page("locks");
    assert_page(&answer, 200);
    assert!(
        answer
            .text()
            .contains("Mutex&lt;ui::Tagged&lt;&amp;str&gt;&gt;"),
        "{}",
        answer.text()
    );
    // The parameters of the request.
    for name in ["tasks?match=%3Cb%3E%22", "tasks?state=waiting&crate=a%22b"] {
        let text = page(name);
        assert!(!text.text().contains("<b>\""), "{}", text.text());
        assert!(!text.text().contains("a\"b"), "{}", text.text());
    }
}

#[test]
fn a_wrong_request_gets_a_page_that_says_why() {
    for (name, status, sentence) in [
        ("tasks?match=(", 400, "not a regular expression"),
        ("tasks?state=slep", 400, "is none of running, runnable"),
        ("tasks?group=colour", 400, "must be stack, site, task"),
        (
            "tasks?sort=colour",
            400,
            "must be tasks, since, polls, busy",
        ),
        ("tasks?sort=heap", 400, "sort=heap needs group=site"),
        (
            "tasks?sort=heap&group=site",
            501,
            "global allocator is not the probe&#39;s",
        ),
        ("tasks?debg=2", 400, "unknown parameter"),
        ("tasks?page=100000", 404, "there is no page 100000"),
        ("task", 400, "id is missing"),
        ("task?id=x", 400, "must be a task&#39;s number"),
        ("task?id=999999999", 404, "is not alive"),
        ("nothing", 404, "there is no such page"),
    ] {
        let answer = page(name);
        assert_page(&answer, status);
        assert!(
            answer.text().contains(sentence),
            "{name}: {}",
            answer.text()
        );
    }
    let posted = ask(application().server, "POST", "/debug/pprof/ui/", "");
    assert_eq!(posted.status, 405);
}

#[test]
fn a_label_leads_to_the_tasks_that_have_it() {
    let task = page(&format!("task?id={}", application().task));
    let link = links(task.text())
        .into_iter()
        .find(|link| link.starts_with("tasks?label=tenant"))
        .unwrap();
    let tasks = page(&format!("{link}&group=task"));
    assert_page(&tasks, 200);
    let rows = |answer: &Answer| answer.text().matches("<details class=\"row\"").count();
    assert_eq!(rows(&tasks), 1, "{}", tasks.text());
    assert_eq!(rows(&page("tasks?group=task&label=tenant")), 1);
    assert_eq!(rows(&page("tasks?group=task&label=tenant%3Dother")), 0);
    assert_page(&page("tasks?label=%3Dx"), 400);
    let dump = get(
        application().server,
        "/debug/pprof/goroutine?debug=2&label=tenant",
    );
    assert_eq!(
        dump.text().matches("\ngoroutine ").count(),
        1,
        "{}",
        dump.text()
    );
}

/// The global allocator of this program is not the probe's.
#[test]
fn bytes_that_are_not_known_have_no_column() {
    let sites = page("tasks?group=site");
    assert_page(&sites, 200);
    let text = sites.text();
    for column in ["number bytes", "rows heap", "sort=heap", "Heap in use"] {
        assert!(!text.contains(column), "{column}: {text}");
    }
    let hint = "No bytes by spawn site: no profile of the heap: the global allocator";
    assert!(text.contains(hint), "{text}");
    for name in ["tasks", "tasks?group=task"] {
        let text = page(name);
        assert!(!text.text().contains("No bytes by"), "{}", text.text());
    }
}

#[test]
fn lists_come_in_pages() {
    let first = page("tasks?group=task&match=Pending");
    assert_page(&first, 200);
    let rows = |answer: &Answer| answer.text().matches("<details class=\"row\"").count();
    assert_eq!(rows(&first), 50);
    assert!(first.text().contains("page 1 of 3"), "{}", first.text());
    let last = page("tasks?group=task&match=Pending&page=3");
    assert_eq!(rows(&last), 20);
    // Equal tasks are one row.
    assert_eq!(rows(&page("tasks?match=Pending")), 1);
}

/// Takes a profile. Returns its number.
#[track_caller]
fn take(query: &str) -> String {
    let answer = page(&format!("take?{query}"));
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = answer.header("location").unwrap();
    let number = location.strip_prefix("flame?profile=");
    number.unwrap_or_else(|| panic!("{location}")).to_owned()
}

/// The texts of the boxes of a flame graph.
fn boxes(answer: &Answer) -> Vec<&str> {
    let parts = answer.text().split("<title>").skip(2);
    parts
        .filter_map(|part| Some(part.split_once("</title>")?.0))
        .collect()
}

#[test]
fn a_profile_is_taken_once_and_looked_at_from_all_sides() {
    let number = take("kind=goroutine&seconds=0");
    let flame = page(&format!("flame?profile={number}"));
    assert_page(&flame, 200);
    let all = boxes(&flame);
    assert!(all[0].starts_with("all\n1"), "{all:?}");
    let is_hostile = |text: &&str| text.starts_with("ui::hostile\n4 tasks, ");
    assert!(all.iter().any(is_hostile), "{all:?}");
    // Each box is a link that zooms; the boxes beside it are not shown then.
    let zoom = links(flame.text())
        .into_iter()
        .filter(|link| link.contains("zoom="));
    let zoomed: Vec<Answer> = zoom.map(|link| page(&link)).collect();
    assert!(zoomed.len() >= 3, "{all:?}");
    assert!(zoomed.iter().all(|answer| answer.status == 200));
    assert!(zoomed.iter().any(|answer| boxes(answer).len() < all.len()));
    let missing = page(&format!("flame?profile={number}&zoom=99999"));
    assert_page(&missing, 404);
    // The leaf is at the top.
    let inverted = page(&format!("flame?profile={number}&invert=1"));
    assert_page(&inverted, 200);
    assert_ne!(boxes(&inverted), all);
    // 4 of some 125 tasks.
    let found = page(&format!("flame?profile={number}&search=ui::hostile$"));
    assert_page(&found, 200);
    assert!(found.text().contains("class=\"hit\""), "{}", found.text());
    assert!(
        found
            .text()
            .contains(" % is in or below functions that match.")
    );
    let table = page(&format!(
        "table?profile={number}&search=ui::hostile$&sort=cum"
    ));
    assert_page(&table, 200);
    assert!(table.text().contains("1 function."), "{}", table.text());
    assert!(table.text().contains(">4 tasks</td>"), "{}", table.text());
    for path in [
        format!("flame?profile={number}&search=("),
        "flame?profile=x".to_owned(),
        "table".to_owned(),
    ] {
        assert_page(&page(&path), 400);
    }
    assert_page(&page("flame?profile=999999"), 404);
}

#[test]
fn the_timeline_has_what_was_polled_and_its_parts() {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut timeline = page("timeline");
    while !timeline.text().contains("<code>ui::ticks (") {
        assert!(Instant::now() < deadline, "{}", timeline.text());
        timeline = page("timeline");
    }
    assert_page(&timeline, 200);
    let text = timeline.text();
    assert_eq!(
        text.matches("class=\"timeline\" width").count(),
        text.matches("class=\"lane\"").count()
    );
    assert!(text.matches("class=\"lane\"").count() >= 2, "{text}");
    assert!(text.contains("<path class=\"t"), "{text}");
    // Other tests open newer recordings meanwhile.
    let part = links(text)
        .into_iter()
        .find(|link| link.contains("past="))
        .unwrap();
    let part = page(&part);
    assert_page(&part, if part.status == 404 { 404 } else { 200 });
    assert_page(&page("timeline?past=999999"), 404);
    assert_page(&page("timeline?from=x"), 400);
    assert_page(&page("timeline?from=4000000000&length=0"), 200);
}

/// The address of the page of a long poll of `burns`, with what woke it and what it woke. Other tests open newer recordings meanwhile.
fn one_poll() -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let timeline = page("timeline");
        let text = timeline.text();
        let rows = text.split("<tr>").filter(|row| row.contains("ui::burns ("));
        let links = rows.flat_map(links);
        let polls = links.filter(|link| link.contains("poll=") && link.ends_with("#poll"));
        for link in polls {
            let link = link.trim_end_matches("#poll");
            // The first poll of a recording has no wake, and the last one has woken nothing yet.
            let poll = page(link);
            if ["Woken by thread ", "ui::follows ("]
                .iter()
                .all(|part| poll.text().contains(part))
            {
                return link.to_owned();
            }
        }
        assert!(Instant::now() < deadline, "{text}");
    }
}

#[test]
fn a_poll_has_what_woke_it_and_what_it_woke() {
    let poll = loop {
        let poll = page(&one_poll());
        if poll.status == 200 {
            break poll;
        }
    };
    assert_page(&poll, 200);
    let text = poll.text();
    let card = text.split("id=\"poll\"").nth(1).unwrap();
    let card = card.split("</section>").next().unwrap();
    for part in [
        "goroutine ",
        "<code>ui::burns (",
        "Woken by thread ",
        ", outside of polls, ",
        "What it woke:",
        ">ui::follows (",
        " later</li>",
    ] {
        assert!(card.contains(part), "no {part}: {card}");
    }
    // In the lanes: the poll, the wake of its task, and the begin of the poll that it woke.
    assert_eq!(text.matches("aria-current=\"true\"").count(), 1);
    assert!(text.contains("class=\"mark woken\""), "{text}");
    assert!(text.contains("class=\"mark wakes\""), "{text}");
    for name in ["../trace?last=1&format=perfetto", "../trace?last=1"] {
        assert!(links(text).iter().any(|link| link == name), "no {name}");
    }
    assert_page(&page("timeline?lane=0"), 200);
    assert_page(&page("timeline?lane=0&poll=4000000000"), 404);
}

#[test]
fn a_browser_draws_wakes_as_arrows() {
    if chromium().is_none() {
        eprintln!("skipped: no chromium");
        return;
    }
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let dom = browsed(&one_poll()).unwrap();
        if dom.matches("class=\"head\"").count() >= 2 {
            return;
        }
        // The recording may be gone. A thread of a wake may be in no lane.
        assert!(Instant::now() < deadline, "{dom}");
    }
}

#[test]
fn two_profiles_are_compared() {
    let base = take("kind=goroutine");
    let number = take("kind=goroutine");
    let flame = page(&format!("flame?profile={number}&base={base}"));
    assert_page(&flame, 200);
    let all = boxes(&flame);
    assert!(all.iter().all(|text| text.ends_with(" before")), "{all:?}");
    let table = page(&format!("table?profile={number}&base={base}"));
    assert_page(&table, 200);
    assert!(table.text().contains(">Cum change</th>"));
    let cpu = take("kind=cpu&seconds=1&hz=100");
    assert_page(&page(&format!("flame?profile={cpu}&base={base}")), 400);
}

#[test]
fn what_a_profile_cannot_be_is_said_by_its_own_page() {
    for (query, status, sentence) in [
        (
            "kind=colour",
            400,
            "must be cpu, goroutine, block, mutex, heap, allocs",
        ),
        (
            "kind=cpu&seconds=1&hz=0",
            400,
            "samples for each second of CPU time",
        ),
        ("kind=block&seconds=99999", 400, "seconds"),
        ("kind=heap", 501, "allocator"),
        ("kind=cpu&rate=1", 400, "unknown parameter"),
    ] {
        let answer = page(&format!("take?{query}"));
        assert_page(&answer, status);
        assert!(
            answer.text().contains(sentence),
            "{query}: {}",
            answer.text()
        );
    }
}

/// 100,000 tasks of three kinds. By hand: `cargo test --release --features full --test ui -- --ignored --nocapture`.
#[test]
#[ignore = "tells times, which only a release build on an idle machine has"]
fn a_hundred_thousand_tasks_fit_a_page() {
    let application = application();
    for number in 0..100_000 {
        let runtime = &application._runtime;
        match number % 3 {
            0 => drop(runtime.spawn(std::future::pending::<()>())),
            1 => drop(runtime.spawn(async {
                runtime_probe::time::sleep(Duration::from_secs(3600)).await;
            })),
            _ => drop(runtime.spawn(async {
                runtime_probe::sync::Notify::new().notified().await;
            })),
        }
    }
    std::thread::sleep(Duration::from_secs(2));
    for name in [
        "",
        "tasks",
        "tasks?group=site",
        "tasks?group=task",
        "tasks?group=task&page=1000",
        "tasks?match=notified",
        "locks",
    ] {
        let times = (0..5).map(|_| {
            let began = Instant::now();
            let answer = page(name);
            assert_page(&answer, 200);
            (began.elapsed(), answer.body.len())
        });
        let (time, bytes) = times.min().unwrap();
        eprintln!("{name:28} {time:>10.1?} {bytes:>8} bytes");
        assert!(bytes < 300_000, "{name}: {bytes} bytes");
    }
}

#[test]
fn the_files_are_ours_and_kept_by_browsers() {
    let summary = page("");
    for (name, content_type) in [
        ("style.css", "text/css; charset=utf-8"),
        ("script.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let mut links = summary.text().split('"');
        let link = links.find(|link| link.starts_with(name)).unwrap();
        let file = page(link);
        assert_eq!(file.status, 200);
        assert_eq!(file.header("content-type"), Some(content_type));
        assert_eq!(file.header("cache-control"), Some("private, max-age=86400"));
        assert!(file.body.len() < 60 << 10);
    }
}

#[test]
fn the_index_leads_to_the_pages() {
    let server = application().server;
    let index = get(server, "/debug/pprof/");
    assert!(
        index.text().contains("<a href=\"ui/\">"),
        "{}",
        index.text()
    );
    let without_slash = get(server, "/debug/pprof/ui");
    assert_eq!(without_slash.status, 307);
    assert_eq!(without_slash.header("location"), Some("ui/"));
}

#[test]
fn the_pages_are_let_in_and_kept_out_as_all_others() {
    const TOKEN: &str = "correct-horse-battery-staple";
    application();
    let serving = pprof::Server::new("127.0.0.1:0")
        .allow_remote(TOKEN)
        .serve()
        .unwrap();
    let server = serving.local_addr().unwrap();
    let asked = |path: &str, headers: &str| {
        let request = format!(
            "GET /debug/pprof/ui/{path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n"
        );
        send(server, request.as_bytes()).unwrap()
    };
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for path in ["", "tasks", "take?kind=cpu", "script.js"] {
        assert_eq!(asked(path, "").status, 401, "{path}");
        let by_another_site =
            format!("{token}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n");
        assert_eq!(asked(path, &by_another_site).status, 403, "{path}");
    }
    assert_page(&asked("", &token), 200);
    // Links as a browser sends them: none has the token.
    assert!(!asked("", &token).text().contains(TOKEN));
}

/// Debian's Chromium, if it is installed.
fn chromium() -> Option<Command> {
    let mut command = Command::new("chromium");
    let is_there = command
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success());
    is_there.then(|| Command::new("chromium"))
}

/// A page in the browser, after its script has run.
fn browsed(name: &str) -> Option<String> {
    let mut chromium = chromium()?;
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let profile = format!("probe-ui-{}-{run}", std::process::id());
    let profile: PathBuf = std::env::temp_dir().join(profile);
    let output = chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!(
            "http://{}/debug/pprof/ui/{name}",
            application().server
        ))
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&profile);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(text)
}

#[test]
fn a_browser_runs_our_script_and_no_other() {
    let task = application().task;
    let Some(page) = browsed(&format!("tasks?group=task&match=hostile#task-{task}")) else {
        eprintln!("skipped: no chromium");
        return;
    };
    // The script has added its tools, so the policy allows it; the row in the address is open.
    assert!(page.contains("aria-pressed=\"false\""), "{page}");
    let row = format!("<details class=\"row\" id=\"task-{task}\" open=\"\">");
    assert!(page.contains(&row), "{page}");
    // The browser treats the name as text.
    assert!(!page.contains("<img src=\"x\""), "{page}");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
}
