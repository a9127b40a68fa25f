//! From a reply to bytes.
//!
//! A body of known length is sent with `Content-Length`, a stream in chunks. HTTP/1.0 has no chunks: there a stream
//! ends with the connection. The head of a stream waits for its first chunk, so a stream that fails before it has
//! filled one still gets a 500. A stream that fails later is cut off without its last chunk, so the client knows that
//! bytes are missing.

use std::any::Any;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::panic::{self, AssertUnwindSafe};

use super::reply::{Body, Reply, Stream, reason};
use super::request::{Method, Request, Version};

/// Small writes are gathered up to this number of bytes: far more than the head of a chunk (8 bytes). A larger write is
/// a chunk of its own, which is not copied.
pub(super) const CHUNK_BYTES: usize = 16 * 1024;

/// Headers that only this file writes.
const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

/// What happens to the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Keep,
    Close,
}

/// The facts about a request that shape the bytes of its reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending<'a> {
    pub version: Version,
    pub body: SendBody,
    pub connection: Connection,
    pub date: &'a str,
}

/// Whether the body is sent: for a HEAD only the head is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendBody {
    Yes,
    No,
}

/// How a reply ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// All of it was sent.
    Whole(Connection),
    /// The stream failed. The connection must be dropped, unless the client was told.
    Failed(Told),
    /// The stream panicked. The same holds.
    Panicked(Told),
}

/// Whether the client got a reply that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    No,
}

impl SendBody {
    pub fn of(request: &Request) -> Self {
        if *request.method() == Method::Head {
            SendBody::No
        } else {
            SendBody::Yes
        }
    }
}

/// Sends a reply. An error is one of the connection.
pub(super) fn send(wire: &mut dyn Write, reply: Reply, sending: Sending<'_>) -> io::Result<Sent> {
    let (status, headers, body) = reply.into_parts();
    match body {
        Body::Bytes(bytes) => {
            let connection = sending.connection;
            let bodiless = status < 200 || status == 204 || status == 304;
            let length = (!bodiless).then(|| format!("Content-Length: {}\r\n", bytes.len()));
            let framing = length.unwrap_or_default();
            let mut out = head(status, &headers, &framing, connection, sending);
            if sending.body == SendBody::Yes && !bodiless {
                // In one write: the head alone would be a packet of its own.
                if bytes.len() <= CHUNK_BYTES {
                    out.extend_from_slice(&bytes);
                } else {
                    wire.write_all(&out)?;
                    out = bytes;
                }
            }
            wire.write_all(&out)?;
            Ok(Sent::Whole(connection))
        }
        Body::Stream(stream) => {
            let (framing, connection) = match sending.version {
                Version::Http10 => ("", Connection::Close),
                Version::Http11 => ("Transfer-Encoding: chunked\r\n", sending.connection),
            };
            let head = head(status, &headers, framing, connection, sending);
            match sending.body {
                SendBody::Yes => send_stream(wire, head, stream, connection, sending),
                SendBody::No => wire.write_all(&head).map(|()| Sent::Whole(connection)),
            }
        }
    }
}

fn send_stream(
    wire: &mut dyn Write,
    head: Vec<u8>,
    stream: Stream,
    connection: Connection,
    sending: Sending<'_>,
) -> io::Result<Sent> {
    let mut chunks = Chunks {
        wire,
        pending: head,
        body: Vec::with_capacity(CHUNK_BYTES),
        version: sending.version,
        state: State::Untouched,
    };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| stream(&mut chunks)));
    let mut told = Told::No;
    let sentence = match &outcome {
        Ok(Ok(())) => return chunks.finish().map(|()| Sent::Whole(connection)),
        Ok(Err(error)) => format!("the reply could not be made: {error}"),
        Err(panic) => panic_sentence(panic.as_ref()),
    };
    if chunks.state == State::Untouched {
        let sending = Sending {
            connection: Connection::Close,
            ..sending
        };
        send(chunks.wire, Reply::error(500, &sentence), sending)?;
        told = Told::Yes;
    }
    Ok(if outcome.is_err() {
        Sent::Panicked(told)
    } else {
        Sent::Failed(told)
    })
}

