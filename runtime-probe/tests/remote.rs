//! The server for other clients than a browser on the same machine: with a token, and on a unix socket. Real clients:
//! curl and `go tool pprof`.
#![cfg(feature = "full")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use runtime_dump_testing::go::Go;
use runtime_probe::pprof::{self, Serving};
use support::client::{self, Answer, PATIENCE};

mod support {
    #[allow(dead_code, reason = "each test asks in another way")]
    pub mod client;
}

const TOKEN: &str = "correct-horse-battery-staple";

fn with_token() -> (Serving, SocketAddr) {
    // A runtime with a waiting task, so that a dump is not empty.
    let runtime = runtime_probe::runtime::Runtime::new().unwrap();
    runtime.spawn(a_task_to_be_seen());
    std::mem::forget(runtime);
    let serving = pprof::Server::new("0.0.0.0:0")
        .allow_remote(TOKEN)
        .serve()
        .unwrap();
    let port = serving.local_addr().unwrap().port();
    (serving, SocketAddr::from(([127, 0, 0, 1], port)))
}

async fn a_task_to_be_seen() {
    runtime_probe::time::sleep(std::time::Duration::from_secs(3600)).await;
}

fn ask(server: SocketAddr, headers: &str) -> Answer {
    let request = format!(
        "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n"
    );
    client::send(server, request.as_bytes()).unwrap()
}

#[test]
fn a_client_with_the_token_is_let_in_and_no_other() {
    let (_serving, server) = with_token();
    assert_eq!(
        ask(server, &format!("Authorization: Bearer {TOKEN}\r\n")).status,
        200
    );
    for headers in [
        "",
        "Authorization: Bearer correct-horse-battery-stapl\r\n",
        "Authorization: Bearer correct-horse-battery-staples\r\n",
        "Authorization: Basic eDp4\r\n",
    ] {
        let answer = ask(server, headers);
        assert_eq!(answer.status, 401, "{headers}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, Some("Basic realm=\"runtime-probe\""));
        assert_eq!(answer.header("x-go-pprof"), Some("1"));
        assert!(answer.text().contains("token"), "{}", answer.text());
    }
}

#[test]
fn a_token_is_long_enough_or_there_is_no_server() {
    for token in ["", "short", "fifteen-letters", "with a space in the middle"] {
        let server = pprof::Server::new("127.0.0.1:0").allow_remote(token);
        let error = server.serve().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{token:?}");
        assert!(error.to_string().starts_with("the token "), "{error}");
    }
    let error = pprof::serve("0.0.0.0:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn nothing_shows_the_token() {
    let builder = pprof::Server::new("127.0.0.1:0").allow_remote(TOKEN);
    let debug = format!("{builder:?}");
    let serving = builder.serve().unwrap();
    let debug = format!("{debug}{serving:?}{}", serving.url());
    assert!(
        debug.contains("127.0.0.1") && !debug.contains("horse"),
        "{debug}"
    );

    // A process that gets the token by an argument, as in `--token=...`; no page shows it.
    let child = start(
        &["--skip", TOKEN],
        &[
            ("RUNTIME_PROBE_LISTEN", "127.0.0.1:0"),
            ("RUNTIME_PROBE_TOKEN", TOKEN),
        ],
    );
    let server = child
        .server
        .as_deref()
        .and_then(|url| url.split('/').nth(2))
        .unwrap();
    for page in [
        "",
        "cmdline",
        "goroutine?debug=2",
        "goroutine?debug=1",
        "nosuch",
        "cmdline?correct-horse=1",
    ] {
        let request = format!(
            "GET /debug/pprof/{page} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        );
        let answer = client::send(server.parse().unwrap(), request.as_bytes()).unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains(TOKEN), "{page}: {text}");
        assert_eq!(
            text.contains("--skip\0***"),
            page == "cmdline",
            "{page}: {text}"
        );
    }
    let said = child.end();
    assert!(!said.contains(TOKEN), "{said}");
}

#[test]
fn curl_sends_it_as_a_password() {
    if !has_curl() {
        return;
    }
    let (_serving, server) = with_token();
    let url = format!("http://{server}/debug/pprof/goroutine?debug=2");
    let dump = curl(&["-u", &format!("x:{TOKEN}"), &url]);
    assert!(dump.contains("remote::a_task_to_be_seen"), "{dump}");
    let refused = curl(&["-u", "x:wrong-token-of-length", &url]);
    assert_eq!(refused, "the token is not the right one\n");
}

#[test]
fn go_tool_pprof_sends_it_as_a_password() {
    let Some(go) = Go::find("pprof_token") else {
        return;
    };
    let (_serving, server) = with_token();
    // The text has no names for inlined functions; pprof asks `symbol` for them, with the password too.
    for path in ["goroutine", "goroutine?debug=1"] {
        let url = format!("http://x:{TOKEN}@{server}/debug/pprof/{path}");
        let output = go.output(["tool", "pprof", "-top", &url].map(OsStr::new));
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success(), "{path}: {stderr}");
        assert!(
            stdout.contains("remote::a_task_to_be_seen"),
            "{path}: {stdout}{stderr}"
        );
    }
    let url = format!("http://{server}/debug/pprof/goroutine");
    let output = go.output(["tool", "pprof", "-top", &url].map(OsStr::new));
    assert!(!output.status.success());
    assert!(
        texts(&output).1.contains("a token is wanted here"),
        "{}",
        texts(&output).1
    );
}

