//! `SIGQUIT`: the dump on standard error, of a process whose workers are all stuck; and whether the process goes on.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitStatus;
use std::sync::mpsc;

use runtime_probe::pprof::{self, AfterDump};
use runtime_probe::runtime::Builder;
use support::application::Application;

mod support {
    pub mod application;
}

/// The variable that tells the other process what to do.
const HOW: &str = "SIGQUIT_TEST";

#[test]
#[ignore = "wants a process of its own"]
fn an_application() {
    if std::env::var(HOW).as_deref() == Ok("theirs") {
        take_it();
        let error = pprof::dump_on_sigquit(AfterDump::GoOn).unwrap_err();
        eprintln!("{:?}: {error}", error.kind());
    }
    if std::env::var(HOW).as_deref() == Ok("twice") {
        pprof::dump_on_sigquit(AfterDump::GoOn).unwrap();
        let error = pprof::dump_on_sigquit(AfterDump::Exit).unwrap_err();
        eprintln!("{:?}: {error}", error.kind());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    runtime.spawn(async { sticks() });
    runtime.block_on(std::future::pending::<()>());
}

/// Blocks every worker.
#[inline(never)]
fn sticks() {
    eprintln!("ready");
    let (_sender, never) = mpsc::channel::<()>();
    let _ = never.recv();
}

#[expect(unsafe_code, reason = "another library's handler")]
fn take_it() {
    extern "C" fn theirs(_: libc::c_int) {
        let text = b"theirs\n";
        // SAFETY: write is async-signal-safe, and the bytes are static.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    }
    let handler = theirs as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler writes, and no more.
    unsafe { libc::signal(libc::SIGQUIT, handler) };
}

impl Application {
    fn start(variable: &str, value: &str) -> Application {
        Application::start_with(libc::SIG_DFL, variable, value)
    }

    /// With the default action of the signal: this test may itself run in the background of a shell, which ignores
    /// it.
    #[expect(unsafe_code, reason = "sets what the child inherits")]
    fn start_with(action: libc::sighandler_t, variable: &str, value: &str) -> Application {
        let mut command = Application::command();
        // SAFETY: signal is async-signal-safe, as what runs between fork and exec must be.
        unsafe {
            command.pre_exec(move || {
                libc::signal(libc::SIGQUIT, action);
                Ok(())
            })
        };
        Application::spawn(command.env(variable, value))
    }

    #[expect(unsafe_code, reason = "sends a signal")]
    fn quit(&self) {
        // SAFETY: a child of this process, which has not been waited for.
        let sent = unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGQUIT) };
        assert_eq!(sent, 0);
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

#[test]
fn a_stuck_process_dumps_and_goes_on() {
    let application = Application::start("RUNTIME_PROBE_SIGQUIT", "dump");
    application.until("ready");
    for _ in 0..2 {
        application.quit();
        application.until("SIGQUIT: quit");
        let dump = application.until("created by sigquit::an_application");
        assert!(dump.contains("[running"), "{dump}");
        assert!(dump.contains("sigquit::sticks(...)"), "{dump}");
        assert!(
            dump.contains("created by sigquit::an_application"),
            "{dump}"
        );
    }
}

#[test]
fn a_shell_that_starts_it_in_the_background_is_no_obstacle() {
    let application = Application::start_with(libc::SIG_IGN, "RUNTIME_PROBE_SIGQUIT", "dump");
    application.until("ready");
    application.quit();
    application.until("sigquit::sticks");
}

#[test]
fn it_ends_as_a_go_program_does_if_told_so() {
    let mut application = Application::start("RUNTIME_PROBE_SIGQUIT", "exit");
    application.until("ready");
    application.quit();
    application.until("sigquit::sticks");
    assert_eq!(application.end().code(), Some(2));
}

#[test]
fn without_the_wish_it_is_what_it_was() {
    let mut application = Application::start(HOW, "nothing");
    application.until("ready");
    application.quit();
    assert_eq!(application.end().signal(), Some(libc::SIGQUIT));
}

#[test]
fn another_handler_stays() {
    let application = Application::start(HOW, "theirs");
    application.until("AlreadyExists: SIGQUIT has a handler already");
    application.until("ready");
    application.quit();
    application.until("theirs");
}

#[test]
fn the_first_wish_counts() {
    let application = Application::start(HOW, "twice");
    application.until("AlreadyExists: SIGQUIT has a handler already");
    application.until("ready");
    for _ in 0..2 {
        application.quit();
        application.until("sigquit::sticks");
    }
}

#[test]
fn a_wish_that_is_none_is_told() {
    let application = Application::start("RUNTIME_PROBE_SIGQUIT", "core");
    application.until("runtime-probe: RUNTIME_PROBE_SIGQUIT=core: neither dump nor exit");
    application.until("ready");
}
