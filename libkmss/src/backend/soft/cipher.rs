//! Block ciphers in their modes; buffering, padding and counting around the engines of two libraries.

use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq, ConstantTimeGreater};
use zeroize::{Zeroize, Zeroizing};

use super::aead;
use super::awslc::{AesBlocks, AesMode, encrypt_aes_block};
use super::buffer::{Whole, front};
use super::keys::SecretKey;
use super::keywrap::KeyWrap;
use super::sm4::{Sm4Blocks, Sm4Mode};
use super::spare::Lent;
use super::stealing::Stealing;
use super::xts::Xts;
use super::{parameter, wrong_key};
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{BlockCipher, CipherMode, Ctr, KeyType, Segment};

const BLOCK: usize = BlockCipher::BLOCK;

/// A keyed cipher that turns whole blocks (where the mode is a stream: any bytes) into as many bytes.
pub(super) enum Engine {
    /// AES of aws-lc.
    Aes(Lent<AesBlocks>),
    /// SM4 of RustCrypto.
    Sm4(Box<Sm4Blocks>),
}

impl Engine {
    pub(super) fn process(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        match self {
            Self::Aes(aes) => Ok(aes.get()?.process(input, out)?),
            Self::Sm4(sm4) => sm4.process(input, out),
        }
    }
}

/// Starts an encryption or decryption with a block cipher.
pub(super) fn start(
    key: &Arc<SecretKey>,
    cipher: BlockCipher,
    mode: &CipherMode,
    encrypt: bool,
) -> Result<Box<dyn Ciphering>> {
    let fitting = match (cipher, mode) {
        (BlockCipher::Aes, CipherMode::Xts { .. }) => KeyType::AesXts,
        (BlockCipher::Aes, _) => KeyType::Aes,
        (BlockCipher::Sm4, _) => KeyType::Sm4,
    };
    if key.key_type != fitting {
        return Err(wrong_key());
    }
    let padded = matches!(mode, CipherMode::CbcPad { .. });
    Ok(match (mode, cipher) {
        (CipherMode::Ecb, _) => {
            let engine = blocks(key, cipher, AesMode::Ecb, Sm4Mode::Ecb, &[0; BLOCK], encrypt)?;
            Box::new(Blocks::new(engine, encrypt, false))
        }
        (CipherMode::Cbc { iv } | CipherMode::CbcPad { iv }, _) => {
            let engine = blocks(key, cipher, AesMode::Cbc, Sm4Mode::Cbc, iv, encrypt)?;
            Box::new(Blocks::new(engine, encrypt, padded))
        }
        (CipherMode::Ctr(ctr), _) => {
            if !(1..=128).contains(&ctr.counter_bits) {
                return Err(parameter("the counter has 1 to 128 bits"));
            }
            let engine = blocks(key, cipher, AesMode::Ctr, Sm4Mode::Ctr, &ctr.block, true)?;
            Box::new(Stream { engine, left: counter_bytes(ctr), encrypt })
        }
        (CipherMode::CbcCs1 { iv }, BlockCipher::Aes) => Box::new(Stealing::new(key, iv, encrypt)?),
        (CipherMode::Ofb { iv }, BlockCipher::Aes) => stream(key, AesMode::Ofb, iv, encrypt)?,
        (CipherMode::Cfb { segment, iv }, BlockCipher::Aes) => {
            let mode = match segment {
                Segment::Bit => AesMode::Cfb1,
                Segment::Byte => AesMode::Cfb8,
                Segment::Block => AesMode::Cfb128,
            };
            stream(key, mode, iv, encrypt)?
        }
        (CipherMode::Gcm(gcm), _) => aead::gcm(key, cipher, gcm, encrypt)?,
        (CipherMode::Ccm(ccm), BlockCipher::Aes) => aead::ccm(key, ccm, encrypt)?,
        (CipherMode::Xts { tweak }, BlockCipher::Aes) => {
            Box::new(Whole::new(Xts::new(Arc::clone(key), *tweak, encrypt)))
        }
        (CipherMode::KeyWrap { iv }, BlockCipher::Aes) => {
            Box::new(Whole::new(KeyWrap::new(Arc::clone(key), Some(*iv), encrypt)))
        }
        (CipherMode::KeyWrapPad, BlockCipher::Aes) => {
            Box::new(Whole::new(KeyWrap::new(Arc::clone(key), None, encrypt)))
        }
        (_, BlockCipher::Sm4) => {
            return Err(Error::new(ErrorKind::MechanismUnsupported, "the mode is not offered with SM4"));
        }
    })
}

