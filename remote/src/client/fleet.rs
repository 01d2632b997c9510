//! The addresses of one server, or of several that share a store: which one a call goes to, and when it goes to another.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::config::{RemoteConfig, Routing};
use libkmss::error::{Error, ErrorClass, ErrorKind, Result};
use libkmss::os::{Hooks, Lock, Rank};
use tonic::Status;

use super::address::{Address, Names};
use super::channel::Channel;
use super::connection::{Place, Trouble};
use super::health::{Health, Severity};
use super::line::{Line, MOMENT, breath};
use super::pool::Pool;
use super::tls::{TlsFiles, TlsSource};
use crate::status;

/// Making keys may take this many times the deadline of a use: an RSA pair takes seconds.
const MAKING: u32 = 15;

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The deadline of the configuration.
    Use,
    /// More, for what makes keys.
    Making,
}

/// The addresses of a server.
pub(super) struct Fleet {
    name: String,
    members: Vec<Member>,
    routing: Routing,
    deadline: Duration,
    clock: Arc<dyn Clock>,
    /// Counts calls, to choose by.
    turn: AtomicU64,
    /// Those who wait because all addresses have too much to do.
    line: Line,
    /// Forgets in a child what the parent's threads were doing.
    _forks: Lock<Vec<Arc<Health>>>,
}

/// A call under way at an address: no longer where it panics.
struct Begun<'a>(&'a Health);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.given_up();
    }
}

struct Member {
    pool: Pool,
    health: Arc<Health>,
}

impl Fleet {
    /// What `config` names. Nothing is connected, resolved or read yet.
    pub(super) fn new(config: &RemoteConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let files =
            TlsFiles { ca: config.ca.clone(), certificate: config.certificate.clone(), key: config.key.clone() };
        let tls = Arc::new(TlsSource::new(files));
        let addresses = config.uris.iter().map(|uri| Address::parse(uri)).collect::<Result<Vec<_>>>()?;
        if addresses.is_empty() {
            let why = format!("the server `{}` has no address: write `uris = [\"unix:/path\"]`", config.name);
            return Err(Error::new(ErrorKind::Config, why));
        }
        let members: Vec<Member> = addresses
            .into_iter()
            .map(|address| {
                let (names, tls, clock) = (Names::new(), Arc::clone(&tls), Arc::clone(&clock));
                let pool = Pool::new(Place { address, names, tls, clock }, config.connections);
                Member { pool, health: Arc::default() }
            })
            .collect();
        let healths = members.iter().map(|member| Arc::clone(&member.health)).collect();
        let child = |healths: &mut Vec<Arc<Health>>| healths.iter().for_each(|health| health.settle_in_child());
        Ok(Self {
            name: config.name.clone(),
            members,
            routing: config.routing,
            deadline: Duration::from_millis(config.deadline_ms.into()),
            line: Line::new(Arc::clone(&clock)),
            clock,
            turn: AtomicU64::new(0),
            _forks: Lock::with_hooks(Rank::Cache, healths, Hooks { child, ..Hooks::default() }),
        })
    }

    /// Makes a call. It goes to another address, or to the same once more, where there was no answer: it carries a request
    /// id, or may simply be done twice.
    ///
    /// # Errors
    /// What the server answered; [`ErrorKind::BackendUnavailable`] with the last cause where none did by the deadline, and at
    /// once where all addresses have been silent for longer than one.
    pub(super) fn call<T, F>(&self, patience: Patience, ask: impl Fn(Channel, Duration) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<tonic::Response<T>, Status>>,
    {
        let deadline = match patience {
            Patience::Use => self.deadline,
            Patience::Making => self.deadline.saturating_mul(MAKING),
        };
        let began = self.clock.monotonic();
        let until = began.saturating_add(deadline);
        let (mut tried, mut silent, mut rounds, mut place) = (0, false, 0_u32, None);
        let mut last: Option<(usize, Trouble)> = None;
        if !self.line.is_empty() {
            self.line.wait(&mut place, began.saturating_add(MOMENT).min(until));
        }
        loop {
            let now = self.clock.monotonic();
            if now >= until {
                return Err(self.failure(last));
            }
            let Some(at) = self.choose(tried, now) else {
                // Everybody was asked in this round: after a while there is another.
                let all_answered = !std::mem::take(&mut silent);
                match &last {
                    Some((_, Trouble::Refused(status))) if all_answered && is_busy(status) => {
                        self.line.wait(&mut place, until);
                    }
                    // Everybody answered, and nobody can.
                    Some((_, Trouble::Refused(status))) if all_answered => return Err(status::error(status)),
                    _ if self.is_gone(now) => return Err(self.failure(last)),
                    _ => {
                        let breath = breath(rounds, self.turn.fetch_add(1, Ordering::Relaxed));
                        std::thread::sleep(breath.min(until.saturating_sub(now)));
                        rounds = rounds.saturating_add(1);
                    }
                }
                tried = 0;
                continue;
            };
            tried |= bit(at);
            let result = self.attempt(at, tried, (now, until), &ask);
            if !matches!(&result, Err(Trouble::Refused(status)) if is_busy(status)) {
                self.line.pass();
            }
            match result {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Refused(status)) if !is_elsewhere(&status) => return Err(status::error(&status)),
                Err(trouble) => {
                    silent |= !matches!(trouble, Trouble::Refused(_));
                    last = Some((at, trouble));
                }
            }
        }
    }

