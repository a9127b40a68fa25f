//! The sources of dumps: a server over TCP or a unix socket, or a file.
//!
//! * [`client`]: requests and their answers;
//! * [`unix`]: the transport over a unix socket;
//! * [`arguments`]: the sources of a command line.

pub(crate) mod arguments;
mod client;
mod unix;

use crate::refusal::Refusal;
use client::Client;
use runtime_dump::parse::{Parsed, parse};
use std::fmt::{self, Display, Formatter};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most bytes of a reply or a file.
const MAX_BYTES: u64 = 1 << 30;

/// The longest wait for the first byte of an answer, beside the time that the server collects.
const PATIENCE: Duration = Duration::from_secs(30);

/// A source of dumps.
#[derive(Debug)]
pub(crate) struct Source {
    /// The source as the user gave it, without a token.
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Server(Client),
    File(PathBuf),
    Stdin,
}

impl Source {
    /// Parses a URL, `HOST:PORT`, a unix socket, a file, or `-`.
    pub(crate) fn parse(text: &str, token: Option<&str>) -> Result<Self, Refusal> {
        let (name, kind) = if text == "-" {
            ("stdin".to_owned(), Kind::Stdin)
        } else if let Some(path) = text.strip_prefix("unix:") {
            (
                text.to_owned(),
                Kind::Server(Client::unix(Path::new(path), token)),
            )
        } else if text.contains("://") {
            let client = Client::url(text, token)?;
            (client.name().to_owned(), Kind::Server(client))
        } else {
            let path = Path::new(text);
            match path.metadata() {
                Ok(metadata) if metadata.file_type().is_socket() => {
                    (text.to_owned(), Kind::Server(Client::unix(path, token)))
                }
                Ok(metadata) if metadata.is_dir() => {
                    return Err(Refusal::new(format!(
                        "{text} is a directory: name a file in it"
                    )));
                }
                Ok(_) => (text.to_owned(), Kind::File(path.to_owned())),
                Err(_) if is_address(text) => (
                    text.to_owned(),
                    Kind::Server(Client::url(&format!("http://{text}"), token)?),
                ),
                Err(error) => {
                    return Err(Refusal::new(format!(
                        "{text}: {error}; a source is a URL, HOST:PORT, a unix socket or a file"
                    )));
                }
            }
        };
        Ok(Self { name, kind })
    }

    /// Whether the source is a server, whose answers change.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.kind, Kind::Server(_))
    }

    /// The answer of a page of the server, as `goroutine?debug=2`. A file is returned for every page. `for_so_long` is
    /// the time that the server collects before it answers.
    pub(crate) fn bytes(&self, page: &str, for_so_long: Duration) -> Result<Vec<u8>, Refusal> {
        let read = |reader: &mut dyn Read| {
            let mut bytes = Vec::new();
            reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = match &self.kind {
            Kind::Server(client) => return client.bytes(page, for_so_long + PATIENCE),
            Kind::File(path) => std::fs::File::open(path).and_then(|mut file| read(&mut file)),
            Kind::Stdin => read(&mut std::io::stdin().lock()),
        };
        let bytes =
            bytes.map_err(|error: std::io::Error| Refusal::new(format!("{self}: {error}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Refusal::new(format!(
                "{self}: it is larger than {MAX_BYTES} bytes"
            )));
        }
        Ok(bytes)
    }

    /// The parsed dump. A server is asked for `page`.
    pub(crate) fn dump(&self, page: &str) -> Result<Parsed, Refusal> {
        let bytes = self.bytes(page, span(page))?;
        parse(&bytes).map_err(|error| {
            let refusal = Refusal::new(format!("{self}: {error}"));
            match error {
                runtime_dump::parse::ParseError::Truncated(_) => refusal.and("take the dump again"),
                _ => refusal,
            }
        })
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The time that a server collects for a page: its parameter `seconds`.
pub(crate) fn span(page: &str) -> Duration {
    let (_, query) = page.split_once('?').unwrap_or((page, ""));
    let seconds = query
        .split('&')
        .find_map(|parameter| parameter.strip_prefix("seconds=")?.parse::<f64>().ok());
    // The server accepts at most an hour.
    Duration::from_secs_f64(seconds.unwrap_or(0.0).clamp(0.0, 3600.0))
}

fn is_address(text: &str) -> bool {
    let port = text
        .split('/')
        .next()
        .and_then(|address| address.rsplit_once(':'));
    port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Source::parse(text, None).unwrap_err().to_string()
    }

    #[test]
    fn each_kind_is_told_by_its_text() {
        for live in [
            "127.0.0.1:6060",
            "http://x:secret@host/debug/pprof/",
            "unix:/run/none.sock",
            "[::1]:6060",
            "host:80/admin",
        ] {
            let source = Source::parse(live, None).unwrap();
            assert!(source.is_live(), "{live}");
            assert!(!source.to_string().contains("secret"), "{source}");
        }
        assert!(
            !Source::parse(env!("CARGO_MANIFEST_DIR").trim_end_matches('/'), None)
                .is_ok_and(|source| source.is_live())
        );
        assert!(refused("nowhere.txt").contains("a source is a URL"));
        assert!(refused("https://host/").contains("no TLS"));
    }
}
