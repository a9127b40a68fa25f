//! The endpoints from the view of a client, on real sockets, with an application that must not be affected.
#![cfg(feature = "full")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runtime_dump_testing::grammar;
use runtime_probe::pprof;
use support::client::{self, Answer, ask, get};
use support::tasks::{KINDS, application};

mod support {
    pub mod client;
    pub mod tasks;
}

const TEXT: &str = "text/plain; charset=utf-8";

/// An error in the form for `go tool pprof`: one sentence, marked.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, sentence: &str) {
    assert_eq!(answer.text(), format!("{sentence}\n"));
    assert_eq!(answer.status, status);
    assert_eq!(answer.header("x-go-pprof"), Some("1"));
    assert_eq!(answer.header("content-type"), Some(TEXT));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-disposition"), None);
}

#[track_caller]
fn assert_text(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some(TEXT));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-disposition"), None);
    assert_eq!(answer.header("x-go-pprof"), None);
}

#[test]
fn the_index_has_counts_links_and_a_diagnosis() {
    let answer = get(application().server, "/debug/pprof/");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let page = answer.text();
    let count = page
        .split_once("</td><td><a href='goroutine?debug=1'>goroutine</a></td></tr>\n")
        .and_then(|(before, _)| before.rsplit_once("<tr><td>"))
        .and_then(|(_, count)| count.parse::<usize>().ok());
    assert!(count >= Some(11), "{count:?} tasks in\n{page}");
    for part in [
        "<tr><td>0</td><td><a href='cmdline'>cmdline</a></td></tr>\n",
        "<tr><td>0</td><td><a href='symbol'>symbol</a></td></tr>\n",
        "<a href=\"goroutine?debug=2\">full goroutine stack dump</a>\n",
        "<li><div class=profile-name>goroutine:</div> Stack traces of all tasks.",
        "Diagnosis:\n<ul>\n<li>the binary has line tables: stacks show files, lines and inlined functions</li>\n",
        "<li>captures: ",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    let says_what_is_missing = page.contains("<li>built without --cfg tokio_unstable: ");
    assert_eq!(says_what_is_missing, !cfg!(tokio_unstable));
    // Every link of the page has a target.
    for link in page.split(['\'', '"']).filter(|part| {
        part.starts_with("goroutine") || part.starts_with("cmdline") || *part == "symbol"
    }) {
        let link = link.replace("&amp;", "&");
        let answer = get(application().server, &format!("/debug/pprof/{link}"));
        assert_eq!(answer.status, 200, "{link}");
    }
}

#[test]
fn debug_0_is_a_gzipped_download() {
    for path in ["goroutine", "goroutine?debug=0", "goroutine?debug=00"] {
        let answer = get(application().server, &format!("/debug/pprof/{path}"));
        assert_eq!(answer.status, 200);
        let header = |name| answer.header(name);
        assert_eq!(header("content-type"), Some("application/octet-stream"));
        assert_eq!(
            header("content-disposition"),
            Some("attachment; filename=\"goroutine\"")
        );
        assert_eq!(header("x-content-type-options"), Some("nosniff"));
        assert_eq!(header("content-encoding"), None);
        assert_eq!(answer.body[..2], [0x1f, 0x8b]);
    }
}

#[test]
fn debug_1_counts_equal_stacks() {
    let answer = get(application().server, "/debug/pprof/goroutine?debug=1");
    assert_text(&answer);
    let counts = grammar::read_counts(answer.text()).unwrap();
    assert_eq!(counts.name, "goroutine");
    let sum: u64 = counts.groups.iter().map(|group| group.count).sum();
    assert_eq!(counts.total, sum);
    let receive = counts.groups.iter().filter(|group| {
        let mut cells = group.comments.iter().flatten();
        cells.any(|cell| cell.starts_with("wire::support::tasks::kind_chan_receive+0x"))
    });
    assert_eq!(
        receive.map(|group| group.count).collect::<Vec<_>>(),
        [3],
        "{}",
        answer.text()
    );
}

#[test]
fn debug_2_tells_kinds_apart() {
    let answer = get(application().server, "/debug/pprof/goroutine?debug=2");
    assert_text(&answer);
    let blocks = grammar::read_goroutines(answer.text()).unwrap();
    for (kind, expected) in KINDS {
        let name = format!("kind_{}", kind.to_lowercase().replace([' ', '.'], "_"));
        let name = name.replace("sync_", "");
        let found = blocks
            .iter()
            .filter(|block| block.frames.iter().any(|f| f.function.ends_with(&name)))
            .inspect(|block| assert_eq!(block.state, kind, "{name} in\n{}", answer.text()))
            .count();
        assert_eq!(found, expected, "{name} in\n{}", answer.text());
    }
    let block = |name: &str| {
        let has = |block: &&grammar::Block| block.frames.iter().any(|f| f.function.ends_with(name));
        let found = blocks.iter().find(has);
        found.unwrap_or_else(|| panic!("{name} in\n{}", answer.text()))
    };
    let lost = block("never_woken");
    assert_eq!(lost.state, "waiting");
    assert!(lost.remarks[0].contains(", nothing can wake this task: no waker of it is left"));
    let busy = block("hold_a_worker");
    assert_eq!(busy.state, "running");
    assert!(busy.remarks[0].contains(", on thread "), "{busy:?}");
    let created = busy.created_by.as_ref().unwrap();
    assert!(created.function.ends_with("start_all"), "{created:?}");
    assert!(created.position.file.ends_with("support/tasks.rs"));
    assert!(created.parent.is_some());
}

#[test]
fn debug_2_has_running_tasks_first_and_then_the_longest_wait() {
    for path in ["goroutine?debug=2", "goroutine?debug=2&plain=0"] {
        let answer = get(application().server, &format!("/debug/pprof/{path}"));
        let blocks = grammar::read_goroutines(answer.text()).unwrap();
        let key = |block: &grammar::Block| {
            let remark = block.remarks[0].strip_prefix("# ").unwrap();
            let (state, rest) = remark.split_once(' ').unwrap();
            let (since, _) = rest.split_once(',').unwrap();
            (state != "running", std::cmp::Reverse(nanoseconds(since)))
        };
        assert!(blocks.is_sorted_by_key(key), "{}", answer.text());
    }
}

#[test]
fn a_plain_dump_is_what_go_would_write() {
    let answer = get(
        application().server,
        "/debug/pprof/goroutine?debug=2&plain=1",
    );
    assert_text(&answer);
    let blocks = grammar::read_goroutines(answer.text()).unwrap();
    assert!(blocks.len() >= 11);
    assert_eq!(blocks[0].state, "running");
    for block in &blocks {
        assert!(block.remarks.is_empty(), "{block:?}");
        assert!(!block.frames.is_empty(), "{block:?}");
        let created = block.created_by.iter().map(|created| &created.function);
        let frames = block.frames.iter().map(|frame| &frame.function);
        for function in created.chain(frames) {
            assert!(!function.contains(['(', ')', '\t']), "{function}");
        }
    }
}

#[test]
fn a_slash_too_few_or_too_many_leads_on() {
    // The links to the index are relative, so that they work below any path at which a router is nested.
    for (path, location) in [
        ("/debug/pprof", "pprof/"),
        ("/", "debug/pprof/"),
        ("//debug/pprof/", "/debug/pprof/"),
        ("///debug/pprof/cmdline", "/debug/pprof/cmdline"),
        (
            "//debug/pprof/goroutine?debug=2&match=a%2Fb",
            "/debug/pprof/goroutine?debug=2&match=a%2Fb",
        ),
    ] {
        let answer = get(application().server, path);
        assert_eq!(answer.status, 307);
        assert_eq!(answer.header("location"), Some(location));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn what_is_not_there_is_a_404() {
    let server = application().server;
    for path in ["nosuch", "goroutine/", "profile/", "nosuch?debug=abc"] {
        let answer = get(server, &format!("/debug/pprof/{path}"));
        assert_refused(&answer, 404, "Unknown profile");
    }
    for path in ["heap", "allocs?debug=1"] {
        let answer = get(server, &format!("/debug/pprof/{path}"));
        assert_eq!(answer.status, 501, "{}", answer.text());
        assert!(
            answer.text().contains("#[global_allocator]"),
            "{}",
            answer.text()
        );
    }
    let answer = get(server, "/favicon.ico");
    let sentence = "404 page not found: the profiles are under /debug/pprof/, variables at /debug/vars, metrics at /metrics";
    assert_refused(&answer, 404, sentence);
}

#[test]
fn other_methods_are_a_405() {
    let server = application().server;
    for (method, name, allowed) in [
        ("POST", "", "GET, HEAD"),
        ("POST", "goroutine", "GET, HEAD"),
        ("DELETE", "cmdline", "GET, HEAD"),
        ("PUT", "symbol", "GET, HEAD, POST"),
    ] {
        let answer = ask(server, method, &format!("/debug/pprof/{name}"), "");
        assert_eq!(answer.status, 405, "{method} {name}");
        assert_eq!(answer.text(), "Method Not Allowed\n");
        assert_eq!(answer.header("allow"), Some(allowed));
        assert_eq!(answer.header("content-type"), Some(TEXT));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn head_has_the_headers_and_no_body() {
    let server = application().server;
    for path in ["", "goroutine", "goroutine?debug=2", "cmdline"] {
        let path = format!("/debug/pprof/{path}");
        let (head, get) = (ask(server, "HEAD", &path, ""), get(server, &path));
        assert_eq!(head.status, 200);
        assert!(head.body.is_empty());
        for name in ["content-type", "content-disposition"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
    }
}

#[test]
fn parameters_are_strict() {
    const NOT_A_NUMBER: &str = "invalid value for \"debug\" - must be a non-negative integer";
    for (query, sentence) in [
        ("debug=abc", NOT_A_NUMBER),
        ("debug=-1", NOT_A_NUMBER),
        ("debug=+1", NOT_A_NUMBER),
        ("debug=", NOT_A_NUMBER),
        ("debug", NOT_A_NUMBER),
        ("debug=1.5", NOT_A_NUMBER),
        (
            "debug=99999999999",
            "invalid value for \"debug\" - too large",
        ),
        ("debug=1&debug=1", "the parameter \"debug\" is given twice"),
        (
            "debg=2",
            "unknown parameter \"debg\" (known here: crate, debug, decode, format, frames, fresh, group, label, limit, match, minwait, \
             names, plain, seconds, slow, state)",
        ),
        (
            "debug=2&plain=2",
            "invalid value for \"plain\" - must be 0 or 1",
        ),
        ("debug=1&plain=1", "plain=1 needs debug=2"),
        (
            "seconds=abc",
            "invalid value for \"seconds\" - must be a positive integer",
        ),
        (
            "seconds=0&debug=1",
            "invalid value for \"seconds\" - must be a positive integer",
        ),
        (
            "seconds=5&debug=2",
            "seconds and debug params are incompatible",
        ),
        ("debug=%zz", "a % is not followed by two hexadecimal digits"),
    ] {
        let answer = get(
            application().server,
            &format!("/debug/pprof/goroutine?{query}"),
        );
        assert_refused(&answer, 400, sentence);
    }
    for path in ["cmdline?debug=1", "?debug=1"] {
        let answer = get(application().server, &format!("/debug/pprof/{path}"));
        let sentence = "unknown parameter \"debug\" (known here: none)";
        assert_refused(&answer, 400, sentence);
    }
}

#[test]
fn the_command_line_is_joined_by_nul_bytes() {
    let answer = get(application().server, "/debug/pprof/cmdline");
    assert_text(&answer);
    let arguments: Vec<String> = std::env::args().collect();
    assert_eq!(answer.text(), arguments.join("\0"));
}

#[test]
fn symbols_are_found_for_get_and_post() {
    let server = application().server;
    let here = pprof::lookup as *const () as usize;
    let request = format!("{here:#x}+0x0+nonsense++0x8+{here}+0xffffffffffffffff+{here:#x}");
    let name = "runtime_probe::pprof::profile::lookup";
    let expected =
        format!("num_symbols: 1\n{here:#x} {name}\n{here:#x} {name}\n{here:#x} {name}\n");
    let by_get = get(server, &format!("/debug/pprof/symbol?{request}"));
    assert_text(&by_get);
    assert_eq!(by_get.text(), expected);
    let by_post = ask(server, "POST", "/debug/pprof/symbol", &request);
    assert_text(&by_post);
    assert_eq!(by_post.text(), expected);
    for nothing in ["", "?", "?0x10", "?x=y&z"] {
        let answer = get(server, &format!("/debug/pprof/symbol{nothing}"));
        assert_eq!(answer.text(), "num_symbols: 1\n", "{nothing}");
    }
}

#[test]
fn every_address_of_a_text_has_a_name() {
    let server = application().server;
    let text = get(server, "/debug/pprof/goroutine?debug=1");
    let counts = grammar::read_counts(text.text()).unwrap();
    let addresses: Vec<String> = counts
        .groups
        .iter()
        .flat_map(|group| &group.addresses)
        .map(|address| format!("{:#x}", address - 1))
        .collect();
    let answer = ask(server, "POST", "/debug/pprof/symbol", &addresses.join("+"));
    let named = answer.text().lines().skip(1);
    let named: Vec<&str> = named.map(|line| line.split_once(' ').unwrap().0).collect();
    assert_eq!(named, addresses);
    assert!(answer.text().contains(" select.branch_1_of_2\n"));
}

#[test]
fn a_host_that_is_not_local_is_refused() {
    let server = application().server;
    for path in ["/", "/debug/pprof/", "/debug/pprof/symbol", "/nosuch"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n");
        let answer = client::send(server, request.as_bytes()).unwrap();
        let sentence = "the Host of a request to this address must be an IP address or localhost";
        assert_refused(&answer, 403, sentence);
    }
}

#[test]
fn a_post_of_100_megabytes_is_refused_unread() {
    let application = application();
    const LENGTH: usize = 100 << 20;
    let before = resident_bytes();
    for head in [
        format!("Content-Length: {LENGTH}"),
        "Transfer-Encoding: chunked".to_owned(),
    ] {
        let mut stream = client::connect(application.server).unwrap();
        let head =
            format!("POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let chunked = head.contains("chunked");
        // Writes until the server closes the connection.
        let writer = std::thread::spawn(move || {
            let block = vec![b'+'; 64 << 10];
            for _ in 0..LENGTH / block.len() {
                if chunked {
                    writer.write_all(b"10000\r\n")?;
                }
                writer.write_all(&block)?;
                if chunked {
                    writer.write_all(b"\r\n")?;
                }
            }
            Ok::<_, std::io::Error>(())
        });
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(String::from_utf8_lossy(&first), "HTTP/1.1 413");
        assert!(writer.join().unwrap().is_err(), "all of it was read");
        drop(stream);
    }
    // The bound is 1 MiB for each connection; other tests run at the same time.
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 50 << 20, "{grown} bytes more");
    application.wait_for_ticks(20);
}

#[test]
fn half_open_connections_do_not_hold_the_application_or_the_server() {
    let application = application();
    // A separate server: a crowd evicts waiting clients, also requests of the other tests.
    let crowded = pprof::serve("127.0.0.1:0").unwrap();
    let server = crowded.local_addr().unwrap();
    let mut open = VecDeque::new();
    for number in 0..1000 {
        let mut stream = client::connect(server).unwrap();
        // Some send nothing, some stop in their head, some in their body. Earlier ones may be evicted meanwhile.
        let part = [
            "",
            "GET /debug/pp",
            "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n0x",
        ];
        let _ = stream.write_all(part[number % part.len()].as_bytes());
        open.push_back(stream);
        // As many files as most systems allow a process to have open, less some for the other tests.
        if open.len() > 400 {
            open.pop_front();
        }
        if number % 250 == 249 {
            application.wait_for_ticks(20);
            assert_text(&patiently(server, "/debug/pprof/goroutine?debug=2"));
        }
    }
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    assert!(threads < 200, "{threads} threads");
}

/// A crowded server may refuse a client, with a reply or by a reset; that must not last.
fn patiently(server: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    for _ in 0..100 {
        match client::send(server, request.as_bytes()) {
            Ok(answer) if answer.status == 200 => return answer,
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    panic!("the server turns all clients away");
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn nanoseconds(duration: &str) -> u64 {
    let digits = duration.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &duration[digits.len()..] {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        other => panic!("unit {other:?} of {duration}"),
    };
    let (minutes, seconds) = digits.split_once('m').unwrap_or(("0", digits));
    let minutes: f64 = minutes.parse().unwrap();
    ((minutes * 60.0 + seconds.parse::<f64>().unwrap()) * unit).round() as u64
}

/// The environment is read by another process: this test binary, started again with this variable.
const INSIDE: &str = "PROBE_TEST_INSIDE";

/// The other process: it builds two runtimes, runs a task on each, and ends with its standard input.
#[test]
fn an_application_in_a_process_of_its_own() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    for _ in 0..2 {
        let runtime = runtime_probe::runtime::Runtime::new().unwrap();
        let task = runtime.spawn(async { 42 });
        assert_eq!(runtime.block_on(task).unwrap(), 42);
        // A task that a dump can show.
        runtime.spawn(std::future::pending::<()>());
        std::mem::forget(runtime);
    }
    let count = pprof::lookup("goroutine").unwrap().count();
    println!("\ntasks: {count}");
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Starts it with `environment`.
fn start(environment: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_application_in_a_process_of_its_own"])
        .args(["--nocapture", "--test-threads=1"])
        .env_remove("RUNTIME_PROBE")
        .env_remove("RUNTIME_PROBE_LISTEN")
        .env_remove("RUNTIME_PROBE_TOKEN")
        .env(INSIDE, "1")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Ends it. Returns its standard output and its standard error.
fn end(child: Child) -> (String, String) {
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}{stderr}");
    (stdout, stderr)
}

#[test]
fn listening_by_environment_is_one_line_for_any_number_of_runtimes() {
    let mut child = start(&[("RUNTIME_PROBE_LISTEN", "127.0.0.1:0")]);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line
        .strip_prefix("runtime-probe: listening on http://")
        .and_then(|rest| rest.strip_suffix("/debug/pprof/\n"))
        .unwrap_or_else(|| panic!("{line:?}"));
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(stdout.any(|line| line.unwrap() == "tasks: 2"));
    let answer = get(address.parse().unwrap(), "/debug/pprof/goroutine?debug=2");
    assert_eq!(grammar::read_goroutines(answer.text()).unwrap().len(), 2);
    drop(child.stdin.take());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    stdout.for_each(drop);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_port_in_use_is_one_line_and_no_more() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (value, reason) in [
        (address.as_str(), "Address already in use"),
        ("0.0.0.0:0", "refusing to listen on 0.0.0.0:0"),
        ("nonsense", "invalid socket address"),
    ] {
        let (stdout, stderr) = end(start(&[("RUNTIME_PROBE_LISTEN", value)]));
        assert!(stdout.contains("\ntasks: 2\n"), "{stdout}");
        let begins = format!("runtime-probe: cannot listen on {value}: {reason}");
        assert!(stderr.starts_with(&begins), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn nothing_is_said_where_nothing_is_asked_for() {
    for environment in [&[][..], &[("RUNTIME_PROBE_LISTEN", "")]] {
        let (stdout, stderr) = end(start(environment));
        assert!(stdout.contains("\ntasks: 2\n"), "{stdout}");
        assert_eq!(stderr, "");
    }
}

#[test]
fn off_is_plain_tokio() {
    let listen = ("RUNTIME_PROBE_LISTEN", "127.0.0.1:0");
    let (stdout, stderr) = end(start(&[("RUNTIME_PROBE", "off"), listen]));
    assert!(stdout.contains("\ntasks: 0\n"), "{stdout}");
    assert_eq!(stderr, "");
}
