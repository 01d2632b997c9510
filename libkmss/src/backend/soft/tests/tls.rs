//! The key schedule of TLS 1.2.

use super::lab::{Lab, hex};
use crate::error::ErrorKind;
use crate::key::Expected;
use crate::mechanism::{Hash, KeyType, MasterBinding, Mechanism, Randoms, TlsMechanism};

fn randoms(client: &str, server: &str) -> Randoms {
    Randoms { client: hex(client), server: hex(server) }
}

fn generic(len: Option<usize>) -> Expected {
    Expected { key_type: KeyType::GenericSecret, len }
}

const MASTER: &str = "202c88c00f84a17a20027079604787461176455539e705be730890602c289a50
                      01e34eeb3a043e5d52a65e66125188bf";

#[test]
fn master_secret_and_key_block_agree_with_the_vector_of_nist() {
    // SP 800-135 CAVS, TLS 1.2 with SHA-256, the first of 384 and 1024 bits.
    let lab = Lab::new();
    let premaster = "f8938ecc9edebc5030c0c6a441e213cd24e6f770a50dda07876f8d55da062bca
                     db386b411fd4fe4313a604fce6c17fbc";
    let premaster = lab.secret(KeyType::GenericSecret, &hex(premaster));
    let hello = randoms(
        "36c129d01a3200894b9179faac589d9835d58775f9b5ea3587cb8fd0364cae8c",
        "f6c9575ed7ddd73e1f7d16eca115415812a43c2b747daaaae043abfb50053fce",
    );
    for versioned in [true, false] {
        let binding = MasterBinding::Randoms(hello.clone());
        let mechanism = Mechanism::Tls(TlsMechanism::Master { hash: Hash::Sha256, binding, versioned });
        let (master, version) = lab.derive_all(&premaster, &[], &mechanism, &[generic(None)]).unwrap();
        assert_eq!(lab.bytes(&master[0]), hex(MASTER));
        assert_eq!(version, if versioned { vec![0xf8, 0x93] } else { Vec::new() });
    }
    let master = lab.secret(KeyType::GenericSecret, &hex(MASTER));
    let randoms = randoms(
        "62e1fd91f23f558a605f28478c58cf72637b89784d959df7e946d3f07bd1b616",
        "ae6c806f8ad4d80784549dff28a4b58fd837681a51d928c3e30ee5ff14f39868",
    );
    let block = hex("d06139889fffac1e3a71865f504aa5d0d2a2e89506c6f2279b670c3e1b74f531
                     016a2530c51a3a0f7e1d6590d0f0566b2f387f8d11fd4f731cdd572d2eae927f
                     6f2f81410b25e6960be68985add6c38445ad9f8c64bf8068bf9a6679485d966f
                     1ad6f68b43495b10a683755ea2b858d70ccac7ec8b053c6bd41ca299d4e51928");
    let (mac_len, key_len, iv_len) = (20, 32, Some(12));
    let mechanism = TlsMechanism::KeyBlock { hash: Hash::Sha256, randoms, mac_len, key_len, iv_len };
    let aes = Expected { key_type: KeyType::Aes, len: Some(32) };
    let wanted = [generic(None), generic(None), aes, aes];
    let (keys, ivs) = lab.derive_all(&master, &[], &Mechanism::Tls(mechanism), &wanted).unwrap();
    let bytes: Vec<u8> = keys.iter().flat_map(|key| lab.bytes(key)).chain(ivs).collect();
    assert_eq!(bytes, block);
}

#[test]
fn a_cipher_that_authenticates_has_mac_keys_without_bytes() {
    let lab = Lab::new();
    let master = lab.secret(KeyType::GenericSecret, &hex(MASTER));
    let block = |mac_len, key_len, iv_len: usize| {
        let (randoms, iv_len) = (randoms("00", "01"), Some(iv_len));
        Mechanism::Tls(TlsMechanism::KeyBlock { hash: Hash::Sha384, randoms, mac_len, key_len, iv_len })
    };
    let aes = Expected { key_type: KeyType::Aes, len: Some(16) };
    let wanted = [generic(None), generic(None), aes, aes];
    let (keys, ivs) = lab.derive_all(&master, &[], &block(0, 16, 4), &wanted).unwrap();
    assert_eq!(keys.iter().map(|key| lab.bytes(key).len()).collect::<Vec<_>>(), [0, 0, 16, 16]);
    assert_eq!(ivs.len(), 8);
    let kind = |mechanism: &Mechanism, wanted: &[Expected]| {
        lab.derive_all(&master, &[], mechanism, wanted).map(|_| ()).unwrap_err().kind()
    };
    assert_eq!(kind(&block(0, 32, 4), &wanted), ErrorKind::TemplateInconsistent);
    assert_eq!(kind(&block(0, 0, 0), &wanted), ErrorKind::MechanismParameter);
    assert_eq!(kind(&block(0, 1 << 20, 0), &wanted), ErrorKind::MechanismParameter);
    assert_eq!(kind(&block(0, 16, 0), &wanted[..2]), ErrorKind::TemplateInconsistent);
}

#[test]
fn a_premaster_secret_begins_with_its_version_and_has_48_bytes() {
    let lab = Lab::new();
    let mechanism = Mechanism::Tls(TlsMechanism::Premaster { version: [3, 3] });
    let one = lab.bytes(&lab.make_by(&mechanism, KeyType::GenericSecret, None).unwrap());
    let other = lab.bytes(&lab.make_by(&mechanism, KeyType::GenericSecret, Some(48)).unwrap());
    assert_eq!((one.len(), &one[..2]), (48, [3, 3].as_slice()));
    assert_ne!(one, other);
    let short = lab.make_by(&mechanism, KeyType::GenericSecret, Some(47)).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::TemplateInconsistent);
    // One of another length names no version.
    let binding = MasterBinding::Handshake(vec![1; 32]);
    let mechanism = Mechanism::Tls(TlsMechanism::Master { hash: Hash::Sha256, binding, versioned: true });
    let premaster = lab.secret(KeyType::GenericSecret, &[3; 47]);
    let refused = lab.derive(&premaster, &mechanism, KeyType::GenericSecret, None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeySize);
}

#[test]
fn a_finished_mac_says_whose_it_is() {
    let lab = Lab::new();
    let master = lab.secret(KeyType::GenericSecret, &hex(MASTER));
    let mac = |server, len| Mechanism::Tls(TlsMechanism::Finished { hash: Hash::Sha256, len, server });
    let client = lab.sign(&master, &mac(false, 12), &[5; 32]).unwrap();
    assert_eq!(client.len(), 12);
    assert_ne!(client, lab.sign(&master, &mac(true, 12), &[5; 32]).unwrap());
    assert_eq!(lab.sign(&master, &mac(false, 32), &[5; 32]).unwrap()[..12], client);
    lab.verify(&master, &mac(false, 12), &[5; 32], &client).unwrap();
    let kind = |mechanism: &Mechanism| lab.verify(&master, mechanism, &[5; 32], &client).unwrap_err().kind();
    assert_eq!(kind(&mac(true, 12)), ErrorKind::SignatureInvalid);
    assert_eq!(kind(&mac(false, 13)), ErrorKind::SignatureLength);
    let aes = lab.secret(KeyType::Aes, &[1; 16]);
    assert_eq!(lab.sign(&aes, &mac(false, 12), b"").unwrap_err().kind(), ErrorKind::KeyType);
}
