//! What there is to a key's life beyond its state: moments at which that changes by itself, why it was revoked, and when it is
//! destroyed; and what the changes that people make do to it.

use serde::{Deserialize, Serialize};

use super::object::{Date, Key, KeyClass};
use super::{Action, KeyState, Rotation, Transition};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::tenant::ObjectId;

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;
/// Longest sentence that is kept with a change, in bytes.
const LONGEST_WHY: usize = 500;
/// Most tags of a key.
const MOST_TAGS: usize = 32;
/// Longest tag in bytes.
const LONGEST_TAG: usize = 64;

/// What there is to a key's life beyond its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lifecycle {
    /// When a pre-active key becomes active by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Timestamp>,
    /// When an active key is deactivated by itself: the end of its originator-usage period (SP 800-57 part 1, 5.3.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivation: Option<Timestamp>,
    /// What people call its being deactivated, where that is more than `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retirement: Option<Retirement>,
    /// That it was revoked, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// That it is to be destroyed, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// Which version of its name it is; 0 is the first, which was not counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: u32,
    /// What it is to its name, where that is not its own: `name@n` is what it is called then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The version that was made ahead and is to take the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// The first version, where it is not that itself: tokens of the vault are those of all versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<ObjectId>,
    /// Since when it has the name, where it is not the first version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it is rotated by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// For a copy: the key with whose uses its own are counted, and the rule that bounded that one when it was copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_with: Option<Box<(ObjectId, Rotation)>>,
    /// For a copy: the stored key that first had its material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub material_of: Option<ObjectId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a version is to a name that another one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It had the name.
    Former,
    /// It is to have it.
    Pending,
}

impl Lifecycle {
    /// Whether there is nothing to it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// What a copy of the key has of it: everything that bounds its use.
    #[must_use]
    pub fn of_copy(&self) -> Self {
        Self { version: 0, role: None, next: None, line: None, since: None, rotation: None, ..self.clone() }
    }

    /// The same of a copy of the key `id`, whose uses are counted with those of that key.
    #[must_use]
    pub fn of_copy_of(&self, id: ObjectId) -> Self {
        let counted = self.rotation.as_ref().filter(|rule| rule.is_counted());
        let own = counted.map(|rule| Box::new((id, rule.clone())));
        Self { counts_with: self.counts_with.clone().or(own), ..self.of_copy() }
    }

    /// Whether the clock alone may change what the key does.
    #[must_use]
    pub const fn has_moments(&self) -> bool {
        self.activation.is_some() || self.deactivation.is_some() || self.deletion.is_some()
    }
}

/// Why a deactivated key does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retirement {
    /// A newer version took its place.
    Rotated,
    /// It is kept for what it protected.
    Archived,
    /// It was revoked for a reason that is no compromise.
    Revoked,
}

impl Retirement {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Archived => "archived",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a key is revoked (RFC 5280, 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// Nothing is said.
    Unspecified,
    /// The key is known or feared to be in other hands.
    KeyCompromise,
    /// The authority that speaks for it is.
    CaCompromise,
    /// Whom it belongs to has another name or place.
    AffiliationChanged,
    /// Another key took its place.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// For the time being.
    CertificateHold,
    /// Whom it belongs to may not use it any more.
    PrivilegeWithdrawn,
    /// The authority for attributes is known or feared to be in other hands.
    AaCompromise,
}

impl RevocationReason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// Its name for people, in the words of RFC 5280.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::CaCompromise => "ca-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::CertificateHold => "certificate-hold",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
            Self::AaCompromise => "aa-compromise",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The state that a key is in for this reason.
    #[must_use]
    pub const fn state(self) -> KeyState {
        match self {
            Self::KeyCompromise | Self::CaCompromise | Self::AaCompromise => KeyState::Compromised,
            Self::CertificateHold => KeyState::Suspended,
            _ => KeyState::Deactivated,
        }
    }
}

/// That a key was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Why.
    pub reason: RevocationReason,
    /// When.
    pub time: Timestamp,
    /// By whom.
    pub by: String,
    /// What they said of it.
    pub why: String,
}

/// That a key is to be destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Not before.
    pub due: Timestamp,
    /// When that was asked for.
    pub asked: Timestamp,
    /// By whom.
    pub by: String,
    /// What they said of it.
    pub why: String,
    /// The state that it returns to where it is called off.
    pub before: KeyState,
}

