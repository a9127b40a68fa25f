//! System calls that a sandbox forbids are reported as such, with a real seccomp filter.
#![cfg(all(target_os = "linux", target_arch = "x86_64", feature = "full"))]
#![expect(unsafe_code, reason = "installs a filter")]

use runtime_probe::pprof;
use std::env;
use std::process::Command;
use std::sync::mpsc;
use support::client::get;

mod support {
    pub mod client;
}

const INSIDE: &str = "PROBE_TEST_FORBIDDEN";

/// Forbids a system call in this thread and in threads that it creates from now on: `EPERM`, as container runtimes
/// do.
fn forbid(call: libc::c_long) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    // The number of the system call is the first word of the kernel's data. A jump of 0 continues with the next step.
    let mut steps = [
        step(LOAD, 0, 0),
        libc::sock_filter {
            jf: 1,
            ..step(IF_EQUAL, 0, call as u32)
        },
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the filter lives through the call, which copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter),
            0
        );
    }
}

/// A page of a process in which these system calls are forbidden.
fn page(calls: &[libc::c_long], path: &str) -> String {
    let calls: Vec<String> = calls.iter().map(|call| call.to_string()).collect();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "an_application", "--nocapture"])
        .env_clear()
        .env(INSIDE, calls.join(","))
        .env("PAGE", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_application() {
    let Some(calls) = env::var_os(INSIDE) else {
        return;
    };
    let calls = calls.into_string().unwrap();
    calls
        .split(',')
        .for_each(|call| forbid(call.parse().unwrap()));
    let runtime = runtime_probe::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (runs, begun) = mpsc::channel();
    runtime.spawn(async move {
        runs.send(()).unwrap();
        while std::hint::black_box(true) {}
    });
    begun.recv().unwrap();
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let path = env::var("PAGE").unwrap();
    let answer = get(server.local_addr().unwrap(), &path);
    println!("{} {}", answer.status, answer.text());
    // The task never ends.
    std::process::exit(0);
}

#[test]
fn a_timer_that_is_refused_is_no_thread_that_slept() {
    let path = "/debug/pprof/profile?seconds=1&debug=1";
    let text = page(&[libc::SYS_timer_create], path);
    assert!(text.contains("\n500 "), "{text}");
    let why = "timer_create is refused here: Operation not permitted";
    assert!(text.contains(why), "{text}");
}

#[test]
fn a_binary_that_cannot_be_read_is_not_stripped() {
    let calls = [libc::SYS_openat, libc::SYS_open];
    let text = page(&calls, "/debug/pprof/");
    assert!(!text.contains("stripped"), "{text}");
    assert!(
        text.contains("the binary cannot be read (permission denied)"),
        "{text}"
    );
    let why = "/proc/self/task cannot be read: permission denied";
    assert!(text.contains(why), "{text}");
    let text = page(&calls, "/debug/pprof/threads?debug=2");
    assert!(
        text.contains("no threads: /proc/self/task cannot be read: "),
        "{text}"
    );
    let text = page(&calls, "/debug/pprof/goroutine?debug=2");
    assert!(text.contains(why), "{text}");
    assert!(!text.contains("has ended"), "{text}");
    let text = page(&calls, "/debug/pprof/profile?seconds=1&debug=1");
    assert!(text.contains("\n500 ") && text.contains(why), "{text}");
}

#[test]
fn a_signal_whose_handler_may_not_be_installed_is_not_taken() {
    let why = "rt_sigaction is forbidden here: permission denied";
    for path in ["", "goroutine?debug=2", "profile?seconds=1&debug=1"] {
        let text = page(&[libc::SYS_rt_sigaction], &format!("/debug/pprof/{path}"));
        assert!(text.contains(why), "{path}: {text}");
        assert!(!text.contains("taken already"), "{path}: {text}");
    }
}
