//! Domain keys as the store keeps them: all versions of one domain in one record, wrapped by the seal.
//!
//! A domain is the home, or one incarnation of a namespace. Its record is
//! ```text
//! format (1) ‖ incarnation (4, big-endian) ‖ wrapped by the seal: key of the public index (32) ‖ versions
//! version: number (4) ‖ when it was made (8, ms) ‖ public secret (32) ‖ 1 (1) ‖ private secret, sealed (60), or 0 (1)
//! ```
//! The private secrets are sealed under the access key, which is what PINs open ([`Access`]). One record, so that a
//! rotation is there as a whole or not at all. Where keys in devices seal key material, the format is another:
//! ```text
//! … wrapped by the seal: key of the public index (32) ‖ number of keys that are to be destroyed (1) ‖ these ‖ versions
//! version: as above ‖ 1 (1) ‖ key in a device, or 0 (1)
//! key in a device: its HSM, serial number, label and mechanism, each length (1) ‖ text
//! ```

mod access;
mod device;
mod envelope;
mod named;
mod rewrapped;
mod source;
#[cfg(test)]
mod tests;

use crate::clock::Timestamp;
use crate::device::WrappingKey;
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

/// The format written where keys in devices are named.
const WITH_DEVICES: u8 = 3;
/// The format written otherwise.
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
    /// Keys in devices that seal nothing any more, and are to be destroyed.
    pub(crate) over: Vec<WrappingKey>,
}

/// One version of a domain.
pub(crate) struct Version {
    pub(crate) number: u32,
    /// When it was made; 0 where that is not known.
    pub(crate) created: Timestamp,
    pub(crate) public: Secret,
    pub(crate) private: Private,
    /// The key in a device that seals key material.
    pub(crate) device: Option<WrappingKey>,
}

/// A version of a domain key, as it may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its number.
    pub number: u32,
    /// When it was made; 0 for the one that came with the domain.
    pub created: Timestamp,
    /// The key in a device that seals key material.
    pub device: Option<WrappingKey>,
}

impl Version {
    pub(crate) fn info(&self) -> VersionInfo {
        VersionInfo { number: self.number, created: self.created, device: self.device.clone() }
    }
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

    /// What a key in a device binds the material of version `number` to, before what the material itself is bound to.
    fn material_context(&self, number: u32) -> String {
        let (id, incarnation) = self.of.map_or((String::new(), 0), |(id, n)| (id.to_string(), n));
        format!("domain/{id}/{incarnation}/{number}/material/")
    }

    fn damaged(&self) -> Error {
        Error::new(ErrorKind::Damaged, format!("the domain key of {} is damaged", self.name))
    }

