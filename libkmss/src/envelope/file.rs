//! Sealed files (docs/sealed-files.md): a data key for each file, encrypted for one or several recipients, and chunks under STREAM
//! (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015).
//!
//! Nothing here reads keys or asks anybody: the data key comes from [`GenerateDataKey`](crate::operation::GenerateDataKey), or from a
//! recipient by [`DecryptMessage`](crate::operation::DecryptMessage). Chunks are independent of each other, so that several threads of
//! the caller may work on them, in whatever order.

use std::io::{self, Read};

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};

use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::undecipherable;
use crate::random::Random;
use crate::secret::Secret;

/// What every sealed file begins with.
pub const MAGIC: [u8; 4] = *b"KMSF";
/// Length of a file's key in bytes.
pub const KEY: usize = 32;
/// Length of a chunk's tag in bytes.
pub const TAG: usize = 16;
/// Most recipients.
pub const RECIPIENTS: usize = 32;
/// Longest encrypted key of a recipient in bytes.
const LONGEST: usize = 1024;
/// The version of the format, and the only one there is.
const FORMAT: u8 = 1;
const MAC: usize = 32;
const INFO: &[&[u8]] = &[b"kmss/1 file"];

/// What encrypts the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAlgorithm {
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
}

impl FileAlgorithm {
    /// The byte in the header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }
}

/// The header of a sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// What encrypts the chunks.
    pub algorithm: FileAlgorithm,
    /// A chunk holds 2 to this power bytes: 12 to 24.
    chunk_log: u8,
    salt: [u8; 32],
    /// The file's key in our own format, once for each recipient.
    recipients: Vec<Vec<u8>>,
}

/// A header as it was read, which nobody has vouched for yet.
#[derive(Debug)]
pub struct ReadHeader {
    /// What it says.
    pub header: FileHeader,
    bytes: Vec<u8>,
    mac: [u8; MAC],
}

impl FileHeader {
    /// The usual chunk: 64 KiB.
    pub const USUAL: u8 = 16;

    /// The header of a new file whose key is encrypted as `recipients`.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for none or too many, or a chunk of another size; the random source fails.
    pub fn new(algorithm: FileAlgorithm, chunk_log: u8, recipients: Vec<Vec<u8>>, random: &dyn Random) -> Result<Self> {
        let fits = |recipient: &Vec<u8>| !recipient.is_empty() && recipient.len() <= LONGEST;
        if !(1..=RECIPIENTS).contains(&recipients.len()) || !recipients.iter().all(fits) {
            return Err(Error::new(ErrorKind::Arguments, "a sealed file has 1 to 32 recipients"));
        }
        if !(12..=24).contains(&chunk_log) {
            return Err(Error::new(ErrorKind::Arguments, "a chunk has 4 KiB to 16 MiB"));
        }
        let mut salt = [0; 32];
        random.fill(&mut salt)?;
        Ok(Self { algorithm, chunk_log, salt, recipients })
    }

    /// The file's key in our own format, once for each recipient.
    #[must_use]
    pub fn recipients(&self) -> &[Vec<u8>] {
        &self.recipients
    }

    /// Bytes of plaintext in a chunk that is not the last.
    #[must_use]
    pub const fn chunk(&self) -> usize {
        1 << self.chunk_log
    }

    /// The header's bytes under a file's key, and what seals its chunks.
    ///
    /// # Errors
    /// [`ErrorKind::KeySize`] for a key of another length.
    pub fn seal(&self, key: &Secret) -> Result<(Vec<u8>, Chunks)> {
        let (chunks, authority) = self.keys(key)?;
        let mut bytes = self.bytes();
        let mac = hmac::sign(&authority, &bytes);
        bytes.extend_from_slice(mac.as_ref());
        Ok((bytes, chunks))
    }

