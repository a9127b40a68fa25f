//! Another profiler runs, before ours or meanwhile: it keeps the signal, and our profile says how much it lacks.
//!
//! Each case is a process of its own, as a signal has one handler.
#![cfg(all(feature = "full", target_os = "linux"))]
#![expect(unsafe_code, reason = "another profiler's handler and timers")]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use runtime_probe::pprof;
use support::application::{Application, PATIENCE};
use support::burning::*;
use support::client::get;

mod support {
    pub mod application;
    #[allow(dead_code, reason = "a part of the functions burns here")]
    pub mod burning;
    #[allow(dead_code, reason = "only GET is sent here")]
    pub mod client;
}

const CASE: &str = "CPU_PROFILE_TEST";

#[test]
#[ignore = "wants a process of its own"]
fn an_application() {
    match &*std::env::var(CASE).unwrap() {
        "first" => they_are_first(),
        "default" => they_leave_the_default_action(),
        "restore" => they_put_ours_back(),
        other => panic!("{other}"),
    }
    eprintln!("all of it holds");
}

fn holds(case: &str) {
    let mut application = Application::spawn(Application::command().env(CASE, case));
    application.until("all of it holds");
    assert!(application.child.wait().unwrap().success());
}

#[test]
fn a_profiler_that_was_first_goes_on_and_we_say_so() {
    holds("first");
}

#[test]
fn a_profiler_that_takes_the_signal_gets_none_of_ours_and_may_leave_nothing_behind() {
    holds("default");
}

#[test]
fn a_profiler_that_puts_our_handler_back_leaves_us_the_rest_and_counts_for_nothing() {
    holds("restore");
}

/// Signals of the other profiler's timer, and other signals that reach its handler.
static THEIRS: AtomicU64 = AtomicU64::new(0);
static OTHERS: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_signal(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes it.
    let is_theirs = unsafe { (*info).si_code } == libc::SI_KERNEL;
    let count = if is_theirs { &THEIRS } else { &OTHERS };
    count.fetch_add(1, Relaxed);
}

fn action(handler: libc::sighandler_t) -> libc::sigaction {
    // SAFETY: all zeros is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    action
}

/// Returns the action that was in force.
fn set(action: &libc::sigaction) -> libc::sigaction {
    let mut before = MaybeUninit::uninit();
    // SAFETY: a handler that adds to atomic numbers, or one that was in force; the old action is written by the call.
    unsafe {
        assert_eq!(
            libc::sigaction(libc::SIGPROF, action, before.as_mut_ptr()),
            0
        );
        before.assume_init()
    }
}

/// The period of the other profiler's timer, and of ours.
const PERIOD: Duration = Duration::from_millis(10);

/// One timer for the process, as most profilers have; a period of 0 stops it.
fn set_timer(period: Duration) {
    let period = libc::timeval {
        tv_sec: 0,
        tv_usec: period.as_micros() as libc::suseconds_t,
    };
    let timer = libc::itimerval {
        it_interval: period,
        it_value: period,
    };
    // SAFETY: a valid structure.
    let set = unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, null_mut()) };
    assert_eq!(set, 0);
}

/// The other profiler starts. Returns the action that it replaced.
fn they_begin() -> libc::sigaction {
    let handler = on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    let before = set(&action(handler as libc::sighandler_t));
    set_timer(PERIOD);
    before
}

/// Burns CPU until the other profiler has seen it. Returns how many other signals its handler got.
fn burn_for_them() -> u64 {
    let (theirs, others) = (THEIRS.load(Relaxed), OTHERS.load(Relaxed));
    let deadline = Instant::now() + PATIENCE / 2;
    let mut burnt = Duration::ZERO;
    // Signals of a process are not queued, and may wait for a sleeping thread: on a busy machine many arrive as one.
    while burnt < 30 * PERIOD || THEIRS.load(Relaxed) < theirs + 5 {
        assert!(Instant::now() < deadline, "their timer does not go on");
        burn_named(10 * PERIOD);
        burnt += 10 * PERIOD;
    }
    OTHERS.load(Relaxed) - others
}

/// Our signals arrive until the probe notices that the handler is not ours.
fn until_they_are_left_alone() {
    let deadline = Instant::now() + PATIENCE / 2;
    while burn_for_them() > 0 {
        assert!(Instant::now() < deadline, "our timers go on");
    }
}

fn they_are_first() {
    assert_eq!(they_begin().sa_sigaction, libc::SIG_DFL);
    let told = "SIGPROF is taken already";
    let error = pprof::start_cpu_profile(io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(error.to_string().contains(told), "{error}");
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let answer = get(
        server.local_addr().unwrap(),
        "/debug/pprof/profile?seconds=1",
    );
    assert_eq!(answer.status, 500);
    let text = answer.text();
    assert!(
        text.starts_with("Could not enable CPU profiling: SIGPROF "),
        "{text}"
    );
    assert_eq!(burn_for_them(), 0);

    // The other profiler has stopped, so the signal is free.
    set_timer(Duration::ZERO);
    set(&action(libc::SIG_DFL));
    let profile = profiled(|| burn_after(10 * PERIOD));
    assert!(samples_in(&profile, "::burn_after") > 0);
}

const REPLACED: &str = "another profiler had its own handler for SIGPROF in the place of ours for ";

fn they_leave_the_default_action() {
    let profile = profiled(|| {
        burn_before(10 * PERIOD);
        they_begin();
        until_they_are_left_alone();
        set_timer(Duration::ZERO);
        set(&action(libc::SIG_DFL));
        // A further signal would end the process.
        burn_after(20 * PERIOD);
    });
    let samples = |function| samples_in(&profile, function);
    assert!(samples("::burn_before") > 0);
    assert_eq!((samples("::burn_named"), samples("::burn_after")), (0, 0));
    assert!(
        remarks(&profile).contains(REPLACED),
        "{}",
        remarks(&profile)
    );

    let next = profiled(|| burn_after(10 * PERIOD));
    assert!(samples_in(&next, "::burn_after") > 0);
    assert!(!remarks(&next).contains(REPLACED), "{}", remarks(&next));
}

fn they_put_ours_back() {
    let profile = profiled(|| {
        burn_before(10 * PERIOD);
        let ours = they_begin();
        until_they_are_left_alone();
        // The other timers go on, now with our handler: the timer from before, and one by the clock of the process.
        set(&ours);
        set_timer(PERIOD / 10);
        start_posix_timer(PERIOD / 10);
        burn_after(60 * PERIOD);
    });
    let samples = |function| samples_in(&profile, function);
    assert!(samples("::burn_before") > 0);
    assert_eq!(samples("::burn_named"), 0);
    // From the moment when the probe notices, and one period of ours for each.
    let after = samples("::burn_after");
    assert!((10..=62).contains(&after), "{after}");
    assert!(
        remarks(&profile).contains(REPLACED),
        "{}",
        remarks(&profile)
    );
}

/// It runs for the rest of the process.
fn start_posix_timer(period: Duration) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: period.as_nanos() as libc::c_long,
    };
    let spec = libc::itimerspec {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: a plain C structure, for which zeros are a value.
    let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = libc::SIGPROF;
    let mut timer = MaybeUninit::uninit();
    // SAFETY: valid structures; the timer is read when it is made.
    unsafe {
        let clock = libc::CLOCK_PROCESS_CPUTIME_ID;
        assert_eq!(libc::timer_create(clock, &mut event, timer.as_mut_ptr()), 0);
        assert_eq!(
            libc::timer_settime(timer.assume_init(), 0, &spec, null_mut()),
            0
        );
    }
}
