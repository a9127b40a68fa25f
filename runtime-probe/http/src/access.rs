//! Access control. A request is checked by its head, before its body is read.

use super::foreign_page;
use super::host;
use super::refusal::Refusal;
use super::request::Request;
use super::token::Token;

/// What a request must carry.
#[derive(Clone, Debug)]
pub enum Access {
    /// A `Host` of this machine: for addresses that only this machine reaches. For unix sockets, too: a tunnel
    /// (`ssh -L 6060:/run/app.sock`) puts them before a browser.
    Loopback,
    /// The token, whatever the `Host`: for addresses that others reach.
    Token(Token),
}

impl Access {
    /// Whether a request is let in.
    pub fn admit(&self, request: &Request) -> Result<(), Refusal> {
        match self {
            Access::Loopback => foreign_page::admit(request).and_then(|()| host::admit(request)),
            Access::Token(token) => {
                foreign_page::admit(request).and_then(|()| token.admit(request))
            }
        }
    }
}
