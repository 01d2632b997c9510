//! Counts for Prometheus, over HTTP on a loopback address.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use libkmss::error::ErrorKind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Upper bounds of the classes of durations, in seconds.
const CLASSES: [f64; 12] = [5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 0.05, 0.2, 1.0, 5.0];

/// Most connections at a time.
const MOST: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hsm {
    hsm: String,
}

/// What is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    calls: Family<Method, Counter>,
    durations: Family<Timed, Histogram, fn() -> Histogram>,
    abandoned: Family<Hsm, Counter>,
    hanging: Family<Hsm, Gauge>,
    /// Open connections.
    pub(super) connections: Gauge,
    /// Connections that were not let in.
    pub(super) refused: Counter<u64, AtomicU64>,
    /// Calls for which there was no place.
    pub(super) overloaded: Counter,
    /// How often certificates were read anew.
    pub(super) reloads: Counter,
    /// Spans that the collector did not take, and those for which there was no room.
    pub(super) untraced: Counter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("kmssd");
        let (calls, connections, refused, overloaded, reloads) =
            (Family::default(), Gauge::default(), Counter::default(), Counter::default(), Counter::default());
        let durations = Family::new_with_constructor((|| Histogram::new(CLASSES)) as fn() -> Histogram);
        let (abandoned, hanging) = (Family::<Hsm, Counter>::default(), Family::<Hsm, Gauge>::default());
        registry.register("hsm_calls_abandoned", "Calls of HSMs that hung and were given up", abandoned.clone());
        registry.register("hsm_calls_hanging", "Calls of HSMs that were given up and are not back", hanging.clone());
        let untraced = Counter::default();
        registry.register(
            "spans_dropped",
            "Spans that the collector did not take, or that did not fit the queue before it",
            untraced.clone(),
        );
        registry.register("calls", "Calls by method and result", calls.clone());
        registry.register("call_duration_seconds", "How long calls took", durations.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("connections_refused", "Connections that were not let in", refused.clone());
        registry.register("calls_overloaded", "Calls for which there was no place", overloaded.clone());
        registry.register("certificate_reloads", "How often certificates were read anew", reloads.clone());
        Self { registry, calls, durations, abandoned, hanging, connections, refused, overloaded, reloads, untraced }
    }

    /// A call was answered.
    pub(super) fn answered(&self, method: &'static str, error: Option<ErrorKind>, time: Duration) {
        let result = error.map_or_else(|| "ok".to_owned(), |kind| format!("{kind:?}"));
        self.calls.get_or_create(&Method { method, result }).inc();
        self.durations.get_or_create(&Timed { method }).observe(time.as_secs_f64());
    }

    /// A call of an HSM is given up.
    pub(super) fn gave_up(&self, hsm: &str) {
        let hsm = Hsm { hsm: hsm.to_owned() };
        self.abandoned.get_or_create(&hsm).inc();
        self.hanging.get_or_create(&hsm).inc();
    }

    /// A call of an HSM that was given up is back.
    pub(super) fn came_back(&self, hsm: &str) {
        self.hanging.get_or_create(&Hsm { hsm: hsm.to_owned() }).dec();
    }

    /// Everything, as Prometheus reads it.
    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Answers whoever asks at `listener` for `/metrics`.
pub(super) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        // Whoever is on this host may connect, and takes no descriptors from those who use keys.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            let _place = place;
            let answer = service_fn(|request| answer(request, peer, Arc::clone(&metrics)));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(Duration::from_secs(5))
                .serve_connection(TokioIo::new(stream), answer);
            let _ = tokio::time::timeout(Duration::from_secs(10), connection).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    metrics: Arc<Metrics>,
) -> Result<Response<String>, Infallible> {
    let asked = request.method() == http::Method::GET && request.uri().path() == "/metrics" && peer.ip().is_loopback();
    let mut response = Response::new(if asked { metrics.text() } else { String::new() });
    if asked {
        let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(text));
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}
