//! Calls of a device on threads of a runner: so many at a time, and none that anybody waits for without end.
//!
//! A call that hangs is given up: its caller hears so, its thread is counted, and the device is left alone. It is tried again
//! by one call at a time, and used again when one of them, or one that was given up, comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::runner::{Effort, Progress, Runner, runner};
use super::standing::Patience;
use super::{Device, Failure, Lent, Trouble};
use crate::error::{Error, ErrorKind, Result};

/// Longest time for which a device that hangs is left alone; at first it is as long as its deadline.
const LONGEST: Duration = Duration::from_secs(10);
/// How long who waits for a thread sleeps at first, and at most.
const NAPS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(2)];

/// The calls that are under way.
#[derive(Default)]
pub(super) struct Gate {
    /// Threads in use, those that nobody waits for included.
    running: u32,
    /// Threads that nobody waits for any more.
    hanging: u32,
    stall: Option<Stall>,
    /// A call tries whether the device answers again.
    trying: bool,
}

/// A device that has hung.
struct Stall {
    until: Duration,
    pause: Duration,
    why: String,
}

/// A thread of the device's.
struct Place {
    progress: Arc<Progress>,
    /// Changed and read under the gate's lock alone.
    given_up: AtomicBool,
    /// Whether it tries a device that has hung.
    tries: bool,
}

/// What becomes of whoever wants a thread.
enum Admitted {
    Goes { tries: bool },
    Waits,
}

