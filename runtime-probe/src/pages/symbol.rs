//! `/debug/pprof/symbol`: names for the addresses of a text profile. `go tool pprof` posts them, joined by `+`.
//!
//! pprof takes a name with angle brackets for C++ and drops what stands in them: `<Sleep as Future>::poll` becomes
//! `::poll`. It demangles a mangled Rust name completely. So an answer to a POST, which only programs send, has such
//! names mangled; an answer to a GET has them plain.

use super::page::Page;
use crate::profile::address_names;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::{Body, Reply};
use runtime_probe_http::request::{Method, Request};
use std::fmt::Write as _;
use std::io::Write;

/// The most addresses of one request: a body of 1 MiB holds this many of 16 digits.
const MOST: usize = 65_536;

/// The page.
pub(super) const PAGE: Page = Page {
    name: "symbol",
    link: "",
    parameters: None,
    about: "Names for the addresses in the query or the body, for go tool pprof.",
    count: Page::no_entries,
    takes_post: true,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    let posted = *request.method() == Method::Post;
    let input = match posted {
        true => request.body(),
        false => request.raw_query().as_bytes(),
    };
    let texts = input.split(|byte| *byte == b'+').take(MOST);
    let texts = texts.filter_map(|text| str::from_utf8(text).ok());
    let addresses: Vec<u64> = texts.filter_map(address).collect();
    // The answer is streamed: names are much longer than addresses.
    let write = move |out: &mut dyn Write| {
        // Any number but 0 means that names are available.
        out.write_all(b"num_symbols: 1\n")?;
        address_names::names(&addresses, |address, name| {
            match posted && name.contains('<') {
                true => writeln!(out, "{address:#x} {}", mangled(name)),
                false => writeln!(out, "{address:#x} {name}"),
            }
        })
    };
    Ok(Reply::text(200, Body::stream(write)))
}

/// A symbol in rustc's legacy mangling that demangles to `name`. Demanglers drop the hash, so any hash will do.
fn mangled(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len() * 2);
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let _ = match c {
            ':' if rest.next_if_eq(&':').is_some() => write!(escaped, ".."),
            '<' => write!(escaped, "$LT$"),
            '>' => write!(escaped, "$GT$"),
            c if c.is_ascii_alphanumeric() || c == '_' => write!(escaped, "{c}"),
            c => write!(escaped, "$u{:x}$", u32::from(c)),
        };
    }
    // An identifier does not begin with an escape.
    if escaped.starts_with('$') {
        escaped.insert(0, '_');
    }
    format!("_ZN{}{escaped}17h0123456789abcdefE", escaped.len())
}

/// Parses Go's integer syntax: `0x..`, `0..` octal, decimal. Other texts are left out, as in Go.
fn address(text: &str) -> Option<u64> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let parsed = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16),
        (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8),
        _ => text.parse(),
    };
    parsed
        .ok()
        .filter(|address| *address != 0 && !text.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::{address, mangled};

    #[test]
    fn mangled_names_are_demangled_to_what_they_were() {
        for name in [
            "<tokio::time::sleep::Sleep as core::future::future::Future>::poll",
            "<[u8; 4] as app::Read<'a>>::{closure}",
            "<&mut T as Iterator>::next",
            "größe::<x>",
        ] {
            let symbol = mangled(name);
            let demangled = rustc_demangle::try_demangle(&symbol).unwrap();
            assert_eq!(format!("{demangled:#}"), name);
        }
    }

    #[test]
    fn addresses_are_in_gos_syntax() {
        assert_eq!(address("0x10"), Some(16));
        assert_eq!(address("0X1f"), Some(31));
        assert_eq!(address("010"), Some(8));
        assert_eq!(address("10"), Some(10));
        for nothing in ["", "0", "x", "0x", "-1", "0xfffffffffffffffff", "09"] {
            assert_eq!(address(nothing), None, "{nothing}");
        }
    }
}
