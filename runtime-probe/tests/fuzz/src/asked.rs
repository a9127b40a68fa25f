//! A request to the HTTP layer, through the interface that other servers use, and its answer.

use std::io;

use crate::http::exchange;
use crate::pages::endpoints::Endpoints;

/// An answer whose head and body are consistent.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub length: Option<usize>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether its body has that type; a charset may follow.
    pub fn is(&self, content_type: &str) -> bool {
        self.header("Content-Type")
            .is_some_and(|value| value.starts_with(content_type))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(other, _)| *other == name);
        header.map(|(_, value)| value.as_str())
    }

    /// The body, which must be text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

/// Asks the HTTP layer, as loopback or with the token. Handlers that wait see a client that is gone, so no request
/// waits.
pub fn ask(
    token: Option<&str>,
    method: &str,
    target: &str,
    headers: impl IntoIterator<Item = (String, String)>,
    body: &[u8],
) -> Answer {
    let endpoints = match token {
        Some(token) => Endpoints::remote(token).expect("a good token"),
        None => Endpoints::local(),
    };
    let exchange = endpoints.open(method, target, headers);
    let body = body[..body.len().min(exchange.body_limit())].to_vec();
    let mut page = Page::default();
    exchange
        .answer(body, || true, &mut page)
        .expect("nothing breaks off");
    page.checked(method)
}

/// A refusal has a sentence, in a body that a browser does not treat as a page, or in a page of the browser's pages.
pub fn assert_refusal(status: u16, body: &str, content_type: Option<&str>) {
    let sentence = match content_type {
        Some("text/plain; charset=utf-8") => body.strip_suffix('\n'),
        Some("text/html; charset=utf-8") => sentence_of_page(body),
        _ => None,
    };
    let sentence = sentence.unwrap_or_else(|| panic!("{status} {content_type:?} {body:?}"));
    assert_sentence(status, sentence);
}

/// The sentence of a refusal's page, as it is escaped there. `None` if the page has tags beside its own.
fn sentence_of_page(page: &str) -> Option<&str> {
    let (head, rest) = page.split_once("<p class=\"refusal\" role=\"alert\">")?;
    let (sentence, end) = rest.split_once("</p>")?;
    let is_whole = head.starts_with("<!DOCTYPE html>") && end == "</main></body></html>";
    let has_tags = sentence.contains(['<', '>']) || head.matches("<script").count() != 1;
    (is_whole && !has_tags).then_some(sentence)
}

/// The sentence of a refusal.
pub fn assert_sentence(status: u16, sentence: &str) {
    assert!((400..600).contains(&status), "{status}");
    assert!(
        sentence.contains(' ') && sentence.len() < 2000 && !sentence.contains(char::is_control),
        "{status} {sentence:?}"
    );
}

/// An answer while it arrives.
#[derive(Default)]
pub struct Page(Option<Answer>);

impl Page {
    pub fn begin(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        length: Option<usize>,
    ) {
        let answer = Answer {
            status,
            headers: headers.to_vec(),
            length,
            body: Vec::new(),
        };
        assert!(self.0.replace(answer).is_none(), "a second head");
    }

    pub fn send(&mut self, piece: Vec<u8>) {
        assert!(!piece.is_empty(), "an empty piece ends a chunked body");
        let answer = self.0.as_mut().expect("a head comes first");
        if answer.body.is_empty() {
            answer.body = piece;
        } else {
            answer.body.extend(piece);
        }
    }

    /// Checks that hold for every answer.
    pub fn checked(self, method: &str) -> Answer {
        let answer = self.0.expect("an answer has a head");
        if method != "HEAD" {
            let length = answer.length.unwrap_or(answer.body.len());
            assert_eq!(answer.body.len(), length);
        }
        for (name, value) in &answer.headers {
            assert!(
                !name.is_empty() && !value.chars().any(char::is_control),
                "{name}: {value:?}"
            );
        }
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        if answer.status >= 400 && method != "HEAD" {
            assert_refusal(answer.status, answer.text(), answer.header("Content-Type"));
        }
        answer
    }
}

impl exchange::Carrier for Page {
    fn begin(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        length: Option<usize>,
    ) -> io::Result<()> {
        Page::begin(self, status, headers, length);
        Ok(())
    }

    fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
        Page::send(self, piece);
        Ok(())
    }
}
