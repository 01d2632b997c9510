//! Lists and numbers as the contract of servers has them.

use libkmss::catalog::ObjectKind;
use libkmss::key::KeyClass;
use remote::proto;

use crate::output::Failure;

/// What is on all pages of a list; `ask` is told where a page begins, and says where the next one does.
pub(super) fn paged<T>(mut ask: impl FnMut(Vec<u8>) -> Result<(Vec<T>, Vec<u8>), Failure>) -> Result<Vec<T>, Failure> {
    let (mut all, mut token) = (Vec::new(), Vec::new());
    loop {
        let (page, next) = ask(token)?;
        all.extend(page);
        if next.is_empty() {
            return Ok(all);
        }
        token = next;
    }
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