impl Device {
    /// Has `f` run on a thread of `runner`, and waits as long as may be.
    pub(super) fn call_there<R: Send + 'static>(
        self: &Arc<Self>,
        runner: &dyn Runner,
        (patience, effort): (Patience, Effort),
        f: impl FnMut(&Lent) -> Result<R, Trouble> + Send + 'static,
    ) -> Result<R, Failure> {
        let Some(tries) = self.admit(patience.longest).map_err(Failure::Refused)? else { return Err(Failure::Busy) };
        let progress = Arc::new(Progress::new(patience.within, effort));
        let place = Arc::new(Place { progress, given_up: AtomicBool::new(false), tries });
        let (ending, (sender, answer)) = (Ending(Some((Arc::clone(self), Arc::clone(&place)))), sync_channel(1));
        let (device, progress) = (Arc::clone(self), Arc::clone(&place.progress));
        let job = move || {
            let mut made = progress.watch(|| device.lent(patience, f));
            if ending.is_given_up() {
                // What it holds is destroyed at once, not by whoever calls next: there may be nobody.
                made = Err(Failure::Busy);
                device.sweep();
            }
            if ending.end() {
                let _ = sender.send(made);
            }
            // Else nobody gets it: what was made goes here, and with it what it holds.
        };
        runner.run(Box::new(job)).map_err(Failure::Refused)?;
        loop {
            let left = place.progress.left();
            if left == Some(Duration::ZERO)
                && let Some(error) = self.give_up(runner, &place)
            {
                return Err(Failure::Told(error.into()));
            }
            match answer.recv_timeout(left.unwrap_or(patience.within / 4).max(Duration::from_millis(1))) {
                Ok(made) => return made,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let why = format!("the call of the HSM `{}` broke off", self.name());
                    return Err(Failure::Told(Error::new(ErrorKind::Internal, why).into()));
                }
            }
        }
    }

    /// Has `close` run on a thread of `runner`, and waits for it as long as for a call: nothing comes of it.
    pub(super) fn close_there(&self, runner: &dyn Runner, close: impl FnOnce() + Send + 'static) {
        let (sender, closed) = sync_channel(1);
        let job = move || {
            close();
            let _ = sender.send(());
        };
        if runner.run(Box::new(job)).is_ok() && closed.recv_timeout(self.deadline()) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(device = %self.name(), "the HSM's module hangs while its sessions are closed: it is left at that");
        }
    }

    /// A thread for a call, as soon as there is one, and whether the call tries a device that has hung; `None` where nobody
    /// waits for one and there is none.
    fn admit(&self, patience: Duration) -> Result<Option<bool>> {
        let mut began = None;
        let [mut nap, longest] = NAPS;
        loop {
            match self.gate.lock().admit(self.name(), self.threads(), self.now())? {
                Admitted::Goes { tries } => return Ok(Some(tries)),
                Admitted::Waits if patience.is_zero() => return Ok(None),
                Admitted::Waits => {}
            }
            let now = self.now();
            if now.saturating_sub(*began.get_or_insert(now)) >= patience {
                let why = format!(
                    "all {} threads of the HSM `{}` were in use for {} ms: raise `max_sessions` or `deadline_ms`",
                    self.threads(),
                    self.name(),
                    patience.as_millis()
                );
                return Err(Error::new(ErrorKind::BackendUnavailable, why));
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(longest);
        }
    }

    /// Most threads that it has.
    fn threads(&self) -> u32 {
        self.config.max_sessions.max(1)
    }

    /// Waits no longer for the call at `place`; `None` where it is back this moment.
    fn give_up(&self, runner: &dyn Runner, place: &Place) -> Option<Error> {
        let most = self.threads();
        let why = format!("a call of its module did not come back within {} ms", place.progress.allowed().as_millis());
        let hanging = {
            let mut gate = self.gate.lock();
            // Whoever is in the module now finds out when it is back.
            if place.progress.left() != Some(Duration::ZERO) {
                return None;
            }
            place.given_up.store(true, Ordering::Relaxed);
            gate.hang(place.tries, self.now(), self.deadline(), &why);
            gate.hanging
        };
        runner.gave_up(self.name());
        if hanging >= most {
            tracing::error!(
                device = %self.name(), hanging, reason = %why,
                "every thread of the HSM hangs in its module: it is not used until one comes back, or this process is restarted"
            );
        } else {
            tracing::error!(
                device = %self.name(), hanging, most, reason = %why,
                "a call of the HSM is given up, and the HSM is left alone for a while"
            );
        }
        let why = format!(
            "the HSM `{}` does not answer: {why}, and whether it does what it was asked for is not known",
            self.name()
        );
        Some(Error::new(ErrorKind::BackendUnavailable, why))
    }

    /// A call is back, in time or not; whether somebody waits for what it made.
    fn came_back(&self, place: &Place) -> bool {
        let hanging = {
            let mut gate = self.gate.lock();
            let given_up = place.given_up.load(Ordering::Relaxed);
            gate.leave((given_up, place.tries, place.progress.is_answered()), self.now());
            given_up.then_some(gate.hanging)
        };
        let Some(hanging) = hanging else { return true };
        tracing::warn!(device = %self.name(), hanging, "a call of the HSM that was given up is back: the HSM is used again");
        if let Some(runner) = runner() {
            runner.came_back(self.name());
        }
        false
    }

    /// Why no call goes to it now, where it has hung.
    pub(super) fn is_left_alone(&self) -> Option<String> {
        self.gate.lock().refusal(self.name(), self.threads(), self.now())
    }

    /// Whether a call that nobody waits for is in the module still.
    pub(super) fn hangs(&self) -> bool {
        self.gate.lock().hanging > 0
    }
}

impl Gate {
    /// Why no call is admitted, where the device has hung.
    fn refusal(&self, device: &str, most: u32, now: Duration) -> Option<String> {
        if self.hanging >= most {
            return Some(format!(
                "all {most} threads of the HSM `{device}` hang in its module: it is used again when one comes back, or when \
                 the server is restarted"
            ));
        }
        let stall = self.stall.as_ref()?;
        let left = stall.until.saturating_sub(now);
        (self.trying || !left.is_zero()).then(|| {
            let why = &stall.why;
            format!("the HSM `{device}` has hung and is left alone for {} ms more: {why}", left.as_millis())
        })
    }

    fn admit(&mut self, device: &str, most: u32, now: Duration) -> Result<Admitted> {
        if let Some(why) = self.refusal(device, most, now) {
            return Err(Error::new(ErrorKind::BackendUnavailable, why));
        }
        if self.running >= most {
            return Ok(Admitted::Waits);
        }
        self.running += 1;
        self.trying |= self.stall.is_some();
        Ok(Admitted::Goes { tries: self.stall.is_some() })
    }

