//! Who changes policies and trust anchors: the security officer of a namespace in that namespace, the home's owner and root
//! beyond namespaces, and the admins whom the configuration names anywhere. Never a user's PIN.

use std::sync::Arc;

use super::Kms;
use crate::caller::{Caller, Login};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::policy::bundle::{Abi, Bundle, Content, PublisherKey, Terms, TrustAnchor};
use crate::policy::registry::{Entries, InForce, LOCAL, PolicyRole, Prepared, Site};
use crate::policy::{Scope, hex};
use crate::store::Batch;
use crate::tenant::{Namespace, NamespaceId};

/// The first tag of the records of a policy that was put in force.
pub(super) const APPLY: &str = "policy apply";

/// What a policy is applied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyTarget {
    /// The whole home.
    Platform,
    /// A tenant.
    Tenant(String),
    /// The caller's namespace.
    Namespace,
    /// The keys of this name in the caller's namespace.
    Key(String),
}

/// A policy that nobody signed yet.
#[derive(Clone, Debug)]
pub struct UnsignedPolicy {
    /// Its name.
    pub name: String,
    /// How the host talks to it.
    pub abi: Abi,
    /// The entrypoint of an OPA module that decides, where it has several.
    pub entrypoint: Option<String>,
    /// The module, and what belongs to it.
    pub content: Content,
}

/// What became of applying a policy.
#[derive(Clone, Debug)]
pub struct AppliedPolicy {
    /// Its name.
    pub name: String,
    /// What it speaks of.
    pub scope: Scope,
    /// Its sequence.
    pub sequence: u64,
    /// Whether something changed: it may have been in force already.
    pub changed: bool,
    /// The sequence that was in force before.
    pub before: Option<u64>,
}

