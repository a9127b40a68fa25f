//! The bytes of a connection, for the server's own code: in pieces, up to an end; and the bytes that the server
//! sends.

use std::io;
use std::time::{Instant, SystemTime};

use crate::asked::{Answer, assert_refusal};
use crate::http::access::Access;
use crate::http::inbox::{Inbox, ReadError, Source};
use crate::http::limits::MAX_BODY_BYTES;
use crate::http::refusal::Refusal;
use crate::http::reply::{Body, Reply};
use crate::http::request::{Method, Request, Version};
use crate::http::token::Token;
use crate::http::transmit::{self, Connection, SendBody, Sending};
use crate::http::{body, head};

/// The access control of a server.
#[derive(Clone, Debug)]
pub struct Door(Access);

impl Door {
    pub fn loopback() -> Door {
        Door(Access::Loopback)
    }

    pub fn token(token: &str) -> Door {
        Door(Access::Token(
            Token::new(token.to_owned()).expect("a good token"),
        ))
    }
}

/// The outcome of a connection's bytes, for a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Asked(Asked),
    Refused(u16, String),
    /// The end of the connection.
    Lost,
}

/// An admitted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub http10: bool,
    /// With every byte of the path percent-encoded where that is allowed.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Reads requests as a connection does, in pieces of at most so many bytes, up to the end or to a refusal.
pub fn receive(door: &Door, bytes: &[u8], piece: usize) -> Vec<Received> {
    let mut inbox = Inbox::new(Pieces { rest: bytes, piece });
    let mut all = Vec::new();
    loop {
        let received = match next(&mut inbox, &door.0) {
            Ok(request) => Received::Asked(asked(&request)),
            Err(ReadError::Refused(refusal)) => {
                Received::Refused(refusal.status(), refusal.sentence().to_owned())
            }
            Err(ReadError::Lost) => Received::Lost,
            Err(ReadError::Late) => panic!("there is no clock"),
        };
        let goes_on = matches!(received, Received::Asked(_));
        all.push(received);
        if !goes_on {
            return all;
        }
    }
}

fn next(inbox: &mut Inbox<Pieces<'_>>, access: &Access) -> Result<Request, ReadError> {
    let deadline = Instant::now();
    let request = head::read(inbox, deadline)?;
    access.admit(&request)?;
    let framing = body::framing(&request)?;
    let body = body::read(inbox, framing, deadline)?;
    assert!(body.len() <= MAX_BODY_BYTES);
    Ok(request.with_body(body))
}

fn asked(request: &Request) -> Asked {
    let mut target = String::new();
    if let Some(authority) = request.authority() {
        target = format!("http://{authority}");
    }
    assert!(request.path().starts_with('/'));
    for byte in request.path().bytes() {
        match byte {
            b'/' => target.push('/'),
            byte => target.push_str(&format!("%{byte:02x}")),
        }
    }
    if !request.raw_query().is_empty() {
        target.push('?');
        target.push_str(request.raw_query());
    }
    let headers = ["host", "authorization"].into_iter().flat_map(|name| {
        let values = request.header_values(name);
        values.map(move |value| (name.to_owned(), value.to_owned()))
    });
    Asked {
        method: match request.method() {
            Method::Get => "GET".to_owned(),
            Method::Head => "HEAD".to_owned(),
            Method::Post => "POST".to_owned(),
            Method::Other(other) => other.clone(),
        },
        http10: request.version() == Version::Http10,
        headers: headers.collect(),
        target,
        body: request.body().to_vec(),
    }
}

struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Source for Pieces<'_> {
    fn read_before(&mut self, buffer: &mut [u8], _: Instant) -> io::Result<usize> {
        let length = self.rest.len().min(buffer.len()).min(self.piece);
        let (now, later) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.rest = later;
        Ok(length)
    }
}

