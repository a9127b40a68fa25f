//! Replies, kept connections, requests sent ahead, and faulty handlers.

use std::io::ErrorKind;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::token::Token;

#[test]
fn a_request_is_answered_and_the_connection_kept() {
    let server = serve(Limits::STANDARD, echo);
    let mut caller = Caller::connect(&server);
    for path in ["/a", "/b", "/c"] {
        let answer = caller.send(get(path)).answer();
        assert_eq!((answer.status, answer.body), (200, format!("Get {path} ")));
    }
    let answer = caller.send(get("/x")).answer();
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(
        answer
            .header("date")
            .is_some_and(|date| date.ends_with(" GMT"))
    );
    assert_eq!(server.tally().admitted, 1);
}

#[test]
fn the_hundredth_answer_is_the_last() {
    let server = serve(Limits::STANDARD, echo);
    let mut caller = Caller::connect(&server);
    for _ in 1..100 {
        assert!(!caller.send(get("/")).answer().closes());
    }
    assert!(caller.send(get("/")).answer().closes());
    assert!(caller.is_closed());
}

#[test]
fn a_client_that_wants_to_close_is_closed() {
    let server = serve(Limits::STANDARD, echo);
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: x, Close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut caller = Caller::connect(&server);
        assert!(caller.send(request).answer().closes());
        assert!(caller.is_closed());
    }
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let server = serve(Limits::STANDARD, echo);
    let mut caller = Caller::connect(&server);
    let post = "POST /b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc";
    let chunked = "POST /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2;x=y\r\nde\r\n1\r\nf\r\n0\r\nTrailer: t\r\n\r\n";
    let head = "HEAD /d HTTP/1.1\r\nHost: localhost\r\n\r\n";
    caller.send([&get("/a"), post, chunked, head, "\r\n", &get("/e")].concat());
    assert_eq!(caller.answer().body, "Get /a ");
    assert_eq!(caller.answer().body, "Post /b abc");
    assert_eq!(caller.answer().body, "Post /c def");
    let headed = caller.answer_to("HEAD").unwrap();
    assert_eq!(headed.header("content-length"), Some("8"));
    assert_eq!(caller.answer().body, "Get /e ");
}

#[test]
fn a_client_that_has_finished_sending_still_gets_its_answers() {
    let server = serve(Limits::STANDARD, echo);
    let mut caller = Caller::connect(&server);
    caller
        .send([get("/a"), get("/b")].concat())
        .finish_sending();
    assert_eq!(caller.answer().body, "Get /a ");
    assert_eq!(caller.answer().body, "Get /b ");
    assert!(caller.is_closed());
}

#[test]
fn a_stream_is_as_long_as_it_is() {
    const LINES: usize = 100_000;
    let server = serve(Limits::STANDARD, |_| {
        Reply::text(
            200,
            Body::stream(|out| (0..LINES).try_for_each(|line| writeln!(out, "{line:07}"))),
        )
    });
    let mut caller = Caller::connect(&server);
    for _ in 0..2 {
        let answer = caller.send(get("/")).answer();
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.body.len(), LINES * 8);
        assert!(
            answer
                .body
                .lines()
                .enumerate()
                .all(|(n, line)| line == format!("{n:07}"))
        );
    }
    let old = ask(&server, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.header("transfer-encoding"), None);
    assert_eq!(old.body.len(), LINES * 8);

    let headed = caller
        .send("HEAD / HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        .answer_to("HEAD")
        .unwrap();
    assert_eq!(headed.header("transfer-encoding"), Some("chunked"));
    assert_eq!(caller.send(get("/")).answer().status, 200);
}

#[test]
fn a_flush_reaches_the_client_before_the_end() {
    let (go_on, wait) = mpsc::channel();
    let wait = std::sync::Mutex::new(Some(wait));
    let server = serve(Limits::STANDARD, move |_| {
        let wait = wait.lock().unwrap().take().unwrap();
        Reply::text(
            200,
            Body::stream(move |out| {
                out.write_all(b"first")?;
                out.flush()?;
                wait.recv_timeout(PATIENCE).unwrap();
                out.write_all(b"second")
            }),
        )
    });
    let mut caller = Caller::connect(&server);
    caller.send(get("/"));
    while caller.line().unwrap() != "5" {}
    go_on.send(()).unwrap();
    assert_eq!(caller.line().unwrap(), "first");
    assert_eq!(caller.line().unwrap(), "6");
}

#[test]
fn a_body_larger_than_the_buffers_arrives() {
    let server = serve(Limits::STANDARD, |_| {
        Reply::text(200, "x".repeat(20_000_000))
    });
    assert_eq!(ask(&server, get("/")).body.len(), 20_000_000);
}

