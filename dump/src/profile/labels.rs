//! Labels that a program gave to its tasks and threads, like Go's `pprof.Labels`. They are in the order of the keys.

use crate::text::quoted::{push_bare_or_quoted, push_quoted};

/// The labels of one group of a profile.
pub(crate) type Labels = Vec<(String, String)>;

/// Copies labels.
pub(crate) fn owned(labels: &[(&str, &str)]) -> Labels {
    let labels = labels.iter();
    labels
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Borrows labels, for a builder.
pub(crate) fn borrowed(labels: &Labels) -> Vec<(&str, &str)> {
    let labels = labels.iter();
    labels.map(|(key, value)| (&**key, &**value)).collect()
}

/// Appends the line of labels that a text of counts has below the addresses. Appends nothing without labels.
pub(crate) fn push_line(out: &mut Vec<u8>, labels: &Labels) {
    if labels.is_empty() {
        return;
    }
    out.extend_from_slice(b"# labels: {");
    for (index, (key, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push_quoted(out, key);
        out.push(b':');
        push_quoted(out, value);
    }
    out.extend_from_slice(b"}\n");
}

/// Appends the labels after the brackets in the header of a goroutine, as in Go since 1.27. Appends nothing without
/// labels.
pub(crate) fn push_in_header(out: &mut Vec<u8>, labels: &[(&str, &str)]) {
    if labels.is_empty() {
        return;
    }
    out.extend_from_slice(b" {");
    for (index, (key, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push_bare_or_quoted(out, key);
        out.extend_from_slice(b": ");
        push_bare_or_quoted(out, value);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_quoted_as_go_does() {
        let mut out = Vec::new();
        let labels = [("k/1", "v.2"), ("req", "a b"), ("user", "q\"x"), ("x", "")];
        push_in_header(&mut out, &labels);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#" {k/1: v.2, req: "a b", user: "q\"x", x: ""}"#);
    }
}
