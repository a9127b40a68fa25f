//! HTML that is escaped by construction: names of elements and attributes are literals of the program, and all other
//! text is escaped when it is added. There is no way to add unescaped text.

use std::fmt::{self, Display, Write};

use runtime_dump::printable::is_printable;

/// A document, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// An element whose start tag is open for attributes.
#[must_use]
pub(super) struct Tag<'h> {
    html: &'h mut Html,
    name: &'static str,
}

impl Html {
    /// An empty document.
    pub(super) fn document() -> Html {
        Html("<!DOCTYPE html>\n".to_owned())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    /// Adds text.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to memory does not fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// Begins an element.
    pub(super) fn tag(&mut self, name: &'static str) -> Tag<'_> {
        self.0.push('<');
        self.0.push_str(name);
        Tag { html: self, name }
    }
}

impl Tag<'_> {
    /// Adds an attribute.
    pub(super) fn attr(self, name: &'static str, value: impl Display) -> Self {
        self.html.0.push(' ');
        self.html.0.push_str(name);
        self.html.0.push_str("=\"");
        self.html.text(value);
        self.html.0.push('"');
        self
    }

    /// Adds an attribute, if there is a value.
    pub(super) fn maybe(self, name: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Adds the attribute `class`.
    pub(super) fn class(self, names: &'static str) -> Self {
        self.attr("class", names)
    }

    /// Adds an attribute without a value if it `applies`.
    pub(super) fn flag(self, name: &'static str, applies: bool) -> Self {
        if applies {
            self.html.0.push(' ');
            self.html.0.push_str(name);
        }
        self
    }

    /// Ends an element that contains text.
    pub(super) fn text(self, text: impl Display) {
        self.with(|html| {
            html.text(text);
        });
    }

    /// Ends an element that contains other elements.
    pub(super) fn with(self, inside: impl FnOnce(&mut Html)) {
        self.html.0.push('>');
        inside(self.html);
        self.html.0.push_str("</");
        self.html.0.push_str(self.name);
        self.html.0.push('>');
    }

    /// Ends an element that HTML defines as empty, such as `input`.
    pub(super) fn void(self) {
        self.html.0.push('>');
    }
}

struct Escaped<'s>(&'s mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&#34;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push('\n'),
                // Control characters do not belong into HTML, and direction marks would reverse the text beside them.
                c if is_printable(c) => self.0.push(c),
                _ => self.0.push(char::REPLACEMENT_CHARACTER),
            }
        }
        Ok(())
    }
}

/// An address with a query, for an attribute: values are percent-encoded, empty ones left out.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut link = path.to_owned();
    let mut separator = '?';
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        link.push(separator);
        separator = '&';
        link.push_str(name);
        link.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' => {
                    link.push(char::from(byte));
                }
                _ => {
                    let _ = write!(link, "%{byte:02X}");
                }
            }
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Html)) -> String {
        let mut html = Html::default();
        write(&mut html);
        html.0
    }

    #[test]
    fn elements_nest() {
        let html = written(|html| {
            html.tag("p")
                .class("note")
                .flag("hidden", true)
                .with(|html| {
                    html.text("1 < 2 ");
                    html.tag("br").void();
                    html.tag("b").text("'\u{202e}&");
                });
        });
        assert_eq!(
            html,
            "<p class=\"note\" hidden>1 &lt; 2 <br><b>&#39;\u{fffd}&amp;</b></p>"
        );
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(
            link("tasks", &[("match", "a&b<é"), ("state", ""), ("page", "2")]),
            "tasks?match=a%26b%3C%C3%A9&page=2"
        );
    }

    proptest! {
        #[test]
        fn no_text_ends_an_element_or_an_attribute(text in any::<String>()) {
            let html = written(|html| html.tag("a").attr("title", &text).text(&text));
            let inside = html.strip_prefix("<a title=\"").and_then(|html| html.strip_suffix("</a>"));
            let (attribute, inside) = inside.and_then(|html| html.split_once("\">")).unwrap();
            prop_assert_eq!(attribute, inside);
            let special = ['<', '>', '"', '\''];
            prop_assert!(!inside.contains(special), "{}", inside);
        }
    }
}
