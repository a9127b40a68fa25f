//! Memory by label, by spawn location, and in all.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use runtime_probe as tokio;
use runtime_probe::pprof;
use serde_json::Value;

use crate::burning::alone;
use crate::{go_pprof, page};
use runtime_dump_testing::go::Go;

/// Samples every allocation while it lives.
struct All(i64);

impl All {
    fn begin() -> All {
        crate::server();
        All(pprof::set_mem_profile_rate(1))
    }
}

impl Drop for All {
    fn drop(&mut self) {
        pprof::set_mem_profile_rate(self.0);
    }
}

#[inline(never)]
fn keeps_some(bytes: usize) -> Vec<u8> {
    black_box(vec![7; bytes])
}

#[test]
fn allocations_are_counted_by_label() {
    let _alone = alone();
    let _all = All::begin();
    let kept = crate::runtime().block_on(async {
        let order = pprof::labels(["route", "/order"], async {
            let own = keeps_some(70_001);
            // A task that it spawns has its labels.
            let inherited = tokio::spawn(async { keeps_some(20_001) });
            [own, inherited.await.unwrap()]
        });
        let other = pprof::labels(["route", "/other"], async { keeps_some(50_001) });
        (order.await, other.await, keeps_some(40_001))
    });
    let _labels = pprof::label_scope(["job", "index"]);
    let scoped = keeps_some(30_001);
    let text = page("heap?debug=1");
    for labels in [r#"{"route":"/order", "spawned_at":"#, r#"{"job":"index"}"#] {
        assert!(text.contains(&format!("\n# labels: {labels}")), "{text}");
    }
    if let Some(go) = Go::find("heap_labels") {
        for (focus, bytes) in [
            ("route=/order", "90002B"),
            ("route=/other", "50001B"),
            ("job=index", "30001B"),
        ] {
            let focus = format!("-tagfocus={focus}");
            let options = ["-top", "-unit=B", "-focus=keeps_some", &focus];
            let top = go_pprof(&go, &options, "heap");
            let mut rows = top.lines().skip_while(|line| !line.contains("flat%"));
            let found = rows.find(|line| line.ends_with("keeps_some"));
            assert!(
                found.is_some_and(|line| line.trim_start().starts_with(bytes)),
                "{focus}: {top}"
            );
        }
    }
    drop((kept, scoped));
}

/// The row of a function's tasks.
fn row(function: &str) -> Value {
    let sites: Value = serde_json::from_str(&page("tasks")).unwrap();
    assert_eq!(sites["heap"], true);
    let rows = sites["locations"].as_array().unwrap();
    let is_its = |row: &&Value| {
        row["future"]
            .as_str()
            .is_some_and(|name| name.contains(function))
    };
    let found: Vec<&Value> = rows.iter().filter(is_its).collect();
    assert_eq!(found.len(), 1, "{rows:?}");
    found[0].clone()
}

#[inline(always)]
fn spawns_idle(runtime: &crate::Runtime) {
    async fn idle() {
        std::future::pending::<()>().await;
    }
    runtime.spawn(idle());
}

/// Checks the UI's rows of the tasks `leaks` and `frees`.
fn ui_has_them() {
    let text = page("ui/tasks?group=site&sort=heap");
    let rows: Vec<&str> = text.split("<details class=\"row\"").skip(1).collect();
    let of = |function: &str| {
        let name = format!("spawn_locations_have_the_bytes_of_their_tasks::{function}</code>");
        let found = rows.iter().position(|row| row.contains(&name));
        found.unwrap_or_else(|| panic!("{name} in {text}"))
    };
    let (leaks, frees) = (of("leaks"), of("frees"));
    assert!(leaks < frees, "{text}");
    let cell = |at: usize| {
        let cell = rows[at].split("<span class=\"number bytes\">").nth(1);
        cell.unwrap().split("</small>").next().unwrap()
    };
    let shared = rows.iter().filter(|row| row.contains("spawns_idle::idle"));
    let told = shared.map(|row| row.contains("in use by all of this line, "));
    assert_eq!(told.collect::<Vec<_>>(), [true, true], "{text}");
    assert_eq!(text.matches("by all of this line").count(), 2, "{text}");
    // The column is that of the page `tasks`.
    let is = |cell: &str, in_use: &str, allocated: &str| {
        let begins = format!("<span>{in_use}");
        assert!(cell.starts_with(&begins), "{in_use}: {cell}");
        let (_, told) = cell.split_once("in use, ").unwrap();
        assert!(told.starts_with(allocated), "{allocated}: {cell}");
    };
    is(cell(leaks), "3.", "4.");
    is(cell(frees), "", "1.");
    let order = "sort=heap\" aria-current=\"true\">Heap in use</a>";
    assert!(text.contains(order), "{text}");
    // The other lists have no such column, and the links to them do not ask for it.
    for (group, label) in [("stack", "Equal stacks"), ("task", "One by one")] {
        let link = text.split("<a href=\"").find(|link| link.contains(label));
        assert!(!link.unwrap().contains("sort=heap"), "{group}: {text}");
        let other = page(&format!("ui/tasks?group={group}"));
        assert!(!other.contains("number bytes"), "{other}");
        assert!(!other.contains("sort=heap"), "{other}");
    }
}

