//! The results of a run, printed as they come and, with `--record`, written to a file as a dated record.

use std::fs;
use std::path::PathBuf;

use crate::machine;
use crate::options::Options;
use crate::table::Table;

/// A markdown document under construction.
pub struct Record {
    text: String,
    file: Option<PathBuf>,
}

impl Record {
    pub fn new(options: &Options) -> Self {
        let mut record = Self {
            text: String::new(),
            file: options.record.clone(),
        };
        let quick = if options.quick {
            ", a quick run: not for judging"
        } else {
            ""
        };
        let layout = options.layout.map(|seed| format!(", layout {seed}"));
        record.paragraph(&format!(
            "# Benchmarks, {}{}{quick}",
            machine::today(),
            layout.unwrap_or_default()
        ));
        record
    }

    pub fn section(&mut self, title: &str, explanation: &str) {
        self.paragraph(&format!("## {title}"));
        self.paragraph(explanation);
    }

    pub fn table(&mut self, table: &Table) {
        self.paragraph(table.to_string().trim_end());
    }

    pub fn paragraph(&mut self, text: &str) {
        println!("{text}\n");
        self.text.push_str(text);
        self.text.push_str("\n\n");
    }

    /// Writes the file that `--record` named.
    pub fn save(&self) -> Result<(), crate::Error> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let text = format!("{}\n", self.text.trim_end());
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        eprintln!("recorded in {}", file.display());
        Ok(())
    }
}
