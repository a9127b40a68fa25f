//! Arbitrary bytes, and valid requests that arrive in arbitrary pieces.

use std::io;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::inbox::{Inbox, ReadError, Source};
use crate::request::Request;
use crate::{body, head};

/// Bytes that arrive in pieces; no clock.
struct Pieces<'a>(Vec<&'a [u8]>);

impl<'a> Pieces<'a> {
    fn new(bytes: &'a [u8], cuts: &[Index]) -> Self {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        Pieces(pieces.filter(|piece| !piece.is_empty()).rev().collect())
    }
}

impl Source for Pieces<'_> {
    fn read_before(&mut self, buffer: &mut [u8], _: Instant) -> io::Result<usize> {
        let Some(piece) = self.0.pop() else {
            return Ok(0);
        };
        let (now, later) = piece.split_at(piece.len().min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        if !later.is_empty() {
            self.0.push(later);
        }
        Ok(now.len())
    }
}

/// All requests in the bytes, and how the stream ends.
fn requests(bytes: &[u8], cuts: &[Index]) -> (Vec<Request>, String) {
    let mut inbox = Inbox::new(Pieces::new(bytes, cuts));
    let mut requests = Vec::new();
    let mut next = || -> Result<Request, ReadError> {
        let deadline = Instant::now();
        let request = head::read(&mut inbox, deadline)?;
        let framing = body::framing(&request)?;
        Ok(request.with_body(body::read(&mut inbox, framing, deadline)?))
    };
    loop {
        match next() {
            Ok(request) => requests.push(request),
            Err(end) => return (requests, format!("{end:?}")),
        }
    }
}

#[derive(Clone, Debug)]
enum Sent {
    Nothing,
    Length(Vec<u8>),
    Chunks(Vec<Vec<u8>>),
}

fn valid() -> impl Strategy<Value = (String, String, Vec<u8>, Vec<u8>)> {
    let bytes = || vec(any::<u8>(), 1..300);
    let sent = prop_oneof![
        Just(Sent::Nothing),
        bytes().prop_map(Sent::Length),
        vec(bytes(), 0..5).prop_map(Sent::Chunks),
    ];
    let header = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}: ?[!-~é][ \t!-~é]{0,20}";
    let query = r"(\?([a-z]{1,5}(=[a-z0-9+]{0,5}|=%2[0-9A-Fa-f])?&?){0,4})?";
    (
        "[A-Z]{1,7}",
        "(/[a-z.~-]{0,8}){1,4}",
        query,
        vec(header, 0..8),
        sent,
    )
        .prop_map(|(method, path, query, headers, sent)| {
            let mut wire = format!("{method} {path}{query} HTTP/1.1\r\nHost: localhost\r\n");
            for (n, header) in headers.iter().enumerate() {
                wire.push_str(&format!("X{n}-{header}\r\n"));
            }
            let mut wire = wire.into_bytes();
            let body = match sent {
                Sent::Nothing => {
                    wire.extend(b"\r\n");
                    Vec::new()
                }
                Sent::Length(body) => {
                    wire.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                    wire.extend(&body);
                    body
                }
                Sent::Chunks(chunks) => {
                    wire.extend(b"Transfer-Encoding: Chunked\r\n\r\n");
                    for chunk in &chunks {
                        wire.extend(format!("{:X};e\r\n", chunk.len()).bytes());
                        wire.extend(chunk);
                        wire.extend(b"\r\n");
                    }
                    wire.extend(b"0\r\nT: u\r\n\r\n");
                    chunks.concat()
                }
            };
            (method, path, body, wire)
        })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..600), cuts in vec(any::<Index>(), 0..8)) {
        prop_assert_eq!(shown(&bytes, &cuts), shown(&bytes, &[]));
    }

    #[test]
    fn no_text_like_a_request_makes_it_panic(
        text in "(GET |POST |/|%2|\\?|&|=| HTTP/1.[019]|\r\n|\r|\n|\r\n\r\n|Host:|: |a|\
                 Content-Length: |Transfer-Encoding: chunked|[0-9a-f]|;|\u{0}|é){0,60}",
        cuts in vec(any::<Index>(), 0..8),
    ) {
        prop_assert_eq!(shown(text.as_bytes(), &cuts), shown(text.as_bytes(), &[]));
    }

    #[test]
    fn a_damaged_request_does_not_make_it_panic(
        (.., wire) in valid(),
        at in any::<Index>(),
        byte in any::<u8>(),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let mut wire = wire;
        let at = at.index(wire.len());
        wire[at] = byte;
        prop_assert_eq!(shown(&wire, &cuts), shown(&wire, &[]));
    }

    #[test]
    fn valid_requests_are_the_same_however_they_arrive(
        sent in vec(valid(), 1..4),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let wire: Vec<u8> = sent.iter().flat_map(|(.., wire)| wire.iter().copied()).collect();
        let (received, end) = requests(&wire, &cuts);
        prop_assert_eq!(end, "Lost");
        prop_assert_eq!(received.len(), sent.len());
        for (request, (method, path, body, _)) in received.iter().zip(&sent) {
            prop_assert_eq!(request.method(), &method.as_str().into());
            prop_assert_eq!(request.path(), path);
            prop_assert_eq!(request.body(), body);
        }
        prop_assert_eq!(shown(&wire, &cuts), shown(&wire, &[]));
    }
}

#[test]
fn byte_by_byte_is_no_different() {
    let wire = b"\r\nPOST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let mut inbox = Inbox::new(Pieces(wire.chunks(1).rev().collect()));
    let now = Instant::now();
    let request = head::read(&mut inbox, now).unwrap();
    let framing = body::framing(&request).unwrap();
    assert_eq!(body::read(&mut inbox, framing, now).unwrap(), b"abc");
    assert_eq!(head::read(&mut inbox, now).unwrap().path(), "/");
}

fn shown(bytes: &[u8], cuts: &[Index]) -> String {
    format!("{:?}", requests(bytes, cuts))
}