    /// A call is given up.
    fn hang(&mut self, tries: bool, now: Duration, first: Duration, why: &str) {
        self.hanging += 1;
        self.trying &= !tries;
        // Calls that were under way together say the same together.
        if self.stall.is_none() || tries {
            let pause = self.stall.as_ref().map_or(first.min(LONGEST), |stall| (stall.pause * 2).min(LONGEST));
            self.stall = Some(Stall { until: now + pause, pause, why: why.to_owned() });
        }
    }

    /// A call is back.
    fn leave(&mut self, (given_up, tries, answered): (bool, bool, bool), now: Duration) {
        self.running = self.running.saturating_sub(1);
        if given_up {
            self.hanging = self.hanging.saturating_sub(1);
            self.stall = None;
            return;
        }
        if tries {
            self.trying = false;
            if answered {
                self.stall = None;
            } else if let Some(stall) = &mut self.stall {
                // It has waited for others in vain, and learnt nothing.
                stall.until = now + stall.pause;
            }
        }
    }
}

/// The end of a call on a thread of a runner, whatever becomes of it.
struct Ending(Option<(Arc<Device>, Arc<Place>)>);

impl Ending {
    /// Whether nobody waits for it any more.
    fn is_given_up(&self) -> bool {
        self.0.as_ref().is_some_and(|(device, place)| {
            let _gate = device.gate.lock();
            place.given_up.load(Ordering::Relaxed)
        })
    }

    /// Ends it; whether somebody waits for what was made.
    fn end(mut self) -> bool {
        self.0.take().is_some_and(|(device, place)| device.came_back(&place))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some((device, place)) = self.0.take() {
            device.came_back(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn goes(gate: &mut Gate, now: u64) -> Option<bool> {
        match gate.admit("vault", 3, at(now)) {
            Ok(Admitted::Goes { tries }) => Some(tries),
            Ok(Admitted::Waits) => None,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::BackendUnavailable);
                None
            }
        }
    }

    #[test]
    fn a_device_that_hangs_is_tried_by_one_at_a_time() {
        let mut gate = Gate::default();
        assert_eq!((goes(&mut gate, 0), goes(&mut gate, 0)), (Some(false), Some(false)));
        gate.hang(false, at(1), DEADLINE, "it hangs");
        // What was under way with it changes nothing.
        gate.leave((false, false, true), at(1));
        assert_eq!(goes(&mut gate, 1), None);
        assert_eq!((goes(&mut gate, 2), goes(&mut gate, 2)), (Some(true), None));
        // Still hanging: twice as long. Whoever has waited for others in vain has learnt nothing.
        gate.hang(true, at(3), DEADLINE, "it hangs");
        assert_eq!((goes(&mut gate, 4), goes(&mut gate, 5)), (None, Some(true)));
        gate.leave((false, true, false), at(5));
        assert_eq!((goes(&mut gate, 6), goes(&mut gate, 7)), (None, Some(true)));
        gate.leave((false, true, true), at(7));
        assert_eq!(goes(&mut gate, 7), Some(false));
    }

    #[test]
    fn a_device_without_threads_is_used_again_when_one_comes_back() {
        let mut gate = Gate::default();
        for now in 0..3 {
            assert_eq!(goes(&mut gate, now * 100).map(drop), Some(()));
            gate.hang(now > 0, at(now * 100), DEADLINE, "it hangs");
        }
        let refused = gate.admit("vault", 3, at(10_000)).map(drop).unwrap_err();
        assert!(refused.message().contains("all 3 threads"), "{refused:?}");
        gate.leave((true, true, true), at(10_000));
        assert_eq!((goes(&mut gate, 10_000), gate.hanging), (Some(false), 2));
    }

    #[test]
    fn threads_in_use_are_waited_for() {
        let mut gate = Gate::default();
        assert!((0..3).all(|_| goes(&mut gate, 0).is_some()));
        assert!(matches!(gate.admit("vault", 3, at(0)), Ok(Admitted::Waits)));
        gate.leave((false, false, true), at(0));
        assert_eq!(goes(&mut gate, 0), Some(false));
    }
}
