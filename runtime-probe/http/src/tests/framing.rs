//! Requests that could be read in two ways, and bodies.

use super::*;
use crate::limits::{MAX_BODY_BYTES, MAX_FRAMING_BYTES};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends a doubtful request with another one behind it: one answer, and the end.
fn refused(request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    let server = serve(
        Limits {
            linger_time: SHORT,
            ..Limits::STANDARD
        },
        echo,
    );
    let mut caller = Caller::connect(&server);
    let answer = caller
        .send([request, SMUGGLED.as_bytes()].concat())
        .answer();
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    assert_eq!(answer.status, status, "{shown:?}: {}", answer.body);
    assert!(answer.closes() && answer.body.len() > 10, "{shown:?}");
    assert_eq!(answer.header("x-go-pprof"), Some("1"));
    assert!(caller.is_closed(), "{shown:?}");
}

fn post(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

#[test]
fn doubtful_lengths_are_refused() {
    for lengths in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\ncontent-length: 4",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        "Content-Length: 3 4",
        "Content-Length:",
        "Content-Length: \u{0663}",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        refused(post(lengths, "0\r\n\r\n"), 400);
    }
    for coding in [
        "gzip, chunked",
        "chunked, chunked",
        "xchunked",
        "identity",
        "\"chunked\"",
        "",
    ] {
        refused(
            post(&format!("Transfer-Encoding: {coding}"), "0\r\n\r\n"),
            501,
        );
    }
    refused(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    );
}

#[test]
fn malformed_heads_are_refused() {
    for head in [
        "GET / HTTP/1.1\nHost: localhost\n\n",
        "GET / HTTP/1.1\r\nHost: localhost\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\rx\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\tfolded: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length : 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n: nameless\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA: \u{7f}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /?a=%f HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\u{16}\u{3}\u{1}\0",
    ] {
        refused(head, 400);
    }
}

#[test]
fn malformed_chunks_are_refused() {
    for body in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1\na\n0\n\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1;\0\r\na\r\n0\r\n\r\n",
        "1;\r;\r\na\r\n0\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
    ] {
        refused(chunked(body), 400);
    }
}

#[test]
fn bodies_up_to_the_limit_are_read() {
    let server = serve(Limits::STANDARD, |request| {
        Reply::text(200, format!("{}", request.body().len()))
    });
    let full = "x".repeat(MAX_BODY_BYTES);
    let length = format!("Content-Length: {MAX_BODY_BYTES}");
    assert_eq!(
        ask(&server, post(&length, &full)).body,
        format!("{MAX_BODY_BYTES}")
    );
    let body = format!("{MAX_BODY_BYTES:X} \t;a=\"b\"\r\n{full}\r\n0\r\nA: b\r\n\r\n");
    assert_eq!(
        ask(&server, chunked(&body)).body,
        format!("{MAX_BODY_BYTES}")
    );
    assert_eq!(ask(&server, post("Content-Length: 0", "")).body, "0");
}

#[test]
fn bodies_beyond_the_limit_are_refused() {
    refused(
        post(&format!("Content-Length: {}", MAX_BODY_BYTES + 1), ""),
        413,
    );
    refused(post("Content-Length: 99999999999999999999999999", ""), 413);
    refused(chunked(&format!("{:x}\r\n", MAX_BODY_BYTES + 1)), 413);
    refused(chunked("ffffffffffffffffffff\r\n"), 413);
    let many = "400\r\n".to_owned() + &"x".repeat(1024) + "\r\n";
    refused(chunked(&(many.repeat(1024) + "1\r\n")), 413);
    refused(
        chunked(&"1\r\nx\r\n".repeat(MAX_FRAMING_BYTES / 5 + 1)),
        413,
    );
    refused(
        chunked(&("1;".to_owned() + &"x".repeat(MAX_FRAMING_BYTES))),
        413,
    );
    refused(
        chunked(&("0\r\n".to_owned() + &"A: b\r\n".repeat(MAX_FRAMING_BYTES / 6))),
        413,
    );
}

#[test]
fn a_huge_body_is_refused_without_being_read() {
    const HUGE: usize = 100_000_000;
    let server = serve(Limits::STANDARD, echo);
    let chunk = "4000\r\n".to_owned() + &"x".repeat(0x4000) + "\r\n";
    for (headers, part) in [
        (format!("Content-Length: {HUGE}"), "x".repeat(0x4000)),
        ("Transfer-Encoding: chunked".to_owned(), chunk),
    ] {
        let mut caller = Caller::connect(&server);
        caller.send(post(&headers, ""));
        let mut sent = 0;
        while sent < HUGE && caller.try_send(&part).is_ok() {
            sent += part.len();
        }
        // The limits, and the buffers of two sockets.
        assert!(sent < HUGE / 2, "{sent} bytes of it were taken");
        let answer = caller.answer();
        assert_eq!((answer.status, answer.closes()), (413, true));
    }
}

#[test]
fn a_client_that_asks_first_is_told_to_continue() {
    let server = serve(Limits::STANDARD, echo);
    let mut caller = Caller::connect(&server);
    let expecting = |length| format!("Expect: 100-Continue\r\nContent-Length: {length}");
    for _ in 0..2 {
        assert_eq!(caller.send(post(&expecting(3), "")).answer().status, 100);
        assert_eq!(caller.send("abc").answer().body, "Post / abc");
    }
    // No `100 Continue` if the client does not wait for it, or has no body.
    assert_eq!(
        caller.send(post(&expecting(3), "abc")).answer().body,
        "Post / abc"
    );
    assert_eq!(
        caller.send(post(&expecting(0), "")).answer().body,
        "Post / "
    );
    assert_eq!(
        caller
            .send(post(&expecting(MAX_BODY_BYTES + 1), ""))
            .answer()
            .status,
        413
    );
    refused(post("Expect: 200-ok\r\nContent-Length: 3", "abc"), 417);
}
