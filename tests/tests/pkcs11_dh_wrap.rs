//! Diffie-Hellman private keys as PKCS #8 in C_WrapKey and C_UnwrapKey, with the `openssl` command on the other side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::{der, hex, secret};
use kmss_tests::p11::{Attr, Mech, Session, flag, raw, refused, token, ulong};

/// A session on a fresh token; `None`, said aloud, without KMSS.
fn session(label: &str) -> Option<Session> {
    if built::only_kmss("wrapping of DH keys") { None } else { Some(token(label).user()) }
}

/// What is in a DER element, and what follows it.
fn opened(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (start, len) = match bytes[1] {
        0x82 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        0x81 => (3, usize::from(bytes[2])),
        len => (2, usize::from(len)),
    };
    (&bytes[start..start + len], &bytes[start + len..])
}

/// The prime of ffdhe2048 as openssl writes it.
fn prime(judge: &Judge) -> Vec<u8> {
    judge.succeed("genpkey -algorithm DH -pkeyopt group:ffdhe2048 -outform DER -out any.der");
    let any = judge.read("any.der");
    // Version, then the algorithm: its identifier and prime and base.
    let (algorithm, _) = opened(opened(opened(&any).0).1);
    let (parameters, _) = opened(opened(algorithm).1);
    opened(parameters).0[1..].to_vec()
}

fn pair(session: &Session, prime: &[u8]) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let public = [raw(CKA_PRIME, prime), raw(CKA_BASE, [2]), flag(CKA_TOKEN, false)];
    let private = [flag(CKA_TOKEN, false), flag(CKA_EXTRACTABLE, true)];
    session.generate_pair(CKM_DH_PKCS_KEY_PAIR_GEN, &public, &private).unwrap()
}

fn back() -> [Attr; 5] {
    [
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, CKK_DH),
        flag(CKA_TOKEN, false),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
    ]
}

/// The secret agreed on with `theirs`.
fn agreed(session: &Session, private: CK_OBJECT_HANDLE, theirs: &[u8]) -> Vec<u8> {
    let loose = [
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        flag(CKA_TOKEN, false),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
    ];
    let key = session.derive(Mech::bytes(CKM_DH_PKCS_DERIVE, theirs), private, &loose).unwrap();
    session.get(key, CKA_VALUE).unwrap()
}

#[test]
fn a_wrapped_key_is_what_openssl_reads_and_comes_back() {
    let Some(session) = session("dh-wrap") else { return };
    let judge = Judge::new();
    let prime = prime(&judge);
    let (public, private) = pair(&session, &prime);
    let (other, _) = pair(&session, &prime);
    let theirs = session.get(other, CKA_VALUE).unwrap();
    let aes = secret(&session, CKK_AES, &[5; 32]);
    let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, aes, private).unwrap();
    judge.file("wrapped", &wrapped);
    let key = hex(&[5; 32]);
    judge.succeed(&format!("enc -d -id-aes256-wrap-pad -K {key} -iv a65959a6 -in wrapped -out key.der"));
    judge.succeed("pkey -inform DER -in key.der -pubout -outform DER -out public.der");
    let info = judge.read("public.der");
    let value = session.get(public, CKA_VALUE).unwrap();
    assert!(info.ends_with(&value), "openssl computes another public value");
    let again = session.unwrap(CKM_AES_KEY_WRAP_KWP, aes, &wrapped, &back()).unwrap();
    assert_eq!(session.get(again, CKA_PRIME).unwrap(), prime);
    assert_eq!(agreed(&session, again, &theirs), agreed(&session, private, &theirs));
    assert!(!session.get_flag(again, CKA_LOCAL).unwrap());
    // The type is the caller's word against the file's.
    let mut ec = back();
    ec[1] = ulong(CKA_KEY_TYPE, CKK_EC);
    refused(session.unwrap(CKM_AES_KEY_WRAP_KWP, aes, &wrapped, &ec), CKR_WRAPPED_KEY_INVALID);
}

#[test]
fn a_key_that_openssl_made_comes_in_wrapped() {
    let Some(session) = session("dh-unwrap") else { return };
    let judge = Judge::new();
    let prime = prime(&judge);
    judge.succeed("genpkey -algorithm DH -pkeyopt group:ffdhe2048 -outform DER -out theirs.der");
    judge.succeed("pkey -inform DER -in theirs.der -pubout -outform DER -out theirs.pub");
    let aes = secret(&session, CKK_AES, &[6; 16]);
    let cbc = || Mech::bytes(CKM_AES_CBC_PAD, &[1; 16]);
    let unwrap = |plain: &[u8]| session.unwrap(cbc(), aes, &session.encrypt(cbc(), aes, plain).unwrap(), &back());
    let theirs = judge.read("theirs.der");
    let private = unwrap(&theirs).unwrap();
    let info = judge.read("theirs.pub");
    let (ours, our_private) = pair(&session, &prime);
    // The public value is the INTEGER at the end; it may have a leading zero.
    let bits = opened(opened(opened(&info).0).1).0;
    let value = opened(&bits[1..]).0;
    let ours = session.get(ours, CKA_VALUE).unwrap();
    let value = value.strip_prefix(&[0]).unwrap_or(value);
    assert_eq!(agreed(&session, private, &ours), agreed(&session, our_private, value));
    // Groups that have no name, private values that are none, and what is cut off.
    let at = theirs.windows(prime.len()).position(|window| window == prime).unwrap();
    let mut other_group = theirs.clone();
    other_group[at + 100] ^= 1;
    let (inner, _) = opened(&theirs);
    let (_, after_version) = opened(inner);
    let (_, octets) = opened(after_version);
    let head = &inner[..inner.len() - octets.len()];
    let zero = der(0x30, &[head, &der(4, &[2, 1, 0])].concat());
    let empty = der(0x30, &[head, &der(4, &[])].concat());
    for bad in [&other_group, &zero, &empty, &theirs[..theirs.len() - 1].to_vec()] {
        refused(unwrap(bad), CKR_WRAPPED_KEY_INVALID);
    }
}
