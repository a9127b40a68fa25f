//! The server of runtime-probe: a small blocking HTTP/1.1 server for a debugging port, with its requests and replies.
//!
//! It runs on threads of its own and depends on no async runtime, so it answers when the runtime that it reports on
//! is stuck. It runs inside the user's production process, so everything in it is bounded: bytes, headers, time,
//! threads. `hyper` and similar crates were rejected because they need a runtime. The blocking server crates were
//! rejected because none bounds the time in which a header must arrive.
//!
//! The crate does not know the pages: the caller passes the function that answers to a server or an exchange.
//!
//! In reading order, the types that a handler uses:
//! * [`request`]: a request with its head, parameters and body in memory;
//! * [`query`]: percent-decoding, and the parameters of a query string;
//! * [`client`]: whether the client of a request is still connected;
//! * [`reply`]: status, headers and a body that is bytes or a stream;
//! * [`refusal`]: a status and a sentence, the only error that a client sees;
//! * [`access`]: access control: by `host`, or by [`token`], which may be in `base64`; and no `foreign_page`;
//!
//! for another server that carries the endpoints:
//! * [`exchange`]: a request and its reply, without a socket;
//!
//! and the server itself:
//! * [`server`]: the accept thread, and shutdown;
//! * `socket`: listeners and connections, over TCP and unix sockets, by `sys` where std has no call;
//! * [`limits`]: every bound, with its arithmetic;
//! * `permits`: permits of connections, eviction when they run out, and the threads;
//! * `connection`: the requests of one connection, one after the other;
//! * `inbox`: received bytes, read before a deadline;
//! * `head`: from bytes to a request without its body;
//! * `body`: the framing of a request's body;
//! * [`pace`]: how far a client may fall behind;
//! * `outbox`: bytes out, at that pace;
//! * `transmit`: from a reply to bytes;
//! * `date`: the `Date` header.

pub mod access;
pub mod client;
pub mod exchange;
pub mod limits;
pub mod pace;
pub mod query;
pub mod refusal;
pub mod reply;
pub mod request;
pub mod server;
pub mod token;

mod base64;
mod body;
mod connection;
mod date;
mod foreign_page;
mod head;
mod host;
mod inbox;
mod outbox;
mod permits;
mod socket;
mod sys;
mod transmit;

#[cfg(test)]
mod tests;
