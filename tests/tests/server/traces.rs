//! Traces of calls, as a collector gets them.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo};
use kmss_tests::built;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Request, Response, Status};

use crate::kit::{Kmssd, sign};

/// How long something may take that ends by itself.
const LONG: Duration = Duration::from_secs(120);
/// A trace and the span in it that a call is under.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What a collector got.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Got {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let spans = resources.flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
        self.0.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Got {
    /// A collector that listens, and where.
    fn listen() -> (Self, u16) {
        let got = Self::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = TraceServiceServer::new(got.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let service = service.clone();
                    let answer = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let mut service = service.clone();
                        async move { tower::Service::call(&mut service, request).await }
                    });
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
                }
            });
        });
        (got, port)
    }

    /// The spans of this name in the trace, as soon as there are any.
    fn spans(&self, name: &str, trace: &str) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let all = self.0.lock().unwrap().clone();
            let wanted: Vec<Span> =
                all.into_iter().filter(|span| span.name == name && hex(&span.trace_id) == trace).collect();
            if !wanted.is_empty() {
                return wanted;
            }
            assert!(began.elapsed() < LONG, "no span `{name}` came: {:?}", self.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found: Option<&KeyValue> = span.attributes.iter().find(|attribute| attribute.key == name);
    match found?.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// A signature under a caller's span; `sampled` says whether the caller keeps it.
fn under<T>(message: T, trace: &str, sampled: bool) -> Request<T> {
    let mut request = Request::new(message);
    let flag = u8::from(sampled);
    request.metadata_mut().insert("traceparent", format!("00-{trace}-{PARENT}-0{flag}").parse().unwrap());
    request
}

#[test]
fn a_signature_is_a_span_of_its_callers_trace() {
    if built::only_kmss("a server") {
        return;
    }
    let (got, port) = Got::listen();
    let mut server = Kmssd::start(&format!("traces = \"http://127.0.0.1:{port}\"\ntraces_ratio = 0\n"), "");
    let client = server.client();
    let pair = client.pair("a name that is told to nobody");
    let signed = client.wait(client.crypto().sign(under(sign(&pair, b"secret message", &[7; 16]), TRACE, true)));
    assert!(signed.is_ok());
    let span = got.spans("Sign", TRACE).remove(0);
    assert_eq!(hex(&span.parent_span_id), PARENT);
    assert_eq!(attribute(&span, "kmss.namespace").as_deref(), Some("web"));
    assert_eq!(attribute(&span, "kmss.peer").as_deref(), Some("process"));
    assert_eq!(attribute(&span, "kmss.request_id"), Some(hex(&[7; 16])));
    assert_eq!(attribute(&span, "kmss.outcome").as_deref(), Some("ok"));
    for part in ["wait", "work"] {
        let part = got.spans(part, TRACE).remove(0);
        assert_eq!(part.parent_span_id, span.span_id);
        assert!(part.start_time_unix_nano >= span.start_time_unix_nano);
    }
    // A refusal is told as one, in a trace of its own; what the caller made up is not repeated.
    let refused = "aaf92f3577b34da6a3ce929d0e0e4736";
    let mut elsewhere = sign(&pair, b"secret message", &[]);
    elsewhere.key.as_mut().unwrap().namespace = "made-up".into();
    assert!(client.wait(client.crypto().sign(under(elsewhere, refused, true))).is_err());
    let span = got.spans("Sign", refused).remove(0);
    assert_eq!(attribute(&span, "kmss.outcome").as_deref(), Some("NotFound"));
    assert_eq!(attribute(&span, "kmss.namespace"), None);
    // What its caller does not keep is not sent, nor what has no caller's trace at a ratio of 0. The last ones come when
    // the server stops.
    let (dropped, last) = ("bbf92f3577b34da6a3ce929d0e0e4736", "ccf92f3577b34da6a3ce929d0e0e4736");
    for (trace, sampled) in [(dropped, false), (last, true)] {
        assert!(client.wait(client.crypto().sign(under(sign(&pair, b"m", &[]), trace, sampled))).is_ok());
    }
    drop(client);
    let mut running = server.running.take().unwrap();
    running.signal(libc::SIGTERM);
    assert!(running.wait_end().success(), "{}", running.said());
    let all = got.0.lock().unwrap().clone();
    assert!(all.iter().any(|span| hex(&span.trace_id) == last), "{all:?}");
    assert!(all.iter().all(|span| [TRACE, refused, last].contains(&hex(&span.trace_id).as_str())), "{all:?}");
    let text = format!("{all:?}");
    assert!(!text.contains("secret message") && !text.contains("told to nobody") && !text.contains("made-up"));
}

/// Spans that the server says it dropped.
fn dropped(server: &Kmssd) -> u64 {
    let metrics = server.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix("kmssd_spans_dropped_total "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("it is not counted: {metrics}"))
}

#[test]
fn a_collector_that_does_not_answer_holds_up_no_call_and_no_end() {
    if built::only_kmss("a server") {
        return;
    }
    // One that takes connections and says nothing, and one where nobody listens.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let nobody = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    for port in [silent.local_addr().unwrap().port(), nobody] {
        let mut server = Kmssd::start(&format!("traces = \"http://127.0.0.1:{port}\"\ndrain_s = 20\n"), "");
        let client = server.client();
        let pair = client.pair("signer");
        let began = Instant::now();
        // More than what may wait.
        for _ in 0..4000 {
            assert!(client.wait(client.crypto().sign(sign(&pair, b"m", &[]))).is_ok());
        }
        eprintln!("4000 signatures took {} ms", began.elapsed().as_millis());
        // Calls that waited for the collector, a second or more each, would take an hour.
        assert!(began.elapsed() < LONG);
        // Each has three spans, none was taken, and no more wait than the queue has room for.
        let (all, room) = (12_000, 8_192);
        assert!(dropped(&server) >= all - room, "{}", server.metrics());
        drop(client);
        let mut running = server.running.take().unwrap();
        let began = Instant::now();
        running.signal(libc::SIGTERM);
        assert!(running.wait_end().success(), "{}", running.said());
        eprintln!("the end took {} ms", began.elapsed().as_millis());
        assert!(running.said().contains("\"drained\":true"), "{}", running.said());
        assert!(began.elapsed() < Duration::from_secs(20), "{}", running.said());
    }
}
