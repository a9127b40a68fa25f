//! The reasons why there is no dump, with advice.

use runtime_dump_decode::debug::unusable::Unusable;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// The advice on how to build.
const BUILD: &str = "build with `debug = 2` in the profile (CARGO_PROFILE_RELEASE_DEBUG=2); of one build, \
    `objcopy --only-keep-debug APP APP.debug` keeps the debug information beside a stripped program, for --debug-file; \
    --threads shows threads and their stacks without it";

/// The size of an incomplete core file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) has: u64,
    /// The number of bytes by its headers.
    pub(crate) wanted: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { has, wanted } = self;
        write!(f, "is cut off: it has {has} of {wanted} bytes")
    }
}

/// The reason why there is no dump.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The process does not exist.
    Gone(u32),
    /// `/proc` is missing, or is of another PID namespace than this command.
    OtherProc(u32),
    /// The process is one of the kernel's.
    NoProgram(u32),
    /// The kernel does not let this user read the process.
    Denied {
        pid: u32,
        /// The value of Yama's `ptrace_scope`, if it forbids reading.
        yama: Option<u32>,
    },
    /// The kernel lets only root read the process, not its user: it may not be dumped.
    Undumpable(u32),
    /// Another debugger traces the process.
    Traced { pid: u32, by: u32 },
    /// The program is of a kind that this command does not support.
    Foreign(&'static str),
    /// The file cannot be read.
    Unreadable(PathBuf, String),
    /// Neither the program nor a debug file has debug information.
    NoDebugInformation(PathBuf),
    /// The debug information has functions and lines, but no types.
    NoTypes(PathBuf),
    /// The types are in other files.
    Split(PathBuf),
    /// The types may be in a file that several programs have in common.
    CommonPart(PathBuf),
    /// The debug file is of another build.
    Mismatch {
        debug: PathBuf,
        debug_id: String,
        program_id: String,
    },
    /// The file named as debug file has no debug information.
    NoDebugFile(PathBuf, String),
    /// The program has no tokio.
    NoTokio(PathBuf),
    /// The program has tokio, but no thread is inside a runtime.
    NoRuntime(u32),
    /// There is no dump of a process that has started others. In a container process 1 can be a shell.
    Parent {
        why: Box<Refusal>,
        /// Ids and names of the processes that it has started.
        children: Vec<(u32, String)>,
    },
    /// The core file does not name its program.
    NoProgramOfCore(PathBuf),
    /// The program that the core file names cannot be read.
    ProgramOfCore {
        core: PathBuf,
        program: PathBuf,
        why: String,
    },
    /// The core file lacks its end.
    Cut { core: PathBuf, cut: Cut },
    /// The core file and the program are of different builds.
    OtherProgram { core: PathBuf, program: PathBuf },
    /// There is no address space for copies.
    NoRoom(String),
    /// The reader of the output has closed it.
    Closed,
    /// The output cannot be written.
    Output(String),
}

impl From<Unusable> for Refusal {
    fn from(why: Unusable) -> Self {
        match why {
            Unusable::Unreadable(path, why) => Self::Unreadable(path, why),
            Unusable::NoTypes(path) => Self::NoTypes(path),
            Unusable::Split(path) => Self::Split(path),
            Unusable::CommonPart(path) => Self::CommonPart(path),
            Unusable::NoTokio(path) => Self::NoTokio(path),
            Unusable::TooLarge(path) => Self::Unreadable(path, "it is too large".into()),
        }
    }
}

