//! Fields of a request: docs/policy-abi.md, section 2.

use super::data::REQUEST;
use super::emit::{Body, Expr, Label, Local, int};

pub(super) const ACTION: u32 = REQUEST + 8;
pub(super) const MECHANISM: u32 = REQUEST + 12;
pub(super) const TIME: u32 = REQUEST + 16;
pub(super) const LAST_SECOND: u32 = REQUEST + 32;
pub(super) const LAST_MINUTE: u32 = REQUEST + 36;
pub(super) const DATA_LENGTH: u32 = REQUEST + 40;
pub(super) const FLAGS: u32 = REQUEST + 48;
pub(super) const UID: u32 = REQUEST + 52;
pub(super) const KEY_TYPE: u32 = REQUEST + 60;
pub(super) const KEY_BITS: u32 = REQUEST + 64;
pub(super) const VERSION_AGE: u32 = REQUEST + 80;
pub(super) const PRINCIPAL: u32 = REQUEST + 96;
pub(super) const ROLES: u32 = REQUEST + 104;
pub(super) const LABEL: u32 = REQUEST + 120;
pub(super) const TAGS: u32 = REQUEST + 136;
pub(super) const PROCESS: u32 = REQUEST + 144;
pub(super) const SOURCE: u32 = REQUEST + 152;
pub(super) const CONTEXT: u32 = REQUEST + 168;

/// The flag that says that there is a key.
pub(super) const HAS_KEY: u32 = 8;

/// A word of the request.
pub(super) fn word(at: u32) -> Expr {
    int(at).word(0)
}

/// The address that a text, list or map at `at` begins at.
pub(super) fn address(at: u32) -> Expr {
    word(at).add(int(REQUEST))
}

/// Runs `inner` for the entries of a list or map of the request, until it leaves.
pub(super) fn each(body: &mut Body, list: u32, size: u32, inner: impl FnOnce(&mut Body, Local, Label)) {
    let at = body.int(address(list));
    let end = body.int(at.get().add(word(list + 4).mul(int(size))));
    body.block(|body, done| {
        body.as_long_as(at.get().lt(end.get()), |body| {
            inner(body, at, done);
            body.set(at, at.get().add(int(size)));
        });
    });
}
