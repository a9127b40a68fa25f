//! Labels, in every form that has them.

use std::future::ready;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::{Either, join, select};
use runtime_probe as tokio;
use runtime_probe::pprof;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::burning::{alone, burn_one, burn_seven, burn_thread, burn_two};
use crate::{go_pprof, page};
use runtime_dump_testing::go::Go;

const HOUR: Duration = Duration::from_secs(3600);

/// The header of the block with this function, after the number.
fn header(dump: &str, function: &str) -> String {
    let mut blocks = dump.split("\n\n").filter(|block| {
        let frame = format!("::{function}(...)\n");
        block.contains(&frame)
    });
    let (block, another) = (blocks.next(), blocks.next());
    assert!(another.is_none(), "two blocks have {function} in\n{dump}");
    let block = block.unwrap_or_else(|| panic!("no {function} in\n{dump}"));
    let header = block.lines().find(|line| line.starts_with("goroutine "));
    header.unwrap().splitn(3, ' ').nth(2).unwrap().to_owned()
}

async fn settled() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn dump() -> String {
    page("goroutine?debug=2")
}

async fn waits_labeled() {
    tokio::time::sleep(HOUR).await;
}

async fn child_waits() {
    tokio::time::sleep(HOUR).await;
}

async fn grandchild_waits() {
    tokio::time::sleep(HOUR).await;
}

async fn bystander_waits() {
    tokio::time::sleep(HOUR).await;
}

async fn waits_after() {
    tokio::time::sleep(HOUR).await;
}

#[test]
fn a_task_has_the_labels_of_its_spawner_and_its_own() {
    let _alone = alone();
    crate::runtime().block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(pprof::labels(["route", "/order", "tenant", "a b"], async {
            let child = tokio::spawn(async {
                let _grandchild = tokio::spawn(grandchild_waits());
                pprof::labels(["stage", "pay", "tenant", "c"], child_waits()).await;
            });
            waits_labeled().await;
            drop(child);
        }));
        tasks.spawn(bystander_waits());
        tasks.spawn(async {
            pprof::labels(["route", "/before"], tokio::task::yield_now()).await;
            waits_after().await;
        });
        settled().await;
        let dump = dump();
        let of = |function| header(&dump, function);
        assert!(
            of("waits_labeled").ends_with("] {route: /order, tenant: \"a b\"}:"),
            "{dump}"
        );
        assert!(
            of("grandchild_waits").ends_with("] {route: /order, tenant: \"a b\"}:"),
            "{dump}"
        );
        assert!(
            of("child_waits").ends_with("] {route: /order, stage: pay, tenant: c}:"),
            "{dump}"
        );
        assert!(of("bystander_waits").ends_with("]:"), "{dump}");
        assert!(of("waits_after").ends_with("]:"), "{dump}");
        // The stack has no frame of the probe.
        assert!(!dump.contains("Labeled"), "{dump}");
        // `plain=1` keeps the labels, as they are a part of Go's format.
        let plain = page("goroutine?debug=2&plain=1");
        assert!(header(&plain, "waits_labeled").ends_with("{route: /order, tenant: \"a b\"}:"));
    });
}

#[test]
fn a_future_that_loses_a_race_leaves_no_label() {
    let _alone = alone();
    async fn waits_on() {
        tokio::time::sleep(HOUR).await;
    }
    crate::runtime().block_on(async {
        let _task = tokio::spawn(async {
            let slow = Box::pin(pprof::labels(["route", "/slow"], tokio::time::sleep(HOUR)));
            let quick = Box::pin(tokio::task::yield_now());
            match select(slow, quick).await {
                Either::Right(_) => {}
                Either::Left(_) => unreachable!("it waits for ever"),
            }
            waits_on().await;
        });
        settled().await;
        assert!(header(&dump(), "waits_on").ends_with("]:"), "{}", dump());
    });
}

