//! Answers that leave together: what calls that came in together have to say is one write, not one for each.
//!
//! Whoever answers wakes the connection, and the runtime lets what was just woken go first: it would write each answer by itself
//! while the next call waits behind it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Counts the calls of a connection that came in and did not have their turn yet.
pub(super) type Fresh = Arc<AtomicUsize>;

/// A call that did not have its turn yet.
pub(super) struct Unbegun(Fresh);

impl Unbegun {
    pub(super) fn of(fresh: &Fresh) -> Self {
        fresh.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(fresh))
    }
}

impl Drop for Unbegun {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection. Where calls of it wait for their turn, it lets them go first, once each time that it is woken: those that are over
/// at once, and most are, have answered then.
pub(super) struct Gathered<F> {
    pub(super) serving: Pin<Box<F>>,
    fresh: Fresh,
    stood_back: bool,
}

impl<F> Gathered<F> {
    pub(super) fn new(serving: F, fresh: Fresh) -> Self {
        Self { serving: Box::pin(serving), fresh, stood_back: false }
    }
}

impl<F: Future> Future for Gathered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.stood_back && self.fresh.load(Ordering::Relaxed) > 0 {
            self.stood_back = true;
            // A task that wakes itself goes to the end of the queue.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.stood_back = false;
        self.serving.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_connection_goes_on_behind_the_calls_that_came_in_and_does_not_wait_for_those_that_take_long() {
        let (fresh, order) = (Fresh::default(), Arc::new(Mutex::new(Vec::new())));
        let note = |what: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(what)
        };
        let (one, long, connection) = (note("one"), note("long"), note("connection"));
        let (unbegun, never) = (Unbegun::of(&fresh), Unbegun::of(&fresh));
        let gathered = tokio::spawn(Gathered::new(async move { connection() }, Arc::clone(&fresh)));
        let call = tokio::spawn(async move {
            drop(unbegun);
            one();
        });
        gathered.await.unwrap();
        call.await.unwrap();
        drop(never);
        long();
        assert_eq!(*order.lock().unwrap(), ["one", "connection", "long"]);
        assert_eq!(fresh.load(Ordering::Relaxed), 0);
    }
}
