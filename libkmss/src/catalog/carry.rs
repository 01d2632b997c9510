//! What of a namespace goes into an archive, and where it may go when it comes out of one.

use std::collections::BTreeSet;

use super::owner::Owner;
use super::path::{OWNERS, Paths};
use super::{Catalog, tomb};
use crate::error::Result;
use crate::sealed;
use crate::store::StoreKey;
use crate::tenant::{Namespace, ObjectId};

impl Catalog {
    /// Where the records of `namespace` are that stay as they are in another home, and where its tombstones are.
    pub(crate) fn belongings(namespace: &Namespace) -> (String, String) {
        (Paths::of(namespace).everything(), tomb::places(namespace))
    }

    /// Where the record of an object of `namespace` is.
    pub(crate) fn place_of(namespace: &Namespace, object: ObjectId) -> Result<StoreKey> {
        Paths::of(namespace).object(object)
    }

    /// Whether what an archive has at `place` may be there in `namespace`.
    pub(crate) fn admits(namespace: &Namespace, place: &str) -> bool {
        let rest = place.strip_prefix(&Paths::of(namespace).everything());
        let kinds = ["idx/", "mirror/", "name/", "obj/", "retired/"];
        rest.is_some_and(|rest| kinds.iter().any(|kind| rest.strip_prefix(kind).is_some_and(|rest| !rest.is_empty())))
    }

    /// Whether the incarnation of `namespace` is over here: it was made anew, or removed.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn is_over(&self, namespace: &Namespace) -> Result<bool> {
        Ok(self.store.get(&Paths::of(namespace).closed()?)?.is_some())
    }

    /// The keys of `namespaces` that stand on objects of devices.
    ///
    /// # Errors
    /// Those of the store; [`Damaged`](crate::error::ErrorKind::Damaged).
    pub(crate) fn in_devices(&self, namespaces: &[Namespace]) -> Result<BTreeSet<ObjectId>> {
        let mut keys = BTreeSet::new();
        for (path, entry) in self.store.scan_all(OWNERS)? {
            let owners: Vec<Owner> = sealed::open_value(&self.home, &path, &entry.value)?;
            let ours = |owner: &&Owner| {
                namespaces.iter().any(|of| (of.id, of.incarnation) == (owner.namespace, owner.incarnation))
            };
            keys.extend(owners.iter().filter(ours).map(|owner| owner.object));
        }
        Ok(keys)
    }
}
