//! secp256k1, Ed448, X448 and the variants of EdDSA: vectors of RFC 8032, and what the curves have in common.

use super::lab::{Lab, hex, signed, verified};
use crate::backend::Backend;
use crate::error::ErrorKind;
use crate::key::{KeyComponents, KeySpec, PublicComponents};
use crate::mechanism::{Curve, EcMechanism, EcdhKdf, Hash, KeyType, LedgerDigest, Mechanism};

fn eddsa(prehash: bool, context: &[u8]) -> Mechanism {
    Mechanism::Ec(EcMechanism::EdDsa { prehash, context: context.to_vec() })
}

/// Seed, public key, message, context and signature.
struct Vector {
    curve: Curve,
    prehash: bool,
    seed: &'static str,
    public: &'static str,
    message: &'static str,
    context: &'static str,
    signature: &'static str,
}

/// RFC 8032, 7.2 to 7.5.
const VECTORS: [Vector; 8] = [
    Vector {
        curve: Curve::Ed25519,
        prehash: false,
        seed: "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
        public: "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
        message: "f726936d19c800494e3fdaff20b276a8",
        context: "666f6f",
        signature: "55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a\
                    8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d",
    },
    Vector {
        curve: Curve::Ed25519,
        prehash: false,
        seed: "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
        public: "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
        message: "f726936d19c800494e3fdaff20b276a8",
        context: "626172",
        signature: "fc60d5872fc46b3aa69f8b5b4351d5808f92bcc044606db097abab6dbcb1aee3\
                    216c48e8b3b66431b5b186d1d28f8ee15a5ca2df6668346291c2043d4eb3e90d",
    },
    Vector {
        curve: Curve::Ed25519,
        prehash: true,
        seed: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        public: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        message: "616263",
        context: "",
        signature: "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41\
                    31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
    },
    Vector {
        curve: Curve::Ed448,
        prehash: false,
        seed: "6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3\
               528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b",
        public: "5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778\
                 edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180",
        message: "",
        context: "",
        signature: "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f\
                    2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980ff0d2028d4b18a\
                    9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4db\
                    b61149f05a7363268c71d95808ff2e652600",
    },
    Vector {
        curve: Curve::Ed448,
        prehash: false,
        seed: "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463a\
               fbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e",
        public: "43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c086\
                 6aea01eb00742802b8438ea4cb82169c235160627b4c3a9480",
        message: "03",
        context: "",
        signature: "26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f435\
                    2541b143c4b981b7e18f62de8ccdf633fc1bf037ab7cd779805e0dbcc0aae1cb\
                    cee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0f\
                    f3348ab21aa4adafd1d234441cf807c03a00",
    },
    Vector {
        curve: Curve::Ed448,
        prehash: false,
        seed: "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463a\
               fbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e",
        public: "43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c086\
                 6aea01eb00742802b8438ea4cb82169c235160627b4c3a9480",
        message: "03",
        context: "666f6f",
        signature: "d4f8f6131770dd46f40867d6fd5d5055de43541f8c5e35abbcd001b32a89f7d2\
                    151f7647f11d8ca2ae279fb842d607217fce6e042f6815ea000c85741de5c8da\
                    1144a6a1aba7f96de42505d7a7298524fda538fccbbb754f578c1cad10d54d0d\
                    5428407e85dcbc98a49155c13764e66c3c00",
    },
    Vector {
        curve: Curve::Ed448,
        prehash: true,
        seed: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42\
               ef7822e0d5104127dc05d6dbefde69e3ab2cec7c867c6e2c49",
        public: "259b71c19f83ef77a7abd26524cbdb3161b590a48f7d17de3ee0ba9c52beb743\
                 c09428a131d6b1b57303d90d8132c276d5ed3d5d01c0f53880",
        message: "616263",
        context: "",
        signature: "822f6901f7480f3d5f562c592994d9693602875614483256505600bbc281ae38\
                    1f54d6bce2ea911574932f52a4e6cadd78769375ec3ffd1b801a0d9b3f4030cd\
                    433964b6457ea39476511214f97469b57dd32dbc560a9a94d00bff07620464a3\
                    ad203df7dc7ce360c3cd3696d9d9fab90f00",
    },
    Vector {
        curve: Curve::Ed448,
        prehash: true,
        seed: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42\
               ef7822e0d5104127dc05d6dbefde69e3ab2cec7c867c6e2c49",
        public: "259b71c19f83ef77a7abd26524cbdb3161b590a48f7d17de3ee0ba9c52beb743\
                 c09428a131d6b1b57303d90d8132c276d5ed3d5d01c0f53880",
        message: "616263",
        context: "666f6f",
        signature: "c32299d46ec8ff02b54540982814dce9a05812f81962b649d528095916a2aa48\
                    1065b1580423ef927ecf0af5888f90da0f6a9a85ad5dc3f280d91224ba9911a3\
                    653d00e484e2ce232521481c8658df304bb7745a73514cdb9bf3e15784ab7128\
                    4f8d0704a608c54a6b62d97beb511d132100",
    },
];

