//! Data that a program adds: labels, profiles of its own, variables, metrics; and the JSON forms.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::sync::OnceLock;

use client::get;
use runtime_dump_testing::go::Go;
use runtime_probe::pprof;
use runtime_probe::pprof::heap::Allocator;
use runtime_probe::runtime::{Builder, Runtime};

mod custom;
mod heap;
mod json;
mod labels;
#[cfg(feature = "metrics")]
mod page;
mod vars;

#[allow(dead_code, reason = "a part of the functions burns here")]
#[path = "../support/burning.rs"]
mod burning;
#[allow(dead_code, reason = "nothing is sent byte for byte here")]
#[path = "../support/client.rs"]
mod client;

#[global_allocator]
static HEAP: Allocator = Allocator::system();

/// The server of this process.
fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let serving = pprof::serve("127.0.0.1:0").unwrap();
        let address = serving.local_addr().unwrap();
        serving.detach();
        address
    })
}

/// A runtime of two workers with timers.
fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// A page, with status 200.
fn page(path: &str) -> String {
    let answer = get(server(), &format!("/debug/pprof/{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text().to_owned()
}

/// The output of `go tool pprof` for a page.
fn go_pprof(go: &Go, options: &[&str], path: &str) -> String {
    let url = format!("http://{}/debug/pprof/{path}", server());
    let words = ["tool", "pprof"].iter().chain(options).copied();
    let output = go.output(words.chain([url.as_str()]).map(OsStr::new));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{options:?} {path}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}
