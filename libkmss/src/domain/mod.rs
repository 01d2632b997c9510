//! Domain keys as the store keeps them: all versions of one domain in one record, wrapped by the seal.
//!
//! A domain is the home, or one incarnation of a namespace. Its record is
//! ```text
//! format (1) ‖ incarnation (4, big-endian) ‖ wrapped by the seal: key of the public index (32) ‖ versions
//! version: number (4) ‖ when it was made (8, ms) ‖ public secret (32) ‖ 1 (1) ‖ private secret, sealed (60), or 0 (1)
//! ```
//! The private secrets are sealed under the access key, which is what PINs open ([`Access`]). One record, so that a
//! rotation is there as a whole or not at all.

mod access;
mod named;
mod rewrapped;
mod source;
#[cfg(test)]
mod tests;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::seal::Seal;
use crate::secret::Secret;
use crate::store::StoreKey;
use crate::suite::{HASH_LEN, Suite};
use crate::tenant::Namespace;

pub(crate) use access::Access;
pub(crate) use named::{HOME_MARKERS, NAMESPACES, OF_HOME, fence, named};
pub(crate) use rewrapped::Rewrapped;
pub(crate) use source::Surroundings;

/// The format written today.
const FORMAT: u8 = 2;
/// The format of records that hold one version.
const SINGLE: u8 = 1;
/// Number of the version that a fresh domain has.
pub(crate) const FIRST_VERSION: u32 = 1;
/// Most versions at a time: each is read whenever somebody enters.
const MOST_VERSIONS: usize = 64;
/// Where the home's own record is.
const HOME: &str = "home/domain";

/// Where a domain's record is, and what its wrapping is bound to.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) key: StoreKey,
    /// What people call it.
    name: String,
    /// `None` for the home.
    of: Option<(crate::tenant::NamespaceId, u32)>,
}

/// All versions of a domain.
pub(crate) struct Versions {
    pub(crate) suite: Suite,
    /// The key of the public index.
    pub(crate) index: Secret,
    /// Oldest first, never empty.
    pub(crate) all: Vec<Version>,
}

/// One version of a domain.
pub(crate) struct Version {
    pub(crate) number: u32,
    /// When it was made; 0 where that is not known.
    pub(crate) created: Timestamp,
    pub(crate) public: Secret,
    pub(crate) private: Private,
}

/// The private secret of a version.
pub(crate) enum Private {
    /// The home has none.
    None,
    /// It is what PINs open, as in namespaces made before there were versions.
    Access,
    /// Sealed under the access key.
    Sealed(Vec<u8>),
}

impl Site {
    pub(crate) fn home() -> Result<Self> {
        Ok(Self { key: StoreKey::new(HOME)?, name: "the home".to_owned(), of: None })
    }

    pub(crate) fn of(namespace: &Namespace) -> Result<Self> {
        Ok(Self {
            key: StoreKey::new(format!("auth/{}/domain", namespace.id))?,
            name: format!("`{namespace}`"),
            of: Some((namespace.id, namespace.incarnation)),
        })
    }

    fn context(&self, incarnation: u32) -> String {
        match self.of {
            None => format!("{HOME}/versions"),
            Some((id, _)) => format!("domain/{id}/{incarnation}/versions"),
        }
    }

    /// The context of the one secret of a record of the first format.
    fn single_context(&self, incarnation: u32, version: u32) -> String {
        match self.of {
            None => HOME.to_owned(),
            Some((id, _)) => format!("domain/{id}/{incarnation}/{version}/public"),
        }
    }

    const fn incarnation(&self) -> u32 {
        match self.of {
            None => 0,
            Some((_, incarnation)) => incarnation,
        }
    }

    /// What version `number` is sealed to, by the access key.
    fn private_context(&self, number: u32) -> String {
        let (id, incarnation) = self.of.map_or((String::new(), 0), |(id, n)| (id.to_string(), n));
        format!("domain/{id}/{incarnation}/{number}/private")
    }

    fn damaged(&self) -> Error {
        Error::new(ErrorKind::Damaged, format!("the domain key of {} is damaged", self.name))
    }

    /// The record of `versions`.
    pub(crate) fn encode(&self, seal: &dyn Seal, versions: &Versions) -> Result<Vec<u8>> {
        let mut record = vec![FORMAT];
        record.extend_from_slice(&self.incarnation().to_be_bytes());
        record.extend_from_slice(&seal.wrap(&self.context(self.incarnation()), &versions.encode()?)?);
        Ok(record)
    }

    /// What `record` holds.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where it is that of another incarnation, proved by its wrapping;
    /// [`ErrorKind::Damaged`], [`ErrorKind::TooNew`] and those of the seal.
    pub(crate) fn decode(&self, seal: &dyn Seal, record: &[u8]) -> Result<Versions> {
        let (format, rest) = record.split_first().ok_or_else(|| self.damaged())?;
        match (*format, self.of) {
            (SINGLE, None) => {
                // From before there was a format: wrapped keys begin with this byte.
                let secret = seal.unwrap(&self.single_context(0, FIRST_VERSION), record)?;
                return Versions::single(seal.suite(), FIRST_VERSION, secret, Private::None);
            }
            (SINGLE | FORMAT, _) => {}
            (0, _) => return Err(Error::new(ErrorKind::Damaged, "a domain key has an impossible format")),
            (newer, _) => {
                return Err(Error::new(
                    ErrorKind::TooNew,
                    format!("a domain key has format {newer}, and this KMSS reads up to {FORMAT}: use the newer KMSS"),
                ));
            }
        }
        let (incarnation, rest) = rest.split_first_chunk().ok_or_else(|| self.damaged())?;
        let incarnation = u32::from_be_bytes(*incarnation);
        let versions = if *format == SINGLE {
            let (version, wrapped) = rest.split_first_chunk().ok_or_else(|| self.damaged())?;
            let version = u32::from_be_bytes(*version);
            let secret = seal.unwrap(&self.single_context(incarnation, version), wrapped)?;
            Versions::single(seal.suite(), version, secret, Private::Access)?
        } else {
            let opened = seal.unwrap(&self.context(incarnation), rest)?;
            Versions::decode(seal.suite(), &opened).ok_or_else(|| self.damaged())?
        };
        // Only now that it is proved is anybody told to look again.
        if incarnation != self.incarnation() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("the namespace {} has been initialised anew: open it again", self.name),
            ));
        }
        Ok(versions)
    }
}

