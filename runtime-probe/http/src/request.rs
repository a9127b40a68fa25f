//! A request with its head, parameters and body in memory.
//!
//! Every error of a request is found when it is made, so that a handler gets well-formed requests only. A parameter
//! that is given twice is refused, since taking either value would be a guess.

use std::fmt;
use std::str::FromStr;

use super::client::Client;
use super::query::{self, Plus};
use super::refusal::Refusal;

/// One request.
#[derive(Clone)]
pub struct Request {
    method: Method,
    version: Version,
    authority: Option<String>,
    path: String,
    raw_query: String,
    params: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    client: Client,
}

/// The method, of those that this server distinguishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`: a `GET` of which only the head is sent. A handler treats both alike.
    Head,
    /// `POST`.
    Post,
    /// Any other method, by name.
    Other(String),
}

/// The version of HTTP that the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Without chunks; a connection has one request.
    Http10,
    /// With chunks, and connections that are kept.
    Http11,
}

impl Request {
    /// A request from its parts, for a carrier other than this crate's server (a router in which the handlers are
    /// mounted). `target` is the path and query of the request line.
    pub fn new(
        method: &str,
        target: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Self, Refusal> {
        let head = Request::from_head(method, target, Version::Http11, headers)?;
        Ok(Request { body, ..head })
    }

    pub(crate) fn from_head(
        method: &str,
        target: &str,
        version: Version,
        headers: Vec<(String, String)>,
    ) -> Result<Self, Refusal> {
        if !target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return Err(Refusal::bad_request(
                "the request target has characters that must be percent-encoded",
            ));
        }
        let (authority, target) = split_authority(target)?;
        let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Request {
            method: Method::from(method),
            version,
            authority: authority.map(str::to_owned),
            path: query::decode(path, Plus::Literal)?,
            raw_query: raw_query.to_owned(),
            params: query::pairs(raw_query)?,
            headers,
            body: Vec::new(),
            client: Client::unknown(),
        })
    }

    pub(crate) fn with_body(self, body: Vec<u8>) -> Self {
        Request { body, ..self }
    }

    /// The same request with another client, for a carrier that can tell whether its client is connected.
    pub fn with_client(self, client: Client) -> Self {
        Request { client, ..self }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The version of HTTP.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The host and port of a target in absolute form (`GET http://host:port/path`), which clients send to proxies.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The path, percent-decoded; begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text after the `?`, as it was sent; empty if there is none.
    pub fn raw_query(&self) -> &str {
        &self.raw_query
    }

    /// All parameters in order, percent-decoded.
    pub fn params(&self) -> &[(String, String)] {
        &self.params
    }

    /// The names of all parameters in order; a repeated one is there repeatedly.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|(name, _)| name.as_str())
    }

    /// The value of a parameter; a parameter that is given twice is refused.
    pub fn param(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.params.iter().filter(|(other, _)| other == name);
        let first = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Refusal::bad_request(format!(
                "the parameter \"{name}\" is given twice"
            ))),
        }
    }

    /// A parameter that is a number, if it is given.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn number(&self, name: &str) -> Result<Option<u32>, Refusal> {
        match self.param(name)? {
            None => Ok(None),
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
                text.parse().map(Some).map_err(|_| {
                    Refusal::bad_request(format!("invalid value for \"{name}\" - too large"))
                })
            }
            Some(_) => Err(Refusal::bad_request(format!(
                "invalid value for \"{name}\" - must be a non-negative integer"
            ))),
        }
    }

    /// A parameter that is a number from 1 to `most`, if it is given.
    ///
    /// # Errors
    /// 400 for anything else, with the allowed range.
    pub fn up_to<N: FromStr + PartialOrd + From<u8>>(
        &self,
        name: &str,
        most: N,
        must_be: impl FnOnce() -> String,
    ) -> Result<Option<N>, Refusal> {
        let Some(text) = self.param(name)? else {
            return Ok(None);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok();
        match number.filter(|number| digits && (N::from(1)..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Refusal::bad_request(format!(
                "invalid value for \"{name}\" - must be {}",
                must_be()
            ))),
        }
    }

    /// A parameter that is 0 or 1; 0 if it is not given.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn switch(&self, name: &str) -> Result<bool, Refusal> {
        match self.number(name)? {
            None | Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => Err(Refusal::bad_request(format!(
                "invalid value for \"{name}\" - must be 0 or 1"
            ))),
        }
    }

    /// The first header of that name, in any case. Bytes that are not UTF-8 are replaced.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// All headers of that name.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The client at the other end of the connection.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Without headers and body, as an `Authorization` is a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("raw_query", &self.raw_query)
            .finish_non_exhaustive()
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            other => Method::Other(other.to_owned()),
        }
    }
}

/// Removes the scheme and authority of a target in absolute form.
fn split_authority(target: &str) -> Result<(Option<&str>, &str), Refusal> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err(Refusal::bad_request(
            "the request target does not begin with a /",
        ));
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(Refusal::bad_request(
            "the scheme of the request target is not http",
        ));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match path.starts_with('/') {
        true => Ok((Some(authority), path)),
        false => Err(Refusal::bad_request("the request target has no path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Result<Request, Refusal> {
        Request::new(
            "GET",
            target,
            vec![("Accept".into(), "text/html".into())],
            Vec::new(),
        )
    }

    #[test]
    fn path_and_query_are_told_apart() {
        let request = get("/debug/pprof/go%72outine?debug=2&x=%3F?").unwrap();
        assert_eq!(request.path(), "/debug/pprof/goroutine");
        assert_eq!(request.raw_query(), "debug=2&x=%3F?");
        assert_eq!(request.names().collect::<Vec<_>>(), ["debug", "x"]);
        assert_eq!(request.param("x"), Ok(Some("??")));
        assert_eq!(request.param("y"), Ok(None));
        assert_eq!(request.header("ACCEPT"), Some("text/html"));
        assert_eq!(request.authority(), None);
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        let request = get("/?debug=1&seconds=2&debug=1").unwrap();
        assert_eq!(request.param("seconds"), Ok(Some("2")));
        let refusal = request.param("debug").unwrap_err();
        assert_eq!(refusal.status(), 400);
        assert_eq!(refusal.sentence(), "the parameter \"debug\" is given twice");
    }

    #[test]
    fn an_absolute_target_keeps_its_authority() {
        let request = get("HTTP://[::1]:6060/a?b").unwrap();
        assert_eq!(
            (request.authority(), request.path()),
            (Some("[::1]:6060"), "/a")
        );
    }

    #[test]
    fn strange_targets_are_refused() {
        for target in [
            "",
            "*",
            "a",
            "host:80",
            "https://localhost/",
            "http://localhost",
            "http://localhost?a/b",
            "/a#b",
            "/é",
            "/a b",
            "/%",
            "/%ff",
            "/?%2",
        ] {
            assert_eq!(get(target).unwrap_err().status(), 400, "{target}");
        }
    }
}
