//! A stripped binary with its debug file beside it, or named by the variable, has names and lines. A file of another
//! build is not used.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

const CHILD: &str = "PROBE_TEST_DEBUG_FILE_CHILD";

#[inline(never)]
async fn waits_for_ever() {
    std::future::pending::<()>().await
}

fn run(tool: &str, arguments: &[&Path]) {
    let status = Command::new(tool).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "{tool}");
}

/// A name with a blank, which a dump quotes.
fn quoted(name: &str) -> String {
    format!("it waits: {name}")
}

/// Waiting tasks, one of each kind, with their names in the dump.
fn one_of_each_kind() -> impl Sized {
    use runtime_probe::sync::{Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
    use runtime_probe::task::{Builder, JoinHandle};
    fn kind<F: Future<Output = ()> + Send + 'static>(name: &str, waits: F) -> JoinHandle<()> {
        Builder::new().name(&quoted(name)).spawn(waits).unwrap()
    }
    let hour = std::time::Duration::from_secs(3600);
    let (sender, mut receiver) = mpsc::channel::<String>(1);
    let (answer, question) = oneshot::channel::<u16>();
    let lock: &'static Mutex<Vec<u8>> = Box::leak(Box::default());
    let shared: &'static RwLock<Vec<u8>> = Box::leak(Box::default());
    std::mem::forget((lock.try_lock(), shared.try_write()));
    let (near, far) = runtime_probe::net::UnixStream::pair().unwrap();
    kind("sleep", runtime_probe::time::sleep(hour));
    kind("chan receive", async move { drop(receiver.recv().await) });
    kind("chan receive, once", async move { drop(question.await) });
    kind("lock", async move { drop(lock.lock().await) });
    kind("read", async move { drop(shared.read().await) });
    kind("permit", async { drop(Semaphore::new(0).acquire().await) });
    kind("notice", async { Notify::new().notified().await });
    kind("IO wait", async move { drop(near.readable().await) });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    tcp.set_nonblocking(true).unwrap();
    kind("bytes of TCP", async move {
        use runtime_probe::io::AsyncReadExt;
        let mut tcp = runtime_probe::net::TcpStream::from_std(tcp).unwrap();
        drop(tcp.read(&mut [0; 16]).await);
    });
    let (mut unix, other) = runtime_probe::net::UnixStream::pair().unwrap();
    kind("lines of a unix socket", async move {
        use runtime_probe::io::AsyncBufReadExt;
        let mut lines = runtime_probe::io::BufReader::new(&mut unix).lines();
        drop(lines.next_line().await);
    });
    kind(
        "own",
        std::future::poll_fn(|context| {
            std::mem::forget(context.waker().clone());
            std::task::Poll::Pending
        }),
    );
    (sender, answer, far, listener, other)
}

/// The text in brackets of the task with that name.
fn state_of<'d>(dump: &'d str, name: &str) -> &'d str {
    let (_, task) = dump
        .split_once(&format!("# {:?}, ", quoted(name)))
        .expect(dump);
    let (_, state) = task.split_once(" [").unwrap();
    state.split_once(']').unwrap().0
}

/// The dump that a binary prints of itself.
fn dump_of(binary: &Path, named: Option<&Path>) -> String {
    let mut command = Command::new(binary);
    command
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, "1");
    if let Some(named) = named {
        command.env("RUNTIME_PROBE_DEBUG_FILE", named);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let refused = "not the debug file of this build";
    let is_other = named.is_some_and(|named| named.ends_with("other.debug"));
    assert_eq!(said.contains(refused), is_other, "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = runtime_probe::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let _kinds = one_of_each_kind();
        let _task = runtime_probe::task::spawn(async {
            runtime_probe::time::timeout(std::time::Duration::from_secs(60), waits_for_ever()).await
        });
        runtime_probe::task::yield_now().await;
        runtime_probe::task::yield_now().await;
        let mut text = Vec::new();
        runtime_probe::pprof::lookup("goroutine")
            .unwrap()
            .write_to(&mut text, 2)
            .unwrap();
        println!("{}", String::from_utf8_lossy(&text));
    });
}