    /// Reads a header from the beginning of a file.
    ///
    /// # Errors
    /// [`ErrorKind::EncryptedDataInvalid`] for what is none; [`ErrorKind::Storage`] where it cannot be read.
    pub fn read(file: &mut dyn Read) -> Result<ReadHeader> {
        let none =
            || Error::new(ErrorKind::EncryptedDataInvalid, "this is no sealed file, or only the beginning of one");
        let mut exactly = |into: &mut [u8]| {
            file.read_exact(into).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => none(),
                _ => Error::new(ErrorKind::Storage, "the sealed file cannot be read").with_source(e),
            })
        };
        let mut fixed = [0; 40];
        exactly(&mut fixed)?;
        let (start, salt) = fixed.split_first_chunk::<8>().ok_or_else(none)?;
        let [m, a, g, i, FORMAT, code, chunk_log, count] = *start else { return Err(none()) };
        let algorithm = FileAlgorithm::of_code(code).ok_or_else(none)?;
        let salt = *salt.first_chunk().ok_or_else(none)?;
        if [m, a, g, i] != MAGIC || !(12..=24).contains(&chunk_log) || !(1..=RECIPIENTS).contains(&usize::from(count)) {
            return Err(none());
        }
        let mut recipients = Vec::with_capacity(count.into());
        for _ in 0..count {
            let mut len = [0; 4];
            exactly(&mut len)?;
            let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
            if !(1..=LONGEST).contains(&len) {
                return Err(none());
            }
            let mut recipient = vec![0; len];
            exactly(&mut recipient)?;
            recipients.push(recipient);
        }
        let mut mac = [0; MAC];
        exactly(&mut mac)?;
        let header = Self { algorithm, chunk_log, salt, recipients };
        Ok(ReadHeader { bytes: header.bytes(), header, mac })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let count = u8::try_from(self.recipients.len()).unwrap_or(u8::MAX);
        bytes.extend_from_slice(&[FORMAT, self.algorithm.code(), self.chunk_log, count]);
        bytes.extend_from_slice(&self.salt);
        for recipient in &self.recipients {
            bytes.extend_from_slice(&u32::try_from(recipient.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(recipient);
        }
        bytes
    }

    /// What seals the chunks, and what vouches for the header.
    fn keys(&self, key: &Secret) -> Result<(Chunks, hmac::Key)> {
        if key.len() != KEY {
            return Err(Error::new(ErrorKind::KeySize, "the key of a sealed file has 32 bytes"));
        }
        let broken = |_| Error::new(ErrorKind::Internal, "the keys of a file could not be derived");
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &self.salt).extract(key.expose());
        let derived =
            Secret::filled(KEY + MAC, |out| root.expand(INFO, Length(KEY + MAC))?.fill(out)).map_err(broken)?;
        let (payload, authority) = derived.expose().split_at_checked(KEY).unwrap_or_default();
        let algorithm = match self.algorithm {
            FileAlgorithm::Aes256Gcm => &AES_256_GCM,
            FileAlgorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let payload = LessSafeKey::new(UnboundKey::new(algorithm, payload).map_err(broken)?);
        Ok((Chunks { key: payload, chunk: self.chunk() }, hmac::Key::new(hmac::HMAC_SHA256, authority)))
    }
}

/// A length of what HKDF expands to.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl ReadHeader {
    /// Its length in the file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        (self.bytes.len() + MAC) as u64
    }

    /// Always false: a header says something.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// What opens the chunks, once the header is what was sealed under this key.
    ///
    /// # Errors
    /// [`ErrorKind::EncryptedDataInvalid`] where it is not.
    pub fn open(&self, key: &Secret) -> Result<Chunks> {
        let (chunks, authority) = self.header.keys(key)?;
        hmac::verify(&authority, &self.bytes, &self.mac).map_err(|_| undecipherable())?;
        Ok(chunks)
    }

    /// Where the chunks of a file of `len` bytes are.
    ///
    /// # Errors
    /// [`ErrorKind::EncryptedDataInvalid`] for a length that no such file has.
    pub fn layout(&self, len: u64) -> Result<Layout> {
        let (tag, chunk) = (TAG as u64, self.header.chunk() as u64);
        let body = len.checked_sub(self.len()).filter(|body| *body >= tag).ok_or_else(undecipherable)?;
        let count = body.div_ceil(chunk + tag);
        let last = body - (count - 1) * (chunk + tag);
        // Whole chunks end a file; an empty one is a file of its own.
        let fits = last > tag || (last == tag && count == 1);
        if !fits || count > 1 << 32 {
            return Err(undecipherable());
        }
        Ok(Layout { start: self.len(), chunk, count, plaintext: body - count * tag })
    }
}

