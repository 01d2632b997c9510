//! The life of keys: what the security officer changes in it, and what the server does by itself when a moment has come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use libkmss::caller::Caller;
use libkmss::clock::Timestamp;
use libkmss::error::{ErrorKind, Result};
use libkmss::key::{BackendId, Object};
use libkmss::kms::{Fate, RotationStep};
use libkmss::operation::{Rotated, Turn};
use tokio::task::JoinHandle;

use super::Server;
use super::call::{Asked, Call, Named};
use super::keys::{behind, page, token};
use crate::convert;
use crate::proto;

impl Call for proto::ChangeKeyLifeRequest {
    type Answer = proto::ChangeKeyLifeResponse;
    const METHOD: &'static str = "ChangeKeyLife";
    const PIN: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ChangeKeyLifeResponse> {
        let key = asked.object(self.key.as_ref())?;
        let transition = convert::transition(self.transition)?;
        let officer = asked.officer(self.officer_pin)?;
        let keys = asked.host.kms.change_life(&officer, key, &transition)?;
        Ok(proto::ChangeKeyLifeResponse { keys: keys.iter().map(|key| key.as_ref().into()).collect() })
    }
}

impl Call for proto::DestroyDueKeysRequest {
    type Answer = proto::DestroyDueKeysResponse;
    const METHOD: &'static str = "DestroyDueKeys";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        Named::Any
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DestroyDueKeysResponse> {
        let span = (behind(&self.page_token)?, page(self.page_size));
        let (keys, next) = asked.host.kms.destroy_due_after(&asked.caller, self.dry_run, span)?;
        let keys = keys.iter().map(Into::into).collect();
        Ok(proto::DestroyDueKeysResponse { keys, next_page_token: token(next) })
    }
}

impl Call for proto::ListTombstonesRequest {
    type Answer = proto::ListTombstonesResponse;
    const METHOD: &'static str = "ListTombstones";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListTombstonesResponse> {
        super::keys::found(asked)?;
        let kms = &asked.host.kms;
        let (after, limit) = (behind(&self.page_token)?, page(self.page_size));
        let (found, next) = match self.name.as_str() {
            "" => {
                let found = kms.tombstones(&asked.caller, after, limit)?;
                let next = found.last().map(|stone| stone.object).filter(|_| found.len() >= limit);
                (found, next)
            }
            name => (kms.tombstone_of(&asked.caller, name)?.into_iter().collect(), None),
        };
        let tombstones = found.iter().map(Into::into).collect();
        Ok(proto::ListTombstonesResponse { tombstones, next_page_token: token(next) })
    }
}

impl Call for proto::ReleaseKeyNameRequest {
    type Answer = proto::ReleaseKeyNameResponse;
    const METHOD: &'static str = "ReleaseKeyName";
    const PIN: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ReleaseKeyNameResponse> {
        let officer = asked.officer(self.officer_pin)?;
        asked.host.kms.release_name(&officer, &self.name)?;
        Ok(proto::ReleaseKeyNameResponse {})
    }
}

impl Call for proto::RotateKeyRequest {
    type Answer = proto::RotateKeyResponse;
    const METHOD: &'static str = "RotateKey";
    const MAKES: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        Named::Name(&self.name)
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RotateKeyResponse> {
        let turn = if self.ahead { Turn::Later(self.at_ms.map(Timestamp)) } else { Turn::Now };
        let rotated = asked.host.kms.rotate(&asked.caller, &self.name, turn)?;
        let (made, former) = objects(&rotated);
        Ok(proto::RotateKeyResponse { made, former })
    }
}

impl Call for proto::ActivateKeyRequest {
    type Answer = proto::ActivateKeyResponse;
    const METHOD: &'static str = "ActivateKey";
    const MAKES: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        Named::Name(&self.name)
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ActivateKeyResponse> {
        let rotated = asked.host.kms.activate(&asked.caller, &self.name)?;
        let (made, former) = objects(&rotated);
        Ok(proto::ActivateKeyResponse { made, former })
    }
}

fn objects(rotated: &Rotated) -> (Vec<proto::Object>, Vec<proto::Object>) {
    let all = |objects: &[Arc<Object>]| objects.iter().map(|object| object.as_ref().into()).collect();
    (all(&rotated.made), all(&rotated.former))
}

impl Call for proto::ListVersionsRequest {
    type Answer = proto::ListVersionsResponse;
    const METHOD: &'static str = "ListVersions";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListVersionsResponse> {
        super::keys::found(asked)?;
        let versions = asked.host.kms.versions(&asked.caller, &self.name)?;
        Ok(proto::ListVersionsResponse { keys: versions.iter().map(|key| key.as_ref().into()).collect() })
    }
}

