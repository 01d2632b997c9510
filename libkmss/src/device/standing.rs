//! How a device stands, for whoever waits for it or chooses among several.

use std::time::Duration;

use super::Device;
use crate::error::{Error, ErrorKind};

/// How long a call waits.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For a session, or for another thread that logs in.
    pub(super) longest: Duration,
    /// Whether a device that does not open is tried again a moment later.
    pub(super) again: bool,
    /// How long a usual call of the module may take, where somebody else's thread is in it.
    pub(super) within: Duration,
}

impl Patience {
    /// That of a call that has nowhere else to go.
    pub(super) fn of(device: &Device) -> Self {
        Self { longest: device.deadline(), again: true, within: device.deadline() }
    }
}

/// Why there is no session.
pub(super) enum Unlent {
    /// All are in use, or somebody else logs in.
    Busy,
    /// The device cannot be used.
    Failed(Error),
}

impl From<Error> for Unlent {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Unlent {
    /// As whoever waited is told.
    pub(super) fn into_error(self, device: &Device) -> Error {
        match self {
            Self::Busy => {
                let why = format!(
                    "all sessions of the HSM `{}` were in use, or its login took longer than {} ms: raise `max_sessions` or \
                     `deadline_ms`",
                    device.name(),
                    device.deadline().as_millis()
                );
                Error::new(ErrorKind::BackendUnavailable, why)
            }
            Self::Failed(error) => error,
        }
    }
}

/// How a device stands for whoever chooses among several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is entered; so many calls are under way, and `free` says whether another one finds a session.
    Ready {
        /// Sessions that are lent.
        calls: u32,
        /// Whether there is another one.
        free: bool,
    },
    /// Whoever calls next enters it.
    Closed,
    /// A thread enters it.
    Opening,
    /// It failed or hangs, and is left alone for a while: why.
    Resting(String),
}
