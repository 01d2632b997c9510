//! Messages in our own format, and data keys that are held for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use libkmss::envelope::{CacheLimits, DataKeyCache};
use libkmss::key::{KeyState, Protection};
use libkmss::mechanism::{EncryptionContext, Native, NativeAlgorithm, NativeHeader};
use libkmss::operation::{DecryptMessage, EncryptMessage, GenerateDataKey, GenerateDataKeyPair};

const TEXT: &[u8] = b"pay 100 to somebody";

fn context(value: &str) -> EncryptionContext {
    EncryptionContext::new(vec![("table".to_owned(), value.to_owned())]).unwrap()
}

fn native(value: &str) -> Native {
    Native { algorithm: NativeAlgorithm::Aes256Gcm, context: context(value) }
}

fn encrypt(flat: &Flat, user: &Caller, key: &Arc<Object>) -> Result<Vec<u8>> {
    let operation = EncryptMessage::new(ObjectRef::from(key), NativeAlgorithm::Aes256Gcm, context("a"), TEXT);
    flat.kms.perform(user, operation)
}

fn decrypt(flat: &Flat, user: &Caller, ciphertext: &[u8]) -> Result<Vec<u8>> {
    flat.kms.perform(user, DecryptMessage::new(ciphertext, context("a"))).map(|plaintext| plaintext.to_vec())
}

#[test]
fn a_deactivated_key_encrypts_no_more_and_still_decrypts() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "k");
    let ciphertext = encrypt(&flat, &user, &key).unwrap();
    let change = turned(&key, KeyState::Deactivated);
    let officer = flat.kms.administer(&flat.public(), &pin(SO_PIN)).unwrap();
    flat.kms.perform(&officer, change).unwrap();
    assert_eq!(encrypt(&flat, &user, &key).unwrap_err().kind(), ErrorKind::KeyState);
    assert_eq!(decrypt(&flat, &user, &ciphertext).unwrap(), TEXT);
}

#[test]
fn a_key_that_is_restricted_to_messages_does_nothing_else() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let how = native("a");
    let draft = Draft { allowed_mechanisms: vec![how.number()], ..flat.draft(Storage::Stored, "only") };
    let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };
    let key = flat.kms.perform(&user, GenerateSecret { spec, draft }).unwrap();
    let ciphertext = encrypt(&flat, &user, &key).unwrap();
    assert_eq!(decrypt(&flat, &user, &ciphertext).unwrap(), TEXT);
    assert_eq!(sign(&flat.kms, &user, &key, b"data").unwrap_err().kind(), ErrorKind::MechanismUnsupported);
    let other = EncryptMessage::new(ObjectRef::from(&key), NativeAlgorithm::DeterministicAesSiv, context("a"), TEXT);
    assert_eq!(flat.kms.perform(&user, other).unwrap_err().kind(), ErrorKind::MechanismUnsupported);
}

#[test]
fn a_message_names_a_key_of_the_token_and_no_other_object() {
    let flat = Flat::new(Suite::Gm);
    let user = flat.user();
    let session = flat.aes(&user, Storage::Ephemeral, "s");
    assert_eq!(encrypt(&flat, &user, &session).unwrap_err().kind(), ErrorKind::Unsupported);
    let key = flat.aes(&user, Storage::Stored, "k");
    let mut ciphertext = encrypt(&flat, &user, &key).unwrap();
    ciphertext[10] ^= 1;
    assert_eq!(decrypt(&flat, &user, &ciphertext).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(decrypt(&flat, &user, b"nothing").unwrap_err().kind(), ErrorKind::EncryptedDataInvalid);
    // Somebody who is not logged in learns nothing of it.
    let mut ciphertext = encrypt(&flat, &user, &key).unwrap();
    assert_eq!(decrypt(&flat, &flat.public(), &ciphertext).map(drop).is_ok(), !key.private);
    ciphertext.truncate(NativeHeader::LEN);
    assert_eq!(decrypt(&flat, &user, &ciphertext).unwrap_err().kind(), ErrorKind::EncryptedDataInvalid);
}

#[test]
fn a_data_key_is_what_its_ciphertext_says() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "k");
    let make = |len| GenerateDataKey::new(ObjectRef::from(&key), NativeAlgorithm::Aes256Gcm, context("a"), len);
    let made = flat.kms.perform(&user, make(48)).unwrap();
    assert_eq!(decrypt(&flat, &user, &made.ciphertext).unwrap(), made.plaintext.expose());
    assert_eq!(flat.kms.perform(&user, make(8)).unwrap_err().kind(), ErrorKind::KeySize);
    let spec = KeySpec::Ec(libkmss::mechanism::Curve::Ed25519);
    let pair = GenerateDataKeyPair::new(ObjectRef::from(&key), NativeAlgorithm::Aes256Gcm, context("a"), spec);
    let pair = flat.kms.perform(&user, pair).unwrap();
    assert_eq!(decrypt(&flat, &user, &pair.ciphertext).unwrap(), pair.private.expose());
    assert_eq!(pair.public.len(), 44);
}

fn limits() -> CacheLimits {
    CacheLimits { age: Duration::from_secs(3600), uses: 3, bytes: 100, entries: 2 }
}

