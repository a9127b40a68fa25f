//! The server as a client sees it, on real sockets; the parser on bytes split at any point.
//!
//! Times are shortened. Assertions on times have one bound only, with a large margin, so that a busy machine does not
//! fail a test.

mod bounds;
mod carrier;
mod framing;
mod parser;
mod shutdown;

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process;
use std::time::Duration;

use super::access::Access;
use super::connection::Service;
use super::limits::Limits;
use super::reply::{Body, Reply};
use super::request::Request;
use super::server::Server;
use super::socket::Listener;

/// Longer than any step takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

const SHORT: Duration = Duration::from_millis(250);

/// All times are short, for tests that wait for their end. The time for a head is longer, since every request must
/// send one in time.
const HASTY: Limits = Limits {
    head_time: Duration::from_secs(2),
    body_time: SHORT,
    idle_time: SHORT,
    write_stall: SHORT,
    linger_time: SHORT,
    shutdown_grace: SHORT,
    connections: 64,
};

fn serve(limits: Limits, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    serve_on(tcp(), limits, handler)
}

fn tcp() -> Listener {
    Listener::tcp(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]).unwrap()
}

/// A unix socket, at a path of its own for each name.
fn unix(name: &str) -> Listener {
    let file = format!("runtime-probe-http-{}-{name}", process::id());
    Listener::unix(&env::temp_dir().join(file)).unwrap()
}

fn serve_on(
    listener: Listener,
    limits: Limits,
    handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Server {
    let service = Service {
        limits,
        access: Access::Loopback,
        handler: Box::new(handler),
    };
    Server::start(listener, service).unwrap()
}

/// Answers with the request.
fn echo(request: &Request) -> Reply {
    let body = String::from_utf8_lossy(request.body()).into_owned();
    Reply::text(
        200,
        format!("{:?} {} {body}", request.method(), request.path()),
    )
}

/// Writes until a write fails.
fn endless(out: &mut dyn Write) -> io::Result<()> {
    loop {
        out.write_all(&[b'x'; 4096])?;
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A client that checks every byte.
struct Caller<S = TcpStream>(BufReader<S>);

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Caller {
    fn connect(server: &Server) -> Caller {
        let stream = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Caller(BufReader::new(stream))
    }

    fn finish_sending(&mut self) -> &mut Self {
        self.0.get_mut().shutdown(Shutdown::Write).unwrap();
        self
    }
}

impl Caller<UnixStream> {
    fn connect_unix(server: &Server) -> Caller<UnixStream> {
        let stream = UnixStream::connect(server.path().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Caller(BufReader::new(stream))
    }
}

impl<S: Read + Write> Caller<S> {
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).unwrap();
        self
    }

    fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    fn answer(&mut self) -> Answer {
        self.answer_to("GET").expect("an answer")
    }

    /// The next answer; `None` if the connection has ended or breaks within it.
    fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let status = self.line()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        let mut body = Vec::new();
        if method == "HEAD" {
        } else if let Some(length) = answer.header("content-length") {
            body.resize(length.parse().ok()?, 0);
            self.0.read_exact(&mut body).ok()?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).ok()?;
                let mut chunk = vec![0; size + 2];
                self.0.read_exact(&mut chunk).ok()?;
                assert!(chunk.ends_with(b"\r\n"));
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        } else if status != 100 {
            self.0.read_to_end(&mut body).ok()?;
        }
        answer.body = String::from_utf8(body).ok()?;
        Some(answer)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        Some(line.strip_suffix("\r\n")?.to_owned())
    }

    /// Whether the connection ends without more bytes; a reset is an end, too.
    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

/// The answer to one request on a connection of its own.
fn ask(server: &Server, request: impl AsRef<[u8]>) -> Answer {
    Caller::connect(server).send(request).answer()
}
