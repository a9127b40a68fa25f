//! The Go contestant: goroutines and `net/http/pprof`, the reference for dumps.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, build_dir, workspace};

/// The Go contestant, built.
pub struct Go {
    pub program: PathBuf,
    /// The output of `go version`.
    pub version: String,
}

/// Builds it, or says why there are no Go rows. Looks for `$GO`, then asks `ci/go.sh`, then searches `PATH`.
pub fn build() -> Result<Go, Error> {
    let (go, version) = toolchain()?;
    let target = build_dir("go");
    let program = target.join("contestant");
    eprintln!("building go");
    let output = command(&go)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("contestants/go"))
        .args(["build", "-o"])
        .args([&program])
        .arg(".")
        .env("GOCACHE", target.join("cache"))
        .output()?;
    if !output.status.success() {
        return Err(format!("go build: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Go { program, version })
}

fn toolchain() -> Result<(PathBuf, String), Error> {
    let from_script = || {
        let output = Command::new("bash")
            .arg("ci/go.sh")
            .current_dir(workspace())
            .output()
            .ok()?;
        let printed = String::from_utf8(output.stdout).ok()?;
        let path = printed.lines().last()?.trim();
        (output.status.success() && !path.is_empty()).then(|| PathBuf::from(path))
    };
    let go = std::env::var_os("GO")
        .map(PathBuf::from)
        .or_else(from_script)
        .unwrap_or_else(|| PathBuf::from("go"));
    let output = command(&go)
        .arg("version")
        .output()
        .map_err(|error| format!("{}: {error}", go.display()))?;
    if !output.status.success() {
        return Err(format!("{} version: {}", go.display(), output.status).into());
    }
    let version = String::from_utf8_lossy(&output.stdout)
        .trim()
        .trim_start_matches("go version ")
        .to_owned();
    Ok((go, version))
}

/// Only this toolchain, and no network: the contestant uses the standard library only.
fn command(go: &Path) -> Command {
    let mut command = Command::new(go);
    command
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off");
    command
}