/// The text that a client gets about a panic.
pub(super) fn panic_sentence(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", message.unwrap_or("no message"))
}

fn head(
    status: u16,
    headers: &[(&'static str, String)],
    framing: &str,
    connection: Connection,
    sending: Sending<'_>,
) -> Vec<u8> {
    let mut out = format!(
        "HTTP/1.1 {status} {}\r\nDate: {}\r\n",
        reason(status),
        sending.date
    );
    for (name, value) in headers {
        if !FRAMING
            .iter()
            .any(|framing| framing.eq_ignore_ascii_case(name))
        {
            out.extend([name, ": ", value, "\r\n"]);
        }
    }
    out.push_str(framing);
    if connection == Connection::Close {
        out.push_str("Connection: close\r\n");
    }
    out.push_str("\r\n");
    out.into_bytes()
}

/// The writer of a stream.
struct Chunks<'a> {
    wire: &'a mut dyn Write,
    /// Bytes to send before the body: the head, until the first chunk.
    pending: Vec<u8>,
    body: Vec<u8>,
    version: Version,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was sent.
    Untouched,
    Begun,
    /// The connection failed.
    Broken,
}

impl Chunks<'_> {
    /// Sends the bytes that were written so far, and `more`, as one chunk. A chunk is never empty, as an empty chunk would
    /// be the last one.
    fn send_chunk(&mut self, more: &[u8], last: &[u8]) -> io::Result<()> {
        if self.state == State::Broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let length = self.body.len() + more.len();
        let is_framed = self.version == Version::Http11 && length > 0;
        if is_framed {
            write!(self.pending, "{length:x}\r\n")?;
        }
        let end: &[u8] = if is_framed { b"\r\n" } else { b"" };
        let mut parts = [&*self.pending, &*self.body, more, end, last].map(IoSlice::new);
        let outcome = write_all(self.wire, &mut parts);
        self.pending.clear();
        self.body.clear();
        self.state = if outcome.is_ok() {
            State::Begun
        } else {
            State::Broken
        };
        outcome
    }

    fn finish(mut self) -> io::Result<()> {
        let last: &[u8] = match self.version {
            Version::Http10 => b"",
            Version::Http11 => b"0\r\n\r\n",
        };
        self.send_chunk(b"", last)
    }
}

