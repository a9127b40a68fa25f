//! The output of the command on a terminal, and without one: colours, a pager, a screen of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use runtime_probe::pprof;
use runtime_probe::runtime::Builder;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The longest time that a program may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The rows of a terminal on which a whole dump fits, and of one on which it does not.
const TALL: u16 = 200;
const SHORT: u16 = 10;

/// A pager that marks each line.
const MARKS: &str = "sed s/^/paged:/";

/// The command on a terminal.
struct Terminal {
    child: Child,
    keys: File,
    shown: Receiver<Vec<u8>>,
    text: String,
}

/// The stream of the command that is not the terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Apart {
    Nothing,
    /// The standard input is empty.
    Input,
    /// The standard output is a file.
    Output,
}

impl Terminal {
    fn start(mut command: Command, rows: u16, apart: Apart) -> Terminal {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        let size = Winsize {
            ws_row: rows,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&main, size).unwrap();
        let path = ptsname(&main, Vec::new()).unwrap();
        let path = PathBuf::from(path.to_str().unwrap());
        let side = || {
            let mut options = File::options();
            Stdio::from(options.read(true).write(true).open(&path).unwrap())
        };
        command.stdin(side()).stdout(side()).stderr(side());
        match apart {
            Apart::Nothing => {}
            Apart::Input => drop(command.stdin(Stdio::null())),
            Apart::Output => drop(command.stdout(File::create(output_file()).unwrap())),
        }
        let child = command.spawn().unwrap();
        // The command has copies of the terminal. The output ends when the last copy is closed.
        drop(command);
        let main: OwnedFd = main;
        let mut reader = File::from(main.try_clone().unwrap());
        let (tell, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of the terminal is an error.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if tell.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            child,
            keys: File::from(main),
            shown,
            text: String::new(),
        }
    }

    /// Waits until a text was shown.
    fn until(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.text.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} in {:?}", self.text),
            }
        }
    }

    fn press(&mut self, key: u8) {
        self.keys.write_all(&[key]).unwrap();
    }

    /// Waits until the command has succeeded. Returns the whole output.
    fn end(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:?}", self.text),
            }
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.text);
        // A terminal writes an end of a line as two characters.
        std::mem::take(&mut self.text).replace("\r\n", "\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn output_file() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("terminal-output.txt")
}

/// The command, without this process's variables for terminals.
fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime-dump"));
    command.args(arguments).env("TERM", "xterm");
    for name in ["NO_COLOR", "PAGER", "LESS", "RUNTIME_DUMP_URL"] {
        command.env_remove(name);
    }
    command.envs(
        environment
            .iter()
            .map(|(name, value)| (name, OsStr::new(value))),
    );
    command
}

/// The output on a terminal with this number of rows.
fn on_terminal(arguments: &[&str], environment: &[(&str, &str)], rows: u16) -> String {
    Terminal::start(command(arguments, environment), rows, Apart::Nothing).end()
}

/// The output into a pipe.
fn in_pipe(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = command(arguments, environment).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The path of a dump of twenty tasks. Each test has its own file, because the tests run at the same time.
fn dump(test: &str) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for id in 1..=20 {
        let _ = write!(
            text,
            "goroutine {id} [sleep, 2 minutes]:\nmain.nap(0x1)\n\t/app/main.go:9 +0x2f\n\n"
        );
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("terminal-{test}.txt"));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Removes the escapes of colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (colour, rest) = part.split_once('m').expect("a colour ends");
        assert!(
            colour
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b';'),
            "{colour}"
        );
        text + rest
    })
}

#[test]
fn colours_are_for_terminals() {
    let dump = dump("colours");
    for arguments in [
        &["tasks", &dump][..],
        &["tasks", "--full", &dump],
        &["stacks", &dump],
    ] {
        let plain = in_pipe(arguments, &[]);
        assert!(plain.contains("main.nap"), "{plain}");
        assert!(!plain.contains('\x1b'), "{plain}");
        let coloured = on_terminal(arguments, &[], TALL);
        assert!(coloured.contains("\x1b["), "{arguments:?}: {coloured}");
        assert_eq!(without_colours(&coloured), plain, "{arguments:?}");
        // Any value has the same effect, but an empty value has none.
        for (environment, has_colours) in [
            (("NO_COLOR", "1"), false),
            (("NO_COLOR", "0"), false),
            (("NO_COLOR", ""), true),
            (("TERM", "dumb"), false),
        ] {
            let text = on_terminal(arguments, &[environment], TALL);
            assert_eq!(
                text.contains('\x1b'),
                has_colours,
                "{environment:?}: {text}"
            );
            assert_eq!(without_colours(&text), plain, "{environment:?}");
        }
    }
}

