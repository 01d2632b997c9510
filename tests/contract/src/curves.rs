//! Curves: ECDSA, EdDSA and key agreement.

use libkmss::key::{KeySpec, PublicComponents};
use libkmss::mechanism::{Curve, DhGroup, DhMechanism, EcMechanism, EcdhKdf, Hash, Mechanism};

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, generic, public_of};
use crate::side::{Guard, words};
use crate::signing::{Message, signs};
use crate::verdict::{Check, Verdict};

/// A ready hash.
const HASH: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Longer than the order of P-256: of it the leading bits count (FIPS 186-5, 6.4.1).
const LONG_HASH: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let mut all = Vec::new();
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1] {
        all.push(ecdsa(curve, "ECDSA of a ready hash", None, Message::Exact(HASH)));
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let label = Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) }).name();
            all.push(ecdsa(curve, label, Some(hash), Message::Any));
        }
    }
    all.extend([
        ecdsa(Curve::P256, "ECDSA of a hash longer than its order", None, Message::Exact(LONG_HASH)),
        ecdsa(Curve::P256, "ECDSA_SHA1", Some(Hash::Sha1), Message::Any),
        ecdsa(Curve::P256, "ECDSA_SHA3_256", Some(Hash::Sha3_256), Message::Any),
        eddsa(Curve::Ed25519, "EDDSA", false, b""),
        eddsa(Curve::Ed25519, "EDDSA with a context", false, b"context"),
        eddsa(Curve::Ed25519, "EDDSA of a hashed message", true, b""),
        eddsa(Curve::Ed448, "EDDSA", false, b""),
        eddsa(Curve::Ed448, "EDDSA of a hashed message", true, b""),
    ]);
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1, Curve::X25519, Curve::X448] {
        all.push(agreeing(curve, "ECDH", EcdhKdf::Null));
    }
    all.extend([
        agreeing(Curve::P256, "ECDH and the KDF of X9.63", EcdhKdf::X963(Hash::Sha256)),
        agreeing(Curve::P256, "ECDH and the concatenation KDF", EcdhKdf::Concatenation(Hash::Sha256)),
        Behaviour::new(Group::Curves, "a key of ffdhe2048 agrees by DH", |bench| {
            let spec = KeySpec::Dh { group: DhGroup::Ffdhe2048, private_bits: None };
            agree(bench, &spec, 32, &|public| match public {
                PublicComponents::Dh { value, .. } => {
                    Some(Mechanism::Dh(DhMechanism::Derive { public: value.clone() }))
                }
                _ => None,
            })
        }),
    ]);
    all
}

fn ecdsa(curve: Curve, label: &str, hash: Option<Hash>, message: Message) -> Behaviour {
    signs(Group::Curves, label, KeySpec::Ec(curve), Mechanism::Ec(EcMechanism::Ecdsa { hash }), message)
}

fn eddsa(curve: Curve, label: &str, prehash: bool, context: &[u8]) -> Behaviour {
    let how = Mechanism::Ec(EcMechanism::EdDsa { prehash, context: context.to_vec() });
    signs(Group::Curves, label, KeySpec::Ec(curve), how, Message::Any)
}

fn agreeing(curve: Curve, label: &str, kdf: EcdhKdf) -> Behaviour {
    let spec = KeySpec::Ec(curve);
    let name = format!("a key of {} agrees by {label}", words(&spec));
    Behaviour::new(Group::Curves, name, move |bench| {
        let len = if kdf == EcdhKdf::Null { curve.field_len().min(56) } else { 32 };
        agree(bench, &spec, len, &|public| match public {
            PublicComponents::Ec { point, .. } => {
                Some(Mechanism::Ec(EcMechanism::Ecdh { kdf, public: point.clone(), shared_info: Vec::new() }))
            }
            _ => None,
        })
    })
}

/// Both sides come to the same secret.
fn agree(bench: &Bench<'_>, spec: &KeySpec, len: usize, how: &dyn Fn(&PublicComponents) -> Option<Mechanism>) -> Check {
    let ours = bench.pair(spec)?;
    let theirs = bench.reference.generate_pair(spec, Guard::Kept)?;
    let none = || Verdict::Failed("the public half is of another kind".to_owned());
    let with_theirs = how(public_of(&theirs.public)?).ok_or_else(none)?;
    let with_ours = how(public_of(&ours.public)?).ok_or_else(none)?;
    let tested = bench.tested.derive(&ours.private, &with_theirs, generic(len))?;
    let reference = bench.reference.derive(&theirs.private, &with_ours, generic(len))?;
    bench.same_secret("the shared secret", &tested, &reference)
}