/// Writes all of these parts, if possible in one call.
fn write_all(wire: &mut dyn Write, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Parts of no bytes go first.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match wire.write_vectored(parts) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut parts, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() >= CHUNK_BYTES {
            return self.send_chunk(bytes, b"").map(|()| bytes.len());
        }
        let room = CHUNK_BYTES.saturating_sub(self.body.len());
        let part = bytes.get(..room).unwrap_or(bytes);
        self.body.extend_from_slice(part);
        if self.body.len() >= CHUNK_BYTES || self.state == State::Broken {
            self.send_chunk(b"", b"")?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_chunk(b"", b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(reply: Reply, version: Version, body: SendBody) -> (String, String, Sent) {
        let mut wire = Vec::new();
        let sending = Sending {
            version,
            body,
            connection: Connection::Keep,
            date: "now",
        };
        let sent = send(&mut wire, reply, sending).unwrap();
        let wire = String::from_utf8(wire).unwrap();
        let (head, body) = wire.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned(), sent)
    }

    fn streamed(write: fn(&mut dyn Write) -> io::Result<()>) -> Reply {
        Reply::text(200, Body::stream(write))
    }

    #[test]
    fn bytes_have_a_length() {
        let (head, body, sent) = sent(Reply::text(200, "hi"), Version::Http11, SendBody::Yes);
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nDate: now\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: 2"
        );
        assert_eq!(body, "hi");
        assert!(matches!(sent, Sent::Whole(Connection::Keep)));
    }

    #[test]
    fn a_stream_is_chunked_and_a_flush_sends_a_chunk() {
        let reply = streamed(|out| {
            out.flush()?;
            out.write_all(b"ab")?;
            out.flush()?;
            out.flush()?;
            out.write_all(b"c")
        });
        let (head, body, _) = sent(reply, Version::Http11, SendBody::Yes);
        assert!(head.ends_with("Transfer-Encoding: chunked"));
        assert_eq!(body, "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
        let (_, body, _) = sent(streamed(|_| Ok(())), Version::Http11, SendBody::Yes);
        assert_eq!(body, "0\r\n\r\n");
    }

    #[test]
    fn a_large_write_is_a_chunk_with_the_bytes_before_it() {
        let reply = streamed(|out| {
            out.write_all(b"ab")?;
            out.write_all(&[b'x'; CHUNK_BYTES])?;
            out.write_all(&[b'y'; 3 * CHUNK_BYTES])?;
            out.write_all(b"c")
        });
        let (_, body, _) = sent(reply, Version::Http11, SendBody::Yes);
        let (xs, ys) = ("x".repeat(CHUNK_BYTES), "y".repeat(3 * CHUNK_BYTES));
        assert!(body == format!("4002\r\nab{xs}\r\nc000\r\n{ys}\r\n1\r\nc\r\n0\r\n\r\n"));
    }

    /// Takes few bytes of a call, of several parts, and nothing of every second call.
    struct Narrow(Vec<u8>, bool);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let few: Vec<u8> = parts
                .iter()
                .flat_map(|part| &**part)
                .copied()
                .take(5)
                .collect();
            self.0.extend_from_slice(&few);
            Ok(few.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Of four calls, the second ends within the second part and the fourth within the third.
    #[test]
    fn parts_are_written_to_their_ends() {
        let mut narrow = Narrow(Vec::new(), false);
        let mut parts = [&b""[..], b"a chunk", b"", b" of three", b" parts", b""].map(IoSlice::new);
        write_all(&mut narrow, &mut parts).unwrap();
        assert_eq!(narrow.0, b"a chunk of three parts");
        write_all(&mut narrow, &mut [IoSlice::new(b"")]).unwrap();
    }

    #[test]
    fn http_1_0_has_no_chunks() {
        let reply = streamed(|out| out.write_all(b"abc"));
        let (head, body, sent) = sent(reply, Version::Http10, SendBody::Yes);
        assert!(head.ends_with("Connection: close") && !head.contains("chunked"));
        assert_eq!(body, "abc");
        assert!(matches!(sent, Sent::Whole(Connection::Close)));
    }

    #[test]
    fn head_sends_the_head_only() {
        let (head, body, _) = sent(Reply::text(200, "hi"), Version::Http11, SendBody::No);
        assert!(head.ends_with("Content-Length: 2") && body.is_empty());
        let reply = streamed(|_| panic!("not to be run"));
        let (head, body, _) = sent(reply, Version::Http11, SendBody::No);
        assert!(head.ends_with("Transfer-Encoding: chunked") && body.is_empty());
    }

    #[test]
    fn an_early_failure_is_told_and_a_late_one_cuts_off() {
        let early = streamed(|out| {
            out.write_all(b"a")?;
            Err(io::Error::other("no symbols"))
        });
        let (head, body, outcome) = sent(early, Version::Http11, SendBody::Yes);
        assert!(head.starts_with("HTTP/1.1 500 ") && head.ends_with("Connection: close"));
        assert_eq!(body, "the reply could not be made: no symbols\n");
        assert!(matches!(outcome, Sent::Failed(Told::Yes)));

        let late = streamed(|out| {
            out.write_all(b"a")?;
            out.flush()?;
            panic!("late")
        });
        let (_, body, outcome) = sent(late, Version::Http11, SendBody::Yes);
        assert_eq!(body, "1\r\na\r\n");
        assert!(matches!(outcome, Sent::Panicked(Told::No)));
    }

    #[test]
    fn framing_headers_of_a_handler_are_ignored() {
        let reply = Reply::text(200, "hi").with_header("content-length", "7");
        let (head, ..) = sent(reply, Version::Http11, SendBody::Yes);
        assert_eq!(head.matches("ength:").count(), 1);
    }

    #[test]
    fn a_bodiless_status_has_no_length() {
        let (head, body, _) = sent(Reply::text(304, "x"), Version::Http11, SendBody::Yes);
        assert!(!head.contains("Length") && body.is_empty());
    }
}
