//! The seal whose root key is a file in the home.
//!
//! `root.key` decides: it holds the key and the suite, is made complete and exclusively, and everything in `seal.toml`
//! follows from it. So two processes that make a home at once end with the same key, and a process that dies between the
//! two files leaves nothing that the next cannot finish.

use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use super::Seal;
use super::header::Header;
use super::root::Root;
use crate::error::{Error, ErrorKind, Result};
use crate::home::{Home, ROOT_KEY, SEAL, STORE};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::Suite;

/// Newest format of `root.key` that this version reads.
const FORMAT: u8 = 1;
/// First bytes of `root.key`.
const MAGIC: &[u8; 7] = b"KMSSKEY";
/// Length of the root key in bytes.
pub(super) const KEY_LEN: usize = 32;
/// Length of the check sum that ends `root.key`.
const SUM_LEN: usize = 8;
/// `root.key`: magic, format, suite, key, check sum of all that.
const FILE_LEN: usize = MAGIC.len() + 2 + KEY_LEN + SUM_LEN;

/// A [`Seal`] with the root key in the file `root.key`.
///
/// Software custody: whoever can read the file can open the home. What needs a PIN needs the PIN as well.
pub struct FileSeal {
    root: Root,
    random: Arc<dyn Random>,
}

impl FileSeal {
    /// Opens the seal of an existing home.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the home has no seal yet; [`ErrorKind::Damaged`] when a part is missing, damaged or
    /// from another home; [`ErrorKind::TooNew`]; those of [`Home::read`].
    pub fn open(home: &Home, random: Arc<dyn Random>) -> Result<Self> {
        Self::find(home, &random)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("the home `{}` is not initialised", home.path().display()))
        })
    }

    /// Opens the seal, or makes one of `suite` in a home that has neither seal nor store.
    ///
    /// # Errors
    /// As [`Self::open`]; [`ErrorKind::Damaged`] when the home has a store but no root key.
    pub fn create_or_open(home: &Home, suite: Suite, random: Arc<dyn Random>) -> Result<Self> {
        if let Some(seal) = Self::find(home, &random)? {
            return Ok(seal);
        }
        let key = Secret::filled(KEY_LEN, |b| random.fill(b))?;
        // Where another process was faster, its key is the one that counts.
        home.create_exclusively(ROOT_KEY, &encode_key(suite, &key))?;
        Self::find(home, &random)?.ok_or_else(|| missing_key(home))
    }

    /// The seal, completed where its maker died before the header was written. `None` in a home without any.
    fn find(home: &Home, random: &Arc<dyn Random>) -> Result<Option<Self>> {
        let header = home.read(SEAL)?.map(|text| Header::parse(home, SEAL, &text)).transpose()?;
        // The store is looked for before the key: who sees a store without a key has not just been overtaken.
        let has_store = home.exists(STORE)?;
        let Some(file) = home.read(ROOT_KEY)? else {
            return if header.is_some() || has_store { Err(missing_key(home)) } else { Ok(None) };
        };
        let (suite, key) = decode_key(home, &file)?;
        let seal = Self { root: Root::new(suite, &key)?, random: Arc::clone(random) };
        let expected = Header::of_file(&seal.root);
        match header {
            Some(header) if header == expected => {}
            Some(header) => return Err(foreign_key(home, &header, &seal)),
            // Where another process was faster, it wrote the same.
            None => drop(home.create_exclusively(SEAL, expected.text()?.as_bytes())?),
        }
        Ok(Some(seal))
    }

    /// The root key, to be shared.
    pub(super) fn into_root(self) -> Root {
        self.root
    }
}

impl Seal for FileSeal {
    fn suite(&self) -> Suite {
        self.root.suite()
    }

    fn key_id(&self) -> &str {
        self.root.key_id()
    }

    fn wrap(&self, context: &str, key: &Secret) -> Result<Vec<u8>> {
        self.root.wrap(self.random.as_ref(), context, key)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret> {
        self.root.unwrap(context, wrapped)
    }
}

impl std::fmt::Debug for FileSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileSeal({} {})", self.root.suite().name(), self.root.key_id())
    }
}

pub(super) fn encode_key(suite: Suite, key: &Secret) -> Zeroizing<Vec<u8>> {
    let mut file = Zeroizing::new(Vec::with_capacity(FILE_LEN));
    file.extend_from_slice(MAGIC);
    file.push(FORMAT);
    file.push(suite_number(suite));
    file.extend_from_slice(key.expose());
    let mut sum = Suite::Nist.hash(&[&file]);
    file.extend_from_slice(sum.get(..SUM_LEN).unwrap_or_default());
    sum.zeroize();
    file
}

/// The suite and key in `root.key`.
pub(super) fn decode_key(home: &Home, file: &Secret) -> Result<(Suite, Secret)> {
    let damaged = |what: &str| {
        Error::new(
            ErrorKind::Damaged,
            format!("the root key file `{}` {what}: restore it from a backup", home.join(ROOT_KEY).display()),
        )
    };
    let body = file.expose().strip_prefix(MAGIC).ok_or_else(|| damaged("is not one of KMSS"))?;
    let (format, body) = body.split_first().ok_or_else(|| damaged("is too short"))?;
    if *format > FORMAT {
        return Err(too_new(home, ROOT_KEY, u64::from(*format)));
    }
    let (content, sum) = file.expose().split_last_chunk::<SUM_LEN>().ok_or_else(|| damaged("is too short"))?;
    if file.len() != FILE_LEN || !Suite::Nist.hash(&[content]).starts_with(sum) {
        return Err(damaged("is damaged"));
    }
    let (suite, body) = body.split_first().ok_or_else(|| damaged("is too short"))?;
    let suite = match suite {
        1 => Suite::Nist,
        2 => Suite::Gm,
        _ => return Err(damaged("names an unknown suite")),
    };
    let key = body.first_chunk::<KEY_LEN>().filter(|_| *format == FORMAT).ok_or_else(|| damaged("is damaged"))?;
    Ok((suite, Secret::copy_of(key)))
}

const fn suite_number(suite: Suite) -> u8 {
    match suite {
        Suite::Nist => 1,
        Suite::Gm => 2,
    }
}

pub(super) fn too_new(home: &Home, name: &str, format: u64) -> Error {
    Error::new(
        ErrorKind::TooNew,
        format!(
            "`{}` has format {format}, which this KMSS does not read: use the newer KMSS that made it",
            home.join(name).display()
        ),
    )
}

pub(super) fn missing_key(home: &Home) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!(
            "the root key file `{}` is missing: restore it from a backup; without it nothing in the home can be opened",
            home.join(ROOT_KEY).display()
        ),
    )
}

fn foreign_key(home: &Home, header: &Header, seal: &FileSeal) -> Error {
    let message = if header.r#type == "file" {
        format!(
            "the root key file `{}` holds {} key `{}`, and `{}` names {} key `{}`: restore the two that belong together",
            home.join(ROOT_KEY).display(),
            seal.root.suite().name(),
            seal.root.key_id(),
            home.join(SEAL).display(),
            header.suite.name(),
            header.key_id
        )
    } else {
        format!("the seal header `{}` names a holder that is not a key file", home.join(SEAL).display())
    };
    Error::new(ErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests;
