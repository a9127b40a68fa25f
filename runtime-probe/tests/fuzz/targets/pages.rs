//! The pages of a program with tasks: every request ends with an answer in its form, or with a sentence.
//!
//! Each input takes a snapshot and its names, which is slow. The target `parameters` tests the parameters.
#![no_main]

use dump::profile::proto::Profile;
use fuzz::asked::{Answer, Page};
use fuzz::grammar;
use libfuzzer_sys::fuzz_target;
use runtime_probe::pprof::http::{Carrier, Endpoints};
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, mpsc};
use runtime_probe::{pprof, task, time};
use std::future::pending;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static APPLICATION: LazyLock<Runtime> = LazyLock::new(application);

fuzz_target!(|text: &str| {
    LazyLock::force(&APPLICATION);
    // Characters that a request line cannot have are tested by the target `wire`.
    let target = format!("/debug/pprof/{}", text.replace([' ', '#'], "+"));
    let answer = ask(&target);
    match answer.status {
        200 => assert_form(&target, &answer),
        // A client that is gone gets this answer.
        500 => assert_eq!(answer.text(), "the client went away\n"),
        // `ui` redirects to `ui/`.
        307 | 400 | 404 | 501 => {}
        other => panic!("{other} for {target:?}: {}", answer.text()),
    }
});

/// Handlers that wait see a client that is gone, so no request waits.
fn ask(target: &str) -> Answer {
    let host = [("Host".to_owned(), "localhost".to_owned())];
    let exchange = Endpoints::local().open("GET", target, host);
    let mut page = Carried(Page::default());
    exchange
        .answer(Vec::new(), || true, &mut page)
        .expect("nothing breaks off");
    page.0.checked("GET")
}

struct Carried(Page);

impl Carrier for Carried {
    fn begin(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        length: Option<usize>,
    ) -> io::Result<()> {
        self.0.begin(status, headers, length);
        Ok(())
    }

    fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
        self.0.send(piece);
        Ok(())
    }
}

fn assert_form(target: &str, answer: &Answer) {
    if answer.is("application/octet-stream") {
        let profile = Profile::decode(&answer.body).expect("a profile");
        assert!(!profile.sample_type.is_empty());
        return;
    }
    let text = answer.text();
    if text.starts_with("goroutine profile: total ") {
        let counts =
            grammar::read_counts(text).unwrap_or_else(|error| panic!("{error}: {target:?}"));
        assert!(counts.total <= 8, "{target:?}");
    } else if target.starts_with("/debug/pprof/goroutine?")
        && text.contains("goroutine ")
        && !target.contains("format")
    {
        let blocks =
            grammar::read_goroutines(text).unwrap_or_else(|error| panic!("{error}: {target:?}"));
        assert!(blocks.len() <= 8, "{target:?}");
    }
}

/// Tasks that wait in different ways, one of them with a name that is hard for a text format.
fn application() -> Runtime {
    pprof::set_block_profile_rate(1);
    pprof::set_mutex_profile_fraction(1);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("threads can be had");
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel::<()>(1);
        task::spawn(async move { receiver.recv().await });
        task::spawn(async move {
            pending::<()>().await;
            drop(sender);
        });
        task::spawn(time::sleep(Duration::from_secs(3600)));
        for _ in 0..2 {
            task::spawn(async {
                runtime_probe::select! {
                    () = time::sleep(Duration::from_secs(3600)) => {}
                    () = pending() => {}
                }
            });
        }
        let named = task::Builder::new().name("a \"name\"\n(with) [brackets]: 1 @ 0x1");
        named.spawn(pending::<()>()).expect("a runtime is there");
        let mutex = Arc::new(Mutex::new(()));
        for _ in 0..2 {
            let mutex = Arc::clone(&mutex);
            task::spawn(async move {
                let _held = mutex.lock().await;
                task::yield_now().await;
            });
        }
        for _ in 0..8 {
            task::yield_now().await;
        }
    });
    runtime
}
