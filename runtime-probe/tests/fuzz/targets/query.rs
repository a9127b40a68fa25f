//! The target of a request: its percent-encoding, against a reader that was written from RFC 3986.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|target: &str| {
    assert_eq!(fuzz::understood(target), read(target), "{target:?}");
});

fn read(target: &str) -> Option<(String, Vec<(String, String)>)> {
    let forbidden = |c: char| !('!'..='~').contains(&c) || c == '#';
    if target.contains(forbidden) {
        return None;
    }
    let local = match target.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("http://") => {
            let rest = &target[7..];
            &rest[rest.find(['/', '?'])?..]
        }
        _ => target,
    };
    if !local.starts_with('/') {
        return None;
    }
    let mut parts = local.splitn(2, '?');
    let path = decoded(parts.next()?)?;
    let query = parts.next().unwrap_or_default().replace('+', "%20");
    let mut parameters = Vec::new();
    for pair in query.split('&') {
        if !pair.is_empty() {
            let equals = pair.find('=').unwrap_or(pair.len());
            let value = pair.get(equals + 1..).unwrap_or_default();
            parameters.push((decoded(&pair[..equals])?, decoded(value)?));
        }
    }
    Some((path, parameters))
}

fn decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}
