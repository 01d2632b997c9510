//! What the exports of a module call. The one place of this crate that handles addresses.
#![expect(unsafe_code, reason = "the host writes into this module's memory, and knows it by addresses")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::writer::LONGEST;
use crate::{BUFFER, Decision, Request, malformed};

/// Version 1.0 of the interface: `major << 16 | minor`.
pub const ABI: i32 = 1 << 16;

#[repr(C, align(8))]
struct Shared<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: modules of `kmss-policy/1` have one thread (docs/policy-abi.md, "Budgets": threads are not offered).
unsafe impl<const N: usize> Sync for Shared<N> {}

static REQUEST: Shared<BUFFER> = Shared(UnsafeCell::new([0; BUFFER]));
static RESPONSE: Shared<LONGEST> = Shared(UnsafeCell::new([0; LONGEST]));
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Where the host writes requests.
#[must_use]
pub fn buffer() -> i32 {
    REQUEST.0.get() as i32
}

/// Decides on the request that the host wrote.
#[inline(always)]
pub fn decide(length: i32, policy: impl FnOnce(Request<'static>) -> Decision) -> i64 {
    let length = length as u32 as usize;
    if length > BUFFER {
        malformed();
    }
    // SAFETY: the buffer is a static of `BUFFER` bytes, `length` of which the host wrote before this call; it writes no
    // more before the decision is over, and nothing in the module does.
    let bytes = unsafe { core::slice::from_raw_parts(REQUEST.0.get().cast::<u8>(), length) };
    let Some(request) = Request::parse(bytes) else { malformed() };
    policy(request).returned() as i64
}

/// The module's one buffer for responses, once in a decision.
pub(crate) fn response_buffer() -> &'static mut [u8; LONGEST] {
    if TAKEN.swap(true, Ordering::Relaxed) {
        malformed();
    }
    // SAFETY: the mark above lets only the first caller come here, and the host puts mark and memory back together after
    // the decision; nothing else names the buffer.
    unsafe { &mut *RESPONSE.0.get() }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    malformed()
}
