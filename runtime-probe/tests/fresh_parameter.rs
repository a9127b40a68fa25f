//! `fresh=1`: the only request with which the probe wakes a task. The test counts polls.
#![cfg(all(feature = "full", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "a frame without debug information")]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use runtime_dump_testing::grammar::{self, Block};
use runtime_probe::runtime::Builder;
use runtime_probe::sync::{Notify, futures::Notified};
use runtime_probe::{pprof, spawn};
use support::client::{self, get};

mod support {
    #[allow(dead_code, reason = "every request is a GET here")]
    pub mod client;
}

// Calls two functions, one after the other, without DWARF for the calls. A stack through it does not tell whether the
// first call was still under way when the second one was made.
std::arch::global_asm!(
    ".globl one_after_the_other",
    ".type one_after_the_other, @function",
    "one_after_the_other:",
    ".cfi_startproc",
    "push rbx",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset rbx, 0",
    "push r12",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset r12, 0",
    "sub rsp, 8",
    ".cfi_adjust_cfa_offset 8",
    "mov rbx, rdx",
    "mov r12, rsi",
    "mov rax, rdi",
    "mov rdi, rbx",
    "call rax",
    "mov rdi, rbx",
    "call r12",
    "add rsp, 8",
    ".cfi_adjust_cfa_offset -8",
    "pop r12",
    ".cfi_adjust_cfa_offset -8",
    "pop rbx",
    ".cfi_adjust_cfa_offset -8",
    "ret",
    ".cfi_endproc",
    ".size one_after_the_other, . - one_after_the_other",
);

type Step = extern "C" fn(&mut State<'_, '_, '_>);

#[expect(improper_ctypes, reason = "what is passed through is not looked at")]
unsafe extern "C" {
    fn one_after_the_other(first: Step, second: Step, state: &mut State<'_, '_, '_>);
}

struct State<'s, 'c, 'n> {
    context: &'s mut Context<'c>,
    past: std::pin::Pin<&'s mut Notified<'n>>,
    present: std::pin::Pin<&'s mut Notified<'n>>,
    passed: bool,
}

/// Registers a waker once, and returns at once, like the branch of a select that lost.
extern "C" fn pass_by(state: &mut State<'_, '_, '_>) {
    if !state.passed {
        let _ = state.past.as_mut().poll(state.context);
        state.passed = true;
    }
}

extern "C" fn stay(state: &mut State<'_, '_, '_>) {
    let _ = state.present.as_mut().poll(state.context);
}

async fn moved_on(notify: Arc<[Notify; 2]>, polls: Arc<AtomicUsize>) {
    let mut past = pin!(notify[0].notified());
    let mut present = pin!(notify[1].notified());
    let mut passed = false;
    poll_fn(|context| {
        polls.fetch_add(1, SeqCst);
        let mut state = State {
            context,
            past: past.as_mut(),
            present: present.as_mut(),
            passed,
        };
        // SAFETY: the function only calls its arguments, by the C calling convention.
        unsafe { one_after_the_other(pass_by, stay, &mut state) };
        passed = state.passed;
        Poll::<()>::Pending
    })
    .await
}

async fn waits(notify: Arc<[Notify; 2]>, polls: Arc<AtomicUsize>) {
    let mut present = pin!(notify[0].notified());
    poll_fn(|context| {
        polls.fetch_add(1, SeqCst);
        present.as_mut().poll(context)
    })
    .await
}

fn shows_both(block: &Block) -> bool {
    let has = |name: &str| {
        block
            .frames
            .iter()
            .any(|frame| frame.function.starts_with(name))
    };
    has("also_registered.branch_1_of_2") && has("select.branch_2_of_2")
}

// One test: it counts polls, and dumps cover the whole process.
#[test]
fn a_task_that_leaves_open_where_it_waits_is_woken_once_and_no_other_is() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let dump = |parameters: &str| {
        let answer = get(
            address,
            &format!("/debug/pprof/goroutine?debug=2{parameters}"),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().to_owned()
    };
    let of = |name: &str, text: &str| {
        let mut blocks = grammar::read_goroutines(text).unwrap().into_iter();
        let block = blocks.find(|block| block.frames.iter().any(|f| f.function.ends_with(name)));
        block.unwrap_or_else(|| panic!("{name} in\n{text}"))
    };
    let notify = Arc::new([Notify::new(), Notify::new()]);
    let (polls, others) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    runtime.block_on(async {
        spawn(moved_on(notify.clone(), polls.clone()));
        spawn(waits(notify.clone(), others.clone()));
    });
    let deadline = Instant::now() + client::PATIENCE;
    let both_wait = || dump("&state=waiting").matches("\ngoroutine ").count() >= 2;
    while !both_wait() {
        assert!(Instant::now() < deadline);
    }

    // Dumps without `fresh=1` wake no task.
    for _ in 0..20 {
        let text = dump("");
        assert!(shows_both(&of("::moved_on", &text)), "{text}");
    }
    assert_eq!((polls.load(SeqCst), others.load(SeqCst)), (1, 1));

    // A filter that excludes the task leaves it alone.
    dump("&fresh=1&match=::waits$");
    assert_eq!((polls.load(SeqCst), others.load(SeqCst)), (1, 1));

    let text = dump("&fresh=1");
    assert!(
        text.starts_with("# fresh=1 woke 1 of the tasks\n"),
        "{text}"
    );
    let settled = of("::moved_on", &text);
    assert!(
        !settled
            .frames
            .iter()
            .any(|frame| frame.function.contains("branch")),
        "{text}"
    );
    assert!(
        settled
            .frames
            .iter()
            .any(|frame| frame.function.ends_with("::stay")),
        "{text}"
    );
    assert_eq!((polls.load(SeqCst), others.load(SeqCst)), (2, 1));

    // A task whose wait is known is not woken again.
    let text = dump("&fresh=1");
    assert!(!text.contains("fresh=1 woke"), "{text}");
    assert_eq!((polls.load(SeqCst), others.load(SeqCst)), (2, 1));

    // With every worker stuck the dump says so, and soon.
    let stuck = Arc::new(AtomicUsize::new(0));
    let (release, until) = std::sync::mpsc::channel::<()>();
    runtime.spawn(moved_on(notify.clone(), stuck.clone()));
    while stuck.load(SeqCst) == 0 || !dump("&state=waiting").contains("also_registered") {
        assert!(Instant::now() < deadline);
    }
    let (begun, has_begun) = std::sync::mpsc::channel::<()>();
    runtime.spawn(async move {
        let _ = begun.send(());
        let _ = until.recv();
    });
    has_begun.recv().unwrap();
    let began = Instant::now();
    let text = dump("&fresh=1");
    assert!(began.elapsed() < Duration::from_secs(5));
    // On a slow machine the line that the runtime stands still may come first.
    let woken = "# fresh=1 woke 1 of the tasks, 1 of which were not polled in time\n";
    assert!(text.contains(woken), "{text}");
    // The task is woken already, and is not woken again.
    let text = dump("&fresh=1&match=moved_on");
    assert!(!text.contains("fresh=1 woke"), "{text}");
    assert_eq!(stuck.load(SeqCst), 1);
    release.send(()).unwrap();
    while stuck.load(SeqCst) < 2 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let refused = get(address, "/debug/pprof/goroutine?fresh=1&seconds=1");
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.text(),
        "seconds and fresh params are incompatible\n"
    );
}
