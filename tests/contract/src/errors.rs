//! Which error is told for which mistake, and that nothing is left behind by one.

use libkmss::error::ErrorKind;
use libkmss::key::{KeyComponents, KeySpec, PublicComponents};
use libkmss::mechanism::{
    BlockCipher, CipherMode, Curve, EcMechanism, EcdhKdf, Gcm, Hash, KeyType, Mechanism, RsaMechanism,
};
use libkmss::secret::Secret;

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, generic, rsa, secret};
use crate::side::Guard;
use crate::signing::{MESSAGE, ecdsa};
use crate::vectors::{P256_POINT, hex};
use crate::verdict::{Check, refused, same};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let one = |name: &str, trial: fn(&Bench<'_>) -> Check| Behaviour::new(Group::Errors, name, trial);
    vec![
        one("a key of another type does not sign", another_type),
        one("a secret key does not sign by RSA", secret_for_rsa),
        one("a key without the use is refused", without_use),
        one("a short RSA key is not made", short_rsa),
        one("an AES key of no size is not made", odd_aes),
        one("too much for one RSA block is refused", long_block),
        one("half a block of CBC is refused", half_block),
        one("half a block of ciphertext is refused", half_ciphertext),
        one("padding that is none is refused", padding),
        one("a tag of no length is refused", odd_tag),
        one("a ciphertext shorter than its tag is refused", no_tag),
        one("a point that is not on the curve is no key", off_curve),
        one("a scalar of zero is no key", zero_scalar),
        one("an agreement with a point off the curve is refused", agrees_off_curve),
        one("what is no wrapped key does not unwrap", no_wrapped_key),
        one("after errors it works as before", afterwards),
    ]
}

/// A mechanism for another key is either not the key's, or not offered.
const MISFIT: &[ErrorKind] = &[ErrorKind::KeyType, ErrorKind::KeyUsage];
const LENGTH: &[ErrorKind] = &[ErrorKind::DataLength];

fn another_type(bench: &Bench<'_>) -> Check {
    let pair = bench.pair(&rsa(2048))?;
    refused("ECDSA with an RSA key", bench.tested.sign(&pair.private, &ecdsa(), &[MESSAGE]), MISFIT)?;
    let pair = bench.pair(&KeySpec::Ec(Curve::P256))?;
    let how = Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256));
    refused("RSA with a key of P-256", bench.tested.sign(&pair.private, &how, &[MESSAGE]), MISFIT)
}

fn secret_for_rsa(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let how = Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256));
    refused("RSA with an AES key", bench.tested.sign(&key, &how, &[MESSAGE]), MISFIT)
}

fn without_use(bench: &Bench<'_>) -> Check {
    let pair = bench.pair(&KeySpec::Ec(Curve::P256))?;
    let usage = [ErrorKind::KeyUsage];
    refused("signing with a public key", bench.tested.sign(&pair.public, &ecdsa(), &[MESSAGE]), &usage)
}

fn short_rsa(bench: &Bench<'_>) -> Check {
    let kinds = [ErrorKind::KeySize];
    refused("RSA with 512 bits", bench.tested.generate_pair(&rsa(512), Guard::Kept), &kinds)
}

fn odd_aes(bench: &Bench<'_>) -> Check {
    let kinds = [ErrorKind::KeySize];
    refused("AES with 136 bits", bench.tested.generate(&secret(KeyType::Aes, 17), Guard::Kept), &kinds)
}

fn long_block(bench: &Bench<'_>) -> Check {
    let pair = bench.pair(&rsa(2048))?;
    let how = Mechanism::Rsa(RsaMechanism::Pkcs);
    // RFC 8017, 9.2: eleven bytes of padding.
    let whole = bench.tested.sign(&pair.private, &how, &[&[1; 245]])?;
    same("the longest signature", &whole.len(), &256)?;
    refused("a block of 246 bytes", bench.tested.sign(&pair.private, &how, &[&[1; 246]]), LENGTH)
}

fn half_block(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv: [0; 16] });
    refused("17 bytes", bench.tested.encrypt(&key, &how, &[&[1; 17]]), LENGTH)
}

