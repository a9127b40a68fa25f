//! Tasks that no dump lists: those that dependencies spawn through plain tokio and that only tokio's own count shows.
#![cfg(feature = "full")]

mod support {
    #[allow(dead_code, reason = "nothing is sent byte for byte here")]
    pub mod client;
}

use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::task::LocalSet;
use runtime_probe::{pprof, spawn};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Tasks alive in one test would be counted in the other.
static ALONE: Mutex<()> = Mutex::new(());

/// A runtime of ours without hooks for foreign tasks, with `tokio_unstable` or without.
fn blind() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    let mut plain: tokio::runtime::Builder = builder.into();
    #[cfg(tokio_unstable)]
    plain.on_task_spawn(|_| ());
    plain.build().unwrap().into()
}

fn serve() -> SocketAddr {
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    server.detach();
    address
}

fn page(server: SocketAddr, path: &str) -> String {
    let answer = support::client::get(server, &format!("/debug/pprof/{path}"));
    assert_eq!(answer.status, 200, "{path}");
    answer.text().to_owned()
}

#[test]
fn what_only_tokio_counts_is_said_on_every_page() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = serve();
    let runtime = blind();
    let tasks = runtime.block_on(async {
        spawn(pending::<()>());
        spawn(pending::<()>());
        let tasks: Vec<_> = (0..300).map(|_| tokio::spawn(pending::<()>())).collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        tasks
    });
    let sentence = "300 of 302 tasks are not listed: spawned by dependencies through plain tokio; `runtime-dump patch` shows them";
    for path in [
        "",
        "goroutine?debug=1",
        "goroutine?debug=2",
        "goroutine?debug=2&group=1",
        "goroutine?format=folded",
        "goroutine?format=folded&match=nothing_has_this_name",
        "tasks?debug=1",
        "tasks?debug=1&seconds=1",
    ] {
        let page = page(server, path);
        assert_eq!(page.matches(sentence).count(), 1, "{path}: {page}");
    }
    let json = page(server, "tasks");
    assert!(json.contains("\"tasks_not_listed\": 300,"), "{json}");
    for task in &tasks[1..] {
        task.abort();
    }
    std::thread::sleep(Duration::from_millis(200));
    let page = page(server, "goroutine?debug=2");
    assert!(page.contains("# 1 of 3 tasks is not listed: "), "{page}");
}

/// tokio counts them nowhere, so that only the `LocalSet` is known.
#[test]
fn what_a_local_set_may_hide_is_said_on_every_page() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = serve();
    let sentence = "tasks that dependencies spawn on a LocalSet through plain tokio are in no dump";
    let paths = [
        "",
        "goroutine?debug=1",
        "goroutine?debug=2",
        "goroutine?debug=2&group=1",
        "goroutine?format=json",
        "goroutine?format=folded",
        "tasks?debug=1",
        "tasks?debug=1&seconds=1",
        #[cfg(feature = "ui")]
        "ui/",
        #[cfg(feature = "ui")]
        "ui/tasks",
    ];
    let count = |path| page(server, path).matches(sentence).count();
    let local = LocalSet::new();
    assert_eq!(paths.map(count), paths.map(|_| 1));
    drop(local);
    assert_eq!(paths.map(count), paths.map(|_| 0));
}

#[test]
fn what_is_listed_is_not_said_to_be_missing_whatever_comes_and_goes() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = serve();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Tasks of a `LocalSet`, closures and roots are in no count of tokio's.
        scope.spawn(|| {
            let local = LocalSet::new();
            for _ in 0..100 {
                local.spawn_local(pending::<()>());
            }
            local.block_on(&runtime, async {
                while !over.load(Relaxed) {
                    for _ in 0..50 {
                        spawn(async { tokio::task::yield_now().await });
                    }
                    runtime_probe::task::spawn_blocking(|| ()).await.unwrap();
                    spawn(async { vec![0u8; 1 << 20] }).await.unwrap();
                    // For plain tokio: the handle is ready before tokio's hook has reported the end.
                    #[cfg(tokio_unstable)]
                    for _ in 0..20 {
                        tokio::spawn(async {}).await.unwrap();
                    }
                }
            });
        });
        for _ in 0..150 {
            for path in ["goroutine?debug=1", "tasks?debug=1"] {
                let page = page(server, path);
                if page.contains("not listed") {
                    over.store(true, Relaxed);
                    panic!("{path}: {page}");
                }
            }
        }
        over.store(true, Relaxed);
    });
    let local = Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default())
        .unwrap();
    for _ in 0..10 {
        local.spawn_local(pending::<()>());
    }
    local.block_on(tokio::task::yield_now());
    let page = page(server, "goroutine?debug=1");
    assert!(!page.contains("not listed"), "{page}");
}
