//! Parsers of dumps: the texts of `debug=1` and `debug=2`, logs of them, and `profile.proto`, ours and Go's.
//!
//! Every parser is a pure function over bytes. Time and memory are proportional to the input, and no parser panics.
//!
//! In reading order:
//! * [`blocks`]: a block of text for each task or thread, `debug=2`;
//! * [`remark`]: the remark above a block;
//! * [`joins`]: the ends of tasks that a task waits for, in its remark;
//! * [`counts`]: equal stacks with their count, `debug=1`;
//! * [`count_log`]: several count profiles, each below a date;
//! * [`stacks`]: the stacks of a dump of any form, with their counts.

pub mod blocks;
pub mod count_log;
pub mod counts;
mod date;
mod duration;
pub mod joins;
pub mod remark;
pub mod stacks;
mod unquoted;

use std::error::Error;
use std::fmt;

use crate::profile::proto::Profile;
use blocks::Blocks;
use count_log::CountLog;
use counts::Counts;

pub use date::rfc3339;
pub use duration::duration_ns;

/// The largest text that is read. A dump of a million tasks has about 500 MB.
pub const MAX_TEXT_BYTES: usize = 1 << 30;

/// A parsed file or reply.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// A dump with a block for each task or thread.
    Blocks(Blocks),
    /// Stacks with their counts.
    Counts(Counts),
    /// The counts of several moments.
    Log(CountLog),
    /// A profile of any kind.
    Profile(Box<Profile>),
}

/// Parses a dump of any form. The first bytes determine the form.
///
/// ```
/// use runtime_dump::parse::{Parsed, parse};
///
/// let text = b"goroutine 7 [sleep, 2 minutes]:\nmain.nap(0x1)\n\t/app/main.go:9 +0x2f\n";
/// let Ok(Parsed::Blocks(dump)) = parse(text) else { panic!("no dump") };
/// assert_eq!((dump.blocks[0].id, &*dump.blocks[0].state), (7, "sleep"));
/// assert_eq!(&*dump.blocks[0].stack.frames[0].function, "main.nap");
/// ```
///
/// # Errors
/// [`ParseError`] names the form of the bytes, or the missing part.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ParseError> {
    if bytes.is_empty() {
        return Err(ParseError::Empty);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return profile(bytes);
    }
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(ParseError::TooLarge);
    }
    // A name may have any bytes. Bytes that are no UTF-8 are replaced.
    let text = String::from_utf8_lossy(bytes);
    let headers = count_log::headers(&text);
    if counts::is_header(text.lines().next().unwrap_or_default()) && headers < 2 {
        return counts::parse(&text).map(Parsed::Counts);
    }
    if headers > 0 {
        return count_log::parse(&text).map(Parsed::Log);
    }
    // The name of a profile may look like another form's first bytes, so the check for other forms comes after the
    // headers.
    if let Some(form) = other_form(bytes) {
        return Err(ParseError::OtherForm(form));
    }
    if blocks::is_dump(&text) {
        return blocks::parse(&text).map(Parsed::Blocks);
    }
    profile(bytes).map_err(|_| {
        ParseError::NotADump(
            text.lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(60)
                .collect(),
        )
    })
}

fn profile(bytes: &[u8]) -> Result<Parsed, ParseError> {
    let profile = Profile::decode(bytes).map_err(|error| ParseError::Profile(error.to_string()))?;
    // Bytes of some shapes decode as a message with unknown fields only.
    if profile.sample_type.is_empty() {
        return Err(ParseError::Profile(
            "a message without sample types".to_owned(),
        ));
    }
    Ok(Parsed::Profile(Box::new(profile)))
}

/// The name of another form that Go's tools write.
fn other_form(bytes: &[u8]) -> Option<&'static str> {
    const FORMS: [(&[u8], &str); 8] = [
        (b"go 1.", "an execution trace: `go tool trace` reads it"),
        (
            b"--- ",
            "a profile of contention as text: ask without debug=1 for profile.proto",
        ),
        (
            b"heap profile: ",
            "a heap profile as text: ask without debug=1 for profile.proto",
        ),
        (b"{", "JSON: ask for debug=1 or debug=2"),
        (b"[", "JSON: ask for debug=1 or debug=2"),
        (b"<", "a page of HTML or XML"),
        (
            b"\x28\xb5\x2f\xfd",
            "a file of zstd: `runtime-dump open` reads a bundle",
        ),
        (
            b"\x7fELF",
            "a program or a core file: `runtime-dump core` reads cores",
        ),
    ];
    let (_, form) = FORMS.iter().find(|(magic, _)| bytes.starts_with(magic))?;
    Some(form)
}

/// The reason why bytes are not a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The input is empty.
    Empty,
    /// The input is larger than [`MAX_TEXT_BYTES`].
    TooLarge,
    /// The bytes have another known form.
    OtherForm(&'static str),
    /// The bytes have no known form, and begin with this text.
    NotADump(String),
    /// A dump that ends too early, and the missing part.
    Truncated(String),
    /// A profile that cannot be read, and the reason.
    Profile(String),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLarge => write!(f, "it is larger than {MAX_TEXT_BYTES} bytes"),
            Self::OtherForm(form) => write!(f, "it is {form}"),
            Self::NotADump(start) => write!(f, "it is no dump: it begins with {start:?}"),
            Self::Truncated(what) => write!(f, "it is truncated: {what}"),
            Self::Profile(why) => write!(f, "it is no profile: {why}"),
        }
    }
}

impl Error for ParseError {}
