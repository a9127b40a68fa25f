//! A minimal HTTP client: GETs, each on a new connection, the whole reply, timed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longer than the slowest dump of the largest process.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Asks one server.
pub struct Client {
    address: SocketAddr,
    /// The bytes of the last reply. The buffer is kept, as mapping memory for a gigabyte takes a large part of the
    /// measured time.
    raw: Vec<u8>,
}

pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// From before the connection to the last byte.
    pub time: Duration,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            raw: Vec::new(),
        }
    }

    /// Fetches `path`. An error is of the connection or of the reply's form.
    pub fn get(&mut self, path: &str) -> Result<Reply, String> {
        let start = Instant::now();
        self.exchange(path).map_err(|error| error.to_string())?;
        let time = start.elapsed();
        let (status, body) = parse(&self.raw)?;
        Ok(Reply { status, body, time })
    }

    fn exchange(&mut self, path: &str) -> std::io::Result<()> {
        let mut connection = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        self.raw.clear();
        connection.read_to_end(&mut self.raw)?;
        Ok(())
    }
}

fn parse(raw: &[u8]) -> Result<(u16, Vec<u8>), String> {
    let head_len = find(raw, b"\r\n\r\n").ok_or("the reply has no head")?;
    let head = String::from_utf8_lossy(&raw[..head_len]);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .ok_or("the reply has no status")?;
    let body = &raw[head_len + 4..];
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(key, value)| {
                key.eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_ascii_lowercase())
            })
    };
    if header("transfer-encoding").as_deref() == Some("chunked") {
        return Ok((status, unchunk(body)?));
    }
    match header("content-length").and_then(|text| text.parse::<usize>().ok()) {
        Some(length) if length != body.len() => Err(format!("{} of {length} bytes", body.len())),
        _ => Ok((status, body.to_vec())),
    }
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let line_len = find(rest, b"\r\n").ok_or("the reply ends before its last chunk")?;
        let line = String::from_utf8_lossy(&rest[..line_len]);
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16)
            .map_err(|error| format!("the chunk size {digits:?}: {error}"))?;
        if size == 0 {
            return Ok(body);
        }
        rest = &rest[line_len + 2..];
        if rest.len() < size + 2 {
            return Err("the reply ends within a chunk".to_owned());
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_body_is_what_follows_the_head() {
        let (status, body) = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        assert_eq!((status, body.as_slice()), (200, b"hi".as_slice()));
    }

    #[test]
    fn chunks_are_joined() {
        let raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n";
        assert_eq!(parse(raw).unwrap().1, b"abcd");
    }

    #[test]
    fn a_cut_off_reply_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi").is_err());
        assert!(
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").is_err()
        );
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_err());
    }
}
