//! `runtime-dump pid` on a program with every kind of wait: plain tokio, built in release with `debug = 2`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[path = "pid/containers.rs"]
mod containers;

#[test]
fn every_kind_of_wait_is_shown_down_to_its_leaf() {
    let waits = Process::start(&waits());
    let dump = dump(waits.id(), &[]);
    let (head, blocks) = blocks(&dump);
    assert!(
        head[0].starts_with(&format!(
            "# {} tasks of process {}",
            blocks.len(),
            waits.id()
        )),
        "{head:?}"
    );
    assert!(!dump.contains("could not be followed"), "{dump}");
    let text: Vec<&str> = blocks.values().map(String::as_str).collect();
    let text = text.join("\n");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/waits/golden.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert!(
        text == expected,
        "UPDATE_GOLDEN=1 writes what differs:\n{}",
        difference(&expected, &text)
    );
}

#[test]
fn tasks_that_wait_for_each_other_are_told_above_the_dump() {
    let waits = Process::start(&waits());
    let dump = dump(waits.id(), &[]);
    let (head, blocks) = blocks(&dump);
    let told = |what: &str| {
        let cycles = head
            .iter()
            .filter(|line| line.starts_with("# may be a deadlock: "));
        cycles.filter(|line| line.contains(what)).count()
    };
    let of = |function: &str| {
        let mut blocks = blocks.values().filter(|block| block.contains(function));
        let block = blocks.next().unwrap();
        assert!(blocks.next().is_none(), "{function}");
        block.clone()
    };
    // Two tasks with two locks are one cycle.
    assert_eq!(
        told("waits for a lock that may be held by goroutine"),
        1,
        "{head:#?}"
    );
    // Tasks that have the end that they wait for themselves.
    assert_eq!(
        told("room in a channel whose Receiver may be with that very task"),
        2,
        "{head:#?}"
    );
    assert_eq!(
        told("whose only Sender may be with that very task"),
        5,
        "{head:#?}"
    );
    assert!(of("waits::kinds::sends(").contains("its Receiver may be with this very task"));
    // A time limit ends it.
    let limited = of("waits::kinds::times_out(");
    assert!(
        limited.contains("its Sender may be with this very task"),
        "{limited}"
    );
    assert!(!limited.contains("cycle"), "{limited}");
}

#[test]
fn a_root_names_the_tasks_with_the_other_end_of_its_channel() {
    let waits = Process::start_with(&waits(), &["0", "0", "roots"]);
    // This dump keeps the ids of the tasks.
    let dump = dump(waits.id(), &[]);
    let of = |function: &str| {
        let mut blocks = dump.split("\n\n");
        let block = blocks.find(|block| block.contains(function));
        block.unwrap_or_else(|| panic!("{function}: {dump}"))
    };
    for (root, end, task) in [
        ("root_receives(", "its only Sender", "keeps_sender("),
        ("root_sends(", "its Receiver", "keeps_receiver("),
    ] {
        let id = of(task).split("goroutine ").nth(1).unwrap();
        let id = id.split(' ').next().unwrap();
        let root = of(root);
        assert!(root.contains("root of block_on in thread"), "{root}");
        let note = format!("{end} may be with goroutine {id},");
        assert!(root.contains(&note), "{note}: {root}");
    }
}

const QUEUED: &str = "waits for a thread of the blocking pool";

#[test]
fn a_blocking_queue_in_parts_has_the_same_tasks() {
    let waits = Process::start(&waits());
    let one = dump(waits.id(), &[]);
    assert!(one.contains(QUEUED), "{one}");
    // The pool's only thread takes either of the two closures first. If it takes the one that ends, the queue is soon
    // empty.
    let mut processes = (0..50).map(|_| {
        let mut command = Command::new(self::waits());
        Process::of(command.env("TOKIO_UNSTABLE_SHARDED_BLOCKING_QUEUE", "1"))
    });
    let several = processes.find_map(|sharded| {
        let dump = dump(sharded.id(), &[]);
        dump.contains(QUEUED).then_some(dump)
    });
    let tasks = |dump: &str| {
        let tasks = blocks(dump).1.into_values();
        tasks.collect::<Vec<_>>().join("\n")
    };
    let (one, several) = (tasks(&one), tasks(&several.expect("a closure is queued")));
    assert!(one == several, "{}", difference(&one, &several));
}

