//! A request to the endpoints, through the interface that other servers use, and its answer.

use std::io;

use runtime_probe::pprof::http::{Carrier, Endpoints};

/// An answer whose head and body agree.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub length: Option<usize>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether its body is of that type; a charset may follow.
    pub fn is(&self, content_type: &str) -> bool {
        self.header("Content-Type")
            .is_some_and(|value| value.starts_with(content_type))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(other, _)| *other == name);
        header.map(|(_, value)| value.as_str())
    }

    /// The body as text, which it must be.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

/// Asks. The client counts as gone for whoever waits, so nothing waits.
pub fn ask(
    endpoints: &Endpoints,
    method: &str,
    target: &str,
    headers: impl IntoIterator<Item = (String, String)>,
    body: &[u8],
) -> Answer {
    let exchange = endpoints.open(method, target, headers);
    let body = body[..body.len().min(exchange.body_limit())].to_vec();
    let mut page = Page::default();
    exchange
        .answer(body, || true, &mut page)
        .expect("nothing breaks off");
    let answer = page.0.expect("an answer has a head");
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

/// A refusal has a sentence, in a body that no browser takes for a page.
pub fn assert_refusal(status: u16, body: &str, content_type: Option<&str>) {
    assert!((400..600).contains(&status), "{status}");
    assert_eq!(
        content_type,
        Some("text/plain; charset=utf-8"),
        "{status} {body:?}"
    );
    let sentence = body
        .strip_suffix('\n')
        .expect("the sentence ends with its line");
    assert!(
        sentence.contains(' ') && sentence.len() < 2000,
        "{status} {body:?}"
    );
}

#[derive(Default)]
struct Page(Option<Answer>);

impl Carrier for Page {
    fn begin(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        length: Option<usize>,
    ) -> io::Result<()> {
        let answer = Answer {
            status,
            headers: headers.to_vec(),
            length,
            body: Vec::new(),
        };
        assert!(self.0.replace(answer).is_none(), "a second head");
        Ok(())
    }

    fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
        assert!(!piece.is_empty(), "an empty piece ends a chunked body");
        self.0
            .as_mut()
            .expect("a head comes first")
            .body
            .extend(piece);
        Ok(())
    }
}
