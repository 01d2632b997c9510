//! Published examples of the SM algorithms.

use super::lab::{Lab, hex};
use crate::error::ErrorKind;
use crate::key::{KeyComponents, KeySpec, PublicComponents};
use crate::mechanism::{BlockCipher, CipherMode, Curve, Hash, KeyType, Mechanism, Sm2Mechanism};

#[test]
fn sm3_gives_the_examples_of_gb_t_32905() {
    let lab = Lab::new();
    assert_eq!(lab.digest(Hash::Sm3, b"abc"), hex("66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"));
    assert_eq!(
        lab.digest(Hash::Sm3, &b"abcd".repeat(16)),
        hex("debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732")
    );
}

#[test]
fn sm4_gives_the_example_of_gb_t_32907() {
    let lab = Lab::new();
    let key = lab.secret(KeyType::Sm4, &hex("0123456789abcdeffedcba9876543210"));
    let ecb = Mechanism::Cipher(BlockCipher::Sm4, CipherMode::Ecb);
    let plain = hex("0123456789abcdeffedcba9876543210");
    let cipher = hex("681edf34d206965e86b3e94f536e4246");
    assert_eq!(lab.encrypt(&key, &ecb, &plain).unwrap(), cipher);
    assert_eq!(lab.decrypt(&key, &ecb, &cipher).unwrap(), plain);
}

#[test]
fn sm4_cbc_gives_the_example_of_the_internet_draft() {
    // draft-ribose-cfrg-sm4-10, A.2.2.1
    let lab = Lab::new();
    let key = lab.secret(KeyType::Sm4, &hex("0123456789abcdeffedcba9876543210"));
    let iv = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    let plain = hex("aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffaaaaaaaabbbbbbbb");
    let cbc = Mechanism::Cipher(BlockCipher::Sm4, CipherMode::Cbc { iv });
    assert_eq!(
        lab.encrypt(&key, &cbc, &plain).unwrap(),
        hex("78ebb11cc40b0a48312aaeb2040244cb4cb7016951909226979b0d15dc6a8f6d")
    );
}

/// The key of the examples of GM/T 0003.5, on the recommended curve.
const SCALAR: &str = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
const POINT: &str = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
                     ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";

#[test]
fn the_sm2_signature_of_gm_t_0003_5_verifies() {
    let lab = Lab::new();
    let private = lab.scalar(Curve::Sm2, &hex(SCALAR)).unwrap();
    let KeyComponents::EcPrivate { scalar, .. } = lab.export(&private) else { panic!() };
    assert_eq!(scalar.expose(), hex(SCALAR));
    assert_eq!(
        private.key().unwrap().versions[0].public,
        PublicComponents::Ec { curve: Curve::Sm2, point: hex(POINT) }
    );
    let public = lab.point(Curve::Sm2, &hex(POINT)).unwrap();
    let mechanism = Mechanism::Sm2(Sm2Mechanism::SignSm3 { id: Sm2Mechanism::DEFAULT_ID.to_vec() });
    let signature = hex("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
         b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa");
    lab.verify(&public, &mechanism, b"message digest", &signature).unwrap();
    // The digest e of the example, ready.
    let e = hex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
    lab.verify(&public, &Mechanism::Sm2(Sm2Mechanism::SignDigest), &e, &signature).unwrap();
}

#[test]
fn the_sm2_ciphertext_of_gm_t_0003_5_decrypts_as_c1_c3_c2() {
    let lab = Lab::new();
    let key = lab.scalar(Curve::Sm2, &hex(SCALAR)).unwrap();
    let c1 = hex("04 04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73\
            e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0");
    let c3 = hex("59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766");
    let c2 = hex("21886ca989ca9c7d58087307ca93092d651efa");
    let mechanism = Mechanism::Sm2(Sm2Mechanism::Encrypt);
    assert_eq!(lab.decrypt(&key, &mechanism, &[c1.as_slice(), &c3, &c2].concat()).unwrap(), b"encryption standard");
    let old_order = lab.decrypt(&key, &mechanism, &[c1, c2, c3].concat()).unwrap_err();
    assert_eq!(old_order.kind(), ErrorKind::EncryptedDataInvalid);
}

#[test]
fn sm2_decrypts_what_it_encrypted_and_refuses_changes() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Ec(Curve::Sm2)).unwrap();
    let mechanism = Mechanism::Sm2(Sm2Mechanism::Encrypt);
    for len in [1, 31, 32, 33, 300] {
        let plain = vec![0x42; len];
        let sealed = lab.encrypt(&public, &mechanism, &plain).unwrap();
        assert_eq!(sealed.len(), len + 97);
        assert_eq!(lab.decrypt(&private, &mechanism, &sealed).unwrap(), plain);
        for at in [0, 1, 64, 65, 96, 97, sealed.len() - 1] {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            let error = lab.decrypt(&private, &mechanism, &bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::EncryptedDataInvalid, "{at}");
        }
    }
    let kind = |data: &[u8]| lab.decrypt(&private, &mechanism, data).unwrap_err().kind();
    assert_eq!(kind(&[4; 97]), ErrorKind::EncryptedDataLength);
    assert_eq!(kind(&[0; 200]), ErrorKind::EncryptedDataInvalid);
    assert_eq!(lab.encrypt(&public, &mechanism, b"").unwrap_err().kind(), ErrorKind::DataLength);
    assert_eq!(lab.decrypt(&public, &mechanism, &[4; 200]).unwrap_err().kind(), ErrorKind::KeyType);
}
