//! What every signature has to do, whatever its algorithm.

use libkmss::error::ErrorKind;
use libkmss::key::KeySpec;
use libkmss::mechanism::{EcMechanism, Hash, Mechanism};

use crate::behaviour::{Behaviour, Group};
use crate::bench::Bench;
use crate::side::words;
use crate::verdict::{Check, refused};

/// A message that is hashed before it is signed.
pub(crate) const MESSAGE: &[u8] =
    b"what is signed here is verified elsewhere, and what was not signed is verified nowhere";

/// How the message of a mechanism looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Any bytes, which may come in parts.
    Any,
    /// So many bytes at once: a ready hash.
    Exact(&'static [u8]),
}

/// A key of `spec` signs by `how`, and its signatures are those of the algorithm.
pub(crate) fn signs(group: Group, label: &str, spec: KeySpec, how: Mechanism, message: Message) -> Behaviour {
    let name = format!("a key of {} signs by {label}", words(&spec));
    Behaviour::new(group, name, move |bench| trial(bench, &spec, &how, message))
}

fn trial(bench: &Bench<'_>, spec: &KeySpec, how: &Mechanism, message: Message) -> Check {
    let pair = bench.pair(spec)?;
    let mirror = bench.mirror(&pair.public)?;
    let (tested, reference) = (&bench.tested, &bench.reference);
    let whole = match message {
        Message::Any => MESSAGE,
        Message::Exact(data) => data,
    };
    let signature = tested.sign(&pair.private, how, &[whole])?;
    reference.verify(&mirror, how, &[whole], &signature)?;
    tested.verify(&pair.public, how, &[whole], &signature)?;
    if message == Message::Any {
        let (first, rest) = whole.split_at(7);
        let in_parts = tested.sign(&pair.private, how, &[first, &[], rest])?;
        reference.verify(&mirror, how, &[whole], &in_parts)?;
        tested.verify(&pair.public, how, &[first, rest], &in_parts)?;
        let nothing = tested.sign(&pair.private, how, &[])?;
        reference.verify(&mirror, how, &[], &nothing)?;
    }
    // Of a long digest only the leading bits count.
    let mut other = whole.to_vec();
    other.iter_mut().take(1).for_each(|first| *first ^= 1);
    let wrong = [ErrorKind::SignatureInvalid];
    refused("another message", tested.verify(&pair.public, how, &[&other], &signature), &wrong)?;
    let mut altered = signature.clone();
    flip(&mut altered);
    let odd = [ErrorKind::SignatureInvalid, ErrorKind::SignatureLength];
    refused("an altered signature", tested.verify(&pair.public, how, &[whole], &altered), &odd)?;
    let short = signature.get(1..).unwrap_or_default();
    refused("a signature cut short", tested.verify(&pair.public, how, &[whole], short), &odd)
}

/// ECDSA with SHA-256, which most devices have.
pub(crate) const fn ecdsa() -> Mechanism {
    Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha256) })
}

/// Changes one bit in the middle.
pub(crate) fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
}
