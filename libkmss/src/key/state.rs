//! Key states (NIST SP 800-57 part 1, section 7), what each allows, and which follow which.
//!
//! docs/keys.md has both tables; a test compares them.

use super::Action;

/// State of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Made, not to be used yet.
    PreActive,
    /// In use.
    #[default]
    Active,
    /// On hold: nothing at all.
    Suspended,
    /// Disabled: protects nothing new, still processes what was protected before.
    Deactivated,
    /// Known or feared to be in other hands; treated as deactivated, for good.
    Compromised,
    /// Waits for its destruction: nothing at all until then, unless that is called off.
    PendingDeletion,
    /// Gone; at most a tombstone tells of it.
    Destroyed,
}

impl KeyState {
    /// All of them, in the order of a key's life.
    pub const ALL: [Self; 7] = [
        Self::PreActive,
        Self::Active,
        Self::Suspended,
        Self::Deactivated,
        Self::Compromised,
        Self::PendingDeletion,
        Self::Destroyed,
    ];

    /// Whether a key in this state may do `action`. Finding it and moving it between states is possible as long as it is there;
    /// what is pending is destroyed when it is due, which [`Key::check_state`](super::Key::check_state) looks at.
    #[must_use]
    pub const fn allows(self, action: Action) -> bool {
        match action {
            Action::Sign
            | Action::Encrypt
            | Action::Wrap
            | Action::Derive
            | Action::DeriveChild
            | Action::Encapsulate
            | Action::Tokenize => {
                matches!(self, Self::Active)
            }
            Action::Verify
            | Action::Decrypt
            | Action::Unwrap
            | Action::Decapsulate
            | Action::Export
            | Action::Detokenize
            | Action::ReadMasked => {
                matches!(self, Self::Active | Self::Deactivated | Self::Compromised)
            }
            Action::Manage => !matches!(self, Self::PendingDeletion | Self::Destroyed),
            _ => !matches!(self, Self::Destroyed),
        }
    }

    /// The states that a key in this one may be moved to. One that is pending returns only to where it came from.
    #[must_use]
    pub const fn successors(self) -> &'static [Self] {
        use KeyState::{Active, Compromised, Deactivated, Destroyed, PendingDeletion, PreActive, Suspended};
        match self {
            PreActive => &[Active, Suspended, Deactivated, Compromised, PendingDeletion, Destroyed],
            Active => &[Suspended, Deactivated, Compromised, PendingDeletion, Destroyed],
            Suspended => &[Active, Deactivated, Compromised, PendingDeletion, Destroyed],
            Deactivated => &[Active, Compromised, PendingDeletion, Destroyed],
            Compromised => &[PendingDeletion, Destroyed],
            PendingDeletion => &[PreActive, Active, Suspended, Deactivated, Compromised, Destroyed],
            Destroyed => &[],
        }
    }

    /// The word for people and the audit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreActive => "pre-active",
            Self::Active => "enabled",
            Self::Suspended => "suspended",
            Self::Deactivated => "disabled",
            Self::Compromised => "compromised",
            Self::PendingDeletion => "pending-deletion",
            Self::Destroyed => "destroyed",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ACTIONS: [Action; 18] = [
        Action::Sign,
        Action::Encrypt,
        Action::Wrap,
        Action::Derive,
        Action::DeriveChild,
        Action::Encapsulate,
        Action::Tokenize,
        Action::Verify,
        Action::Decrypt,
        Action::Unwrap,
        Action::Decapsulate,
        Action::Detokenize,
        Action::ReadMasked,
        Action::Export,
        Action::Find,
        Action::Manage,
        Action::ChangeState,
        Action::Destroy,
    ];

    #[test]
    fn a_disabled_key_protects_nothing_new_and_still_processes_the_old() {
        let s = KeyState::Deactivated;
        assert!(!s.allows(Action::Sign) && !s.allows(Action::Encrypt) && !s.allows(Action::Wrap));
        assert!(s.allows(Action::Verify) && s.allows(Action::Decrypt) && s.allows(Action::Destroy));
        assert!(!s.allows(Action::Encapsulate) && s.allows(Action::Decapsulate));
        assert!(!s.allows(Action::Tokenize) && s.allows(Action::Detokenize) && s.allows(Action::ReadMasked));
        assert!(!KeyState::Suspended.allows(Action::Verify));
        assert!(!KeyState::Suspended.allows(Action::Encapsulate) && !KeyState::Suspended.allows(Action::Decapsulate));
    }

    #[test]
    fn what_is_compromised_or_destroyed_never_protects_again() {
        for from in [KeyState::Compromised, KeyState::Destroyed] {
            assert!(!from.successors().contains(&KeyState::Active));
        }
        assert!(KeyState::ALL.iter().all(|from| !from.successors().contains(from)));
    }

    #[test]
    fn the_documented_tables_are_the_ones_in_force() {
        let docs = include_str!("../../../docs/keys.md");
        for action in ACTIONS {
            let cells = KeyState::ALL.map(|state| if state.allows(action) { "yes" } else { "–" });
            let row = format!("| {} | {} |", action.name(), cells.join(" | "));
            assert!(docs.contains(&row), "docs/keys.md lacks: {row}");
        }
        for from in KeyState::ALL {
            let to: Vec<&str> = from.successors().iter().map(|to| to.name()).collect();
            let row = format!("| {} | {} |", from.name(), if to.is_empty() { "–".to_owned() } else { to.join(", ") });
            assert!(docs.contains(&row), "docs/keys.md lacks: {row}");
        }
    }
}
