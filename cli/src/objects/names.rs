//! Numbered names, of many keys that are made at once.

use crate::output::Failure;

/// `stem-first` and so on, `count` of them.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    /// What all begin with.
    pub(crate) stem: &'a str,
    /// The number of the first.
    pub(crate) first: u32,
    /// How many they are.
    pub(crate) count: u32,
}

/// A name that no new key can have.
pub(crate) enum Taken {
    /// A key has it.
    ByKey(String),
    /// A destroyed key keeps it.
    ByDestroyed(String),
}

impl Names<'_> {
    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// The one at `place`, counted from 0.
    pub(crate) fn at(&self, place: u32) -> String {
        format!("{}-{}", self.stem, self.first.saturating_add(place))
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = String> {
        (0..self.count).map(|place| self.at(place))
    }

    /// Whether `name` is one of them.
    pub(crate) fn contains(&self, name: &str) -> bool {
        let number = name.strip_prefix(self.stem).and_then(|rest| rest.strip_prefix('-'));
        // `007` is a number, and no name of these.
        let place = number.filter(|digits| !digits.starts_with(['0', '+'])).and_then(|digits| digits.parse().ok());
        place.and_then(|number: u32| number.checked_sub(self.first)).is_some_and(|place| place < self.count)
    }
}

impl Taken {
    /// Why no key of `token` is made.
    pub(crate) fn refusal(&self, token: &str) -> Failure {
        match self {
            Self::ByKey(name) => format!("a key named `{name}` exists already in token `{token}`"),
            Self::ByDestroyed(name) => format!(
                "a destroyed key keeps the name `{name}` in token `{token}`: choose others, or release it (`kmss key release-name \
                 {name} --token {token}`)"
            ),
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_are_made_are_those_that_are_looked_for() {
        let names = Names { stem: "user-a", first: 9, count: 3 };
        let all: Vec<String> = names.all().collect();
        assert_eq!(all, ["user-a-9", "user-a-10", "user-a-11"]);
        assert!(all.iter().all(|name| names.contains(name)));
        let others =
            ["user-a-8", "user-a-12", "user-a-09", "user-a-+9", "user-a-", "user-a9", "user-a", "user-b-9", "-9"];
        assert!(!others.iter().any(|name| names.contains(name)));
        assert!(!names.contains("user-a-99999999999999999999"));
    }
}
