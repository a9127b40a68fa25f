//! The pages for another server than ours.

use super::routes;
use crate::http::access::Access;
use crate::http::exchange::Endpoints;
use crate::http::token::Token;
use std::io;

impl Endpoints {
    /// For this machine only: a request must carry a `Host` that is an IP address or `localhost`.
    ///
    /// That keeps web pages out, not other machines: the server that passes requests on MUST only pass those from a loopback
    /// address ([`Endpoints::is_local`]). Otherwise any client that can reach the service reads its inside.
    pub fn local() -> Endpoints {
        Endpoints::new(Access::Loopback, routes::answer)
    }

    /// For clients that send the token, from anywhere; see [`Server::allow_remote`](crate::pprof::Server::allow_remote).
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a token that is too short, too long, or not visible ASCII.
    pub fn remote(token: impl Into<String>) -> io::Result<Endpoints> {
        Token::new(token.into())
            .map(|token| Endpoints::new(Access::Token(token), routes::answer))
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))
    }
}
