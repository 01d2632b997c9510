//! Compiled modules, kept in the home: compiling takes milliseconds to seconds, loading a tenth of a millisecond.
//!
//! An entry is `MAGIC ‖ identity ‖ MAC ‖ code`. The identity is a hash of all that the code depends on: the module, wasmtime's
//! version and settings, the processor's features. The MAC covers the identity and the code. Whoever can write to the home
//! but has not its key can delete entries, and no more.

use std::hash::{Hash, Hasher};
use std::io::Read;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use wasmtime::Module;

use super::cwasm;
use super::engine::{Execution, Host};
use super::failure::LoadError;
use crate::error::ErrorKind;
use crate::home::Home;
use crate::os::Opening;
use crate::policy::hex;

/// The directory in the home.
pub const CODE: &str = "policy-cache";

const MAGIC: &[u8; 8] = b"kmsscw\x00\x01";
const IDENTITY: usize = 32;
const MAC: usize = 32;
/// Largest entry in bytes.
const LARGEST: u64 = 256 << 20;
/// Most files that the directory keeps: every edition of every policy leaves one.
pub(super) const KEPT: usize = 512;

/// The cache of one home.
pub struct Cache<'h> {
    home: &'h Home,
    key: hmac::Key,
}

/// Where a policy's code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled: there is no cache, or there was no entry.
    Compiled,
    /// From the cache.
    Cached,
    /// It was compiled because the entry could not be used, and was discarded. Tell the audit.
    Replaced(CacheFault),
}

/// Why an entry was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheFault {
    /// Another version, other settings or another processor.
    #[error("the entry was made by another version, other settings or another processor")]
    Outdated,
    /// Cut off, changed, or made with another key.
    #[error("the entry is damaged, or was made with another key")]
    Damaged,
    /// It cannot be read, or others could have written it.
    #[error("the entry cannot be read safely")]
    Unreadable,
}

/// Code that this host made, or whose MAC was checked over these bytes.
pub(super) struct Verified<'e>(&'e [u8]);

impl<'e> Verified<'e> {
    /// What [`Host::compile`] just returned.
    pub(super) const fn made_here(code: &'e [u8]) -> Self {
        Self(code)
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        self.0
    }
}

impl<'h> Cache<'h> {
    /// The cache in a home. `key` is a secret of the home that serves nothing else.
    #[must_use]
    pub fn new(home: &'h Home, key: &[u8; 32]) -> Self {
        Self { home, key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The code of a module: from its entry, or compiled and kept for the next time. A cache that cannot be written to is
    /// no reason to refuse a policy.
    pub(super) fn module(&self, host: &Host, wasm: &[u8]) -> Result<(Module, Origin), LoadError> {
        let sum = digest::digest(&digest::SHA256, wasm);
        let name = entry_name(sum.as_ref(), host.execution());
        let identity = identity(sum.as_ref(), host);
        let origin = match self.look(host, &name, &identity) {
            Ok(Some(module)) => return Ok((module, Origin::Cached)),
            Ok(None) => Origin::Compiled,
            Err(fault) => {
                let _ = self.home.remove(&name);
                Origin::Replaced(fault)
            }
        };
        let code = host.compile(wasm)?;
        let _ = self.keep(&name, &identity, &code);
        self.make_room();
        Ok((cwasm::load(host, &Verified::made_here(&code))?, origin))
    }

    /// The module of an entry, if there is one.
    fn look(&self, host: &Host, name: &str, identity: &[u8; IDENTITY]) -> Result<Option<Module>, CacheFault> {
        let file = match self.home.open_file(name, Opening::Read) {
            Ok(Some(file)) => file,
            Err(e) if e.kind() == ErrorKind::HomeUnsafe => return Err(CacheFault::Unreadable),
            // No entry, or no directory for any and no right to make one.
            Ok(None) | Err(_) => return Ok(None),
        };
        let mut entry = Vec::new();
        file.take(LARGEST).read_to_end(&mut entry).map_err(|_| CacheFault::Unreadable)?;
        let code = self.verify(&entry, identity)?;
        cwasm::load(host, &code).map_err(|_| CacheFault::Outdated).map(Some)
    }

    fn verify<'e>(&self, entry: &'e [u8], identity: &[u8; IDENTITY]) -> Result<Verified<'e>, CacheFault> {
        let rest = entry.strip_prefix(MAGIC).ok_or(CacheFault::Damaged)?;
        let (found, rest) = rest.split_first_chunk::<IDENTITY>().ok_or(CacheFault::Damaged)?;
        let (mac, code) = rest.split_first_chunk::<MAC>().ok_or(CacheFault::Damaged)?;
        verify_slices_are_equal(self.mac(found, code).as_ref(), mac).map_err(|_| CacheFault::Damaged)?;
        // What is authentic and for something else was made by another version of us.
        if found == identity { Ok(Verified(code)) } else { Err(CacheFault::Outdated) }
    }

    fn keep(&self, name: &str, identity: &[u8; IDENTITY], code: &[u8]) -> crate::error::Result<()> {
        let entry = [MAGIC, identity.as_slice(), self.mac(identity, code).as_ref(), code].concat();
        self.home.replace(name, &entry)
    }

    /// Removes the oldest files where there are too many. What is still in use is compiled anew when it is next asked for.
    fn make_room(&self) {
        let Ok(found) = std::fs::read_dir(self.home.join(CODE)) else { return };
        let age = |file: std::fs::DirEntry| Some((file.metadata().ok()?.modified().ok()?, file.file_name()));
        let mut files: Vec<_> = found.flatten().filter_map(age).collect();
        let surplus = files.len().saturating_sub(KEPT);
        if surplus == 0 {
            return;
        }
        files.sort();
        for (_, name) in files.iter().take(surplus) {
            let _ = name.to_str().map(|name| self.home.remove(&format!("{CODE}/{name}")));
        }
    }

    fn mac(&self, identity: &[u8; IDENTITY], code: &[u8]) -> hmac::Tag {
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(MAGIC);
        mac.update(identity);
        mac.update(code);
        mac.sign()
    }
}

impl std::fmt::Debug for Cache<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("home", &self.home.path()).finish_non_exhaustive()
    }
}

/// Each way of execution has entries of its own: a home may be used by both.
fn entry_name(sum: &[u8], execution: Execution) -> String {
    let kind = match execution {
        Execution::Compiled => "cwasm",
        Execution::Interpreted => "pulley",
    };
    format!("{CODE}/{}.{kind}", hex(sum))
}

/// A hash of everything that compiled code depends on.
fn identity(sum: &[u8], host: &Host) -> [u8; IDENTITY] {
    let mut feed = Feed(digest::Context::new(&digest::SHA256));
    feed.write(MAGIC);
    feed.write(sum);
    // Version, target, processor features and every setting that code depends on.
    host.engine().precompile_compatibility_hash().hash(&mut feed);
    let mut identity = [0; IDENTITY];
    identity.iter_mut().zip(feed.0.finish().as_ref()).for_each(|(to, from)| *to = *from);
    identity
}

/// Feeds what is hashed to SHA-256.
struct Feed(digest::Context);

impl Hasher for Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
