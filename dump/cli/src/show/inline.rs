//! HTML files that need no other files. Their scripts and styles are inside of them.
//!
//! A policy in the head allows these scripts and styles by their hashes, and nothing else: the browser loads no files, and if
//! a name of the profile were not escaped, its script would not run. The hashes are constants beside the texts. A test in
//! Chromium fails for a hash that is not the text's, and prints Chromium's message with the right one.

use super::markup::escaped;
use std::fmt::{Display, Formatter, Result, Write as _};

/// The content of a `script` or `style` element.
pub(crate) struct Inline {
    /// SHA-256 of the text, in base64.
    pub(crate) sha256: &'static str,
    pub(crate) text: &'static str,
}

impl Display for Inline {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.text)
    }
}

/// A file up to its heading. `styles` and `scripts` are those of the body.
pub(crate) fn beginning(
    title: &str,
    style: &Inline,
    styles: &[&Inline],
    scripts: &[&Inline],
) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; form-action 'none'; style-src",
    );
    let push = |page: &mut String, inline: &Inline| {
        let _ = write!(page, " 'sha256-{}'", inline.sha256);
    };
    push(&mut page, style);
    for inline in styles {
        push(&mut page, inline);
    }
    page.push_str("; script-src");
    for inline in scripts {
        push(&mut page, inline);
    }
    let _ = write!(
        page,
        "\">\n<title>{title}</title>\n<style>{style}</style></head><body>\n<h1>{title}</h1>\n",
        title = escaped(title),
    );
    page
}
