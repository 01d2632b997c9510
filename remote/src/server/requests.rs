//! Requests that were seen before: a call that comes again gets the answer that it got, and is not done again.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::error::{Error, ErrorKind, Result};
use prost::Message;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// Longest answer that is kept, in bytes; a call with a longer one is done again.
const LONGEST: usize = 64 << 10;
/// Most bytes of answers that are kept together.
const MOST_BYTES: usize = 64 << 20;

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
    /// On the monotonic clock.
    since: Duration,
    digest: u64,
    state: State,
    /// Bytes of the answer.
    size: usize,
}

#[derive(Default)]
struct Table {
    seen: HashMap<Name, Seen>,
    /// The oldest first.
    order: VecDeque<(Duration, Name)>,
    /// Bytes of all answers.
    bytes: usize,
}

impl Table {
    fn remove(&mut self, name: &Name) {
        if let Some(seen) = self.seen.remove(name) {
            self.bytes = self.bytes.saturating_sub(seen.size);
        }
    }
}

/// The memory of requests.
pub(super) struct Requests {
    clock: Arc<dyn Clock>,
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
    pub(super) fn new(window: Duration, most: u32, clock: Arc<dyn Clock>) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { clock, window, most, hasher: RandomState::new(), table: Mutex::default() }
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
        let since = self.clock.monotonic();
        table.seen.insert(name.clone(), Seen { since, digest, state: State::Running(receiver), size: 0 });
        table.order.push_back((since, name.clone()));
        Ok(Found::New(sender))
    }

    /// Forgets what is older than the window, and the oldest where there are too many.
    fn forget_old(&self, table: &mut Table) {
        let now = self.clock.monotonic();
        while let Some((since, _)) = table.order.front() {
            let old = now.saturating_sub(*since) > self.window;
            if !old && table.order.len() < self.most && table.bytes <= MOST_BYTES {
                break;
            }
            let Some((since, name)) = table.order.pop_front() else { break };
            // One of the same name may have been given up and done again since.
            if table.seen.get(&name).is_some_and(|seen| seen.since == since) {
                table.remove(&name);
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
        let size = if let Outcome::Answer(bytes) = &outcome { bytes.len() } else { 0 };
        let mut table = self.requests.locked();
        if let Some(seen) = table.seen.get_mut(self.name) {
            (seen.state, seen.size) = (State::Done(Arc::new(outcome)), size);
            table.bytes = table.bytes.saturating_add(size);
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut table = self.requests.locked();
        if table.seen.get(self.name).is_some_and(|seen| matches!(seen.state, State::Running(_))) {
            table.remove(self.name);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::sync::atomic::{AtomicU32, Ordering};

    use libkmss::clock::SystemClock;

    use super::*;
    use crate::proto::SignResponse;

    fn requests(most: u32) -> Requests {
        Requests::new(Duration::from_secs(60), most, Arc::new(SystemClock::default()))
    }

    fn answer(number: u32) -> Result<SignResponse> {
        Ok(SignResponse { signature: vec![1], key_version: number })
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn whoever_asks_while_it_is_done_gets_the_same_answer() {
        let (requests, done) = (requests(100), AtomicU32::new(0));
        let ask = || {
            requests.once("a", [1; 16], "Sign", b"request", || async {
                let number = done.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                answer(number)
            })
        };
        let (one, two, three) = run(async { tokio::join!(ask(), ask(), ask()) });
        assert!([one, two, three].into_iter().all(|answer| answer.unwrap().key_version == 0));
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn another_principal_and_another_request_are_others() {
        let requests = requests(100);
        let ask = |who: &'static str, text: &'static [u8], number| {
            run(requests.once(who, [1; 16], "Sign", text, || async move { answer(number) }))
        };
        assert_eq!(ask("a", b"x", 1).unwrap().key_version, 1);
        assert_eq!(ask("b", b"x", 2).unwrap().key_version, 2);
        assert_eq!(ask("a", b"y", 3).map(drop).unwrap_err().kind(), ErrorKind::Arguments);
        assert_eq!(ask("a", b"x", 4).unwrap().key_version, 1);
    }

    #[test]
    fn a_refusal_is_remembered_and_a_failure_of_the_server_is_not() {
        let requests = requests(100);
        let ask = |id: u8, outcome: Result<SignResponse>| {
            run(requests.once("a", [id; 16], "Sign", b"x", || async move { outcome }))
        };
        let denied = Error::new(ErrorKind::Denied, "no").with_rule("r");
        assert!(ask(1, Err(denied)).is_err());
        let again = ask(1, answer(1)).map(drop).unwrap_err();
        assert_eq!((again.kind(), again.rule()), (ErrorKind::Denied, Some("r")));
        assert!(ask(2, Err(Error::new(ErrorKind::Busy, "later"))).is_err());
        assert_eq!(ask(2, answer(2)).unwrap().key_version, 2);
    }

    #[test]
    fn what_is_given_up_is_done_again_and_the_oldest_go_first() {
        let requests = requests(2);
        let ask = |id: u8, number| run(requests.once("a", [id; 16], "Sign", b"x", || async move { answer(number) }));
        let given_up = async {
            let never = requests.once("a", [1; 16], "Sign", b"x", std::future::pending::<Result<SignResponse>>);
            tokio::select! {
                _ = never => panic!("it never ends"),
                () = tokio::task::yield_now() => {}
            }
        };
        run(given_up);
        assert_eq!(ask(1, 1).unwrap().key_version, 1);
        assert_eq!(ask(2, 2).unwrap().key_version, 2);
        assert_eq!(ask(3, 3).unwrap().key_version, 3);
        assert_eq!(ask(1, 4).unwrap().key_version, 4);
        assert!(requests.locked().seen.len() <= 2 && requests.locked().bytes <= 64);
    }
}
