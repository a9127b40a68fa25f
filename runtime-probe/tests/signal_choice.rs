//! The signal for asking threads: chosen among those without a handler, set by number on request, and given up when
//! another handler replaces ours. There is one for the process.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "handles signals as another library would")]

#[allow(dead_code, reason = "each test needs a part of it")]
mod dump_text;

use dump_text::Dump;
use runtime_probe::pprof;
use runtime_probe::runtime::Builder;
use std::io::ErrorKind;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static CALLED: AtomicUsize = AtomicUsize::new(0);
static OVER: AtomicBool = AtomicBool::new(false);

extern "C" fn theirs(_: i32) {
    CALLED.fetch_add(1, Ordering::Relaxed);
}

fn handle(signal: i32) {
    // SAFETY: a handler that adds to an atomic.
    unsafe { libc::signal(signal, theirs as extern "C" fn(i32) as libc::sighandler_t) };
}

#[inline(never)]
fn busy() {
    while !OVER.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

/// The block of the one task that runs, as soon as it contains this text.
fn running(says: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let dump = Dump::take();
        let mut blocks = dump.0.iter().map(|task| &task.text);
        let running = blocks.find(|text| text.contains(" [running]:\n"));
        if let Some(text) = running.filter(|text| text.contains(says)) {
            return text.clone();
        }
        assert!(Instant::now() < deadline, "{running:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const BUSY: &str = "signal_choice::busy(...)\n";

#[test]
fn what_others_handle_is_theirs() {
    let last = libc::SIGRTMAX();
    handle(last);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    runtime.spawn(async { busy() });
    running(BUSY);

    // Our signal is the one before; another library installs a handler for it.
    handle(last - 1);
    let text = running("no stack: ");
    assert!(
        text.contains("another handler of SIGRTMAX-1 replaced ours"),
        "{text}"
    );
    assert!(!text.contains(BUSY), "{text}");
    let error = pprof::testing::thread_stack(std::process::id()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    for taken in [last, last - 1] {
        let error = pprof::set_stack_signal(taken).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    }
    for wrong in [0, -1, 65, libc::SIGKILL] {
        let error = pprof::set_stack_signal(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    pprof::set_stack_signal(last - 5).unwrap();
    running(BUSY);
    assert_eq!(
        CALLED.load(Ordering::Relaxed),
        0,
        "no other library was signalled"
    );
    OVER.store(true, Ordering::Relaxed);
}

#[test]
fn the_environment_names_it() {
    for (value, says) in [
        (
            "off",
            "threads cannot be asked by a signal: RUNTIME_PROBE_SIGNAL=off is in the environment",
        ),
        (
            "SIGUSR1",
            "RUNTIME_PROBE_SIGNAL is neither a number nor off",
        ),
        ("99", "there is no signal 99 to handle"),
        ("50", "asked by 50"),
    ] {
        let own = std::env::current_exe().unwrap();
        let child = Command::new(own)
            .args([
                "--exact",
                "child_of_the_environment",
                "--ignored",
                "--nocapture",
            ])
            .env("RUNTIME_PROBE_SIGNAL", value)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success() && text.contains(says),
            "{value}: {text}"
        );
    }
}

#[test]
#[ignore = "wants an environment of its own"]
fn child_of_the_environment() {
    let deadline = Instant::now() + Duration::from_secs(20);
    let asked = loop {
        let asked = pprof::testing::thread_stack(std::process::id());
        let kind = asked.as_ref().map_err(|error| error.kind());
        // The main thread may be slow, and in the middle of starting this one.
        if matches!(kind, Ok(_) | Err(ErrorKind::Unsupported)) || Instant::now() > deadline {
            break asked;
        }
    };
    match asked {
        Err(error) => println!("{error}"),
        Ok(_) => {
            let handled = (1..=libc::SIGRTMAX()).filter(|signal| {
                // SAFETY: an action on this stack, filled by the call.
                let action = unsafe {
                    let mut action: libc::sigaction = std::mem::zeroed();
                    libc::sigaction(*signal, std::ptr::null(), &mut action);
                    action
                };
                *signal >= libc::SIGRTMIN() && action.sa_sigaction != libc::SIG_DFL
            });
            handled.for_each(|signal| println!("asked by {signal}"));
        }
    }
}
