//! Format-preserving encryption: the same way as every encryption, under words of its own.

use super::*;
use crate::mechanism::Ff1;
use crate::operation::{ChangeState, Encrypt};

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
    let change = ChangeState { key: ObjectRef::from(&key), state: crate::key::KeyState::Deactivated };
    house.pipeline.perform(&house.officer, change).unwrap();
    assert_eq!(kind(tokenize(&house, &key)), ErrorKind::KeyState);
    assert!(detokenize(&house, &key, false, &token).is_ok());
}
