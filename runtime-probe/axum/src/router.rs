//! The routes, who is let in, and the way of a request to a blocking thread and back.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Uri;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use runtime_probe::pprof::http::{Endpoints, Exchange};

use crate::pipe::{self, Head};
use crate::places::Place;

/// `/debug/pprof/` for this machine: a request must come from a loopback address, and its `Host` must be an IP address or
/// `localhost`. Mirrors the handlers that importing Go's `net/http/pprof` adds to its default mux, which lets everybody in.
///
/// Where a request comes from only [`into_make_service_with_connect_info::<SocketAddr>`] tells; without it every request is
/// refused, with a sentence that says so. Behind a proxy on the same machine all requests come from loopback: use
/// [`remote_router`] there.
///
/// [`into_make_service_with_connect_info::<SocketAddr>`]: axum::Router::into_make_service_with_connect_info
///
/// ```
/// let app: axum::Router = axum::Router::new().merge(runtime_probe_axum::router());
/// let service = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
/// # let _ = service;
/// ```
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    mount(Endpoints::local())
}

/// `/debug/pprof/` for whoever sends `token`, from anywhere: as `Authorization: Bearer`, or as the password of Basic, as
/// `curl -u x:TOKEN` and `go tool pprof http://x:TOKEN@host/debug/pprof/goroutine` do. Mirrors
/// [`Server::allow_remote`](runtime_probe::pprof::Server::allow_remote).
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a token that is not 16 to 1024 visible ASCII characters.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let token = "0123456789abcdef";
/// let app: axum::Router = axum::Router::new().merge(runtime_probe_axum::remote_router(token)?);
/// # Ok(()) }
/// ```
pub fn remote_router<S: Clone + Send + Sync + 'static>(
    token: impl Into<String>,
) -> io::Result<Router<S>> {
    Endpoints::remote(token).map(mount)
}

fn mount<S: Clone + Send + Sync + 'static>(endpoints: Endpoints) -> Router<S> {
    Router::new()
        .route("/debug/pprof", any(answer))
        .route("/debug/pprof/", any(answer))
        .route("/debug/pprof/{*name}", any(answer))
        .with_state(endpoints)
}

async fn answer(State(endpoints): State<Endpoints>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let exchange = endpoints.open(parts.method.as_str(), &target(&parts.uri), headers(&parts));
    let exchange = if endpoints.is_local() {
        refuse_strangers(exchange, &mut parts).await
    } else {
        exchange
    };
    let (exchange, body) = read(exchange, body).await;
    let place = Place::take();
    let exchange = match &place {
        Some(_) => exchange,
        None => exchange.refuse(
            503,
            "too many replies at once: 64 are being read, try again",
        ),
    };
    let (mut writer, reader) = pipe::pipe();
    let is_gone = writer.is_gone();
    let has_place = place.is_some();
    let reply = move || {
        match exchange.answer(body, is_gone, &mut writer) {
            Ok(()) => writer.finish(),
            // Dropped unfinished, it breaks the body off.
            Err(_) => drop(writer),
        }
        drop(place);
    };
    if has_place {
        // tokio's own, not the probe's: whoever reads a dump does not want to find the dump in it.
        tokio::task::spawn_blocking(reply);
    } else {
        // A refusal is one piece, which nobody has to take for it to return.
        reply();
    }
    match reader.head().await {
        Some((head, body)) => response(head, Body::new(body)),
        // The runtime is shutting down.
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Lets in who comes from a loopback address.
async fn refuse_strangers(exchange: Exchange, parts: &mut Parts) -> Exchange {
    match ConnectInfo::<SocketAddr>::from_request_parts(parts, &()).await {
        Ok(ConnectInfo(peer)) if peer.ip().to_canonical().is_loopback() => exchange,
        Ok(_) => exchange.refuse(
            403,
            "without a token only this machine is answered: mount remote_router(token) for others",
        ),
        Err(_) => exchange.refuse(
            403,
            "the service does not tell where requests come from, and without a token only this machine is answered: \
             serve it with into_make_service_with_connect_info::<SocketAddr>(), or mount remote_router(token)",
        ),
    }
}

/// Reads as much of the body as is wanted.
async fn read(exchange: Exchange, body: Body) -> (Exchange, Vec<u8>) {
    match exchange.body_limit() {
        0 => (exchange, Vec::new()),
        limit => match to_bytes(body, limit).await {
            Ok(bytes) => (exchange, bytes.into()),
            // Or the client is gone, and then any answer will do.
            Err(_) => (exchange.body_too_large(), Vec::new()),
        },
    }
}

/// The target as it stood in the request line; that of HTTP/2 always has an authority, which is its `Host`.
fn target(uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    match uri.authority() {
        Some(authority) => format!("http://{authority}{path}"),
        None => path.to_owned(),
    }
}

fn headers(parts: &Parts) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect();
    if !parts.headers.contains_key(header::HOST)
        && let Some(authority) = parts.uri.authority()
    {
        headers.push(("host".to_owned(), authority.to_string()));
    }
    headers
}

fn response(head: Head, body: Body) -> Response {
    let mut response = Response::new(body);
    // Neither fails for what the endpoints answer.
    *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or_default();
    for (name, value) in head.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::try_from(value),
        ) {
            response.headers_mut().append(name, value);
        }
    }
    if let Some(length) = head.length {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::MOST_AT_ONCE;

    #[test]
    fn who_finds_no_place_is_told_so_and_the_next_one_is_answered() {
        const TOKEN: &str = "0123456789abcdef";
        let endpoints = Endpoints::remote(TOKEN).unwrap();
        let ask = async || {
            let request = Request::get("/debug/pprof/cmdline").header("host", "localhost");
            let request = request.header("authorization", format!("Bearer {TOKEN}"));
            let request = request.body(Body::empty()).unwrap();
            let response = answer(State(endpoints.clone()), request).await;
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (status, String::from_utf8(body.into()).unwrap())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let mut places: Vec<Place> = std::iter::from_fn(Place::take).collect();
            assert_eq!(places.len(), MOST_AT_ONCE);
            let (status, sentence) = ask().await;
            assert_eq!(
                (status, sentence.contains("64 are being read")),
                (503, true)
            );
            places.pop();
            assert_eq!(ask().await.0, 200);
        });
    }
}
