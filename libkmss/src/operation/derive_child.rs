//! Key pairs that follow from a seed and a path (BIP-32, SLIP-10). The seed stays; its children are keys of their own.

use std::sync::Arc;

use super::{Chosen, Draft, Hall, ObjectRef, Operation, Request, Target, now};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration, KeyClass, Object, Protection};
use crate::mechanism::{EncryptionContext, HdDerivation, Mechanism};
use crate::permit::{Permit, Subject};

/// Makes the pair at the end of a path.
///
/// The action is one of its own: whoever may make wallet keys need not be allowed to derive otherwise, nor the reverse. Policies are told
/// the path in the context, as `path`.
#[derive(Debug)]
pub struct DeriveChild {
    /// The seed.
    pub seed: ObjectRef,
    /// The curve and the path.
    pub how: HdDerivation,
    /// Attributes of the private half.
    pub private: Draft,
    /// Attributes of the public half; it carries the name of the private one.
    pub public: Draft,
}

impl DeriveChild {
    fn public_draft(&self) -> Draft {
        let name = self.private.subject().name.clone();
        let name = if name.is_empty() { self.public.name.clone() } else { name };
        Draft { name, ..self.public.clone() }
    }
}

impl Operation for DeriveChild {
    type Running = (Arc<Object>, Arc<Object>);

    fn request(&self) -> Request {
        let how = Chosen { mechanism: Mechanism::Hd(self.how.clone()), number: Some(HdDerivation::NUMBER) };
        Request {
            also: Some((Action::Generate, Target::New(self.private.subject()))),
            more: vec![(Action::Generate, Target::New(self.public_draft().subject()))],
            context: EncryptionContext::told(vec![("path".to_owned(), self.how.path().to_string())]),
            ..how.request(Action::DeriveChild, &self.seed)
        }
    }

    /// The path in clear, which nobody keeps otherwise.
    fn alterations(&self, _: &Subject) -> Vec<Alteration> {
        Alteration::between("path", String::new(), self.how.path().to_string()).into_iter().collect()
    }

    /// Returns (private, public).
    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        self.private.check(hall, permit, KeyClass::Private)?;
        self.public.check(hall, permit, KeyClass::Public)?;
        self.public.maker_beside(hall, permit)?;
        let (backend, seed) = (self.private.maker_beside(hall, permit)?, permit.key()?.key);
        let asked = self.private.protection;
        // Whoever reads a child and knows its siblings' chain code knows the seed's other children: none is less protected.
        if (seed.protection.sensitive && !asked.sensitive) || (!seed.protection.extractable && asked.extractable) {
            let why = "a key is not derived into one that is less protected than its seed";
            return Err(Error::new(ErrorKind::TemplateInconsistent, why));
        }
        let (mut private, mut public) = (self.private.clone(), self.public_draft());
        private.comes_from(&[seed]);
        public.comes_from(&[seed]);
        let protection = Protection {
            local: false,
            always_sensitive: seed.protection.always_sensitive && asked.sensitive,
            never_extractable: seed.protection.never_extractable && !asked.extractable,
            wrap_with_trusted: asked.wrap_with_trusted || seed.protection.wrap_with_trusted,
            ..asked
        };
        let (secret, open) = backend.derive_pair(permit, &self.how)?;
        let namespace = permit.caller().namespace.id;
        let open_protection = public.foreign();
        let objects = vec![
            private.key(namespace, backend.id(), KeyClass::Private, protection, secret, now(permit)),
            public.key(namespace, backend.id(), KeyClass::Public, open_protection, open, now(permit)),
        ];
        let mut kept = hall.keep_all(permit, objects)?.into_iter();
        match (kept.next(), kept.next()) {
            (Some(private), Some(public)) => Ok((private, public)),
            _ => Err(Error::new(ErrorKind::Internal, "the catalogue returned half a pair")),
        }
    }

    fn made((private, public): &Self::Running) -> impl Iterator<Item = &Arc<Object>> {
        [private, public].into_iter()
    }
}
