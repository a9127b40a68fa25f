//! Readable names: without hash and generic arguments, and an async fn under its own name.
//!
//! | symbol | name |
//! |---|---|
//! | `_ZN3app2db8get_conn28_$u7b$$u7b$closure$u7d$$u7d$17h4dadE` | `app::db::get_conn` |
//! | `app::main::{{closure}}::{{closure}}` | `app::main::{closure}` |
//! | `tokio::sync::mpsc::bounded::Receiver<T>::recv::{{closure}}` | `tokio::sync::mpsc::bounded::Receiver::recv` |
//! | `a::sink_impl::<impl a::Sink<T> for a::Sender<T>>::poll_ready` | `<a::Sender as a::Sink>::poll_ready` |
//! | `<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop` | `<alloc::vec::Vec as core::ops::drop::Drop>::drop` |
//!
//! To the compiler, the body of an async fn is a closure of the function. So one closure is removed from the end. A
//! second closure (an async block in the fn) stays, as `{closure}`. The body of an async closure that is called by value is
//! `{{synthetic}}` in a legacy symbol; it has the name of the body that is called by reference.

use std::borrow::Cow;

/// The form of function names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// The form of [`readable`].
    #[default]
    Short,
    /// The form of [`full`].
    Full,
}

/// The compiler's name of a symbol without the hash, with generic arguments. An async body is shown as a closure.
pub fn full(symbol: &str) -> String {
    match rustc_demangle::try_demangle(symbol) {
        Ok(name) => format!("{name:#}"),
        Err(_) => symbol.to_owned(),
    }
}

/// The readable form of a symbol, which is mangled or already a path.
pub fn readable(symbol: &str) -> String {
    shorten(&full(symbol))
}

/// The depth of the closures and async bodies at the end of a symbol's path; 0 for a plain function.
pub fn closure_depth(symbol: &str) -> usize {
    let path = full(symbol);
    let bare = without_generics(&without_impl(&path));
    bare.rsplit("::")
        .take_while(|segment| is_closure(segment))
        .count()
}

fn shorten(path: &str) -> String {
    let bare = without_generics(&without_impl(path));
    let mut name = String::with_capacity(bare.len());
    let mut closures = 0;
    for segment in segments(&bare) {
        if is_closure(segment) {
            closures += 1;
            if closures > 1 {
                name.push_str("::{closure}");
            }
            continue;
        }
        closures = 0;
        if !name.is_empty() {
            name.push_str("::");
        }
        name.push_str(segment);
    }
    // Parentheses begin the arguments in a dump's frame lines.
    if name.contains(['(', ')']) {
        name = name.replace('(', "{").replace(')', "}");
    }
    name
}

fn is_closure(segment: &str) -> bool {
    segment.starts_with('{')
        && (segment.starts_with("{{closure}}")
            || segment.starts_with("{{synthetic}}")
            || segment.starts_with("{closure")
            || segment.starts_with("{synthetic")
            || segment.starts_with("{async")
            || segment.starts_with("{coroutine"))
}

/// Splits at `::`, but not inside `<..>`.
fn segments(path: &str) -> Vec<&str> {
    let (mut depth, mut start, mut out) = (0usize, 0, Vec::new());
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'<' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] != b'-' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && bytes.get(at + 1) == Some(&b':') => {
                out.push(&path[start..at]);
                start = at + 2;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.push(&path[start..]);
    out
}

/// Removes generic arguments: `Vec<T>` becomes `Vec`, `f::<T>` becomes `f`. A leading `<T as Trait>` stays, a leading
/// `<T>` loses its brackets.
fn without_generics(path: &str) -> String {
    let Some(inside) = path.strip_prefix('<') else {
        return strip(path);
    };
    let Some(close) = matching(inside) else {
        return strip(path);
    };
    let (own, rest) = (&inside[..close], strip(&inside[close + 1..]));
    match split_at(own, " as ") {
        Some((of, as_trait)) => format!(
            "<{} as {}>{rest}",
            without_generics(of),
            without_generics(as_trait)
        ),
        None => format!("{}{rest}", without_generics(own)),
    }
}

/// The index of the `>` that closes a bracket just before `text`.
fn matching(text: &str) -> Option<usize> {
    let (mut depth, mut before) = (1, 0u8);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if before != b'-' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        before = byte;
    }
    None
}

