//! Conditions on the size of data that nobody knows when an operation begins: whatever it turns out to be, the policies
//! decide as if they had known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::PIN;
use kmss_tests::p11::{Mech, Rv, Session, Whole, refused, token};
use kmss_tests::rules::{aes, apply, custodians, denied, ec_pair, kmss, last_denial, waiting};

/// Signs data of this size, in one part and in several; both must agree.
#[track_caller]
fn signs(session: &Session, key: CK_OBJECT_HANDLE, size: usize) -> bool {
    let data = vec![5; size];
    let whole = session.sign(CKM_ECDSA_SHA256, key, &data);
    let (one, two) = data.split_at(size / 3);
    let parts = session.sign_parts(CKM_ECDSA_SHA256, key, &[one, two]);
    assert_eq!(whole.is_ok(), parts.is_ok(), "{size}: {whole:?} {parts:?}");
    if whole.is_err() {
        denied(whole);
        denied(parts);
        return false;
    }
    true
}

#[test]
fn a_size_in_the_middle_is_allowed_where_the_policy_says_so() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("middle").user();
    let (_, key) = ec_pair(&session, "k");
    let put = |rules: &str| drop(apply("--token middle", "p", rules));
    let allowed =
        |sizes: &[usize]| sizes.iter().copied().filter(|size| signs(&session, key, *size)).collect::<Vec<_>>();
    put("allow anyone to sign any key when size between 100 B and 1000 B\n");
    assert_eq!(allowed(&[0, 32, 99, 100, 555, 1000, 1001, 4096]), [100, 555, 1000]);
    put("allow anyone to sign any key when size = 777 B\n");
    assert_eq!(allowed(&[776, 777, 778]), [777]);
    put("allow anyone to sign any key when not size > 50 B and size >= 49 B\n");
    assert_eq!(allowed(&[48, 49, 50, 51]), [49, 50]);
    put(
        "allow anyone to sign any key\ndeny anyone to sign any key when size < 700 B\ndeny anyone to sign any key when size > 701 B\n",
    );
    assert_eq!(allowed(&[0, 699, 700, 701, 702]), [700, 701]);
    // Several policies, each of which would allow more.
    put("allow anyone to sign any key when size between 300 B and 900 B\n");
    let _ = apply(
        "--token middle --key k",
        "narrow",
        "deny anyone to sign any key when not size between 100 B and 400 B\n",
    );
    assert_eq!(allowed(&[100, 299, 300, 400, 401, 900]), [300, 400]);
    // Where no size would do, the beginning is refused.
    let _ = apply(
        "--token middle --key k",
        "narrow",
        "deny anyone to sign any key when not size between 100 B and 200 B\n",
    );
    denied(session.sign_init(CKM_ECDSA_SHA256, key));
    drop(kmss("audit verify").succeed());
}

#[test]
fn duties_of_a_size_hold_for_that_size_alone() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("large").user();
    custodians("large", &["alice"]);
    let (_, key) = ec_pair(&session, "k");
    // The first rule that applies says what is asked for, also where it cannot be judged when the operation begins.
    let rules =
        "allow anyone to sign any key when size > 100 B require 1 of role:custodian\nallow anyone to sign any key\n";
    apply("--token large", "p", rules);
    assert!(signs(&session, key, 100));
    let (small, large) = ([5; 100], [5; 101]);
    denied(session.sign(CKM_ECDSA_SHA256, key, &large));
    let approve = || {
        let open = waiting("large");
        let id = open[0]["request"].as_str().unwrap();
        kmss(&format!("approve {id} --token large --user alice")).env("KMSS_PIN", "user-pin").succeed();
    };
    approve();
    session.sign_parts(CKM_ECDSA_SHA256, key, &[&small, &[5]]).unwrap();
    denied(session.sign_parts(CKM_ECDSA_SHA256, key, &[&small, &[5]]));
    approve();
    session.sign(CKM_ECDSA_SHA256, key, &large).unwrap();
    // A step-up that only large data needs may be given before it is known to be large.
    let rules = "allow anyone to sign any key when size > 100 B require mfa\nallow anyone to sign any key\n";
    apply("--token large", "p", rules);
    assert!(signs(&session, key, 100));
    refused(session.sign(CKM_ECDSA_SHA256, key, &large), CKR_USER_NOT_LOGGED_IN);
    session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
    session.login(CKU_CONTEXT_SPECIFIC, PIN).unwrap();
    assert_eq!(session.into_buffer(Whole::Sign, &large, Some(64)).0, Rv(CKR_OK));
    refused(session.sign(CKM_ECDSA_SHA256, key, &large), CKR_USER_NOT_LOGGED_IN);
    // A rate that only large data has.
    let rules = "allow anyone to sign any key when size > 100 B at most 2 per hour\nallow anyone to sign any key\n";
    apply("--token large", "p", rules);
    let many = |data: &[u8]| (0..4).filter(|_| session.sign(CKM_ECDSA_SHA256, key, data).is_ok()).count();
    assert_eq!((many(&small), many(&large), many(&small)), (4, 2, 4));
}

#[test]
fn what_streams_out_is_held_to_the_size_so_far() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("stream").user();
    let key = aes(&session, "k");
    apply("--token stream", "p", "allow anyone to encrypt any key when size between 32 B and 64 B\n");
    let iv = || Mech::bytes(CKM_AES_CBC_PAD, &[7; 16]);
    session.encrypt_parts(iv(), key, &[&[0; 48], &[0; 16]]).unwrap();
    // The first part alone is too little to let anything out.
    denied(session.encrypt_parts(iv(), key, &[&[0; 16], &[0; 48]]));
    denied(session.encrypt_parts(iv(), key, &[&[0; 48], &[0; 32]]));
    assert_eq!(last_denial("stream")["action"], "encrypt");
}

#[test]
fn trying_sizes_counts_as_no_decision() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("tried").user();
    let (_, key) = ec_pair(&session, "k");
    apply(
        "--token tried",
        "p",
        "allow anyone to sign any key when size between 100 B and 200 B and rate <= 3 per minute\n",
    );
    let signed = (0..6).filter(|_| session.sign(CKM_ECDSA_SHA256, key, &[1; 150]).is_ok()).count();
    assert_eq!(signed, 3);
}
