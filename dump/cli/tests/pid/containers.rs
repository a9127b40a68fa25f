//! Processes with namespaces of their own, as containers have them, and programs that were replaced while they ran.

use super::*;

/// A program as process 1 of a PID namespace of its own, with a root directory of its own. Dropping it ends the process.
struct Container {
    /// `unshare`, whose only child is the program.
    process: Process,
    pid: u32,
    /// The root directory of the program, by its path outside.
    root: PathBuf,
}

/// Prepares a root directory with a program at `/app/waits`, and with what it needs.
fn root(name: &str, program: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&root);
    for directory in ["app", "bin", "dev", "old", "proc", "usr/lib/debug"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy(program, root.join("app/waits")).unwrap();
    std::fs::write(root.join("dev/null"), "").unwrap();
    let cat = ["/bin/cat", "/usr/bin/cat"];
    let cat = cat.iter().map(Path::new).find(|path| path.exists());
    std::fs::copy(cat.unwrap(), root.join("bin/cat")).unwrap();
    for of in ["app/waits", "bin/cat"] {
        let output = Command::new("ldd").arg(root.join(of)).output().unwrap();
        let libraries = String::from_utf8(output.stdout).unwrap();
        let words = libraries.split_whitespace();
        for library in words.filter(|word| word.starts_with('/')) {
            let inside = root.join(library.trim_start_matches('/'));
            std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
            std::fs::copy(library, inside).unwrap();
        }
    }
    root
}

/// What a container engine does: the new root replaces the old one, and `/proc` is that of the new PID namespace.
const ENTER: &str = r#"
set -e
export PATH=/usr/sbin:/sbin:/usr/bin:/bin
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind /dev/null "$1/dev/null"
mount -t proc proc "$1/proc"
cd "$1"
pivot_root . old
export PATH=/bin
exec /app/waits
"#;

/// The namespaces that this user may create; `None` if it may create none.
fn namespaces() -> Option<Vec<&'static str>> {
    let mut flags = vec!["--fork", "--pid", "--mount", "--kill-child"];
    for user in [&[][..], &["--user", "--map-root-user"]] {
        let mut all = flags.clone();
        all.extend(user);
        let tried = Command::new("unshare")
            .args(&all)
            .args(["--mount-proc", "true"])
            .stderr(Stdio::null())
            .status();
        if tried.is_ok_and(|status| status.success()) {
            flags = all;
            return Some(flags);
        }
    }
    println!(
        "SKIPPED: this user may not create PID and mount namespaces, so no process of a container"
    );
    None
}

impl Container {
    fn start(flags: &[&str], root: PathBuf) -> Self {
        let process = Process::of(
            Command::new("unshare")
                .args(flags)
                .args(["sh", "-c", ENTER, "sh"])
                .arg(&root),
        );
        let unshare = process.id();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let children = std::fs::read_to_string(children).unwrap();
        Self {
            process,
            pid: children.trim().parse().unwrap(),
            root,
        }
    }

    /// A shell command in the PID namespace of the program, without its mounts: what a debug container runs.
    fn beside(&self, command: &str) -> Output {
        let mut nsenter = Command::new("nsenter");
        let has_own_user = {
            let user = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
            user("self") != user(&self.pid.to_string())
        };
        if has_own_user {
            nsenter.args(["--user", "--preserve-credentials"]);
        }
        nsenter
            .args(["--pid", "--target", &self.pid.to_string()])
            .args(["unshare", "--mount", "sh", "-c", command, "sh"])
            .arg(env!("CARGO_BIN_EXE_runtime-dump"))
            .output()
            .unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The end of process 1 ends its namespace. With a user namespace it does not end with `unshare`.
        let kill = Command::new("sh")
            .args(["-c", "kill -9 \"$1\"", "sh", &self.pid.to_string()])
            .status();
        assert!(kill.unwrap().success() || std::thread::panicking());
        let _ = self.process.0.wait();
    }
}

/// The blocks of a dump in one order. The future of `block_on` is searched for on the stack of its thread, and what is
/// left of earlier calls there differs between processes.
fn all_blocks(dump: &str) -> String {
    let blocks = blocks(dump).1.into_values();
    let blocks = blocks.filter(|block| !block.contains("root of block_on"));
    blocks.collect::<Vec<_>>().join("\n")
}

/// The lines on runtimes, without numbers.
fn runtimes(dump: &str) -> Vec<String> {
    let lines = dump.lines().filter(|line| line.starts_with("# runtime "));
    let plain = |line: &str| line.chars().filter(|c| !c.is_ascii_digit()).collect();
    let mut lines: Vec<String> = lines.map(plain).collect();
    lines.sort();
    lines
}