/// Where the chunks of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    start: u64,
    chunk: u64,
    count: u64,
    plaintext: u64,
}

impl Layout {
    /// How many there are.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.count
    }

    /// Length of the plaintext in bytes.
    #[must_use]
    pub const fn plaintext(&self) -> u64 {
        self.plaintext
    }

    /// The chunk that holds a byte of the plaintext, or the last one.
    #[must_use]
    pub const fn chunk_of(&self, byte: u64) -> u64 {
        let chunk = byte / self.chunk;
        if chunk < self.count { chunk } else { self.count - 1 }
    }

    /// Where a chunk begins in the file.
    #[must_use]
    pub const fn position(&self, chunk: u64) -> u64 {
        self.start + chunk * (self.chunk + TAG as u64)
    }

    /// Length of a chunk in the file, its tag included.
    #[must_use]
    pub const fn sealed_len(&self, chunk: u64) -> u64 {
        let plain = if chunk + 1 < self.count { self.chunk } else { self.plaintext - chunk * self.chunk };
        plain + TAG as u64
    }

    /// Whether it is the last.
    #[must_use]
    pub const fn is_last(&self, chunk: u64) -> bool {
        chunk + 1 == self.count
    }
}

/// Seals and opens the chunks of one file, from any thread.
pub struct Chunks {
    key: LessSafeKey,
    chunk: usize,
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chunks(..)")
    }
}

impl Chunks {
    /// Bytes of plaintext in a chunk that is not the last.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.chunk
    }

    /// Seals a chunk in its place; the tag goes behind it.
    ///
    /// # Errors
    /// [`ErrorKind::DataLength`] for one that has not the length of its place, and for more than 2³² of them.
    pub fn seal(&self, number: u64, last: bool, data: &mut Vec<u8>) -> Result<()> {
        let wrong = || Error::new(ErrorKind::DataLength, "a chunk does not have the length of its place");
        let fits = if last { data.len() <= self.chunk } else { data.len() == self.chunk };
        if !fits || (last && data.is_empty() && number > 0) {
            return Err(wrong());
        }
        let nonce = nonce(number, last).ok_or_else(wrong)?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), data).map_err(|_| wrong())?;
        data.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens a chunk in its place; where that fails, nothing is left in it.
    ///
    /// # Errors
    /// [`ErrorKind::EncryptedDataInvalid`] for what is not this chunk of this file, or the last one where it is not.
    pub fn open(&self, number: u64, last: bool, data: &mut Vec<u8>) -> Result<()> {
        let opened = nonce(number, last)
            .filter(|_| data.len() <= self.chunk + TAG)
            .and_then(|nonce| self.key.open_in_place(nonce, Aad::empty(), data).ok().map(|plain| plain.len()));
        if let Some(len) = opened {
            data.truncate(len);
            return Ok(());
        }
        zeroize::Zeroize::zeroize(data);
        Err(undecipherable())
    }
}

