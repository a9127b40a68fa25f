//! The routes, access control, and a request's way to a blocking thread and back.

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

use crate::pipe::{self, Head, Writer};
use crate::places::Place;

/// `/debug/pprof/` for this machine: a request must come from a loopback address, and its `Host` must be an IP address or
/// `localhost`. Mirrors the handlers that importing Go's `net/http/pprof` adds to its default mux; Go's handlers
/// answer all clients.
///
/// The address of the client comes from [`into_make_service_with_connect_info::<SocketAddr>`]. Without it every
/// request is refused, with a sentence that says so. Behind a proxy on the same machine all requests come from
/// loopback: use [`remote_router`] there.
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

/// `/debug/pprof/` for clients that send `token`, from anywhere: as `Authorization: Bearer`, or as the password of Basic, as
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
        .route("/debug/vars", any(answer))
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
    let (writer, reader) = pipe::pipe();
    match Place::take() {
        // tokio's own `spawn_blocking`, not the probe's: a dump should not list itself.
        Some(place) => drop(tokio::task::spawn_blocking(move || {
            write(exchange, body, writer);
            drop(place);
        })),
        // A refusal is one piece: this call returns before a reader takes it.
        None => {
            let sentence = "too many replies at once: 64 are being read, try again";
            write(exchange.refuse(503, sentence), body, writer);
        }
    }
    match reader.head().await {
        Some((head, body)) => response(head, Body::new(body)),
        // The runtime is shutting down.
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Blocks until the client has taken all but the last pieces of the reply, or until the reply is broken off.
fn write(exchange: Exchange, body: Vec<u8>, mut writer: Writer) {
    match exchange.answer(body, writer.is_gone(), &mut writer) {
        Ok(()) => writer.finish(),
        // Dropping an unfinished writer breaks the body off.
        Err(_) => drop(writer),
    }
}

/// Admits requests from a loopback address.
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

/// Reads the body, up to the limit.
async fn read(exchange: Exchange, body: Body) -> (Exchange, Vec<u8>) {
    match exchange.body_limit() {
        0 => (exchange, Vec::new()),
        limit => match to_bytes(body, limit).await {
            Ok(bytes) => (exchange, bytes.into()),
            // If the client is gone instead, the answer does not matter.
            Err(_) => (exchange.body_too_large(), Vec::new()),
        },
    }
}

/// The target as in the request line. A target of HTTP/2 always has an authority, which is its `Host`.
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
    // Neither conversion fails for answers of the endpoints.
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
    use crate::pipe::PIECE_BYTES;
    use crate::places::MOST_AT_ONCE;
    use std::pin::Pin;
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    /// Places are counted for the whole process.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    async fn ask(page: &str) -> Response {
        const TOKEN: &str = "0123456789abcdef";
        let request = Request::get(format!("/debug/pprof/{page}")).header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Body::empty()).unwrap();
        answer(State(Endpoints::remote(TOKEN).unwrap()), request).await
    }

    async fn status(page: &str) -> u16 {
        ask(page).await.status().as_u16()
    }

    #[test]
    fn who_finds_no_place_is_told_so_and_the_next_one_is_answered() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let mut places: Vec<Place> = std::iter::from_fn(Place::take).collect();
            assert_eq!(places.len(), MOST_AT_ONCE);
            let refused = ask("cmdline").await;
            assert_eq!(refused.status(), 503);
            let sentence = to_bytes(refused.into_body(), usize::MAX).await.unwrap();
            let sentence = String::from_utf8_lossy(&sentence);
            assert!(sentence.contains("64 are being read"), "{sentence}");
            places.pop();
            assert_eq!(status("cmdline").await, 200);
        });
    }

    fn deep(calls: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            match calls {
                0 => runtime_probe::time::sleep(Duration::from_secs(3600)).await,
                _ => deep(calls - 1).await,
            }
        })
    }

    #[test]
    fn a_whole_that_is_not_read_keeps_its_place() {
        /// Each task has a stack of its own.
        const TASKS: usize = 30;
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let service = runtime_probe::runtime::Runtime::new().unwrap();
        for task in 0..TASKS {
            service.spawn(deep(task));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            let begin = Instant::now();
            let patience = || assert!(begin.elapsed() < Duration::from_secs(30), "too long");
            let mut places: Vec<Place> = std::iter::from_fn(Place::take).collect();
            places.pop();
            let whole = loop {
                patience();
                let whole = ask("goroutine?debug=1").await;
                // A reply with a length is made before it is sent.
                let length = &whole.headers()[header::CONTENT_LENGTH];
                let length: usize = length.to_str().unwrap().parse().unwrap();
                // Until then the tasks do not wait yet, or the previous request keeps its place for a moment.
                if whole.status() == 200 && length > 4 * PIECE_BYTES {
                    break whole;
                }
            };
            for _ in 0..10 {
                assert_eq!(status("cmdline").await, 503);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            drop(whole);
            while status("cmdline").await != 200 {
                patience();
            }
        });
    }
}
