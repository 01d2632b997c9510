//! The key-derivation functions of SP 800-108 (revision 1, section 4).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::keys::SecretKey;
use super::mac::MacOperation;
use super::{material, parameter};
use crate::backend::Signing;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Kbkdf, KbkdfInput, KbkdfMode, NumberFormat};
use crate::secret::Secret;

/// Derives keys of these lengths in bytes. No two share a round: each begins with the first byte of one (PKCS#11 3.2,
/// 6.42.8).
pub(super) fn derive(
    mechanism: &Kbkdf,
    key: &Arc<SecretKey>,
    others: &[&Secret],
    lengths: &[usize],
) -> Result<Vec<Secret>> {
    let round = mechanism.prf.len();
    let rounds = lengths.iter().map(|len| len.div_ceil(round)).sum::<usize>();
    if rounds == 0 || lengths.iter().any(|len| *len == 0 || *len > material::MAX_SECRET) {
        return Err(Error::new(ErrorKind::KeySize, "the mechanism cannot yield a key of this length"));
    }
    let mut rounds = Rounds {
        mechanism,
        key,
        others,
        bytes_of_keys: lengths.iter().sum(),
        bytes_of_rounds: rounds * round,
        number: 0,
        previous: match &mechanism.mode {
            KbkdfMode::Feedback { iv } => Zeroizing::new(iv.clone()),
            KbkdfMode::Counter | KbkdfMode::DoublePipeline => Zeroizing::default(),
        },
    };
    if mechanism.mode == KbkdfMode::DoublePipeline {
        rounds.previous = rounds.fixed()?;
    }
    let secret = |len: &usize| {
        Secret::filled(*len, |out| {
            for chunk in out.chunks_mut(round) {
                let block = rounds.next()?;
                chunk.copy_from_slice(block.get(..chunk.len()).unwrap_or_default());
            }
            Ok(())
        })
    };
    lengths.iter().map(secret).collect()
}

/// The state between two rounds.
struct Rounds<'a> {
    mechanism: &'a Kbkdf,
    key: &'a Arc<SecretKey>,
    others: &'a [&'a Secret],
    bytes_of_keys: usize,
    bytes_of_rounds: usize,
    number: u64,
    /// K(i − 1) of feedback, A(i − 1) of the double pipeline.
    previous: Zeroizing<Vec<u8>>,
}

impl Rounds<'_> {
    fn next(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        self.number += 1;
        if self.mechanism.mode == KbkdfMode::DoublePipeline {
            self.previous = self.prf(&self.previous)?;
        }
        let mut input = Zeroizing::new(Vec::new());
        for piece in &self.mechanism.input {
            match piece {
                KbkdfInput::Previous => input.extend_from_slice(&self.previous),
                KbkdfInput::Counter(format) => write(&mut input, self.number, *format)?,
                fixed => self.write_fixed(&mut input, fixed)?,
            }
        }
        let block = self.prf(&input)?;
        if matches!(self.mechanism.mode, KbkdfMode::Feedback { .. }) {
            self.previous.clone_from(&block);
        }
        Ok(block)
    }

    /// A(0) of the double pipeline: all of the input that is the same in every round.
    fn fixed(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut input = Zeroizing::new(Vec::new());
        self.mechanism.input.iter().try_for_each(|piece| self.write_fixed(&mut input, piece))?;
        Ok(input)
    }

    fn write_fixed(&self, out: &mut Vec<u8>, piece: &KbkdfInput) -> Result<()> {
        match piece {
            KbkdfInput::Previous | KbkdfInput::Counter(_) => {}
            KbkdfInput::Bytes(bytes) => out.extend_from_slice(bytes),
            KbkdfInput::Key(index) => {
                out.extend_from_slice(self.others.get(*index).ok_or_else(super::wrong_key)?.expose());
            }
            KbkdfInput::Length { of_rounds, format } => {
                let bytes = if *of_rounds { self.bytes_of_rounds } else { self.bytes_of_keys };
                write(out, bytes as u64 * 8, *format)?;
            }
        }
        Ok(())
    }

    fn prf(&self, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut mac = MacOperation::new(self.key, &self.mechanism.prf)?;
        Signing::update(&mut mac, input)?;
        let mut out = Zeroizing::new(vec![0; self.mechanism.prf.len()]);
        Signing::finish(&mut mac, &mut out)?;
        Ok(out)
    }
}

fn write(out: &mut Vec<u8>, number: u64, format: NumberFormat) -> Result<()> {
    let bytes = number.to_be_bytes();
    let (zeros, digits) = bytes
        .len()
        .checked_sub(format.len)
        .and_then(|zeros| bytes.split_at_checked(zeros))
        .ok_or_else(|| parameter("numbers have 1 to 8 bytes"))?;
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(parameter("a counter or length does not fit its format"));
    }
    if format.little_endian {
        out.extend(digits.iter().rev())
    } else {
        out.extend_from_slice(digits)
    }
    Ok(())
}
