//! `[[hsm_group]]`: several HSMs that hold the same keys.

use serde::Deserialize;

use super::file::within;
use super::{HsmConfig, RemoteConfig, Routing};
use crate::tenant::BackendId;

/// How many members a group has.
const MEMBERS: std::ops::RangeInclusive<usize> = 2..=8;

/// An `[[hsm_group]]`: docs/hsm.md says what it means.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HsmGroupConfig {
    /// Its name, which keys and tokens carry.
    #[serde(deserialize_with = "super::hsm::name")]
    pub name: String,
    /// The names of its HSMs, 2 to 8, each of them in this group alone.
    pub members: Vec<String>,
    /// Which of them a call goes to.
    #[serde(default = "first")]
    pub routing: Routing,
    /// How long a call looks for a member that takes it, in milliseconds, 50 to 600,000.
    #[serde(default = "deadline", deserialize_with = "within::<50, 600_000, _>")]
    pub deadline_ms: u32,
    /// Whether keys stay extractable in the HSMs once every member has them, so that an HSM which comes later can be given
    /// them.
    #[serde(default)]
    pub clonable: bool,
}

const fn first() -> Routing {
    Routing::Priority
}

const fn deadline() -> u32 {
    2_000
}

/// What is wrong with `groups` beside `hsms` and `remotes`, in words.
pub(super) fn complaint(groups: &[HsmGroupConfig], hsms: &[HsmConfig], remotes: &[RemoteConfig]) -> Option<String> {
    for (at, group) in groups.iter().enumerate() {
        let name = &group.name;
        let before = groups.get(..at).unwrap_or_default();
        let taken = before.iter().any(|other| other.name == *name)
            || hsms.iter().any(|hsm| hsm.name == *name)
            || remotes.iter().any(|remote| remote.name == *name);
        if taken || *name == *BackendId::soft().0 {
            return Some(format!("the HSM group `{name}` has the name of another backend: rename it"));
        }
        if !MEMBERS.contains(&group.members.len()) {
            let (least, most) = MEMBERS.into_inner();
            return Some(format!("the HSM group `{name}` needs {least} to {most} `members`"));
        }
        for (place, member) in group.members.iter().enumerate() {
            if !hsms.iter().any(|hsm| hsm.name == *member) {
                return Some(format!("the HSM group `{name}` has the member `{member}`, and no [[hsm]] is called so"));
            }
            if group.members.iter().take(place).any(|other| other == member) {
                return Some(format!("the HSM group `{name}` names its member `{member}` twice"));
            }
            if let Some(other) = before.iter().find(|other| other.members.contains(member)) {
                return Some(format!(
                    "the HSM `{member}` is a member of the groups `{}` and `{name}`: it can be in one",
                    other.name
                ));
            }
        }
    }
    None
}
