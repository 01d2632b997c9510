//! Keys and the objects around them: what is stored, what it may be used for, and in which state it is.

mod attachment;
mod change;
mod device_object;
mod domain;
mod lifecycle;
mod metadata;
mod object;
mod rotation;
mod spec;
mod spec_text;
mod spki;
mod state;
mod transition;
mod usage;
mod weakness;

pub use crate::tenant::BackendId;
pub use attachment::Attachment;
pub use change::{Alteration, alterations};
pub use device_object::DeviceObject;
pub use domain::{DomainKey, DomainSource, DomainVersion, Envelope, Keyring, Opener, VersionSecret};
pub use lifecycle::{Deletion, Lifecycle, Retirement, Revocation, RevocationReason, Role, tags_in_order};
pub use metadata::{Description, Metadata, Purpose, service_name};
pub(crate) use object::material_context;
pub use object::{
    AuditMode, Body, CachedKey, Date, Held, HeldKey, Key, KeyClass, KeyVersion, Left, Object, PublicComponents, Storage,
};
pub use rotation::Rotation;
pub use spec::{Derivation, Expected, KeyComponents, KeySpec, Material};
pub use spki::spki_of_certificate;
pub use state::KeyState;
pub use transition::Transition;
pub use usage::{Action, Protection, Usage};
pub use weakness::{SHORTEST_RSA, weakness_of_key, weakness_of_spec, weakness_of_use};