impl Versions {
    /// Those of a fresh domain; that of a namespace has an access key.
    pub(crate) fn fresh(
        site: &Site,
        suite: Suite,
        random: &dyn Random,
        (access, now): (Option<&Access>, Timestamp),
    ) -> Result<Self> {
        let index = Secret::filled(HASH_LEN, |b| random.fill(b))?;
        let mut versions = Self { suite, index, all: Vec::new() };
        versions.add(site, random, access, now)?;
        Ok(versions)
    }

    fn single(suite: Suite, number: u32, secret: Secret, private: Private) -> Result<Self> {
        let index = DomainKey::index_of(suite, &secret)?;
        Ok(Self { suite, index, all: vec![Version { number, created: Timestamp(0), public: secret, private }] })
    }

    /// Adds a fresh version; its number.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where there are as many as there may be.
    pub(crate) fn add(
        &mut self,
        site: &Site,
        random: &dyn Random,
        access: Option<&Access>,
        now: Timestamp,
    ) -> Result<u32> {
        if self.all.len() >= MOST_VERSIONS {
            let why =
                format!("there are {MOST_VERSIONS} versions already: run `kmss domain rewrap`, which erases old ones");
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        let number = self.newest().checked_add(1);
        let number =
            number.ok_or_else(|| Error::new(ErrorKind::Arguments, "there are no more numbers for versions"))?;
        let secret = || Secret::filled(DomainKey::SECRET_LEN, |b| random.fill(b));
        let private = match access {
            Some(access) => Private::Sealed(access.seal(random, &site.private_context(number), &secret()?)?),
            None => Private::None,
        };
        self.all.push(Version { number, created: now, public: secret()?, private });
        Ok(number)
    }

    /// The number of the newest; 0 where there is none yet.
    pub(crate) fn newest(&self) -> u32 {
        self.all.last().map_or(0, |version| version.number)
    }

    /// Whether what PINs open is the private secret of the first version, too.
    pub(crate) fn first_is_access(&self) -> bool {
        self.all.iter().any(|version| matches!(version.private, Private::Access))
    }

    /// Forgets the versions `over`; the newest stays.
    pub(crate) fn erase(&mut self, over: &[u32]) {
        let newest = self.newest();
        self.all.retain(|version| version.number == newest || !over.contains(&version.number));
    }

    fn encode(&self) -> Result<Secret> {
        let length = |v: &Version| 4 + 8 + DomainKey::SECRET_LEN + 1 + v.private.bytes().map_or(0, <[u8]>::len);
        Secret::filled(HASH_LEN + self.all.iter().map(length).sum::<usize>(), |out| {
            let mut rest = out;
            let mut put = |bytes: &[u8]| -> Result<()> {
                let (to, after) = std::mem::take(&mut rest)
                    .split_at_mut_checked(bytes.len())
                    .ok_or_else(|| Error::new(ErrorKind::Internal, "a domain key does not fit its record"))?;
                to.copy_from_slice(bytes);
                rest = after;
                Ok(())
            };
            put(self.index.expose())?;
            for version in &self.all {
                put(&version.number.to_be_bytes())?;
                put(&version.created.0.to_be_bytes())?;
                put(version.public.expose())?;
                put(&[version.private.tag()])?;
                put(version.private.bytes().unwrap_or_default())?;
            }
            Ok(())
        })
    }

    fn decode(suite: Suite, record: &Secret) -> Option<Self> {
        let (index, mut rest) = record.expose().split_first_chunk::<HASH_LEN>()?;
        let mut all: Vec<Version> = Vec::new();
        while !rest.is_empty() {
            let (number, after) = rest.split_first_chunk()?;
            let (created, after) = after.split_first_chunk()?;
            let (public, after) = after.split_first_chunk::<{ DomainKey::SECRET_LEN }>()?;
            let (tag, after) = after.split_first()?;
            let (private, after) = match *tag {
                Private::NONE => (Private::None, after),
                Private::OPENED => (Private::Access, after),
                Private::SEALED => {
                    let (sealed, after) = after.split_at_checked(Access::SEALED_LEN)?;
                    (Private::Sealed(sealed.to_vec()), after)
                }
                _ => return None,
            };
            let number = u32::from_be_bytes(*number);
            if all.last().is_some_and(|before| before.number >= number) {
                return None;
            }
            let created = Timestamp(u64::from_be_bytes(*created));
            all.push(Version { number, created, public: Secret::copy_of(public), private });
            rest = after;
        }
        if all.is_empty() {
            return None;
        }
        Some(Self { suite, index: Secret::copy_of(index), all })
    }
}

impl Private {
    const NONE: u8 = 0;
    const SEALED: u8 = 1;
    const OPENED: u8 = 2;

    const fn tag(&self) -> u8 {
        match self {
            Self::None => Self::NONE,
            Self::Sealed(_) => Self::SEALED,
            Self::Access => Self::OPENED,
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Sealed(bytes) => Some(bytes),
            Self::None | Self::Access => None,
        }
    }
}
