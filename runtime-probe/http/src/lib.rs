//! The wire of runtime-probe: a small blocking HTTP/1.1 server for a debugging port, and the requests and replies it carries.
//!
//! It runs on threads of its own and knows no async runtime: it answers when the runtime it reports on is wedged.
//! It lives inside the user's production process, so everything in it is bounded: bytes, headers, time, threads.
//! `hyper` and its like were rejected because they want a runtime; the blocking server crates because none bounds the
//! time in which a header must arrive.
//!
//! Which pages there are it does not know: a server and an exchange are given the function that answers.
//!
//! In reading order, what a handler sees:
//! * [`request`]: a request with its head, parameters and body in memory;
//! * [`query`]: percent-decoding, and the parameters of a query string;
//! * [`client`]: whether the one who asked is still there;
//! * [`reply`]: status, headers and a body that is bytes or a stream;
//! * [`refusal`]: a status and a sentence, the only error a client is ever shown;
//! * [`access`]: access control: by `host`, or by [`token`], which may come as `base64`, and no `foreign_page`;
//!
//! what lets another server carry it:
//! * [`exchange`]: a request and its reply, without a socket;
//!
//! and what carries it here:
//! * [`server`]: its thread, shutdown;
//! * `socket`: listeners and connections, over TCP and unix sockets, by `sys` where std has no call;
//! * [`limits`]: every bound, with its arithmetic;
//! * `permits`: permits of connections, eviction when they run out, and the threads;
//! * `connection`: the requests of one connection, one after the other;
//! * `inbox`: bytes in, under a deadline;
//! * `head`: from bytes to a request without its body;
//! * `body`: the framing of a request's body, where requests are smuggled if one is careless;
//! * [`pace`]: how far behind a client may fall;
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