#[test]
fn a_unix_socket_is_for_its_user_and_goes_with_its_server() {
    let path = scratch("served");
    let serving = pprof::Server::unix(&path).serve().unwrap();
    let file = fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(serving.local_addr(), None);
    assert_eq!(serving.url(), format!("unix:{}", path.display()));

    assert_eq!(get_over(&path, "localhost").status, 200);
    // A tunnel may make it reachable for a browser, and a page of another site may use that.
    assert_eq!(get_over(&path, "evil.com").status, 403);
    let asked = "localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors";
    assert_eq!(get_over(&path, asked).status, 403);

    let second = pprof::Server::unix(&path).serve().unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddrInUse, "{second}");
    assert_eq!(get_over(&path, "localhost").status, 200);

    serving.shutdown();
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_asks_for_the_token_if_there_is_one() {
    let path = scratch("token");
    let _serving = pprof::Server::unix(&path)
        .allow_remote(TOKEN)
        .serve()
        .unwrap();
    assert_eq!(get_over(&path, "localhost").status, 401);
    if !has_curl() {
        return;
    }
    let url = "http://localhost/debug/pprof/cmdline";
    let dump = curl(&[
        "--unix-socket",
        text(&path),
        "-u",
        &format!("x:{TOKEN}"),
        url,
    ]);
    assert!(dump.contains("remote"), "{dump}");
}

#[test]
fn a_leftover_socket_is_replaced_and_nothing_else_is() {
    let path = scratch("leftover");
    // The socket file that a killed process leaves.
    drop(UnixListener::bind(&path).unwrap());
    let serving = pprof::Server::unix(&path).serve().unwrap();
    assert_eq!(get_over(&path, "localhost").status, 200);
    // Another process has replaced it since, so it must not be removed.
    fs::remove_file(&path).unwrap();
    let successor = UnixListener::bind(&path).unwrap();
    serving.shutdown();
    assert!(path.exists());
    drop(successor);
    fs::remove_file(&path).unwrap();

    fs::write(&path, "precious").unwrap();
    let error = pprof::Server::unix(&path).serve().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let nowhere = path.with_file_name("no-such-directory").join("socket");
    assert!(pprof::Server::unix(&nowhere).serve().is_err());
}

#[test]
fn a_unix_socket_with_idle_connections_shuts_down() {
    let path = scratch("busy");
    let serving = pprof::Server::unix(&path).serve().unwrap();
    let idle: Vec<UnixStream> = (0..10)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    serving.shutdown();
    drop(idle);
    assert!(UnixStream::connect(&path).is_err());
}

#[test]
fn the_environment_says_all_of_it_and_errors_are_one_line() {
    let path = scratch("environment");
    let listen = format!("unix:{}", path.display());
    let child = start(&[], &[("RUNTIME_PROBE_LISTEN", &listen)]);
    assert_eq!(child.server.as_deref(), Some(listen.as_str()));
    assert_eq!(get_over(&path, "localhost").status, 200);
    child.end();

    let child = start(
        &[],
        &[
            ("RUNTIME_PROBE_LISTEN", "0.0.0.0:0"),
            ("RUNTIME_PROBE_TOKEN", TOKEN),
        ],
    );
    let address = child
        .server
        .as_deref()
        .and_then(|url| url.split('/').nth(2))
        .unwrap();
    let server = address.replace("0.0.0.0", "127.0.0.1").parse().unwrap();
    assert_eq!(ask(server, "").status, 401);
    assert_eq!(
        ask(server, &format!("Authorization: Bearer {TOKEN}\r\n")).status,
        200
    );
    child.end();

    for (listen, token, reason) in [
        ("127.0.0.1:0", "", "the token is empty"),
        ("0.0.0.0:0", "", "the token is empty"),
        (
            "127.0.0.1:0",
            "secret",
            "the token is shorter than 16 characters",
        ),
        ("unix:", TOKEN, ""),
        (
            "unix:/nonexistent/socket",
            TOKEN,
            "No such file or directory",
        ),
    ] {
        let child = start(
            &[],
            &[
                ("RUNTIME_PROBE_LISTEN", listen),
                ("RUNTIME_PROBE_TOKEN", token),
            ],
        );
        let said = child.end();
        let begins = format!("runtime-probe: cannot listen on {listen}: {reason}");
        assert!(
            said.starts_with(&begins) && said.lines().count() == 1,
            "{said}"
        );
        assert!(token.is_empty() || !said.contains(token), "{said}");
    }
}

/// The environment is read by another process: this test binary, started again with this variable.
const INSIDE: &str = "PROBE_TEST_INSIDE";

#[test]
fn an_application_in_a_process_of_its_own() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = runtime_probe::runtime::Runtime::new().unwrap();
        runtime.spawn(a_task_to_be_seen());
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

struct Application {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    first_line: String,
    /// The address that it listens on.
    server: Option<String>,
}

/// Starts it and reads its one line about the server.
fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Application {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "an_application_in_a_process_of_its_own",
            "--nocapture",
        ])
        .args(arguments)
        .env_remove("RUNTIME_PROBE")
        .env_remove("RUNTIME_PROBE_TOKEN")
        .env(INSIDE, "1")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut first_line = String::new();
    stderr.read_line(&mut first_line).unwrap();
    let server = first_line
        .trim_end()
        .strip_prefix("runtime-probe: listening on ");
    Application {
        server: server.map(str::to_owned),
        child,
        stderr,
        first_line,
    }
}

impl Application {
    /// Ends it. Returns its standard error.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = self.first_line;
        std::io::Read::read_to_string(&mut self.stderr, &mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

fn get_over(path: &Path, host: &str) -> Answer {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request =
        format!("GET /debug/pprof/cmdline HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    client::answer(&mut stream).unwrap()
}

/// An unused path that is short enough for a socket.
fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rp-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Without curl a test that needs it does nothing and says so; in CI that is a failure.
fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "no curl");
    if !found {
        eprintln!("######## SKIPPED: no curl ########");
    }
    found
}

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "30",
        ])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", texts(&output).1);
    texts(&output).0
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
