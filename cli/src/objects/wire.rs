//! Lists and numbers as the contract of servers has them.

use libkmss::catalog::ObjectKind;
use libkmss::key::KeyClass;
use libkmss::operation::Draft;
use remote::proto;

use crate::output::Failure;

/// What was on the pages of a list, up to where it ended: what changes something did all of it, however it ended.
#[must_use]
pub(crate) struct Seen<T> {
    /// In the order of the pages.
    pub(crate) all: Vec<T>,
    /// Why it is not all that there is.
    pub(crate) ended: Result<(), Failure>,
}

impl<T> Seen<T> {
    /// All of it.
    ///
    /// # Errors
    /// What it ended with before.
    pub(crate) fn whole(self) -> Result<Vec<T>, Failure> {
        self.ended.map(|()| self.all)
    }
}

/// A page, each of whose items may be one that cannot be understood, and where the next one begins.
pub(super) type Page<T> = (Vec<Result<T, Failure>>, Vec<u8>);

/// Each item of a page, as `of` reads it.
pub(super) fn each<W, T>(page: Vec<W>, of: impl FnMut(W) -> Result<T, Failure>) -> Vec<Result<T, Failure>> {
    page.into_iter().map(of).collect()
}

/// What is on the pages of a list; `ask` is told where a page begins.
pub(super) fn paged<T>(mut ask: impl FnMut(Vec<u8>) -> Result<Page<T>, Failure>) -> Seen<T> {
    let mut all = Vec::new();
    let mut next = |token| -> Result<Vec<u8>, Failure> {
        let (page, next) = ask(token)?;
        let mut bad = None;
        for item in page {
            match item {
                Ok(item) => all.push(item),
                Err(why) => bad = bad.or(Some(why)),
            }
        }
        bad.map_or(Ok(next), Err)
    };
    let mut token = Vec::new();
    let ended = loop {
        match next(token) {
            Ok(next) if next.is_empty() => break Ok(()),
            Ok(next) => token = next,
            Err(why) => break Err(why),
        }
    };
    Seen { all, ended }
}

/// A draft as a server is asked for it: without an identity. That follows from the id of the request, so that any server of the
/// store finds what was made where the request comes again.
pub(super) fn asked(draft: &Draft) -> proto::Draft {
    proto::Draft { id: Vec::new(), ..draft.into() }
}

/// A class as the contract has it.
pub(super) const fn class_number(class: KeyClass) -> proto::KeyClass {
    match class {
        KeyClass::Secret => proto::KeyClass::Secret,
        KeyClass::Private => proto::KeyClass::Private,
        KeyClass::Public => proto::KeyClass::Public,
    }
}

/// A kind of objects as the contract has it.
pub(super) const fn kind_number(kind: ObjectKind) -> proto::ObjectKind {
    match kind {
        ObjectKind::Key(KeyClass::Secret) => proto::ObjectKind::SecretKey,
        ObjectKind::Key(KeyClass::Private) => proto::ObjectKind::PrivateKey,
        ObjectKind::Key(KeyClass::Public) => proto::ObjectKind::PublicKey,
        ObjectKind::Certificate => proto::ObjectKind::Certificate,
        ObjectKind::Data => proto::ObjectKind::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_a_page_that_fails_is_told() {
        let asked = std::cell::Cell::new(0_u8);
        let seen = paged(|token| {
            assert_eq!(token, if asked.get() == 0 { vec![] } else { vec![asked.get()] });
            asked.set(asked.get() + 1);
            match asked.get() {
                3 => Err("it is gone".into()),
                page => Ok((vec![Ok(page * 10), Ok(page * 10 + 1)], vec![page])),
            }
        });
        assert_eq!(seen.all, [10, 11, 20, 21]);
        assert!(seen.whole().is_err_and(|why| why.to_string() == "it is gone"));
    }

    #[test]
    fn one_that_cannot_be_understood_hides_no_other_of_its_page_and_is_the_end() {
        let mut pages = 0;
        let seen = paged(|_| {
            pages += 1;
            Ok((vec![Ok(1), Err("what is that".into()), Ok(2)], vec![pages]))
        });
        assert!(seen.ended.is_err());
        assert_eq!((seen.all, pages), (vec![1, 2], 1));
    }

    #[test]
    fn all_pages_are_all_that_there_is() {
        let seen =
            paged(|token| Ok((vec![Ok(token.len())], if token.len() < 3 { vec![0; token.len() + 1] } else { vec![] })));
        assert_eq!(seen.whole().ok(), Some(vec![0, 1, 2, 3]));
    }
}
