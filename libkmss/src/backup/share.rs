//! Splitting an archive's key among custodians (Shamir: How to Share a Secret, 1979; over GF(2⁸), byte by byte), and their shares as
//! text.

use std::convert::Infallible;
use std::fmt;

use rand_core::{TryCryptoRng, TryRng};
use subtle::ConstantTimeEq as _;
use vsss_rs::Gf256;
use zeroize::{Zeroize as _, Zeroizing};

use super::header::{ArchiveHeader, ArchiveId, DIGEST};
use super::{ArchiveKey, KEY};
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::Suite;
use crate::tenant::push_hex;

/// The first line of a share.
const TITLE: &str = "KMSS share of an archive's key, format 1";
/// Longest text that is read as a share, in bytes.
const LONGEST: usize = 4096;
/// Longest name of a custodian in bytes.
const LONGEST_NAME: usize = 64;
/// Bytes of a share's value: which point, and a byte for each byte of the key.
const VALUE: usize = 1 + KEY;
/// Bytes of the check sum.
const CHECK: usize = 8;

/// What one custodian keeps. Fewer than are needed tell nothing of the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    /// Which archive it is of.
    pub archive: ArchiveId,
    /// The tenant.
    pub tenant: String,
    /// The archive's epoch.
    pub epoch: u64,
    /// Who keeps it.
    pub custodian: String,
    /// How many shares there are.
    pub shares: u8,
    /// How many open the archive.
    pub needed: u8,
    value: Secret,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("archive", &self.archive).field("number", &self.number()).finish_non_exhaustive()
    }
}

impl Share {
    /// Which of the shares it is, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.value.expose().first().copied().unwrap_or_default()
    }

    /// The share as text, with a check sum against mistakes in copying.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = self.body();
        let check = check(&text);
        text.push_str("check: ");
        push_hex(&mut text, &check);
        text.push('\n');
        text
    }

    fn body(&self) -> Zeroizing<String> {
        let Self { archive, tenant, epoch, custodian, shares, needed, .. } = self;
        let number = self.number();
        let mut text = Zeroizing::new(String::with_capacity(LONGEST));
        text.push_str(&format!(
            "{TITLE}\narchive: {archive}\ntenant: {tenant}\nepoch: {epoch}\ncustodian: {custodian}\n\
             share: {number} of {shares}, {needed} needed\nvalue:"
        ));
        for pair in self.value.expose().chunks(2) {
            text.push(' ');
            push_hex(&mut text, pair);
        }
        text.push('\n');
        text
    }

    /// Reads a share. White space around and within lines does not count.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what is none, or was not copied as it is.
    pub fn parse(text: &str) -> Result<Self> {
        let none = || Error::new(ErrorKind::Arguments, "this is no share of an archive's key");
        if text.len() > LONGEST {
            return Err(none());
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        if lines.next() != Some(TITLE) {
            return Err(none());
        }
        let mut field = |name: &str| {
            let (found, value) = lines.next().and_then(|line| line.split_once(':')).ok_or_else(none)?;
            if found == name { Ok(value.trim().to_owned()) } else { Err(none()) }
        };
        let archive = field("archive")?;
        let tenant = field("tenant")?;
        let epoch = field("epoch")?.parse().map_err(|_| none())?;
        let custodian = field("custodian")?;
        let which = field("share")?;
        let value = Zeroizing::new(field("value")?);
        let said = field("check")?;
        if lines.next().is_some() {
            return Err(none());
        }
        let value = unhex::<VALUE>(&value).ok_or_else(none)?;
        let (number, rest) = which.split_once(" of ").ok_or_else(none)?;
        let (shares, needed) = rest.strip_suffix(" needed").and_then(|rest| rest.split_once(", ")).ok_or_else(none)?;
        let count = |text: &str| text.parse::<u8>().map_err(|_| none());
        let share = Self {
            archive: ArchiveId(*unhex::<16>(&archive).ok_or_else(none)?),
            tenant,
            epoch,
            custodian,
            shares: count(shares)?,
            needed: count(needed)?,
            value: Secret::copy_of(value.as_slice()),
        };
        let body = share.body();
        let sum = unhex::<CHECK>(&said).ok_or_else(none)?;
        if *sum != check(&body) || share.number() != count(number)? || share.number() == 0 {
            return Err(Error::new(
                ErrorKind::Arguments,
                "the share was not copied as it is: its check sum says so; look at every line",
            ));
        }
        Ok(share)
    }

    fn digest(&self, suite: Suite) -> [u8; DIGEST] {
        let hash = suite.hash(&[b"kmss/1 archive share\0", &self.archive.0, self.value.expose()]);
        hash.first_chunk().copied().unwrap_or_default()
    }
}

