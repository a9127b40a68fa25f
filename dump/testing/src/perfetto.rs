//! Perfetto's own messages, in Python, as a foreign reader of our Perfetto files.

use crate::{installed, own};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

pub struct Perfetto {
    python: OsString,
}

impl Perfetto {
    /// Finds the Python: from the environment, or installed by `ci/perfetto.sh`. Without it a test does nothing and
    /// prints a message. In CI a missing Python is a failure.
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

    /// The contents of the last of these files, as JSON. The error is the reason why a file is refused.
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
