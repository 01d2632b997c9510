//! The ledger of homes that configure no quotas.

use super::{QuotaLedger, Reservation};
use crate::caller::Caller;
use crate::error::Result;
use crate::key::Action;
use crate::permit::Subject;

/// Grants everything and books nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmetered;

impl QuotaLedger for Unmetered {
    fn reserve(&self, _: &Caller, _: Action, _: &Subject, _: Option<u64>) -> Result<Box<dyn Reservation>> {
        Ok(Box::new(Self))
    }
}

impl Reservation for Unmetered {
    fn settle(self: Box<Self>, _: u64) {}
}
