//! The router on real sockets, in a service with plain tokio and in one whose tokio is the probe, beside the stand-alone
//! server.

use std::net::SocketAddr;
use std::sync::mpsc;

use axum::Router;
use axum::extract::connect_info::MockConnectInfo;
use axum::routing::get;
use client::{Answer, PATIENCE};
use runtime_probe::pprof::{self, Serving};
use runtime_probe_axum::{remote_router, router};

#[allow(dead_code, reason = "other tests ask in other ways")]
#[path = "../../tests/support/client.rs"]
mod client;

const TOKEN: &str = "correct-horse-battery-staple";

/// Serves for the rest of the process, on plain tokio.
fn plain(app: Router) -> SocketAddr {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (told, address) = mpsc::channel();
    runtime.spawn(serve(app, told));
    std::mem::forget(runtime);
    address.recv_timeout(PATIENCE).unwrap()
}

/// Serves for the rest of the process, as a crate with the rename does.
fn renamed(app: Router) -> SocketAddr {
    use runtime_probe as tokio;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (told, address) = mpsc::channel();
    runtime.spawn(serve(app, told));
    std::mem::forget(runtime);
    address.recv_timeout(PATIENCE).unwrap()
}

async fn serve(app: Router, told: mpsc::Sender<SocketAddr>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    told.send(listener.local_addr().unwrap()).unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await.unwrap();
}

fn stand_alone() -> (Serving, SocketAddr) {
    let serving = pprof::serve("127.0.0.1:0").unwrap();
    let address = serving.local_addr().unwrap();
    (serving, address)
}

fn ask(server: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} /debug/pprof{path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    client::send(server, request.as_bytes())
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

const HERE: &str = "Host: localhost\r\n";

/// The headers that matter to a client. The date differs, and hyper decides about `Connection` itself.
const HEADERS: [&str; 9] = [
    "content-length",
    "transfer-encoding",
    "content-type",
    "content-disposition",
    "x-content-type-options",
    "x-go-pprof",
    "location",
    "allow",
    "www-authenticate",
];

#[track_caller]
fn assert_alike(ours: &Answer, other: &Answer, headers: &[&str], what: &str) {
    assert_eq!(ours.status, other.status, "{what}");
    for name in headers {
        assert_eq!(ours.header(name), other.header(name), "{name} of {what}");
    }
}

#[test]
fn the_answers_are_those_of_the_stand_alone_server() {
    let (_serving, alone) = stand_alone();
    let long = "0x1+".repeat(300_000);
    for server in [
        plain(router().route("/", get("the service"))),
        renamed(router()),
    ] {
        for (method, path, headers, body) in [
            ("GET", "/cmdline", HERE, ""),
            ("HEAD", "/cmdline", HERE, ""),
            ("GET", "/symbol?0x1+0x2", HERE, ""),
            ("POST", "/symbol", HERE, "0x1+0x2"),
            ("POST", "/symbol", HERE, long.as_str()),
            ("GET", "", HERE, ""),
            ("GET", "/nosuch", HERE, ""),
            ("GET", "/goroutine/", HERE, ""),
            ("GET", "/go%72outine?debug=x", HERE, ""),
            ("GET", "/goroutine?debug=1&debug=2", HERE, ""),
            ("GET", "/cmdline?unknown=1", HERE, ""),
            ("GET", "/cmdline?a=%zz", HERE, ""),
            ("POST", "/goroutine", HERE, ""),
            ("DELETE", "/cmdline", HERE, ""),
            ("GET", "/cmdline", "Host: evil.example\r\n", ""),
            ("POST", "/symbol", "Host: evil.example\r\n", "0x1"),
            (
                "GET",
                "/cmdline",
                "Host: localhost\r\nHost: localhost\r\n",
                "",
            ),
        ] {
            let what = format!("{method} {path} {headers:?}");
            let ours = ask(server, method, path, headers, body);
            let other = ask(alone, method, path, headers, body);
            assert_alike(&ours, &other, &HEADERS, &what);
            assert_eq!(ours.text(), other.text(), "{what}");
        }
        // The answers of these paths differ between any two requests.
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/goroutine"),
            ("HEAD", "/goroutine"),
            ("GET", "/goroutine?debug=1"),
            ("GET", "/goroutine?debug=2"),
            ("HEAD", "/goroutine?debug=2"),
        ] {
            let ours = ask(server, method, path, HERE, "");
            let other = ask(alone, method, path, HERE, "");
            assert_eq!(ours.body.is_empty(), method == "HEAD");
            // A reply without a body has no `Transfer-Encoding`.
            let of_no_length = if method == "HEAD" { 2 } else { 1 };
            let what = format!("{method} {path}");
            assert_alike(&ours, &other, &HEADERS[of_no_length..], &what);
        }
    }
}

#[test]
fn a_redirect_stays_below_where_the_router_is_nested() {
    let server = plain(Router::new().nest("/admin", router()));
    let request = "GET /admin/debug/pprof HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = client::send(server, request.as_bytes()).unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (307, Some("pprof/"))
    );
    let request = request.replace("pprof ", "pprof/cmdline ");
    assert_eq!(
        client::send(server, request.as_bytes()).unwrap().status,
        200
    );
}

#[test]
fn an_absolute_target_is_checked_too() {
    let server = plain(router());
    for (authority, status) in [("localhost", 200), ("evil.example", 403)] {
        let request = format!(
            "GET http://{authority}/debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        let answer = client::send(server, request.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{authority}");
    }
}

#[test]
fn without_a_token_only_this_machine_is_answered() {
    let far = SocketAddr::from(([192, 0, 2, 1], 1));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (told, addresses) = mpsc::channel();
    for app in [router().layer(MockConnectInfo(far)), router()] {
        let told = told.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        let server = addresses.recv_timeout(PATIENCE).unwrap();
        let answer = ask(server, "GET", "/cmdline", HERE, "");
        assert_eq!(answer.status, 403);
        assert!(
            answer.text().contains("remote_router(token)"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.header("x-go-pprof"), Some("1"));
    }
}

#[test]
fn a_client_with_the_token_is_let_in_from_anywhere() {
    let far = SocketAddr::from(([192, 0, 2, 1], 1));
    let server = plain(remote_router(TOKEN).unwrap().layer(MockConnectInfo(far)));
    let alone = pprof::Server::new("127.0.0.1:0")
        .allow_remote(TOKEN)
        .serve()
        .unwrap();
    let alone = alone.local_addr().map(|address| (alone, address)).unwrap();
    for (headers, status) in [
        (
            format!("Host: anything\r\nAuthorization: Bearer {TOKEN}\r\n"),
            200,
        ),
        (
            "Host: anything\r\nAuthorization: Bearer correct-horse-battery\r\n".to_owned(),
            401,
        ),
        (HERE.to_owned(), 401),
    ] {
        let ours = ask(server, "GET", "/cmdline", &headers, "");
        let other = ask(alone.1, "GET", "/cmdline", &headers, "");
        assert_eq!(ours.status, status, "{headers}");
        assert_alike(&ours, &other, &HEADERS, &headers);
        assert_eq!(ours.body, other.body);
    }
    assert!(remote_router::<()>("short").is_err());
    assert!(remote_router::<()>("").is_err());
}