impl Deletion {
    /// Fewest, usual and most days between asking and destroying.
    pub const DAYS: (u16, u16, u16) = (7, 30, 30);
}

impl Key {
    /// The state that the key is in at `now`: as it was put, but for moments that have come.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> KeyState {
        let life = &self.lifecycle;
        let begun = match self.state {
            KeyState::PreActive if life.activation.is_some_and(|moment| moment <= now) => KeyState::Active,
            state => state,
        };
        match begun {
            KeyState::Active if self.start.is_some_and(|start| Date::of(now) < start) => KeyState::PreActive,
            KeyState::Active if life.deactivation.is_some_and(|moment| moment <= now) => KeyState::Deactivated,
            state => state,
        }
    }

    /// What people call the state that it is in at `now`.
    #[must_use]
    pub fn state_word(&self, now: Timestamp) -> &'static str {
        let state = self.state_at(now);
        match (state, self.lifecycle.retirement) {
            (KeyState::Deactivated, Some(retirement)) => retirement.name(),
            (KeyState::Active | KeyState::Deactivated, _) if self.is_expired(now) => "expired",
            _ => state.name(),
        }
    }

    /// Which version of its name the key is, from 1 on.
    #[must_use]
    pub fn version_number(&self) -> u32 {
        self.lifecycle.version.max(1)
    }

    /// The highest number that a version of its name has, as far as this one knows.
    #[must_use]
    pub fn newest_number(&self) -> u32 {
        self.lifecycle.next.unwrap_or_default().max(self.version_number())
    }

    /// The name that all versions of the key share.
    #[must_use]
    pub fn base_name(&self) -> &str {
        let suffix = self.lifecycle.role.map(|_| format!("@{}", self.version_number()));
        suffix.and_then(|suffix| self.name.strip_suffix(&*suffix)).unwrap_or(&self.name)
    }

    /// When the key is rotated by itself; `created` is when its object was made.
    #[must_use]
    pub fn rotates_at(&self, created: Timestamp) -> Option<Timestamp> {
        let days = self.lifecycle.rotation.as_ref().map(|rule| u64::from(rule.days)).filter(|days| *days != 0)?;
        let since = self.lifecycle.since.unwrap_or(created);
        Some(Timestamp(since.0.saturating_add(days.saturating_mul(DAY))))
    }

    /// Refuses to rotate a key whose name is not to protect anything new: only the security officer undoes what they said of it.
    /// What is compromised or superseded is replaced by a new version, and by nothing else.
    ///
    /// # Errors
    /// [`ErrorKind::KeyState`].
    pub fn check_rotates(&self, now: Timestamp) -> Result<()> {
        let (state, word) = (self.state_at(now), self.state_word(now));
        let superseded = self.lifecycle.retirement == Some(Retirement::Revoked)
            && self.lifecycle.revocation.as_ref().is_some_and(|r| r.reason == RevocationReason::Superseded);
        let why = match state {
            KeyState::Active | KeyState::Compromised => return Ok(()),
            KeyState::Deactivated if superseded => return Ok(()),
            KeyState::Deactivated if self.lifecycle.deactivation.is_some_and(|moment| moment <= now) => {
                "the moment at which the key is deactivated has passed: the security officer changes that first"
                    .to_owned()
            }
            KeyState::Suspended | KeyState::Deactivated if self.lifecycle.retirement.is_none() => {
                format!("a key that is {word} is not rotated: the security officer enables it first")
            }
            _ => format!("a key that is {word} is not rotated"),
        };
        Err(Error::new(ErrorKind::KeyState, why))
    }

    /// What the uses of the key, whose object is `id`, are counted for, and under the identity of which object. A public half
    /// is used by others too, where nobody counts.
    #[must_use]
    pub fn counted(&self, id: ObjectId) -> Option<(ObjectId, &Rotation)> {
        let life = &self.lifecycle;
        let own = life.rotation.as_ref().filter(|rule| rule.is_counted() && self.class != KeyClass::Public);
        let copied = || life.counts_with.as_deref().map(|(of, rule)| (*of, rule));
        own.map(|rule| (id, rule)).or_else(copied)
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.end.is_some_and(|end| Date::of(now) > end)
    }

    /// Refuses what the key does not do at `now`.
    ///
    /// # Errors
    /// [`ErrorKind::KeyState`].
    pub fn check_state(&self, action: Action, now: Timestamp) -> Result<()> {
        let refused = |why: String| Err(Error::new(ErrorKind::KeyState, why));
        let (state, deletion) = (self.state_at(now), self.lifecycle.deletion.as_ref());
        if !state.allows(action) {
            return match (state, self.start) {
                (KeyState::PreActive, Some(_)) if self.state != KeyState::PreActive => {
                    refused("the key's start date has not come yet".to_owned())
                }
                _ => refused(format!("the key is {}", self.state_word(now))),
            };
        }
        if action == Action::Destroy
            && let Some(deletion) = deletion.filter(|deletion| state == KeyState::PendingDeletion && now < deletion.due)
        {
            let due = deletion.due.utc();
            return refused(format!("the key is destroyed at {due} and not before: call that off first"));
        }
        let used = !matches!(action, Action::Find | Action::Manage | Action::ChangeState | Action::Destroy);
        if used && self.is_expired(now) {
            return refused("the key's end date has passed".to_owned());
        }
        Ok(())
    }

    /// Makes a change that `by` asks for at `now`.
    ///
    /// # Errors
    /// [`ErrorKind::KeyState`] where the key's state does not allow it; [`ErrorKind::Arguments`] for days or moments out of
    /// their range, and for sentences that are too long.
    pub fn transit(&mut self, transition: &Transition, by: &str, now: Timestamp) -> Result<()> {
        match transition {
            Transition::Enable => self.enable(now),
            Transition::Disable => self.enter(KeyState::Deactivated, now),
            Transition::Suspend => self.enter(KeyState::Suspended, now),
            Transition::Archive => {
                if self.state_at(now) != KeyState::Deactivated {
                    self.enter(KeyState::Deactivated, now)?;
                }
                self.state = KeyState::Deactivated;
                self.lifecycle.retirement = Some(Retirement::Archived);
                Ok(())
            }
            Transition::Revoke { reason, why } => {
                let state = reason.state();
                if self.state_at(now) != state {
                    self.enter(state, now)?;
                }
                self.state = state;
                if state == KeyState::Deactivated {
                    self.lifecycle.retirement = Some(Retirement::Revoked);
                }
                let (by, why) = (by.to_owned(), sentence(why)?);
                self.lifecycle.revocation = Some(Revocation { reason: *reason, time: now, by, why });
                Ok(())
            }
            Transition::Schedule { activation, deactivation } => self.schedule((*activation, *deactivation), now),
            Transition::Delete { days, why } => self.delete(*days, (by, why), now),
            Transition::Keep => match self.lifecycle.deletion.take() {
                Some(deletion) if self.state == KeyState::PendingDeletion => {
                    self.state = deletion.before;
                    Ok(())
                }
                _ => Err(Error::new(ErrorKind::KeyState, "the key is not to be destroyed")),
            },
            Transition::Rotate(rule) => self.rotate_by(rule.as_ref()),
            Transition::Describe(description) => self.metadata.describe(description),
            Transition::Tag(tags) => self.tag(tags),
            Transition::Audit(mode) => {
                self.audit = *mode;
                Ok(())
            }
        }
    }

    fn tag(&mut self, tags: &[String]) -> Result<()> {
        let plain = |tag: &String| {
            let word = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=".contains(&b));
            word && (1..=LONGEST_TAG).contains(&tag.len())
        };
        if tags.len() > MOST_TAGS || !tags.iter().all(plain) {
            let why = format!(
                "a key has at most {MOST_TAGS} tags, each of 1 to {LONGEST_TAG} letters, digits, `-`, `_`, `.`, `:` or `=`"
            );
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        self.tags = tags_in_order(tags);
        self.metadata.tags_found = true;
        Ok(())
    }

    /// Puts the key into `state`, where that may follow. The one it is in already is no change.
    ///
    /// # Errors
    /// [`ErrorKind::KeyState`].
    pub fn enter(&mut self, state: KeyState, now: Timestamp) -> Result<()> {
        let current = self.state_at(now);
        let refused = |why: String| Err(Error::new(ErrorKind::KeyState, why));
        if current == KeyState::PendingDeletion && state != current {
            return refused("the key is pending-deletion: call its destruction off first".to_owned());
        }
        if current != state && !current.successors().contains(&state) {
            return refused(format!("a key that is {} does not become {}", self.state_word(now), state.name()));
        }
        if let (KeyState::Active, Some(retirement)) = (state, self.retired()) {
            return refused(format!("the key is {}, for good", retirement.name()));
        }
        if state == KeyState::PendingDeletion || state == KeyState::Destroyed {
            return refused("a key is destroyed by asking for that".to_owned());
        }
        self.state = state;
        Ok(())
    }

    /// Why it does not come back: a version that had the name never does, whatever state it was in then.
    fn retired(&self) -> Option<Retirement> {
        let former = (self.lifecycle.role == Some(Role::Former)).then_some(Retirement::Rotated);
        self.lifecycle.retirement.or(former)
    }

    fn enable(&mut self, now: Timestamp) -> Result<()> {
        if self.lifecycle.deactivation.is_some_and(|moment| moment <= now) {
            let why = "the moment at which the key is deactivated has passed: change that first";
            return Err(Error::new(ErrorKind::KeyState, why));
        }
        // What another version took the place of comes back from being on hold to what it was.
        let suspended = self.state_at(now) == KeyState::Suspended;
        if let Some(retirement) = self.retired().filter(|_| suspended) {
            self.enter(KeyState::Deactivated, now)?;
            self.lifecycle.retirement = Some(retirement);
        } else {
            self.enter(KeyState::Active, now)?;
        }
        self.lifecycle.activation = None;
        // What was on hold is not.
        if self.lifecycle.revocation.as_ref().is_some_and(|r| r.reason == RevocationReason::CertificateHold) {
            self.lifecycle.revocation = None;
        }
        Ok(())
    }

    fn schedule(
        &mut self,
        moments: (Option<Option<Timestamp>>, Option<Option<Timestamp>>),
        now: Timestamp,
    ) -> Result<()> {
        let (activation, deactivation) = moments;
        let refused = |kind, why: &str| Err(Error::new(kind, why.to_owned()));
        if activation.is_some() {
            if self.state != KeyState::PreActive || self.state_at(now) != KeyState::PreActive {
                return refused(ErrorKind::KeyState, "only a pre-active key is activated by itself");
            }
            self.lifecycle.activation = activation.flatten();
        }
        if deactivation.is_some() {
            if !matches!(self.state, KeyState::PreActive | KeyState::Active | KeyState::Suspended) {
                return refused(ErrorKind::KeyState, "the key is deactivated already, or more than that");
            }
            self.lifecycle.deactivation = deactivation.flatten();
        }
        match (self.lifecycle.activation, self.lifecycle.deactivation) {
            (Some(from), Some(to)) if to <= from => {
                refused(ErrorKind::Arguments, "the key would be deactivated before it is activated")
            }
            _ => Ok(()),
        }
    }

    fn rotate_by(&mut self, rule: Option<&Rotation>) -> Result<()> {
        rule.map_or(Ok(()), Rotation::check)?;
        if self.lifecycle.role.is_some() {
            let why = format!("`{}` is a version of `{}`: say that of the key itself", self.name, self.base_name());
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        self.lifecycle.rotation = rule.cloned();
        Ok(())
    }

    fn delete(&mut self, days: u16, (by, why): (&str, &str), now: Timestamp) -> Result<()> {
        let (fewest, _, most) = Deletion::DAYS;
        if !(fewest..=most).contains(&days) {
            let why = format!("a key is destroyed {fewest} to {most} days after that is asked for");
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        let current = self.state_at(now);
        if !current.successors().contains(&KeyState::PendingDeletion) {
            return Err(Error::new(ErrorKind::KeyState, format!("the key is {} already", self.state_word(now))));
        }
        let due = Timestamp(now.0.saturating_add(u64::from(days).saturating_mul(DAY)));
        let (by, why) = (by.to_owned(), sentence(why)?);
        self.lifecycle.deletion = Some(Deletion { due, asked: now, by, why, before: self.state });
        self.state = KeyState::PendingDeletion;
        Ok(())
    }
}

/// Tags as a key has them: sorted, each once.
#[must_use]
pub fn tags_in_order(tags: &[String]) -> Vec<String> {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn sentence(why: &str) -> Result<String> {
    if why.len() > LONGEST_WHY || why.chars().any(char::is_control) {
        let why = format!("what is said of the change is one line of at most {LONGEST_WHY} bytes");
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    Ok(why.to_owned())
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
