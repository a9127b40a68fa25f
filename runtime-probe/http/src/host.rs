//! Which `Host` is admitted.
//!
//! A web page can make its own name point at 127.0.0.1 and then read the answers of this server as its own (DNS
//! rebinding). The browser sends that name as `Host`. On loopback therefore only IP literals and `localhost`, which
//! no foreign page can use as its name, are admitted.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::refusal::Refusal;
use super::request::{Request, Version};

/// Admits a request whose `Host` (and the authority in its target, if there is one) is an IP literal, `localhost` or
/// ends in `.localhost`, with or without a port.
pub(super) fn admit(request: &Request) -> Result<(), Refusal> {
    let host = sole_host(request)?;
    match host.into_iter().chain(request.authority()).all(is_local) {
        true => Ok(()),
        false => Err(Refusal::new(
            403,
            "the Host of a request to this address must be an IP address or localhost",
        )),
    }
}

/// The `Host` header. HTTP/1.0 has none; 1.1 demands exactly one.
fn sole_host(request: &Request) -> Result<Option<&str>, Refusal> {
    let mut hosts = request.header_values("host");
    match (hosts.next(), hosts.next(), request.version()) {
        (Some(_), Some(_), _) => Err(Refusal::bad_request("the request has more than one Host")),
        (None, _, Version::Http11) => Err(Refusal::bad_request("the request has no Host")),
        (host, _, _) => Ok(host),
    }
}

fn is_local(host: &str) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port))
        });
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    (port.is_empty() || is_port(port)) && (name.parse::<Ipv4Addr>().is_ok() || is_localhost(name))
}

/// `:` and digits; the digits may be missing.
fn is_port(port: &str) -> bool {
    port.strip_prefix(':').is_some_and(|digits| {
        digits.is_empty()
            || digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok()
    })
}

/// `localhost` or a name below it. Resolvers keep these names for the machine itself (RFC 6761).
fn is_localhost(name: &str) -> bool {
    let mut labels = name.rsplit('.');
    labels
        .next()
        .is_some_and(|top| top.eq_ignore_ascii_case("localhost"))
        && labels.all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(version: Version, target: &str, hosts: &[&str]) -> Result<(), u16> {
        let headers = hosts
            .iter()
            .map(|host| ("host".into(), host.to_string()))
            .collect();
        let request = Request::from_head("GET", target, version, headers).unwrap();
        super::admit(&request).map_err(|refusal| refusal.status())
    }

    #[test]
    fn ip_literals_and_localhost_are_let_in() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:6060",
            "10.1.2.3:80",
            "[::1]",
            "[::1]:6060",
            "[::ffff:127.0.0.1]:1",
            "localhost",
            "localhost:",
            "LocalHost:6060",
            "app.LOCALHOST",
            "a.b-c.localhost:65535",
        ] {
            assert_eq!(admit(Version::Http11, "/", &[host]), Ok(()), "{host}");
        }
    }

    #[test]
    fn every_other_name_is_not() {
        for host in [
            "",
            ":6060",
            "example.com",
            "example.com:6060",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "xlocalhost",
            ".localhost",
            "a..localhost",
            "evil.com/.localhost",
            "localhost.",
            "127.1",
            "0177.0.0.1",
            "2130706433",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[127.0.0.1]",
            "[fe80::1%eth0]",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "user@localhost",
            "localhost\u{fffd}",
        ] {
            assert_eq!(admit(Version::Http11, "/", &[host]), Err(403), "{host}");
        }
    }

    #[test]
    fn one_host_is_demanded_by_http_1_1_only() {
        assert_eq!(admit(Version::Http11, "/", &[]), Err(400));
        assert_eq!(admit(Version::Http10, "/", &[]), Ok(()));
        assert_eq!(admit(Version::Http10, "/", &["example.com"]), Err(403));
        assert_eq!(
            admit(Version::Http11, "/", &["localhost", "localhost"]),
            Err(400)
        );
    }

    #[test]
    fn an_absolute_target_is_checked_too() {
        assert_eq!(
            admit(Version::Http11, "http://localhost/", &["localhost"]),
            Ok(())
        );
        assert_eq!(
            admit(Version::Http11, "http://evil.com/", &["localhost"]),
            Err(403)
        );
        assert_eq!(
            admit(Version::Http11, "http://localhost/", &["evil.com"]),
            Err(403)
        );
        assert_eq!(admit(Version::Http11, "http:///", &["localhost"]), Err(403));
    }
}
