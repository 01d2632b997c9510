//! Memory for key material: kept out of core dumps, locked into RAM as far as the system allows, wiped when it is freed.
//!
//! One region of address space, reserved at the first use and never given back, is cut into chunks of one block size
//! each; a bitmap for each chunk says which blocks are taken. Nothing here waits: there is no lock that a `fork` could
//! leave behind (a thread that it cuts off leaves at most one block taken). Where the region is full, or cannot be had,
//! callers fall back on the ordinary heap, which is wiped as well.
//!
//! INVARIANT: a set bit belongs to whoever set it, until it clears it again; a chunk's size never changes once it has one.

use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::fork::epoch;

/// Address space of the region in bytes.
const REGION: usize = 32 << 20;
/// Size of a chunk in bytes, and of the largest block.
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = REGION / CHUNK;
/// Size of the smallest block in bytes.
const SMALLEST: usize = 32;
/// Block sizes: powers of two from [`SMALLEST`] to [`CHUNK`].
const SIZES: usize = (CHUNK / SMALLEST).ilog2() as usize + 1;
/// Words of a chunk's bitmap.
const WORDS: usize = CHUNK / SMALLEST / 64;
/// How much is locked into RAM at most: processes have a small budget for that (often 8 MiB), which is the host's first.
const MAX_LOCKED: usize = 4 << 20;

static REGION_START: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// Chunks that have been given a size, from the front.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Bytes that were locked, from the front; the epoch in which that was done.
static LOCKED: AtomicUsize = AtomicUsize::new(0);
static LOCKED_IN: AtomicU32 = AtomicU32::new(0);
static TABLE: [Chunk; CHUNKS] = [const { Chunk::new() }; CHUNKS];
/// For each size the chunk where a block was last taken or freed.
static HINTS: [AtomicUsize; SIZES] = [const { AtomicUsize::new(0) }; SIZES];

struct Chunk {
    /// One more than the index of the block size; 0 while it has none.
    size: AtomicU8,
    taken: [AtomicU64; WORDS],
}

impl Chunk {
    const fn new() -> Self {
        Self { size: AtomicU8::new(0), taken: [const { AtomicU64::new(0) }; WORDS] }
    }

    /// Takes a free block of the chunk; returns its number.
    fn take(&self, blocks: usize) -> Option<usize> {
        self.taken.iter().take(blocks.div_ceil(64)).enumerate().find_map(|(at, word)| {
            let mask = if blocks >= 64 { u64::MAX } else { (1 << blocks) - 1 };
            let mut seen = word.load(Ordering::Relaxed);
            while seen & mask != mask {
                let bit = (seen | !mask).trailing_ones();
                match word.compare_exchange_weak(seen, seen | (1 << bit), Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return Some(at * 64 + bit as usize),
                    Err(now) => seen = now,
                }
            }
            None
        })
    }
}

/// Takes at least `len` bytes, zeroed; `None` where there is no room or `len` is larger than a chunk. The block is
/// aligned to its size.
pub(crate) fn take(len: usize) -> Option<NonNull<u8>> {
    if len > CHUNK {
        return None;
    }
    let size = len.max(SMALLEST).next_power_of_two();
    let index = (size / SMALLEST).ilog2() as usize;
    let start = region()?;
    lock_again_after_fork(start);
    let hint = HINTS.get(index)?;
    let first = hint.load(Ordering::Relaxed);
    let used = USED.load(Ordering::Acquire).min(CHUNKS);
    let older = (first..used).chain(0..first.min(used));
    let found = older.into_iter().find_map(|chunk| take_in(chunk, index, size));
    let (chunk, block) = match found {
        Some(found) => found,
        None => grow(start, index, size)?,
    };
    hint.store(chunk, Ordering::Relaxed);
    // SAFETY: chunk and block are within the region, by `take_in` and `grow`.
    NonNull::new(unsafe { start.as_ptr().add(chunk * CHUNK + block * size) })
}

fn take_in(chunk: usize, index: usize, size: usize) -> Option<(usize, usize)> {
    let entry = TABLE.get(chunk)?;
    if usize::from(entry.size.load(Ordering::Acquire)) != index + 1 {
        return None;
    }
    entry.take(CHUNK / size).map(|block| (chunk, block))
}

/// Gives the next chunk the size and takes its first block.
fn grow(start: NonNull<u8>, index: usize, size: usize) -> Option<(usize, usize)> {
    let chunk = USED.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < CHUNKS).then_some(n + 1)).ok()?;
    // SAFETY: the chunk lies within the region and is nobody else's: USED hands each out once.
    unsafe {
        let at = start.as_ptr().add(chunk * CHUNK);
        if libc::mprotect(at.cast(), CHUNK, libc::PROT_READ | libc::PROT_WRITE) != 0 {
            return None;
        }
        let end = (chunk + 1) * CHUNK;
        // Best effort, and only as long as it works without a hole.
        if end <= MAX_LOCKED && LOCKED.load(Ordering::Relaxed) == chunk * CHUNK && libc::mlock(at.cast(), CHUNK) == 0 {
            LOCKED.store(end, Ordering::Relaxed);
        }
    }
    let entry = TABLE.get(chunk)?;
    let block = entry.take(CHUNK / size)?;
    entry.size.store(u8::try_from(index + 1).ok()?, Ordering::Release);
    Some((chunk, block))
}

/// How many bytes the block at `at` has; `None` where it is not in the region.
pub(crate) fn size_of(at: NonNull<u8>) -> Option<usize> {
    place_of(at).map(|(_, size, _)| size)
}