impl Call for proto::RotateDueKeysRequest {
    type Answer = proto::RotateDueKeysResponse;
    const METHOD: &'static str = "RotateDueKeys";
    const MAKES: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        Named::Any
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RotateDueKeysResponse> {
        let only = (!self.name.is_empty()).then_some(self.name.as_str());
        let span = (behind(&self.page_token)?, page(self.page_size));
        let (keys, next) = asked.host.kms.rotate_due_after(&asked.caller, (only, self.dry_run), span)?;
        let keys = keys.iter().map(Into::into).collect();
        Ok(proto::RotateDueKeysResponse { keys, next_page_token: token(next) })
    }
}

impl Call for proto::SetAliasRequest {
    type Answer = proto::SetAliasResponse;
    const METHOD: &'static str = "SetAlias";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::SetAliasResponse> {
        let to = (!self.name.is_empty()).then_some(self.name.as_str());
        let keys = asked.host.kms.set_alias(&asked.caller, &self.alias, to)?;
        Ok(proto::SetAliasResponse { keys: keys.iter().map(|key| key.as_ref().into()).collect() })
    }
}

impl Call for proto::GrantKeyRequest {
    type Answer = proto::GrantKeyResponse;
    const METHOD: &'static str = "GrantKey";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GrantKeyResponse> {
        let caller = match self.officer_pin.is_empty() {
            true => asked.caller.clone(),
            false => asked.officer(self.officer_pin)?,
        };
        let keys = asked.host.kms.grant(&caller, &self.name, &self.service, !self.revoke)?;
        Ok(proto::GrantKeyResponse { keys: keys.iter().map(|key| key.as_ref().into()).collect() })
    }
}

/// Looks now and then for keys whose time has come. Several servers of one home may: each key is destroyed once. A device that
/// does not answer holds up the keys that it has to do with, and no others.
pub(super) async fn watch(shared: Arc<Server>) {
    let pace = Duration::from_secs(shared.config.lifecycle_s.into());
    let mut rounds: HashMap<BackendId, JoinHandle<()>> = HashMap::new();
    loop {
        tokio::time::sleep(pace).await;
        let mut lanes: HashMap<BackendId, Vec<String>> = HashMap::new();
        for name in shared.host.names() {
            lanes.entry(shared.host.lane_of_round(name)).or_default().push(name.clone());
        }
        rounds.retain(|_, round| !round.is_finished());
        for (lane, namespaces) in lanes {
            rounds
                .entry(lane)
                .or_insert_with_key(|lane| tokio::spawn(round(Arc::clone(&shared), lane.clone(), namespaces)));
        }
    }
}

/// Looks at the namespaces of a lane. What goes wrong is told, and tried again.
async fn round(server: Arc<Server>, lane: BackendId, namespaces: Vec<String>) {
    for namespace in namespaces {
        let (inner, name) = (Arc::clone(&server), namespace.clone());
        let look = move || {
            look(&inner, &name);
            Ok(())
        };
        if let Err(e) = server.bridge.cross(&lane, server.deadline(), look).await {
            tracing::warn!(namespace, reason = %e.sentence(), "keys that are due were not looked for");
        }
    }
}

fn look(server: &Server, namespace: &str) {
    let seen = server.host.own(namespace).and_then(|caller| {
        rotate(server, namespace, &caller);
        server.host.kms.tend_destructions(&caller)
    });
    match seen {
        Ok(keys) => {
            for key in keys {
                match key.fate {
                    Fate::Destroyed => tracing::info!(namespace, key = %key.id, "a key was destroyed that was due"),
                    Fate::Failed(reason) => {
                        tracing::warn!(namespace, key = %key.id, reason, "a key that is due is still there");
                    }
                    Fate::Waits | Fate::Due => {}
                }
            }
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => tracing::warn!(namespace, reason = %e.sentence(), "keys that are due were not looked for"),
    }
}

fn rotate(server: &Server, namespace: &str, caller: &Caller) {
    match server.host.kms.tend_rotations(caller) {
        Ok(keys) => {
            for key in keys {
                match &key.step {
                    RotationStep::Waits | RotationStep::Pending | RotationStep::Held(_) => {}
                    RotationStep::Failed(reason) => {
                        tracing::warn!(namespace, key = key.name, reason, "a key that is due was not rotated");
                    }
                    step => tracing::info!(namespace, key = key.name, step = step.name(), "a key was rotated"),
                }
            }
        }
        Err(e) => tracing::warn!(namespace, reason = %e.sentence(), "keys that are to be rotated were not looked for"),
    }
}
