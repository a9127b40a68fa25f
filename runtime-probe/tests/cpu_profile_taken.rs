//! Somebody else profiles: his signal stays his.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use runtime_probe::pprof;
use support::client::get;

mod support {
    #[allow(dead_code, reason = "only GET is sent here")]
    pub mod client;
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn theirs(_: libc::c_int) {
    SIGNALS.fetch_add(1, Relaxed);
}

#[test]
#[expect(unsafe_code, reason = "another profiler's handler")]
fn a_handler_of_another_profiler_is_not_replaced() {
    let handler = theirs as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler adds to an atomic number.
    let installed = unsafe { libc::signal(libc::SIGPROF, handler) };
    assert_ne!(installed, libc::SIG_ERR);
    let told = "SIGPROF is somebody else's already";
    let error = pprof::start_cpu_profile(io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(error.to_string().contains(told), "{error}");

    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let answer = get(address, "/debug/pprof/profile?seconds=1");
    assert_eq!(answer.status, 500);
    assert!(
        answer
            .text()
            .starts_with("Could not enable CPU profiling: SIGPROF "),
        "{}",
        answer.text()
    );

    assert_eq!(SIGNALS.load(Relaxed), 0);
    // SAFETY: the handler is there.
    assert_eq!(unsafe { libc::raise(libc::SIGPROF) }, 0);
    assert_eq!(SIGNALS.load(Relaxed), 1);
    // He is done: then it is free.
    // SAFETY: the default action, and nobody sends the signal.
    let removed = unsafe { libc::signal(libc::SIGPROF, libc::SIG_DFL) };
    assert_ne!(removed, libc::SIG_ERR);
    pprof::start_cpu_profile(io::sink()).unwrap();
    pprof::stop_cpu_profile().unwrap();
}
