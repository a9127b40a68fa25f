//! tonic: a warehouse and its client, with messages by prost and a service written by hand, so that no protoc is needed. The
//! tasks of the connections are tonic's; the layer lists their calls.

use crate::Outcome;
use std::convert::Infallible;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// A number of items.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Items {
    #[prost(uint64, tag = "1")]
    count: u64,
}

/// A warehouse, a call that it answers, and a call that it does not answer.
pub async fn start() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));

    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.connect().await?;
    assert_eq!(reserve(channel.clone(), 1).await?, 1);
    tokio::spawn(reserve(channel, 1000));
    Ok(())
}

async fn serve(listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let mut server = Server::builder().layer(tokio::pprof::layer().named("warehouse"));
    let router = server.add_service(Warehouse);
    router
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
}

async fn reserve(channel: Channel, count: u64) -> Outcome<u64> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = PathAndQuery::from_static("/shop.Warehouse/Reserve");
    let codec = ProstCodec::<Items, Items>::default();
    let reply = client
        .unary(Request::new(Items { count }), path, codec)
        .await?;
    Ok(reply.into_inner().count)
}

#[derive(Clone)]
struct Warehouse;

impl NamedService for Warehouse {
    const NAME: &'static str = "shop.Warehouse";
}

impl Service<http::Request<Body>> for Warehouse {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(grpc.unary(Reserve, request).await)
        })
    }
}

struct Reserve;

impl UnaryService<Items> for Reserve {
    type Response = Items;
    type Future = BoxFuture<Response<Items>, Status>;

    fn call(&mut self, request: Request<Items>) -> Self::Future {
        Box::pin(restock(request.into_inner()))
    }
}

/// The supplier never delivers more than a few items, so a larger call waits for ever.
async fn restock(items: Items) -> Result<Response<Items>, Status> {
    if items.count > 10 {
        let (_truck, mut delivery) = tokio::sync::mpsc::channel::<Items>(1);
        delivery.recv().await;
    }
    Ok(Response::new(items))
}
