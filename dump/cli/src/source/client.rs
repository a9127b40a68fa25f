//! A request to a server, and advice where the server refuses it.

use super::MAX_BYTES;
use super::unix::UnixConnector;
use crate::refusal::Refusal;
use crate::show::style::printable;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Error};

/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// A server.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    /// The name for messages, without the token.
    name: String,
    /// The URL of the directory of the pages, with the final slash.
    pages: String,
    token: Option<String>,
}

impl Client {
    /// The server of a URL. The URL may name a page, and may contain the token as its password.
    pub(super) fn url(url: &str, token: Option<&str>) -> Result<Self, Refusal> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            Refusal::new(format!(
                "{}: only http:// is asked: there is no TLS in this command; `curl -o FILE URL`, then give it the file",
                url.split('@').next_back().unwrap_or(url)
            ))
        })?;
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, address) = address
            .rsplit_once('@')
            .map_or((None, address), |(credentials, address)| {
                (Some(credentials), address)
            });
        let password = credentials
            .and_then(|credentials| credentials.split_once(':'))
            .map(|(_, password)| password);
        // A URL of another page of the server is accepted. A router may have a prefix of its own.
        let prefix = path
            .split("/debug/pprof")
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        Ok(Self {
            agent: Agent::new_with_config(config()),
            name: format!("http://{address}{prefix}"),
            pages: format!("http://{address}{prefix}/debug/pprof/"),
            token: token.or(password).map(str::to_owned),
        })
    }

    /// The server of a unix socket.
    pub(super) fn unix(path: &Path, token: Option<&str>) -> Self {
        let connector = UnixConnector::new(path.to_owned());
        Self {
            agent: Agent::with_parts(config(), connector, DefaultResolver::default()),
            name: path.display().to_string(),
            pages: "http://127.0.0.1/debug/pprof/".to_owned(),
            token: token.map(str::to_owned),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The answer of a page.
    pub(super) fn bytes(&self, page: &str, patience: Duration) -> Result<Vec<u8>, Refusal> {
        let url = match page.strip_prefix('/') {
            // A page with a leading slash is beside the directory of the pages.
            Some(page) => format!(
                "{}{page}",
                self.pages
                    .strip_suffix("debug/pprof/")
                    .unwrap_or(&self.pages)
            ),
            None => format!("{}{page}", self.pages),
        };
        let mut request = self
            .agent
            .get(url)
            .config()
            .timeout_recv_response(Some(patience))
            .build();
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().map_err(|error| self.unreached(&error))?;
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_BYTES)
            .read_to_vec();
        match status {
            200 => body.map_err(|error| {
                Refusal::new(format!(
                    "{}: the answer ended too early: {error}",
                    self.name
                ))
            }),
            _ => Err(self.refused(page, status, &body.unwrap_or_default())),
        }
    }

    fn unreached(&self, error: &Error) -> Refusal {
        let name = &self.name;
        let sentence = match error {
            Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => format!(
                "{name}: connection refused: nothing listens there. Is the service started with RUNTIME_PROBE_LISTEN, and is this its address? \
                 `runtime-dump pid PID` needs no server"
            ),
            Error::Io(error) if error.kind() == ErrorKind::NotFound => {
                format!(
                    "{name}: there is no such socket: is the service started with RUNTIME_PROBE_LISTEN=unix:PATH?"
                )
            }
            Error::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
                format!("{name}: {error}: the socket belongs to another user")
            }
            Error::HostNotFound => format!("{name}: no address of this host is known"),
            Error::Timeout(_) => {
                format!("{name}: no answer in time: is that a server of dumps, and does it run?")
            }
            Error::Io(error) => format!("{name}: {error}"),
            error => format!("{name}: no HTTP answer: {error}"),
        };
        Refusal::new(sentence)
    }

    fn refused(&self, page: &str, status: u16, body: &[u8]) -> Refusal {
        let name = &self.name;
        let body = String::from_utf8_lossy(body);
        let said: String = body
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default()
            .chars()
            .take(300)
            .collect();
        let said = printable(&said);
        let page_name = page.split('?').next().unwrap_or(page);
        Refusal::new(match status {
            401 if self.token.is_some() => format!("{name}: 401: the server has a different token"),
            401 => format!(
                "{name}: 401: the server asks for a token: --token TOKEN, or RUNTIME_DUMP_TOKEN"
            ),
            403 => format!(
                "{name}: 403: {said}; a tunnel makes the request local: `ssh -L 6060:127.0.0.1:6060 HOST`"
            ),
            404 => format!(
                "{name}: 404: there is no page {page_name}: the server is older than this command, is no runtime-probe (Go's has \
                 goroutine, and no tasks and locks), or its pages have another prefix, which belongs into the URL"
            ),
            400 => format!(
                "{name}: 400: {said}; a server of another version may not know a parameter of {page}"
            ),
            _ => format!("{name}: {status}: {said}"),
        })
    }
}

fn config() -> ureq::config::Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        // The user has given the address. A token must not be sent to another host.
        .proxy(None)
        .max_redirects(0)
        .user_agent(concat!("runtime-dump/", env!("CARGO_PKG_VERSION")))
        .build()
}
