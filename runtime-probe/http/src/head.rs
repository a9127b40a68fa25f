//! From bytes to a request without its body.
//!
//! A scan finds the end of the head as its bytes arrive and enforces the bounds. `httparse` then parses each head
//! once. Parsing again after each read was rejected: a client that sends byte by byte would cost quadratic time. The
//! scan is stricter than `httparse`: a line ends in CR LF only. With a lone LF or CR two parsers on one connection (a
//! proxy's and ours) could disagree.

use std::time::Instant;

use httparse::Error;

use super::inbox::{Inbox, ReadError, Source};
use super::limits::{MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES};
use super::refusal::Refusal;
use super::request::{Request, Version};

/// The bytes of a request line beside the target: a method, ` HTTP/1.1` and blanks, with a margin.
const REQUEST_LINE_EXTRA: usize = 64;

/// Reads one head and leaves the following bytes in the inbox.
pub(super) fn read<S: Source>(
    inbox: &mut Inbox<S>,
    deadline: Instant,
) -> Result<Request, ReadError> {
    let mut scan = Scan::default();
    loop {
        if let Some(length) = scan.advance(inbox.unread())? {
            let request = inbox
                .unread()
                .get(..length)
                .ok_or(ReadError::Lost)
                .map(parse)??;
            inbox.consume(length);
            return Ok(request);
        }
        inbox.more(deadline)?;
    }
}

/// How far the bytes were searched for the end of the head.
#[derive(Debug, Default)]
struct Scan {
    /// Bytes that were searched.
    seen: usize,
    /// Whether the last of these bytes is a CR.
    after_cr: bool,
    /// Bytes in the current line.
    line: usize,
    part: Part,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Start,
    /// An empty line before the request line: old clients send one after a body.
    RequestLine,
    Headers,
}

impl Scan {
    /// Searches the bytes that have arrived since. Returns the length of the head once it is complete.
    fn advance(&mut self, unread: &[u8]) -> Result<Option<usize>, Refusal> {
        for &byte in unread.get(self.seen..).unwrap_or_default() {
            self.seen += 1;
            if self.seen > MAX_HEAD_BYTES {
                return Err(Refusal::new(
                    431,
                    format!("the head of the request is longer than {MAX_HEAD_BYTES} bytes"),
                ));
            }
            match (byte, self.after_cr) {
                (b'\n', true) => {
                    self.part = match (self.line, self.part) {
                        (0, Part::Headers) => return Ok(Some(self.seen)),
                        (0, Part::Start) => Part::RequestLine,
                        (0, Part::RequestLine) => {
                            return Err(bad("the request begins with empty lines"));
                        }
                        _ => Part::Headers,
                    };
                    self.line = 0;
                }
                (b'\n', false) => return Err(bad("a line of the head ends in LF without CR")),
                (_, true) => return Err(bad("the head has a CR without LF")),
                (0, _) => return Err(bad("the head has a NUL byte")),
                (b'\r', _) => {}
                _ => self.line += 1,
            }
            self.after_cr = byte == b'\r';
            if self.part != Part::Headers && self.line > MAX_TARGET_BYTES + REQUEST_LINE_EXTRA {
                return Err(too_long());
            }
        }
        Ok(None)
    }
}

fn parse(head: &[u8]) -> Result<Request, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(bad("the head of the request is malformed")),
        Err(error) => return Err(refusal(error)),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(bad("the request line is malformed"));
    };
    if target.len() > MAX_TARGET_BYTES {
        return Err(too_long());
    }
    let version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    let headers = parsed.headers.iter().map(|header| {
        (
            header.name.to_owned(),
            String::from_utf8_lossy(header.value).into_owned(),
        )
    });
    Request::from_head(method, target, version, headers.collect())
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::TooManyHeaders => Refusal::new(
            431,
            format!("the request has more than {MAX_HEADERS} headers"),
        ),
        Error::Version => bad("the request line does not end in HTTP/1.0 or HTTP/1.1"),
        Error::HeaderName | Error::HeaderValue => bad("a header of the request is malformed"),
        _ => bad("the request line is malformed"),
    }
}

fn too_long() -> Refusal {
    Refusal::new(
        414,
        format!("the request target is longer than {MAX_TARGET_BYTES} bytes"),
    )
}

fn bad(sentence: &'static str) -> Refusal {
    Refusal::bad_request(sentence)
}
