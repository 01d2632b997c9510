//! HMAC-SHA-256 and HKDF-Expand for many short messages under one key: what the hash makes of the key is computed once.

use std::fmt;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::HASH_LEN;
use crate::secret::{Secret, wipe_stack};

/// Bytes that SHA-256 takes in at a time.
const BLOCK: usize = 64;
/// What SHA-256 begins with (FIPS 180-4, 5.3.3).
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// What is left on the stack behind a MAC, at most.
const LEFT: usize = 512;

/// HMAC-SHA-256 (FIPS 198-1) under one key: the hash behind the block that begins the inner one, and behind the one that begins the
/// outer one. Whoever has them has the key, so they lie where keys lie.
pub(crate) struct KeyedMac(Secret);

impl KeyedMac {
    /// Takes a key of any length.
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        match block.get_mut(..key.len()) {
            Some(front) => front.copy_from_slice(key),
            None => block.iter_mut().zip(Sha256::digest(key)).for_each(|(to, from)| *to = from),
        }
        let states = Secret::of_len(2 * HASH_LEN, |out| {
            for (half, pad) in out.chunks_exact_mut(HASH_LEN).zip([0x36, 0x5c]) {
                let mut padded = block.clone();
                padded.iter_mut().for_each(|byte| *byte ^= pad);
                let mut state = START;
                compress256(&mut state, std::slice::from_ref(&padded));
                half.as_chunks_mut().0.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_ne_bytes());
                state.zeroize();
            }
        });
        wipe_stack::<LEFT>();
        Self(states)
    }

    /// The MAC of the concatenation of `parts`.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        let mac = self.compute(parts);
        wipe_stack::<LEFT>();
        mac
    }

    /// HKDF-Expand (RFC 5869, 2.3), this one's key being the pseudorandom key: fills `out`, of at most 255 hashes.
    pub(crate) fn expand(&self, info: &[u8], out: &mut [u8]) {
        let mut last = Zeroizing::new([0; HASH_LEN]);
        for (number, chunk) in (1..=u8::MAX).zip(out.chunks_mut(HASH_LEN)) {
            let before: &[u8] = if number == 1 { &[] } else { &*last };
            *last = self.compute(&[before, info, &[number]]);
            chunk.iter_mut().zip(&*last).for_each(|(to, from)| *to = *from);
        }
        wipe_stack::<LEFT>();
    }

    #[inline(never)]
    fn compute(&self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        let (inner, outer) = self.0.expose().split_at_checked(HASH_LEN).unwrap_or_default();
        let mut hash = Running::behind(inner);
        parts.iter().for_each(|part| hash.update(part));
        let digest = hash.finish();
        let mut hash = Running::behind(outer);
        hash.update(&digest);
        hash.finish()
    }
}

impl fmt::Debug for KeyedMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedMac(..)")
    }
}

/// A hash under way, behind a first block.
struct Running {
    state: [u32; 8],
    block: [u8; BLOCK],
    /// Bytes of the block that are taken.
    filled: usize,
    /// Bytes taken in, those of the first block too.
    len: u64,
}

impl Running {
    fn behind(first: &[u8]) -> Self {
        let mut state = START;
        state.iter_mut().zip(first.as_chunks().0).for_each(|(word, bytes)| *word = u32::from_ne_bytes(*bytes));
        Self { state, block: [0; BLOCK], filled: 0, len: BLOCK as u64 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        self.len = self.len.wrapping_add(bytes.len() as u64);
        while !bytes.is_empty() {
            let room = self.block.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            self.filled += now.len();
            bytes = later;
            if self.filled == BLOCK {
                self.compress();
                self.filled = 0;
            }
        }
    }

    /// The hash (FIPS 180-4, 5.1.1 and 6.2).
    fn finish(mut self) -> [u8; HASH_LEN] {
        let rest = self.block.get_mut(self.filled..).unwrap_or_default();
        rest.fill(0);
        rest.iter_mut().take(1).for_each(|byte| *byte = 0x80);
        if self.filled + 1 + size_of::<u64>() > BLOCK {
            self.compress();
            self.block.fill(0);
        }
        self.block.last_chunk_mut().into_iter().for_each(|end| *end = self.len.wrapping_mul(8).to_be_bytes());
        self.compress();
        let mut hash = [0; HASH_LEN];
        hash.as_chunks_mut().0.iter_mut().zip(self.state).for_each(|(to, word)| *to = word.to_be_bytes());
        hash
    }

    fn compress(&mut self) {
        compress256(&mut self.state, std::slice::from_ref(&self.block));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::suite::Suite;

    #[test]
    fn a_mac_is_that_of_another_implementation_whatever_the_lengths_are() {
        let text: Vec<u8> = (0..=255).collect();
        for key_len in [0, 1, 31, 32, 63, 64, 65, 200] {
            let (key, secret) = (KeyedMac::new(&text[..key_len]), Secret::copy_of(&text[..key_len]));
            for len in 0..200 {
                let (text, all) = (&text[..len], Suite::Nist.mac(&secret, &[&text[..len]]).unwrap());
                assert_eq!(key.mac(&[text]), all, "{key_len} {len}");
                let (one, rest) = text.split_at(len / 3);
                let (two, three) = rest.split_at(rest.len() / 2);
                assert_eq!(key.mac(&[one, &[], two, three]), all, "{key_len} {len}");
            }
        }
    }

    #[test]
    fn what_is_expanded_is_what_another_implementation_expands() {
        let prk = Secret::copy_of(&[9; HASH_LEN]);
        let key = KeyedMac::new(prk.expose());
        for len in [0, 1, 31, 32, 33, 64, 96, 255 * HASH_LEN] {
            for info in [&b""[..], b"kmss/1 key and commitment", &[7; 100]] {
                let made = Secret::of_len(len, |out| key.expand(info, out));
                assert_eq!(made, Suite::Nist.expand(&prk, info, len).unwrap(), "{len}");
            }
        }
    }

    #[test]
    fn a_key_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", KeyedMac::new(b"1234")), "KeyedMac(..)");
    }
}
