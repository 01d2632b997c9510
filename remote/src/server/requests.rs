//! Requests that were seen before: a call that comes again gets the answer that it got, and is not done again.

use std::collections::hash_map::Entry;
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
pub(super) const LONGEST: usize = 64 << 10;
/// Most bytes of answers that are kept together.
const MOST_BYTES: usize = 64 << 20;

/// Names a request: whose it is, and its id.
type Name = (Arc<str>, [u8; 16]);

/// What is known of a request.
enum State {
    /// It is being done. Whoever waits for that holds the other end: it hears when this one goes.
    Running(Option<watch::Sender<()>>),
    /// Its answer, or what went wrong.
    Done(Arc<Outcome>),
}

enum Outcome {
    Answer(Zeroizing<Vec<u8>>),
    Failure { kind: ErrorKind, message: String, rule: String },
}

struct Seen {
    digest: u64,
    state: State,
    /// Bytes of the answer.
    size: usize,
}

#[derive(Default)]
struct Table {
    seen: HashMap<Name, Seen>,
    /// Of each peer: whoever sends many must not have those of others forgotten.
    peers: HashMap<Arc<str>, Peer>,
    /// Those that are done, of all peers. What is being done is not forgotten: it would be done twice.
    len: usize,
    /// Bytes of all answers.
    bytes: usize,
}

/// What is remembered for one peer.
#[derive(Default)]
struct Peer {
    /// Those that are done, the oldest first: since when, on the monotonic clock, and which.
    order: VecDeque<(Duration, [u8; 16])>,
    bytes: usize,
}

impl Peer {
    /// What it takes of the whole: answers of a kilobyte count as one more entry.
    fn weight(&self) -> usize {
        self.order.len().saturating_add(self.bytes >> 10)
    }
}

impl Table {
    /// Forgets the oldest request of a peer that is done.
    fn remove_oldest(&mut self, peer: &Arc<str>) {
        let Some(of) = self.peers.get_mut(peer) else { return };
        if let Some((_, id)) = of.order.pop_front() {
            self.len = self.len.saturating_sub(1);
            let size = self.seen.remove(&(Arc::clone(peer), id)).map_or(0, |seen| seen.size);
            self.bytes = self.bytes.saturating_sub(size);
            of.bytes = of.bytes.saturating_sub(size);
        }
        if of.order.is_empty() {
            self.peers.remove(peer);
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
    /// It is new.
    New,
    /// Somebody does it, until this is closed.
    Running(watch::Receiver<()>),
    Done(Arc<Outcome>),
}

impl Requests {
    pub(super) fn new(window: Duration, most: u32, clock: Arc<dyn Clock>) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { clock, window, most, hasher: RandomState::new(), table: Mutex::default() }
    }

    /// Does `work` with `call`, which is over at once, unless that was done for `principal` under this id before. Where somebody
    /// does it just now, `call` is given back.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where the id was that of another request; those of `work`.
    pub(super) fn at_once<T: Message + Default, C>(
        self: &Arc<Self>,
        (principal, id): (&Arc<str>, [u8; 16]),
        (method, request): (&str, &[u8]),
        call: C,
        work: impl FnOnce(C) -> Result<T>,
    ) -> std::result::Result<Result<T>, C> {
        let name: Name = (Arc::clone(principal), id);
        match self.look(&name, self.hasher.hash_one((method, request))) {
            Ok(Found::New) => {
                let unfinished = Unfinished { requests: Arc::clone(self), name, finished: false };
                let answer = work(call);
                unfinished.finish(&answer);
                Ok(answer)
            }
            Ok(Found::Running(_)) => Err(call),
            Ok(Found::Done(outcome)) => Ok(outcome.again()),
            Err(e) => Ok(Err(e)),
        }
    }

    /// Does `work`, unless it was done for `principal` under this id before. It goes on where its caller is gone; whoever waits
    /// for it never does.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where the id was that of another request; those of `work`.
    pub(super) async fn once<T, F>(
        self: &Arc<Self>,
        (principal, id): (&Arc<str>, [u8; 16]),
        (method, request): (&str, &[u8]),
        work: impl FnOnce() -> F,
    ) -> Result<T>
    where
        T: Message + Default + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let name: Name = (Arc::clone(principal), id);
        let digest = self.hasher.hash_one((method, request));
        let mut work = Some(work);
        loop {
            match self.look(&name, digest)? {
                Found::New => {
                    let unfinished = Unfinished { requests: Arc::clone(self), name, finished: false };
                    let Some(work) = work.take() else {
                        return Err(Error::new(ErrorKind::Internal, "a request was to be done twice"));
                    };
                    let work = work();
                    let doing = async move {
                        let answer = work.await;
                        unfinished.finish(&answer);
                        answer
                    };
                    let broken = || Error::new(ErrorKind::Internal, "the call broke off: this is a bug of the server");
                    return tokio::spawn(doing).await.unwrap_or_else(|_| Err(broken()));
                }
                Found::Done(outcome) => return outcome.again(),
                // What became of it the next round finds out.
                Found::Running(mut done) => while done.changed().await.is_ok() {},
            }
        }
    }