#[test]
fn every_variant_of_eddsa_gives_the_vectors_of_rfc_8032() {
    let lab = Lab::new();
    for v in &VECTORS {
        let (message, context) = (hex(v.message), hex(v.context));
        let mechanism = eddsa(v.prehash, &context);
        let private = lab.scalar(v.curve, &hex(v.seed)).unwrap();
        let public = lab.point(v.curve, &hex(v.public)).unwrap();
        assert_eq!(private.key().unwrap().versions[0].public, public.key().unwrap().versions[0].public);
        let signature = lab.sign(&private, &mechanism, &message).unwrap();
        assert_eq!(signature, hex(v.signature), "{:?} {} {}", v.curve, v.prehash, v.context);
        lab.verify(&public, &mechanism, &message, &signature).unwrap();
        let others = [eddsa(!v.prehash, &context), eddsa(v.prehash, b"another"), eddsa(v.prehash, &[7; 255])];
        for other in others {
            let error = lab.verify(&public, &other, &message, &signature).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SignatureInvalid);
        }
    }
}

#[test]
fn a_prehashed_message_may_come_in_parts_and_a_context_has_255_bytes_at_most() {
    let lab = Lab::new();
    let message: Vec<u8> = (0..=255).collect();
    for curve in [Curve::Ed25519, Curve::Ed448] {
        let (private, public) = lab.pair(&KeySpec::Ec(curve)).unwrap();
        for mechanism in [eddsa(true, b"c"), eddsa(false, b"c"), eddsa(false, b"")] {
            let parts: Vec<&[u8]> = message.chunks(37).collect();
            let signature = signed(lab.backend.sign(&lab.on(&private), &mechanism).unwrap(), &parts).unwrap();
            assert_eq!(signature, lab.sign(&private, &mechanism, &message).unwrap(), "it is deterministic");
            verified(lab.backend.verify(&lab.on(&public), &mechanism).unwrap(), &parts, &signature).unwrap();
        }
        let long = lab.sign(&private, &eddsa(false, &[0; 256]), b"m").unwrap_err();
        assert_eq!(long.kind(), ErrorKind::MechanismParameter);
    }
}

#[test]
fn secp256k1_takes_either_half_of_s_and_digests_of_any_length() {
    // n, the order (SEC 2, 2.4.1).
    let n = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Ec(Curve::Secp256k1)).unwrap();
    let raw = Mechanism::Ec(EcMechanism::Ecdsa { hash: None });
    for len in [1, 20, 31, 32, 33, 64] {
        let digest: Vec<u8> = (0..len).collect();
        let signature = lab.sign(&private, &raw, &digest).unwrap();
        lab.verify(&public, &raw, &digest, &signature).unwrap();
        let mut borrow = 0;
        let mut mirrored = signature.clone();
        for i in (0..32).rev() {
            let difference = i32::from(n[i]) - i32::from(signature[32 + i]) - borrow;
            borrow = i32::from(difference < 0);
            mirrored[32 + i] = u8::try_from(difference.rem_euclid(256)).unwrap();
        }
        lab.verify(&public, &raw, &digest, &mirrored).unwrap();
        if len > 32 {
            lab.verify(&public, &raw, &digest[..32], &signature).unwrap();
        }
    }
    let kind = |scalar: &[u8]| lab.scalar(Curve::Secp256k1, scalar).unwrap_err().kind();
    assert_eq!(kind(&n), ErrorKind::AttributeValue);
    assert_eq!(kind(&[0; 32]), ErrorKind::AttributeValue);
    assert_eq!(kind(&[1; 31]), ErrorKind::AttributeValue);
}

#[test]
fn x448_agrees_on_56_bytes_and_on_nothing_with_values_of_small_order() {
    let lab = Lab::new();
    let (a, a_public) = lab.pair(&KeySpec::Ec(Curve::X448)).unwrap();
    let KeyComponents::EcPrivate { scalar, .. } = lab.export(&a) else { panic!() };
    assert_eq!(scalar.len(), 56);
    let KeyComponents::Public(PublicComponents::Ec { point, .. }) = lab.export(&a_public) else { panic!() };
    let (b, _) = lab.pair(&KeySpec::Ec(Curve::X448)).unwrap();
    let agree = |public: &[u8]| {
        let ecdh = EcMechanism::Ecdh { kdf: EcdhKdf::Null, public: public.to_vec(), shared_info: Vec::new() };
        lab.derive(&b, &Mechanism::Ec(ecdh), KeyType::GenericSecret, None)
    };
    assert_eq!(lab.bytes(&agree(&point).unwrap()).len(), 56);
    // RFC 7748, 6.2.
    let mut one = vec![0; 56];
    one[0] = 1;
    for small in [vec![0; 56], one] {
        assert_eq!(agree(&small).unwrap_err().kind(), ErrorKind::MechanismParameter);
    }
    assert_eq!(agree(&point[1..]).unwrap_err().kind(), ErrorKind::MechanismParameter);
}

