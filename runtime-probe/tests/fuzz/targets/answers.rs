//! Requests and the bytes of their answers: an admitted client gets the same answer as by the interface for other
//! servers, and a strict reader parses the bytes as that answer.
//!
//! The first byte chooses the access control.
#![no_main]

use fuzz::asked::ask;
use fuzz::sent::{Door, Received, receive, refuse, send};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const TOKEN: &str = "0123456789abcdef";

static DOORS: LazyLock<[Door; 2]> = LazyLock::new(|| [Door::loopback(), Door::token(TOKEN)]);

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else {
        return;
    };
    let token = (choice & 1 == 1).then_some(TOKEN);
    for received in receive(&DOORS[usize::from(choice & 1)], bytes, usize::MAX) {
        match received {
            Received::Lost => {}
            Received::Refused(status, sentence) => refuse(status, sentence),
            Received::Asked(asked) => {
                let headers = asked.headers.iter().cloned();
                // The interface for other servers supports HTTP/1.1 only, in which a request has a Host.
                let host = asked
                    .http10
                    .then(|| ("host".to_owned(), "localhost".to_owned()));
                let hostless = !asked.headers.iter().any(|(name, _)| name == "host");
                let headers = headers.chain(host.filter(|_| hostless));
                let answer = ask(token, &asked.method, &asked.target, headers, &asked.body);
                assert!(
                    !matches!(answer.status, 401 | 403),
                    "let in, and refused: {asked:?}"
                );
                send(answer, &asked);
            }
        }
    }
});