#[test]
fn a_stripped_binary_is_read_by_its_debug_file() {
    let own = std::env::current_exe().unwrap();
    let folder = std::env::temp_dir().join(format!("probe-debug-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [binary, debug, moved, foreign] =
        ["app", "app.debug", "moved.debug", "other.debug"].map(|name| folder.join(name));
    run(
        "objcopy",
        &[
            "--only-keep-debug".as_ref(),
            "--compress-debug-sections".as_ref(),
            &own,
            &debug,
        ],
    );
    run(
        "strip",
        &["--strip-all".as_ref(), "-o".as_ref(), &binary, &own],
    );
    let link = format!("--add-gnu-debuglink={}", debug.display());
    run("objcopy", &[link.as_ref(), &binary]);

    let beside = dump_of(&binary, None);
    std::fs::rename(&debug, &moved).unwrap();
    let without = dump_of(&binary, None);
    let named = dump_of(&binary, Some(&moved));
    let other_id = "--remove-section=.note.gnu.build-id";
    run("objcopy", &[other_id.as_ref(), &moved, &foreign]);
    let other = dump_of(&binary, Some(&foreign));
    std::fs::remove_dir_all(&folder).unwrap();

    for text in [&beside, &named] {
        assert!(text.contains("[sleep"), "{text}");
        assert!(text.contains("time::timeout"), "{text}");
        // The names of libc are in a separate debug file: its functions are read, its lines are not.
        let lines: Vec<&str> = text.lines().collect();
        let pairs = lines.windows(2).filter(|pair| pair[1].contains("??:0"));
        let without_line: Vec<&str> = pairs.map(|pair| pair[0]).collect();
        let is_rust = |function: &&str| function.contains("::");
        assert!(!without_line.iter().any(is_rust), "{text}");
    }
    // In a stripped binary tokio's primitives are known by their addresses; other futures are not known.
    for (name, state) in [
        ("sleep", "sleep"),
        ("chan receive", "chan receive"),
        ("chan receive, once", "chan receive"),
        ("permit", "semacquire"),
        ("notice", "sync.Cond.Wait"),
        // In an optimized build the two specimens of readiness have no address in common that belongs to readiness
        // only.
        (
            "IO wait",
            if cfg!(debug_assertions) {
                "IO wait"
            } else {
                "waiting"
            },
        ),
        ("bytes of TCP", "IO wait"),
        ("lines of a unix socket", "IO wait"),
        ("own", "waiting"),
    ] {
        assert_eq!(state_of(&without, name), state, "{name}: {without}");
    }
    for (name, state) in [("lock", "sync.Mutex.Lock"), ("read", "sync.RWMutex.RLock")] {
        // With line tables only, a reader and a writer cannot be distinguished if both are inlined.
        let told = state_of(&beside, name);
        assert!(state.starts_with(told), "{name}: {beside}");
        let learned = state_of(&without, name);
        assert!(
            learned == state || learned == "semacquire",
            "{name}: {without}"
        );
    }
    for text in [&without, &other] {
        assert!(text.contains("goroutine "), "{text}");
        assert!(!text.contains("time::timeout"), "{text}");
    }
}

/// A program that `dwz -m` has processed has a link to a file that several programs have in common.
#[test]
fn lines_need_the_common_file_that_a_binary_names() {
    let own = std::env::current_exe().unwrap();
    let folder = std::env::temp_dir().join(format!("probe-common-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [binary, link, note] = ["app", "link", "note"].map(|name| folder.join(name));
    let dump_with_link = |section: &[u8]| {
        std::fs::write(&link, section).unwrap();
        let section = format!("--add-section=.gnu_debugaltlink={}", link.display());
        run("objcopy", &[section.as_ref(), &own, &binary]);
        dump_of(&binary, None)
    };
    let dump_with_link_to =
        |name: &str, id: &[u8]| dump_with_link(&[name.as_bytes(), b"\0", id].concat());
    let note_only = "--only-section=.note.gnu.build-id".as_ref();
    run("objcopy", &["-Obinary".as_ref(), note_only, &own, &note]);
    // Sizes and kind, "GNU" and a zero, and the id.
    let id = std::fs::read(&note).unwrap().split_off(16);
    // Nothing in this binary refers to the other file, so any file of that id will do.
    let there = dump_with_link_to(own.to_str().unwrap(), &id);
    let other_build = dump_with_link_to(own.to_str().unwrap(), b"the id of another build");
    let missing = dump_with_link_to("common.debug", &id);
    let without_end_of_name = dump_with_link(b"common.debug");
    // A section whose name says that it is compressed, and that is not.
    let damaged = folder.join("damaged.debug");
    std::fs::write(&link, "damaged").unwrap();
    let section = format!("--add-section=.zdebug_str={}", link.display());
    run("objcopy", &[note_only, section.as_ref(), &own, &damaged]);
    let unreadable = dump_with_link_to("damaged.debug", &id);
    std::fs::remove_dir_all(&folder).unwrap();

    let has_line = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        // Spawn locations are known without debug information.
        let is_frame =
            |pair: &[&str]| pair[1].starts_with('\t') && !pair[0].starts_with("created by ");
        let mut pairs = lines.windows(2).filter(|pair| is_frame(pair));
        pairs.any(|pair| pair[1].contains("tests/debug_file.rs:"))
    };
    assert!(has_line(&there), "{there}");
    for text in [other_build, missing, without_end_of_name, unreadable] {
        assert!(text.contains("debug_file::child"), "{text}");
        assert!(!has_line(&text), "{text}");
    }
}