#[test]
fn the_target_runs_on_when_the_command_is_killed() {
    let waits = Process::start_with(&waits(), &["400"]);
    let command = env!("CARGO_BIN_EXE_runtime-dump");
    // The kills cover the whole run of the command, from its start to beyond its end.
    let began = Instant::now();
    dump(waits.id(), &[]);
    let whole = began.elapsed();
    for part in 0..40 {
        let mut killed = Command::new(command)
            .args(["pid", &waits.id().to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * part / 36);
        killed.kill().unwrap();
        killed.wait().unwrap();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", waits.id())).unwrap();
        for task in tasks {
            // A thread of the pool may have ended.
            let status = std::fs::read_to_string(task.unwrap().path().join("status"));
            let status = status.unwrap_or_default();
            assert!(!status.contains("State:\tt"), "{status}");
            assert!(!status.contains("State:\tT"), "{status}");
            assert!(
                status.is_empty() || status.contains("TracerPid:\t0\n"),
                "{status}"
            );
        }
    }
    let dump = dump(waits.id(), &["--match", "comes_and_goes"]);
    assert_eq!(blocks(&dump).1.len(), 200);
}

#[test]
fn a_core_has_the_same_tasks() {
    let core = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // The test moves and removes this copy.
    let program = core("waits-of-a-core");
    let _ = std::fs::remove_file(&program);
    std::fs::copy(waits(), &program).unwrap();
    let waits = Process::start(&program);
    let live = blocks(&dump(waits.id(), &["--plain"])).1;
    let Some(file) = waits.core() else { return };
    let file = file.to_str().unwrap();
    let of = of_core;
    let dumped = String::from_utf8(of(&[file, "--plain"]).stdout).unwrap();
    let stacks = |blocks: BTreeMap<String, String>| {
        let mut stacks: Vec<String> = blocks.into_values().collect();
        stacks.sort();
        stacks.join("\n")
    };
    let (live, dumped) = (stacks(live), stacks(blocks(&dumped).1));
    assert!(live == dumped, "{}", difference(&live, &dumped));
    // The core file of another program is refused.
    let other = rustc("stranger", "fn main() {}", "2");
    let refused = of(&[file, "--exe", other.to_str().unwrap()]);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(
        error.contains("is of another build of the program"),
        "{error}"
    );
    let refused_as = |arguments: &[&str], why: &[&str]| {
        let refused = of(arguments);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(why.iter().all(|why| error.contains(why)), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    refused_as(
        &[other.to_str().unwrap()],
        &["it is not a core file", "gcore PID"],
    );
    refused_as(
        &[core("").to_str().unwrap()],
        &["cannot be read: it is a directory"],
    );
    // The program has moved since.
    let moved = core("moved");
    std::fs::rename(&program, &moved).unwrap();
    let is_of = format!("is of {}, which cannot be read", program.display());
    refused_as(&[file], &[&is_of, "by --exe"]);
    let found = of(&[file, "--exe", moved.to_str().unwrap()]);
    assert!(found.status.success() && !found.stdout.is_empty());
    std::fs::remove_file(&moved).unwrap();
    // The core file lacks its end, where gcore writes the notes on the program.
    let cut = core("cut.core");
    for part in [100_000, 4_000_000] {
        let mut begin = std::fs::File::open(file).unwrap().take(part);
        let mut written = std::fs::File::create(&cut).unwrap();
        std::io::copy(&mut begin, &mut written).unwrap();
        let told = format!("is cut off: it has {part} of ");
        refused_as(&[cut.to_str().unwrap()], &[&told, "ulimit -c unlimited"]);
    }
    std::fs::remove_file(&cut).unwrap();
    std::fs::remove_file(file).unwrap();
}

const NAMED: &str = r#"
    use std::time::Duration;
    unsafe extern "C" {
        fn pthread_create(id: *mut usize, with: *const u8, begin: extern "C" fn(usize) -> usize, of: usize) -> i32;
        fn sleep(seconds: u32) -> u32;
    }
    extern "C" fn begins(_: usize) -> usize { unsafe { sleep(600) as usize } }
    fn rests() { std::thread::sleep(Duration::from_secs(600)) }
    fn main() {
        for name in ["orders", "images-of-the-catalogue"] {
            std::thread::Builder::new().name(name.into()).spawn(rests).unwrap();
        }
        std::thread::spawn(rests);
        let mut id = 0;
        assert_eq!(unsafe { pthread_create(&mut id, std::ptr::null(), begins, 0) }, 0);
        // By then each thread rests.
        std::thread::sleep(Duration::from_millis(500));
        println!("ready");
        rests()
    }"#;

/// The first lines of the threads of a core file, without the CPU time.
fn threads_of_core(arguments: &[&str]) -> Vec<String> {
    let output = of_core(&[arguments, &["--threads"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{error}");
    let text = String::from_utf8(output.stdout).unwrap();
    let heads = text.lines().filter_map(|line| line.strip_prefix("# "));
    heads
        .map(|head| head.replace(", CPU unknown", ""))
        .collect()
}

#[test]
fn threads_of_a_core_have_the_names_that_std_has() {
    let unknown = "\"\", name not known without";
    // In a debug build and in a release build.
    for (name, level) in [("named-plain", "0"), ("named-fast", "3")] {
        let program = rustc_as(name, NAMED, "2", level);
        let Some(core) = Process::start(&program).core() else {
            return;
        };
        let core = core.to_str().unwrap();
        let mut threads = threads_of_core(&[core]);
        // gcore begins with the thread that is current in gdb.
        threads.sort();
        let mut expected = [
            name,
            "orders",
            "images-of-the-catalogue",
            "\"\", spawned without a name",
            "\"\", name not known: std does not know the thread",
        ];
        expected.sort_unstable();
        assert_eq!(threads, expected);
        // The debug file of a stripped program has the symbols, too.
        let debug = program.with_extension("debug");
        run(Command::new("objcopy")
            .arg("--only-keep-debug")
            .args([&program, &debug]));
        run(Command::new("strip").arg(&program));
        let told = threads_of_core(&[core]);
        let unknown = told.iter().filter(|head| head.starts_with(unknown));
        assert_eq!(unknown.count(), 4, "{told:?}");
        let debug = debug.to_str().unwrap();
        let mut threads = threads_of_core(&[core, "--debug-file", debug]);
        threads.sort();
        assert_eq!(threads, expected);
        std::fs::remove_file(core).unwrap();
    }
    // Without types only the main thread has a name: the one in the notes.
    let lines = Process::start(&rustc("named-lines", NAMED, "1"));
    let core = lines.core().unwrap();
    let threads = threads_of_core(&[core.to_str().unwrap()]);
    let types = format!("{unknown} types, which debug = 2 in the profile adds");
    assert!(threads.contains(&"named-lines".to_owned()), "{threads:?}");
    let untold = threads.iter().filter(|head| **head == types);
    assert_eq!(untold.count(), 4, "{threads:?}");
    std::fs::remove_file(core).unwrap();
}

#[test]
fn tools_read_the_other_forms() {
    let waits = Process::start(&waits());
    let number = tasks(waits.id(), &[]);
    let json: serde_json::Value = serde_json::from_str(&dump(waits.id(), &["--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), number);
    let folded = dump(waits.id(), &["--folded"]);
    assert!(
        folded.contains("waits::kinds::boxes;waits::kinds::sleeps;tokio::time::sleep::Sleep 1\n"),
        "{folded}"
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("waits.pb.gz");
    dump(waits.id(), &["-o", file.to_str().unwrap()]);
    let profile =
        runtime_dump::profile::proto::Profile::decode(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(profile.sample.len(), number);
}

#[test]
fn under_churn_the_lists_have_as_many_tasks_as_the_runtime_counts() {
    let waits = Process::start_with(&waits(), &["400"]);
    for _ in 0..5 {
        let dump = dump(waits.id(), &[]);
        let (head, blocks) = blocks(&dump);
        assert!(!dump.contains("could not be followed"), "{head:?}");
        let of = |part: &str| blocks.values().filter(|block| block.contains(part)).count();
        assert_eq!(of("waits::kinds::waits_for_long(...)"), 200);
        assert_eq!(of("waits::kinds::comes_and_goes(...)"), 200, "{head:?}");
    }
}

#[test]
fn a_second_look_tells_which_tasks_had_no_poll() {
    let waits = Process::start_with(&waits(), &["20"]);
    let dump = dump(waits.id(), &["--twice", "1s"]);
    assert!(dump.contains(", looked at twice within "), "{dump}");
    let of = |part: &str| -> Vec<bool> {
        let blocks = dump.split("\n\n").filter(|block| block.contains(part));
        let idle = blocks.map(|block| block.contains("no trace of a poll in 1s"));
        idle.collect()
    };
    // A timer that moves in its wheel changes like a polled one.
    let still = of("waits::kinds::waits_for_long(...)");
    assert!(still.iter().filter(|idle| **idle).count() >= 5, "{dump}");
    assert_eq!(of("waits::kinds::comes_and_goes(...)"), [false; 10]);
    assert_eq!(of("waits::kinds::receives(...)"), [true]);
    assert_eq!(of("waits::kinds::reads_lines(...)"), [true]);
    let refused = refusal_of(&["pid", "1", "--twice", "soon"]);
    assert!(refused.contains("as in 500ms"), "{refused}");
}

#[test]
fn without_a_stop_a_quiet_process_has_the_same_tasks() {
    let waits = Process::start(&waits());
    let stopped = blocks(&dump(waits.id(), &["--plain"])).1;
    let dump = dump(waits.id(), &["--no-stop"]);
    assert!(
        dump.lines().next().unwrap().contains("approximate"),
        "{dump}"
    );
    let blocks = blocks(&dump).1;
    // Without stacks there are no root futures and no blocking closures.
    assert!(blocks.len() >= stopped.len() - 5, "{dump}");
    for kind in ["receives_broadcast", "waits_for_mutex", "sleeps"] {
        assert!(
            dump.contains(&format!("waits::kinds::{kind}(...)")),
            "{dump}"
        );
    }
}

#[test]
fn threads_are_shown_without_any_debug_information() {
    let sleeper = "fn main() { println!(\"ready\"); rests() }
        #[inline(never)] fn rests() { std::thread::sleep(std::time::Duration::from_secs(600)) }";
    let process = Process::start(&rustc("rests", sleeper, "0"));
    // The thread prints `ready` before it sleeps, so the first dump may find it running.
    let thread = format!("\nthread {} [sleeping]:\n", process.id());
    let rests = |text: &str| text.contains(&thread) && text.contains("rests::rests");
    let began = Instant::now();
    let mut threads = dump(process.id(), &["--threads"]);
    while !rests(&threads) && began.elapsed() < Duration::from_secs(30) {
        threads = dump(process.id(), &["--threads"]);
    }
    assert!(threads.starts_with("# rests, CPU "), "{threads}");
    assert!(threads.contains(&thread), "{threads}");
    assert!(threads.contains("\nrests::rests(...)\n"), "{threads}");
    assert!(threads.contains("\nrests::main(...)\n"), "{threads}");
}

/// The instruction behind the system call is that of an inlined function, which checks the result.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_thread_in_an_inlined_system_call_is_at_that_call() {
    let source = "fn main() { println!(\"ready\"); std::process::exit(rests().into()) }
        #[inline(never)] fn rests() -> bool { let result: i64; \
            unsafe { std::arch::asm!(\"syscall\", inlateout(\"rax\") 34i64 => result, out(\"rcx\") _, out(\"r11\") _) }; \
            failed(result) }
        #[inline(always)] fn failed(result: i64) -> bool { (-4095..0).contains(&result) }";
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, program) = (directory.join("inlined.rs"), directory.join("inlined"));
    std::fs::write(&file, source).unwrap();
    run(Command::new("rustc")
        .args(["-O", "-g", "-o"])
        .args([&program, &file]));
    let process = Process::start(&program);
    let thread = format!("thread {} [sleeping]:\n", process.id());
    let began = Instant::now();
    let mut threads = dump(process.id(), &["--threads"]);
    while !threads.contains(&thread) && began.elapsed() < Duration::from_secs(30) {
        threads = dump(process.id(), &["--threads"]);
    }
    let innermost = format!("{thread}inlined::rests(...)\n");
    assert!(threads.contains(&innermost), "{threads}");
}

#[test]
fn tasks_are_selected_grouped_and_limited() {
    let waits = Process::start(&waits());
    let of = |arguments: &[&str]| blocks(&dump(waits.id(), arguments)).1;
    let sleeping = of(&["--state", "sleep"]);
    assert!(sleeping.len() > 10);
    assert!(sleeping.values().all(|block| block.contains("[sleep]:")));
    let matching = of(&["--match", "kinds::locks_both"]);
    assert_eq!(matching.len(), 2, "{matching:?}");
    assert_eq!(of(&["--limit", "3"]).len(), 3);
    let plain = dump(waits.id(), &["--plain"]);
    assert!(!plain.contains('#') && plain.starts_with("goroutine "));
    let groups = dump(waits.id(), &["--group", "--match", "in_a_set"]);
    assert!(
        groups.contains("# 2 tasks, waiting (goroutine "),
        "{groups}"
    );
    // The frames below the call that waits are its machinery.
    assert!(!dump(waits.id(), &[]).contains("batch_semaphore::Acquire"));
    assert!(dump(waits.id(), &["-v"]).contains("tokio::sync::batch_semaphore::Acquire"));
}

#[test]
fn a_stripped_program_is_read_by_its_debug_file() {
    let program = waits();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stripped");
    std::fs::create_dir_all(&directory).unwrap();
    let (stripped, debug) = (directory.join("waits"), directory.join("waits.debug"));
    let _ = std::fs::remove_file(&stripped);
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .arg("--compress-debug-sections")
        .args([&program, &debug]));
    run(Command::new("objcopy")
        .arg("--strip-all")
        .args([&program, &stripped]));
    let waits = Process::start(&stripped);
    let refused = refusal(waits.id(), &[]);
    assert!(
        refused.contains("has no debug information") && refused.contains("debug = 2"),
        "{refused}"
    );
    let debug_file = ["--debug-file", debug.to_str().unwrap()];
    assert_eq!(
        blocks(&dump(waits.id(), &debug_file)).1.len(),
        tasks(waits.id(), &debug_file)
    );
    assert!(dump(waits.id(), &debug_file).contains("waits::kinds::sleeps(...)"));
    // These files have no debug information.
    for (file, why) in [
        (&*stripped, "it is stripped"),
        (&*directory, "it is a directory"),
        (Path::new("/nonexistent"), "No such file"),
        (
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"),
            "it is no ELF file",
        ),
    ] {
        let refused = refusal(waits.id(), &["--debug-file", file.to_str().unwrap()]);
        assert!(refused.contains(why), "{refused}");
        assert!(refused.contains("objcopy --only-keep-debug"), "{refused}");
    }
    // This file is of another build.
    let other = rustc("other", "fn main() {}", "2");
    let refused = refusal(waits.id(), &["--debug-file", other.to_str().unwrap()]);
    assert!(refused.contains("is of another build"), "{refused}");
    // The debug file is found beside the program.
    run(Command::new("objcopy")
        .current_dir(&directory)
        .arg("--add-gnu-debuglink=waits.debug")
        .arg(&stripped)
        .arg("linked"));
    let linked = Process::start(&directory.join("linked"));
    assert!(dump(linked.id(), &[]).contains("waits::kinds::sleeps(...)"));
}

/// `dwz` moves types that several units have to units of their own. The stack of a running task may be shorter after it.
#[test]
fn a_program_that_dwz_has_processed_has_the_same_waiting_tasks() {
    if Command::new("dwz").arg("--version").output().is_err() {
        eprintln!("######## SKIPPED: no dwz: apt-get install dwz ########");
        return;
    }
    let program = waits();
    let smaller = Path::new(env!("CARGO_TARGET_TMPDIR")).join("waits-dwz");
    run(Command::new("dwz").arg("-o").args([&smaller, &program]));
    let [before, after] = [&program, &smaller].map(|program| {
        let process = Process::start(program);
        // By their texts: the keys have the places in the dump, which depend on the tasks that run.
        let tasks = blocks(&dump(process.id(), &[])).1.into_values();
        let mut waiting: Vec<String> = tasks.filter(|block| !block.contains("[running]")).collect();
        waiting.sort_unstable();
        waiting
    });
    assert!(before.len() > 10, "{before:?}");
    assert_eq!(before, after);
}

#[test]
fn what_cannot_be_dumped_is_refused_with_the_way_out() {
    let sleeper = "fn main() { println!(\"ready\"); std::thread::sleep(std::time::Duration::from_secs(600)); }";
    let refused = |level: &str| {
        let process = Process::start(&rustc(&format!("level{level}"), sleeper, level));
        refusal(process.id(), &[])
    };
    assert!(
        refused("0").contains("has no debug information") || refused("0").contains("without types")
    );
    let lines = refused("1");
    assert!(
        lines.contains("without types") && lines.contains("debug = 2"),
        "{lines}"
    );
    let types = refused("2");
    assert!(types.contains("has no types of tokio's tasks"), "{types}");
    // What `dwz -m` leaves: a link to the file with the types.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let [link, linked] = ["common-link", "has-common-part"].map(|name| directory.join(name));
    std::fs::write(&link, "common.debug\0an id of twenty bytes").unwrap();
    run(Command::new("objcopy")
        .arg(format!(
            "--add-section=.gnu_debugaltlink={}",
            link.display()
        ))
        .args([&rustc("level1", sleeper, "1"), &linked]));
    let process = Process::start(&linked);
    let elsewhere = refusal(process.id(), &[]);
    assert!(
        elsewhere.contains("may have its types in a file") && elsewhere.contains("dwz -m"),
        "{elsewhere}"
    );
    // This process id is above the kernel's limit of 4194304.
    let gone = refusal(4_194_305, &[]);
    assert!(gone.contains("there is no process 4194305"), "{gone}");
}

/// A program of one page that pauses for ever, through i386's system call 29.
#[test]
fn a_32_bit_process_is_refused() {
    const ADDRESS: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    // The code is `mov eax, 29; int 0x80` in a loop.
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
    let mut bytes = b"\x7fELF\x01\x01\x01".to_vec();
    bytes.resize(16, 0);
    let mut push = |numbers: &[(u32, usize)]| {
        for (number, size) in numbers {
            bytes.extend(&number.to_le_bytes()[..*size]);
        }
    };
    // An executable for machine 3, its entry and its headers.
    push(&[
        (2, 2),
        (3, 2),
        (1, 4),
        (ADDRESS + HEADERS, 4),
        (52, 4),
        (0, 4),
        (0, 4),
    ]);
    push(&[(52, 2), (32, 2), (1, 2), (0, 2), (0, 2), (0, 2)]);
    // The whole file is readable and executable.
    let size = HEADERS + code.len() as u32;
    push(&[
        (1, 4),
        (0, 4),
        (ADDRESS, 4),
        (ADDRESS, 4),
        (size, 4),
        (size, 4),
        (5, 4),
        (4096, 4),
    ]);
    bytes.extend(code);
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("narrow");
    std::fs::write(&program, bytes).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut narrow = match Command::new(&program).spawn() {
        Ok(narrow) => narrow,
        Err(error) => return println!("no 32-bit program runs here: {error}"),
    };
    let refused = refusal(narrow.id(), &[]);
    let is_alive = narrow.try_wait().unwrap().is_none();
    narrow.kill().unwrap();
    narrow.wait().unwrap();
    assert!(is_alive, "it has ended");
    assert!(refused.contains("the program is a 32-bit one"), "{refused}");
    assert!(refused.contains("64-bit x86_64 programs"), "{refused}");
}

#[test]
fn a_program_without_a_runtime_yet_is_refused() {
    let waits = Process::start_with(&waits(), &["none"]);
    let refused = refusal(waits.id(), &[]);
    assert!(
        refused.contains("none of its threads is inside a runtime"),
        "{refused}"
    );
}

#[test]
fn a_process_that_has_ended_is_refused() {
    let mut ended = Command::new("true").spawn().unwrap();
    // The process stays a zombie until its parent waits for it.
    while std::fs::read_link(format!("/proc/{}/exe", ended.id())).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let refused = refusal(ended.id(), &[]);
    assert!(refused.contains("runs no program"), "{refused}");
    ended.wait().unwrap();
}

/// The files of `/proc/PID` on the program and its memory are those of the first thread.
#[test]
fn a_process_whose_first_thread_has_ended_has_the_same_tasks() {
    let of = |arguments: &[&str]| {
        let waits = Process::start_with(&waits(), arguments);
        let tasks = dump(waits.id(), &[]);
        let approximate = dump(waits.id(), &["--no-stop"]);
        let threads = dump(waits.id(), &["--threads"]);
        (tasks, approximate, threads)
    };
    let (whole, ..) = of(&["0", "0"]);
    let (tasks, approximate, threads) = of(&["0", "0", "leaves"]);
    let text = |dump: &str| {
        let tasks = blocks(dump).1.into_values();
        tasks.collect::<Vec<_>>().join("\n")
    };
    let (whole, tasks) = (text(&whole), text(&tasks));
    assert!(whole == tasks, "{}", difference(&whole, &tasks));
    assert!(approximate.contains("waits::kinds::sleeps(...)"));
    let ended = threads.split("\n\n").next().unwrap();
    assert!(ended.contains(" [ended]:\n"), "{threads}");
    assert!(!ended.contains("waits::main"), "{threads}");
    assert!(threads.contains("\nwaits::main(...)\n"), "{threads}");
}

#[test]
fn of_a_shell_the_programs_that_it_has_started_are_named() {
    // The shell stays, as it has a command left.
    let shell = Process::of(Command::new("sh").args(["-c", "\"$0\"; true"]).arg(waits()));
    let children = format!("/proc/{0}/task/{0}/children", shell.id());
    let child = std::fs::read_to_string(children).unwrap();
    let child: u32 = child.trim().parse().unwrap();
    let outputs = [shell.id(), child].map(|pid| runtime_dump(pid, &[]));
    // The end of a shell does not end its child.
    let kill = Command::new("kill").arg(child.to_string()).status();
    assert!(kill.unwrap().success());
    let [refused, dumped] = outputs.map(|output| {
        let (text, error) = (output.stdout, output.stderr);
        String::from_utf8([text, error].concat()).unwrap()
    });
    assert!(
        refused.contains("has no debug information")
            && refused.contains(&format!("it has started {child} (waits")),
        "{refused}"
    );
    assert!(dumped.contains("waits::kinds::sleeps(...)"), "{dumped}");
}

/// Only root can run as another user.
#[test]
fn a_process_of_another_user_is_refused() {
    const NOBODY: u32 = 65534;
    let waits = Process::start_with(&waits(), &["none"]);
    let command = std::env::temp_dir().join(format!("runtime-dump-{}", waits.id()));
    std::fs::copy(env!("CARGO_BIN_EXE_runtime-dump"), &command).unwrap();
    let output = Command::new(&command)
        .args(["pid", &waits.id().to_string()])
        .uid(NOBODY)
        .output();
    std::fs::remove_file(&command).unwrap();
    match output {
        Ok(output) => {
            let refused = String::from_utf8(output.stderr).unwrap();
            assert!(refused.contains("may not be read"), "{refused}");
            assert!(refused.contains("CAP_SYS_PTRACE") || refused.contains("setcap"));
        }
        Err(error) => println!("this user is not root, so no other user: {error}"),
    }
}

/// The kernel lets no user dump a process whose program file it may not read.
#[test]
fn a_process_that_its_user_may_not_read_is_refused_with_the_reason() {
    const NOBODY: u32 = 65534;
    let folder =
        std::env::temp_dir().join(format!("runtime-dump-undumpable-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let (command, program) = (folder.join("runtime-dump"), folder.join("sleep"));
    std::fs::copy(env!("CARGO_BIN_EXE_runtime-dump"), &command).unwrap();
    std::fs::copy("/bin/sleep", &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o111)).unwrap();
    let is_root = std::fs::metadata(&program).unwrap().uid() == 0;
    let start = |program: &Path| {
        let mut command = Command::new(program);
        // Root may read any file.
        if is_root {
            command.uid(NOBODY);
        }
        command
    };
    let mut sleep = start(&program).arg("60").spawn().unwrap();
    let output = start(&command)
        .args(["pid", &sleep.id().to_string()])
        .output();
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let refused = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(refused.contains("by its user neither"), "{refused}");
    assert!(refused.contains("run as root"), "{refused}");
}

#[test]
fn a_thread_that_does_not_stop_is_left_out() {
    let waits = Process::start_with(&waits(), &["0", "0", "starts"]);
    let threads = dump(waits.id(), &["--threads"]);
    assert!(threads.contains(" [disk sleep]:\n"), "{threads}");
    // A dump stops the process twice, so the first stop must release the thread.
    for _ in 0..2 {
        let dump = dump(waits.id(), &[]);
        assert!(dump.contains("waits::kinds::sleeps(...)"), "{dump}");
    }
}

#[test]
fn a_process_that_a_debugger_has_is_refused() {
    let waits = Process::start(&waits());
    let gdb = Command::new("gdb")
        .args(["--batch", "--quiet", "-ex", "shell sleep 60", "-p"])
        .arg(waits.id().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut gdb) = gdb else {
        println!("no gdb, so no debugger");
        return;
    };
    let status = format!("/proc/{}/status", waits.id());
    let tracer = format!("TracerPid:\t{}\n", gdb.id());
    while !std::fs::read_to_string(&status).unwrap().contains(&tracer) {
        assert!(gdb.try_wait().unwrap().is_none(), "gdb has ended");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let refused = refusal(waits.id(), &[]);
    let traced = format!("is traced by process {}", gdb.id());
    gdb.kill().unwrap();
    gdb.wait().unwrap();
    assert!(refused.contains(&traced), "{refused}");
    assert!(refused.contains("end that first"), "{refused}");
}

/// The service of [`a_connection_of_axum_leads_to_the_await_of_its_handler`], in a process of its own, with plain tokio
/// and axum.
#[test]
#[ignore = "it is run by another test, and serves until it is ended"]
fn serves_by_axum() {
    use std::io::Write;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().route("/order", axum::routing::get(takes_an_order));
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        let mut busy = std::net::TcpStream::connect(address).unwrap();
        let request = b"GET /order HTTP/1.1\r\nhost: localhost\r\n\r\n";
        busy.write_all(request).unwrap();
        let _idle = std::net::TcpStream::connect(address).unwrap();
        std::future::pending::<()>().await;
    });
}

async fn takes_an_order() -> &'static str {
    asks_the_stock(7).await
}

async fn asks_the_stock(number: u64) -> &'static str {
    println!("ready");
    tokio::time::sleep(Duration::from_secs(3600 + number)).await;
    "taken"
}

#[test]
fn a_connection_of_axum_leads_to_the_await_of_its_handler() {
    let mut service = Command::new(std::env::current_exe().unwrap());
    let service =
        Process::of(service.args(["--ignored", "--exact", "--nocapture", "serves_by_axum"]));
    let chain = [
        "tokio::time::sleep::Sleep(...)",
        "pid::asks_the_stock(...)",
        "pid::takes_an_order(...)",
        "axum::serve::handle_connection",
    ];
    let is_in_order = |block: &&str| {
        let places: Vec<_> = chain.iter().map(|frame| block.find(frame)).collect();
        places.is_sorted() && places[0].is_some()
    };
    // The handler may be running before its wait, and the other connection may not be accepted yet.
    let began = Instant::now();
    loop {
        let dump = dump(service.id(), &[]);
        let found = dump.split("\n\n").find(is_in_order);
        // The other connection has no request.
        let of_axum = |block: &&str| block.contains("axum::serve::handle_connection");
        let connections = dump.split("\n\n").filter(of_axum).count();
        if let Some(block) = found
            && connections == 2
        {
            // Beside the handler, axum waits for its own shutdown.
            assert!(block.contains(" [select]:\n"), "{block}");
            assert!(block.contains("branch 1: fires in "), "{block}");
            assert!(block.contains("tests/pid.rs:"), "{block}");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{dump}");
    }
}

/// Builds the program once, beside this repository's output. Its flags differ from this repository's: plain tokio.
fn waits() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../waits-stable");
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/waits/Cargo.toml");
        run(Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(&target)
            .env("RUSTFLAGS", "-Cdebuginfo=2"));
        target.join("release/waits")
    };
    BUILT.get_or_init(build).clone()
}

fn rustc(name: &str, source: &str, level: &str) -> PathBuf {
    rustc_as(name, source, level, "0")
}

fn rustc_as(name: &str, source: &str, level: &str, optimization: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = directory.join(format!("{name}.rs"));
    std::fs::write(&file, source).unwrap();
    let program = directory.join(name);
    run(Command::new("rustc")
        .arg("--edition=2024")
        .arg(format!("-Cdebuginfo={level}"))
        .arg(format!("-Copt-level={optimization}"))
        .args(["-Clink-arg=-Wl,--build-id", "-o"])
        .args([&program, &file]));
    program
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A process that has printed `ready`. Dropping it ends the process.
struct Process(Child);

impl Process {
    fn start(program: &Path) -> Self {
        Self::start_with(program, &[])
    }

    fn start_with(program: &Path, arguments: &[&str]) -> Self {
        Self::of(Command::new(program).args(arguments))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.as_mut().unwrap());
        // A test program prints other lines first.
        while !line.ends_with("ready\n") {
            assert!(out.read_line(&mut line).unwrap() > 0, "{line}");
        }
        Self(child)
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    /// A core file of the process; `None` if there is no gcore.
    fn core(&self) -> Option<PathBuf> {
        if Command::new("gcore").arg("--version").output().is_err() {
            println!("no gcore, so no core file");
            return None;
        }
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pid.core");
        let id = self.id().to_string();
        run(Command::new("gcore").arg("-o").arg(&file).arg(&id));
        Some(file.with_extension(format!("core.{id}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn runtime_dump(pid: u32, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runtime-dump"))
        .arg("pid")
        .arg(pid.to_string())
        .args(arguments)
        .output()
        .unwrap()
}

fn of_core(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runtime-dump"))
        .arg("core")
        .args(arguments)
        .output()
        .unwrap()
}

fn dump(pid: u32, arguments: &[&str]) -> String {
    let output = runtime_dump(pid, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(pid: u32, arguments: &[&str]) -> String {
    let output = runtime_dump(pid, arguments);
    assert!(!output.status.success() && output.stdout.is_empty());
    let mut error = String::new();
    output.stderr.as_slice().read_to_string(&mut error).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// The message on invalid arguments.
fn refusal_of(arguments: &[&str]) -> String {
    let command = env!("CARGO_BIN_EXE_runtime-dump");
    let output = Command::new(command).args(arguments).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// The number of tasks by the first line.
fn tasks(pid: u32, arguments: &[&str]) -> usize {
    let dump = dump(pid, arguments);
    let number = dump.split(' ').nth(1).unwrap();
    number.parse().unwrap()
}

/// The lines above the first task, and the blocks without the parts that differ between runs: addresses, ids, times,
/// and lines of libraries.
fn blocks(dump: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let (head, tasks) = match dump.starts_with('#') {
        true => dump.split_once("\n\n").unwrap(),
        false => ("", dump),
    };
    let mut found = BTreeMap::new();
    for (number, block) in tasks.trim_end().split("\n\n").enumerate() {
        let mut text = String::new();
        for line in block.lines() {
            text += &plain_line(line);
            text.push('\n');
        }
        let (remark, stack) = match text.starts_with('#') {
            true => text.split_once('\n').unwrap(),
            false => ("", text.as_str()),
        };
        let root = stack.trim_end().lines().rev().take(4).collect::<Vec<_>>();
        let key = format!("{root:?} {stack} {remark} {number:04}");
        found.insert(key, text);
    }
    (head.lines().map(str::to_owned).collect(), found)
}

fn plain_line(line: &str) -> String {
    // The path of a registry's file begins with its package.
    if let Some((package, file)) = line
        .strip_prefix('\t')
        .and_then(|line| line.split_once('/'))
        && let Some((name, version)) = package.rsplit_once('-')
        && version.starts_with(|c: char| c.is_ascii_digit())
    {
        let (file, _) = file.split_once(':').unwrap();
        return format!("\t{name}/{file}");
    }
    if let Some(at) = line.find("tests/waits/src/") {
        let place = &line[at + "tests/waits/".len()..];
        return format!("\t{}", place.split(" +").next().unwrap());
    }
    if line.starts_with("\t/rustc/") || line.starts_with("\t??:0 +") {
        return "\t..".to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let (mut before, mut is_cycle) = ("", false);
    for word in line.split(' ') {
        let trimmed = word.trim_end_matches([',', ':']);
        let end = &word[trimmed.len()..];
        let is_number = trimmed.starts_with(|c: char| c.is_ascii_digit());
        let is_span = trimmed.ends_with('s') && is_number;
        is_cycle |= before == "cycle";
        is_cycle &= word != "runtime";
        let is_id = matches!(before, "goroutine" | "thread" | "descriptor") && trimmed != "0"
            || is_cycle && is_number;
        words.push(match trimmed {
            _ if trimmed.starts_with("0x") => format!("0x..{end}"),
            _ if is_span => format!("..{end}"),
            _ if is_id => format!("N{end}"),
            _ => word.to_owned(),
        });
        before = word;
    }
    words.join(" ")
}

fn difference(expected: &str, found: &str) -> String {
    let lines = |text: &str| text.split("\n\n").map(str::to_owned).collect::<Vec<_>>();
    let (expected, found) = (lines(expected), lines(found));
    let missing = expected.iter().filter(|block| !found.contains(block));
    let new = found.iter().filter(|block| !expected.contains(block));
    let missing: Vec<_> = missing.map(|block| format!("missing:\n{block}")).collect();
    let new: Vec<_> = new.map(|block| format!("new:\n{block}")).collect();
    format!("{}\n{}", missing.join("\n"), new.join("\n"))
}
