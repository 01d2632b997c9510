//! What becomes of keys when the device loses sessions, login or itself.

use std::sync::RwLock;

use libkmss::key::KeySpec;
use libkmss::mechanism::{Curve, Hash};

use super::keys::ecdsa;
use super::*;

const HASH: Option<Hash> = Some(Hash::Sha256);

#[test]
fn sessions_that_somebody_closes_are_opened_again_without_notice() {
    let vault = Vault::new();
    let (private, _) = vault.pair(KeySpec::Ec(Curve::P256));
    let (library, slot) = vault.stranger();
    for _ in 0..3 {
        vault.sign(&private, &ecdsa(HASH), &[b"text"]).unwrap();
        close_all_sessions(slot);
        vault.sign(&private, &ecdsa(HASH), &[b"text"]).unwrap();
        let session = library.open_rw_session(slot).unwrap();
        session.logout().unwrap();
        drop(session);
        vault.sign(&private, &ecdsa(HASH), &[b"text"]).unwrap();
    }
}

#[test]
fn a_module_that_somebody_finalizes_is_initialized_again_without_notice() {
    let vault = Vault::new();
    let (private, _) = vault.pair(KeySpec::Ec(Curve::P256));
    for _ in 0..2 {
        vault.sign(&private, &ecdsa(HASH), &[b"text"]).unwrap();
        let (library, _) = vault.stranger();
        library.finalize().unwrap();
        vault.sign(&private, &ecdsa(HASH), &[b"text"]).unwrap();
    }
}

#[test]
fn threads_lose_no_signature_while_somebody_closes_their_sessions() {
    let vault = Vault::new();
    let (private, public) = vault.pair(KeySpec::Ec(Curve::P256));
    let (_library, slot) = vault.stranger();
    // SoftHSM2 crashes where a session is closed in the middle of a call with it.
    let calls = RwLock::new(());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u8)
            .map(|thread| {
                let (vault, private, calls) = (&vault, &private, &calls);
                scope.spawn(move || {
                    let mut failed = 0;
                    for round in 0..50_u8 {
                        let _call = calls.read().unwrap();
                        failed += u32::from(vault.sign(private, &ecdsa(HASH), &[&[thread, round]]).is_err());
                    }
                    failed
                })
            })
            .collect();
        for _ in 0..5 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let _between = calls.write().unwrap();
            close_all_sessions(slot);
        }
        let failed: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(failed, 0, "signatures were lost");
    });
    let signature = vault.sign(&private, &ecdsa(HASH), &[b"text"]).unwrap();
    vault.verify(&public, &ecdsa(HASH), b"text", &signature).unwrap();
}

#[test]
fn a_wrong_pin_is_tried_once() {
    let vault = Vault::with(|hsm| {
        hsm.pin = Some(PinSource::Command(vec!["/bin/echo".to_owned(), "wrong-12".to_owned()]));
    });
    let namespace = vault.kms.namespaces().unwrap().remove(0);
    let spec = || KeySpec::Ec(Curve::P256);
    let attempt = || {
        let private = vault.draft(Storage::Stored, &spec(), KeyClass::Private);
        let public = vault.draft(Storage::Stored, &spec(), KeyClass::Public);
        vault.kms.perform(&vault.caller, GeneratePair { spec: spec(), private, public }).err().unwrap()
    };
    let first = attempt();
    assert_eq!(first.kind(), ErrorKind::BackendUnavailable);
    assert!(first.message().contains("PinIncorrect"), "{first}");
    std::thread::sleep(std::time::Duration::from_millis(150));
    let second = attempt();
    assert!(second.message().contains("not tried twice"), "{second}");
    assert_eq!(namespace.backend, BackendId("vault".into()));
}

#[test]
fn a_token_that_is_gone_is_told_and_one_that_returns_is_used() {
    let vault = Vault::new();
    let (private, _) = vault.pair(KeySpec::Ec(Curve::P256));
    vault.sign(&private, &ecdsa(HASH), &[b"text"]).unwrap();
    let (there, away) = (vault.directory(), world().folder.path().join("away"));
    let (library, _) = vault.stranger();
    std::fs::rename(&there, &away).unwrap();
    library.finalize().unwrap();
    let error = vault.sign(&private, &ecdsa(HASH), &[b"text"]).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::BackendUnavailable, "{error}");
    assert!(error.message().contains("no such token"), "{error}");
    let error = vault.sign(&private, &ecdsa(HASH), &[b"text"]).err().unwrap();
    assert!(error.message().contains("left alone"), "{error}");
    std::fs::rename(&away, &there).unwrap();
    let library = Pkcs11::new(MODULE).unwrap();
    let _ = library.finalize();
    std::thread::sleep(std::time::Duration::from_millis(400));
    vault.sign(&private, &ecdsa(HASH), &[b"text"]).unwrap();
}

#[test]
fn opening_a_home_looks_at_no_device() {
    let vault = Vault::with(|hsm| hsm.module = "/nonexistent/module.so".into());
    assert_eq!(vault.kms.namespaces().unwrap().len(), 1);
    let error = vault.config.hsms[0].module.display().to_string();
    let spec = KeySpec::Secret { key_type: libkmss::mechanism::KeyType::Aes, len: 32 };
    let draft = vault.draft(Storage::Stored, &spec, KeyClass::Secret);
    let refused = vault.kms.perform(&vault.caller, GenerateSecret { spec, draft }).err().unwrap();
    assert!(refused.message().contains(&error), "{refused}");
}
