//! The requests of one connection, one after the other.
//!
//! Requests that were sent ahead wait in the inbox. After a doubtful request the connection is closed: the end of a
//! request is never guessed.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::access::Access;
use super::body::{self, Framing};
use super::client::Client;
use super::date::http_date;
use super::head;
use super::inbox::{Inbox, ReadError, Source};
use super::limits::{LINGER_BYTES, Limits, MAX_REQUESTS, SEND_BUFFER_BYTES};
use super::outbox::Outbox;
use super::permits::Permit;
use super::refusal::Refusal;
use super::reply::Reply;
use super::request::{Request, Version};
use super::socket::Stream;
use super::transmit::{self, Connection, SendBody, Sending, Sent, Told};

/// The values that all connections of a server share.
pub(super) struct Service {
    pub limits: Limits,
    pub access: Access,
    pub handler: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
}

impl Service {
    /// With the usual limits.
    pub fn standard(
        access: Access,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Service {
        Service {
            limits: Limits::STANDARD,
            access,
            handler: Box::new(handler),
        }
    }
}

/// Why a connection ends.
enum End {
    /// At once.
    Drop,
    /// After a reply; the client gets time to read it.
    Linger,
}

/// Serves a connection to its end.
pub(super) fn serve(stream: &Arc<Stream>, permit: &Permit, service: &Service) {
    if let End::Linger = serve_requests(stream, permit, service) {
        linger(stream, service.limits);
    }
    // The handler may keep the socket open for a moment longer. Fails if the client closed the connection first.
    let _ = stream.shutdown(Shutdown::Both);
}

fn serve_requests(stream: &Arc<Stream>, permit: &Permit, service: &Service) -> End {
    let limits = service.limits;
    // Replies are written in one piece, so waiting for more bytes to fill a packet would only delay them.
    let _ = stream.set_nodelay();
    // On failure the system chooses the sizes.
    let _ = stream.set_send_buffer(SEND_BUFFER_BYTES);
    let Ok(mut outbox) = Outbox::new(stream, permit, limits.write_stall) else {
        return End::Drop;
    };
    let mut inbox = Inbox::new(&**stream);
    let mut first_byte_by = Instant::now() + limits.head_time;
    for nth in 1..=MAX_REQUESTS {
        if inbox.unread().is_empty() && inbox.more(first_byte_by).is_err() {
            return End::Drop;
        }
        // The time of the first head begins with the connection.
        let head_by = if nth == 1 {
            first_byte_by
        } else {
            Instant::now() + limits.head_time
        };
        let request = match receive(&mut inbox, &mut outbox, head_by, service) {
            Ok(request) => request,
            Err((error, body)) => return give_up(&mut outbox, error, body),
        };
        let request = request.with_client(Client::of(stream));
        if !permit.begin_answer() {
            return End::Drop;
        }
        let last = nth == MAX_REQUESTS || !wants_keeping(&request);
        let end = answer(&request, last, &mut outbox, permit, service);
        if !permit.end_answer() {
            return End::Drop;
        }
        if let Some(end) = end {
            return end;
        }
        first_byte_by = Instant::now() + limits.idle_time;
    }
    End::Linger
}

/// Reads one request. An error has whether its reply may have a body.
fn receive<S: Source>(
    inbox: &mut Inbox<S>,
    outbox: &mut Outbox<'_>,
    head_by: Instant,
    service: &Service,
) -> Result<Request, (ReadError, SendBody)> {
    let head = head::read(inbox, head_by).map_err(|error| (error, SendBody::Yes))?;
    let body = SendBody::of(&head);
    complete(head, inbox, outbox, service).map_err(|error| (error, body))
}

/// Checks a request by its head, then reads its body.
fn complete<S: Source>(
    request: Request,
    inbox: &mut Inbox<S>,
    outbox: &mut Outbox<'_>,
    service: &Service,
) -> Result<Request, ReadError> {
    service.access.admit(&request)?;
    let framing = body::framing(&request)?;
    if let Some(expectation) = request.header("expect")
        && request.version() == Version::Http11
    {
        if !expectation.eq_ignore_ascii_case("100-continue") {
            let sentence = "of all expectations only 100-continue can be met";
            return Err(Refusal::new(417, sentence).into());
        }
        // A client that already sends the body needs no `100 Continue`.
        if framing != Framing::Empty && inbox.unread().is_empty() {
            outbox
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .map_err(|_| ReadError::Lost)?;
        }
    }
    let body_by = Instant::now() + service.limits.body_time;
    let body = body::read(inbox, framing, body_by)?;
    Ok(request.with_body(body))
}

/// Answers one request; `None` if the connection goes on.
fn answer(
    request: &Request,
    last: bool,
    outbox: &mut Outbox<'_>,
    permit: &Permit,
    service: &Service,
) -> Option<End> {
    let handled = panic::catch_unwind(AssertUnwindSafe(|| (service.handler)(request)));
    let (reply, last) = match handled {
        Ok(reply) => (reply, last),
        Err(panic) => {
            permit.count_panic();
            (
                Reply::error(500, &transmit::panic_sentence(panic.as_ref())),
                true,
            )
        }
    };
    let connection = if last || !permit.is_open() {
        Connection::Close
    } else {
        Connection::Keep
    };
    let sending = Sending {
        version: request.version(),
        body: SendBody::of(request),
        connection,
        date: &http_date(SystemTime::now()),
    };
    let Ok(sent) = transmit::send(outbox, reply, sending) else {
        return Some(End::Drop);
    };
    if let Sent::Panicked(_) = sent {
        permit.count_panic();
    }
    match sent {
        Sent::Whole(Connection::Keep) => None,
        Sent::Whole(Connection::Close) => Some(End::Linger),
        Sent::Failed(Told::Yes) | Sent::Panicked(Told::Yes) => Some(End::Linger),
        Sent::Failed(Told::No) | Sent::Panicked(Told::No) => Some(End::Drop),
    }
}

/// Ends a connection that is not read any more.
fn give_up(outbox: &mut Outbox<'_>, error: ReadError, body: SendBody) -> End {
    let refusal = match error {
        ReadError::Lost => return End::Drop,
        ReadError::Late => Refusal::new(408, "the request did not arrive in time"),
        ReadError::Refused(refusal) => refusal,
    };
    let sending = Sending {
        version: Version::Http11,
        body,
        connection: Connection::Close,
        date: &http_date(SystemTime::now()),
    };
    match transmit::send(outbox, refusal.into(), sending) {
        Ok(_) => End::Linger,
        Err(_) => End::Drop,
    }
}

fn wants_keeping(request: &Request) -> bool {
    let mut tokens = request
        .header_values("connection")
        .flat_map(|value| value.split(','));
    request.version() == Version::Http11
        && !tokens.any(|token| token.trim().eq_ignore_ascii_case("close"))
}

/// Ends the sending half, and reads and drops further bytes of the client, within bounds.
fn linger(stream: &Stream, limits: Limits) {
    let deadline = Instant::now() + limits.linger_time;
    let mut source = stream;
    let mut dropped = 0;
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    while dropped < LINGER_BYTES {
        match source.read_before(&mut [0; 4096], deadline) {
            Ok(0) | Err(_) => return,
            Ok(read) => dropped += read,
        }
    }
}

/// Tells a connection without a permit why it is closed. Does not wait for the client.
pub(super) fn refuse(mut stream: &Stream) {
    if stream.set_nonblocking(true).is_err() {
        return;
    }
    let sending = Sending {
        version: Version::Http11,
        body: SendBody::Yes,
        connection: Connection::Close,
        date: &http_date(SystemTime::now()),
    };
    let reply = Reply::error(
        503,
        "the debugging server is busy: every connection it allows is being answered",
    );
    // The buffer of a new socket is large enough for it. If not, or if the request has not arrived yet, the
    // connection is reset.
    let _ = transmit::send(&mut stream, reply, sending);
    let _ = stream.read(&mut [0; 4096]);
}
