//! The framing of a request's body. Lenient framing allows request smuggling.
//!
//! A body that two parsers could read in two ways is refused: both lengths at once, a length that is given twice or
//! has anything but digits, a coding other than `chunked`, a chunk that does not end where it says. A refusal closes
//! the connection, so that no bytes after a doubtful body are taken for a request.

use std::time::Instant;

use super::inbox::{Inbox, ReadError, Source};
use super::limits::{MAX_BODY_BYTES, MAX_FRAMING_BYTES};
use super::refusal::Refusal;
use super::request::{Request, Version};

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    Empty,
    /// By its length, which is within the limit.
    Length(usize),
    /// By an empty chunk.
    Chunked,
}

/// The framing by the headers. A length beyond the limit is refused before a byte of the body is read.
pub(super) fn framing(request: &Request) -> Result<Framing, Refusal> {
    let mut lengths = request.header_values("content-length");
    let mut codings = request.header_values("transfer-encoding");
    match (
        lengths.next(),
        lengths.next(),
        codings.next(),
        codings.next(),
    ) {
        (None, _, None, _) => Ok(Framing::Empty),
        (Some(_), _, Some(_), _) => Err(bad(
            "the request has both a Content-Length and a Transfer-Encoding",
        )),
        (_, Some(_), _, _) => Err(bad("the request has more than one Content-Length")),
        (Some(digits), ..) => length(digits),
        (.., Some(_)) => Err(bad("the request has more than one Transfer-Encoding")),
        (_, _, Some(_), _) if request.version() == Version::Http10 => {
            Err(bad("a Transfer-Encoding is no part of HTTP/1.0"))
        }
        (_, _, Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        (_, _, Some(_), _) => Err(Refusal::new(
            501,
            "of all Transfer-Encodings only chunked is understood",
        )),
    }
}

/// Reads a body and leaves what follows it in the inbox.
pub(super) fn read<S: Source>(
    inbox: &mut Inbox<S>,
    framing: Framing,
    deadline: Instant,
) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    match framing {
        Framing::Empty => {}
        Framing::Length(length) => take(inbox, length, &mut body, deadline)?,
        Framing::Chunked => read_chunks(inbox, &mut body, deadline)?,
    }
    Ok(body)
}

fn length(digits: &str) -> Result<Framing, Refusal> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("the Content-Length is not a number"));
    }
    match digits.parse() {
        Ok(0) => Ok(Framing::Empty),
        Ok(length) if length <= MAX_BODY_BYTES => Ok(Framing::Length(length)),
        _ => Err(too_large()),
    }
}

fn read_chunks<S: Source>(
    inbox: &mut Inbox<S>,
    body: &mut Vec<u8>,
    deadline: Instant,
) -> Result<(), ReadError> {
    let mut allowance = MAX_FRAMING_BYTES;
    loop {
        let size = chunk_size(&line(inbox, &mut allowance, deadline)?)?;
        if size > MAX_BODY_BYTES.saturating_sub(body.len()) {
            return Err(too_large().into());
        }
        if size == 0 {
            break;
        }
        take(inbox, size, body, deadline)?;
        if !line(inbox, &mut allowance, deadline)?.is_empty() {
            return Err(bad("a chunk of the body is longer than it says").into());
        }
    }
    // Trailers are ignored.
    while !line(inbox, &mut allowance, deadline)?.is_empty() {}
    Ok(())
}

/// The size at the begin of a chunk. Extensions are ignored, as the standard demands.
fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let malformed = || bad("the size of a chunk is malformed");
    let line = std::str::from_utf8(line).map_err(|_| malformed())?;
    let digits = line
        .split(';')
        .next()
        .unwrap_or_default()
        .trim_end_matches([' ', '\t']);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(malformed());
    }
    // All digits are hexadecimal, so the only possible error is a number that is too large.
    usize::from_str_radix(digits, 16).map_err(|_| too_large())
}

/// Reads a line that ends in CR LF and subtracts its length from the allowance.
fn line<S: Source>(
    inbox: &mut Inbox<S>,
    allowance: &mut usize,
    deadline: Instant,
) -> Result<Vec<u8>, ReadError> {
    let mut searched = 0;
    loop {
        let unread = inbox.unread();
        let end = unread.iter().skip(searched).position(|&byte| byte == b'\n');
        searched = end.map_or(unread.len(), |end| searched + end + 1);
        if searched > *allowance {
            let sentence = format!(
                "the chunk sizes and trailers of the body are longer than {MAX_FRAMING_BYTES} bytes"
            );
            return Err(Refusal::new(413, sentence).into());
        }
        if end.is_none() {
            inbox.more(deadline)?;
            continue;
        }
        *allowance -= searched;
        let line = unread
            .get(..searched)
            .and_then(|line| line.strip_suffix(b"\r\n"));
        let Some(line) = line.filter(|line| !line.iter().any(|byte| b"\0\r".contains(byte))) else {
            return Err(bad("a line between the chunks of the body is malformed").into());
        };
        let line = line.to_vec();
        inbox.consume(searched);
        return Ok(line);
    }
}

/// Appends exactly `count` bytes. The memory grows as they arrive, since the client may announce more than it sends.
fn take<S: Source>(
    inbox: &mut Inbox<S>,
    count: usize,
    body: &mut Vec<u8>,
    deadline: Instant,
) -> Result<(), ReadError> {
    let mut missing = count;
    while missing > 0 {
        let unread = inbox.unread();
        let part = unread.get(..missing).unwrap_or(unread);
        let length = part.len();
        body.extend_from_slice(part);
        inbox.consume(length);
        missing -= length;
        if missing > 0 {
            inbox.more(deadline)?;
        }
    }
    Ok(())
}

/// The refusal of a body beyond the limit, for every server.
pub(super) fn too_large() -> Refusal {
    Refusal::new(
        413,
        format!("the body of the request is longer than {MAX_BODY_BYTES} bytes"),
    )
}

fn bad(sentence: &'static str) -> Refusal {
    Refusal::bad_request(sentence)
}