/// Wipes a block and gives it back; false, with nothing done, where it is not in the region.
///
/// # Safety
/// `at` is not from [`take`], or it is and nobody uses the block any more.
pub(crate) unsafe fn give_back(at: NonNull<u8>) -> bool {
    let Some((chunk, size, block)) = place_of(at) else {
        return false;
    };
    // SAFETY: by the contract; the block has `size` bytes.
    unsafe { libc::explicit_bzero(at.as_ptr().cast(), size) };
    if let Some(word) = TABLE.get(chunk).and_then(|entry| entry.taken.get(block / 64)) {
        word.fetch_and(!(1 << (block % 64)), Ordering::Release);
    }
    if let Some(hint) = HINTS.get((size / SMALLEST).ilog2() as usize) {
        hint.store(chunk, Ordering::Relaxed);
    }
    true
}

/// Chunk, block size and number of the block at an address of the region.
fn place_of(at: NonNull<u8>) -> Option<(usize, usize, usize)> {
    let start = REGION_START.load(Ordering::Acquire);
    let offset = at.as_ptr().addr().checked_sub(start.addr()).filter(|o| !start.is_null() && *o < REGION)?;
    let chunk = offset / CHUNK;
    let index = TABLE.get(chunk)?.size.load(Ordering::Acquire).checked_sub(1)?;
    let size = SMALLEST << index;
    Some((chunk, size, offset % CHUNK / size))
}

/// The region, reserved by whoever comes first.
fn region() -> Option<NonNull<u8>> {
    if let Some(start) = NonNull::new(REGION_START.load(Ordering::Acquire)) {
        return Some(start);
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping that replaces nothing.
    let fresh = unsafe { libc::mmap(null_mut(), REGION, libc::PROT_NONE, flags, -1, 0) };
    if fresh == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: advice on the mapping just made.
    unsafe { libc::madvise(fresh, REGION, libc::MADV_DONTDUMP) };
    match REGION_START.compare_exchange(null_mut(), fresh.cast(), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => NonNull::new(fresh.cast()),
        Err(other) => {
            // SAFETY: another thread was faster; nobody knows this mapping.
            unsafe { libc::munmap(fresh, REGION) };
            NonNull::new(other)
        }
    }
}

/// Children inherit the mapping and its exclusion from dumps, but not the lock into RAM.
fn lock_again_after_fork(start: NonNull<u8>) {
    let now = epoch();
    if LOCKED_IN.load(Ordering::Relaxed) != now {
        LOCKED_IN.store(now, Ordering::Relaxed);
        let locked = LOCKED.load(Ordering::Relaxed);
        // SAFETY: the range lies within the region. What fails stays unlocked, as at any time.
        unsafe { libc::mlock(start.as_ptr().cast(), locked) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn bytes<'a>(at: NonNull<u8>, len: usize) -> &'a mut [u8] {
        // SAFETY: tests pass blocks that they hold, and lengths within them.
        unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), len) }
    }

    #[test]
    fn blocks_are_zeroed_aligned_and_do_not_overlap() {
        let mut held = Vec::new();
        for len in [0, 1, 32, 33, 100, 4096, CHUNK, 64, 64, 64] {
            let at = take(len).unwrap();
            let size = size_of(at).unwrap();
            assert!(size >= len && size.is_power_of_two() && at.as_ptr().addr().is_multiple_of(size));
            assert!(bytes(at, size).iter().all(|b| *b == 0));
            bytes(at, size).fill(u8::try_from(held.len() + 1).unwrap());
            held.push((at, size));
        }
        for (n, (at, size)) in held.iter().enumerate() {
            assert!(bytes(*at, *size).iter().all(|b| usize::from(*b) == n + 1));
            // SAFETY: held by this test and not used afterwards.
            assert!(unsafe { give_back(*at) });
        }
        assert!(take(CHUNK + 1).is_none());
        // SAFETY: an address that is not of the region.
        assert!(!unsafe { give_back(NonNull::dangling()) });
    }

    #[test]
    fn threads_never_get_the_same_block() {
        std::thread::scope(|scope| {
            for number in 1..=8_u8 {
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let held: Vec<_> = (0..4).map(|_| take(48).unwrap()).collect();
                        held.iter().for_each(|at| bytes(*at, 64).fill(number));
                        for at in held {
                            assert!(bytes(at, 64).iter().all(|b| *b == number));
                            // SAFETY: held by this thread and not used afterwards.
                            assert!(unsafe { give_back(at) });
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn the_region_stays_out_of_core_dumps_and_the_front_of_it_in_ram() {
        let at = take(32).unwrap();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut flags = None;
        let mut within = false;
        for line in maps.lines() {
            if let Some((from, to)) = line.split_whitespace().next().and_then(|range| range.split_once('-')) {
                let number = |text| usize::from_str_radix(text, 16);
                if let (Ok(from), Ok(to)) = (number(from), number(to)) {
                    within = (from..to).contains(&at.as_ptr().addr());
                }
            } else if let (true, Some(found)) = (within, line.strip_prefix("VmFlags:")) {
                flags = Some(found.to_owned());
            }
        }
        let flags = flags.unwrap();
        assert!(flags.contains(" dd"), "not kept out of dumps: {flags}");
        if LOCKED.load(Ordering::Relaxed) > 0 {
            assert!(flags.contains(" lo") || place_of(at).unwrap().0 * CHUNK >= MAX_LOCKED, "not locked: {flags}");
        }
        // SAFETY: held by this test and not used afterwards.
        assert!(unsafe { give_back(at) });
    }
}
