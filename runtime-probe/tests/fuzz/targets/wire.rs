//! The bytes of a connection: framing, who is let in, routes, and the bytes of the answers.
//!
//! The first byte chooses the door and the size of the pieces in which the rest arrives.
#![no_main]

use fuzz::asked::ask;
use fuzz::sent::{Door, Received, receive, refuse, send};
use libfuzzer_sys::fuzz_target;
use runtime_probe::pprof::http::Endpoints;
use std::sync::LazyLock;

const TOKEN: &str = "0123456789abcdef";

static DOORS: LazyLock<[(Door, Endpoints); 2]> = LazyLock::new(|| {
    let remote = Endpoints::remote(TOKEN).expect("a good token");
    [
        (Door::loopback(), Endpoints::local()),
        (Door::token(TOKEN), remote),
    ]
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else {
        return;
    };
    let (door, endpoints) = &DOORS[usize::from(choice & 1)];
    let received = receive(door, bytes, usize::MAX);
    let piece = usize::from(choice >> 1).max(1);
    assert_eq!(
        receive(door, bytes, piece),
        received,
        "in pieces of {piece}"
    );
    for received in received {
        match received {
            Received::Lost => {}
            Received::Refused(status, sentence) => refuse(status, sentence),
            Received::Asked(asked) => {
                let headers = asked.headers.iter().cloned();
                // The interface for other servers speaks HTTP/1.1 only, where a request has a Host.
                let host = asked
                    .http10
                    .then(|| ("host".to_owned(), "localhost".to_owned()));
                let hostless = !asked.headers.iter().any(|(name, _)| name == "host");
                let headers = headers.chain(host.filter(|_| hostless));
                let answer = ask(
                    endpoints,
                    &asked.method,
                    &asked.target,
                    headers,
                    &asked.body,
                );
                assert!(
                    !matches!(answer.status, 401 | 403),
                    "let in, and refused: {asked:?}"
                );
                send(answer, &asked);
            }
        }
    }
});