#[test]
fn a_held_data_key_serves_its_caller_and_context_within_its_bounds() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = ObjectRef::from(&flat.aes(&user, Storage::Stored, "k"));
    let cache = DataKeyCache::new(limits()).unwrap();
    let make = |value: &str, bytes| cache.make((&flat.kms, &user), &key, &native(value), (32, bytes)).unwrap();
    let first = make("a", 10);
    assert!(Arc::ptr_eq(&first, &make("a", 10)) && Arc::ptr_eq(&first, &make("a", 10)));
    // Three uses, and then a new one.
    let second = make("a", 10);
    assert_ne!(first.ciphertext, second.ciphertext);
    // 100 bytes together.
    assert!(!Arc::ptr_eq(&second, &make("a", 91)));
    assert_ne!(make("b", 1).ciphertext, make("a", 1).ciphertext);
    assert_eq!(cache.len(), 2);
    // More than may be held: the oldest goes. More than a data key may encrypt is not held at all.
    make("c", 1);
    assert_eq!(cache.len(), 2);
    let alone = make("d", 101);
    assert!(!Arc::ptr_eq(&alone, &make("d", 101)));
    // Opening is held apart from making.
    let open = || cache.open((&flat.kms, &user), &first.ciphertext, &context("a"), 1).unwrap();
    let opened = open();
    assert_eq!(opened.plaintext, first.plaintext);
    assert!(Arc::ptr_eq(&opened, &open()));
    let wrong = cache.open((&flat.kms, &user), &first.ciphertext, &context("b"), 1);
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::EncryptedDataInvalid);
    cache.clear();
    assert!(cache.is_empty());
}

#[test]
fn what_changes_in_the_home_ends_what_is_held() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let object = flat.aes(&user, Storage::Stored, "k");
    let key = ObjectRef::from(&object);
    let cache = DataKeyCache::new(limits()).unwrap();
    let make = || cache.make((&flat.kms, &user), &key, &native("a"), (32, 1));
    let first = make().unwrap();
    assert!(Arc::ptr_eq(&first, &make().unwrap()));
    let change = turned(&object, KeyState::Deactivated);
    let officer = flat.kms.administer(&flat.public(), &pin(SO_PIN)).unwrap();
    flat.kms.perform(&officer, change).unwrap();
    assert_eq!(make().unwrap_err().kind(), ErrorKind::KeyState);
    assert!(cache.is_empty());
    assert!(DataKeyCache::new(CacheLimits { uses: 0, ..limits() }).is_err());
}

#[test]
fn a_data_key_that_is_too_old_is_held_no_more() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = ObjectRef::from(&flat.aes(&user, Storage::Stored, "k"));
    let cache = DataKeyCache::new(CacheLimits { age: Duration::from_millis(5), ..limits() }).unwrap();
    let make = || cache.make((&flat.kms, &user), &key, &native("a"), (32, 1)).unwrap();
    let first = make();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!Arc::ptr_eq(&first, &make()));
}

/// What a message costs: `cargo test --release --test kms messages_in_a_second -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn messages_in_a_second() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };
    let mut draft = flat.draft(Storage::Stored, "k");
    draft.protection = Protection { sensitive: true, ..Protection::default() };
    let key = flat.kms.perform(&user, GenerateSecret { spec, draft }).unwrap();
    let text = [7; 1024];
    for algorithm in
        [NativeAlgorithm::Aes256Gcm, NativeAlgorithm::ChaCha20Poly1305, NativeAlgorithm::DeterministicAesSiv]
    {
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < Duration::from_secs(2) {
            for _ in 0..100 {
                let operation = EncryptMessage::new(ObjectRef::from(&key), algorithm, context("a"), &text);
                flat.kms.perform(&user, operation).unwrap();
                count += 1;
            }
        }
        println!("{}: {} messages of 1 KiB a second", algorithm.label(), count * 1000 / began.elapsed().as_millis());
    }
    let began = Instant::now();
    for _ in 0..100_000 {
        let make = GenerateDataKey::new(ObjectRef::from(&key), NativeAlgorithm::Aes256Gcm, context("a"), 32);
        flat.kms.perform(&user, make).unwrap();
    }
    println!("{} data keys a second", 100_000_000 / began.elapsed().as_millis());
}

#[test]
fn pairs_of_data_keys_are_made_by_the_rules_of_their_namespace() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "k");
    let pair = |bits| {
        let spec = KeySpec::Rsa { bits, exponent: vec![1, 0, 1] };
        let pair = GenerateDataKeyPair::new(ObjectRef::from(&key), NativeAlgorithm::Aes256Gcm, context("a"), spec);
        flat.kms.perform(&user, pair).map(drop)
    };
    let forbid = "short-rsa".parse().unwrap();
    let settings = libkmss::settings::Settings { forbid, ..libkmss::settings::Settings::default() };
    flat.kms.configure(&flat.officer(), settings).unwrap();
    let refused = pair(1024).unwrap_err();
    assert!(refused.message().contains("settings of the namespace forbid"), "{}", refused.message());
    assert_eq!(pair(8192).unwrap_err().kind(), ErrorKind::KeySize);
    pair(2048).unwrap();
}
