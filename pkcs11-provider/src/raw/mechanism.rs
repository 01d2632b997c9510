//! Placeholder until the mechanisms are merged.

use cryptoki_sys::*;
use libkmss::backend::Verb;
use libkmss::key::Key;
use libkmss::operation::Chosen;

use crate::rv::{Result, Rv};

pub(crate) fn parse(_mechanism: &CK_MECHANISM, _verb: Verb, _key: Option<&Key>) -> Result<Chosen> {
    Err(Rv(CKR_MECHANISM_INVALID))
}
