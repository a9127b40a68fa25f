//! More spawn locations than `/debug/pprof/tasks` keeps apart: the rest is counted in one row.

use runtime_probe::pprof::http::{Carrier, Endpoints};
use runtime_probe::pprof::{self, Instrumented};
use serde_json::Value;
use std::future::{Future, Ready, ready};
use std::io;
use std::task::{Context, Waker};

/// Each call is a location of its own.
#[track_caller]
fn x() -> Instrumented<Ready<()>> {
    pprof::instrument(ready(()))
}

#[rustfmt::skip]
fn three_hundred() -> [Instrumented<Ready<()>>; 300] {
    [
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
        x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(),
    ]
}

#[derive(Default)]
struct Page(Vec<u8>);

impl Carrier for Page {
    fn begin(&mut self, _: u16, _: &[(&'static str, String)], _: Option<usize>) -> io::Result<()> {
        Ok(())
    }
    fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
        self.0.extend(piece);
        Ok(())
    }
}

fn page(path: &str) -> Vec<u8> {
    let mut page = Page::default();
    let host = [("Host".to_owned(), "localhost".to_owned())];
    let exchange = Endpoints::local().open("GET", &format!("/debug/pprof/{path}"), host);
    exchange.answer(Vec::new(), || false, &mut page).unwrap();
    page.0
}

#[test]
fn what_is_not_kept_apart_is_counted() {
    pprof::set_task_histograms(true);
    for _ in 0..2 {
        for mut future in three_hundred() {
            let mut future = std::pin::pin!(&mut future);
            assert!(
                future
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
            );
        }
    }
    let alive = three_hundred();
    let json: Value = serde_json::from_slice(&page("tasks")).unwrap();
    let rows = json["locations"].as_array().unwrap();
    let sum = |name: &str| {
        rows.iter()
            .map(|row| row[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (sum("alive"), sum("finished"), sum("spawned")),
        (300, 600, 900)
    );
    let polls = |row: &Value| row["poll_ns"]["count"].as_u64().unwrap();
    assert_eq!(rows.iter().map(polls).sum::<u64>(), 600);
    let elsewhere: Vec<_> = rows
        .iter()
        .filter(|row| row["kind"] == "elsewhere")
        .collect();
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(rows.len(), 257);
    assert_eq!(
        (&elsewhere[0]["alive"], polls(elsewhere[0])),
        (&44.into(), 88)
    );
    let text = String::from_utf8(page("tasks?debug=1")).unwrap();
    let named = "elsewhere (there are more spawn locations than are kept apart)\nalive 44, spawned 132, finished 88,";
    assert!(text.contains(named), "{text}");
    drop(alive);
}