    /// The record of `versions`.
    pub(crate) fn encode(&self, seal: &dyn Seal, versions: &Versions) -> Result<Vec<u8>> {
        let mut record = vec![if versions.name_devices() { WITH_DEVICES } else { FORMAT }];
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
            (SINGLE | FORMAT | WITH_DEVICES, _) => {}
            (0, _) => return Err(Error::new(ErrorKind::Damaged, "a domain key has an impossible format")),
            (newer, _) => {
                return Err(Error::new(
                    ErrorKind::TooNew,
                    format!(
                        "a domain key has format {newer}, and this KMSS reads up to {WITH_DEVICES}: use the newer KMSS"
                    ),
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
            Versions::decode(seal.suite(), &opened, *format == WITH_DEVICES).ok_or_else(|| self.damaged())?
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
        device: Option<WrappingKey>,
    ) -> Result<Self> {
        let index = Secret::filled(HASH_LEN, |b| random.fill(b))?;
        let mut versions = Self { suite, index, all: Vec::new(), over: Vec::new() };
        versions.add(site, random, (access, now), device)?;
        Ok(versions)
    }

    fn single(suite: Suite, number: u32, secret: Secret, private: Private) -> Result<Self> {
        let index = DomainKey::index_of(suite, &secret)?;
        let version = Version { number, created: Timestamp(0), public: secret, private, device: None };
        Ok(Self { suite, index, all: vec![version], over: Vec::new() })
    }

    /// Adds a fresh version, whose key material `device` seals; its number.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where there are as many as there may be.
    pub(crate) fn add(
        &mut self,
        site: &Site,
        random: &dyn Random,
        (access, now): (Option<&Access>, Timestamp),
        device: Option<WrappingKey>,
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
        self.all.push(Version { number, created: now, public: secret()?, private, device });
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

    /// Forgets the versions `over`; the newest stays. Their keys in devices are to be destroyed.
    pub(crate) fn erase(&mut self, over: &[u32]) {
        let newest = self.newest();
        let goes = |version: &Version| version.number != newest && over.contains(&version.number);
        self.over.extend(self.all.iter().filter(|version| goes(version)).filter_map(|version| version.device.clone()));
        self.all.retain(|version| !goes(version));
    }

    /// All keys in devices that are named.
    pub(crate) fn devices(&self) -> impl Iterator<Item = &WrappingKey> {
        self.all.iter().filter_map(|version| version.device.as_ref()).chain(&self.over)
    }

    /// Everything, as an archive carries it: whether keys in devices are named (1) ‖ the record's content.
    pub(crate) fn carried(&self) -> Result<Secret> {
        let content = self.encode()?;
        Ok(Secret::of_len(content.len().saturating_add(1), |out| {
            if let [first, rest @ ..] = out {
                *first = u8::from(self.name_devices());
                rest.copy_from_slice(content.expose());
            }
        }))
    }

    /// What [`Self::carried`] made.
    pub(crate) fn of_carried(suite: Suite, carried: &[u8]) -> Option<Self> {
        let (flag, content) = carried.split_first()?;
        (*flag <= 1).then_some(())?;
        Self::decode(suite, &Secret::copy_of(content), *flag == 1)
    }

    fn name_devices(&self) -> bool {
        self.devices().next().is_some()
    }

    fn encode(&self) -> Result<Secret> {
        let with_devices = self.name_devices();
        let of_device = |v: &Version| if with_devices { 1 + v.device.as_ref().map_or(0, device::len) } else { 0 };
        let of_version =
            |v: &Version| 4 + 8 + DomainKey::SECRET_LEN + 1 + v.private.bytes().map_or(0, <[u8]>::len) + of_device(v);
        let of_over = if with_devices { 1 + self.over.iter().map(device::len).sum::<usize>() } else { 0 };
        Secret::filled(HASH_LEN + of_over + self.all.iter().map(of_version).sum::<usize>(), |out| {
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
            if with_devices {
                put(&[device::count(&self.over)?])?;
                self.over.iter().try_for_each(|key| put(&device::encode(key)?))?;
            }
            for version in &self.all {
                put(&version.number.to_be_bytes())?;
                put(&version.created.0.to_be_bytes())?;
                put(version.public.expose())?;
                put(&[version.private.tag()])?;
                put(version.private.bytes().unwrap_or_default())?;
                if with_devices {
                    put(&[u8::from(version.device.is_some())])?;
                    version.device.iter().try_for_each(|key| put(&device::encode(key)?))?;
                }
            }
            Ok(())
        })
    }

    fn decode(suite: Suite, record: &Secret, with_devices: bool) -> Option<Self> {
        let (index, mut rest) = record.expose().split_first_chunk::<HASH_LEN>()?;
        let mut over = Vec::new();
        if with_devices {
            let (count, mut after) = rest.split_first()?;
            for _ in 0..*count {
                let key;
                (key, after) = device::decode(after)?;
                over.push(key);
            }
            rest = after;
        }
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
            let (device, after) = match (with_devices, after) {
                (true, [0, after @ ..]) => (None, after),
                (true, [1, after @ ..]) => device::decode(after).map(|(key, after)| (Some(key), after))?,
                (true, _) => return None,
                (false, after) => (None, after),
            };
            let number = u32::from_be_bytes(*number);
            if all.last().is_some_and(|before| before.number >= number) {
                return None;
            }
            let created = Timestamp(u64::from_be_bytes(*created));
            all.push(Version { number, created, public: Secret::copy_of(public), private, device });
            rest = after;
        }
        if all.is_empty() {
            return None;
        }
        Some(Self { suite, index: Secret::copy_of(index), all, over })
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
