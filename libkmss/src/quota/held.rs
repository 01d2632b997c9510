//! What one operation took of all its budgets.

use std::sync::Arc;

use super::meter::{Bounds, Meter, Meters, Took};
use super::rule::{Instance, Kind, Quota};
use super::{CountedKey, Refusal, Reservation};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::os::epoch;
use crate::rates::{Bucket, Draw, Drawn, RateName, Rates, Taken};

/// What one operation took. Dropped unsettled, it is given back.
pub(super) struct Held {
    rates: Arc<Rates>,
    meters: Arc<Meters>,
    counted: Vec<Taken>,
    drawn: Vec<Draw>,
    portions: Vec<Portion>,
    notices: Vec<String>,
    /// A forked child has a copy: the operation is its parent's.
    epoch: u32,
}

/// What it took of one budget that lasts.
struct Portion {
    meter: Arc<Meter>,
    whose: Whose,
    kind: Kind,
    bounds: Bounds,
    /// Everything that was taken.
    booked: u64,
    /// What of it can be put back, because it is of `day`.
    fresh: u64,
    day: u64,
}

/// Whose budget that is.
enum Whose {
    /// A quota's.
    Quota(Arc<Quota>, Instance),
    /// That of a key that is to be rotated.
    Key(String),
}

impl Whose {
    /// The refusal where `limit` is used up, on this day.
    fn refusal(&self, kind: Kind, limit: u64, day: u64) -> Refusal {
        match self {
            Self::Quota(quota, instance) => refused(quota, quota.refusal(instance, kind, limit, day)),
            Self::Key(name) => {
                let unit = if kind.is_of_bytes() { "bytes" } else { "uses" };
                let why = format!(
                    "the key `{name}` has protected all that it may before it is rotated, {limit} {unit}: rotate it \
                     (`kmss key rotate {name}`)"
                );
                let rule = Some(format!("rotation:{name}").into());
                Refusal { rule, error: Error::new(ErrorKind::QuotaExceeded, why), notices: Vec::new() }
            }
        }
    }
}

impl Held {
    pub(super) fn new(rates: &Arc<Rates>, meters: &Arc<Meters>) -> Self {
        let (rates, meters) = (Arc::clone(rates), Arc::clone(meters));
        let (counted, drawn, portions, notices) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { rates, meters, counted, drawn, portions, notices, epoch: epoch() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.counted.is_empty() && self.drawn.is_empty() && self.portions.is_empty()
    }

    /// Counts one more within a window; false where it is full.
    pub(super) fn count(&mut self, name: RateName<'_>, seconds: u32, limit: u32, now: Timestamp) -> Result<bool> {
        let taken = self.rates.take(name, seconds, limit, now)?;
        self.counted.extend(taken);
        Ok(taken.is_some())
    }

    /// Takes one out of a bucket.
    pub(super) fn draw(
        &mut self,
        quota: &Quota,
        instance: &Instance,
        bucket: Bucket,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let place = quota.scope.namespace.map_or([0; 16], |id| id.0);
        let name =
            [b"quota".as_slice(), &place, quota.name.as_bytes(), &quota.serial.to_be_bytes(), instance.name.as_bytes()];
        match self.rates.draw(RateName(&name), bucket, now)? {
            Drawn::Some(draw) => {
                self.drawn.push(draw);
                Ok(())
            }
            Drawn::Empty(wait) => Err(refused(quota, quota.too_fast(instance, bucket, wait))),
        }
    }

    /// Takes `n` of a budget that lasts; of bytes perhaps none yet.
    pub(super) fn take(
        &mut self,
        quota: &Arc<Quota>,
        instance: &Instance,
        (kind, limit): (Kind, u64),
        n: u64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let meter = self.meters.meter(quota, instance, kind)?;
        let whose = Whose::Quota(Arc::clone(quota), instance.clone());
        self.take_of((meter, whose), (kind, Bounds::at_most(limit)), n, now)
    }

    /// Takes `n` of what a key protects before it is rotated; of bytes perhaps none yet.
    pub(super) fn take_of_key(
        &mut self,
        key: &CountedKey<'_>,
        (kind, limit): (Kind, u64),
        n: u64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let meter = self.meters.meter_of_key(key, kind)?;
        let bounds = if key.rule.strict { Bounds::at_most(limit) } else { Bounds::about(limit) };
        self.take_of((meter, Whose::Key(key.name.to_owned())), (kind, bounds), n, now)
    }

    fn take_of(
        &mut self,
        (meter, whose): (Arc<Meter>, Whose),
        (kind, bounds): (Kind, Bounds),
        n: u64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mut portion = Portion { meter, whose, kind, bounds, booked: 0, fresh: 0, day: 0 };
        portion.book(&self.meters, n, now, &mut self.notices)?;
        self.portions.push(portion);
        Ok(())
    }
}

impl Portion {
    /// Takes so much that `total` is booked.
    fn book(&mut self, meters: &Meters, total: u64, now: Timestamp, notices: &mut Vec<String>) -> Result<(), Refusal> {
        let n = total.saturating_sub(self.booked);
        if n == 0 {
            return Ok(());
        }
        match meters.take(&self.meter, n, self.bounds, now)? {
            Took::Some { day, near } => {
                self.fresh = if day == self.day { self.fresh.saturating_add(n) } else { n };
                (self.booked, self.day) = (total, day);
                if let (true, Whose::Quota(quota, _)) = (near, &self.whose) {
                    notices.push(format!("{}{}", super::NEAR, quota.name));
                }
                Ok(())
            }
            Took::None { day } => Err(self.whose.refusal(self.kind, self.bounds.limit, day)),
        }
    }

    /// Puts back what goes beyond `total`.
    fn put_back(&mut self, total: u64) {
        let surplus = self.booked.saturating_sub(total).min(self.fresh);
        (self.booked, self.fresh) = (self.booked - surplus, self.fresh - surplus);
        if surplus > 0 {
            Meters::put_back(&self.meter, surplus, self.day);
        }
    }
}

impl Reservation for Held {
    fn extend(&mut self, bytes: u64, now: Timestamp) -> Result<(), Refusal> {
        if self.epoch != epoch() {
            return Ok(());
        }
        let Self { meters, portions, notices, .. } = self;
        let mut of_bytes = portions.iter_mut().filter(|portion| portion.kind.is_of_bytes());
        of_bytes.try_for_each(|portion| portion.book(meters, bytes, now, notices))
    }

    fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn settle(mut self: Box<Self>, bytes: u64) {
        if self.epoch == epoch() {
            let of_bytes = self.portions.iter_mut().filter(|portion| portion.kind.is_of_bytes());
            of_bytes.for_each(|portion| portion.put_back(bytes));
        }
        self.counted.clear();
        self.drawn.clear();
        self.portions.clear();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.epoch != epoch() {
            return;
        }
        self.counted.iter().for_each(|taken| self.rates.give_back(*taken));
        self.drawn.iter().for_each(|draw| self.rates.put_back(*draw));
        self.portions.iter_mut().for_each(|portion| portion.put_back(0));
    }
}

fn refused(quota: &Quota, why: String) -> Refusal {
    let rule = Some(format!("quota:{}", quota.name).into());
    Refusal { rule, error: Error::new(ErrorKind::QuotaExceeded, why), notices: Vec::new() }
}