    fn look(&self, name: &Name, digest: u64) -> Result<Found> {
        let mut table = self.locked();
        self.forget_old(&mut table, &name.0);
        match table.seen.entry(name.clone()) {
            Entry::Occupied(mut known) => {
                let seen = known.get_mut();
                if seen.digest != digest {
                    return Err(Error::new(ErrorKind::Arguments, "the request id was that of another request"));
                }
                Ok(match &mut seen.state {
                    State::Running(done) => {
                        Found::Running(done.get_or_insert_with(|| watch::channel(()).0).subscribe())
                    }
                    State::Done(outcome) => Found::Done(Arc::clone(outcome)),
                })
            }
            Entry::Vacant(new) => {
                new.insert(Seen { digest, state: State::Running(None), size: 0 });
                Ok(Found::New)
            }
        }
    }

    /// Forgets what of this peer is older than the window.
    fn forget_old(&self, table: &mut Table, peer: &Arc<str>) {
        while table.peers.get(peer).and_then(|of| of.order.front()).is_some_and(|(since, ..)| self.is_old(*since)) {
            table.remove_oldest(peer);
        }
    }

    /// Forgets what is older than the window, of whomever: answers hold what was decrypted and released.
    pub(super) fn forget(&self) {
        let peers: Vec<Arc<str>> = self.locked().peers.keys().cloned().collect();
        // Nobody waits for more than one peer's.
        peers.iter().for_each(|peer| self.forget_old(&mut self.locked(), peer));
    }

    /// Where there is too much, forgets the oldest of whoever has most.
    fn make_room(&self, table: &mut Table) {
        while table.len >= self.most.max(1) || table.bytes > MOST_BYTES {
            let Some((peer, of)) = table.peers.iter().max_by_key(|(_, of)| of.weight()) else { break };
            // Several at once: whoever has most is not looked for at each request.
            let (peer, some) = (Arc::clone(peer), (of.order.len() / 8).clamp(1, 1024));
            (0..some).for_each(|_| table.remove_oldest(&peer));
        }
    }

