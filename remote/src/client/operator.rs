//! A server, as the command of an operator speaks to it: any call of the contract, one at a time.
//!
//! It is no backend: nothing is copied, nothing is remembered, and where nobody answers it says so at once instead of waiting
//! for a server that may come back (docs/command.md, "Against a server").

use std::cell::Cell;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libkmss::backend::Backend;
use libkmss::clock::{Clock, SystemClock};
use libkmss::error::{Error, ErrorClass, ErrorKind, Result};
use libkmss::kms;
use tonic::{Response, Status};

use super::address::{Address, Names};
use super::connection::{Place, Trouble};
use super::pool::Pool;
use super::question::{self, Question, Stream};
use super::tls::{TlsFiles, TlsSource};
use crate::convert::REQUEST_ID;
use crate::status;

/// How long connecting may take at most.
const CONNECT: Duration = Duration::from_secs(5);
/// How long somebody waits for what may never come: longer than any server runs.
const ENDLESS: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How to get to a server.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Where it is: `unix:/path`, `https://host:port`, or `http://host:port` on loopback; several that share a store.
    pub uris: Vec<String>,
    /// The authorities that vouch for it, PEM.
    pub ca: Option<PathBuf>,
    /// Our certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// How long a call takes at most, and each message of a stream; the server has a limit of its own.
    pub patience: Duration,
}

/// A server, for one command.
pub struct Client {
    addresses: Vec<Pool>,
    patience: Duration,
    software: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody answered.
    Silent {
        /// Where nobody did.
        address: String,
        /// What happened instead.
        why: String,
        /// Whether what was asked for may have been done all the same.
        doubtful: bool,
    },
    /// The server said no.
    Refused {
        /// Its words.
        error: Error,
        /// The id of the request, 16 bytes in hex; empty where it had none.
        request: String,
        /// Whether what was asked for may have been done all the same, by an earlier try or in part.
        doubtful: bool,
    },
}

impl ClientError {
    /// What the server refused for; [`ErrorKind::BackendUnavailable`] where it did not answer.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Silent { .. } => ErrorKind::BackendUnavailable,
            Self::Refused { error, .. } => error.kind(),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { address, why, doubtful } => {
                write!(f, "the server at `{address}` does not serve: {why}")?;
                doubt(f, *doubtful)
            }
            Self::Refused { error, request, doubtful } => {
                write!(f, "the server says: {error}")?;
                let rule = error.rule().map(|rule| format!("rule {rule}"));
                let request = (!request.is_empty()).then(|| format!("request {request}"));
                let known: Vec<String> = rule.into_iter().chain(request).collect();
                if !known.is_empty() {
                    write!(f, " ({})", known.join(", "))?;
                }
                doubt(f, *doubtful)
            }
        }
    }
}

fn doubt(f: &mut fmt::Formatter<'_>, doubtful: bool) -> fmt::Result {
    if doubtful { f.write_str("; whether it was done is not known: look before you try again") } else { Ok(()) }
}

impl std::error::Error for ClientError {}

/// What is asked, as far as trying it again goes.
struct Matter {
    /// Its id; empty where it has none.
    request: Vec<u8>,
    /// Whether it changes anything.
    changes: bool,
    /// Whether it may be asked again where it is not known what became of it.
    again: bool,
}

