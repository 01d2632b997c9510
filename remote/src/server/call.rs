//! Calls: what each message asks for, and how it is answered.

use std::sync::Arc;
use std::time::Duration;

use libkmss::caller::Caller;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::Storage;
use libkmss::operation::{Draft, ObjectRef};
use libkmss::tenant::ObjectId;
use prost::Message;
use zeroize::Zeroizing;

use super::Server;
use super::bridge::Way;
use super::host::Host;
use super::peer::Connection;
use super::route::Context;
use super::shares::Share;
use super::traces::Span;
use crate::convert;
use crate::proto;

/// Bytes of an answer that nobody counts: a connection takes as much for the call itself.
const SHORT: usize = 1 << 10;

/// A message that is answered by one other.
pub(super) trait Call: Message + Default + 'static {
    type Answer: Message + Default + 'static;

    /// The method, for metrics.
    const METHOD: &'static str;

    /// The key that it uses, or uses first.
    fn key(&self) -> Option<&proto::KeyRef> {
        None
    }

    /// What it names otherwise than by such a reference.
    fn named(&self) -> Named<'_> {
        Named::Nothing
    }

    /// What is asked of a key that it makes.
    fn draft(&self) -> Option<&proto::Draft> {
        None
    }

    /// The namespace that it is about.
    fn namespace(&self) -> &str {
        super::crypto::of(self.key())
    }

    /// Its id, where such calls have one.
    fn request_id(&self) -> &[u8] {
        &[]
    }

    /// Whether it is about no namespace: it is answered for whoever asks, beyond namespaces.
    const WIDE: bool = false;

    /// Whether it makes keys, whose material is sealed.
    const MAKES: bool = false;

    /// Whether it shows a PIN.
    const PIN: bool = false;

    /// Where it crosses to the core.
    const WAY: Way = Way::Keys;

    /// Whether it is over in microseconds, as far as it can be seen.
    fn is_quick(&self) -> bool {
        false
    }

    /// Answers it.
    fn run(self, asked: &Asked<'_>) -> Result<Self::Answer>;
}

/// A key that a call names otherwise than by a reference, so that it goes where that is opened.
pub(super) enum Named<'a> {
    /// There is none.
    Nothing,
    /// By the identity that a ciphertext bears.
    Object(ObjectId),
    /// By its name.
    Name(&'a str),
    /// By the id of a business key.
    Business([u8; 8]),
    /// It is not known before: it may be any, or several.
    Any,
}

/// What a call has beside its message.
pub(super) struct Asked<'a> {
    pub(super) method: &'static str,
    pub(super) server: &'a Server,
    pub(super) host: &'a Host,
    pub(super) connection: &'a Connection,
    pub(super) caller: Caller,
    pub(super) call: Option<[u8; convert::REQUEST_ID]>,
}

