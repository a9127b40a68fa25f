//! A reply: status, headers and a body that is bytes or a stream.
//!
//! A reply is plain data until it is sent, so that another carrier can use its parts. A stream is a closure that
//! writes, not an iterator of chunks, as the encoders of this crate write.

use std::fmt;
use std::io::{self, Write};

use super::refusal::Refusal;

/// The closure of a streamed body. It runs once, on the thread of the connection. An error of its writer means that
/// the client is gone or stalled; the closure returns that error.
pub type Stream = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// One reply.
#[derive(Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

/// The body of a reply.
pub enum Body {
    /// All of it.
    Bytes(Vec<u8>),
    /// Written while it is sent. `flush` on the writer sends what has been written so far.
    Stream(Stream),
}

impl Reply {
    /// A reply with any status and content type. Every reply tells browsers not to guess another type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Body>) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Content-Type", content_type)
    }

    /// Plain text.
    pub fn text(status: u16, body: impl Into<Body>) -> Self {
        Reply::new(status, "text/plain; charset=utf-8", body)
    }

    /// Plain text, by a closure that writes it into memory.
    ///
    /// # Errors
    /// 500, if that fails.
    pub fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<Self, Refusal> {
        let mut text = Vec::new();
        write(&mut text)
            .map_err(|error| Refusal::new(500, format!("could not write the profile: {error}")))?;
        Ok(Reply::text(200, text))
    }

    /// A page of HTML.
    pub fn html(status: u16, body: impl Into<Body>) -> Self {
        Reply::new(status, "text/html; charset=utf-8", body)
    }

    /// A download with a file name; characters that a file name cannot have become `_`.
    pub fn octets(filename: &str, body: impl Into<Body>) -> Self {
        let filename: String = filename
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._-".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        Reply::new(200, "application/octet-stream", body).with_header(
            "Content-Disposition",
            format!("attachment; filename=\"{filename}\""),
        )
    }

    /// An error for `go tool pprof`: it shows the body of a text with the header `X-Go-Pprof`.
    pub fn error(status: u16, sentence: &str) -> Self {
        Reply::text(status, format!("{sentence}\n")).with_header("X-Go-Pprof", "1")
    }

    /// A redirect; 307 keeps the method.
    pub fn redirect(status: u16, location: &str) -> Self {
        Reply::text(status, format!("{location}\n")).with_header("Location", location)
    }

    /// The reply to a method other than `allowed`.
    pub fn method_not_allowed(allowed: &str) -> Self {
        Reply::text(405, "Method Not Allowed\n").with_header("Allow", allowed)
    }

    /// Adds a header. Control characters are left out of its value, so that a value cannot begin another header.
    /// Headers of the framing (`Content-Length`, `Transfer-Encoding`, `Connection`) are added by the sender.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let mut value = value.into();
        value.retain(|c| !c.is_control());
        self.headers.push((name, value));
        self
    }

    /// The first header of that name, in any case.
    #[cfg(test)]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// Status, headers and body, for a carrier other than this crate's server.
    pub fn into_parts(self) -> (u16, Vec<(&'static str, String)>, Body) {
        (self.status, self.headers, self.body)
    }
}

impl Body {
    /// A streamed body.
    pub fn stream(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Self {
        Body::Stream(Box::new(write))
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let reply = Reply::error(refusal.status(), refusal.sentence());
        match refusal.status() {
            // A browser asks for a password. HTTP demands that a 401 names the accepted schemes.
            401 => reply
                .with_header("WWW-Authenticate", "Basic realm=\"runtime-probe\"")
                .with_header("WWW-Authenticate", "Bearer realm=\"runtime-probe\""),
            _ => reply,
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body::Bytes(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Body::Bytes(text.into_bytes())
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Body::Bytes(text.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Body::Stream(_) => f.write_str("a stream"),
        }
    }
}

/// The reason phrase of a status. No client needs it, but a status line without it looks broken.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shown_by_the_go_tool() {
        let reply = Reply::error(404, "Unknown profile");
        assert_eq!(reply.header("x-go-pprof"), Some("1"));
        assert_eq!(
            reply.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("content-disposition"), None);
        let (status, _, body) = reply.into_parts();
        assert!(matches!(body, Body::Bytes(bytes) if bytes == b"Unknown profile\n"));
        assert_eq!(status, 404);
    }

    #[test]
    fn downloads_have_a_harmless_name() {
        let disposition = |name| {
            let reply = Reply::octets(name, Vec::new());
            reply.header("content-disposition").map(str::to_owned)
        };
        assert_eq!(
            disposition("heap-delta").as_deref(),
            Some("attachment; filename=\"heap-delta\"")
        );
        assert_eq!(
            disposition("a\"b/\r\né").as_deref(),
            Some("attachment; filename=\"a_b____\"")
        );
    }

    #[test]
    fn a_value_begins_no_other_header() {
        let reply = Reply::redirect(307, "/a\r\nSet-Cookie: b");
        assert_eq!(reply.header("location"), Some("/aSet-Cookie: b"));
    }
}
