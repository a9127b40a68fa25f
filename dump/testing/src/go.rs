//! The real `go` command, as a foreign reader of our files.

use crate::{installed, own};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The `go` command: from the environment, or installed by `ci/go.sh`. Without it a test does nothing and prints a
/// message. In CI a missing command is a failure.
pub struct Go {
    command: OsString,
    folder: PathBuf,
}

impl Go {
    /// Finds the command. `test` names the folder for temporary files.
    pub fn find(test: &str) -> Option<Self> {
        let command = std::env::var_os("PROBE_TEST_GO")
            .or_else(|| installed("go-venv/bin/go").map(OsString::from));
        let Some(command) = command else {
            assert!(
                std::env::var_os("CI").is_none(),
                "no go command: run ci/go.sh first"
            );
            eprintln!(
                "######## SKIPPED {test}: no go command. `bash ci/go.sh` installs one. ########"
            );
            return None;
        };
        // The folder is beside that of the tests: `target/debug/deps/PROGRAM` has `target/tmp`.
        let program = std::env::current_exe().unwrap();
        let folder = program.ancestors().nth(3).unwrap().join("tmp").join(test);
        fs::create_dir_all(&folder).unwrap();
        Some(Self { command, folder })
    }

    /// Writes a file for `go` to read.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The output of `go tool pprof`. Panics on a failure and on complaints.
    pub fn pprof(&self, arguments: &[&str], file: &Path) -> Vec<u8> {
        let arguments = arguments.iter().map(OsStr::new).chain([file.as_os_str()]);
        self.run(
            [OsStr::new("tool"), OsStr::new("pprof")]
                .into_iter()
                .chain(arguments),
        )
    }

    /// The output of `go tool pprof` as text.
    pub fn pprof_text(&self, arguments: &[&str], file: &Path) -> String {
        String::from_utf8(self.pprof(arguments, file)).unwrap()
    }

    /// Runs `go` in the folder for temporary files. Panics on a failure and on complaints.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Vec<u8> {
        let arguments: Vec<&OsStr> = arguments.into_iter().collect();
        let output = self.output(arguments.iter().copied());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && stderr.is_empty(),
            "go {arguments:?}: {}, {stderr}",
            output.status
        );
        output.stdout
    }

    /// Runs `go`, in the folder for temporary files.
    pub fn output<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Output {
        Command::new(&self.command)
            .args(arguments)
            .current_dir(&self.folder)
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod")
            .env("PPROF_TMPDIR", &self.folder)
            .env("BROWSER", "true")
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.command.display()))
    }
}

/// Go's strict validator of traces, built once for each folder.
impl Go {
    /// Checks traces by Go's own validator. The error is the validator's message.
    pub fn validate_traces(&self, traces: &[PathBuf]) -> Result<(), String> {
        let output = Command::new(self.trace_validator())
            .args(traces)
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr)),
        }
    }

    fn trace_validator(&self) -> PathBuf {
        let source = own("src/tracevalidate.go");
        let root = self.run(["env", "GOROOT"].map(OsStr::new));
        let root = String::from_utf8(root).unwrap();
        let inside = Path::new(root.trim()).join("src/cmd/tracevalidate/main.go");
        let overlay = format!("{{\"Replace\": {{{inside:?}: {source:?}}}}}");
        let overlay = self.file("overlay.json", overlay.as_bytes());
        let program = self.folder.join("tracevalidate");
        self.run([
            OsStr::new("build"),
            OsStr::new("-overlay"),
            overlay.as_os_str(),
            OsStr::new("-o"),
            program.as_os_str(),
            OsStr::new("cmd/tracevalidate"),
        ]);
        program
    }

    /// Starts the viewer of `go tool trace` on a loopback address. Dropping the second value ends its process.
    pub fn trace_viewer(&self, file: &Path) -> (std::net::SocketAddr, impl Drop) {
        struct Viewer(std::process::Child);
        impl Drop for Viewer {
            fn drop(&mut self) {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }
        // The tool is started directly: `go tool` would leave it running when `go` is killed.
        let tool = self.run(["tool", "-n", "trace"].map(OsStr::new));
        let tool = String::from_utf8(tool).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let log = self.file("viewer.log", b"");
        let viewer = Command::new(tool.trim())
            .args([OsStr::new(&format!("-http={address}")), file.as_os_str()])
            .current_dir(&self.folder)
            .env("BROWSER", "true")
            .stdout(Stdio::null())
            .stderr(fs::File::create(log).unwrap())
            .spawn()
            .unwrap();
        let viewer = Viewer(viewer);
        let deadline = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "go tool trace does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        (address, viewer)
    }

    /// The output of `go tool trace` with these options.
    pub fn trace(&self, options: &[&str], file: &Path) -> String {
        String::from_utf8_lossy(&self.trace_bytes(options, file)).into_owned()
    }

    /// The output of `go tool trace` as bytes.
    pub fn trace_bytes(&self, options: &[&str], file: &Path) -> Vec<u8> {
        let options = options.iter().map(OsStr::new);
        let arguments = ["tool", "trace"].map(OsStr::new).into_iter();
        let output = self.output(arguments.chain(options).chain([file.as_os_str()]));
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }
}