impl Client {
    /// Nothing is read or connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for addresses that cannot be read, or none.
    pub fn new(access: &Access) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let files =
            TlsFiles { ca: access.ca.clone(), certificate: access.certificate.clone(), key: access.key.clone() };
        let tls = Arc::new(TlsSource::new(files));
        let pool = |uri: &String| {
            let (names, tls, clock) = (Names::new(), Arc::clone(&tls), Arc::clone(&clock));
            Ok(Pool::new(Place { address: Address::parse(uri)?, names, tls, clock }, 1))
        };
        let addresses = access.uris.iter().map(pool).collect::<Result<Vec<_>>>()?;
        if addresses.is_empty() {
            return Err(Error::new(ErrorKind::Config, "no server is named"));
        }
        Ok(Self { addresses, patience: access.patience, software: kms::software()?, clock })
    }

    /// 16 bytes that nothing was ever called by: the id of a request, or of a new object.
    ///
    /// # Errors
    /// The random source fails.
    pub fn fresh_id(&self) -> Result<[u8; REQUEST_ID]> {
        let mut id = [0; REQUEST_ID];
        self.software.entropy().fill(&mut id)?;
        Ok(id)
    }

    /// The time here, for what is sent from here.
    #[must_use]
    pub fn now(&self) -> libkmss::clock::Timestamp {
        self.clock.now()
    }

    /// Asks the server something. Where the connection breaks, what only looks is asked again, and so is what makes objects: the
    /// server, and others that share its store, find by the id of the request what was made. Of any other change only the very
    /// process that did it would know, so that it is not asked again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn ask<Q: Question>(&self, mut question: Q) -> Result<Q::Answer, ClientError> {
        let mut matter = Matter { request: Vec::new(), changes: false, again: true };
        if let Some(place) = question.request_id() {
            let id = self.fresh_id().map_err(|error| refusal(error, &[], false))?;
            matter = Matter { request: id.to_vec(), changes: true, again: Q::IS_FOUND_AGAIN };
            place.clone_from(&matter.request);
        }
        let until = self.clock.monotonic().saturating_add(self.patience);
        self.anywhere(&matter, &Cell::new(false), |pool| {
            let left = until.saturating_sub(self.clock.monotonic());
            pool.call((self.connect_until(until), &Cell::new(until)), |channel| {
                question::send(question.clone(), channel, left)
            })
        })
    }

    /// Hands everything that the server says to `stream` over to `take`, until that has enough or the server ends it. Where the
    /// connection breaks in the middle, that is the end, and so is a server that says nothing for longer than a call may take,
    /// except where there may be nothing to say.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn listen<S: Stream>(
        &self,
        stream: &S,
        mut take: impl FnMut(S::Part) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let patience = if S::FOLLOWS { ENDLESS } else { self.patience };
        let later = || self.clock.monotonic().saturating_add(patience);
        let matter = Matter { request: Vec::new(), changes: S::CHANGES, again: !S::CHANGES };
        let begun = Cell::new(false);
        self.anywhere(&matter, &begun, |pool| {
            let until = &Cell::new(self.clock.monotonic().saturating_add(self.patience));
            let (take, begun) = (&mut take, &begun);
            pool.call((self.connect_until(until.get()), until), |channel| async move {
                let mut parts = question::open(stream.clone(), channel).await?;
                begun.set(true);
                until.set(later());
                while let Some(part) = parts.message().await? {
                    if take(part).is_break() {
                        break;
                    }
                    // However long that took.
                    until.set(later());
                }
                Ok(Response::new(()))
            })
        })
    }

    fn connect_until(&self, until: Duration) -> Duration {
        self.clock.monotonic().saturating_add(CONNECT).min(until)
    }

    /// Makes a call at the first address that answers. Where a connection broke, each is tried once more, as far as `matter`
    /// allows; nothing is tried again of which something came, as `begun` tells.
    fn anywhere<T>(
        &self,
        matter: &Matter,
        begun: &Cell<bool>,
        mut call: impl FnMut(&Pool) -> Result<T, Trouble>,
    ) -> Result<T, ClientError> {
        // Once it is not known whether something was done, no later answer tells.
        let (mut last, mut doubtful) = (None::<(String, Trouble)>, false);
        for pool in self.addresses.iter().chain(&self.addresses) {
            let address = pool.place().address.to_string();
            // Where nobody is, nobody will be a moment later.
            if matches!(&last, Some((at, Trouble::Unreachable { .. })) if *at == address) {
                break;
            }
            let trouble = match call(pool) {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            let (unknown, again) = match &trouble {
                Trouble::Unreachable { .. } => (false, true),
                Trouble::Broken { .. } => (true, matter.again),
                Trouble::Late { .. } => (true, false),
                Trouble::Refused(status) => (begun.get() && is_trouble(status), is_elsewhere(status)),
            };
            doubtful |= unknown && matter.changes;
            last = Some((address, trouble));
            if !again || begun.get() {
                break;
            }
        }
        Err(match last {
            None => refusal(Error::new(ErrorKind::Config, "no server is named"), &[], false),
            Some((_, Trouble::Refused(status))) => {
                let said = status::detail_of(&status).map(|detail| detail.request_id).unwrap_or_default();
                let id = if said.is_empty() { &matter.request } else { &said };
                refusal(status::error(&status), id, doubtful)
            }
            Some((address, trouble)) => ClientError::Silent { address, why: trouble.to_string(), doubtful },
        })
    }
}

/// Whether another address may do better.
fn is_elsewhere(status: &Status) -> bool {
    status::error(status).kind() == ErrorKind::Busy
}

/// Whether the server failed in what it had begun, instead of refusing it.
fn is_trouble(status: &Status) -> bool {
    let kind = status::error(status).kind();
    kind.is_transient() || matches!(kind.class(), ErrorClass::Environment | ErrorClass::Bug)
}

fn refusal(error: Error, id: &[u8], doubtful: bool) -> ClientError {
    let request = id.iter().take(REQUEST_ID).map(|byte| format!("{byte:02x}")).collect();
    ClientError::Refused { error, request, doubtful }
}