impl Asked<'_> {
    /// The stored object that `key` names, in the caller's namespace.
    pub(super) fn object(&self, key: Option<&proto::KeyRef>) -> Result<ObjectRef> {
        let key = key.ok_or_else(|| argument("it is not said which key"))?;
        if *super::host::full_name(&key.namespace) != self.caller.namespace.to_string() {
            return Err(argument("the keys of one call are in one namespace"));
        }
        let id = convert::object_id(&key.id)?;
        if key.version != 0 {
            let object = self.host.kms.object(&self.caller, id)?;
            if object.key().is_none_or(|known| known.primary != key.version) {
                let why = "only the version that new operations use can be used here";
                return Err(Error::new(ErrorKind::Unsupported, why));
            }
        }
        Ok(ObjectRef::Stored(id))
    }

    /// The version of a key that operations use.
    pub(super) fn version(&self, key: &ObjectRef) -> u32 {
        match key {
            ObjectRef::Stored(id) => {
                let object = self.host.kms.object(&self.caller, *id);
                object.ok().and_then(|object| object.key().map(|key| key.primary)).unwrap_or_default()
            }
            ObjectRef::Ephemeral(_) => 0,
        }
    }

    /// A draft of a stored object, the `index`th that the call makes. With an id of the request its identity follows from that,
    /// so that a call that comes again finds what it made, even after the server was restarted.
    pub(super) fn stored(&self, index: u8) -> Result<Draft> {
        let mut draft = self.host.kms.draft(Storage::Stored)?;
        if let Some(call) = &self.call {
            draft.id = self.identity(call, index);
        }
        Ok(draft)
    }

    fn identity(&self, call: &[u8; convert::REQUEST_ID], index: u8) -> ObjectId {
        let (namespace, principal) = (&self.caller.namespace.id.0, self.caller.principal.name.as_bytes());
        let hash = |of: &[u8]| self.host.kms.suite().hash(&[b"kmss/1 request ", namespace, call, of, principal]);
        let mut id = [0; 16];
        // What a call makes begins alike: it stands side by side in the store. No more than that is alike, for devices know keys by the
        // first bytes (`ObjectId::KNOWN`).
        let (beginning, end) = id.split_at_mut(4);
        beginning.iter_mut().zip(hash(&[])).for_each(|(to, from)| *to = from);
        end.iter_mut().zip(hash(&[index])).for_each(|(to, from)| *to = from);
        ObjectId(id)
    }

    /// What an earlier server, or an earlier run of this one, made for the same request.
    pub(super) fn made_before(&self, index: u8) -> Result<Option<proto::Object>> {
        let Some(call) = &self.call else { return Ok(None) };
        match self.host.kms.object(&self.caller, self.identity(call, index)) {
            Ok(object) => Ok(Some(object.as_ref().into())),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// A call that is a stream, under way.
pub(super) struct Told {
    server: Arc<Server>,
    method: &'static str,
    span: Span,
    began: Duration,
}

impl Told {
    /// As [`Self::end`], of what did not begin.
    pub(super) fn refused<T>(self, refusal: Error) -> Result<T> {
        let refused = Err(refusal);
        self.end(&refused);
        refused
    }

    /// Says how it ended: in its span, in the metrics, and in the log where it failed.
    pub(super) fn end<T>(self, done: &Result<T>) {
        let error = done.as_ref().err();
        self.span.end(error);
        let time = self.server.clock.monotonic().saturating_sub(self.began);
        self.server.metrics.answered(self.method, error.map(Error::kind), time);
        if let Some(error) = error {
            super::log::failed(self.method, error);
        }
    }
}

pub(super) fn argument(why: &'static str) -> Error {
    Error::new(ErrorKind::Arguments, why)
}

impl Server {
    /// Answers `call`, which came in with `context`.
    pub(super) async fn answer<C: Call>(self: &Arc<Self>, context: &Context, call: C) -> Result<C::Answer> {
        let began = self.clock.monotonic();
        let span = self.span(C::METHOD, context, call.namespace(), call.request_id());
        let answer = match self.at_once(&context.connection, &span, call) {
            Ok(answer) => answer,
            // In memory of its own: what is over at once does not carry what waiting takes.
            Err(call) => Box::pin(self.do_once(&context.connection, context.deadline, &span, call)).await,
        };
        span.end(answer.as_ref().err());
        self.metrics.answered(
            C::METHOD,
            answer.as_ref().err().map(Error::kind),
            self.clock.monotonic().saturating_sub(began),
        );
        if let Err(error) = &answer {
            super::log::failed(C::METHOD, error);
        }
        answer
    }

    /// What is told of a call that [`Self::answer`] does not answer, because it is a stream.
    pub(super) fn told(self: &Arc<Self>, method: &'static str, context: &Context) -> Told {
        let span = self.span(method, context, "", &[]);
        Told { server: Arc::clone(self), method, span, began: self.clock.monotonic() }
    }

    /// A place among the calls of a peer that cross by `way`.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where it has as many as it may.
    pub(super) fn share(&self, way: Way, connection: &Connection) -> Result<Share> {
        self.room(connection)?;
        let pool = if way == Way::Long { &self.shares.readings } else { &self.shares.calls };
        pool.take(connection.owner(), 1).ok_or_else(|| {
            self.metrics.overloaded.inc();
            Error::new(ErrorKind::Busy, "as many calls of this peer are under way as may be: try again")
        })
    }

    /// Refuses a call of a peer whose answers fill the memory that it has.
    fn room(&self, connection: &Connection) -> Result<()> {
        if !self.shares.bytes.of(connection.owner()).1 {
            return Ok(());
        }
        self.metrics.overloaded.inc();
        Err(Error::new(ErrorKind::Busy, "answers to this peer that it has not fetched take the memory that it has"))
    }

    /// Counts what `answer` takes of its peer's memory until it was fetched.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] for a long one where there is no room for it; what was done, is done.
    pub(super) fn counted<A: Message>(&self, context: &Context, answer: A) -> Result<A> {
        let (len, pool, peer) = (answer.encoded_len(), &self.shares.bytes, context.connection.owner());
        if len <= SHORT {
            return Ok(answer);
        }
        // Everybody has one answer, however long, and those that what changes something has.
        if len <= super::requests::LONGEST || pool.of(peer).0 == 0 {
            context.kept.keep(pool.note(peer, len));
            return Ok(answer);
        }
        let Some(share) = pool.take(peer, len) else {
            self.metrics.overloaded.inc();
            let why = "answers that were not fetched take the memory that there is for them: try again";
            return Err(Error::new(ErrorKind::Busy, why));
        };
        context.kept.keep(share);
        Ok(answer)
    }

    /// Answers a call that is over in microseconds, here and now; any other is given back, and one that somebody does already.
    fn at_once<C: Call>(
        self: &Arc<Self>,
        connection: &Connection,
        span: &Span,
        call: C,
    ) -> std::result::Result<Result<C::Answer>, C> {
        let can_be = !C::PIN && C::WAY == Way::Keys && call.is_quick();
        if !can_be || !self.host.is_near(connection, call.namespace(), call.key()) {
            return Err(call);
        }
        let id = match convert::request_id(call.request_id()) {
            Ok(id) => id,
            Err(e) => return Ok(Err(e)),
        };
        let waits = span.part("wait");
        let work = |call: C| {
            self.room(connection)?;
            drop(waits);
            self.bridge.here(|| self.work(connection, span, id, call))
        };
        let Some(id) = id else { return Ok(work(call)) };
        let request = Zeroizing::new(call.encode_to_vec());
        self.requests.at_once((&connection.name_for_requests(), id), (C::METHOD, &request), call, work)
    }

    async fn do_once<C: Call>(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        deadline: Duration,
        span: &Span,
        call: C,
    ) -> Result<C::Answer> {
        let id = convert::request_id(call.request_id())?;
        let Some(id) = id else { return self.run(connection, deadline, span, call, None).await };
        // What began goes on though its caller may be gone, so that it is known what became of it.
        let request = Zeroizing::new(call.encode_to_vec());
        let (server, of, span) = (Arc::clone(self), Arc::clone(connection), span.clone());
        let name = connection.name_for_requests();
        let work = || async move { server.run(&of, deadline, &span, call, Some(id)).await };
        self.requests.once((&name, id), (C::METHOD, &request), work).await
    }

    async fn run<C: Call>(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        deadline: Duration,
        span: &Span,
        call: C,
        id: Option<[u8; convert::REQUEST_ID]>,
    ) -> Result<C::Answer> {
        let (server, connection) = (Arc::clone(self), Arc::clone(connection));
        let share = self.share(C::WAY, &connection)?;
        let backend = self.host.backend(&call);
        let (waits, span) = (span.part("wait"), span.clone());
        let turn = if C::PIN { Some(self.attempts.turn(connection.owner(), deadline).await?) } else { None };
        let work = move || {
            let _held = (share, turn);
            drop(waits);
            server.work(&connection, &span, id, call)
        };
        match C::WAY {
            Way::Keys => self.bridge.cross(&backend, deadline, work).await,
            way => self.bridge.cross_beside(way, deadline, work).await,
        }
    }

    /// Does what `call` asks for, on this thread.
    fn work<C: Call>(
        &self,
        connection: &Connection,
        span: &Span,
        id: Option<[u8; convert::REQUEST_ID]>,
        call: C,
    ) -> Result<C::Answer> {
        let _works = span.part("work");
        let (host, method) = (&*self.host, C::METHOD);
        let caller = match C::WIDE {
            true => host.beyond(connection, id, method)?,
            false => host.caller(connection, call.namespace(), id, method)?,
        };
        call.run(&Asked { method, server: self, host, connection, caller, call: id })
    }
}
