//! The pages for another server than ours.

use super::routes;
use runtime_probe_http::access::Access;
use runtime_probe_http::exchange::{self, Exchange};
use runtime_probe_http::token::Token;
use std::io;

/// The endpoints below `/debug/pprof/`, and who may ask them.
#[derive(Clone, Debug)]
pub struct Endpoints(exchange::Endpoints);

impl Endpoints {
    /// For this machine only: a request must carry a `Host` that is an IP address or `localhost`.
    ///
    /// That keeps web pages out, not other machines: the server that passes requests on MUST only pass those from a loopback
    /// address ([`Endpoints::is_local`]). Otherwise any client that can reach the service reads its inside.
    pub fn local() -> Endpoints {
        Endpoints(exchange::Endpoints::new(Access::Loopback, routes::answer))
    }

    /// For clients that send the token, from anywhere; see [`Server::allow_remote`](crate::pprof::Server::allow_remote).
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

    /// Judges a request by its head. `target` is the path and query, or an absolute `http://` target; a refusal is an
    /// exchange as well, whose answer says why.
    pub fn open(
        &self,
        method: &str,
        target: &str,
        headers: impl IntoIterator<Item = (String, String)>,
    ) -> Exchange {
        self.0.open(method, target, headers)
    }
}
