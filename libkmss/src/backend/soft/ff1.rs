//! FF1 (NIST SP 800-38G revision 1) by the `fpe` crate, over the block ciphers of RustCrypto, with numbers of this file.
//!
//! The crate does the rounds; how strings are split and added is ours, so that no part of a value is left on the heap. AES is
//! constant-time, SM4 is not in cache ([`super::sm4`]), and the division of numbers of 128 bits takes a time that depends on
//! their size: FF1 is for whoever does not measure the computation of others.

use std::sync::Arc;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use fpe::ff1::{FF1, NumeralString, Operations};
use sm4::Sm4;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::buffer::{Transform, Whole, front};
use super::keys::SecretKey;
use super::{parameter, wrong_key};
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{BlockCipher, Ff1, KeyType, Template};
use crate::secret::wipe_stack;

/// How much of the stack is wiped after a value: key schedules and what the rounds left.
const ROUNDS: usize = 8 << 10;
/// Half of a value is a number below 2 to the power of this: it is multiplied by 256 without overflow.
const HALF_BITS: u32 = 120;

/// Starts an encryption or decryption of one value.
pub(super) fn start(key: &Arc<SecretKey>, how: &Ff1, encrypt: bool) -> Result<Box<dyn Ciphering>> {
    let fitting = match how.cipher {
        BlockCipher::Aes => KeyType::Aes,
        BlockCipher::Sm4 => KeyType::Sm4,
    };
    if key.key_type != fitting {
        return Err(wrong_key());
    }
    Ok(Box::new(Whole::new(Value { key: Arc::clone(key), how: how.clone(), encrypt })))
}

/// One value.
struct Value {
    key: Arc<SecretKey>,
    how: Ff1,
    encrypt: bool,
}

impl Transform for Value {
    fn limit(&self) -> (usize, ErrorKind) {
        (Ff1::MAX_VALUE, self.length())
    }

    fn output_len(&self, input: usize) -> usize {
        self.how.format.longest(input)
    }

    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let template = self.how.format.take(input).map_err(|e| self.told(e))?;
        self.check_domain(&template)?;
        let tweak = [self.how.tweak(), &template.kept()].concat();
        let key = self.key.value.expose();
        let made = crypt(self.how.cipher, key, &tweak, template.radix(), template.numerals(), self.encrypt);
        wipe_stack::<ROUNDS>();
        let made = Zeroizing::new(made?);
        let mut text = template.with(&made)?;
        if self.how.is_masked() {
            text = self.how.format.take(text.as_bytes())?.masked();
        }
        front(out, text.len())?.copy_from_slice(text.as_bytes());
        Ok(text.len())
    }
}

impl Value {
    const fn length(&self) -> ErrorKind {
        if self.encrypt { ErrorKind::DataLength } else { ErrorKind::EncryptedDataLength }
    }

    /// What is wrong with a token, in the words for what was encrypted.
    fn told(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::DataInvalid if !self.encrypt => {
                Error::new(ErrorKind::EncryptedDataInvalid, error.message().to_owned())
            }
            ErrorKind::DataLength if !self.encrypt => {
                Error::new(ErrorKind::EncryptedDataLength, error.message().to_owned())
            }
            _ => error,
        }
    }

    fn check_domain(&self, template: &Template<'_>) -> Result<()> {
        if template.domain() < Ff1::MIN_DOMAIN {
            let why = "FF1 needs a million possible values (SP 800-38G), and what this format encrypts of the value has \
                       fewer: keep less of it, or give out random tokens from a vault";
            return Err(Error::new(self.length(), why));
        }
        Ok(())
    }
}

/// Encrypts or decrypts numbers below `radix`.
pub(super) fn crypt(
    cipher: BlockCipher,
    key: &[u8],
    tweak: &[u8],
    radix: u32,
    numerals: &[u32],
    encrypt: bool,
) -> Result<Vec<u32>> {
    match (cipher, key.len()) {
        (BlockCipher::Aes, 16) => rounds::<Aes128>(key, tweak, radix, numerals, encrypt),
        (BlockCipher::Aes, 24) => rounds::<Aes192>(key, tweak, radix, numerals, encrypt),
        (BlockCipher::Aes, 32) => rounds::<Aes256>(key, tweak, radix, numerals, encrypt),
        (BlockCipher::Sm4, 16) => rounds::<Sm4>(key, tweak, radix, numerals, encrypt),
        _ => Err(wrong_key()),
    }
}

