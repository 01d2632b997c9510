//! No panic crosses to C.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::failure::Failure;
use crate::status::kmss_status;

/// Runs `body`; a panic becomes `KMSS_INTERNAL`.
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // Dropping a payload may panic again; a few leaked bytes per bug may not.
        std::mem::forget(payload);
        Err(Failure::new(kmss_status::KMSS_INTERNAL, "a bug in KMSS was caught"))
    })
}

/// Runs what frees something: it says nothing of what went wrong.
pub(crate) fn freeing(body: impl FnOnce()) {
    let _ = guarded(|| {
        body();
        Ok(())
    });
}
