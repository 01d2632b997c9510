//! What administrators do; `namespaces.rs`, `policies.rs` and `limits.rs` have the rest of it. Who is one, the configuration
//! says (`[policy] admins`); what is the security officer's takes the officer's PIN.

use std::sync::Arc;

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{Action, Object, Transition};
use libkmss::operation::ObjectRef;
use libkmss::secret::Secret;
use libkmss::tenant::{Namespace, NamespaceId};
use tokio::sync::OwnedSemaphorePermit;

use super::call::{Asked, Call};
use super::host::full_name;
use crate::convert;
use crate::proto;

/// Longest PIN in bytes.
const LONGEST_PIN: usize = 4096;

impl Asked<'_> {
    /// Lets an administrator pass.
    pub(super) fn admin(&self) -> Result<()> {
        if self.host.kms.is_admin(&self.caller)? {
            return Ok(());
        }
        self.refuse(Action::Manage, "only an admin of the server's configuration may do this")
    }

    /// Refuses what is not for the caller, and records that.
    pub(super) fn refuse<T>(&self, action: Action, why: &'static str) -> Result<T> {
        self.host.kms.refuse(&self.caller, action, self.method, Error::new(ErrorKind::Denied, why))
    }

    /// Does `work`, which tries a PIN as `who`, in the namespace whose PIN it is: where that one may, and not too many were
    /// wrong.
    pub(super) fn try_pin<T>(&self, who: &Caller, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let kms = &self.host.kms;
        let refuse = |refusal| kms.refuse(who, Action::Login, self.method, refusal);
        match self.host.may_try_pins(who) {
            Some(true) => {}
            // Administrators do what is done to tokens, served or not.
            None if kms.is_admin(&self.caller)? => {}
            _ => return refuse(Error::new(ErrorKind::Denied, "only the namespace's `officers` show PINs here")),
        }
        // Rules may give an administrator another name in the namespace: who is blocked under either tries none.
        if who.principal.name != self.caller.principal.name
            && let Err(blocked) = kms.unblocked(&self.caller)
        {
            return refuse(blocked);
        }
        match self.server.attempts.begin(self.connection.owner()) {
            Ok(attempt) => attempt.end(work()),
            Err(refusal) => refuse(refusal),
        }
    }

    /// The peer's turn to try PINs, on a thread that may wait for it.
    pub(super) fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let turn = self.server.attempts.turn(self.connection.owner(), self.server.deadline());
        tokio::runtime::Handle::current().block_on(turn)
    }

    /// The caller as security officer of its namespace, who manages private keys, too.
    pub(super) fn officer(&self, pin: String) -> Result<Caller> {
        let pin = secret(pin)?;
        self.try_pin(&self.caller, || self.host.kms.administer(&self.caller, &pin))
    }

    /// `caller` as security officer, who manages PINs, users and settings.
    pub(super) fn logged_in(&self, caller: &Caller, officer_pin: String) -> Result<Caller> {
        let pin = secret(officer_pin)?;
        self.try_pin(caller, || self.host.kms.login(caller, &Credential::OfficerPin(&pin)))
    }

    /// The namespace of this name, served or not.
    pub(super) fn named(&self, name: &str) -> Result<Namespace> {
        let whole = full_name(name);
        let all = self.host.kms.namespaces()?;
        let missing = || Error::new(ErrorKind::NotFound, "there is no such namespace");
        all.into_iter().find(|namespace| namespace.to_string() == *whole).ok_or_else(missing)
    }

    /// The name of a namespace, for answers.
    pub(super) fn name_of(&self, id: NamespaceId) -> Result<String> {
        let all = self.host.kms.namespaces()?;
        let known = all.into_iter().find(|namespace| namespace.id == id);
        Ok(known.map_or_else(|| id.to_string(), |namespace| namespace.to_string()))
    }
}

pub(super) fn secret(pin: String) -> Result<Secret> {
    let pin = Secret::new(pin.into_bytes());
    if pin.len() <= LONGEST_PIN { Ok(pin) } else { Err(Error::new(ErrorKind::PinInvalid, "the PIN is too long")) }
}

impl Call for proto::GetServerInfoRequest {
    type Answer = proto::GetServerInfoResponse;
    const METHOD: &'static str = "GetServerInfo";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GetServerInfoResponse> {
        let config = &asked.server.config;
        Ok(proto::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            principal: asked.caller.principal.name.clone(),
            roles: asked.caller.principal.roles.clone(),
            now_ms: asked.host.kms.now().0,
            max_message_bytes: config.max_message_bytes.into(),
            max_stream_bytes: config.max_stream_bytes.into(),
            max_deadline_ms: config.max_deadline_ms.into(),
            request_window_ms: u64::from(config.request_window_s) * 1000,
            administrator: asked.host.kms.is_admin(&asked.caller)?,
        })
    }
}

impl Call for proto::ChangeKeyStateRequest {
    type Answer = proto::ChangeKeyStateResponse;
    const METHOD: &'static str = "ChangeKeyState";
    const PIN: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ChangeKeyStateResponse> {
        let key = asked.object(self.key.as_ref())?;
        let transition = Transition::into_state(convert::key_state(self.state)?)?;
        let key = changed(asked, (key, self.officer_pin), &transition)?;
        Ok(proto::ChangeKeyStateResponse { key: Some(key.as_ref().into()) })
    }
}

/// The named half of a key whose life the officer of this PIN changed.
fn changed(asked: &Asked<'_>, (key, pin): (ObjectRef, String), transition: &Transition) -> Result<Arc<Object>> {
    let officer = asked.officer(pin)?;
    let halves = asked.host.kms.change_life(&officer, key, transition)?;
    halves.into_iter().next().ok_or_else(|| Error::new(ErrorKind::NotFound, "the key is gone"))
}

impl Call for proto::SetKeyTagsRequest {
    type Answer = proto::SetKeyTagsResponse;
    const METHOD: &'static str = "SetKeyTags";
    const PIN: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::SetKeyTagsResponse> {
        let key = asked.object(self.key.as_ref())?;
        let key = changed(asked, (key, self.officer_pin), &Transition::Tag(self.tags))?;
        Ok(proto::SetKeyTagsResponse { key: Some(key.as_ref().into()) })
    }
}

impl Call for proto::SetKeyAuditRequest {
    type Answer = proto::SetKeyAuditResponse;
    const METHOD: &'static str = "SetKeyAudit";
    const PIN: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::SetKeyAuditResponse> {
        let key = asked.object(self.key.as_ref())?;
        let mode = convert::audit_mode(self.mode)?;
        let key = changed(asked, (key, self.officer_pin), &Transition::Audit(mode))?;
        Ok(proto::SetKeyAuditResponse { key: Some(key.as_ref().into()) })
    }
}