    fn attempt<T, F>(
        &self,
        at: usize,
        tried: u64,
        (now, until): (Duration, Duration),
        ask: &impl Fn(Channel, Duration) -> F,
    ) -> std::result::Result<T, Trouble>
    where
        F: Future<Output = std::result::Result<tonic::Response<T>, Status>>,
    {
        let Some(Member { pool, health }) = self.members.get(at) else {
            return Err(Trouble::unreachable("there is no such address"));
        };
        // Where somebody else could answer, one that keeps silent gets half of the time; one that did before, less.
        let others = self.members.iter().enumerate().any(|(other, m)| tried & bit(other) == 0 && m.health.is_well());
        let share = until.saturating_sub(now) / if health.is_well() { 2 } else { 8 };
        let end = if others { now.saturating_add(share) } else { until };
        let left = end.saturating_sub(now);
        health.begin();
        let begun = Begun(health);
        let result = pool.call((end, &Cell::new(end)), |channel| ask(channel, left));
        std::mem::forget(begun);
        let after = self.clock.monotonic();
        match &result {
            Ok(_) | Err(Trouble::Refused(_)) => {
                if health.answered(after.saturating_sub(now)) {
                    tracing::info!(server = %self.name, address = %pool.place().address, "the server answers again");
                }
            }
            Err(trouble) => {
                let severity = match trouble {
                    Trouble::Broken { again: true, .. } | Trouble::Unreachable { again: true, .. } => Severity::Known,
                    Trouble::Late { silent: true } => Severity::Silence,
                    _ => Severity::Once,
                };
                if health.troubled(now, after, severity) {
                    tracing::warn!(server = %self.name, address = %pool.place().address, %trouble, "the server is left alone for a while");
                }
            }
        }
        result
    }

    /// The address for the next attempt: none that was `tried`, and none that is left alone.
    fn choose(&self, tried: u64, now: Duration) -> Option<usize> {
        let fresh = || self.members.iter().enumerate().filter(move |(at, _)| tried & bit(*at) == 0);
        if self.routing == Routing::Balanced && self.members.len() > 1 {
            // Now and then one that is left alone is asked whether it is back.
            if let Some((at, _)) = fresh().find(|(_, m)| !m.health.is_well() && m.health.admits(now)) {
                return Some(at);
            }
            // Of two that nothing is held against, taken in turns, the one with less to do.
            let well: Vec<(usize, &Member)> = fresh().filter(|(_, m)| m.health.is_well()).collect();
            let turn = usize::try_from(self.turn.fetch_add(1, Ordering::Relaxed)).unwrap_or_default();
            let step = 1 + (turn / well.len().max(1)) % well.len().saturating_sub(1).max(1);
            let of = |place: usize| well.get(place % well.len().max(1)).copied();
            if let (Some(one), Some(other)) = (of(turn), of(turn.wrapping_add(step))) {
                return Some(if other.1.health.load() < one.1.health.load() { other.0 } else { one.0 });
            }
        }
        fresh().find(|(_, member)| member.health.admits(now)).map(|(at, _)| at)
    }

    /// Whether nobody has answered for longer than a call may take, so that waiting is of no use.
    fn is_gone(&self, now: Duration) -> bool {
        self.members.iter().all(|m| m.health.in_trouble(now).is_some_and(|since| since > self.deadline))
    }

    fn failure(&self, last: Option<(usize, Trouble)>) -> Error {
        let why = match last {
            Some((at, trouble)) => {
                let address = self.members.get(at).map(|m| m.pool.place().address.to_string()).unwrap_or_default();
                format!("the server `{}` at {address} does not serve: {trouble}", self.name)
            }
            None => format!("the server `{}` has not answered for a while", self.name),
        };
        Error::new(ErrorKind::BackendUnavailable, why)
    }
}

/// Whether another address may do better: the server is in trouble itself, or has too much to do.
fn is_elsewhere(status: &Status) -> bool {
    let kind = status::error(status).kind();
    kind == ErrorKind::Busy
        || (kind.class() == ErrorClass::Environment && !matches!(kind, ErrorKind::Damaged | ErrorKind::ReadOnly))
}

/// Whether the server will do it a moment later.
fn is_busy(status: &Status) -> bool {
    status::error(status).kind() == ErrorKind::Busy
}

/// Addresses beyond the 64th count as one.
const fn bit(at: usize) -> u64 {
    1 << if at < 63 { at } else { 63 }
}