/// AES-CBC of whole blocks.
pub(super) fn aes_cbc(key: &Arc<SecretKey>, iv: &[u8; BLOCK], encrypt: bool) -> Result<Engine> {
    Ok(Engine::Aes(key.aes(AesMode::Cbc, iv, encrypt)?))
}

/// One block alone, under a key of AES.
pub(super) fn aes_block(key: &SecretKey, block: &[u8; BLOCK], encrypt: bool) -> Result<Zeroizing<[u8; BLOCK]>> {
    let mut out = Zeroizing::new([0; BLOCK]);
    AesBlocks::new(AesMode::Ecb, key.value.expose(), &[0; BLOCK], encrypt)?.process(block, &mut *out)?;
    Ok(out)
}

/// One block encrypted alone, for key check values.
pub(super) fn encrypt_block(
    cipher: BlockCipher,
    key: &SecretKey,
    block: &[u8; BLOCK],
) -> Result<Zeroizing<[u8; BLOCK]>> {
    let mut out = Zeroizing::new([0; BLOCK]);
    if cipher == BlockCipher::Aes {
        encrypt_aes_block(key.value.expose(), block, &mut out)?;
        return Ok(out);
    }
    Sm4Blocks::new(Sm4Mode::Ecb, key.value.expose(), &[0; BLOCK], true)?.process(block, &mut *out)?;
    Ok(out)
}

fn blocks(
    key: &Arc<SecretKey>,
    cipher: BlockCipher,
    aes: AesMode,
    sm4: Sm4Mode,
    iv: &[u8; BLOCK],
    encrypt: bool,
) -> Result<Engine> {
    Ok(match cipher {
        BlockCipher::Aes => Engine::Aes(key.aes(aes, iv, encrypt)?),
        BlockCipher::Sm4 => Engine::Sm4(Box::new(Sm4Blocks::new(sm4, key.value.expose(), iv, encrypt)?)),
    })
}

fn stream(key: &Arc<SecretKey>, mode: AesMode, iv: &[u8; BLOCK], encrypt: bool) -> Result<Box<dyn Ciphering>> {
    Ok(Box::new(Stream { engine: Engine::Aes(key.aes(mode, iv, encrypt)?), left: u128::MAX, encrypt }))
}

/// How many bytes there are before the counter would repeat or carry into the rest of the block.
fn counter_bytes(ctr: &Ctr) -> u128 {
    if ctr.counter_bits >= 128 {
        return u128::MAX;
    }
    let range = 1_u128 << ctr.counter_bits;
    let used = u128::from_be_bytes(ctr.block) & (range - 1);
    (range - used).saturating_mul(BLOCK as u128)
}

/// A stream: as many bytes out as in.
struct Stream {
    engine: Engine,
    left: u128,
    encrypt: bool,
}

impl Stream {
    fn run(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let out = front(out, input.len())?;
        self.left = self.left.checked_sub(input.len() as u128).ok_or_else(|| {
            let kind = if self.encrypt { ErrorKind::DataLength } else { ErrorKind::EncryptedDataLength };
            Error::new(kind, "the counter is used up")
        })?;
        self.engine.process(input, out)?;
        Ok(input.len())
    }
}

impl Ciphering for Stream {
    fn update_len(&self, input: usize) -> usize {
        input
    }

    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.run(input, out)
    }

    fn finish_len(&self, input: usize) -> usize {
        input
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.run(input, out)
    }
}

/// Whole blocks, with PKCS #7 padding (RFC 5652, 6.3) or without.
struct Blocks {
    engine: Engine,
    encrypt: bool,
    pad: bool,
    /// Input that waits for more: less than a block, or (decrypting with padding) up to one block.
    held: Zeroizing<[u8; BLOCK]>,
    held_len: usize,
}

impl Blocks {
    fn new(engine: Engine, encrypt: bool, pad: bool) -> Self {
        Self { engine, encrypt, pad, held: Zeroizing::new([0; BLOCK]), held_len: 0 }
    }

