//! A server as the backend speaks to it: which namespace, which key, which request, and the call itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libkmss::backend::Backend;
use libkmss::clock::Clock;
use libkmss::config::RemoteConfig;
use libkmss::error::{ErrorKind, Result};
use libkmss::key::{BackendId, Body, Object, Rotation};
use libkmss::os::{Lock, Rank};
use libkmss::permit::{Granted, Permit};
use libkmss::tenant::{Namespace, NamespaceId, ObjectId};
use tonic::{Request, Response, Status};

use super::backend::place_of;
use super::channel::Channel;
use super::fleet::{Fleet, Patience};
use crate::convert;
use crate::proto::crypto_service_client::CryptoServiceClient;
use crate::proto::key_service_client::KeyServiceClient;
use crate::proto::{self, get_object_request::Which};

/// Largest answer that is taken, in bytes: a page of objects, or a message of the size that servers take.
const LARGEST: usize = 16 << 20;

/// A server with what this process remembers of it.
pub(super) struct Server {
    id: BackendId,
    /// The namespace there; absent for the one called as ours is.
    namespace: Option<String>,
    fleet: Fleet,
    software: Arc<dyn Backend>,
    pub(super) clock: Arc<dyn Clock>,
    /// When the records of a namespace were looked at.
    pub(super) looks: Lock<BTreeMap<(NamespaceId, u32, bool), Look>>,
}

/// When something was looked at last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// When the last look began that was taken over.
    pub(super) followed: Option<Duration>,
    /// When somebody set out for the next one.
    pub(super) claimed: Duration,
}

impl Server {
    pub(super) fn new(config: &RemoteConfig, software: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self {
            id: BackendId(config.name.clone().into()),
            namespace: config.namespace.clone(),
            fleet: Fleet::new(config, Arc::clone(&clock))?,
            software,
            clock,
            looks: Lock::new(Rank::Cache, BTreeMap::new()),
        })
    }

    /// The name that key versions carry.
    pub(super) const fn id(&self) -> &BackendId {
        &self.id
    }

    /// Where a namespace of ours is there.
    pub(super) fn place(&self, namespace: &Namespace) -> String {
        place_of(self.namespace.as_deref(), namespace)
    }

    /// A key, as the server knows it.
    pub(super) fn key(&self, permit: &Permit, granted: Granted<'_>) -> proto::KeyRef {
        self.reference(&permit.caller().namespace, granted.object.id)
    }

    /// An object, as the server knows it. Identities are the same here and there.
    pub(super) fn reference(&self, namespace: &Namespace, id: ObjectId) -> proto::KeyRef {
        proto::KeyRef { namespace: self.place(namespace), id: id.0.to_vec(), version: 0 }
    }

    /// An object that the server told of.
    pub(super) fn object(&self, namespace: &Namespace, object: proto::Object) -> Result<Object> {
        let id = object.id.clone();
        // Never read, but never empty: what is in the server is not in the record.
        let mut object = convert::object(object, namespace.id, &self.id, |_| id.clone())?;
        if let Body::Key(key) = &mut object.body {
            // Uses are counted where the key is, for all who ask there.
            key.lifecycle.rotation = key.lifecycle.rotation.take().and_then(Rotation::without_counts);
            // So is the service that it belongs to looked at: there this host has a name of its own.
            key.metadata.service.clear();
            key.metadata.grants.clear();
        }
        Ok(object)
    }

    /// An id for a request, new each time.
    pub(super) fn request_id(&self) -> Result<Vec<u8>> {
        let mut id = vec![0; convert::REQUEST_ID];
        self.software.entropy().fill(&mut id)?;
        Ok(id)
    }

    /// A call that uses a key.
    pub(super) fn crypto<R, A, F>(
        &self,
        patience: Patience,
        request: &R,
        ask: impl Fn(CryptoServiceClient<Channel>, Request<R>) -> F,
    ) -> Result<A>
    where
        R: Clone,
        F: Future<Output = std::result::Result<Response<A>, Status>>,
    {
        self.fleet.call(patience, |channel, left| {
            let origin = channel.origin();
            let client = CryptoServiceClient::with_origin(channel, origin).max_decoding_message_size(LARGEST);
            ask(client, timed(request, left))
        })
    }

    /// A call about keys and other objects.
    pub(super) fn keys<R, A, F>(
        &self,
        patience: Patience,
        request: &R,
        ask: impl Fn(KeyServiceClient<Channel>, Request<R>) -> F,
    ) -> Result<A>
    where
        R: Clone,
        F: Future<Output = std::result::Result<Response<A>, Status>>,
    {
        self.fleet.call(patience, |channel, left| {
            let origin = channel.origin();
            let client = KeyServiceClient::with_origin(channel, origin).max_decoding_message_size(LARGEST);
            ask(client, timed(request, left))
        })
    }

    /// A call that makes an object of the identity `id`, and the object where it exists already: an answer was lost, and
    /// whoever answers now does not remember the request.
    pub(super) fn make<R, A, F>(
        &self,
        id: ObjectId,
        namespace: &Namespace,
        request: R,
        ask: impl Fn(KeyServiceClient<Channel>, Request<R>) -> F,
    ) -> Result<std::result::Result<A, proto::Object>>
    where
        R: Clone,
        F: Future<Output = std::result::Result<Response<A>, Status>>,
    {
        match self.keys(Patience::Making, &request, ask) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => match self.fetch(namespace, id) {
                // It is the name that is taken, and nothing was made.
                Err(absent) if absent.kind() == ErrorKind::NotFound => Err(e),
                found => found.map(Err),
            },
            answer => answer.map(Ok),
        }
    }

    /// An object as the server has it.
    pub(super) fn fetch(&self, namespace: &Namespace, id: ObjectId) -> Result<proto::Object> {
        let request = proto::GetObjectRequest { which: Some(Which::Id(self.reference(namespace, id))) };
        let answer = self.keys(Patience::Use, &request, |mut keys, r| async move { keys.get_object(r).await })?;
        answer.object.ok_or_else(|| {
            libkmss::error::Error::new(ErrorKind::BackendUnavailable, "the server's answer is not what was asked for")
        })
    }
}

/// A request with the time that is left for it, which the server keeps to, too.
fn timed<R: Clone>(request: &R, left: Duration) -> Request<R> {
    let mut request = Request::new(request.clone());
    request.set_timeout(whole(left));
    request
}

/// In whole milliseconds, rounded up: of most calls the same words, which HTTP/2 says in one byte from the second time on.
pub(super) fn whole(left: Duration) -> Duration {
    Duration::from_millis(left.as_micros().div_ceil(1000).try_into().unwrap_or(u64::MAX))
}
