//! Keys that follow from keys, in a home and on a server.

use std::sync::Arc;

use libkmss::key::{Expected, Object};
use libkmss::mechanism::Mechanism;
use libkmss::operation::{Decapsulate, Derive, Draft, Encapsulate, ObjectRef};
use remote::{convert, proto};

use super::home::HomeObjects;
use super::server::ServerObjects;
use super::wire::asked;
use crate::output::Failure;

/// Making secret keys of keys. Every error is the home's or the server's own.
pub(crate) trait Agree {
    /// Derives a key from `base`.
    fn derive(&self, base: &Arc<Object>, how: Mechanism, new: (Expected, Draft)) -> Result<Arc<Object>, Failure>;

    /// Makes a key for whoever has the private half of `key`, and the ciphertext that it follows from.
    fn encapsulate(
        &self,
        key: &Arc<Object>,
        how: Mechanism,
        new: (Expected, Draft),
    ) -> Result<(Arc<Object>, Vec<u8>), Failure>;

    /// Makes the key that follows from a ciphertext.
    fn decapsulate(
        &self,
        key: &Arc<Object>,
        how: Mechanism,
        ciphertext: &[u8],
        new: (Expected, Draft),
    ) -> Result<Arc<Object>, Failure>;
}

impl Agree for HomeObjects {
    fn derive(&self, base: &Arc<Object>, how: Mechanism, new: (Expected, Draft)) -> Result<Arc<Object>, Failure> {
        let (expected, draft) = new;
        let derived = self.perform(Derive::one(ObjectRef::from(base), how.into(), expected, draft))?;
        Ok(derived.keys.into_iter().next().ok_or("nothing was derived")?)
    }

    fn encapsulate(
        &self,
        key: &Arc<Object>,
        how: Mechanism,
        (expected, draft): (Expected, Draft),
    ) -> Result<(Arc<Object>, Vec<u8>), Failure> {
        self.perform(Encapsulate { key: ObjectRef::from(key), how: how.into(), expected, draft })
    }

    fn decapsulate(
        &self,
        key: &Arc<Object>,
        how: Mechanism,
        ciphertext: &[u8],
        (expected, draft): (Expected, Draft),
    ) -> Result<Arc<Object>, Failure> {
        let (key, ciphertext) = (ObjectRef::from(key), ciphertext.to_vec());
        self.perform(Decapsulate { key, how: how.into(), ciphertext, expected, draft })
    }
}

impl Agree for ServerObjects<'_> {
    fn derive(&self, base: &Arc<Object>, how: Mechanism, new: (Expected, Draft)) -> Result<Arc<Object>, Failure> {
        let request = proto::DeriveRequest {
            base: self.reference(base),
            others: Vec::new(),
            mechanism: Some((&how).into()),
            keys: vec![wanted(new)?],
            request_id: Vec::new(),
        };
        self.kept(self.server.ask(request)?.keys.into_iter().next())
    }

    fn encapsulate(
        &self,
        key: &Arc<Object>,
        how: Mechanism,
        new: (Expected, Draft),
    ) -> Result<(Arc<Object>, Vec<u8>), Failure> {
        let request = proto::EncapsulateRequest {
            key: self.reference(key),
            mechanism: Some((&how).into()),
            new_key: Some(wanted(new)?),
            request_id: Vec::new(),
        };
        let answer = self.server.ask(request)?;
        Ok((self.kept(answer.key)?, answer.ciphertext))
    }

    fn decapsulate(
        &self,
        key: &Arc<Object>,
        how: Mechanism,
        ciphertext: &[u8],
        new: (Expected, Draft),
    ) -> Result<Arc<Object>, Failure> {
        let request = proto::DecapsulateRequest {
            key: self.reference(key),
            mechanism: Some((&how).into()),
            ciphertext: ciphertext.to_vec(),
            new_key: Some(wanted(new)?),
            request_id: Vec::new(),
        };
        self.kept(self.server.ask(request)?.key)
    }
}

impl ServerObjects<'_> {
    /// A key that the server made and keeps.
    pub(super) fn kept(&self, made: Option<proto::MadeKey>) -> Result<Arc<Object>, Failure> {
        match made.and_then(|made| made.outcome) {
            Some(proto::made_key::Outcome::Kept(object)) => self.object(Some(object)),
            _ => Err("the server's answer holds no key".into()),
        }
    }
}

/// The key that the server is to keep.
fn wanted((expected, draft): (Expected, Draft)) -> Result<proto::NewKey, Failure> {
    Ok(proto::NewKey {
        key_type: convert::key_type_number(expected.key_type),
        len: expected.len.map(u32::try_from).transpose()?,
        outcome: Some(proto::new_key::Outcome::Kept(asked(&draft))),
    })
}
