//! Access control. A request is checked by its head, before its body is read.

use super::foreign_page;
use super::host;
use super::refusal::Refusal;
use super::request::Request;
use super::token::Token;

/// The credential that a request must carry.
#[derive(Clone, Debug)]
pub enum Access {
    /// A `Host` of this machine: for addresses that only this machine can reach. Unix sockets need it too, as a
    /// tunnel (`ssh -L 6060:/run/app.sock`) makes them reachable for a browser.
    Loopback,
    /// The token, with any `Host`: for addresses that other machines can reach.
    Token(Token),
}

impl Access {
    /// Whether a request is admitted.
    pub fn admit(&self, request: &Request) -> Result<(), Refusal> {
        match self {
            Access::Loopback => foreign_page::admit(request).and_then(|()| host::admit(request)),
            Access::Token(token) => {
                foreign_page::admit(request).and_then(|()| token.admit(request))
            }
        }
    }
}
