//! Who blocks and throttles, and who releases: whoever may change policies. Root and the home's owner may block (not release)
//! within a token too, so that an alarm works at once and what was blocked stays so until an operator looks.

use super::Kms;
use crate::caller::{Caller, Login};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::os::effective_ids;
use crate::permit::Subjects;
use crate::quota::{Block, BlockId, BlockTarget, Demand, Within};
use crate::tenant::NamespaceId;

/// The first tags of the records of changes.
pub(super) const ADD: &str = "block add";
pub(super) const THROTTLE: &str = "block throttle";
pub(super) const RELEASE: &str = "block release";

impl Kms {
    /// Blocks `target` in every process of the host from its next operation on, until it is released or `until` has come. Where
    /// it is blocked already for at least as long, that block is named.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] or [`ErrorKind::Denied`] for whoever may not; [`ErrorKind::Arguments`],
    /// [`ErrorKind::NotFound`] for a target that cannot be meant.
    pub fn block(
        &self,
        caller: &Caller,
        target: BlockTarget,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<BlockId> {
        self.restrict(caller, target, None, reason, until)
    }

    /// Lets `target` do `per_second` operations in any second and no more, as [`Self::block`] does.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub fn throttle(
        &self,
        caller: &Caller,
        target: BlockTarget,
        per_second: u32,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<BlockId> {
        self.restrict(caller, target, Some(per_second), reason, until)
    }

    /// Releases what a block or throttle holds, and says what that was.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::NotLoggedIn`] or [`ErrorKind::Denied`] for whoever may not.
    pub fn release(&self, caller: &Caller, id: BlockId) -> Result<Block> {
        let block = self.book.block(id)?;
        let tags = self.block_tags(RELEASE, &block, (&block.shown(), "none"));
        self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, || {
            self.may_restrict(caller, block.target.namespace(), false)?;
            is_not_ones_own(caller, &block.target)?;
            self.book.remove_block(id)?;
            Ok(block)
        })
    }