#[test]
fn compressed_points_are_taken_and_given_back_whole() {
    let lab = Lab::new();
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1] {
        let (_, public) = lab.pair(&KeySpec::Ec(curve)).unwrap();
        let KeyComponents::Public(PublicComponents::Ec { point, .. }) = lab.export(&public) else { panic!() };
        let sign = 2 + (point.last().unwrap() & 1);
        let compressed = [&[sign][..], &point[1..=curve.field_len()]].concat();
        let taken = lab.point(curve, &compressed).unwrap();
        assert_eq!(lab.export(&taken), lab.export(&public));
        // Infinity, and encodings that say both (X9.62, 4.3.6).
        assert_eq!(lab.point(curve, &[0]).unwrap_err().kind(), ErrorKind::AttributeValue);
        let hybrid = [&[sign + 4][..], &point[1..]].concat();
        assert_eq!(lab.point(curve, &hybrid).unwrap_err().kind(), ErrorKind::AttributeValue);
    }
}

#[test]
fn bytes_that_are_no_public_key_of_ed448_are_refused() {
    let lab = Lab::new();
    let kind = |point: &[u8]| lab.point(Curve::Ed448, point).unwrap_err().kind();
    assert_eq!(kind(&[0xff; 57]), ErrorKind::AttributeValue);
    assert_eq!(kind(&[2; 56]), ErrorKind::AttributeValue);
    let mut identity = vec![0; 57];
    identity[0] = 1;
    assert_eq!(kind(&identity), ErrorKind::AttributeValue);
    // Bits that no encoding has.
    let mut unused = hex(VECTORS[3].public);
    unused[56] ^= 1;
    assert_eq!(kind(&unused), ErrorKind::AttributeValue);
}

#[test]
fn secp256k1_signs_with_every_hash() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Ec(Curve::Secp256k1)).unwrap();
    for hash in Hash::ALL {
        let mechanism = Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) });
        let signature = lab.sign(&private, &mechanism, b"message").unwrap();
        lab.verify(&public, &mechanism, b"message", &signature).unwrap();
        let ready = Mechanism::Ec(EcMechanism::Ecdsa { hash: None });
        lab.verify(&public, &ready, &lab.digest(hash, b"message"), &signature).unwrap();
    }
}

#[test]
fn a_signature_for_a_ledger_has_the_lower_s_and_tells_its_key() {
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    // n − s: no lower s is that high.
    fn other_half(s: &[u8]) -> Vec<u8> {
        let (mut out, mut borrow) = (vec![0; 32], 0);
        for (at, order) in hex(ORDER).iter().enumerate().rev() {
            let difference = i32::from(*order) - i32::from(s[at]) - borrow;
            (out[at], borrow) = (difference.rem_euclid(256) as u8, i32::from(difference < 0));
        }
        out
    }
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Ec(Curve::Secp256k1)).unwrap();
    let (_, stranger) = lab.pair(&KeySpec::Ec(Curve::Secp256k1)).unwrap();
    let ledger = |digest, recoverable| Mechanism::Ec(EcMechanism::EcdsaLedger { digest, recoverable });
    for digest in [LedgerDigest::Keccak256, LedgerDigest::Sha256, LedgerDigest::Ready] {
        for recoverable in [false, true] {
            let how = ledger(digest, recoverable);
            for number in 0..16 {
                let message = [number; 32];
                let signature = lab.sign(&private, &how, &message).unwrap();
                assert_eq!(signature.len(), if recoverable { 65 } else { 64 });
                assert!(signature[32] < 0x80, "the higher s");
                let verify = |key, signature: &[u8]| lab.verify(key, &how, &message, signature);
                assert!(verify(&public, &signature).is_ok());
                let invalid = |signature: &[u8]| {
                    assert_eq!(verify(&public, signature).unwrap_err().kind(), ErrorKind::SignatureInvalid);
                };
                assert!(verify(&stranger, &signature).is_err());
                let turned = [&signature[..32], &other_half(&signature[32..64]), &signature[64..]].concat();
                invalid(&turned);
                if recoverable {
                    assert!(signature[64] < 2);
                    for v in [signature[64] ^ 1, signature[64] + 2, 27, 255] {
                        invalid(&[&signature[..64], &[v]].concat());
                    }
                }
                // To FIPS 186-5 both halves are right.
                if digest == LedgerDigest::Sha256 {
                    let plain = Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha256) });
                    assert!(lab.verify(&public, &plain, &message, &turned[..64]).is_ok());
                }
            }
        }
    }
    let ready = ledger(LedgerDigest::Ready, true);
    for len in [0, 31, 33] {
        assert_eq!(lab.sign(&private, &ready, &vec![1; len]).unwrap_err().kind(), ErrorKind::DataLength);
    }
    let (p256, _) = lab.pair(&KeySpec::Ec(Curve::P256)).unwrap();
    assert_eq!(lab.sign(&p256, &ready, &[1; 32]).unwrap_err().kind(), ErrorKind::KeyType);
}
