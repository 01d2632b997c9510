//! Names of rules, so that the audit and `kmss policy explain` say more than a number (docs/policy-abi.md, section 6).

/// The number of a rule, from 1 to 16,777,215.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule(pub u32);

impl From<u32> for Rule {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

/// Names the rules of a policy, in ascending order, each with a sentence where one explains it. Each name becomes a
/// constant; the table becomes the section `kmss.rules` of the module. A module has one table.
///
/// ```
/// kmss_policy::rules! {
///     OPEN = 1 "office-hours.open";
///     CLOSED = 2 "office-hours.closed" because "the office is closed";
/// }
/// # assert_eq!(OPEN, kmss_policy::Rule(1));
/// # assert_eq!(RULES.name(2), "office-hours.closed");
/// ```
#[macro_export]
macro_rules! rules {
    ($($constant:ident = $number:literal $name:literal $(because $reason:literal)?;)*) => {
        $(
            #[doc = concat!("The rule `", $name, "`.")]
            const $constant: $crate::Rule = $crate::Rule($number);
        )*

        /// The rules of this policy.
        #[allow(dead_code, reason = "only modules and tests look at the table")]
        const RULES: $crate::RuleTable = $crate::RuleTable(&[$(($number, $name, concat!("", $($reason)?))),*]);

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "a custom section is not part of the module's memory")]
        const _: () = {
            #[unsafe(link_section = "kmss.rules")]
            static SECTION: [u8; RULES.size()] = RULES.section();
        };
    };
}

/// Numbers, names and reasons of a policy's rules; made by [`rules!`](crate::rules!).
#[derive(Clone, Copy, Debug)]
pub struct RuleTable(#[doc(hidden)] pub &'static [(u32, &'static str, &'static str)]);

impl RuleTable {
    /// The name of a rule; empty where there is no such rule.
    #[must_use]
    pub fn name(self, rule: u32) -> &'static str {
        self.0.iter().find(|(number, ..)| *number == rule).map_or("", |(_, name, _)| name)
    }

    /// The reason of a rule; empty where there is none.
    #[must_use]
    pub fn reason(self, rule: u32) -> &'static str {
        self.0.iter().find(|(number, ..)| *number == rule).map_or("", |(.., reason)| reason)
    }

    /// Length of the section.
    #[must_use]
    pub const fn size(self) -> usize {
        let mut size = 8;
        let mut rest = self.0;
        while let [(_, name, reason), more @ ..] = rest {
            size += 20 + name.len() + reason.len();
            rest = more;
        }
        size
    }

    /// The section, `N` being its [`size`](Self::size).
    #[must_use]
    pub const fn section<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        put(&mut bytes, 0, &1u32.to_le_bytes());
        put(&mut bytes, 4, &(self.0.len() as u32).to_le_bytes());
        let (mut entry, mut text, mut before) = (8, 8 + 20 * self.0.len(), 0);
        let mut rest = self.0;
        while let [(number, name, reason), more @ ..] = rest {
            if *number <= before || *number > 0x00FF_FFFF || name.len() > 256 || reason.len() > 1024 {
                fail();
            }
            before = *number;
            put(&mut bytes, entry, &number.to_le_bytes());
            put(&mut bytes, entry + 4, &(text as u32).to_le_bytes());
            put(&mut bytes, entry + 8, &(name.len() as u32).to_le_bytes());
            put(&mut bytes, text, name.as_bytes());
            text += name.len();
            put(&mut bytes, entry + 12, &(text as u32).to_le_bytes());
            put(&mut bytes, entry + 16, &(reason.len() as u32).to_le_bytes());
            put(&mut bytes, text, reason.as_bytes());
            text += reason.len();
            entry += 20;
            rest = more;
        }
        bytes
    }
}

const fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    let Some((_, room)) = bytes.split_at_mut_checked(at) else { fail() };
    let Some((target, _)) = room.split_at_mut_checked(what.len()) else { fail() };
    target.copy_from_slice(what);
}

/// Stops the compiler: what is made at compile time breaks a limit of the interface.
#[expect(clippy::panic, reason = "at compile time")]
pub(crate) const fn fail() -> ! {
    panic!("does not fit: too many bytes, or a limit of docs/policy-abi.md is broken")
}

#[cfg(test)]
mod tests {
    rules! {
        YES = 1 "first";
        NO = 9 "second" because "why";
    }

    #[test]
    fn the_section_leads_to_names_and_reasons() {
        const SECTION: [u8; RULES.size()] = RULES.section();
        let word =
            |at: usize| SECTION.get(at..at + 4).map(|four| four.iter().rev().fold(0, |n, b| n * 256 + usize::from(*b)));
        let text =
            |at: usize| word(at).zip(word(at + 4)).and_then(|(offset, length)| SECTION.get(offset..offset + length));
        assert_eq!((word(0), word(4)), (Some(1), Some(2)));
        assert_eq!((word(8), text(12), text(20)), (Some(1), Some(&b"first"[..]), Some(&b""[..])));
        assert_eq!((word(28), text(32), text(40)), (Some(9), Some(&b"second"[..]), Some(&b"why"[..])));
        assert_eq!((YES.0, NO.0, RULES.reason(9)), (1, 9, "why"));
    }
}
