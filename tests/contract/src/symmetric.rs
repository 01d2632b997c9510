//! AES and ChaCha20, with keys that are made there and with keys that both sides hold.

use libkmss::error::ErrorKind;
use libkmss::mechanism::{BlockCipher, Ccm, ChaCha20Poly1305, CipherMode, Ctr, Gcm, KeyType, Mechanism, Segment};

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, secret};
use crate::side::Guard;
use crate::signing::flip;
use crate::verdict::{Check, Verdict, ensure, refused, same};

/// Seven blocks.
const DATA: &[u8; 112] = &[0x42; 112];

/// A mode with what it can do.
#[derive(Clone, Debug)]
pub(crate) struct Mode {
    pub(crate) label: String,
    pub(crate) key_type: KeyType,
    pub(crate) key_len: usize,
    pub(crate) how: Mechanism,
    /// Bytes of data.
    pub(crate) len: usize,
    /// Whether it tells altered data.
    pub(crate) authentic: bool,
}

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let mut all: Vec<Behaviour> = modes(BlockCipher::Aes, KeyType::Aes, 32).into_iter().flat_map(both).collect();
    let xts = Mode {
        label: "AES_XTS".to_owned(),
        key_type: KeyType::AesXts,
        key_len: 64,
        how: Mechanism::Cipher(BlockCipher::Aes, CipherMode::Xts { tweak: [9; 16] }),
        len: 100,
        authentic: false,
    };
    let chacha = Mode {
        label: "CHACHA20_POLY1305".to_owned(),
        key_type: KeyType::ChaCha20,
        key_len: 32,
        how: Mechanism::ChaCha20Poly1305(ChaCha20Poly1305 { nonce: [4; 12], aad: b"aad".to_vec() }),
        len: 99,
        authentic: true,
    };
    all.extend(both(xts));
    all.extend(both(chacha));
    for key_len in [16, 24] {
        let iv = [5; 16];
        all.extend(both(Mode {
            label: format!("AES_CBC with {} bits", key_len * 8),
            key_type: KeyType::Aes,
            key_len,
            how: Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv }),
            len: 96,
            authentic: false,
        }));
    }
    all
}

/// The modes of a block cipher.
pub(crate) fn modes(cipher: BlockCipher, key_type: KeyType, key_len: usize) -> Vec<Mode> {
    let iv = [6; 16];
    let mode = |label: &str, mode: CipherMode, len: usize, authentic: bool| Mode {
        label: format!("{}{label}", Mechanism::Cipher(cipher, mode.clone()).name()),
        key_type,
        key_len,
        how: Mechanism::Cipher(cipher, mode),
        len,
        authentic,
    };
    let gcm = |tag_len: usize, aad: &[u8]| CipherMode::Gcm(Gcm { iv: vec![1; 12].into(), aad: aad.to_vec(), tag_len });
    let ccm =
        |tag_len: usize| CipherMode::Ccm(Ccm { nonce: vec![2; 12], aad: b"aad".to_vec(), tag_len, data_len: Some(99) });
    vec![
        mode("", CipherMode::Ecb, 96, false),
        mode("", CipherMode::Cbc { iv }, 96, false),
        mode("", CipherMode::CbcPad { iv }, 99, false),
        mode("", CipherMode::CbcCs1 { iv }, 99, false),
        mode("", CipherMode::Ctr(Ctr { counter_bits: 128, block: [7; 16] }), 99, false),
        mode("", CipherMode::Ofb { iv }, 99, false),
        mode("", CipherMode::Cfb { segment: Segment::Byte, iv }, 99, false),
        mode("", CipherMode::Cfb { segment: Segment::Block, iv }, 99, false),
        mode("", gcm(16, b""), 99, true),
        mode(" with additional data", gcm(16, b"aad"), 99, true),
        mode(" with a tag of 12 bytes", gcm(12, b"aad"), 99, true),
        mode("", ccm(16), 99, true),
    ]
}

/// A mode with a key that is made there, and with one that both sides hold.
pub(crate) fn both(mode: Mode) -> [Behaviour; 2] {
    let group = if matches!(mode.key_type, KeyType::Sm4) { Group::Sm } else { Group::Symmetric };
    let other = mode.clone();
    [
        Behaviour::new(group, format!("{} decrypts what it encrypted", mode.label), move |bench| made(bench, &mode)),
        Behaviour::new(group, format!("{} encrypts as the software engine does", other.label), move |bench| {
            shared(bench, &other)
        }),
    ]
}

fn made(bench: &Bench<'_>, mode: &Mode) -> Check {
    let key = bench.tested.generate(&secret(mode.key_type, mode.key_len), Guard::Kept)?;
    let data = data(mode.len)?;
    let ciphertext = bench.tested.encrypt(&key, &mode.how, &[data])?;
    ensure(!ciphertext.starts_with(data), || "the ciphertext is the plaintext".to_owned())?;
    same("what comes back", bench.tested.decrypt(&key, &mode.how, &[&ciphertext])?.as_slice(), data)?;
    let (first, rest) = split(&ciphertext, 37);
    same("what comes back in parts", bench.tested.decrypt(&key, &mode.how, &[first, &[], rest])?.as_slice(), data)?;
    if mode.authentic {
        let mut altered = ciphertext.clone();
        flip(&mut altered);
        let kinds = [ErrorKind::EncryptedDataInvalid];
        refused("an altered ciphertext", bench.tested.decrypt(&key, &mode.how, &[&altered]), &kinds)?;
        let (first, rest) = split(&altered, 37);
        refused("an altered one in parts", bench.tested.decrypt(&key, &mode.how, &[first, rest]), &kinds)?;
        return releases_nothing(bench, mode, &key, &ciphertext);
    }
    Ok(())
}

/// Nothing leaves an authenticated mode before its tag was checked.
fn releases_nothing(
    bench: &Bench<'_>,
    mode: &Mode,
    key: &std::sync::Arc<libkmss::key::Object>,
    ciphertext: &[u8],
) -> Check {
    let (first, _) = split(ciphertext, 64);
    let mut decrypting = bench.tested.begin_decrypt(key, &mode.how)?;
    let mut out = vec![0; decrypting.running().update_len(first.len())];
    let written = decrypting.update(first, |running| running.update(first, &mut out));
    let written = bench.tested.told("decrypt a part", written)?;
    same("bytes released before the tag was checked", &written, &0)
}

fn shared(bench: &Bench<'_>, mode: &Mode) -> Check {
    let value: Vec<u8> = (1..=u8::MAX).take(mode.key_len).collect();
    let (tested, reference) = bench.shared(mode.key_type, &value)?;
    let data = data(mode.len)?;
    let expected = bench.reference.encrypt(&reference, &mode.how, &[data])?;
    same("the ciphertext", &bench.tested.encrypt(&tested, &mode.how, &[data])?, &expected)?;
    let (first, rest) = split(data, 1);
    let (second, rest) = split(rest, 34);
    let in_parts = bench.tested.encrypt(&tested, &mode.how, &[first, second, rest])?;
    same("the ciphertext of parts", &in_parts, &expected)?;
    same("what comes back", bench.tested.decrypt(&tested, &mode.how, &[&expected])?.as_slice(), data)
}

fn data(len: usize) -> Result<&'static [u8], Verdict> {
    DATA.get(..len).ok_or_else(|| Verdict::Failed("the suite has no data of that length".to_owned()))
}

fn split(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    bytes.split_at(at.min(bytes.len()))
}
