//! Policy bundles: any bytes are a bundle or an error, and none that was not signed opens.

use std::sync::OnceLock;

use libkmss::clock::Timestamp;
use libkmss::key::KeyComponents;
use libkmss::mechanism::Curve;
use libkmss::policy::Scope;
use libkmss::policy::bundle::{
    Abi, Bundle, Content, Draft, PublisherSecret, Terms, TrustAnchor, declared_pages, interface_of,
};
use libkmss::secret::Secret;

use crate::input::Input;

const NOW: Timestamp = Timestamp(10);

/// A signed bundle.
#[must_use]
pub fn seed() -> &'static [u8] {
    static SEED: OnceLock<Vec<u8>> = OnceLock::new();
    SEED.get_or_init(|| {
        let terms = Terms {
            name: "fuzz".to_owned(),
            scope: Scope::Platform,
            sequence: 7,
            abi: Abi::Opa,
            fuel: Some(1000),
            pages: Some(2),
            entrypoint: Some("a/b".to_owned()),
            not_before: Timestamp(1),
            not_after: Some(Timestamp(100)),
        };
        let content = Content {
            module: b"\0asm\x01\0\0\0\x05\x04\x01\x01\x01\x02".to_vec(),
            data: Some(b"{}".to_vec()),
            source: Some("package a".to_owned()),
        };
        let secret = secret();
        Draft::new(terms, content, &secret.public().unwrap()).unwrap().sign(&secret).unwrap()
    })
}

fn secret() -> PublisherSecret {
    let scalar = Secret::copy_of(&[7; 32]);
    PublisherSecret::from_components(&KeyComponents::EcPrivate { curve: Curve::Ed25519, scalar }).unwrap()
}

/// Takes `data` for a bundle, for a module, and for changes of a signed bundle.
///
/// # Panics
/// Where a bundle opens that nobody signed.
pub fn run(data: &[u8]) {
    let _ = (interface_of(data), declared_pages(data));
    open(data);
    let mut changed = seed().to_vec();
    let mut input = Input(data);
    while !input.0.is_empty() {
        let at = usize::try_from(input.number()).unwrap_or(usize::MAX);
        let byte = input.byte();
        let len = changed.len();
        if let Some(place) = changed.get_mut(at % len) {
            *place ^= byte;
        }
    }
    open(&changed);
}

fn open(bytes: &[u8]) {
    let key = secret().public().unwrap();
    let anchor = TrustAnchor { name: "a".to_owned(), scope: Scope::Platform, key, added: NOW, added_by: String::new() };
    let opened = Bundle::open(bytes, &[anchor], &Scope::Platform, NOW, None);
    assert!(opened.is_err() || bytes == seed(), "a bundle opened that nobody signed");
}