    /// Every block and throttle, also those whose time is over, the oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn blocks(&self) -> Result<Vec<Block>> {
        Ok(self.book.current()?.blocks().iter().map(|block| Block::clone(block)).collect())
    }

    fn restrict(
        &self,
        caller: &Caller,
        target: BlockTarget,
        per_second: Option<u32>,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<BlockId> {
        let (since, by, reason) = (self.now(), caller.principal.name.clone(), reason.to_owned());
        let block = Block { id: self.book.new_block_id()?, target, per_second, reason, by, since, until };
        let known = self.book.covering(&block, since)?;
        let old = known.as_ref().map_or_else(|| "none".to_owned(), Block::shown);
        let new = known.as_ref().unwrap_or(&block);
        let tags = self.block_tags(if per_second.is_some() { THROTTLE } else { ADD }, new, (&old, &new.shown()));
        self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, || {
            self.may_restrict(caller, block.target.namespace(), true)?;
            self.is_known(&block.target)?;
            match &known {
                Some(known) => Ok(known.id),
                None => self.book.add_block(&block, since).map(|()| block.id),
            }
        })
    }

    /// Records that a door refuses `caller` something, `what`, before anything of it began; gives the refusal back.
    ///
    /// # Errors
    /// `refusal`, and [`ErrorKind::AuditUnavailable`].
    pub fn refuse<T>(&self, caller: &Caller, action: Action, what: &str, refusal: Error) -> Result<T> {
        self.pipeline.refuse(caller, action, vec![what.to_owned()], refusal)
    }

    /// Refuses whoever is blocked to try a PIN. On this host the `officer` may, to release what is blocked; whoever a door
    /// serves may not.
    pub(super) fn may_try(&self, caller: &Caller, officer: bool) -> Result<()> {
        if officer && !caller.is_introduced() { Ok(()) } else { self.unblocked(caller) }
    }

    /// Refuses whoever is blocked to log in.
    ///
    /// # Errors
    /// [`ErrorKind::Blocked`]; those of the store.
    pub fn unblocked(&self, caller: &Caller) -> Result<()> {
        if self.pipeline.quota.is_silent(caller, self.generation()) {
            return Ok(());
        }
        let (action, subjects) = (Action::Login, &Subjects::NAMESPACE);
        let demand =
            Demand { caller, action, subjects, bytes: None, limits: &[], counted: &[], time: self.now(), again: false };
        self.pipeline.quota.admit(&demand).map_err(|refusal| refusal.error)
    }

    /// Refuses a namespace or tenant that does not exist: nothing would be blocked.
    fn is_known(&self, target: &BlockTarget) -> Result<()> {
        let namespaces = self.namespaces()?;
        let (known, what) = match target {
            BlockTarget::Principal { within: Within::Tenant(tenant), .. } => {
                (namespaces.iter().any(|n| n.tenant == *tenant), "tenant")
            }
            other => match other.namespace() {
                Some(id) => (namespaces.iter().any(|n| n.id == id), "token"),
                None => return Ok(()),
            },
        };
        if known { Ok(()) } else { Err(Error::new(ErrorKind::NotFound, format!("there is no such {what}"))) }
    }

    /// Whether the process is run by root or the home's owner.
    #[must_use]
    pub fn is_run_by_owner(&self) -> bool {
        let user = effective_ids().0;
        user == 0 || user == self.owner
    }

    /// Whether `caller` may block and budget in `namespace`, or beyond namespaces.
    pub(super) fn may_restrict(&self, caller: &Caller, namespace: Option<NamespaceId>, alarm: bool) -> Result<()> {
        if self.is_admin(caller)? {
            return Ok(());
        }
        let owner = self.is_owner(caller);
        match namespace {
            Some(id) if caller.login == Login::SecurityOfficer && caller.namespace.id == id => Ok(()),
            Some(_) if owner && alarm => Ok(()),
            // What is left of a namespace that is gone.
            Some(id) if owner && !self.namespaces()?.iter().any(|known| known.id == id) => Ok(()),
            Some(_) => {
                let why = "only the token's security officer, logged in, or an admin of the configuration may do this";
                Err(Error::new(ErrorKind::NotLoggedIn, why))
            }
            None if owner => Ok(()),
            None => {
                let why = "only root, the home's owner, or an admin of the configuration may do this beyond one token";
                Err(Error::new(ErrorKind::Denied, why))
            }
        }
    }

    /// What the records of a change say: what is changed, and old and new.
    fn block_tags(&self, verb: &str, block: &Block, (old, new): (&str, &str)) -> Vec<String> {
        let namespace = block.target.namespace().map_or_else(String::new, |id| self.namespace_shown(id));
        let mut tags = vec![verb.to_owned(), format!("block:{}", block.id), block.target.shown(&namespace)];
        tags.push(format!("{old} -> {new}"));
        if !block.reason.is_empty() {
            tags.push(format!("reason {}", block.reason));
        }
        tags
    }

    /// The name of a namespace, or its identity where it is gone.
    pub(super) fn namespace_shown(&self, id: NamespaceId) -> String {
        let known = self.namespaces().ok().and_then(|all| all.into_iter().find(|n| n.id == id));
        known.map_or_else(|| id.to_string(), |namespace| namespace.to_string())
    }
}

/// Over a door nobody takes off the block that stops themselves: it is what stops whoever has an administrator's certificate. On
/// the host somebody always may.
fn is_not_ones_own(caller: &Caller, target: &BlockTarget) -> Result<()> {
    match target {
        BlockTarget::Principal { name, .. } if caller.is_introduced() && *name == caller.principal.name => {
            let why =
                "nobody releases a block of themselves over the network: another admin does, or somebody on the host";
            Err(Error::new(ErrorKind::Denied, why))
        }
        _ => Ok(()),
    }
}
