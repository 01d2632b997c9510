//! The ledger of one host: the rates that policies ask for, counted over all its processes.

use std::sync::Arc;

use super::{Demand, Limit, QuotaLedger, Reservation};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::permit::Subject;
use crate::rates::{RateName, Rates, Taken};

/// Keeps rates in shared memory. What no policy limits costs nothing.
#[derive(Debug)]
pub struct HostLedger {
    rates: Arc<Rates>,
}

impl HostLedger {
    /// A ledger that counts in `rates`.
    #[must_use]
    pub const fn new(rates: Arc<Rates>) -> Self {
        Self { rates }
    }
}

impl QuotaLedger for HostLedger {
    fn reserve(&self, demand: &Demand<'_>) -> Result<Box<dyn Reservation>> {
        if demand.limits.is_empty() {
            return Ok(Box::new(Unlimited));
        }
        let mut held = Held { rates: Arc::clone(&self.rates), taken: Vec::with_capacity(demand.limits.len()) };
        let mut counted: Vec<(&Limit, &[u8])> = Vec::with_capacity(demand.limits.len());
        for limit in demand.limits {
            let key = demand.subjects.each().nth(limit.place).map_or(&[][..], key_of);
            // The halves of a pair, or a key and what comes from it, share one budget and are one operation.
            let same = |(known, of): &(&Limit, &[u8])| *of == key && known.is_like(limit);
            if counted.iter().any(same) {
                continue;
            }
            counted.push((limit, key));
            let name = [
                b"limit".as_slice(),
                &demand.caller.namespace.id.0,
                limit.rule.as_bytes(),
                &limit.count.to_be_bytes(),
                demand.caller.principal.name.as_bytes(),
                key,
            ];
            let taken = self.rates.take(RateName(&name), limit.seconds, limit.count, demand.time)?;
            held.taken.push(taken.ok_or_else(|| {
                let why = format!(
                    "rule {} allows {} {} times in {} s, and they are used up: try again later",
                    limit.rule, demand.caller.principal.name, limit.count, limit.seconds
                );
                Error::new(ErrorKind::QuotaExceeded, why)
            })?);
        }
        Ok(Box::new(held))
    }
}

/// What a subject is counted under.
fn key_of(subject: &Subject) -> &[u8] {
    match subject {
        Subject::Object(object) => match object.key().map(Key::counted_name) {
            Some(name) if !name.is_empty() => name.as_bytes(),
            _ => &object.id.0,
        },
        Subject::New(new) if new.name.is_empty() => new.origin.as_bytes(),
        Subject::New(new) => new.name.as_bytes(),
        Subject::Namespace => &[],
    }
}

/// Nothing is limited. Takes no memory.
struct Unlimited;

impl Reservation for Unlimited {
    fn settle(self: Box<Self>, _: u64) {}
}

/// What one operation counted. Dropped unsettled, it is given back.
struct Held {
    rates: Arc<Rates>,
    taken: Vec<Taken>,
}

impl Reservation for Held {
    fn settle(mut self: Box<Self>, _: u64) {
        self.taken.clear();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.taken.iter().for_each(|taken| self.rates.give_back(*taken));
    }
}
