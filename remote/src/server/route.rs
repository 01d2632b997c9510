//! From the path of a request to its service; deadlines.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use libkmss::clock::Clock;
use opentelemetry::trace::SpanContext;
use tonic::Status;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;

use super::answer::{Answer, Calls};
use super::gathered::{Fresh, Unbegun};
use super::peer::Connection;
use super::shares::Kept;
use super::traces;

/// Header of a deadline (gRPC over HTTP/2, Requests).
const TIMEOUT: &str = "grpc-timeout";

/// A service, whatever it is.
type Boxed = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// What a handler finds beside its request.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) connection: Arc<Connection>,
    /// On the monotonic clock.
    pub(super) deadline: Duration,
    /// The deadline that the caller gave, however long: for what may take longer than any limit of the server.
    pub(super) ends: Option<Duration>,
    /// The caller's span, where calls are traced and it has one.
    pub(super) parent: Option<SpanContext>,
    /// What the call has until its answer was taken.
    pub(super) kept: Kept,
}

/// The services by their names.
#[derive(Clone)]
pub(super) struct Router {
    services: Arc<[(&'static str, Boxed)]>,
    max_deadline: Duration,
    clock: Arc<dyn Clock>,
    /// Whether calls are traced.
    traced: bool,
}

impl Router {
    pub(super) fn new(
        services: Vec<(&'static str, Boxed)>,
        max_deadline: Duration,
        clock: Arc<dyn Clock>,
        traced: bool,
    ) -> Self {
        Self { services: services.into(), max_deadline, clock, traced }
    }

    /// The services for one connection, and what tells whether calls of it are under way. Those that came in and have not begun
    /// are counted by `fresh`.
    pub(super) fn for_connection(&self, connection: Arc<Connection>, fresh: Fresh) -> (ConnectionService, Calls) {
        let calls = Calls::default();
        (ConnectionService { router: self.clone(), connection, calls: calls.clone(), fresh }, calls)
    }
}

/// The services, for one connection.
#[derive(Clone)]
pub(super) struct ConnectionService {
    router: Router,
    connection: Arc<Connection>,
    calls: Calls,
    fresh: Fresh,
}

impl ConnectionService {
    /// Answers `request`, whatever becomes of it.
    async fn answer(self, mut request: Request<Incoming>, kept: Kept) -> Response<Body> {
        let name = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/')).map(|(name, _)| name);
        let service = self.router.services.iter().find(|(known, _)| Some(*known) == name).map(|(_, s)| s.clone());
        let Some(service) = service else {
            return Status::unimplemented("there is no such service").into_http();
        };
        let allowed = self.router.max_deadline;
        let asked = match request.headers().get(TIMEOUT).map(|value| value.to_str().ok().and_then(timeout)) {
            None => None,
            Some(Some(asked)) => Some(asked),
            Some(None) => return Status::invalid_argument("grpc-timeout is malformed").into_http(),
        };
        let (now, wait) = (self.router.clock.monotonic(), asked.map_or(allowed, |asked| asked.min(allowed)));
        let (deadline, ends) = (now.saturating_add(wait), asked.map(|asked| now.saturating_add(asked)));
        let parent = if self.router.traced { traces::parent(request.headers()) } else { None };
        request.extensions_mut().insert(Context { connection: self.connection, deadline, ends, parent, kept });
        match tokio::time::timeout(wait, tower::ServiceExt::oneshot(service, request)).await {
            Ok(Ok(answer)) => answer,
            Err(_) => {
                Status::deadline_exceeded("the deadline passed: it is not known whether the call was done").into_http()
            }
        }
    }
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (service, unbegun) = (self.clone(), Unbegun::of(&self.fresh));
        Box::pin(async move {
            drop(unbegun);
            let (calls, clock, kept) = (service.calls.clone(), Arc::clone(&service.router.clock), Kept::default());
            Ok(service.answer(request, kept.clone()).await.map(|body| Answer::new(body, calls, kept, clock)))
        })
    }
}

/// The time of a `grpc-timeout`: at most eight digits, and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        assert_eq!(timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(timeout("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "m", "100", "1x", "+1m", "999999999S", "1 m", "é"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }
}
