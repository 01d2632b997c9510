//! Key states (NIST SP 800-57 part 1, section 7) and what each allows.

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
    /// Known or feared to be in other hands; treated as deactivated.
    Compromised,
}

impl KeyState {
    /// Whether a key in this state may do `action`. Managing and destroying is always possible.
    #[must_use]
    pub const fn allows(self, action: Action) -> bool {
        match action {
            Action::Sign | Action::Encrypt | Action::Wrap | Action::Derive | Action::Encapsulate | Action::Tokenize => {
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
            _ => true,
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