fn half_ciphertext(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let kinds = [ErrorKind::EncryptedDataLength];
    for mode in [CipherMode::Cbc { iv: [0; 16] }, CipherMode::CbcPad { iv: [0; 16] }, CipherMode::Ecb] {
        let how = Mechanism::Cipher(BlockCipher::Aes, mode);
        refused("17 bytes", bench.tested.decrypt(&key, &how, &[&[1; 17]]), &kinds)?;
    }
    Ok(())
}

fn padding(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let bare = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv: [0; 16] });
    let ciphertext = bench.tested.encrypt(&key, &bare, &[&[0; 32]])?;
    let padded = Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcPad { iv: [0; 16] });
    let kinds = [ErrorKind::EncryptedDataInvalid];
    refused("zeros as padding", bench.tested.decrypt(&key, &padded, &[&ciphertext]), &kinds)
}

fn gcm(tag_len: usize) -> Mechanism {
    Mechanism::Cipher(BlockCipher::Aes, CipherMode::Gcm(Gcm { iv: vec![1; 12].into(), aad: Vec::new(), tag_len }))
}

fn odd_tag(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    // Offered at all? Otherwise the mistake cannot be told from its absence.
    let _ = bench.tested.encrypt(&key, &gcm(16), &[b"data"])?;
    let kinds = [ErrorKind::MechanismParameter];
    refused("a tag of 17 bytes", bench.tested.encrypt(&key, &gcm(17), &[b"data"]), &kinds)
}

fn no_tag(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let kinds = [ErrorKind::EncryptedDataLength, ErrorKind::EncryptedDataInvalid];
    refused("15 bytes", bench.tested.decrypt(&key, &gcm(16), &[&[1; 15]]), &kinds)?;
    refused("nothing", bench.tested.decrypt(&key, &gcm(16), &[]), &kinds)
}

fn off_curve(bench: &Bench<'_>) -> Check {
    let mut point = hex(P256_POINT);
    crate::signing::flip(&mut point);
    let public = PublicComponents::Ec { curve: Curve::P256, point };
    refused("the point", bench.tested.import_public(&public), &[ErrorKind::AttributeValue])
}

fn zero_scalar(bench: &Bench<'_>) -> Check {
    let components = KeyComponents::EcPrivate { curve: Curve::P256, scalar: Secret::copy_of(&[0; 32]) };
    refused("the scalar", bench.tested.import(&components, Guard::Kept), &[ErrorKind::AttributeValue])
}

fn agrees_off_curve(bench: &Bench<'_>) -> Check {
    let pair = bench.pair(&KeySpec::Ec(Curve::P256))?;
    let ecdh =
        |public: Vec<u8>| Mechanism::Ec(EcMechanism::Ecdh { kdf: EcdhKdf::Null, public, shared_info: Vec::new() });
    let _ = bench.tested.derive(&pair.private, &ecdh(hex(P256_POINT)), generic(32))?;
    let mut point = hex(P256_POINT);
    crate::signing::flip(&mut point);
    let kinds = [ErrorKind::MechanismParameter];
    refused("the point", bench.tested.derive(&pair.private, &ecdh(point), generic(32)), &kinds)
}

fn no_wrapped_key(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
    let kinds = [ErrorKind::WrappedKeyInvalid, ErrorKind::WrappedKeyLength];
    refused("40 bytes", bench.tested.unwrap(&key, &how, &[7; 40], generic(32)), &kinds)?;
    refused("3 bytes", bench.tested.unwrap(&key, &how, &[7; 3], generic(32)), &kinds)
}

fn afterwards(bench: &Bench<'_>) -> Check {
    let pair = bench.pair(&KeySpec::Ec(Curve::P256))?;
    let mirror = bench.mirror(&pair.public)?;
    for _ in 0..20 {
        let _ = bench.tested.verify(&pair.public, &ecdsa(), &[MESSAGE], &[1; 64]);
        drop(bench.tested.begin_sign(&pair.private, &ecdsa())?);
    }
    let signature = bench.tested.sign(&pair.private, &ecdsa(), &[MESSAGE])?;
    Ok(bench.reference.verify(&mirror, &ecdsa(), &[MESSAGE], &signature)?)
}
