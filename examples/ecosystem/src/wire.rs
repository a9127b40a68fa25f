//! hyper alone, on both sides: each connection is a task of this program, so it has a stack.

use crate::Outcome;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A server, a client that gets an answer, and one that waits for the news.
pub async fn start() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (news, reader) = watch::channel("none yet");
    tokio::spawn(accept(listener, reader, news));

    let mut idle = connect(address).await?;
    assert_eq!(ask(&mut idle, "/latest").await?, "none yet");
    let mut busy = connect(address).await?;
    tokio::spawn(async move {
        let _idle = idle;
        ask(&mut busy, "/next").await
    });
    Ok(())
}

async fn accept(
    listener: TcpListener,
    reader: watch::Receiver<&'static str>,
    _news: watch::Sender<&'static str>,
) -> Outcome {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, reader.clone()));
    }
}

async fn serve(stream: TcpStream, reader: watch::Receiver<&'static str>) -> hyper::Result<()> {
    let service = service_fn(move |request| answer(request, reader.clone()));
    let connection = server::Builder::new().serve_connection(TokioIo::new(stream), service);
    connection.await
}

async fn answer(
    request: Request<Incoming>,
    mut reader: watch::Receiver<&'static str>,
) -> Outcome<Response<Full<Bytes>>> {
    if request.uri().path() == "/next" {
        reader.changed().await?;
    }
    let news = *reader.borrow();
    Ok(Response::new(Full::from(news)))
}

async fn connect(address: SocketAddr) -> Outcome<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> Outcome<String> {
    let request = Request::get(path)
        .header("host", "news")
        .body(Empty::new())?;
    let response = sender.send_request(request).await?;
    let body = response.into_body().collect().await?;
    Ok(String::from_utf8(body.to_bytes().into())?)
}
