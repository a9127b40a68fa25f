//! The pages, for a server other than the probe's.

use super::routes;
use runtime_probe_http::access::Access;
use runtime_probe_http::exchange::{self, Exchange};
use runtime_probe_http::token::Token;
use std::io;

/// The endpoints below `/debug/pprof/`, with a rule which clients may use them.
#[derive(Clone, Debug)]
pub struct Endpoints(exchange::Endpoints);

impl Endpoints {
    /// Endpoints for this machine only: a request's `Host` must be an IP address or `localhost`.
    ///
    /// That rule keeps web pages out, but not other machines. The server MUST pass on only requests from a loopback
    /// address ([`Endpoints::is_local`]). Otherwise any client that can reach the service can read its dumps.
    pub fn local() -> Endpoints {
        Endpoints(exchange::Endpoints::new(Access::Loopback, routes::answer))
    }

    /// Endpoints for clients that send the token, from any address; see
    /// [`Server::allow_remote`](crate::pprof::Server::allow_remote).
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a token that is too short, too long, or not visible ASCII.
    pub fn remote(token: impl Into<String>) -> io::Result<Endpoints> {
        let token = Token::new(token.into())
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
        let access = Access::Token(token);
        Ok(Endpoints(exchange::Endpoints::new(access, routes::answer)))
    }

    /// Whether only requests from a loopback address may be passed on.
    pub fn is_local(&self) -> bool {
        self.0.is_local()
    }

    /// Checks a request by its head. `target` is the path and query, or an absolute `http://` target. A refusal is an
    /// exchange too, and its answer has the reason.
    pub fn open(
        &self,
        method: &str,
        target: &str,
        headers: impl IntoIterator<Item = (String, String)>,
    ) -> Exchange {
        self.0.open(method, target, headers)
    }
}
