//! Message authentication codes.

use libkmss::error::ErrorKind;
use libkmss::mechanism::{BlockCipher, Hash, KeyType, MacMechanism, Mechanism};

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, secret};
use crate::side::Guard;
use crate::signing::{MESSAGE, flip};
use crate::verdict::{Check, refused, same};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let hashes = [Hash::Sha1, Hash::Sha224, Hash::Sha256, Hash::Sha384, Hash::Sha512, Hash::Sha3_256];
    let mut all = Vec::new();
    for hash in hashes {
        let how = MacMechanism::Hmac { hash, len: hash.len() };
        // Devices take no key that is shorter than the hash.
        all.extend(both(Group::Macs, "", KeyType::GenericSecret, hash.len().max(32), how));
    }
    let short = MacMechanism::Hmac { hash: Hash::Sha256, len: 16 };
    all.extend(both(Group::Macs, " cut to 16 bytes", KeyType::GenericSecret, 32, short));
    let typed = MacMechanism::Hmac { hash: Hash::Sha256, len: 32 };
    all.extend(both(Group::Macs, " with a key of its own type", KeyType::Hmac(Hash::Sha256), 32, typed));
    let cmac = MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 };
    all.extend(both(Group::Macs, "", KeyType::Aes, 32, cmac));
    all.extend(both(Group::Macs, "", KeyType::Aes, 32, MacMechanism::Gmac { iv: vec![3; 12], len: 16 }));
    all
}

/// A MAC with a key that is made there, and with one that both sides hold.
pub(crate) fn both(group: Group, label: &str, key_type: KeyType, len: usize, how: MacMechanism) -> [Behaviour; 2] {
    let how = Mechanism::Mac(how);
    let (name, other) = (format!("{}{label}", how.name()), how.clone());
    [
        Behaviour::new(group, format!("{name} verifies what it made"), move |bench| made(bench, key_type, len, &how)),
        Behaviour::new(group, format!("{name} is that of the software engine"), move |bench| {
            shared(bench, key_type, len, &other)
        }),
    ]
}

fn made(bench: &Bench<'_>, key_type: KeyType, len: usize, how: &Mechanism) -> Check {
    let tested = &bench.tested;
    let key = tested.generate(&secret(key_type, len), Guard::Kept)?;
    let mac = tested.sign(&key, how, &[MESSAGE])?;
    tested.verify(&key, how, &[MESSAGE], &mac)?;
    let (first, rest) = MESSAGE.split_at(7);
    same("the MAC of parts", &tested.sign(&key, how, &[first, rest])?, &mac)?;
    let mut altered = mac.clone();
    flip(&mut altered);
    let wrong = [ErrorKind::SignatureInvalid];
    refused("an altered MAC", tested.verify(&key, how, &[MESSAGE], &altered), &wrong)?;
    refused("another message", tested.verify(&key, how, &[first], &mac), &wrong)?;
    let short = mac.get(1..).unwrap_or_default();
    let odd = [ErrorKind::SignatureInvalid, ErrorKind::SignatureLength];
    refused("a MAC cut short", tested.verify(&key, how, &[MESSAGE], short), &odd)
}

fn shared(bench: &Bench<'_>, key_type: KeyType, len: usize, how: &Mechanism) -> Check {
    let value: Vec<u8> = (1..=u8::MAX).take(len).collect();
    let (tested, reference) = bench.shared(key_type, &value)?;
    let mac = bench.reference.sign(&reference, how, &[MESSAGE])?;
    same("the MAC", &bench.tested.sign(&tested, how, &[MESSAGE])?, &mac)?;
    Ok(bench.tested.verify(&tested, how, &[MESSAGE], &mac)?)
}
