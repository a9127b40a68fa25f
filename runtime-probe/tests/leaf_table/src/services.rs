//! The parts of services: hyper's connections on both sides, tower's queues, web sockets.

use crate::leaves::tcp_pair;
use crate::row::rows;
use futures::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceExt};

/// The text of this file, to find its lines.
const SOURCE: &str = include_str!("services.rs");

rows! {
    // hyper
    hyper_server_idle: "IO wait", ["~", "<tokio::net::tcp::stream::TcpStream as tokio::io::async_read::AsyncRead>::poll_read/tokio::net::tcp::stream::TcpStream::poll_read_priv",
        "<hyper_util::rt::tokio::TokioIo as hyper::rt::io::Read>::poll_read",
        "..", "<hyper::server::conn::http1::Connection as core::future::future::Future>::poll",
    ] {
        let (here, _there) = tcp_pair().await;
        let server = hyper::server::conn::http1::Builder::new();
        _ = server.serve_connection(TokioIo::new(here), service_fn(answer)).await;
    }
    hyper_server_body: "IO wait", ["~", "<hyper::body::incoming::Incoming as http_body::Body>::poll_frame",
    ] {
        let mut body = request_body().await;
        body.frame().await;
    }
    hyper_client_idle: "select", ["~", "select.branch",
        "<tokio::net::tcp::stream::TcpStream as tokio::io::async_read::AsyncRead>::poll_read/tokio::net::tcp::stream::TcpStream::poll_read_priv",
        "<hyper_util::rt::tokio::TokioIo as hyper::rt::io::Read>::poll_read",
        "..", "hyper::proto::h1::dispatch::Dispatcher::poll_loop",
        "select.branch",
        "tokio::sync::mpsc::unbounded::UnboundedReceiver::poll_recv",
        "..", "<hyper::client::conn::http1::Connection as core::future::future::Future>::poll",
    ] {
        let (here, _there) = tcp_pair().await;
        let shaken = hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(here)).await;
        let (_sender, connection) = shaken.unwrap();
        _ = connection.await;
    }
    hyper_send_request: "IO wait", [
        "hyper::client::conn::http1::SendRequest::send_request",
    ] {
        let (mut sender, _there) = client().await;
        _ = sender.send_request(Request::default()).await;
    }
    hyper_client_ready: "sync.Cond.Wait", ["~", "hyper::client::conn::http1::SendRequest::ready"] {
        let (mut sender, _there) = client().await;
        let first = sender.send_request(Request::default());
        tokio::spawn(first);
        _ = sender.ready().await;
    }
    hyper_client_body: "IO wait", ["~", "<hyper::body::incoming::Incoming as http_body::Body>::poll_frame",
    ] {
        let (mut sender, mut there) = client().await;
        let reply = async {
            there.read(&mut [0; 999]).await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
            there.write_all(head).await.unwrap();
        };
        let (reply, ()) = futures::join!(sender.send_request(Request::default()), reply);
        _ = reply.unwrap().into_body().frame().await;
    }

    // tower
    tower_buffer_ready: "chan send", [
        "tokio_util::sync::mpsc::PollSender::poll_reserve",
        "..", "<tower::util::ready::Ready as core::future::future::Future>::poll",
    ] {
        let mut buffer = Buffer::new(tower::service_fn(never), 1);
        let mut other = buffer.clone();
        _ = buffer.ready().await;
        _ = other.ready().await;
    }
    tower_buffer_call: "chan receive", [
        "<tokio::sync::oneshot::Receiver as core::future::future::Future>::poll",
        "<tower::buffer::future::ResponseFuture as core::future::future::Future>::poll",
    ] {
        // A service that is never ready for a call, so the buffer keeps the call.
        let full = ConcurrencyLimit::new(tower::service_fn(never), 0);
        let mut buffer = Buffer::new(full, 9);
        let call = buffer.ready().await.unwrap().call(());
        _ = call.await;
    }
    tower_concurrency_limit: "semacquire", ["~", "tokio_util::sync::poll_semaphore::PollSemaphore::poll_acquire/tokio_util::sync::poll_semaphore::PollSemaphore::poll_acquire_many",
        "..", "<tower::util::ready::Ready as core::future::future::Future>::poll",
    ] {
        let mut limit = ConcurrencyLimit::new(tower::service_fn(never), 0);
        _ = limit.ready().await;
    }

    // tokio-tungstenite
    websocket_next: "IO wait", [
        "<tokio_tungstenite::WebSocketStream as futures_core::stream::Stream>::poll_next",
    ] {
        let (here, _there) = tcp_pair().await;
        let mut socket = WebSocketStream::from_raw_socket(here, Role::Server, None).await;
        // The socket has the waker of this poll already, and would not clone it again.
        tokio::task::yield_now().await;
        socket.next().await;
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(Response::default())
}

/// A client on a connection that is driven by a task, and the server's end.
async fn client() -> (SendRequest<Empty<Bytes>>, TcpStream) {
    let (here, there) = tcp_pair().await;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(here))
        .await
        .unwrap();
    tokio::spawn(connection);
    (sender, there)
}

/// The body of a request that announces more bytes than it sends; tasks keep both ends of its connection.
async fn request_body() -> Incoming {
    let (here, mut there) = tcp_pair().await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    tokio::spawn(async move {
        let take = service_fn(|request: Request<Incoming>| {
            let tell = tell.lock().unwrap().take().unwrap();
            tell.send(request.into_body()).unwrap();
            std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
        });
        let server = hyper::server::conn::http1::Builder::new();
        server.serve_connection(TokioIo::new(here), take).await
    });
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    there.write_all(request).await.unwrap();
    let body = told.await.unwrap();
    // For as long as the client's end is open.
    tokio::spawn(async move {
        let _there = there;
        std::future::pending::<()>().await
    });
    body
}

async fn never(_: ()) -> Result<(), Infallible> {
    std::future::pending().await
}
