//! Messages in our own format: what decrypts is what was encrypted, with what was said of it, under the key that is named.

use std::sync::Arc;

use libkmss::error::ErrorKind;
use libkmss::key::Object;
use libkmss::mechanism::{EncryptionContext, KeyType, Native, NativeAlgorithm, NativeHeader};
use libkmss::operation::{DecryptMessage, EncryptMessage, ObjectRef};

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, secret};
use crate::side::{Done, Guard, Side};
use crate::verdict::{Check, Verdict, ensure, refused, same};

/// What is encrypted.
const DATA: &[u8] = b"pay 100 to somebody";

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let each = NativeAlgorithm::ALL.into_iter().map(|algorithm| {
        let (group, len) = match algorithm.key_type() {
            KeyType::Sm4 => (Group::Sm, 16),
            _ => (Group::Symmetric, 32),
        };
        let name = format!("messages by {} decrypt with their context alone", named(algorithm));
        Behaviour::new(group, name, move |bench| message(bench, algorithm, len))
    });
    let short = Behaviour::new(Group::Symmetric, "messages want AES keys of 256 bits".to_owned(), |bench| {
        let key = bench.tested.generate(&secret(KeyType::Aes, 16), Guard::Kept)?;
        let made = encrypt(&bench.tested, &key, NativeAlgorithm::Aes256Gcm, &[], DATA);
        refused("a key of 128 bits", made, &[ErrorKind::KeySize])
    });
    each.chain([short]).collect()
}

fn named(algorithm: NativeAlgorithm) -> String {
    format!("{} of {} keys", algorithm.label(), algorithm.key_type().name())
}

fn context(pairs: &[(&str, &str)]) -> Result<EncryptionContext, Verdict> {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    EncryptionContext::new(pairs).map_err(|e| Verdict::Failed(e.to_string()))
}

fn encrypt(
    side: &Side<'_>,
    key: &Arc<Object>,
    algorithm: NativeAlgorithm,
    pairs: &[(&str, &str)],
    data: &[u8],
) -> Done<Vec<u8>> {
    let context = context(pairs).unwrap_or_default();
    let operation = EncryptMessage::new(ObjectRef::from(key), algorithm, context, data);
    side.told("encrypt a message", side.kms().perform(side.caller(), operation))
}

fn decrypt(side: &Side<'_>, ciphertext: &[u8], pairs: &[(&str, &str)]) -> Done<Vec<u8>> {
    let context = context(pairs).unwrap_or_default();
    let opened = side.kms().perform(side.caller(), DecryptMessage::new(ciphertext, context));
    side.told("decrypt a message", opened.map(|plaintext| plaintext.to_vec()))
}

fn message(bench: &Bench<'_>, algorithm: NativeAlgorithm, len: usize) -> Check {
    let side = &bench.tested;
    let key = side.generate(&secret(algorithm.key_type(), len), Guard::Kept)?;
    let said = [("tenant", "7"), ("account", "42")];
    let ciphertext = encrypt(side, &key, algorithm, &said, DATA)?;
    same("its length", &ciphertext.len(), &(DATA.len() + NativeHeader::OVERHEAD))?;
    let other_order = [("account", "42"), ("tenant", "7")];
    same("what comes back", decrypt(side, &ciphertext, &other_order)?.as_slice(), DATA)?;
    let again = encrypt(side, &key, algorithm, &other_order, DATA)?;
    ensure((again == ciphertext) == algorithm.is_deterministic(), || {
        "whether two encryptions are equal is not what the algorithm says".to_owned()
    })?;
    let wrong = [ErrorKind::EncryptedDataInvalid];
    for other in [&[][..], &[("tenant", "7")], &[("tenant", "7"), ("account", "43")]] {
        refused("another context", decrypt(side, &ciphertext, other), &wrong)?;
    }
    // Format, algorithm, version, salt, commitment, text and tag; not the key's identity, which names another key or none.
    for place in [0, 4, 5, 25, 26, 42, 74, ciphertext.len() - 1] {
        let mut altered = ciphertext.clone();
        if let Some(byte) = altered.get_mut(place) {
            *byte ^= 1;
        }
        refused("an altered ciphertext", decrypt(side, &altered, &said), &wrong)?;
    }
    let short = ciphertext.get(..ciphertext.len() - 1).unwrap_or_default();
    refused("a shortened ciphertext", decrypt(side, short, &said), &wrong)?;
    for data in [&[][..], &vec![7; Native::MAX]] {
        let ciphertext = encrypt(side, &key, algorithm, &[], data)?;
        same("what comes back", decrypt(side, &ciphertext, &[])?.as_slice(), data)?;
    }
    refused(
        "what is too long",
        encrypt(side, &key, algorithm, &[], &vec![7; Native::MAX + 1]),
        &[ErrorKind::DataLength],
    )
}
