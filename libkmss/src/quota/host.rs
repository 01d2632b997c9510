//! The ledger of one host: what is blocked, throttled and budgeted, and the rates that policies ask for, over all its
//! processes.

use std::sync::Arc;

use super::held::Held;
use super::meter::Meters;
use super::rule::{Kind, Quota};
use super::{Block, Book, CountedKey, Demand, Limit, QuotaLedger, Refusal, Reservation};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::permit::Subject;
use crate::rates::{RateName, Rates};

/// Keeps rates in shared memory, and everything else in the book. What nothing limits costs nothing.
#[derive(Debug)]
pub struct HostLedger {
    rates: Arc<Rates>,
    book: Arc<Book>,
    meters: Arc<Meters>,
}

impl HostLedger {
    /// A ledger that counts in `rates` what `book` and policies limit.
    #[must_use]
    pub fn new(rates: Arc<Rates>, book: Arc<Book>, clock: Arc<dyn Clock>) -> Self {
        let meters = Arc::new(book.meters(clock));
        Self { rates, book, meters }
    }

    /// Takes everything that `demand` needs.
    fn take(&self, demand: &Demand<'_>, held: &mut Held) -> Result<(), Refusal> {
        if !demand.again {
            let set = self.book.current()?;
            set.holding(demand).try_for_each(|block| Self::take_throttle(block, demand, held))?;
            set.quotas().iter().try_for_each(|quota| Self::take_quota(quota, demand, held))?;
            demand.counted.iter().try_for_each(|key| Self::take_key(key, demand, held))?;
        }
        Ok(Self::take_limits(demand, held)?)
    }

    /// Takes what the policies' rates ask for.
    fn take_limits(demand: &Demand<'_>, held: &mut Held) -> Result<()> {
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
            if !held.count(RateName(&name), limit.seconds, limit.count, demand.time)? {
                let why = format!(
                    "rule {} allows {} {} times in {} s, and they are used up: try again later",
                    limit.rule, demand.caller.principal.name, limit.count, limit.seconds
                );
                return Err(Error::new(ErrorKind::QuotaExceeded, why));
            }
        }
        Ok(())
    }

    /// Takes one of what a throttle lets through.
    fn take_throttle(block: &Block, demand: &Demand<'_>, held: &mut Held) -> Result<(), Refusal> {
        let Some(rate) = block.per_second else { return Ok(()) };
        let name = [b"throttle".as_slice(), &block.id.0.to_be_bytes()];
        if held.count(RateName(&name), 1, rate, demand.time)? {
            return Ok(());
        }
        let why = format!("{rate} operations a second are let through: {}", block.refusal());
        Err(refused(block, ErrorKind::QuotaExceeded, why))
    }

    /// Takes of every budget of `quota` that is for `demand`.
    fn take_quota(quota: &Arc<Quota>, demand: &Demand<'_>, held: &mut Held) -> Result<(), Refusal> {
        for instance in quota.instances(demand) {
            if let Some(bucket) = quota.limits.bucket() {
                held.draw(quota, &instance, bucket, demand.time)?;
            }
            for kind in Kind::ALL {
                let Some(limit) = quota.limits.of(kind) else { continue };
                let n = if kind.is_of_bytes() { demand.bytes.unwrap_or(0) } else { 1 };
                held.take(quota, &instance, (kind, limit), n, demand.time)?;
            }
        }
        Ok(())
    }
}

impl HostLedger {
    /// Counts a use of a key that is rotated after so many.
    fn take_key(key: &CountedKey<'_>, demand: &Demand<'_>, held: &mut Held) -> Result<(), Refusal> {
        if let Some(limit) = key.rule.uses {
            held.take_of_key(key, (Kind::Total, limit), 1, demand.time)?;
        }
        match key.rule.bytes {
            Some(limit) => held.take_of_key(key, (Kind::BytesTotal, limit), demand.bytes.unwrap_or(0), demand.time),
            None => Ok(()),
        }
    }
}

impl QuotaLedger for HostLedger {
    fn is_silent(&self, caller: &Caller, generation: u64) -> bool {
        if caller.is_unrestricted(generation) {
            return true;
        }
        // What cannot be read is found out, and refused, by whoever asks next.
        let silent = self.book.current().is_ok_and(|set| !set.concerns(caller));
        if silent {
            caller.found_unrestricted(generation);
        }
        silent
    }

    fn admit(&self, demand: &Demand<'_>) -> Result<(), Refusal> {
        let set = self.book.current()?;
        match set.holding(demand).find(|block| block.per_second.is_none()) {
            Some(block) => Err(refused(block, ErrorKind::Blocked, block.refusal())),
            None => Ok(()),
        }
    }

    fn reserve(&self, demand: &Demand<'_>) -> Result<Option<Box<dyn Reservation>>, Refusal> {
        let mut held = Held::new(&self.rates, &self.meters);
        match self.take(demand, &mut held) {
            Ok(()) => Ok(if held.is_empty() { None } else { Some(Box::new(held)) }),
            Err(refusal) => Err(Refusal { notices: held.notices(), ..refusal }),
        }
    }

    fn close(&self) {
        self.meters.close();
    }
}

impl Drop for HostLedger {
    fn drop(&mut self) {
        self.meters.close();
    }
}

fn refused(block: &Block, kind: ErrorKind, why: String) -> Refusal {
    let rule = Some(format!("block:{}", block.id).into());
    Refusal { rule, error: Error::new(kind, why), notices: Vec::new() }
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
