//! Things that are made dearly and used by one thread at a time, kept for the next user without a lock: a fork meanwhile
//! cannot leave anything locked. What another thread has taken at that moment is missing in the child, and made anew.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// How many are kept; more threads than this at a time make their own.
pub(super) const PLACES: usize = 16;

/// One place, alone in its cache line: threads that use different places do not disturb each other.
#[repr(align(64))]
struct Place<T>(AtomicPtr<T>);

/// Up to `PLACES` idle things.
pub struct Pool<T> {
    // INVARIANT: each pointer is null or came from `Box::into_raw` and belongs to whoever swaps it out.
    places: [Place<T>; PLACES],
}

// SAFETY: a thing is reached only by the thread that swapped it out, so sharing the places moves things between threads.
unsafe impl<T: Send> Sync for Pool<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Pool<T> {}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { places: std::array::from_fn(|_| Place(AtomicPtr::new(ptr::null_mut()))) }
    }
}

impl<T> Pool<T> {
    /// Takes an idle thing out; most likely the one that this thread put in last.
    pub fn take(&self) -> Option<Box<T>> {
        self.nearest_first().find_map(|slot| {
            if slot.0.load(Ordering::Relaxed).is_null() {
                return None;
            }
            let thing = slot.0.swap(ptr::null_mut(), Ordering::Acquire);
            // SAFETY: by the invariant; the swap made this thread its only owner.
            (!thing.is_null()).then(|| unsafe { Box::from_raw(thing) })
        })
    }

    /// Puts a thing in; it is dropped where every place is taken.
    pub fn put(&self, thing: Box<T>) {
        let raw = Box::into_raw(thing);
        let placed = self
            .nearest_first()
            .any(|slot| slot.0.compare_exchange(ptr::null_mut(), raw, Ordering::Release, Ordering::Relaxed).is_ok());
        if !placed {
            // SAFETY: made by `into_raw` above, and no place took it.
            drop(unsafe { Box::from_raw(raw) });
        }
    }

    /// Every place, beginning with this thread's own.
    fn nearest_first(&self) -> impl Iterator<Item = &Place<T>> {
        let (before, from) = self.places.split_at(home());
        from.iter().chain(before)
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

impl<T> std::fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool(..)")
    }
}

/// Where this thread looks first.
pub(super) fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static HOME: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    // While a thread ends its place may be gone; any will do then.
    HOME.try_with(|home| {
        if home.get() == usize::MAX {
            home.set(NEXT.fetch_add(1, Ordering::Relaxed) % PLACES);
        }
        home.get()
    })
    .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_was_put_in_comes_out_once_and_the_rest_is_dropped() {
        let counted = Arc::new(());
        let places = Pool::default();
        for _ in 0..PLACES + 4 {
            places.put(Box::new(Arc::clone(&counted)));
        }
        assert_eq!(Arc::strong_count(&counted), PLACES + 1);
        drop(places.take().unwrap());
        assert_eq!(Arc::strong_count(&counted), PLACES);
        drop(places);
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    fn no_two_threads_hold_the_same_thing() {
        let places = Pool::default();
        (0..4).for_each(|_| places.put(Box::new(0_u64)));
        let made = std::thread::scope(|s| {
            let run = || {
                let mut made = 0;
                for _ in 0..10_000 {
                    let mut thing = places.take().unwrap_or_else(|| {
                        made += 1;
                        Box::new(0)
                    });
                    *thing += 1;
                    places.put(thing);
                }
                made
            };
            let threads: Vec<_> = (0..8).map(|_| s.spawn(run)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum::<u64>()
        });
        let sum: u64 = std::iter::from_fn(|| places.take()).map(|thing| *thing).sum();
        assert_eq!(sum, 80_000);
        assert!(made <= 8);
    }
}