#[test]
fn spawn_locations_have_the_bytes_of_their_tasks() {
    static OVER: AtomicBool = AtomicBool::new(false);
    async fn leaks() {
        drop(keeps_some(1 << 20));
        let kept = keeps_some(3 << 20);
        while !OVER.load(Relaxed) {
            tokio::task::yield_now().await;
        }
        drop(kept);
    }
    async fn frees() {
        drop(keeps_some(1 << 20));
        std::future::pending::<()>().await;
    }
    let _alone = alone();
    let _all = All::begin();
    let runtime = crate::runtime();
    runtime.spawn(frees());
    let leaking = runtime.spawn(leaks());
    runtime.block_on(async {
        let allocated =
            |function, bytes: u64| row(function)["heap_allocated_bytes"].as_u64().unwrap() >= bytes;
        let began = std::time::Instant::now();
        while !allocated("frees", 1 << 20) || !allocated("leaks", 4 << 20) {
            if began.elapsed().as_secs() > 60 {
                panic!("a sample has no stack: {}", page("heap?debug=1"));
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    // A task's own memory counts for its spawner; the growth of a worker's queue in its poll counts for the task.
    let is = |row: &Value, name: &str, bytes: u64| {
        let told = row[name].as_u64().unwrap();
        assert!(
            (bytes..bytes + (256 << 10)).contains(&told),
            "{name} {bytes}: {row}"
        );
    };
    let leaks = row("leaks");
    is(&leaks, "heap_in_use_bytes", 3 << 20);
    is(&leaks, "heap_allocated_bytes", 4 << 20);
    let frees = row("frees");
    is(&frees, "heap_in_use_bytes", 0);
    is(&frees, "heap_allocated_bytes", 1 << 20);
    let text = page("tasks?debug=1&sort=heap");
    let blocks: Vec<&str> = text.split("\n\n").collect();
    let of = |function| {
        let found = blocks.iter().position(|block| block.contains(function));
        found.unwrap_or_else(|| panic!("{text}"))
    };
    assert!(of("::leaks") < of("::frees"), "{text}");
    assert!(blocks[of("::leaks")].contains("\nheap: 3,"), "{text}");
    // One line that spawns at two places of the code.
    spawns_idle(&runtime);
    spawns_idle(&runtime);
    ui_has_them();
    OVER.store(true, Relaxed);
    runtime.block_on(leaking).unwrap();
    is(&row("leaks"), "heap_in_use_bytes", 0);
}

#[cfg(feature = "metrics")]
#[test]
fn the_heap_has_families() {
    let _alone = alone();
    let _all = All::begin();
    let number = |name: &str| -> f64 {
        let answer = crate::client::get(crate::server(), "/metrics");
        let line = answer
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {}", answer.text()))
            .parse()
            .unwrap()
    };
    let families = [
        "runtime_probe_heap_in_use_bytes ",
        "runtime_probe_heap_allocated_bytes_total ",
    ];
    let before = families.map(number);
    // The system gives this memory, and no page of it is touched.
    let kept = black_box(vec![0u8; 256 << 20]);
    let with = families.map(number);
    drop(kept);
    let after = families.map(number);
    // Other tests have ended, and the server's own memory is small in comparison.
    let is_near = |change: f64, mib: f64| (change / (1 << 20) as f64 - mib).abs() < 24.0;
    assert!(is_near(with[0] - before[0], 256.0), "{before:?} {with:?}");
    assert!(is_near(after[0] - before[0], 0.0), "{before:?} {after:?}");
    assert!(is_near(after[1] - before[1], 256.0), "{before:?} {after:?}");
}