    /// How many of `available` bytes can be processed now.
    const fn ready(&self, available: usize) -> usize {
        // The block that may be the last one is kept for taking its padding off.
        let keep = if self.pad && !self.encrypt && available > 0 { 1 } else { 0 };
        (available - keep) / BLOCK * BLOCK
    }

    fn hold(&mut self, input: &[u8]) -> Result<()> {
        let room = self.held.get_mut(self.held_len..).and_then(|room| room.get_mut(..input.len()));
        room.ok_or_else(broken)?.copy_from_slice(input);
        self.held_len += input.len();
        Ok(())
    }

    fn length_error(&self) -> Error {
        let kind = if self.encrypt { ErrorKind::DataLength } else { ErrorKind::EncryptedDataLength };
        Error::new(kind, "the length is not a multiple of the block length")
    }

    /// Encrypts the last block after padding it.
    fn finish_padded(&mut self, out: &mut [u8]) -> Result<usize> {
        let padding = BLOCK - self.held_len;
        self.held.get_mut(self.held_len..).ok_or_else(broken)?.fill(u8::try_from(padding).map_err(|_| broken())?);
        self.engine.process(&*self.held, front(out, BLOCK)?)?;
        Ok(BLOCK)
    }

    /// Decrypts the last block and takes its padding off; every way to be wrong is one error.
    fn finish_unpadded(&mut self, out: &mut [u8]) -> Result<usize> {
        if self.held_len != BLOCK {
            return Err(self.length_error());
        }
        let mut block = Zeroizing::new([0; BLOCK]);
        self.engine.process(&*self.held, &mut *block)?;
        let len = unpadded_len(&block)
            .ok_or_else(|| Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt"))?;
        front(out, len)?.copy_from_slice(block.get(..len).unwrap_or_default());
        Ok(len)
    }
}

impl Ciphering for Blocks {
    fn update_len(&self, input: usize) -> usize {
        self.ready(self.held_len.saturating_add(input))
    }

    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let len = self.update_len(input.len());
        let out = front(out, len)?;
        if len == 0 {
            self.hold(input)?;
            return Ok(0);
        }
        let (mut input, mut out) = (input, out);
        if self.held_len > 0 {
            let (head, rest) = input.split_at_checked(BLOCK - self.held_len).ok_or_else(broken)?;
            self.hold(head)?;
            let (first, others) = out.split_at_mut_checked(BLOCK).ok_or_else(broken)?;
            self.engine.process(&*self.held, first)?;
            (input, out, self.held_len) = (rest, others, 0);
        }
        let (now, later) = input.split_at_checked(out.len()).ok_or_else(broken)?;
        self.engine.process(now, out)?;
        self.hold(later)?;
        Ok(len)
    }

    fn finish_len(&self, input: usize) -> usize {
        let all = self.held_len.saturating_add(input);
        match (self.pad, self.encrypt) {
            (false, _) => all / BLOCK * BLOCK,
            (true, true) => (all / BLOCK).saturating_add(1).saturating_mul(BLOCK),
            (true, false) => all.saturating_sub(1),
        }
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let filled_up = self.pad && self.encrypt;
        if !filled_up && !(self.held_len + input.len()).is_multiple_of(BLOCK) {
            return Err(self.length_error());
        }
        let out = front(out, self.finish_len(input.len()))?;
        let done = self.update(input, out)?;
        let rest = out.get_mut(done..).ok_or_else(broken)?;
        let last = match (self.pad, self.encrypt) {
            (false, _) => Ok(0),
            (true, true) => self.finish_padded(rest),
            (true, false) => self.finish_unpadded(rest),
        };
        // What was decrypted before a bad padding is not given out.
        Ok(done + last.inspect_err(|_| out.zeroize())?)
    }
}

/// Length of the data before PKCS #7 padding; the padding bytes are looked at in constant time.
fn unpadded_len(block: &[u8; BLOCK]) -> Option<usize> {
    let padding = *block.last()?;
    let block_len = u8::try_from(BLOCK).ok()?;
    let mut good = !padding.ct_eq(&0) & !padding.ct_gt(&block_len);
    for (from_end, byte) in (1..=block_len).zip(block.iter().rev()) {
        let inside: Choice = !from_end.ct_gt(&padding);
        good &= !inside | byte.ct_eq(&padding);
    }
    bool::from(good).then(|| BLOCK - usize::from(padding))
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "a cipher lost count of its blocks")
}
