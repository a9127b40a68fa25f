//! One request and its reply, for another server than ours: the same checks, handlers and rules, without a socket.
//!
//! The public items of this module are all that such a server needs, with std's types only, so a router of any
//! framework can mount the endpoints. An async interface was rejected: the handlers block, by design, and the owner
//! of an executor knows which of its threads may block.

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};

use super::access::Access;
use super::body;
use super::client::Client;
use super::limits::MAX_BODY_BYTES;
use super::refusal::Refusal;
use super::reply::{Body, Reply, Stream};
use super::request::{Method, Request};
use super::transmit::{CHUNK_BYTES, panic_sentence};

/// A handler and its access control.
#[derive(Clone, Debug)]
pub struct Endpoints {
    access: Access,
    handler: Handler,
}

/// The function that answers admitted requests.
pub type Handler = fn(&Request) -> Reply;

/// Receives a reply, piece by piece. Each call may block until there is room for more: that is the back pressure. An
/// error of any call ends the reply: the client is gone, or reads too slowly.
pub trait Carrier {
    /// Takes the head, once, before all pieces. The length is that of the body, if it is known. A reply to a `HEAD`
    /// has the length, too, though no body follows.
    ///
    /// # Errors
    /// Any, if the client cannot be reached.
    fn begin(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        length: Option<usize>,
    ) -> io::Result<()>;

    /// Takes the next piece of the body, which is never empty.
    ///
    /// # Errors
    /// Any, if the client cannot be reached.
    fn send(&mut self, piece: Vec<u8>) -> io::Result<()>;
}

/// A request that was checked by its head, and waits for its body and its answer.
#[derive(Debug)]
pub struct Exchange {
    request: Result<Request, Refusal>,
    handler: Handler,
    /// `false` for a `HEAD`: only the head is sent, also for a refusal.
    with_body: bool,
}

impl Endpoints {
    /// The endpoints of this handler, for requests that `access` allows.
    pub fn new(access: Access, handler: Handler) -> Endpoints {
        Endpoints { access, handler }
    }

    /// Whether only requests from a loopback address may be admitted.
    pub fn is_local(&self) -> bool {
        matches!(self.access, Access::Loopback)
    }

    /// Checks a request by its head. `target` is the path and query, or an absolute `http://` target. A refusal is an
    /// exchange as well; its answer says why.
    pub fn open(
        &self,
        method: &str,
        target: &str,
        headers: impl IntoIterator<Item = (String, String)>,
    ) -> Exchange {
        let headers = headers.into_iter().collect();
        let request = Request::new(method, target, headers, Vec::new());
        Exchange {
            request: request.and_then(|request| self.access.admit(&request).map(|()| request)),
            handler: self.handler,
            with_body: method != "HEAD",
        }
    }
}

impl Exchange {
    /// How many bytes of the request's body are needed, at most; 0 if the body is not used.
    pub fn body_limit(&self) -> usize {
        match &self.request {
            Ok(request) if *request.method() == Method::Post => MAX_BODY_BYTES,
            _ => 0,
        }
    }

    /// The same exchange, refused because its body is longer than that, or incomplete.
    pub fn body_too_large(self) -> Exchange {
        Exchange {
            request: self.request.and_then(|_| Err(body::too_large())),
            ..self
        }
    }

    /// The same exchange, refused with a status and a sentence, unless it is refused already.
    pub fn refuse(self, status: u16, sentence: &'static str) -> Exchange {
        Exchange {
            request: self
                .request
                .and_then(|_| Err(Refusal::new(status, sentence))),
            ..self
        }
    }

    /// Answers, on this thread, and blocks until the client has taken the reply. `is_gone` tells whether the client
    /// has left; a handler that waits asks now and then. A panic of a handler is an answer with status 500.
    ///
    /// # Errors
    /// When the reply broke off: an error of the carrier, or of a handler after the reply had begun. The carrier MUST
    /// NOT send an end of the body then. Otherwise the client takes a part for the whole.
    pub fn answer(
        self,
        body: Vec<u8>,
        is_gone: impl Fn() -> bool + Send + Sync + 'static,
        carrier: &mut dyn Carrier,
    ) -> io::Result<()> {
        let request = match self.request {
            Ok(request) => request,
            Err(refusal) => return send(refusal.into(), self.with_body, carrier),
        };
        let request = request.with_body(body).with_client(Client::told(is_gone));
        let handled = panic::catch_unwind(AssertUnwindSafe(|| (self.handler)(&request)));
        let reply =
            handled.unwrap_or_else(|panic| Reply::error(500, &panic_sentence(panic.as_ref())));
        send(reply, self.with_body, carrier)
    }
}

fn send(reply: Reply, with_body: bool, carrier: &mut dyn Carrier) -> io::Result<()> {
    let (status, headers, body) = reply.into_parts();
    match body {
        Body::Bytes(bytes) => {
            carrier.begin(status, &headers, Some(bytes.len()))?;
            if with_body && !bytes.is_empty() {
                carrier.send(bytes)?;
            }
            Ok(())
        }
        Body::Stream(_) if !with_body => carrier.begin(status, &headers, None),
        Body::Stream(stream) => send_stream(status, headers, stream, carrier),
    }
}

