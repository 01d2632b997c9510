//! A unary echo of tonic as it comes: what any call over the wire costs at least.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::uri::PathAndQuery;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::Error;
use crate::figures::{Calls, Figures, Pace};
use crate::wire::Wire;

/// As long as a signature of P-256.
const LEN: usize = 64;

/// Who calls.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    wire: Wire,
    #[command(flatten)]
    pace: Pace,
    /// Connections that the callers share
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

/// The service: `google.protobuf.BytesValue` in and out.
#[derive(Clone)]
struct Echo;

impl UnaryService<Vec<u8>> for Echo {
    type Response = Vec<u8>;
    type Future = Ready<Result<Response<Vec<u8>>, Status>>;

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "wirebench.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Vec<u8>, Vec<u8>>::default());
            Ok(grpc.unary(Echo, request).await)
        })
    }
}

/// Serves until the process is killed.
pub(crate) fn serve(wire: &Wire) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(path) = &wire.unix {
            let incoming = UnixListenerStream::new(UnixListener::bind(path)?);
            Server::builder().add_service(Echo).serve_with_incoming(incoming).await?;
        } else {
            let address = wire.address.as_deref().unwrap_or_default().parse()?;
            let mut server = Server::builder().tls_config(wire.server_tls()?)?.tcp_nodelay(true);
            server.add_service(Echo).serve(address).await?;
        }
        Ok(())
    })
}

/// Calls, all callers at once.
pub(crate) fn call(options: &Options) -> Result<Figures, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut channels = Vec::new();
        for _ in 0..options.connections.max(1) {
            channels.push(options.wire.connect().await?);
        }
        let start = Instant::now() + options.pace.warm_up();
        let callers: Vec<_> = (0..options.pace.callers)
            .map(|caller| tokio::spawn(one(channels[caller % channels.len()].clone(), options.pace, start)))
            .collect();
        let mut all = Vec::new();
        for caller in callers {
            all.push(caller.await?);
        }
        Ok(Figures::of(all, options.pace.length()))
    })
}

/// One caller.
async fn one(channel: Channel, pace: Pace, start: Instant) -> Calls {
    let mut grpc = tonic::client::Grpc::new(channel);
    let mut calls = Calls::default();
    let end = start + pace.length();
    loop {
        let begun = Instant::now();
        if begun >= end {
            return calls;
        }
        let outcome = match grpc.ready().await {
            Ok(()) => {
                let path = PathAndQuery::from_static("/wirebench.Echo/Echo");
                let echoed: Result<Response<Vec<u8>>, Status> =
                    grpc.unary(Request::new(vec![7; LEN]), path, ProstCodec::default()).await;
                echoed.map(drop).map_err(|status| status.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if begun >= start {
            calls.note(begun, outcome);
        }
        if let Some(step) = pace.step() {
            tokio::time::sleep_until((begun + step).into()).await;
        }
    }
}
