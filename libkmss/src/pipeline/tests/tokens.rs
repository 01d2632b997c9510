//! Format-preserving encryption: the same way as every encryption, under words of its own.

use zeroize::Zeroizing;

use super::*;
use crate::mechanism::Ff1;
use crate::operation::{Detokenize, Encrypt, Rotate, Rotated, Tokenize, Turn};

fn ff1() -> Ff1 {
    Ff1::new(BlockCipher::Aes, "digits".parse().unwrap(), Vec::new()).unwrap()
}

fn tokenize(house: &House, key: &Arc<Object>) -> Result<Vec<u8>> {
    let operation = Encrypt { key: ObjectRef::from(key), how: Mechanism::Ff1(ff1()).into() };
    finish(house.pipeline.begin(&house.user, operation)?, b"1234567")
}

fn detokenize(house: &House, key: &Arc<Object>, masked: bool, token: &[u8]) -> Result<Vec<u8>> {
    let how = Mechanism::Ff1(if masked { ff1().masked() } else { ff1() });
    let operation = Decrypt { key: ObjectRef::from(key), how: how.into() };
    finish(house.pipeline.begin(&house.user, operation)?, token)
}

fn finish(mut begun: Unfinished<Box<dyn crate::backend::Ciphering>>, input: &[u8]) -> Result<Vec<u8>> {
    begun.finish(input, |running| {
        let mut made = vec![0; running.finish_len(input.len())];
        let len = running.finish(input, &mut made)?;
        made.truncate(len);
        Ok(made)
    })
}

#[test]
fn tokens_are_decided_and_recorded_under_their_own_words() {
    let (house, key) = House::with_key();
    let token = tokenize(&house, &key).unwrap();
    let happened = house.happened();
    assert_eq!(happened[0], "policy tokenize web");
    assert!(happened.iter().any(|line| line == "audit tokenize success"), "{happened:?}");
    assert_eq!(house.last().mechanism.as_deref(), Some("AES_FF1"));
    house.journal.clear();
    assert_eq!(detokenize(&house, &key, false, &token).unwrap(), b"1234567");
    assert_eq!(house.happened()[0], "policy detokenize web");
    house.journal.clear();
    assert_eq!(detokenize(&house, &key, true, &token).unwrap(), b"*******");
    assert_eq!(house.happened()[0], "policy read-masked web");
}

#[test]
fn who_may_encrypt_and_decrypt_may_not_tokenize() {
    for (denied, tokenizes, detokenizes, reads) in [
        (Action::Tokenize, false, true, true),
        (Action::Detokenize, true, false, true),
        (Action::ReadMasked, true, true, false),
        (Action::Encrypt, true, true, true),
        (Action::Decrypt, true, true, true),
    ] {
        let (house, key) = House::with_key();
        let token = tokenize(&house, &key).unwrap();
        house.policy.deny(denied);
        assert_eq!(tokenize(&house, &key).is_ok(), tokenizes, "{}", denied.name());
        assert_eq!(detokenize(&house, &key, false, &token).is_ok(), detokenizes, "{}", denied.name());
        assert_eq!(detokenize(&house, &key, true, &token).is_ok(), reads, "{}", denied.name());
    }
}

#[test]
fn usage_and_state_hold_for_tokens_as_for_ciphertexts() {
    let house = House::new();
    let key = house.key(|draft| draft.usage.decrypt = false);
    let token = tokenize(&house, &key).unwrap();
    assert_eq!(kind(detokenize(&house, &key, false, &token)), ErrorKind::KeyUsage);
    assert_eq!(kind(detokenize(&house, &key, true, &token)), ErrorKind::KeyUsage);
    let (house, key) = House::with_key();
    let token = tokenize(&house, &key).unwrap();
    let change = turned(&key, crate::key::KeyState::Deactivated);
    house.pipeline.perform(&house.officer, change).unwrap();
    assert_eq!(kind(tokenize(&house, &key)), ErrorKind::KeyState);
    assert!(detokenize(&house, &key, false, &token).is_ok());
}