/// Sends a refusal as the server does, and reads it back.
pub fn refuse(status: u16, sentence: String) {
    let reply = Refusal::new(status, sentence).into();
    let wire = on_the_wire(reply, SendBody::Yes, Version::Http11);
    let read = ReadBack::from(&wire, SendBody::Yes);
    let body = String::from_utf8(read.body).expect("a sentence");
    let content_type = read
        .headers
        .iter()
        .find(|(name, _)| *name == "Content-Type");
    assert_refusal(read.status, &body, content_type.map(|(_, value)| *value));
}

/// Sends an answer to `asked` as the server does, and reads it back.
pub fn send(answer: Answer, asked: &Asked) {
    let body: Body = match (answer.length, answer.body.clone()) {
        (Some(_), body) => body.into(),
        (None, body) => Body::stream(move |out| out.write_all(&body)),
    };
    let reply = Reply::new(answer.status, "text/plain; charset=utf-8", body);
    let reply = answer
        .headers
        .into_iter()
        .fold(reply, |reply, (name, value)| reply.with_header(name, value));
    let with_body = if asked.method == "HEAD" {
        SendBody::No
    } else {
        SendBody::Yes
    };
    let version = if asked.http10 {
        Version::Http10
    } else {
        Version::Http11
    };
    let wire = on_the_wire(reply, with_body, version);
    let read = ReadBack::from(&wire, with_body);
    assert_eq!((read.status, read.body), (answer.status, answer.body));
}

fn on_the_wire(reply: Reply, body: SendBody, version: Version) -> Vec<u8> {
    let mut wire = Vec::new();
    let sending = Sending {
        version,
        body,
        connection: Connection::Close,
        date: "Thu, 01 Jan 1970 00:00:00 GMT",
    };
    transmit::send(&mut wire, reply, sending).expect("a Vec takes all");
    wire
}

/// An answer, parsed by a reader that accepts only HTTP/1.1.
struct ReadBack<'w> {
    status: u16,
    headers: Vec<(&'w str, &'w str)>,
    body: Vec<u8>,
}

impl<'w> ReadBack<'w> {
    fn from(wire: &'w [u8], sent: SendBody) -> Self {
        let end = wire.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.expect("the head ends");
        let head = std::str::from_utf8(&wire[..end]).expect("the head is text");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let (status, words) = status
            .and_then(|line| line.split_once(' '))
            .expect("a status line");
        assert!(
            !words.is_empty() && words != "Status",
            "{status} has no words"
        );
        let headers: Vec<(&str, &str)> = lines
            .map(|line| line.split_once(": ").expect("a header"))
            .collect();
        for (name, value) in &headers {
            assert!(
                name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                "{name:?}"
            );
            assert!(!value.contains(char::is_control), "{value:?}");
        }
        let header = |name: &str| {
            headers
                .iter()
                .find(|header| header.0 == name)
                .map(|header| header.1)
        };
        let rest = &wire[end + 4..];
        let body = match (sent, header("Content-Length"), header("Transfer-Encoding")) {
            (_, Some(_), Some(_)) => panic!("two ways to end"),
            (SendBody::No, ..) => {
                assert!(rest.is_empty());
                Vec::new()
            }
            (_, Some(length), _) => {
                assert_eq!(length.parse(), Ok(rest.len()));
                rest.to_vec()
            }
            (_, _, Some(coding)) => {
                assert_eq!(coding, "chunked");
                unchunk(rest)
            }
            // Up to the end of the connection.
            (..) => rest.to_vec(),
        };
        ReadBack {
            status: status.parse().expect("a number"),
            headers,
            body,
        }
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.iter().position(|&byte| byte == b'\r').expect("a size");
        let size = std::str::from_utf8(&rest[..line]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let (chunk, behind) = rest[line..]
            .strip_prefix(b"\r\n")
            .expect("CR LF")
            .split_at(size);
        body.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n").expect("CR LF");
        if size == 0 {
            assert!(rest.is_empty(), "bytes behind the last chunk");
            return body;
        }
    }
}