fn rounds<C>(key: &[u8], tweak: &[u8], radix: u32, numerals: &[u32], encrypt: bool) -> Result<Vec<u32>>
where
    C: KeyInit + BlockCipherEncrypt + Clone,
{
    let ff1 = FF1::<C>::new(key, radix).map_err(|_| parameter("the radix of FF1 is 2 to 65536"))?;
    let length = if encrypt { ErrorKind::DataLength } else { ErrorKind::EncryptedDataLength };
    let value =
        Numerals::new(radix, numerals).ok_or_else(|| Error::new(length, "the value is too long for FF1 here"))?;
    let made = if encrypt { ff1.encrypt(tweak, &value) } else { ff1.decrypt(tweak, &value) };
    let made = made.map_err(|_| Error::new(length, "the value is too short for FF1, or not of its radix"))?;
    Ok(made.digits())
}

/// A string of numerals, as its two halves.
struct Numerals {
    front: Half,
    back: Half,
}

impl Numerals {
    /// `None` where a half has more than 120 bits.
    fn new(radix: u32, numerals: &[u32]) -> Option<Self> {
        let (front, back) = numerals.split_at_checked(numerals.len() / 2)?;
        Some(Self { front: Half::new(radix, front)?, back: Half::new(radix, back)? })
    }

    fn digits(&self) -> Vec<u32> {
        let mut digits = vec![0; self.front.count + self.back.count];
        let (front, back) = digits.split_at_mut(self.front.count);
        self.front.write(front);
        self.back.write(back);
        digits
    }
}

impl NumeralString for Numerals {
    type Ops = Half;

    fn is_valid(&self, radix: u32) -> bool {
        [&self.front, &self.back].iter().all(|half| half.radix == radix && half.value < half.modulus(half.count))
    }

    fn numeral_count(&self) -> usize {
        self.front.count + self.back.count
    }

    fn split(&self) -> (Half, Half) {
        (self.front.clone(), self.back.clone())
    }

    fn concat(front: Half, back: Half) -> Self {
        Self { front, back }
    }
}

/// Half of a string, as a number.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Half {
    value: u128,
    count: usize,
    radix: u32,
}

impl Half {
    fn new(radix: u32, numerals: &[u32]) -> Option<Self> {
        let (mut value, mut modulus) = (0_u128, 1_u128);
        for numeral in numerals {
            modulus = modulus.checked_mul(radix.into()).filter(|m| *m < 1 << HALF_BITS)?;
            value = value * u128::from(radix) + u128::from(*numeral);
        }
        numerals.iter().all(|n| *n < radix).then_some(Self { value, count: numerals.len(), radix })
    }

    /// The radix to the power of `count`. It fits: both halves were made with at most 120 bits, and the rounds only swap them.
    fn modulus(&self, count: usize) -> u128 {
        u128::from(self.radix).saturating_pow(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn write(&self, digits: &mut [u32]) {
        let (mut value, radix) = (self.value, u128::from(self.radix));
        for digit in digits.iter_mut().rev() {
            *digit = u32::try_from(value % radix).unwrap_or_default();
            value /= radix;
        }
    }

    /// The number that these bytes are, below `modulus`.
    fn reduced(bytes: impl Iterator<Item = u8>, modulus: u128) -> u128 {
        let mut number = 0_u128;
        for byte in bytes {
            if number >> HALF_BITS != 0 {
                number %= modulus;
            }
            number = (number << 8) | u128::from(byte);
        }
        number % modulus
    }
}

impl Operations for Half {
    type Bytes = BigEndian;

    fn numeral_count(&self) -> usize {
        self.count
    }

    fn to_be_bytes(&self, _radix: u32, b: usize) -> BigEndian {
        BigEndian { bytes: self.value.to_be_bytes(), start: 16_usize.saturating_sub(b) }
    }

    fn add_mod_exp(self, other: impl Iterator<Item = u8>, radix: u32, m: usize) -> Self {
        let modulus = self.modulus(m);
        let value = (self.value % modulus + Self::reduced(other, modulus)) % modulus;
        Self { value, count: m, radix }
    }

    fn sub_mod_exp(self, other: impl Iterator<Item = u8>, radix: u32, m: usize) -> Self {
        let modulus = self.modulus(m);
        let value = (self.value % modulus + modulus - Self::reduced(other, modulus)) % modulus;
        Self { value, count: m, radix }
    }
}

/// The last bytes of a number.
struct BigEndian {
    bytes: [u8; 16],
    start: usize,
}

impl AsRef<[u8]> for BigEndian {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl Drop for BigEndian {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
