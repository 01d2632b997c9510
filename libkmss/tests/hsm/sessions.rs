//! Session objects, threads, and the bound on sessions.

use libkmss::key::{Expected, KeySpec};
use libkmss::mechanism::{BlockCipher, CipherMode, Curve, Hash, KeyType, Mechanism};
use libkmss::operation::{ObjectRef, Unwrap, Wrap};

use super::keys::{AES, ecdsa};
use super::*;

#[test]
fn eight_threads_share_a_login_and_fewer_sessions() {
    let vault = Vault::with(|hsm| hsm.max_sessions = 3);
    let (private, public) = vault.pair(KeySpec::Ec(Curve::P256));
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let (vault, private, public) = (&vault, &private, &public);
            scope.spawn(move || {
                for round in 0..40 {
                    let data = [thread, round];
                    let signature = vault.sign(private, &ecdsa(Some(Hash::Sha256)), &[&data]).unwrap();
                    vault.verify(public, &ecdsa(Some(Hash::Sha256)), &data, &signature).unwrap();
                }
            });
        }
    });
    let (library, slot) = vault.stranger();
    assert!(library.get_token_info(slot).unwrap().session_count().is_none_or(|count| count <= 3));
}

#[test]
fn a_session_key_stays_in_the_device_unless_its_draft_has_it_readable() {
    let vault = Vault::new();
    let wrapping = vault.secret(AES, |_| ());
    let target = vault.secret(AES, |draft| draft.protection.extractable = true);
    let how = || Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad).into();
    let wrap = Wrap { wrapping: (&wrapping).into(), key: (&target).into(), how: how() };
    let wrapped = vault.kms.perform(&vault.caller, wrap).unwrap();
    let objects = || vault.look().find_objects(&[]).unwrap().len();
    let before = objects();
    let unwrap = |sensitive| {
        let mut draft = vault.draft(Storage::Ephemeral, &AES, KeyClass::Secret);
        draft.protection = Protection { sensitive, extractable: !sensitive, ..Protection::default() };
        draft.usage.sign = true;
        let expected = Expected { key_type: KeyType::Aes, len: None };
        let unwrapping = ObjectRef::from(&wrapping);
        let unwrap = Unwrap { unwrapping, how: how(), wrapped: wrapped.clone().into(), expected, draft };
        vault.kms.perform(&vault.caller, unwrap).unwrap()
    };
    let cmac = Mechanism::Mac(libkmss::mechanism::MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 });
    let (there, here) = (unwrap(true), unwrap(false));
    assert_eq!(objects(), before + 1);
    assert_eq!(vault.sign(&there, &cmac, &[b"text"]).unwrap(), vault.sign(&here, &cmac, &[b"text"]).unwrap());
    drop((there, here));
    assert_eq!(objects(), before, "a session key goes with the last that knows it");
}