#[test]
fn a_panic_of_the_handler_is_answered_and_counted() {
    let server = serve(Limits::STANDARD, |request| match request.path() {
        "/stream" => Reply::text(200, Body::stream(|_| panic!("oh"))),
        "/late" => Reply::text(
            200,
            Body::stream(|out| {
                out.write_all(b"some")?;
                out.flush()?;
                panic!("oh")
            }),
        ),
        "/fine" => Reply::text(200, ""),
        _ => panic!("oh"),
    });
    for path in ["/", "/stream"] {
        let mut caller = Caller::connect(&server);
        let answer = caller.send(get(path)).answer();
        assert_eq!((answer.status, answer.closes()), (500, true));
        assert_eq!(answer.body, "the handler panicked: oh\n");
        assert!(caller.is_closed());
    }
    assert_eq!(
        Caller::connect(&server).send(get("/late")).answer_to("GET"),
        None
    );
    assert_eq!(ask(&server, get("/fine")).status, 200);
    assert_eq!(server.tally().panics, 3);
}

#[test]
fn a_stream_to_a_client_that_leaves_gets_an_error() {
    let (ended, end) = mpsc::channel();
    let server = serve(Limits::STANDARD, move |_| {
        let ended = ended.clone();
        Reply::text(
            200,
            Body::stream(move |out| {
                loop {
                    if let Err(error) = out.write_all(&[b'x'; 4096]) {
                        assert!(out.write_all(&[b'x'; 40_960]).is_err(), "it failed once");
                        ended.send(()).unwrap();
                        return Err(error);
                    }
                }
            }),
        )
    });
    let mut caller = Caller::connect(&server);
    caller.send(get("/"));
    assert_eq!(caller.line().unwrap(), "HTTP/1.1 200 OK");
    drop(caller);
    end.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_handler_that_waits_notices_that_its_client_is_gone() {
    let (ended, end) = mpsc::channel();
    let server = serve(Limits::STANDARD, move |request| {
        if request.path() == "/now" {
            return Reply::text(200, format!("{}", request.client().is_gone()));
        }
        while !request.client().is_gone() {
            thread::yield_now();
        }
        ended.send(()).unwrap();
        Reply::text(200, "")
    });
    let mut caller = Caller::connect(&server);
    assert_eq!(caller.send(get("/now")).answer().body, "false");
    assert_eq!(caller.send(get("/now")).answer().body, "false");
    caller.send(get("/wait"));
    drop(caller);
    end.recv_timeout(PATIENCE).unwrap();
    // The bytes that it sent ahead do not hide the close, although they are more than the server reads at once.
    #[cfg(target_os = "linux")]
    {
        Caller::connect(&server).send([&get("/wait"), &*"x".repeat(20_000)].concat());
        end.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_refusal_has_no_body_where_only_the_head_is_wanted() {
    let server = serve(Limits::STANDARD, echo);
    for (headers, status) in [
        ("Host: evil.example", 403),
        ("Host: localhost\r\nContent-Length: x", 400),
        ("Host: localhost\r\nExpect: miracles", 417),
    ] {
        let mut caller = Caller::connect(&server);
        caller.send(format!("HEAD / HTTP/1.1\r\n{headers}\r\n\r\n"));
        let answer = caller.answer_to("HEAD").unwrap();
        assert_eq!(
            (answer.status, answer.closes()),
            (status, true),
            "{headers}"
        );
        assert!(answer.header("content-length") > Some("0"), "{headers}");
        assert!(caller.is_closed(), "{headers}");
    }
}

#[test]
fn any_host_but_this_machine_is_refused() {
    let server = serve(Limits::STANDARD, echo);
    let mut caller = Caller::connect(&server);
    let answer = caller
        .send("GET / HTTP/1.1\r\nHost: evil.example:6060\r\n\r\n")
        .answer();
    assert_eq!((answer.status, answer.closes()), (403, true));
    assert!(answer.body.contains("localhost"));
    assert_eq!(ask(&server, "GET / HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(
        ask(&server, "GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n").status,
        200
    );
}

#[test]
fn without_a_token_only_loopback_is_listened_on() {
    let bind = |addresses: &[&str], token: Option<Token>| {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        Server::bind(&addresses, token, echo)
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let error = bind(&[address], None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{address}");
        assert!(error.to_string().contains("loopback"));
    }
    assert!(bind(&["127.0.0.1:0", "0.0.0.0:0"], None).is_err());
    let server = bind(&["127.0.0.1:0"], None).unwrap();
    assert_eq!(ask(&server, get("/")).status, 200);

    let token = Token::new("correct-horse-battery".into()).unwrap();
    let server = bind(&["0.0.0.0:0"], Some(token)).unwrap();
    assert!(server.local_addr().unwrap().ip().is_unspecified());
    assert_eq!(ask(&server, get("/")).status, 401);
    let anywhere = "GET / HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer correct-horse-battery\r\n\r\n";
    assert_eq!(ask(&server, anywhere).status, 200);
}

#[test]
fn a_request_without_the_token_is_refused_before_its_body_is_read() {
    let token = Token::new("correct-horse-battery".into()).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(&[address], Some(token), echo).unwrap();
    let mut caller = Caller::connect(&server);
    // No byte of this body is ever sent.
    caller.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
    let answer = caller.answer();
    assert_eq!((answer.status, answer.closes()), (401, true));
}
