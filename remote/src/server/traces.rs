//! Traces for OpenTelemetry: a span for each call, and under it the time in the queue and the work, sent to a collector by OTLP.
//!
//! Spans say which method, which namespace that is served here, what kind of peer, and how it ended: no names of keys, no
//! principals, no data. Nobody waits for a collector: what it does not take is dropped (docs/adr/0045-traces.md).

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use libkmss::error::{Error, ErrorClass, ErrorKind, Result};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context as Scope, KeyValue};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span as RecordingSpan, SpanData,
    SpanExporter, SpanProcessor,
};

use super::Server;
use super::config::ServerConfig;
use super::metrics::Metrics;
use super::route::Context;

/// Header of the caller's trace (W3C Trace Context, 3.2).
const TRACEPARENT: &str = "traceparent";
/// Spans that wait for the collector at most.
const QUEUE: usize = 8192;
/// How often they are sent.
const PACE: Duration = Duration::from_secs(1);
/// How long the collector may take for a batch, and for what is left at the end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where spans go.
pub(super) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// As `config` says; `None` where it names no collector. Connects to nobody yet, but wants a runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for authorities that cannot be read, and what OTLP does not take.
    pub(super) fn open(config: &ServerConfig, metrics: &Arc<Metrics>) -> Result<Option<Self>> {
        let Some(collector) = &config.traces else { return Ok(None) };
        let mut otlp = Otlp::builder().with_tonic().with_endpoint(collector.clone()).with_timeout(PATIENCE);
        if let Some(path) = &config.traces_ca {
            let unreadable =
                |e| Error::new(ErrorKind::Config, format!("cannot read `{}`", path.display())).with_source(e);
            let authority = Certificate::from_pem(fs::read(path).map_err(unreadable)?);
            otlp = otlp.with_tls_config(ClientTlsConfig::new().ca_certificate(authority));
        }
        let exporter = otlp.build().map_err(|e| {
            Error::new(ErrorKind::Config, format!("no traces can be sent to `{collector}`")).with_source(e)
        })?;
        let waiting = Arc::new(Waiting { count: AtomicUsize::new(0), metrics: Arc::clone(metrics) });
        let exporter = Watched { exporter, failing: AtomicBool::new(false), waiting: Arc::clone(&waiting) };
        let batches = BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_scheduled_delay(PACE);
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
        let batches = Queue { batches, waiting };
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("kmssd").with_attribute(version).build();
        // What a caller samples is sampled here, so that its trace is whole.
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.traces_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(batches)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("kmssd");
        Ok(Some(Self { provider, tracer }))
    }

    /// Sends what is there still, `most` long.
    pub(super) async fn end(&self, most: Duration) {
        let (provider, most) = (self.provider.clone(), most.min(PATIENCE));
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(most)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces did not reach the collector");
        }
    }
}

/// The span that the caller's call is under, where it says so.
pub(super) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    headers.get(TRACEPARENT)?;
    let scope = TraceContextPropagator::new().extract_with_context(&Scope::new(), &Headers(headers));
    Some(scope.span().span_context().clone()).filter(SpanContext::is_valid)
}

/// The one header that is looked at: what else a caller may say of its trace is of no use here.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        // Several are none.
        let mut all = self.0.get_all(TRACEPARENT).iter().filter(|_| key.eq_ignore_ascii_case(TRACEPARENT));
        match (all.next(), all.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

impl Server {
    /// The span of a call.
    pub(super) fn span(&self, method: &'static str, context: &Context, namespace: &str, id: &[u8]) -> Span {
        let Some(traces) = &self.traces else { return Span::default() };
        let mut attributes = vec![
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.method", method),
            KeyValue::new("kmss.peer", context.connection.peer.kind()),
        ];
        // Names that nobody knows here are a caller's own words.
        if self.host.serves(namespace) {
            attributes.push(KeyValue::new("kmss.namespace", namespace.to_owned()));
        }
        if id.len() == 16 {
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            attributes.push(KeyValue::new("kmss.request_id", id));
        }
        let above = context.parent.clone().map(|parent| Scope::new().with_remote_span_context(parent));
        let span = SpanBuilder::from_name(method)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(&traces.tracer, &above.unwrap_or_default());
        Span(Some((traces.tracer.clone(), Scope::new().with_span(span))))
    }
}

/// A span, or none where nothing is traced. It ends with the last that holds it.
#[derive(Clone, Default)]
pub(super) struct Span(Option<(SdkTracer, Scope)>);

impl Span {
    /// A part of it, which ends when it is dropped.
    pub(super) fn part(&self, name: &'static str) -> Self {
        Self(self.0.as_ref().map(|(tracer, scope)| {
            let span = SpanBuilder::from_name(name).start_with_context(tracer, scope);
            (tracer.clone(), scope.with_span(span))
        }))
    }

    /// Says how it ended.
    pub(super) fn end(&self, error: Option<&Error>) {
        let Some((_, scope)) = &self.0 else { return };
        let span = scope.span();
        let outcome = error.map_or_else(|| "ok".to_owned(), |error| format!("{:?}", error.kind()));
        // What somebody may not do is no failure of the server's.
        if error.is_some_and(|e| matches!(e.kind().class(), ErrorClass::Environment | ErrorClass::Bug)) {
            span.set_status(Status::error(outcome.clone()));
        }
        span.set_attribute(KeyValue::new("kmss.outcome", outcome));
        span.end();
    }
}

/// Spans that ended and were neither sent nor dropped.
struct Waiting {
    count: AtomicUsize,
    metrics: Arc<Metrics>,
}

impl Waiting {
    fn dropped(&self, count: usize) {
        self.metrics.untraced.inc_by(count.try_into().unwrap_or(u64::MAX));
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiting").field(&self.count).finish()
    }
}

/// The queue before the exporter. It drops what does not fit itself, for the one behind it tells nobody how much it dropped.
#[derive(Debug)]
struct Queue {
    batches: BatchSpanProcessor,
    waiting: Arc<Waiting>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut RecordingSpan, scope: &Scope) {
        self.batches.on_start(span, scope);
    }

    fn on_end(&self, span: SpanData) {
        let one_more = |count: usize| (count < QUEUE).then_some(count + 1);
        match self.waiting.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => self.batches.on_end(span),
            Err(_) => self.waiting.dropped(1),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// An exporter that says when it fails.
#[derive(Debug)]
struct Watched {
    exporter: Otlp,
    failing: AtomicBool,
    waiting: Arc<Waiting>,
}

impl SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let len = batch.len();
        let sent = self.exporter.export(batch).await;
        let failed = sent.is_err();
        self.waiting.count.fetch_sub(len, Ordering::Relaxed);
        if failed {
            self.waiting.dropped(len);
        }
        if self.failing.swap(failed, Ordering::Relaxed) != failed {
            match &sent {
                Err(e) => tracing::warn!(reason = %e, "the collector takes no traces: they are dropped"),
                Ok(()) => tracing::info!("the collector takes traces again"),
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(values: &[&str]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        parent(&headers)
    }

    #[test]
    fn a_trace_is_taken_over_as_w3c_writes_it_and_not_otherwise() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let taken = of(&[good]).unwrap();
        assert_eq!(taken.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(taken.is_remote() && taken.is_sampled());
        assert!(of(&[good, good]).is_none() && of(&[]).is_none());
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E473Z-00f067aa0ba902b7-01",
        ] {
            assert!(of(&[bad]).is_none(), "{bad}");
        }
    }
}
