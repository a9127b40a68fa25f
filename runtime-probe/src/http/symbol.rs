//! `/debug/pprof/symbol`: names for the addresses of a text profile. `go tool pprof` posts them, joined by `+`.

use super::refusal::Refusal;
use super::reply::Reply;
use super::request::{Method, Request};
use crate::profile::goroutine;
use std::fmt::Write;

/// Addresses that one request may ask for: a body of 1 MiB holds no more than this many of 16 digits.
const MOST: usize = 65_536;

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    let body = String::from_utf8_lossy(request.body());
    let input = if *request.method() == Method::Post {
        &*body
    } else {
        request.raw_query()
    };
    // The number only has to be other than 0: "I know names".
    let mut out = "num_symbols: 1\n".to_owned();
    let addresses: Vec<u64> = input.split('+').take(MOST).filter_map(address).collect();
    for (address, name) in goroutine::names(&addresses) {
        let _ = writeln!(out, "{address:#x} {name}");
    }
    Ok(Reply::text(200, out.into_bytes()))
}

/// Go's integer syntax: `0x..`, `0..` octal, decimal. What is none is left out, as Go does.
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
    use super::address;

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