#[test]
fn a_process_in_a_container_has_the_same_tasks() {
    let Some(flags) = namespaces() else { return };
    let outside = Process::start(&waits());
    let expected = dump(outside.id(), &[]);
    let running = dump(outside.id(), &["--no-stop"]);
    drop(outside);
    let container = Container::start(&flags, root("container", &waits()));
    let found = dump(container.pid, &[]);
    let title = format!("of process {} (/app/waits)", container.pid);
    assert!(found.contains(&title), "{found}");
    let (expected, found) = (all_blocks(&expected), all_blocks(&found));
    assert!(found == expected, "{}", difference(&expected, &found));
    let threads = dump(container.pid, &["--threads"]);
    assert!(threads.contains("waits::main(...)"), "{threads}");
    // The thread ids in the memory of the process are those of its own namespace.
    let found = dump(container.pid, &["--no-stop"]);
    assert!(runtimes(&running).len() > 3, "{running}");
    assert_eq!(runtimes(&found), runtimes(&running), "{found}");
}

#[test]
fn a_debug_container_sees_the_same_tasks() {
    let Some(flags) = namespaces() else { return };
    let container = Container::start(&flags, root("neighbour", &waits()));
    let outside = all_blocks(&dump(container.pid, &[]));
    let output = container.beside("mount -t proc proc /proc && \"$1\" pid 1");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let dump = String::from_utf8(output.stdout).unwrap();
    assert!(dump.contains("of process 1 (/app/waits)"), "{dump}");
    let dump = all_blocks(&dump);
    assert!(dump == outside, "{}", difference(&outside, &dump));
    // `/proc` is still the one of the outer namespace, in which 1 is another process.
    let output = container.beside("\"$1\" pid 1");
    let refused = String::from_utf8(output.stderr).unwrap();
    assert!(
        refused.contains("another PID namespace") && refused.contains("mount -t proc"),
        "{refused}"
    );
    assert!(!output.status.success() && output.stdout.is_empty());
}

#[test]
fn debug_files_are_searched_for_in_the_container() {
    let Some(flags) = namespaces() else { return };
    let program = waits();
    let root = root("debug-files", &program);
    // Below the directory of the distribution, at the path that the program has inside.
    let directory = root.join("usr/lib/debug/app");
    std::fs::create_dir_all(&directory).unwrap();
    let (inside, debug) = (root.join("app/waits"), directory.join("waits.debug"));
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&program, &debug]));
    run(Command::new("objcopy")
        .arg("--strip-all")
        .arg(format!("--add-gnu-debuglink={}", debug.display()))
        .args([&program, &inside]));
    let container = Container::start(&flags, root);
    assert!(dump(container.pid, &[]).contains("waits::kinds::sleeps(...)"));
    std::fs::remove_file(container.root.join("usr/lib/debug/app/waits.debug")).unwrap();
    let refused = refusal(container.pid, &[]);
    assert!(
        refused.contains("/app/waits has no debug information"),
        "{refused}"
    );
}

#[test]
fn a_replaced_program_and_library_are_read_as_they_run() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replaced");
    std::fs::create_dir_all(&directory).unwrap();
    let program = directory.join("waits");
    let _ = std::fs::remove_file(&program);
    std::fs::copy(waits(), &program).unwrap();
    // The library is found there before the system's.
    let library = directory.join("libc.so.6");
    let _ = std::fs::remove_file(&library);
    let ldd = Command::new("ldd").arg(&program).output().unwrap();
    let ldd = String::from_utf8(ldd.stdout).unwrap();
    let system = ldd
        .split_whitespace()
        .find(|word| word.ends_with("/libc.so.6"));
    std::fs::copy(system.unwrap(), &library).unwrap();
    let waits = Process::of(Command::new(&program).env("LD_LIBRARY_PATH", &directory));
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", waits.id())).unwrap();
    assert!(maps.contains(library.to_str().unwrap()), "{maps}");
    let (tasks, threads) = (dump(waits.id(), &[]), dump(waits.id(), &["--threads"]));
    // Files of another build are at the paths now, with other functions at the addresses.
    let mut replaced = vec![&program];
    let files = std::fs::read_dir(format!("/proc/{}/map_files", waits.id()));
    let mut files = files.into_iter().flatten().flatten();
    match files.any(|file| std::fs::File::open(file.path()).is_ok()) {
        true => replaced.push(&library),
        false => println!("SKIPPED: this user may not open mapped files, so no replaced library"),
    }
    for path in replaced {
        let new = directory.join("new");
        std::fs::copy(env!("CARGO_BIN_EXE_runtime-dump"), &new).unwrap();
        std::fs::rename(&new, path).unwrap();
    }
    let replaced = dump(waits.id(), &[]);
    assert!(replaced.contains("/waits (deleted))"), "{replaced}");
    let (tasks, replaced) = (all_blocks(&tasks), all_blocks(&replaced));
    assert!(replaced == tasks, "{}", difference(&tasks, &replaced));
    let functions = |threads: &str| {
        let lines = threads.lines().filter(|line| line.ends_with("(...)"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let of_main = functions(&threads);
    assert!(of_main.iter().any(|line| line == "waits::main(...)"));
    assert_eq!(functions(&dump(waits.id(), &["--threads"])), of_main);
}