/// Only the standard output decides.
#[test]
fn a_file_has_neither_colours_nor_pages() {
    let arguments = ["tasks", "--full", &dump("file")];
    let command = command(&arguments, &[("PAGER", MARKS)]);
    let shown = Terminal::start(command, SHORT, Apart::Output).end();
    assert_eq!(shown, "");
    let written = std::fs::read_to_string(output_file()).unwrap();
    assert!(written.contains("main.nap"), "{written}");
    for sign in ["\x1b", "paged:"] {
        assert!(!written.contains(sign), "{written}");
    }
    assert_eq!(written, in_pipe(&arguments, &[]));
}

#[test]
fn a_pager_is_for_what_is_longer_than_a_terminal() {
    let arguments = ["tasks", &dump("pager")];
    let plain = in_pipe(&arguments, &[("PAGER", MARKS)]);
    assert!(plain.lines().count() > usize::from(SHORT));
    assert!(!plain.contains("paged:"), "{plain}");
    let marks = [("PAGER", MARKS)];
    let tall = on_terminal(&arguments, &marks, TALL);
    assert_eq!(without_colours(&tall), plain);
    let short = on_terminal(&arguments, &marks, SHORT);
    let paged: Vec<&str> = short.lines().collect();
    assert_eq!(paged.len(), plain.lines().count());
    for line in paged {
        assert!(line.starts_with("paged:"), "{line}: {short}");
    }
    // A pager shows colours.
    assert!(short.contains("\x1b["), "{short}");
    assert_eq!(without_colours(&short).replace("paged:", ""), plain);
    // The terminal does not report its size.
    assert_eq!(without_colours(&on_terminal(&arguments, &marks, 0)), plain);
    // The first pager is empty, the second one does not exist.
    for pager in ["", "/nowhere/to/be/found"] {
        let text = on_terminal(&arguments, &[("PAGER", pager)], SHORT);
        assert_eq!(without_colours(&text), plain, "{pager}");
    }
}

#[test]
fn less_is_told_of_colours_unless_someone_else_tells_it() {
    let arguments = ["tasks", &dump("less")];
    let prints = ("PAGER", "printenv LESS");
    assert_eq!(on_terminal(&arguments, &[prints], SHORT), "-FRSX\n");
    let own = [prints, ("LESS", "-M")];
    assert_eq!(on_terminal(&arguments, &own, SHORT), "-M\n");
}

/// `top` uses the second screen of the terminal, and restores the first one.
#[test]
fn top_draws_on_a_terminal_and_gives_it_back() {
    const BEGINS: &str = "\x1b[?1049h\x1b[?25l";
    const ENDS: &str = "\x1b[?25h\x1b[?1049l";
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.spawn(std::future::pending::<()>());
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let arguments = ["top", &address, "--every", "100ms"];

    let mut top = Terminal::start(command(&arguments, &[]), TALL, Apart::Nothing);
    top.until("POLLS/S");
    top.until("\x1b[1m");
    // Keys are not echoed, and the order is shown.
    top.press(b's');
    top.until(", by polls: ");
    top.press(b'q');
    let text = top.end();
    assert!(text.starts_with(BEGINS) && text.ends_with(ENDS), "{text:?}");
    assert_eq!(text.matches(BEGINS).count(), 1);

    let mut top = Terminal::start(
        command(&arguments, &[("NO_COLOR", "1")]),
        TALL,
        Apart::Nothing,
    );
    top.until("POLLS/S");
    // The terminal sends this byte for ctrl-c.
    top.press(0x03);
    let text = top.end();
    assert!(text.ends_with(ENDS), "{text:?}");
    for colour in ["\x1b[1m", "\x1b[2m", "\x1b[1;31m", "\x1b[36m"] {
        assert!(!text.contains(colour), "{text:?}");
    }

    // Without keys the screen could not be left, so a table is printed once, with colours.
    let text = Terminal::start(command(&arguments, &[]), TALL, Apart::Input).end();
    assert!(!text.contains(BEGINS), "{text:?}");
    assert_eq!(text.matches("POLLS/S").count(), 1, "{text:?}");
    assert!(text.contains("\x1b[1m"), "{text:?}");
    assert!(!in_pipe(&arguments, &[]).contains('\x1b'));
}
