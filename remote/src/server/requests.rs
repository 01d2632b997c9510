//! Requests that were seen before: a call that comes again gets the answer that it got, and is not done again.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libkmss::error::{Error, ErrorKind, Result};
use prost::Message;
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Longest answer that is kept, in bytes; a call with a longer one is done again.
const LONGEST: usize = 64 << 10;

/// Names a request: whose it is, and its id.
type Name = (Arc<str>, [u8; 16]);

/// What is known of a request.
#[derive(Clone)]
enum State {
    /// It is being done.
    Running(watch::Receiver<bool>),
    /// Its answer, or what went wrong.
    Done(Arc<Outcome>),
}

enum Outcome {
    Answer(Zeroizing<Vec<u8>>),
    Failure { kind: ErrorKind, message: String, rule: String },
}

struct Seen {
    since: Instant,
    digest: u64,
    state: State,
}

#[derive(Default)]
struct Table {
    seen: HashMap<Name, Seen>,
    /// The oldest first.
    order: VecDeque<(Instant, Name)>,
}

/// The memory of requests.
pub(super) struct Requests {
    window: Duration,
    most: usize,
    hasher: RandomState,
    table: Mutex<Table>,
}

/// What is to be done with a request.
enum Found {
    /// It is new: whoever does it tells the others by this.
    New(watch::Sender<bool>),
    Known(State),
}

impl Requests {
    pub(super) fn new(window: Duration, most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { window, most, hasher: RandomState::new(), table: Mutex::default() }
    }

    /// Does `work`, unless it was done for `principal` under this id before.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where the id was that of another request; those of `work`.
    pub(super) async fn once<T: Message + Default, F: Future<Output = Result<T>>>(
        &self,
        principal: &str,
        id: [u8; 16],
        method: &str,
        request: &[u8],
        work: impl FnOnce() -> F,
    ) -> Result<T> {
        let name: Name = (principal.into(), id);
        let digest = self.hasher.hash_one((method, request));
        let mut work = Some(work);
        loop {
            match self.look(&name, digest)? {
                Found::New(done) => {
                    let unfinished = Unfinished { requests: self, name: &name, done };
                    let Some(work) = work.take() else {
                        return Err(Error::new(ErrorKind::Internal, "a request was to be done twice"));
                    };
                    let answer = work().await;
                    unfinished.finish(&answer);
                    return answer;
                }
                Found::Known(State::Done(outcome)) => return outcome.again(),
                Found::Known(State::Running(mut done)) => {
                    // Whoever did it has gone where this fails: the next round finds out.
                    let _ = done.wait_for(|done| *done).await;
                }
            }
        }
    }

    fn look(&self, name: &Name, digest: u64) -> Result<Found> {
        let mut table = self.locked();
        self.forget_old(&mut table);
        if let Some(seen) = table.seen.get(name) {
            if seen.digest != digest {
                return Err(Error::new(ErrorKind::Arguments, "the request id was that of another request"));
            }
            return Ok(Found::Known(seen.state.clone()));
        }
        let (sender, receiver) = watch::channel(false);
        let since = Instant::now();
        table.seen.insert(name.clone(), Seen { since, digest, state: State::Running(receiver) });
        table.order.push_back((since, name.clone()));
        Ok(Found::New(sender))
    }

    /// Forgets what is older than the window, and the oldest where there are too many.
    fn forget_old(&self, table: &mut Table) {
        let now = Instant::now();
        while let Some((since, _)) = table.order.front() {
            let old = now.saturating_duration_since(*since) > self.window;
            if !old && table.order.len() < self.most {
                break;
            }
            let Some((since, name)) = table.order.pop_front() else { break };
            // One of the same name may have been given up and done again since.
            if table.seen.get(&name).is_some_and(|seen| seen.since == since) {
                table.seen.remove(&name);
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being done; where it is given up, it may be done again.
struct Unfinished<'a> {
    requests: &'a Requests,
    name: &'a Name,
    done: watch::Sender<bool>,
}

impl Unfinished<'_> {
    fn finish<T: Message>(self, answer: &Result<T>) {
        let outcome = match answer {
            Ok(answer) if answer.encoded_len() > LONGEST => return,
            Ok(answer) => Outcome::Answer(Zeroizing::new(answer.encode_to_vec())),
            // Nothing was done, or it is not known: the next one tries.
            Err(e) if e.kind().is_transient() || !is_lasting(e.kind()) => return,
            Err(e) => Outcome::Failure {
                kind: e.kind(),
                message: e.message().to_owned(),
                rule: e.rule().unwrap_or_default().to_owned(),
            },
        };
        if let Some(seen) = self.requests.locked().seen.get_mut(self.name) {
            seen.state = State::Done(Arc::new(outcome));
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut table = self.requests.locked();
        if table.seen.get(self.name).is_some_and(|seen| matches!(seen.state, State::Running(_))) {
            table.seen.remove(self.name);
        }
        drop(table);
        let _ = self.done.send(true);
    }
}

/// Whether the same call would fail alike.
fn is_lasting(kind: ErrorKind) -> bool {
    use libkmss::error::ErrorClass;
    matches!(kind.class(), ErrorClass::Request | ErrorClass::Authority | ErrorClass::Existence)
}

impl Outcome {
    fn again<T: Message + Default>(&self) -> Result<T> {
        match self {
            Self::Answer(bytes) => T::decode(bytes.as_slice())
                .map_err(|e| Error::new(ErrorKind::Internal, "an answer cannot be given again").with_source(e)),
            Self::Failure { kind, message, rule } => {
                let error = Error::new(*kind, message.clone());
                Err(if rule.is_empty() { error } else { error.with_rule(rule.as_str()) })
            }
        }
    }
}
