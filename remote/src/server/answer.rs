//! Answers on their way: what they have of the server until they were taken, and whether anybody takes them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Bytes, Frame, SizeHint};
use libkmss::clock::Clock;
use tonic::Status;
use tonic::body::Body;

use super::shares::Kept;

/// Bytes of an answer that leave at a time: it is seen of each such piece whether it is taken.
const PIECE: usize = 64 << 10;

/// The calls of a connection: held by the connection, its service, and each call until the last byte of its answer was taken.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    count: u64,
    /// Since when each waits to be taken, in milliseconds of the monotonic clock; 0 while it has nothing to give.
    waits: HashMap<u64, Arc<AtomicU64>>,
}

impl Calls {
    /// Whether a call is under way, other than those that [`Self::untaken`] counts.
    pub(super) fn any(&self, now: Duration, patience: Duration) -> bool {
        Arc::strong_count(&self.0).saturating_sub(2) > self.untaken(now, patience)
    }

    /// How many answers there are of which nothing was taken for longer than `patience`.
    pub(super) fn untaken(&self, now: Duration, patience: Duration) -> usize {
        let is_late = |since: u64| since > 0 && now.saturating_sub(Duration::from_millis(since)) > patience;
        self.locked().waits.values().filter(|since| is_late(since.load(Ordering::Relaxed))).count()
    }

    fn locked(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer on its way.
pub(super) struct Answer {
    body: Body,
    /// What is left of a part.
    rest: Bytes,
    waits: Arc<AtomicU64>,
    number: u64,
    calls: Calls,
    clock: Arc<dyn Clock>,
    _kept: Kept,
}

impl Answer {
    pub(super) fn new(body: Body, calls: Calls, kept: Kept, clock: Arc<dyn Clock>) -> Self {
        let waits = Arc::new(AtomicU64::new(milliseconds(&*clock)));
        let mut answers = calls.locked();
        answers.count += 1;
        let number = answers.count;
        answers.waits.insert(number, Arc::clone(&waits));
        drop(answers);
        Self { body, rest: Bytes::new(), waits, number, calls, clock, _kept: kept }
    }
}

fn milliseconds(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.calls.locked().waits.remove(&self.number);
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        // Whoever asks has taken what there was.
        self.waits.store(0, Ordering::Relaxed);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        self.waits.store(milliseconds(&*self.clock), Ordering::Relaxed);
        let len = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(len);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}
