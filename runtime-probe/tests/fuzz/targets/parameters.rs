//! Paths and parameters: another spelling of a request is understood alike, and only allowed parameters are accepted,
//! once each.
#![no_main]

use fuzz::asked::{Answer, ask};
use fuzz::{parameters, understood};
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;
use std::fmt::Write;

fuzz_target!(|text: &str| {
    // Characters that a request line cannot have are tested by the target `wire`.
    let text: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && c != '#' {
                c
            } else {
                '+'
            }
        })
        .collect();
    let (page, query) = text.split_once('?').unwrap_or((&text, ""));
    let answer = page_of(&text);
    assert!(
        matches!(answer.status, 200 | 307 | 400 | 404 | 500 | 501),
        "{}: {}",
        answer.status,
        answer.text()
    );
    if answer.status == 500 {
        // A client that is gone gets this answer.
        assert_eq!(answer.text(), "the client went away\n");
    }
    // The page `symbol` takes its query as a list of addresses. A 404 has nothing more to check.
    if page == "symbol" || answer.status == 404 {
        return;
    }
    let path = encoded(page, "");
    let query = encoded(&query.replace('+', "%20"), "&=");
    if matches!(answer.status, 200 | 500) {
        let target = format!("/debug/pprof/{page}");
        let (path, _) = understood(&target).expect("it was answered");
        assert_understood(&path, &query);
    }
    assert_eq!(page_of(&format!("{path}?{query}")), answer, "{text:?}");
});

fn page_of(below: &str) -> Answer {
    let host = [("Host".to_owned(), "localhost".to_owned())];
    ask(None, "GET", &format!("/debug/pprof/{below}"), host, b"")
}

fn assert_understood(path: &str, query: &str) {
    // The index has no parameters.
    let known: HashSet<String> = parameters(path)
        .unwrap_or_default()
        .iter()
        .map(|name| encoded(name, ""))
        .collect();
    let mut given = HashSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        assert!(known.contains(name), "{name:?} of {query:?}");
        assert!(given.insert(name), "{name:?} twice in {query:?}");
    }
}

/// The same with every byte percent-encoded, except those of `kept`. An invalid encoding stays invalid.
fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let escape = rest.get(..3).filter(|escape| {
            c == '%'
                && escape
                    .bytes()
                    .skip(1)
                    .all(|digit| digit.is_ascii_hexdigit())
        });
        if let Some(escape) = escape {
            encoded.push_str(&escape.to_ascii_lowercase());
        } else if c == '%' || kept.contains(c) {
            encoded.push(c);
        } else {
            let _ = write!(encoded, "%{:02x}", u32::from(c));
        }
        rest = &rest[escape.map_or(c.len_utf8(), str::len)..];
    }
    encoded
}