#[test]
fn a_child_on_the_blocking_pool_and_a_scope_have_labels() {
    let _alone = alone();
    static STOP: AtomicBool = AtomicBool::new(false);
    fn blocks() {
        while !STOP.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    async fn task_of_the_scope() {
        tokio::time::sleep(HOUR).await;
    }
    let runtime = crate::runtime();
    runtime.block_on(async {
        let closure = {
            let _labels = pprof::label_scope(["job", "index"]);
            let _task = tokio::spawn(task_of_the_scope());
            tokio::task::spawn_blocking(blocks)
        };
        settled().await;
        let dump = dump();
        STOP.store(true, Relaxed);
        closure.await.unwrap();
        assert!(
            header(&dump, "blocks").ends_with("] {job: index}:"),
            "{dump}"
        );
        assert!(
            header(&dump, "task_of_the_scope").ends_with("] {job: index}:"),
            "{dump}"
        );
    });
}

#[test]
fn goroutines_are_counted_by_label() {
    let _alone = alone();
    async fn counted_wait() {
        tokio::time::sleep(HOUR).await;
    }
    crate::runtime().block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for route in ["/a", "/a", "/b"] {
            tasks.spawn(pprof::labels(["route", route], counted_wait()));
        }
        tasks.spawn(counted_wait());
        settled().await;
        let text = page("goroutine?debug=1&match=counted_wait");
        assert!(text.contains("\n2 @ 0x"), "{text}");
        assert!(
            text.contains("\n# labels: {\"route\":\"/a\"}\n#\t0x"),
            "{text}"
        );
        let samples = crate::client::get(
            crate::server(),
            "/debug/pprof/goroutine?debug=3&match=counted_wait",
        );
        let samples = runtime_dump::profile::proto::Profile::decode(&samples.body).unwrap();
        assert_eq!(samples.sample.len(), 4);
        let routes = samples.sample.iter().flat_map(|sample| &sample.label);
        let routes = routes.filter(|label| samples.string(label.key) == "route");
        assert_eq!(routes.count(), 3);
        let Some(go) = Go::find("goroutine_labels") else {
            return;
        };
        let path = "goroutine?match=counted_wait";
        let tags = go_pprof(&go, &["-tags"], path);
        assert!(tags.contains("2 (50.00%): /a"), "{tags}");
        assert!(tags.contains("1 (25.00%): /b"), "{tags}");
        let focused = go_pprof(&go, &["-top", "-tagfocus=route=/a"], path);
        assert!(focused.contains("2, 50.00% of 4 total"), "{focused}");
        let rooted = go_pprof(&go, &["-traces", "-tagroot=route"], path);
        assert!(
            rooted.contains(" /b\n") && rooted.contains(" /a\n"),
            "{rooted}"
        );
        let leaves = go_pprof(&go, &["-top", "-tagleaf=route"], path);
        let has = |line: &str| line.ends_with(" /a") && line.trim_start().starts_with("2 ");
        assert!(leaves.lines().any(has), "{leaves}");
    });
}

#[test]
fn waits_and_contentions_are_counted_by_label() {
    let _alone = alone();
    pprof::set_block_profile_rate(1);
    pprof::set_mutex_profile_fraction(1);
    async fn labeled_receive(mut receiver: mpsc::Receiver<()>) {
        receiver.recv().await;
    }
    #[inline(never)]
    fn release<T>(guard: T) {
        drop(guard);
    }
    crate::runtime().block_on(async {
        for route in ["/quick", "/slow"] {
            let (sender, receiver) = mpsc::channel(1);
            let task = tokio::spawn(pprof::labels(["route", route], labeled_receive(receiver)));
            let length = if route == "/slow" { 200 } else { 20 };
            tokio::time::sleep(Duration::from_millis(length)).await;
            sender.send(()).await.unwrap();
            task.await.unwrap();
        }
        let lock = Arc::new(Mutex::new(()));
        let guard = lock.clone().lock_owned().await;
        let waiter = tokio::spawn(async move { drop(lock.lock().await) });
        settled().await;
        pprof::labels(["route", "/holder"], async move { release(guard) }).await;
        waiter.await.unwrap();
    });
    pprof::set_block_profile_rate(0);
    pprof::set_mutex_profile_fraction(0);
    let text = page("block?debug=1");
    let label = "\n# labels: {\"reason\":\"chan receive\", \"route\":\"/slow\"}\n";
    assert!(text.contains(label), "{text}");
    let text = page("mutex?debug=1");
    assert!(
        text.contains("\n# labels: {\"route\":\"/holder\"}\n"),
        "{text}"
    );
    let Some(go) = Go::find("contention_labels") else {
        return;
    };
    // A wait has its length on any machine; 180 ms are between the two lengths.
    let tags = go_pprof(&go, &["-tags", "-unit=ms"], "block");
    assert!(
        tags.contains(": /slow") && tags.contains(": /quick"),
        "{tags}"
    );
    let focused = go_pprof(&go, &["-traces", "-tagfocus=route=/slow"], "block");
    assert!(focused.contains("labeled_receive"), "{focused}");
    let focused = go_pprof(&go, &["-traces", "-tagfocus=route=/holder"], "mutex");
    assert!(focused.contains("release"), "{focused}");
}