impl Kms {
    /// Every policy of the home as it is now.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn policies(&self) -> Result<Arc<Entries>> {
        self.registry.current()
    }

    /// The bytes of an applied bundle, for [`Bundle::parse`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when it was replaced meanwhile, [`ErrorKind::Damaged`].
    pub fn policy_bundle(&self, policy: &InForce) -> Result<Vec<u8>> {
        self.registry.load(policy)
    }

    /// Whoever changes something beyond namespaces, for the audit: the process's principal. Whether it may is checked when
    /// it does.
    ///
    /// # Errors
    /// Those of [`Config::principal`](crate::config::Config::principal).
    pub fn administrator(&self, tenant: Option<&str>) -> Result<Caller> {
        let everywhere = Namespace {
            id: NamespaceId([0; 16]),
            tenant: tenant.unwrap_or(Namespace::DEFAULT_TENANT).to_owned(),
            name: "*".to_owned(),
            ordinal: 0,
            incarnation: 0,
            policy_required: false,
            settings: crate::settings::Settings::default(),
            backend: crate::tenant::BackendId::soft(),
        };
        self.caller(&everywhere, Arc::clone(&self.ephemeral), 0)
    }

    /// Whether the process is one that the configuration lets change policies without the security officer's PIN.
    ///
    /// # Errors
    /// Those of [`Config::principal`](crate::config::Config::principal).
    pub fn is_policy_admin(&self, namespace: &Namespace) -> Result<bool> {
        let process = self.principal.of(&self.config, namespace)?;
        Ok(self.config.policy.admins.contains(&process.name))
    }

    /// Whether `caller` is one whom the configuration lets change policies without the security officer's PIN: the process,
    /// or whoever a door serves.
    ///
    /// # Errors
    /// Those of [`Config::principal`](crate::config::Config::principal).
    pub fn is_admin(&self, caller: &Caller) -> Result<bool> {
        if caller.is_introduced() {
            return Ok(self.config.policy.admins.contains(&caller.principal.name));
        }
        self.is_policy_admin(&caller.namespace)
    }

    /// Whether `caller` is the process, run by root or the home's owner: whoever a door serves is neither.
    pub(super) fn is_owner(&self, caller: &Caller) -> bool {
        !caller.is_introduced() && self.is_run_by_owner()
    }

    /// Puts a signed bundle in force. The first that decides in a namespace seals `policy = required` into its record.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] or [`ErrorKind::Denied`] for whoever may not; [`ErrorKind::Denied`] for a bundle that is not
    /// trusted, not valid or goes back; [`ErrorKind::Arguments`] for one that is for something else; [`ErrorKind::Conflict`]
    /// when somebody else changed policies meanwhile.
    pub fn apply_policy(
        &self,
        caller: &Caller,
        target: &PolicyTarget,
        bundle: &[u8],
        role: PolicyRole,
    ) -> Result<AppliedPolicy> {
        let (caller, site) = self.site(caller, target)?;
        let terms = Bundle::parse(bundle)?.manifest().terms.clone();
        let tags = self.change_tags(APPLY, &site, &terms.name, role, Some(bundle))?;
        self.pipeline.around_tagged(Some(&caller), Action::ChangeState, tags, || {
            self.may_change_policies(&caller, &site)?;
            let by = &caller.principal.name;
            let prepared = self.registry.prepare_apply(bundle, &site, role, by, self.now())?;
            let (changed, before) = match prepared {
                None => (false, Some(terms.sequence)),
                Some(Prepared { batch, before }) => {
                    // Its publisher is known to be trusted by now.
                    self.modules.check(&Bundle::parse(bundle)?)?;
                    self.commit_policy(&site, role, batch)?;
                    (true, before.map(|b| b.manifest.terms.sequence))
                }
            };
            Ok(AppliedPolicy { name: terms.name, scope: terms.scope, sequence: terms.sequence, changed, before })
        })
    }

    /// Puts an unsigned module in force: the caller's authority is enough, and the home's own publisher signs it with the
    /// next sequence.
    ///
    /// # Errors
    /// As [`Self::apply_policy`]; [`ErrorKind::Denied`] where the home takes signed bundles only.
    pub fn apply_local_policy(
        &self,
        caller: &Caller,
        target: &PolicyTarget,
        policy: UnsignedPolicy,
        role: PolicyRole,
    ) -> Result<AppliedPolicy> {
        let UnsignedPolicy { name, abi, entrypoint, content } = policy;
        let (as_now, site) = self.site(caller, target)?;
        // Before the home's publisher signs anything, which makes it where there was none.
        self.may_change_policies(&as_now, &site).or_else(|refusal| {
            let tags = self.change_tags(APPLY, &site, &name, role, None)?;
            self.pipeline.around_tagged(Some(&as_now), Action::ChangeState, tags, || Err(refusal))
        })?;
        let entry = self.registry.find(&site, &name)?;
        let seen = entry.as_ref().and_then(|e| e.seen).map_or(0, |seen| seen.sequence);
        let beside = entry.as_ref().and_then(|e| e.in_role(role));
        let known = entry.as_ref().filter(|e| e.place == site.place()).and_then(|e| e.in_role(role));
        if let Some(known) = known.filter(|f| f.anchor == LOCAL)
            && known.manifest.carries(&content)
            && (known.manifest.terms.abi, &known.manifest.terms.entrypoint) == (abi, &entrypoint)
        {
            return self.apply_policy(caller, target, &self.registry.load(known)?, role);
        }
        let sequence = seen.max(beside.map_or(0, |f| f.manifest.terms.sequence)).saturating_add(1);
        let terms = Terms {
            name,
            scope: site.scope().clone(),
            sequence,
            abi,
            fuel: None,
            pages: crate::policy::bundle::declared_pages(&content.module),
            entrypoint,
            not_before: self.now(),
            not_after: None,
        };
        let bundle = self.registry.sign_locally(terms, content, &as_now.principal.name, self.now())?;
        self.apply_policy(caller, target, &bundle, role)
    }

    /// Takes the policy `name` out of force. What it was required for stays required, and how far it had come stays known.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; as [`Self::apply_policy`].
    pub fn remove_policy(&self, caller: &Caller, target: &PolicyTarget, name: &str, role: PolicyRole) -> Result<()> {
        let (caller, site) = self.site(caller, target)?;
        let tags = self.change_tags("policy remove", &site, name, role, None)?;
        self.pipeline.around_tagged(Some(&caller), Action::ChangeState, tags, || {
            self.may_change_policies(&caller, &site)?;
            let prepared = self.registry.prepare_remove(&site, name, role)?;
            self.registry.commit(&prepared.batch)?;
            self.clear_away();
            Ok(())
        })
    }

    /// Every trust anchor of the home.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn trust_anchors(&self) -> Result<Vec<TrustAnchor>> {
        self.registry.anchors()
    }

    /// Takes bundles that `key` signs for `target`, and what lies within, from now on.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; as [`Self::apply_policy`].
    pub fn add_trust_anchor(
        &self,
        caller: &Caller,
        target: &PolicyTarget,
        name: &str,
        key: PublisherKey,
    ) -> Result<()> {
        let tag = format!("publisher {}", key.id()?);
        self.change_trust(caller, target, ("add", name), Some(tag), |site, by| {
            self.registry.add_anchor(site, name, key, by, self.now())
        })
    }

    /// Takes no bundle of the anchor `name` of `target` any more. Without the anchor `local` (of [`PolicyTarget::Platform`])
    /// the home takes signed bundles only.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Denied`] while bundles that it signed are in force; as [`Self::apply_policy`].
    pub fn remove_trust_anchor(&self, caller: &Caller, target: &PolicyTarget, name: &str) -> Result<()> {
        self.change_trust(caller, target, ("remove", name), None, |site, by| {
            self.registry.remove_anchor(site, name, by, self.now())
        })
    }

    /// Lets the home's own publisher sign what is applied without a signature (again).
    ///
    /// # Errors
    /// As [`Self::apply_policy`].
    pub fn allow_local_publisher(&self, caller: &Caller) -> Result<()> {
        self.change_trust(caller, &PolicyTarget::Platform, ("add", LOCAL), None, |_, by| {
            self.registry.allow_local(by, self.now())
        })
    }

    fn change_trust(
        &self,
        caller: &Caller,
        target: &PolicyTarget,
        (verb, name): (&str, &str),
        tag: Option<String>,
        f: impl FnOnce(&Site, &str) -> Result<()>,
    ) -> Result<()> {
        let (caller, site) = self.site(caller, target)?;
        let mut tags = vec![format!("policy trust {verb}"), site.scope().to_string(), format!("anchor {name}")];
        tags.extend(tag);
        self.pipeline.around_tagged(Some(&caller), Action::ChangeState, tags, || {
            self.may_change_policies(&caller, &site)?;
            f(&site, &caller.principal.name)
        })
    }

    /// The place in the registry, with the namespace as it is now.
    fn site(&self, caller: &Caller, target: &PolicyTarget) -> Result<(Caller, Site)> {
        let wide =
            |scope| Site::wide(scope).ok_or_else(|| Error::new(ErrorKind::Internal, "the scope names a namespace"));
        let key = match target {
            PolicyTarget::Platform => return Ok((caller.clone(), wide(Scope::Platform)?)),
            PolicyTarget::Tenant(tenant) => {
                return Ok((caller.clone(), wide(Scope::Tenant { tenant: tenant.clone() })?));
            }
            PolicyTarget::Namespace => None,
            PolicyTarget::Key(name) => Some(name.as_str()),
        };
        let namespace = self.namespace_as_now(&caller.namespace)?;
        let site = Site::within(&namespace, key);
        Ok((caller.with(|parts| parts.namespace = Arc::new(namespace)), site))
    }

    /// The stored record of `known`, in the same incarnation.
    fn namespace_as_now(&self, known: &Namespace) -> Result<Namespace> {
        let found = self.namespaces()?.into_iter().find(|n| n.id == known.id);
        found.filter(|n| n.incarnation == known.incarnation).ok_or_else(|| {
            Error::new(ErrorKind::Conflict, format!("the namespace `{known}` was made anew or removed meanwhile"))
        })
    }

    /// Whether `caller` may change the policies of `site`.
    fn may_change_policies(&self, caller: &Caller, site: &Site) -> Result<()> {
        if self.is_admin(caller)? {
            return Ok(());
        }
        if site.place().is_some() {
            return match caller.login {
                Login::SecurityOfficer => Ok(()),
                _ => Err(Error::new(
                    ErrorKind::NotLoggedIn,
                    "only the security officer, logged in, or an admin of the configuration changes policies",
                )),
            };
        }
        if self.is_owner(caller) {
            return Ok(());
        }
        let why = format!(
            "policies for {} are changed by root, the home's owner, or an admin of the configuration",
            site.scope()
        );
        Err(Error::new(ErrorKind::Denied, why))
    }

    /// Commits a policy; where it decides in a namespace, with the seal on the namespace's record.
    pub(super) fn commit_policy(&self, site: &Site, role: PolicyRole, batch: Batch) -> Result<()> {
        match site.place() {
            Some(place) if role == PolicyRole::Active => {
                let known = self.namespaces()?.into_iter().find(|n| n.id == place.namespace);
                let gone = || Error::new(ErrorKind::Conflict, "the namespace is gone");
                let known = known.filter(|n| n.incarnation == place.incarnation).ok_or_else(gone)?;
                let next = Namespace { policy_required: true, ..known.clone() };
                self.catalog().put_namespace(Some(&known), &next, batch)?;
            }
            _ => self.registry.commit(&batch)?,
        }
        self.clear_away();
        Ok(())
    }

    /// Clears away the policies of former incarnations of a namespace, which concern nothing any more.
    pub(super) fn retire_policies(&self, namespace: NamespaceId, alive: Option<u32>) {
        if let Err(error) = self.registry.retire(namespace, alive) {
            tracing::warn!(%namespace, %error, "policies of a former incarnation were left behind");
        }
        self.clear_away();
    }

    fn clear_away(&self) {
        if let Err(error) = self.registry.clear_abandoned(self.now()) {
            tracing::warn!(%error, "pieces of former policies were left behind");
        }
    }

    /// What the records of a change say: what is changed, and old and new.
    fn change_tags(
        &self,
        verb: &str,
        site: &Site,
        name: &str,
        role: PolicyRole,
        bundle: Option<&[u8]>,
    ) -> Result<Vec<String>> {
        let entry = self.registry.find(site, name)?;
        let before = entry.as_ref().filter(|e| e.place == site.place()).and_then(|e| e.in_role(role));
        let after = bundle.map(Bundle::parse).transpose()?;
        let shown = |digest: Option<[u8; 32]>| digest.map_or_else(|| "none".to_owned(), |d| hex(&d[..12]));
        let sequence = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
        let word = if role == PolicyRole::Shadow { " shadow" } else { "" };
        let mut tags = vec![format!("{verb}{word}"), site.scope().to_string(), format!("name {name}")];
        let old = before.map(|b| b.manifest.terms.sequence);
        let new = after.as_ref().map(|b| b.manifest().terms.sequence);
        tags.push(format!("sequence {} -> {}", sequence(old), sequence(new)));
        tags.push(format!("digest {} -> {}", shown(before.map(|b| b.digest)), shown(after.map(|b| b.digest()))));
        Ok(tags)
    }
}