impl Refusal {
    /// The refusal for an error of the output.
    pub(crate) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Output(error.to_string()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(pid) => write!(
                f,
                "there is no process {pid}; `pidof NAME` prints the id of a running program; inside a container the id differs"
            ),
            Self::OtherProc(pid) => write!(
                f,
                "/proc is missing or has the process ids of another PID namespace, so that {pid} means two processes; mount one of \
                 this namespace: `unshare --mount sh -c 'mount -t proc proc /proc && runtime-dump pid {pid}'`"
            ),
            Self::NoProgram(pid) => write!(
                f,
                "process {pid} runs no program: it is one of the kernel's, or has just ended"
            ),
            Self::Denied { pid, yama: None } => write!(
                f,
                "process {pid} may not be read by this user; run as its user, as root, or with CAP_SYS_PTRACE \
                 (`setcap cap_sys_ptrace=ep` on this command; in a container `--cap-add SYS_PTRACE`; in Kubernetes `kubectl debug --profile=general`)"
            ),
            Self::Denied { pid, yama: Some(3) } => write!(
                f,
                "process {pid} may not be read: kernel.yama.ptrace_scope is 3, which forbids it to all until the next boot; \
                 take a core file (`kill -ABRT` with core files switched on)"
            ),
            Self::Denied {
                pid,
                yama: Some(scope),
            } => write!(
                f,
                "process {pid} may not be read: kernel.yama.ptrace_scope is {scope}; run as root or with \
                 `setcap cap_sys_ptrace=ep` on this command, or set `sysctl kernel.yama.ptrace_scope=0`, or take a core file"
            ),
            Self::Undumpable(pid) => write!(
                f,
                "process {pid} may not be read, by its user neither: it has changed its user since its start (or its program file may not be \
                 read, or it asked for this itself); run as root or with CAP_SYS_PTRACE (`setcap cap_sys_ptrace=ep` on this command), or let the \
                 service manager change the user (`User=` of systemd)"
            ),
            Self::Traced { pid, by } => write!(
                f,
                "process {pid} is traced by process {by} (a debugger or strace), and the kernel allows one tracer; end that first"
            ),
            Self::Foreign(what) => write!(
                f,
                "{what}; this command reads 64-bit x86_64 programs of Linux"
            ),
            Self::Unreadable(path, why) => write!(f, "{} cannot be read: {why}", path.display()),
            Self::NoDebugInformation(path) => write!(
                f,
                "{} has no debug information, and no debug file of its build is at the usual places; {BUILD}",
                path.display()
            ),
            Self::NoTypes(path) => write!(
                f,
                "{} has debug information without types (`debug = 1` or `line-tables-only`), so that the futures cannot be read; {BUILD}",
                path.display()
            ),
            Self::Split(path) => write!(
                f,
                "{} has its types in other files (`split-debuginfo`), which are not here; keep the NAME.dwp that \
                 `split-debuginfo = \"packed\"` writes beside the program, or build with `split-debuginfo = \"off\"`",
                path.display()
            ),
            Self::CommonPart(path) => write!(
                f,
                "{} may have its types in a file that several programs have in common (`dwz -m`), which this command does not read; \
                 --debug-file takes the program as it was before",
                path.display()
            ),
            Self::Mismatch {
                debug,
                debug_id,
                program_id,
            } => write!(
                f,
                "{} is of another build than the program: build id {debug_id} instead of {program_id}; \
                 keep the debug file of the very build that runs",
                debug.display()
            ),
            Self::NoDebugFile(path, why) => write!(
                f,
                "{} has no debug information: {why}; --debug-file takes the program as it was before it was stripped, or what \
                 `objcopy --only-keep-debug APP APP.debug` made of that",
                path.display()
            ),
            Self::NoTokio(path) => write!(
                f,
                "{} has no types of tokio's tasks: it spawns none (is it the right process?), or its dependencies were built \
                 without `debug = 2`",
                path.display()
            ),
            Self::NoRuntime(pid) => write!(
                f,
                "process {pid} has tokio, but none of its threads is inside a runtime: no runtime was started, or it has ended"
            ),
            Self::Parent { why, children } => {
                write!(f, "{why}; it has started")?;
                for (at, (pid, name)) in children.iter().enumerate() {
                    write!(f, "{} {pid} ({name})", if at == 0 { "" } else { "," })?;
                }
                f.write_str(": one of these may be the service")
            }
            Self::NoProgramOfCore(core) => write!(
                f,
                "{} does not name its program; give it by --exe",
                core.display()
            ),
            Self::ProgramOfCore { core, program, why } => write!(
                f,
                "{} is of {}, which cannot be read: {why}; give the program that ran by --exe",
                core.display(),
                program.display()
            ),
            Self::Cut { core, cut } => write!(
                f,
                "{} {cut}; write another one with room on the disk and after `ulimit -c unlimited`, or by `gcore PID`",
                core.display()
            ),
            Self::OtherProgram { core, program } => write!(
                f,
                "{} is of another build of the program than {}; give the one that ran by --exe",
                core.display(),
                program.display()
            ),
            Self::NoRoom(why) => write!(
                f,
                "1 GiB of address space for copies of pages is not available: {why}; `ulimit -v unlimited` lifts a limit"
            ),
            Self::Closed => f.write_str("the reader of the output has closed it"),
            Self::Output(why) => write!(f, "the dump cannot be written: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_a_line_that_says_what_to_do() {
        let path = || PathBuf::from("/srv/app");
        let denied = |yama| Refusal::Denied { pid: 7, yama };
        let cases = [
            (Refusal::Gone(7), "pidof"),
            (Refusal::OtherProc(7), "mount -t proc"),
            (Refusal::NoProgram(7), "the kernel's"),
            (denied(None), "CAP_SYS_PTRACE"),
            (denied(None), "kubectl debug --profile=general"),
            (denied(Some(1)), "kernel.yama.ptrace_scope=0"),
            (denied(Some(2)), "setcap cap_sys_ptrace=ep"),
            (denied(Some(3)), "take a core file"),
            (Refusal::Undumpable(7), "run as root"),
            (Refusal::Undumpable(7), "User="),
            (Refusal::Traced { pid: 7, by: 8 }, "end that first"),
            (Refusal::Foreign("the program is a 32-bit one"), "x86_64"),
            (Refusal::NoDebugInformation(path()), "debug = 2"),
            (Refusal::NoDebugInformation(path()), "--only-keep-debug"),
            (Refusal::NoTypes(path()), "debug = 2"),
            (Refusal::NoTypes(path()), "--threads"),
            (Refusal::Split(path()), ".dwp"),
            (Refusal::CommonPart(path()), "--debug-file"),
            (
                Refusal::NoDebugFile(path(), "it is a directory".into()),
                "--only-keep-debug",
            ),
            (
                Refusal::ProgramOfCore {
                    core: path(),
                    program: path(),
                    why: "it is a directory".into(),
                },
                "--exe",
            ),
            (
                Refusal::Cut {
                    core: path(),
                    cut: Cut { has: 1, wanted: 2 },
                },
                "ulimit -c unlimited",
            ),
            (Refusal::NoTokio(path()), "is it the right process?"),
            (Refusal::NoRuntime(7), "no runtime was started"),
            (
                Refusal::Parent {
                    why: Box::new(Refusal::NoDebugInformation(path())),
                    children: vec![(8, "app".into()), (9, "sleep".into())],
                },
                "it has started 8 (app), 9 (sleep): one of these",
            ),
            (Refusal::NoProgramOfCore(path()), "--exe"),
            (Refusal::NoRoom("no memory".into()), "ulimit -v"),
        ];
        for (refusal, way_out) in cases {
            let text = refusal.to_string();
            assert!(text.contains(way_out) && !text.contains('\n'), "{text}");
        }
    }
}
