//! Finds the answer to a request. Plain functions from a request to a reply, for any server.

use super::page::PAGES;
use super::{custom, index, vars};
use crate::source;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::{Method, Request};

/// Answers any request.
pub(crate) fn answer(request: &Request) -> Reply {
    source::start();
    source::heap::answering(|| route(request).unwrap_or_else(Reply::from))
}

fn route(request: &Request) -> Result<Reply, Refusal> {
    let path = request.path();
    if matches!(path, "/debug/pprof" | "/") {
        // Relative, for a router that is nested below another path.
        let below = if path == "/" {
            "debug/pprof/"
        } else {
            "pprof/"
        };
        return Ok(Reply::redirect(307, below));
    }
    if let Some(location) = with_one_slash(request) {
        return Ok(Reply::redirect(307, &location));
    }
    if matches!(path, "/debug/vars" | "/metrics") {
        return match request.method() {
            Method::Get | Method::Head if path == "/metrics" => metrics(request),
            Method::Get | Method::Head => vars::answer(request),
            _ => Ok(Reply::method_not_allowed("GET, HEAD")),
        };
    }
    let Some(name) = path.strip_prefix("/debug/pprof/") else {
        return Err(Refusal::new(
            404,
            "404 page not found: the profiles are under /debug/pprof/, variables at /debug/vars, metrics at /metrics",
        ));
    };
    let page = PAGES.iter().find(|page| page.name == name);
    // POST is allowed for the page symbol only, because `go tool pprof` uses it there.
    let takes_post = page.is_some_and(|page| page.takes_post);
    match request.method() {
        Method::Get | Method::Head => {}
        Method::Post if takes_post => {}
        _ if takes_post => return Ok(Reply::method_not_allowed("GET, HEAD, POST")),
        _ => return Ok(Reply::method_not_allowed("GET, HEAD")),
    }
    if name == "ui" {
        return Ok(Reply::redirect(307, "ui/"));
    }
    if let Some(name) = name.strip_prefix("ui/") {
        return ui(request, name);
    }
    if let Some(known) = parameters(name) {
        only(request, known)?;
    }
    match (page, name) {
        (Some(page), _) => (page.answer)(request),
        (None, "") => index::answer(request),
        (None, name) => custom::answer(request, name)
            .unwrap_or_else(|| Err(Refusal::new(404, "Unknown profile"))),
    }
}

#[cfg(feature = "metrics")]
fn metrics(request: &Request) -> Result<Reply, Refusal> {
    super::metrics::answer(request)
}

#[cfg(not(feature = "metrics"))]
fn metrics(_: &Request) -> Result<Reply, Refusal> {
    Err(Refusal::new(
        501,
        "/metrics needs the feature \"metrics\" of runtime-probe, which this program was built without",
    ))
}

#[cfg(feature = "ui")]
fn ui(request: &Request, name: &str) -> Result<Reply, Refusal> {
    super::ui::answer(request, name)
}

#[cfg(not(feature = "ui"))]
fn ui(_: &Request, _: &str) -> Result<Reply, Refusal> {
    Err(Refusal::new(
        501,
        "the pages to look at need the feature \"ui\" of runtime-probe, which this program was built without",
    ))
}

/// The parameters of a page or of a profile of the program's own; `None` if there is none of that name, or if its query
/// is no list of parameters.
pub(crate) fn parameters(name: &str) -> Option<&'static [&'static str]> {
    match PAGES.iter().find(|page| page.name == name) {
        Some(page) => page.parameters,
        None => custom::parameters(name),
    }
}

/// Whether a name is not free for a profile of the program's own: a page has it, or Go uses it.
pub(crate) fn is_taken(name: &str) -> bool {
    let others = ["allocs", "heap", "ui"];
    others.contains(&name) || PAGES.iter().any(|page| page.name == name)
}

/// Where `//debug/pprof/NAME` is redirected to, as in Go's mux. An address that ends in a slash, followed by a path,
/// gives such a target.
fn with_one_slash(request: &Request) -> Option<String> {
    let name = request.path().strip_prefix("//")?.trim_start_matches('/');
    // Only a plain name is redirected: nothing in it needs an escape.
    let known = name.strip_prefix("debug/pprof/")?;
    let plain = known.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let query = match request.raw_query() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    plain.then(|| format!("/{name}{query}"))
}

/// Refuses a request with an unknown parameter. Otherwise a typing error would silently give the default.
pub(super) fn only(request: &Request, known: &[&str]) -> Result<(), Refusal> {
    match request.names().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let unknown: String = unknown
                .chars()
                .filter(|c| !c.is_control())
                .take(40)
                .collect();
            Err(Refusal::bad_request(format!(
                "unknown parameter {unknown:?} (known here: {known})"
            )))
        }
    }
}
