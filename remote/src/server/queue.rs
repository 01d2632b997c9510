//! What goes out in parts: a bounded queue to whoever fetches it, and how it ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use libkmss::error::{Error, Result};
use tokio::sync::mpsc;
use tokio_stream::Stream;

use super::shares::{Kept, Share};

/// A part, and the memory that it has.
type Part<T> = (Result<T>, Option<Share>);
/// What went wrong in the end.
type End = Arc<Mutex<Option<Error>>>;

/// Where parts go in.
pub(super) struct Inlet<T> {
    parts: mpsc::Sender<Part<T>>,
    end: End,
}

/// Where whoever fetches them takes them out; with them come the shares of the call, which are had for as long.
pub(super) struct Queued<T> {
    parts: mpsc::Receiver<Part<T>>,
    end: End,
    /// Of the part that was taken last: it is on its way until the next one is asked for.
    last: Option<Share>,
    _kept: Kept,
}

/// A queue with `ahead` places.
pub(super) fn queue<T>(ahead: usize, kept: &Kept) -> (Inlet<T>, Queued<T>) {
    let (end, (into, parts)) = (End::default(), mpsc::channel(ahead));
    let inlet = Inlet { parts: into, end: Arc::clone(&end) };
    (inlet, Queued { parts, end, last: None, _kept: kept.clone() })
}

impl<T> Clone for Inlet<T> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), end: Arc::clone(&self.end) }
    }
}

impl<T> Inlet<T> {
    /// Hands a part on as soon as there is a place; whether somebody takes it.
    pub(super) async fn put(&self, part: Result<T>, share: Option<Share>) -> bool {
        self.parts.send((part, share)).await.is_ok()
    }

    /// Hands a part on where there is a place.
    pub(super) fn offer(&self, part: T) {
        drop(self.parts.try_send((Ok(part), None)));
    }

    /// Says how it ended, behind what is in the queue. Nobody waits for a place for that.
    pub(super) fn fail(self, error: Error) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Whether nobody fetches anything any more.
    pub(super) fn is_closed(&self) -> bool {
        self.parts.is_closed()
    }

    /// Ends when nobody fetches anything any more.
    pub(super) async fn closed(&self) {
        self.parts.closed().await;
    }
}

impl<T> Stream for Queued<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.last = None;
        Poll::Ready(match ready!(self.parts.poll_recv(context)) {
            Some((part, share)) => {
                self.last = share;
                Some(part)
            }
            None => self.end.lock().unwrap_or_else(PoisonError::into_inner).take().map(Err),
        })
    }
}