/// The head is sent with the first piece, so a stream that fails before it still gets a 500.
fn send_stream(
    status: u16,
    headers: Vec<(&'static str, String)>,
    stream: Stream,
    carrier: &mut dyn Carrier,
) -> io::Result<()> {
    let mut pieces = Pieces {
        carrier,
        head: Some((status, headers)),
        piece: Vec::new(),
    };
    let written = panic::catch_unwind(AssertUnwindSafe(|| stream(&mut pieces)));
    let sentence = match &written {
        Ok(Ok(())) => {
            pieces.begin()?;
            return pieces.flush();
        }
        Ok(Err(error)) => format!("the reply could not be made: {error}"),
        Err(panic) => panic_sentence(panic.as_ref()),
    };
    match pieces.head {
        Some(_) => send(Reply::error(500, &sentence), true, pieces.carrier),
        None => Err(io::Error::other(sentence)),
    }
}

/// The writer of a stream.
struct Pieces<'a> {
    carrier: &'a mut dyn Carrier,
    /// The head, until it is sent.
    head: Option<(u16, Vec<(&'static str, String)>)>,
    piece: Vec<u8>,
}

impl Pieces<'_> {
    fn begin(&mut self) -> io::Result<()> {
        match self.head.take() {
            Some((status, headers)) => self.carrier.begin(status, &headers, None),
            None => Ok(()),
        }
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES.saturating_sub(self.piece.len());
        let part = bytes.get(..room).unwrap_or(bytes);
        self.piece.extend_from_slice(part);
        if self.piece.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.carrier.send(std::mem::take(&mut self.piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps its pieces; fails from the nth piece on.
    #[derive(Default)]
    struct Kept {
        begun: Vec<(u16, Option<usize>)>,
        body: Vec<u8>,
        most: Option<usize>,
    }

    impl Carrier for Kept {
        fn begin(
            &mut self,
            status: u16,
            _: &[(&'static str, String)],
            length: Option<usize>,
        ) -> io::Result<()> {
            self.begun.push((status, length));
            Ok(())
        }

        fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
            assert!(!piece.is_empty());
            if self.most.is_some_and(|most| self.body.len() >= most) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.body.extend(piece);
            Ok(())
        }
    }

    /// A page for these tests.
    fn page(request: &Request) -> Reply {
        match request.path() {
            "/debug/pprof/page" => Reply::text(200, b"a page".to_vec()),
            _ => Reply::error(404, "no such page"),
        }
    }

    fn local() -> Endpoints {
        Endpoints::new(Access::Loopback, page)
    }

    fn answered(method: &str, target: &str, host: &str) -> Kept {
        let mut kept = Kept::default();
        local()
            .open(method, target, [("Host".into(), host.into())])
            .answer(Vec::new(), || false, &mut kept)
            .unwrap();
        kept
    }

    fn streamed(
        most: Option<usize>,
        write: fn(&mut dyn Write) -> io::Result<()>,
    ) -> (Kept, io::Result<()>) {
        let mut kept = Kept {
            most,
            ..Kept::default()
        };
        let sent = send(Reply::text(200, Body::stream(write)), true, &mut kept);
        (kept, sent)
    }

    #[test]
    fn the_checks_and_answers_are_the_servers() {
        let page = answered("GET", "/debug/pprof/page", "localhost");
        assert_eq!(page.begun, [(200, Some(page.body.len()))]);
        assert!(!page.body.is_empty());
        let head = answered("HEAD", "/debug/pprof/page", "localhost");
        assert_eq!((head.begun, head.body), (page.begun, Vec::new()));
        let refused = answered("HEAD", "/debug/pprof/", "evil.com");
        assert_eq!((refused.begun[0].0, refused.body), (403, Vec::new()));
        assert_eq!(answered("GET", "/nosuch", "localhost").begun[0].0, 404);
        assert_eq!(answered("GET", "/debug/pprof/", "evil.com").begun[0].0, 403);
        assert_eq!(answered("GET", "not a target", "localhost").begun[0].0, 400);
    }

    #[test]
    fn a_body_is_only_wanted_where_it_is_read_and_let_in() {
        let open = |method, host: &str| {
            local().open(
                method,
                "/debug/pprof/symbol",
                [("Host".into(), host.into())],
            )
        };
        assert_eq!(open("POST", "localhost").body_limit(), MAX_BODY_BYTES);
        assert_eq!(open("GET", "localhost").body_limit(), 0);
        assert_eq!(open("POST", "evil.com").body_limit(), 0);
        let mut kept = Kept::default();
        let refused = open("POST", "localhost").body_too_large();
        refused.answer(Vec::new(), || false, &mut kept).unwrap();
        assert_eq!(kept.begun[0].0, 413);
    }

    #[test]
    fn a_stream_comes_in_pieces_after_its_head() {
        let (kept, sent) = streamed(None, |out| out.write_all(&[b'x'; 100_000]));
        assert!(sent.is_ok());
        assert_eq!((kept.begun, kept.body.len()), (vec![(200, None)], 100_000));
        let (kept, sent) = streamed(None, |_| Ok(()));
        assert!(sent.is_ok());
        assert_eq!(kept.begun, [(200, None)]);
    }

    #[test]
    fn an_early_failure_is_told_and_a_late_one_breaks_off() {
        for early in [
            (|out| out.write_all(b"a").and(Err(io::Error::other("no symbols"))))
                as fn(&mut dyn Write) -> _,
            |_| panic!("oh"),
        ] {
            let (kept, sent) = streamed(None, early);
            assert!(sent.is_ok());
            assert_eq!(kept.begun[0].0, 500);
        }
        let (kept, sent) = streamed(None, |out| {
            out.write_all(b"a")?;
            out.flush()?;
            panic!("late")
        });
        assert!(sent.is_err());
        assert_eq!((kept.begun, kept.body), (vec![(200, None)], b"a".to_vec()));
    }

    #[test]
    fn a_stream_whose_client_leaves_ends() {
        let (kept, sent) = streamed(Some(40_000), |out| {
            loop {
                out.write_all(&[b'x'; 4096])?;
            }
        });
        assert!(sent.is_err());
        assert!(kept.body.len() < 80_000);
    }
}