#[test]
fn cpu_time_is_counted_by_label() {
    let _alone = alone();
    let runtime = crate::runtime();
    let mut bytes = Vec::new();
    let (started, start) = oneshot::channel();
    let profiled = std::thread::spawn(move || {
        let answer = crate::client::get(crate::server(), "/debug/pprof/profile?seconds=2");
        started.send(()).unwrap();
        answer.body
    });
    runtime.block_on(async {
        settled().await;
        let burns = |route: &'static str, burn: fn(Duration)| {
            pprof::labels(["route", route], async move {
                for _ in 0..10 {
                    burn(Duration::from_millis(20));
                    tokio::task::yield_now().await;
                }
            })
        };
        // One future with a label beside one without, in the same polls of one task.
        let unlabeled = async {
            for _ in 0..10 {
                burn_two(Duration::from_millis(20));
                tokio::task::yield_now().await;
            }
        };
        let beside = join(burns("/beside", burn_seven), unlabeled);
        let inherits = pprof::labels(["route", "/parent"], async {
            tokio::spawn(async { burn_one(Duration::from_millis(200)) }).await
        });
        let thread = std::thread::spawn(|| {
            let _labels = pprof::label_scope(["route", "/thread"]);
            burn_thread(Duration::from_millis(200));
        });
        let (_, inherited) = join(beside, inherits).await;
        inherited.unwrap();
        thread.join().unwrap();
        start.await.unwrap();
    });
    bytes.extend(profiled.join().unwrap());
    let profile = runtime_dump::profile::proto::Profile::decode(&bytes).unwrap();
    let routes = |function: &str| -> Vec<(Option<String>, i64)> {
        let mut routes: Vec<(Option<String>, i64)> = Vec::new();
        for sample in &profile.sample {
            let in_it = sample.location_id.iter().any(|id| {
                let lines = &profile.location[*id as usize - 1].line;
                lines.iter().any(|line| {
                    let function_of = &profile.function[line.function_id as usize - 1];
                    profile.string(function_of.name).ends_with(function)
                })
            });
            if !in_it {
                continue;
            }
            let route = sample
                .label
                .iter()
                .find(|label| profile.string(label.key) == "route");
            let route = route.map(|label| profile.string(label.str).to_owned());
            match routes.iter_mut().find(|(known, _)| *known == route) {
                Some((_, samples)) => *samples += sample.value[0],
                None => routes.push((route, sample.value[0])),
            }
        }
        routes
    };
    // 20 samples each at 100 Hz; a loaded machine may lose some. The label of each sample is exact.
    for (function, route) in [
        ("::burn_seven", Some("/beside")),
        ("::burn_two", None),
        ("::burn_one", Some("/parent")),
        ("::burn_thread", Some("/thread")),
    ] {
        let found = routes(function);
        assert!(
            matches!(&found[..], [(label, samples)] if label.as_deref() == route && *samples >= 5),
            "{function}: {found:?}"
        );
    }
    let Some(go) = Go::find("cpu_labels") else {
        return;
    };
    let file = go.file("profile", &bytes);
    let focused = go.pprof_text(&["-top", "-tagfocus=route=/parent"], &file);
    assert!(
        focused.contains("burn_one") && !focused.contains("burn_seven"),
        "{focused}"
    );
}

#[test]
fn without_a_label_nothing_changes() {
    // A label with an empty set is no label.
    let runtime = crate::runtime();
    assert_eq!(runtime.block_on(pprof::labels([], ready(7))), 7);
}

#[test]
fn more_sets_than_are_kept_are_one() {
    // In a process of its own, as sets are never forgotten.
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "labels::a_process_of_many_sets",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
}

#[test]
#[ignore = "run by more_sets_than_are_kept_are_one"]
fn a_process_of_many_sets() {
    async fn one_of_many() {
        tokio::time::sleep(HOUR).await;
    }
    crate::runtime().block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for request in 0..5_000 {
            tasks.spawn(pprof::labels(
                ["request", &request.to_string()],
                one_of_many(),
            ));
        }
        // Each task has been polled.
        let mut text = String::new();
        while !text.starts_with("goroutine profile: total 5000\n") {
            settled().await;
            text = page("goroutine?debug=1&match=one_of_many");
        }
        let beyond = "\n# labels: {\"labels\":\"more than 4095 sets, or 16 in one\"}\n";
        assert!(text.contains(beyond), "{}", &text[..2_000]);
        // The stacks that are kept, and the rest as one.
        assert!(text.contains("\n905 @ 0x"), "{}", &text[..2_000]);
        assert_eq!(text.matches("\n# labels: {").count(), 4096);
    });
}