fn rotate(house: &House, key: &Arc<Object>) -> Rotated {
    let ids = vec![house.draft(Storage::Stored).id];
    house.pipeline.perform(&house.user, Rotate { halves: vec![Arc::clone(key)], ids, turn: Turn::Now }).unwrap()
}

#[test]
fn tokens_of_a_rotated_key_are_asked_for_by_their_version() {
    let (house, key) = House::with_key();
    let token = tokenize(&house, &key).unwrap();
    let rotated = rotate(&house, &key);
    let (new, old) = (&rotated.made[0], &rotated.former[0]);
    // By the name alone the token of one version would become the value of another.
    assert_eq!(kind(detokenize(&house, new, false, &token)), ErrorKind::MechanismParameter);
    assert_eq!(kind(detokenize(&house, new, true, &token)), ErrorKind::MechanismParameter);
    assert_eq!(kind(tokenize(&house, new)), ErrorKind::MechanismParameter);
    assert_eq!(detokenize(&house, old, false, &token).unwrap(), b"1234567");
    let by = |key: &Arc<Object>, version| {
        let how = Mechanism::Ff1(ff1().by_version(version)).into();
        finish(house.pipeline.begin(&house.user, Decrypt { key: ObjectRef::from(key), how })?, &token)
    };
    assert_eq!(by(old, 1).unwrap(), b"1234567");
    assert_eq!(kind(by(new, 1)), ErrorKind::MechanismParameter);
    assert_eq!(kind(by(old, 2)), ErrorKind::MechanismParameter);
    assert_ne!(by(new, 2).unwrap(), b"1234567");
}

fn keep(house: &House, key: &Arc<Object>) -> Result<String> {
    keep_for(house, key, None)
}

fn keep_for(house: &House, key: &Arc<Object>, life: Option<u64>) -> Result<String> {
    let (key, format) = (ObjectRef::from(key), "digits".parse().unwrap());
    let value = Zeroizing::new(b"1234567".to_vec());
    let operation = Tokenize { key, cipher: BlockCipher::Aes, format, value, life };
    house.pipeline.perform(&house.user, operation).map(|token| token.to_string())
}

fn read(house: &House, key: &Arc<Object>, token: &str) -> Result<String> {
    let (key, format, token) = (ObjectRef::from(key), "digits".parse().unwrap(), token.as_bytes().to_vec());
    let operation = Detokenize { key, cipher: BlockCipher::Aes, format, token, masked: false };
    let operation = operation.by_its_version(&house.pipeline.hall, &house.user, house.clock.now())?;
    house.pipeline.perform(&house.user, operation).map(|value| value.to_string())
}

#[test]
fn the_vault_is_that_of_all_versions_of_a_key() {
    let (house, key) = House::with_key();
    let token = keep(&house, &key).unwrap();
    let first = rotate(&house, &key);
    let second = rotate(&house, &first.made[0]);
    let (new, old) = (&second.made[0], &first.former[0]);
    // A value has one token as long as that lives, and every version leads to what it stands for.
    assert_eq!(keep(&house, new).unwrap(), token);
    house.journal.clear();
    for key in [new, &second.former[0], old] {
        assert_eq!(read(&house, key, &token).unwrap(), "1234567");
    }
    // What is decided on is the version that sealed it.
    assert!(house.happened().contains(&"policy detokenize web@1".to_owned()));
    house.pipeline.hall.catalog.destroy(&house.user, old).unwrap();
    assert_eq!(kind(read(&house, new, &token)), ErrorKind::EncryptedDataInvalid);
    let another = keep(&house, new).unwrap();
    assert_eq!(read(&house, new, &another).unwrap(), "1234567");
}

#[test]
fn no_token_is_given_out_that_has_ended() {
    let (house, key) = House::with_key();
    assert_eq!(kind(keep_for(&house, &key, Some(0))), ErrorKind::Arguments);
    let token = keep_for(&house, &key, Some(1)).unwrap();
    assert_eq!(read(&house, &key, &token).unwrap(), "1234567");
}
