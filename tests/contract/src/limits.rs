//! Sizes and numbers: nothing, much, and many at once.

use libkmss::key::KeySpec;
use libkmss::mechanism::{BlockCipher, CipherMode, Curve, Gcm, KeyType, Mechanism};

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, secret};
use crate::side::{Guard, ciphered, end_signing, feed_signing};
use crate::signing::ecdsa;
use crate::verdict::{Check, ensure, same};

/// What no single call of a device takes.
const MUCH: usize = 1 << 20;
/// Operations under way at once: more than a small device has sessions.
const MANY: usize = 40;

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let one = |name: &str, trial: fn(&Bench<'_>) -> Check| Behaviour::new(Group::Limits, name, trial);
    vec![
        one("a megabyte is signed in parts", signs_much),
        one("a megabyte is encrypted and decrypted in parts", encrypts_much),
        one("nothing is encrypted and decrypted", encrypts_nothing),
        one("many operations stand open at once, and all end", many_open),
        one("operations that are abandoned take nothing with them", abandoned),
        one("a label of 32 bytes beyond ASCII is taken", long_label),
        one("twenty keys are made, used and destroyed", many_keys),
    ]
}

fn much() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(MUCH).collect()
}

fn signs_much(bench: &Bench<'_>) -> Check {
    let pair = bench.pair(&KeySpec::Ec(Curve::P256))?;
    let mirror = bench.mirror(&pair.public)?;
    let data = much();
    let parts: Vec<&[u8]> = data.chunks(8191).collect();
    let signature = bench.tested.sign(&pair.private, &ecdsa(), &parts)?;
    bench.reference.verify(&mirror, &ecdsa(), &[&data], &signature)?;
    let at_once = bench.tested.sign(&pair.private, &ecdsa(), &[&data])?;
    Ok(bench.reference.verify(&mirror, &ecdsa(), &[&data], &at_once)?)
}

fn encrypts_much(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcPad { iv: [2; 16] });
    let data = much();
    let parts: Vec<&[u8]> = data.chunks(65_521).collect();
    let ciphertext = bench.tested.encrypt(&key, &how, &parts)?;
    same("the length of the ciphertext", &ciphertext.len(), &(MUCH + 16))?;
    let parts: Vec<&[u8]> = ciphertext.chunks(40_009).collect();
    let back = bench.tested.decrypt(&key, &how, &parts)?;
    ensure(back == data, || "a megabyte did not come back as it was".to_owned())
}

fn encrypts_nothing(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let padded = Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcPad { iv: [2; 16] });
    let ciphertext = bench.tested.encrypt(&key, &padded, &[])?;
    same("the length of padded nothing", &ciphertext.len(), &16)?;
    same("what comes back", &bench.tested.decrypt(&key, &padded, &[&ciphertext])?, &Vec::new())?;
    let gcm = Gcm { iv: vec![1; 12].into(), aad: b"aad".to_vec(), tag_len: 16 };
    let gcm = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Gcm(gcm));
    let ciphertext = bench.tested.encrypt(&key, &gcm, &[])?;
    same("the length of a tag alone", &ciphertext.len(), &16)?;
    same("what comes back", &bench.tested.decrypt(&key, &gcm, &[&ciphertext])?, &Vec::new())
}

fn many_open(bench: &Bench<'_>) -> Check {
    let (tested, reference) = (&bench.tested, &bench.reference);
    let pair = bench.pair(&KeySpec::Ec(Curve::P256))?;
    let mirror = bench.mirror(&pair.public)?;
    let key = tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv: [2; 16] });
    let mut open = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let mut signing = tested.begin_sign(&pair.private, &ecdsa())?;
        tested.told("sign a part", feed_signing(&mut signing, &[&number.to_be_bytes()]))?;
        open.push((number, signing, tested.begin_encrypt(&key, &how)?));
    }
    let mut ciphertexts = Vec::with_capacity(MANY);
    for (number, mut signing, mut encrypting) in open.into_iter().rev() {
        let signature = tested.told("end a signature", end_signing(&mut signing))?;
        reference.verify(&mirror, &ecdsa(), &[&number.to_be_bytes()], &signature)?;
        ciphertexts.push(tested.told("end an encryption", ciphered(&mut encrypting, &[&[1; 8], &[1; 8]]))?);
    }
    ensure(ciphertexts.windows(2).all(|pair| pair.first() == pair.last()), || "ciphertexts differ".to_owned())
}

fn abandoned(bench: &Bench<'_>) -> Check {
    let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv: [2; 16] });
    for _ in 0..3 * MANY {
        let mut encrypting = bench.tested.begin_encrypt(&key, &how)?;
        let mut out = vec![0; encrypting.running().update_len(16)];
        let fed = encrypting.produce(&[1; 16], |running| running.update(&[1; 16], &mut out));
        let _ = bench.tested.told("encrypt a part", fed)?;
    }
    let ciphertext = bench.tested.encrypt(&key, &how, &[&[1; 32]])?;
    same("what comes back", &bench.tested.decrypt(&key, &how, &[&ciphertext])?, &vec![1; 32])
}

fn long_label(bench: &Bench<'_>) -> Check {
    let label = "schlüssel-für-größe-密钥-1";
    same("the label's length", &label.len(), &32)?;
    let pair = bench.tested.generate_labelled(&KeySpec::Ec(Curve::P256), label)?;
    let found = bench.tested.again(&pair.private)?;
    same("the label", found.label.as_slice(), label.as_bytes())?;
    let signature = bench.tested.sign(&pair.private, &ecdsa(), &[b"data"])?;
    Ok(bench.tested.verify(&pair.public, &ecdsa(), &[b"data"], &signature)?)
}

fn many_keys(bench: &Bench<'_>) -> Check {
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?);
    }
    let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb);
    let mut ciphertexts = Vec::new();
    for key in &keys {
        ciphertexts.push(bench.tested.encrypt(key, &how, &[&[1; 16]])?);
    }
    ciphertexts.sort();
    ciphertexts.dedup();
    same("different ciphertexts", &ciphertexts.len(), &keys.len())?;
    for key in &keys {
        bench.tested.destroy(key)?;
    }
    Ok(())
}
