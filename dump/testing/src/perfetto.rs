//! Perfetto's own messages, in Python, as the foreign reader of our files for Perfetto.

use crate::{installed, own};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

pub struct Perfetto {
    python: OsString,
}

impl Perfetto {
    /// The Python of the environment, or what `ci/perfetto.sh` has installed. Without it a test has nothing to do and says so; in
    /// CI that is a failure.
    pub fn find(test: &str) -> Option<Self> {
        let python = std::env::var_os("PROBE_TEST_PERFETTO")
            .or_else(|| installed("perfetto-venv/bin/python").map(OsString::from));
        if python.is_none() {
            assert!(
                std::env::var_os("CI").is_none(),
                "no messages of Perfetto's: run ci/perfetto.sh first"
            );
            eprintln!(
                "######## SKIPPED {test}: no messages of Perfetto's. `bash ci/perfetto.sh` installs them. ########"
            );
        }
        python.map(|python| Self { python })
    }

    /// What is in the last of these files, as JSON; why one of them is refused.
    pub fn read(&self, files: &[PathBuf]) -> Result<String, String> {
        let output = Command::new(&self.python)
            .arg(own("src/read_perfetto.py"))
            .args(files)
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}