    fn is_old(&self, since: Duration) -> bool {
        self.clock.monotonic().saturating_sub(since) > self.window
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being done; where it is given up, it may be done again.
struct Unfinished {
    requests: Arc<Requests>,
    name: Name,
    finished: bool,
}

impl Unfinished {
    fn finish<T: Message>(mut self, answer: &Result<T>) {
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
        let (requests, now) = (&self.requests, self.requests.clock.monotonic());
        let mut table = requests.locked();
        requests.make_room(&mut table);
        if let Some(seen) = table.seen.get_mut(&self.name) {
            (seen.state, seen.size) = (State::Done(Arc::new(outcome)), size);
            table.len = table.len.saturating_add(1);
            table.bytes = table.bytes.saturating_add(size);
            let peer = table.peers.entry(Arc::clone(&self.name.0)).or_default();
            peer.bytes = peer.bytes.saturating_add(size);
            peer.order.push_back((now, self.name.1));
            self.finished = true;
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut table = self.requests.locked();
        if table.seen.get(&self.name).is_some_and(|seen| matches!(seen.state, State::Running(_))) {
            table.seen.remove(&self.name);
        }
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

    use libkmss::clock::{Moment, SystemClock, Timestamp};

    use super::*;
    use crate::proto::SignResponse;

    /// A clock that goes on where it is told, by seconds.
    #[derive(Default)]
    struct Told(AtomicU32);

    impl Clock for Told {
        fn now(&self) -> Timestamp {
            Timestamp(u64::from(self.0.load(Ordering::Relaxed)) * 1000)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed).into())
        }

        fn rough(&self) -> Moment {
            self.begun()
        }
    }

    fn requests(most: u32) -> Arc<Requests> {
        Arc::new(Requests::new(Duration::from_secs(60), most, Arc::new(SystemClock::default())))
    }

    fn answer(number: u32) -> Result<SignResponse> {
        Ok(SignResponse { signature: vec![1], key_version: number })
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn whoever_asks_while_it_is_done_gets_the_same_answer() {
        let (requests, done) = (requests(100), Arc::new(AtomicU32::new(0)));
        let a: Arc<str> = "a".into();
        let ask = || {
            let done = Arc::clone(&done);
            requests.once((&a, [1; 16]), ("Sign", b"request"), || async move {
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
    fn what_is_over_at_once_is_remembered_like_any_other_and_never_done_beside_it() {
        let (requests, a): (_, Arc<str>) = (requests(100), "a".into());
        let at_once =
            |id: u8, text: &'static [u8], number: u32| requests.at_once((&a, [id; 16]), ("Sign", text), number, answer);
        assert_eq!(at_once(1, b"x", 1).unwrap().unwrap().key_version, 1);
        assert_eq!(at_once(1, b"x", 2).unwrap().unwrap().key_version, 1);
        assert_eq!(at_once(1, b"y", 3).unwrap().map(drop).unwrap_err().kind(), ErrorKind::Arguments);
        run(async {
            let other = requests.once((&a, [2; 16]), ("Sign", b"x"), || async { answer(4) });
            tokio::pin!(other);
            assert!(futures_poll(other.as_mut()).await);
            assert_eq!(at_once(2, b"x", 5).map(drop), Err(5), "it is given back");
            assert_eq!(other.await.unwrap().key_version, 4);
        });
        assert_eq!(at_once(2, b"x", 6).unwrap().unwrap().key_version, 4);
    }

    #[test]
    fn another_principal_and_another_request_are_others() {
        let requests = requests(100);
        let ask = |who: &'static str, text: &'static [u8], number| {
            run(requests.once((&who.into(), [1; 16]), ("Sign", text), || async move { answer(number) }))
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
            run(requests.once((&"a".into(), [id; 16]), ("Sign", b"x"), || async move { outcome }))
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
        let a: Arc<str> = "a".into();
        let ask = |id: u8, number| run(requests.once((&a, [id; 16]), ("Sign", b"x"), || async move { answer(number) }));
        let given_up = async {
            let never = requests.once((&a, [1; 16]), ("Sign", b"x"), std::future::pending::<Result<SignResponse>>);
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

    #[test]
    fn a_peer_with_many_requests_has_its_own_forgotten_and_no_others() {
        let requests = requests(100);
        let ask = |who: &str, id: [u8; 16], number| {
            run(requests.once((&who.into(), id), ("Sign", b"x"), || async move { answer(number) }))
        };
        assert_eq!(ask("modest", [1; 16], 1).unwrap().key_version, 1);
        for number in 0..1000_u32 {
            let mut id = [0; 16];
            id.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
            assert_eq!(ask("greedy", id, 2).unwrap().key_version, 2);
        }
        assert_eq!(ask("modest", [1; 16], 3).unwrap().key_version, 1);
        assert!(requests.locked().len <= 100 && requests.locked().seen.len() <= 100);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_of_whoever_asks_no_more() {
        let clock = Arc::new(SystemClock::default());
        for (window, left) in [(Duration::from_secs(3600), 1), (Duration::ZERO, 0)] {
            let requests = Arc::new(Requests::new(window, 100, Arc::clone(&clock) as _));
            assert!(run(requests.once((&"gone".into(), [1; 16]), ("Decrypt", b"x"), || async { answer(1) })).is_ok());
            std::thread::sleep(Duration::from_millis(2));
            requests.forget();
            let table = requests.locked();
            assert_eq!((table.seen.len(), table.peers.len(), table.len), (left, left, left));
            assert_eq!(table.bytes > 0, left > 0);
        }
    }

    #[test]
    fn what_is_being_done_is_not_forgotten_and_not_done_twice() {
        // Neither because it takes longer than the window, nor because others take all the room.
        let clock = Arc::new(Told::default());
        let later = || clock.0.fetch_add(61, Ordering::Relaxed);
        let requests = Arc::new(Requests::new(Duration::from_secs(60), 1, Arc::clone(&clock) as _));
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let (release, mut released) = watch::channel(false);
        run(async {
            let first = requests.once((&a, [1; 16]), ("RotateKey", b"one"), || async move {
                let _ = released.wait_for(|go| *go).await;
                answer(1)
            });
            tokio::pin!(first);
            assert!(futures_poll(first.as_mut()).await);
            later();
            requests.forget();
            for id in 2..10 {
                assert!(requests.once((&b, [id; 16]), ("Sign", b"x"), || async { answer(9) }).await.is_ok());
            }
            let other = requests.once((&a, [1; 16]), ("RotateKey", b"two"), || async { answer(2) }).await;
            assert_eq!(other.map(drop).unwrap_err().kind(), ErrorKind::Arguments);
            let again = requests.once((&a, [1; 16]), ("RotateKey", b"one"), || async { answer(3) });
            tokio::pin!(again);
            assert!(futures_poll(again.as_mut()).await, "it waits for the first");
            release.send_replace(true);
            let (first, again) = tokio::join!(first, again);
            assert_eq!([first.unwrap().key_version, again.unwrap().key_version], [1, 1]);
        });
        assert_eq!(requests.locked().seen.len(), 1);
        later();
        requests.forget();
        let table = requests.locked();
        assert_eq!((table.seen.len(), table.peers.len(), table.len, table.bytes), (0, 0, 0, 0));
    }

    #[test]
    fn whoever_waits_for_a_request_and_goes_leaves_nothing_behind() {
        let requests = requests(100);
        let a: Arc<str> = "a".into();
        run(async {
            let (release, mut released) = watch::channel(false);
            let first = requests.once((&a, [1; 16]), ("Sign", b"x"), || async move {
                let _ = released.wait_for(|go| *go).await;
                answer(1)
            });
            tokio::pin!(first);
            assert!(futures_poll(first.as_mut()).await);
            let before = Arc::strong_count(&requests);
            for _ in 0..100 {
                let waits = requests.once((&a, [1; 16]), ("Sign", b"x"), || async { answer(2) });
                tokio::pin!(waits);
                assert!(futures_poll(waits.as_mut()).await);
            }
            assert_eq!(Arc::strong_count(&requests), before);
            release.send_replace(true);
            assert_eq!(first.await.unwrap().key_version, 1);
        });
    }

    /// Polls once; whether it waits.
    async fn futures_poll<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }
}