/// Names an implementation by its type instead of its module: `a::b::<impl Trait for Type>::f` becomes `<Type as
/// Trait>::f`, and `a::b::<impl Type>::f` becomes `<Type>::f`.
fn without_impl(path: &str) -> Cow<'_, str> {
    let Some(start) = path.find("<impl ") else {
        return path.into();
    };
    let inside = &path[start + "<impl ".len()..];
    let outermost = start == 0 || path[..start].ends_with("::") && !path[..start].contains('<');
    let Some(close) = matching(inside).filter(|_| outermost) else {
        return path.into();
    };
    let (own, rest) = (&inside[..close], &inside[close + 1..]);
    match split_at(own, " for ") {
        Some((a_trait, of)) => format!("<{of} as {a_trait}>{rest}").into(),
        None => format!("<{own}>{rest}").into(),
    }
}

/// Splits `text` at the outermost occurrence of `word`, as `T as Trait` at ` as `.
fn split_at<'t>(text: &'t str, word: &str) -> Option<(&'t str, &'t str)> {
    let (mut depth, mut before) = (0usize, 0u8);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if before != b'-' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 && text[at..].starts_with(word) => {
                return Some((&text[..at], &text[at + word.len()..]));
            }
            _ => {}
        }
        before = byte;
    }
    None
}

/// Removes every `<..>`, with a `::` before it.
fn strip(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(open) = rest.find('<') {
        out.push_str(rest[..open].strip_suffix("::").unwrap_or(&rest[..open]));
        match matching(&rest[open + 1..]) {
            Some(close) => rest = &rest[open + 1 + close + 1..],
            None => {
                rest = &rest[open..];
                break;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        for (symbol, name) in [
            (
                "_ZN3app2db8get_conn28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE",
                "app::db::get_conn",
            ),
            (
                "app::main::{{closure}}::{{closure}}",
                "app::main::{closure}",
            ),
            (
                "app::main::{closure#0}::{closure#1}",
                "app::main::{closure}",
            ),
            (
                "app::main::{{closure}}::{{synthetic}}",
                "app::main::{closure}",
            ),
            (
                "app::main::{closure#0}::{closure#0}::<i16>",
                "app::main::{closure}",
            ),
            (
                "tokio::sync::mpsc::bounded::Receiver<T>::recv::{{closure}}",
                "tokio::sync::mpsc::bounded::Receiver::recv",
            ),
            (
                "<tokio::sync::mpsc::bounded::Receiver<u32>>::recv::{closure#0}",
                "tokio::sync::mpsc::bounded::Receiver::recv",
            ),
            (
                "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop",
                "<alloc::vec::Vec as core::ops::drop::Drop>::drop",
            ),
            (
                "core::ops::function::FnOnce::call_once::<fn(u8) -> bool>",
                "core::ops::function::FnOnce::call_once",
            ),
            ("app::f::<(u8, u16)>", "app::f"),
            (
                "a::sink_impl::<impl sink::Sink<T> for a::mpsc::Sender<T>>::poll_ready",
                "<a::mpsc::Sender as sink::Sink>::poll_ready",
            ),
            (
                "a::more::<impl a::Pool<T>>::get::{{closure}}",
                "a::Pool::get",
            ),
            ("a::<impl", "a<impl"),
            ("<(A, B) as app::T>::f", "<{A, B} as app::T>::f"),
            ("a<b", "a<b"),
            ("", ""),
            ("main", "main"),
        ] {
            assert_eq!(readable(symbol), name, "{symbol}");
        }
    }

    #[test]
    fn full_names_have_all_but_the_hash() {
        for (symbol, name) in [
            (
                "_ZN3app2db8get_conn28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE",
                "app::db::get_conn::{{closure}}",
            ),
            (
                "Receiver<T>::recv::{{closure}}",
                "Receiver<T>::recv::{{closure}}",
            ),
            ("", ""),
        ] {
            assert_eq!(full(symbol), name, "{symbol}");
        }
    }

    #[test]
    fn closures_are_counted() {
        assert_eq!(closure_depth("app::main"), 0);
        assert_eq!(closure_depth("app::main::{{closure}}"), 1);
        assert_eq!(closure_depth("app::main::{{closure}}::{{closure}}"), 2);
        assert_eq!(closure_depth("app::main::{{closure}}::{{synthetic}}"), 2);
    }

    proptest::proptest! {
        #[test]
        fn any_symbol_gives_a_name_without_parentheses(symbol in "[a-z_:<>{}()$ ,0-9A-Z-]{0,60}") {
            proptest::prop_assert!(!readable(&symbol).contains(['(', ')']));
            closure_depth(&symbol);
        }
    }
}
