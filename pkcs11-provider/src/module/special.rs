//! Objects that nobody made: the token's profiles and mechanisms and its clock (PKCS#11 3.2, 4.3, 4.10 and 4.11).
//!
//! They are public, the same in every session, and shown only to searches that name their class: 4.3.1 says so of hardware
//! features, and programs that list everything know nothing of the others.

use cryptoki_sys::{
    self as c, CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CK_OBJECT_CLASS, CK_OBJECT_HANDLE, CK_PROFILE_ID, CKH_CLOCK,
    CKO_HW_FEATURE, CKO_MECHANISM, CKO_PROFILE, CKP_AUTHENTICATION_TOKEN, CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER,
    CKR_ACTION_PROHIBITED,
};
use libkmss::clock::Timestamp;
use libkmss::key::Date;

use crate::mechanisms::Profile;
use crate::module::session::SessionView;
use crate::raw::template::{Answer, Template};
use crate::rv::{Result, Rv};

/// Their handles, above all that are counted up to: the clock, then profiles, then mechanisms in the order of the list.
const CLOCK: CK_OBJECT_HANDLE = CK_OBJECT_HANDLE::MAX - 0x1_0000;
const PROFILES: CK_OBJECT_HANDLE = CLOCK + 0x100;
const MECHANISMS: CK_OBJECT_HANDLE = CLOCK + 0x1000;

/// The profiles that the module keeps (PKCS#11 Profiles 3.1).
const KEPT: [CK_PROFILE_ID; 3] = [CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER, CKP_AUTHENTICATION_TOKEN];

/// An object that nobody made.
#[derive(Clone, Copy)]
pub(crate) enum Special {
    /// The clock, at a time.
    Clock(Timestamp),
    /// A profile.
    Profile(CK_PROFILE_ID),
    /// A mechanism.
    Mechanism(CK_MECHANISM_TYPE),
}

/// All of a class, with their handles; `None` for classes of objects that somebody makes.
fn of_class(view: &SessionView, class: CK_OBJECT_CLASS) -> Option<Vec<(CK_OBJECT_HANDLE, Special)>> {
    Some(match class {
        CKO_HW_FEATURE => vec![(CLOCK, Special::Clock(view.kms.now()))],
        CKO_PROFILE => (PROFILES..).zip(KEPT.map(Special::Profile)).collect(),
        CKO_MECHANISM => (MECHANISMS..CK_OBJECT_HANDLE::MAX)
            .zip(Profile::for_settings(&view.caller.namespace.settings).list().map(Special::Mechanism))
            .collect(),
        _ => return None,
    })
}

/// The handles that a search for a class of special objects finds; `None` for other searches.
pub(crate) fn search(view: &SessionView, template: &Template) -> Option<Vec<CK_OBJECT_HANDLE>> {
    let all = of_class(view, template.number(c::CKA_CLASS).ok()??)?;
    let matches =
        |special: &Special| template.iter().all(|(kind, wanted)| special.answer(kind) == Answer::bytes(wanted));
    Some(all.into_iter().filter(|(_, special)| matches(special)).map(|(handle, _)| handle).collect())
}

/// The special object behind a handle.
pub(crate) fn find(view: &SessionView, handle: CK_OBJECT_HANDLE) -> Option<Special> {
    let class = match handle {
        CLOCK => CKO_HW_FEATURE,
        PROFILES..MECHANISMS => CKO_PROFILE,
        MECHANISMS.. => CKO_MECHANISM,
        _ => return None,
    };
    of_class(view, class)?.into_iter().find(|(known, _)| *known == handle).map(|(_, special)| special)
}

/// Refuses to copy, change or destroy a special object.
pub(crate) const fn refuse(handle: CK_OBJECT_HANDLE) -> Result<()> {
    if handle < CLOCK { Ok(()) } else { Err(Rv(CKR_ACTION_PROHIBITED)) }
}

impl Special {
    /// What C_GetAttributeValue says of one attribute.
    pub(crate) fn answer(&self, kind: CK_ATTRIBUTE_TYPE) -> Answer {
        match (self, kind) {
            (Self::Clock(_), c::CKA_CLASS) => Answer::number(CKO_HW_FEATURE),
            (Self::Profile(_), c::CKA_CLASS) => Answer::number(CKO_PROFILE),
            (Self::Mechanism(_), c::CKA_CLASS) => Answer::number(CKO_MECHANISM),
            (_, c::CKA_TOKEN) => Answer::flag(true),
            (_, c::CKA_PRIVATE | c::CKA_MODIFIABLE | c::CKA_COPYABLE | c::CKA_DESTROYABLE) => Answer::flag(false),
            (Self::Clock(_), c::CKA_HW_FEATURE_TYPE) => Answer::number(CKH_CLOCK),
            (Self::Clock(now), c::CKA_VALUE) => Answer::bytes(&clock_value(*now)),
            (Self::Profile(id), c::CKA_PROFILE_ID) => Answer::number(*id),
            (Self::Mechanism(number), c::CKA_MECHANISM_TYPE) => Answer::number(*number),
            _ => Answer::Unknown,
        }
    }
}

/// `YYYYMMDDhhmmss00` in UTC, as a clock's value (4.3.2) and the time in CK_TOKEN_INFO (3.2) have it.
pub(crate) fn clock_value(now: Timestamp) -> [u8; 16] {
    let mut value = [b'0'; 16];
    let seconds = now.0 / 1000;
    let clock = format!("{:02}{:02}{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    value.iter_mut().zip(Date::of(now).0.iter().chain(clock.as_bytes())).for_each(|(to, from)| *to = *from);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_tells_the_time_as_sixteen_digits() {
        assert_eq!(clock_value(Timestamp(1_709_164_800_000)), *b"2024022900000000");
        assert_eq!(clock_value(Timestamp(1_709_210_096_789)), *b"2024022912345600");
    }
}