/// The nonce of STREAM: no prefix, because each file has a key of its own; the number of the chunk; whether it is the last.
fn nonce(number: u64, last: bool) -> Option<Nonce> {
    let mut bytes = [0; 12];
    let number = u32::try_from(number).ok()?.to_be_bytes();
    bytes.iter_mut().skip(7).zip(number.into_iter().chain([u8::from(last)])).for_each(|(to, from)| *to = from);
    Some(Nonce::assume_unique_for_key(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    struct Sevens;

    impl Random for Sevens {
        fn fill(&self, out: &mut [u8]) -> Result<()> {
            out.fill(7);
            Ok(())
        }
    }

    fn key(byte: u8) -> Secret {
        Secret::copy_of(&[byte; KEY])
    }

    fn sealed(data: &[u8], algorithm: FileAlgorithm) -> Vec<u8> {
        let header = FileHeader::new(algorithm, 12, vec![b"one".to_vec(), b"two".to_vec()], &Sevens).unwrap();
        let (mut file, chunks) = header.seal(&key(1)).unwrap();
        let count = data.len().div_ceil(chunks.size()).max(1);
        for number in 0..count {
            let end = data.len().min((number + 1) * chunks.size());
            let mut chunk = data[number * chunks.size()..end].to_vec();
            chunks.seal(number as u64, number + 1 == count, &mut chunk).unwrap();
            file.extend_from_slice(&chunk);
        }
        file
    }

    fn opened(file: &[u8], with: &Secret) -> Result<Vec<u8>> {
        let read = FileHeader::read(&mut &*file)?;
        let (chunks, layout) = (read.open(with)?, read.layout(file.len() as u64)?);
        let mut plain = Vec::new();
        for number in 0..layout.chunks() {
            let start = usize::try_from(layout.position(number)).unwrap();
            let end = start + usize::try_from(layout.sealed_len(number)).unwrap();
            let mut chunk = file[start..end].to_vec();
            chunks.open(number, layout.is_last(number), &mut chunk)?;
            plain.extend_from_slice(&chunk);
        }
        assert_eq!(plain.len() as u64, layout.plaintext());
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_opens_whatever_its_length() {
        for algorithm in [FileAlgorithm::Aes256Gcm, FileAlgorithm::ChaCha20Poly1305] {
            for len in [0, 1, 4095, 4096, 4097, 8192, 20_000] {
                let data: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
                assert_eq!(opened(&sealed(&data, algorithm), &key(1)).unwrap(), data, "{len}");
            }
        }
    }

    #[test]
    fn nothing_of_a_file_can_be_altered_cut_off_moved_or_added() {
        let whole = sealed(&[5; 12_000], FileAlgorithm::Aes256Gcm);
        assert!(opened(&whole, &key(2)).is_err());
        let head = usize::try_from(FileHeader::read(&mut whole.as_slice()).unwrap().len()).unwrap();
        for place in (0..head).chain([head, head + 4112, whole.len() - 1]) {
            let mut altered = whole.clone();
            altered[place] ^= 1;
            assert!(opened(&altered, &key(1)).is_err(), "{place}");
        }
        for less in [1, 16, 17, 4112, whole.len() - head - 4112, whole.len() - head] {
            assert!(opened(&whole[..whole.len() - less], &key(1)).is_err(), "{less}");
        }
        let mut swapped = whole.clone();
        swapped[head..head + 2 * 4112].rotate_left(4112);
        assert!(opened(&swapped, &key(1)).is_err());
        let more = [whole.clone(), whole[head..].to_vec()].concat();
        assert!(opened(&more, &key(1)).is_err());
        // A chunk that is not the last one cannot become it.
        assert!(opened(&whole[..head + 4112], &key(1)).is_err());
    }

    #[test]
    fn a_header_says_for_whom_it_is() {
        let file = sealed(b"x", FileAlgorithm::Aes256Gcm);
        let read = FileHeader::read(&mut file.as_slice()).unwrap();
        assert_eq!(read.header.recipients(), [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(
            FileHeader::new(FileAlgorithm::Aes256Gcm, 12, Vec::new(), &Sevens).unwrap_err().kind(),
            ErrorKind::Arguments
        );
        assert!(FileHeader::new(FileAlgorithm::Aes256Gcm, 40, vec![vec![1]], &Sevens).is_err());
    }
}