/// A name that a share can bear.
fn accept(custodian: &str) -> Result<()> {
    let plain = custodian.trim() == custodian && !custodian.chars().any(char::is_control);
    if plain && (1..=LONGEST_NAME).contains(&custodian.len()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Arguments, "a custodian is called by 1 to 64 bytes in one line"))
}

fn check(body: &str) -> [u8; CHECK] {
    let hash = Suite::Nist.hash(&[body.as_bytes()]);
    hash.first_chunk().copied().unwrap_or_default()
}

/// `N` bytes from hex digits, with spaces between.
fn unhex<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let digits: Zeroizing<Vec<u8>> = Zeroizing::new(text.bytes().filter(|b| !b.is_ascii_whitespace()).collect());
    let mut out = Zeroizing::new([0; N]);
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair.get(at).copied()?).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(out)
}

/// Splits `key` among `custodians`, and settles the header of its archive.
///
/// # Errors
/// [`ErrorKind::Arguments`] for names that are none or come twice, or another count than the header says; the random source
/// fails.
pub fn split(
    header: &mut ArchiveHeader,
    key: &ArchiveKey,
    custodians: &[String],
    random: &dyn Random,
) -> Result<Vec<Share>> {
    if custodians.len() != usize::from(header.shares) {
        return Err(Error::new(ErrorKind::Arguments, "there is one share for each custodian"));
    }
    for (place, custodian) in custodians.iter().enumerate() {
        accept(custodian)?;
        if custodians.iter().take(place).any(|other| other == custodian) {
            return Err(Error::new(ErrorKind::Arguments, "two custodians have the same name"));
        }
    }
    let mut source = Source { random, failed: None };
    let (needed, shares) = (usize::from(header.needed), usize::from(header.shares));
    let parts = Gf256::split_bytes(needed, shares, key.secret().expose(), &mut source);
    let mut parts = Zeroizing::new(parts.map_err(|_| impossible())?);
    if let Some(error) = source.failed {
        return Err(error);
    }
    let shares: Vec<Share> = custodians
        .iter()
        .zip(parts.iter_mut())
        .map(|(custodian, part)| Share {
            archive: header.archive,
            tenant: header.tenant.clone(),
            epoch: header.epoch,
            custodian: custodian.clone(),
            shares: header.shares,
            needed: header.needed,
            value: Secret::new(std::mem::take(part)),
        })
        .collect();
    header.settle(shares.iter().map(|share| share.digest(header.suite)).collect(), key)?;
    // A key that nobody can put together again would be found out on the worst day: the last ones do here what they are for.
    let last = shares.iter().rev().take(needed).cloned().collect::<Vec<_>>();
    let _ = combine(header, &last)?;
    Ok(shares)
}

/// The key of the archive that `header` is of, from the shares of enough custodians.
///
/// # Errors
/// [`ErrorKind::Arguments`] for shares of another archive, changed ones, one that comes twice, or too few;
/// [`ErrorKind::EncryptedDataInvalid`] where the header was changed.
pub fn combine(header: &ArchiveHeader, shares: &[Share]) -> Result<ArchiveKey> {
    let refuse = |share: &Share, why: &str| {
        let what = format!("the share of `{}` {why}", share.custodian.escape_debug());
        Err(Error::new(ErrorKind::Arguments, what))
    };
    for (place, share) in shares.iter().enumerate() {
        if share.archive != header.archive {
            return refuse(share, "is of another archive");
        }
        let number = usize::from(share.number());
        let known = number.checked_sub(1).and_then(|at| header.digests.get(at));
        let genuine = known.is_some_and(|known| share.digest(header.suite).ct_eq(known).into());
        if !genuine {
            return refuse(share, "is not what was made for this archive");
        }
        if shares.iter().take(place).any(|other| other.number() == share.number()) {
            return refuse(share, "comes twice");
        }
    }
    let needed = usize::from(header.needed);
    if shares.len() < needed {
        let why = format!("{} shares are there, and {needed} are needed", shares.len());
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    let mut parts: Vec<Vec<u8>> = shares.iter().take(needed).map(|share| share.value.expose().to_vec()).collect();
    let combined = Gf256::combine_bytes(&parts);
    parts.zeroize();
    let key = ArchiveKey(Secret::new(combined.map_err(|_| impossible())?));
    header.admit(&key)?;
    Ok(key)
}

fn impossible() -> Error {
    Error::new(ErrorKind::Internal, "the key of an archive could not be split or put together")
}

/// Our generator as the crate asks for one. It cannot fail there: what it drew after a failure is used for nothing.
struct Source<'a> {
    random: &'a dyn Random,
    failed: Option<Error>,
}

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if let Err(error) = self.random.fill(out) {
            // Not zeros: the crate looks for numbers that are none, and would look for ever.
            out.fill(1);
            self.failed.get_or_insert(error);
        }
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}
