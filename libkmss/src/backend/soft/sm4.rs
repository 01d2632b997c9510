//! SM4 (GB/T 32907) in ECB, CBC and CTR mode and GCM, by RustCrypto. Its tables make it not constant-time in cache.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::{U12, U13, U14, U15, U16};
use aes_gcm::{AesGcm, KeyInit, TagSize};
use sm4::Sm4;
use sm4::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt};
use zeroize::{Zeroize, Zeroizing};

use super::buffer::front;
use super::parameter;
use crate::error::{Error, ErrorKind, Result};

const BLOCK: usize = 16;

/// A mode of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sm4Mode {
    /// Whole blocks.
    Ecb,
    /// Whole blocks, chained.
    Cbc,
    /// A key stream of any length from a 128-bit counter.
    Ctr,
}

/// SM4 in one mode and direction.
pub(super) struct Sm4Blocks {
    cipher: Sm4,
    mode: Sm4Mode,
    encrypt: bool,
    /// CBC: the previous ciphertext block. CTR: the next counter block.
    chain: [u8; BLOCK],
    /// CTR: the current key stream and how much of it is used.
    stream: Zeroizing<[u8; BLOCK]>,
    used: usize,
}

impl Sm4Blocks {
    pub(super) fn new(mode: Sm4Mode, key: &[u8], iv: &[u8; BLOCK], encrypt: bool) -> Result<Self> {
        let cipher = keyed(key)?;
        Ok(Self { cipher, mode, encrypt, chain: *iv, stream: Zeroizing::new([0; BLOCK]), used: BLOCK })
    }

    /// Processes `input` (whole blocks, except in CTR mode) to the front of `out`.
    pub(super) fn process(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let out = front(out, input.len())?;
        out.copy_from_slice(input);
        if self.mode == Sm4Mode::Ctr {
            self.apply_stream(out);
            return Ok(());
        }
        let (blocks, rest) = Block::<Sm4>::slice_as_chunks_mut(out);
        if !rest.is_empty() {
            return Err(Error::new(ErrorKind::Internal, "a block cipher was given part of a block"));
        }
        match (self.mode, self.encrypt) {
            (Sm4Mode::Cbc, true) => self.chain_encrypt(blocks),
            (Sm4Mode::Cbc, false) => self.chain_decrypt(blocks),
            (_, true) => self.cipher.encrypt_blocks(blocks),
            (_, false) => self.cipher.decrypt_blocks(blocks),
        }
        Ok(())
    }

    fn chain_encrypt(&mut self, blocks: &mut [Block<Sm4>]) {
        for block in blocks {
            xor(block, &self.chain);
            self.cipher.encrypt_block(block);
            self.chain = (*block).into();
        }
    }

    fn chain_decrypt(&mut self, blocks: &mut [Block<Sm4>]) {
        for block in blocks {
            let ciphertext = (*block).into();
            self.cipher.decrypt_block(block);
            xor(block, &self.chain);
            self.chain = ciphertext;
        }
    }

    fn apply_stream(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.used == BLOCK {
                let mut block = Block::<Sm4>::from(self.chain);
                self.cipher.encrypt_block(&mut block);
                self.stream.copy_from_slice(&block);
                self.chain = u128::from_be_bytes(self.chain).wrapping_add(1).to_be_bytes();
                self.used = 0;
            }
            *byte ^= self.stream.get(self.used).copied().unwrap_or_default();
            self.used += 1;
        }
    }
}

/// Encrypts `input` with SM4-GCM to `out`, of the same length, and writes the tag to `tag` (12 to 16 bytes).
pub(super) fn gcm_seal(key: &[u8], iv: &[u8], aad: &[u8], input: &[u8], out: &mut [u8], tag: &mut [u8]) -> Result<()> {
    let iv: &[u8; 12] = iv.try_into().map_err(|_| wrong_iv())?;
    front(out, input.len())?.copy_from_slice(input);
    let aead = AesGcm::<Sm4, U12>::from(keyed(key)?);
    let whole = aead.encrypt_inout_detached(iv.into(), aad, out.into()).map_err(|_| too_long())?;
    tag.copy_from_slice(whole.get(..tag.len()).ok_or_else(too_long)?);
    Ok(())
}

/// Decrypts `input` with SM4-GCM to `out`, of the same length, which is wiped where `tag` is wrong.
pub(super) fn gcm_open(key: &[u8], iv: &[u8], aad: &[u8], input: &[u8], tag: &[u8], out: &mut [u8]) -> Result<()> {
    let iv: &[u8; 12] = iv.try_into().map_err(|_| wrong_iv())?;
    let cipher = keyed(key)?;
    front(out, input.len())?.copy_from_slice(input);
    match tag.len() {
        12 => open::<U12>(cipher, iv, aad, out, tag),
        13 => open::<U13>(cipher, iv, aad, out, tag),
        14 => open::<U14>(cipher, iv, aad, out, tag),
        15 => open::<U15>(cipher, iv, aad, out, tag),
        _ => open::<U16>(cipher, iv, aad, out, tag),
    }
    .inspect_err(|_| out.zeroize())
}

fn open<T: TagSize>(cipher: Sm4, iv: &[u8; 12], aad: &[u8], body: &mut [u8], tag: &[u8]) -> Result<()> {
    let bad = || Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt");
    let tag = tag.try_into().map_err(|_| bad())?;
    AesGcm::<Sm4, U12, T>::from(cipher).decrypt_inout_detached(iv.into(), aad, body.into(), tag).map_err(|_| bad())
}

fn keyed(key: &[u8]) -> Result<Sm4> {
    Sm4::new_from_slice(key).map_err(|_| Error::new(ErrorKind::KeySize, "an SM4 key has 16 bytes"))
}

fn xor(block: &mut [u8], with: &[u8; BLOCK]) {
    block.iter_mut().zip(with).for_each(|(a, b)| *a ^= b);
}

fn wrong_iv() -> Error {
    parameter("sm4-gcm is offered with 12-byte IVs")
}

fn too_long() -> Error {
    Error::new(ErrorKind::DataLength, "the data is too long for the mechanism")
}
