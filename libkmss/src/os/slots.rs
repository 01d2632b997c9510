//! Things that are made dearly and used by one thread at a time, kept for the next user without a lock: a fork meanwhile
//! cannot leave anything locked. What another thread has taken at that moment is missing in the child, and made anew.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// How many are kept; more threads than this at a time make their own.
const SLOTS: usize = 16;

/// One place, alone in its cache line: threads that use different places do not disturb each other.
#[repr(align(64))]
struct Slot<T>(AtomicPtr<T>);

/// Up to [`SLOTS`] idle things.
pub struct Slots<T> {
    // INVARIANT: each pointer is null or came from `Box::into_raw` and belongs to whoever swaps it out.
    slots: [Slot<T>; SLOTS],
}

// SAFETY: a thing is reached only by the thread that swapped it out, so sharing the places moves things between threads.
unsafe impl<T: Send> Sync for Slots<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Slots<T> {}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: std::array::from_fn(|_| Slot(AtomicPtr::new(ptr::null_mut()))) }
    }
}

impl<T> Slots<T> {
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
    fn nearest_first(&self) -> impl Iterator<Item = &Slot<T>> {
        let (before, from) = self.slots.split_at(home());
        from.iter().chain(before)
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

impl<T> std::fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slots(..)")
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
            home.set(NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS);
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
        let slots = Slots::default();
        for _ in 0..SLOTS + 4 {
            slots.put(Box::new(Arc::clone(&counted)));
        }
        assert_eq!(Arc::strong_count(&counted), SLOTS + 1);
        drop(slots.take().unwrap());
        assert_eq!(Arc::strong_count(&counted), SLOTS);
        drop(slots);
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    fn no_two_threads_hold_the_same_thing() {
        let slots = Slots::default();
        (0..4).for_each(|_| slots.put(Box::new(0_u64)));
        let made = std::thread::scope(|s| {
            let run = || {
                let mut made = 0;
                for _ in 0..10_000 {
                    let mut thing = slots.take().unwrap_or_else(|| {
                        made += 1;
                        Box::new(0)
                    });
                    *thing += 1;
                    slots.put(thing);
                }
                made
            };
            let threads: Vec<_> = (0..8).map(|_| s.spawn(run)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum::<u64>()
        });
        let sum: u64 = std::iter::from_fn(|| slots.take()).map(|thing| *thing).sum();
        assert_eq!(sum, 80_000);
        assert!(made <= 8);
    }
}
