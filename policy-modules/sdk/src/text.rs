//! Texts of a request: UTF-8 in the host's buffer, compared as bytes.

use core::fmt;

/// A text of the request. What does not apply is empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub(crate) &'a [u8]);

impl<'a> Text<'a> {
    /// Whether there is nothing in it, which is how the host says that it does not apply.
    #[must_use]
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes.
    #[must_use]
    #[inline(always)]
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// As a string. `None` where it is not UTF-8, which no host sends. Comparisons do not need it, and are cheaper.
    #[must_use]
    #[inline(always)]
    pub const fn as_str(self) -> Option<&'a str> {
        match core::str::from_utf8(self.0) {
            Ok(text) => Some(text),
            Err(_) => None,
        }
    }

    /// Whether it begins with `prefix`.
    #[must_use]
    #[inline(always)]
    pub fn starts_with(self, prefix: &str) -> bool {
        self.0.starts_with(prefix.as_bytes())
    }

    /// Whether it ends with `suffix`.
    #[must_use]
    #[inline(always)]
    pub fn ends_with(self, suffix: &str) -> bool {
        self.0.ends_with(suffix.as_bytes())
    }

    /// What follows `prefix`, where it begins with it.
    #[must_use]
    #[inline(always)]
    pub fn strip_prefix(self, prefix: &str) -> Option<Text<'a>> {
        self.0.strip_prefix(prefix.as_bytes()).map(Text)
    }

    /// What stands before and after the first `mark`.
    #[must_use]
    #[inline(always)]
    pub fn split_once(self, mark: u8) -> Option<(Text<'a>, Text<'a>)> {
        let at = self.0.iter().position(|byte| *byte == mark)?;
        let (before, rest) = self.0.split_at_checked(at)?;
        Some((Text(before), Text(rest.get(1..)?)))
    }

    /// The number that it is in decimal digits and nothing else. `None` for any other text, and where it is too large.
    #[must_use]
    #[inline(always)]
    pub fn number(self) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        self.0.iter().try_fold(0u64, |number, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            // Rather than `checked_mul`, which wasm32 does with 128 bits and a stack.
            (number <= u64::MAX / 10).then(|| number * 10)?.checked_add(u64::from(digit))
        })
    }
}

impl PartialEq<str> for Text<'_> {
    #[inline(always)]
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    #[inline(always)]
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Text<'_> {
    #[inline(always)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_str(), f)
    }
}

/// Who asks: `kind:name`, such as `service:order-v1`. The host says it; no caller names its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal<'a>(pub(crate) Text<'a>);

impl<'a> Principal<'a> {
    /// All of it.
    #[must_use]
    #[inline(always)]
    pub const fn text(self) -> Text<'a> {
        self.0
    }

    /// What stands before the colon: `service`, `user` …
    #[must_use]
    #[inline(always)]
    pub fn kind(self) -> Text<'a> {
        self.0.split_once(b':').map_or(Text(b""), |(kind, _)| kind)
    }

    /// What stands behind the first colon.
    #[must_use]
    #[inline(always)]
    pub fn name(self) -> Text<'a> {
        self.0.split_once(b':').map_or(self.0, |(_, name)| name)
    }

    /// Whether it is `pattern`, or begins with what stands before a `*` at the pattern's end: `service:log-*`.
    #[must_use]
    #[inline(always)]
    pub fn is(self, pattern: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some(prefix) => self.0.starts_with(prefix),
            None => self.0 == pattern,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        assert_eq!(Text(b"1000").number(), Some(1000));
        assert_eq!(Text(b"18446744073709551615").number(), Some(u64::MAX));
        for bad in ["", "-1", "1e3", "1.0", " 1", "18446744073709551616"] {
            assert_eq!(Text(bad.as_bytes()).number(), None, "{bad}");
        }
    }

    #[test]
    fn a_principal_is_its_kind_and_its_name() {
        let principal = Principal(Text(b"service:order:v1"));
        assert!(principal.kind() == "service" && principal.name() == "order:v1");
        assert!(principal.is("service:*") && principal.is("service:order:v1"));
        assert!(!principal.is("service:order") && !principal.is("user:*"));
    }
}
