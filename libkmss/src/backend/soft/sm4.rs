//! SM4 (GB/T 32907) in ECB, CBC and CTR mode and GCM, by RustCrypto. Its tables make it not constant-time in cache.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::{U12, U13, U14, U15, U16};
use aes_gcm::{AesGcm, KeyInit, TagSize};
use sm4::Sm4;
use sm4::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt};
use zeroize::{Zeroize, Zeroizing};

use super::buffer::{Transform, front};
use super::parameter;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::Gcm;

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

/// SM4-GCM of a whole message, with 12-byte IVs and tags of 12 to 16 bytes.
pub(super) struct Sm4Gcm {
    cipher: Sm4,
    iv: [u8; 12],
    gcm: Gcm,
    encrypt: bool,
}

impl Sm4Gcm {
    pub(super) fn new(key: &[u8], gcm: &Gcm, encrypt: bool) -> Result<Self> {
        let iv = gcm.iv.as_slice().try_into().map_err(|_| parameter("sm4-gcm is offered with 12-byte IVs"))?;
        if !(12..=16).contains(&gcm.tag_len) {
            return Err(parameter("sm4-gcm is offered with tags of 12 to 16 bytes"));
        }
        Ok(Self { cipher: keyed(key)?, iv, gcm: gcm.clone(), encrypt })
    }

    fn seal(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let (body, tag_out) = out.split_at_mut_checked(input.len()).ok_or_else(too_long)?;
        body.copy_from_slice(input);
        let aead = AesGcm::<Sm4, U12>::from(self.cipher.clone());
        let tag = aead.encrypt_inout_detached((&self.iv).into(), &self.gcm.aad, body.into()).map_err(|_| too_long())?;
        let tag = tag.get(..self.gcm.tag_len).unwrap_or_default();
        front(tag_out, tag.len())?.copy_from_slice(tag);
        Ok(input.len() + tag.len())
    }

    fn open<T: TagSize>(&self, body: &mut [u8], tag: &[u8]) -> Result<()> {
        let bad = || Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt");
        let aead = AesGcm::<Sm4, U12, T>::from(self.cipher.clone());
        let tag = tag.try_into().map_err(|_| bad())?;
        aead.decrypt_inout_detached((&self.iv).into(), &self.gcm.aad, body.into(), tag).map_err(|_| bad())
    }
}

impl Transform for Sm4Gcm {
    fn limit(&self) -> (usize, ErrorKind) {
        (usize::MAX, ErrorKind::DataLength)
    }

    fn output_len(&self, input: usize) -> usize {
        if self.encrypt { input.saturating_add(self.gcm.tag_len) } else { input.saturating_sub(self.gcm.tag_len) }
    }

    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        if self.encrypt {
            return self.seal(input, out);
        }
        let short = || Error::new(ErrorKind::EncryptedDataLength, "the ciphertext is shorter than its tag");
        let len = input.len().checked_sub(self.gcm.tag_len).ok_or_else(short)?;
        let (body, tag) = input.split_at_checked(len).ok_or_else(short)?;
        let out = front(out, len)?;
        out.copy_from_slice(body);
        match self.gcm.tag_len {
            12 => self.open::<U12>(out, tag),
            13 => self.open::<U13>(out, tag),
            14 => self.open::<U14>(out, tag),
            15 => self.open::<U15>(out, tag),
            _ => self.open::<U16>(out, tag),
        }
        .inspect_err(|_| out.zeroize())?;
        Ok(len)
    }
}

fn keyed(key: &[u8]) -> Result<Sm4> {
    Sm4::new_from_slice(key).map_err(|_| Error::new(ErrorKind::KeySize, "an SM4 key has 16 bytes"))
}

fn xor(block: &mut [u8], with: &[u8; BLOCK]) {
    block.iter_mut().zip(with).for_each(|(a, b)| *a ^= b);
}

fn too_long() -> Error {
    Error::new(ErrorKind::DataLength, "the data is too long for the mechanism")
}
