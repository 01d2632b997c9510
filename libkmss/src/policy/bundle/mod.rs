//! Signed bundles: a policy module with what its publisher says of it, in one file.
//!
//! Only `.wasm` travels, never compiled code. docs/policy-bundles.md describes the format.

mod error;
mod file;
mod key;
mod manifest;
mod module;
#[cfg(test)]
mod tests;

pub use error::BundleError;
pub use file::BUNDLE_MAX;
pub use key::{KeyId, PublisherAlgorithm, PublisherKey, PublisherSecret};
pub use manifest::{Abi, Manifest, Terms};
pub use module::{declared_pages, interface_of, is_module};

pub(super) use key::sha256;

use self::file::{FORMAT, MAGIC, Parts};
use self::key::SIGNATURE_LEN;
use super::Scope;
use super::host::{Cache, Host, Limits, LoadError, Policy};
use super::opa::Document;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// What is signed begins so, that no signature made for something else is one over a bundle.
const SIGNED: &[u8] = b"kmss policy bundle\0";

/// What a bundle carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The module (`.wasm`).
    pub module: Vec<u8>,
    /// `data.json` of an OPA module.
    pub data: Option<Vec<u8>>,
    /// The text it was compiled from, for people.
    pub source: Option<String>,
}

impl Content {
    fn data(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }

    fn source(&self) -> &[u8] {
        self.source.as_deref().unwrap_or_default().as_bytes()
    }
}

impl Manifest {
    /// Whether it speaks of this very content.
    #[must_use]
    pub fn carries(&self, content: &Content) -> bool {
        let is = |digest: Option<[u8; 32]>, part: &[u8]| digest == (!part.is_empty()).then(|| sha256(part));
        is(Some(self.module), &content.module)
            && is(self.data.map(|d| d.into_array()), content.data())
            && is(self.source.map(|d| d.into_array()), content.source())
    }
}

/// A bundle without its signature.
#[derive(Clone, Debug)]
pub struct Draft {
    manifest: Vec<u8>,
    content: Content,
    publisher: PublisherKey,
}

impl Draft {
    /// The bundle that `publisher` is to sign.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for terms and content that no bundle may have.
    pub fn new(terms: Terms, content: Content, publisher: &PublisherKey) -> Result<Self> {
        let content = Content {
            data: content.data.filter(|data| !data.is_empty()),
            source: content.source.filter(|source| !source.is_empty()),
            ..content
        };
        let digest = |part: &[u8]| serde_bytes::ByteArray::new(sha256(part));
        let manifest = Manifest {
            terms,
            publisher: publisher.id()?,
            module: sha256(&content.module),
            data: content.data.as_deref().map(digest),
            source: content.source.as_deref().map(|text| digest(text.as_bytes())),
        };
        check_content(&manifest, &content)?;
        Ok(Self { manifest: manifest.encode()?, content, publisher: publisher.clone() })
    }

    /// What the publisher signs.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        to_be_signed(&self.manifest)
    }

    /// The bundle with its publisher's signature.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] where the signature is somebody else's, [`ErrorKind::Arguments`] for a bundle too large.
    pub fn with_signature(&self, signature: &[u8]) -> Result<Vec<u8>> {
        if signature.len() != SIGNATURE_LEN || !self.publisher.verifies(&self.to_be_signed(), signature) {
            return Err(BundleError::Signature(self.publisher.id()?).into());
        }
        let (data, source) = (self.content.data(), self.content.source());
        let parts = Parts { manifest: &self.manifest, signature, module: &self.content.module, data, source };
        Ok(parts.join()?)
    }

    /// The bundle, signed with a key at hand.
    ///
    /// # Errors
    /// As [`Self::with_signature`].
    pub fn sign(&self, secret: &PublisherSecret) -> Result<Vec<u8>> {
        self.with_signature(&secret.sign(&self.to_be_signed())?)
    }
}

/// A public key whose bundles are taken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustAnchor {
    /// What people call it.
    pub name: String,
    /// What it may publish for: this scope and what lies within.
    pub scope: Scope,
    /// The key.
    pub key: PublisherKey,
    /// When it was added.
    pub added: Timestamp,
    /// Who added it.
    pub added_by: String,
}

/// What was applied before under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The highest sequence.
    pub sequence: u64,
    /// [`Bundle::digest`] of the bundle that had it.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 32],
}

/// A bundle that was taken apart; nothing in it is proven but that its parts are what its manifest says.
#[derive(Clone, Debug)]
pub struct Bundle<'a> {
    manifest: Manifest,
    encoded: &'a [u8],
    signature: &'a [u8],
    module: &'a [u8],
    data: &'a [u8],
    source: &'a str,
}

impl<'a> Bundle<'a> {
    /// Whether `bytes` begin as a bundle does.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Takes a bundle apart and compares its parts with its manifest.
    ///
    /// # Errors
    /// [`BundleError`] for anything that is not a bundle as [`Draft`] makes it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let parts = Parts::split(bytes)?;
        let manifest = Manifest::decode(parts.manifest)?;
        if parts.signature.len() != SIGNATURE_LEN {
            return Err(BundleError::Malformed("its signature has a wrong length"));
        }
        let is = |part: &[u8], digest: Option<[u8; 32]>| match digest {
            None => part.is_empty(),
            Some(digest) => !part.is_empty() && sha256(part) == digest,
        };
        let bare = |digest: Option<serde_bytes::ByteArray<32>>| digest.map(serde_bytes::ByteArray::into_array);
        for (name, part, digest) in [
            ("module", parts.module, Some(manifest.module)),
            ("data", parts.data, bare(manifest.data)),
            ("source text", parts.source, bare(manifest.source)),
        ] {
            if !is(part, digest) {
                return Err(BundleError::Digest(name));
            }
        }
        let source = std::str::from_utf8(parts.source);
        let source = source.map_err(|_| BundleError::Malformed("its source text is not UTF-8"))?;
        check_parts(&manifest, parts.module, parts.data)?;
        let (encoded, signature, module, data) = (parts.manifest, parts.signature, parts.module, parts.data);
        Ok(Self { manifest, encoded, signature, module, data, source })
    }

    /// Takes a bundle in: signed by one of `anchors` who may, for `scope`, valid at `now`, and not going back behind `seen`.
    ///
    /// # Errors
    /// [`BundleError`], one variant for each reason.
    pub fn open(
        bytes: &'a [u8],
        anchors: &[TrustAnchor],
        scope: &Scope,
        now: Timestamp,
        seen: Option<&Seen>,
    ) -> Result<Verified<'a>, BundleError> {
        let bundle = Self::parse(bytes)?;
        let terms = &bundle.manifest.terms;
        if terms.scope != *scope {
            return Err(BundleError::Scope { found: terms.scope.to_string(), wanted: scope.to_string() });
        }
        let anchor = bundle.publisher(anchors)?;
        terms.valid_at(now)?;
        let digest = bundle.digest();
        let repeated = match seen {
            Some(seen) if terms.sequence < seen.sequence => {
                return Err(BundleError::Rollback { found: terms.sequence, seen: seen.sequence });
            }
            Some(seen) if terms.sequence == seen.sequence && digest != seen.digest => {
                return Err(BundleError::SameSequence(terms.sequence));
            }
            seen => seen.is_some_and(|seen| terms.sequence == seen.sequence),
        };
        Ok(Verified { anchor: anchor.clone(), bundle, repeated })
    }

    /// Who of `anchors` signed it, and may.
    fn publisher<'t>(&self, anchors: &'t [TrustAnchor]) -> Result<&'t TrustAnchor, BundleError> {
        let id = self.manifest.publisher;
        let scope = &self.manifest.terms.scope;
        let mut trusted = anchors.iter().filter(|a| a.scope.contains(scope) && a.key.id().ok() == Some(id));
        let unknown = || BundleError::UnknownPublisher { publisher: id, scope: scope.to_string() };
        let anchor = trusted.next().ok_or_else(unknown)?;
        if anchor.key.verifies(&to_be_signed(self.encoded), self.signature) {
            return Ok(anchor);
        }
        Err(BundleError::Signature(id))
    }

    /// What it says.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest, and so of everything in the bundle but the signature.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.encoded)
    }

    /// Loads its module, with the data and the limits that belong to it. Whose signature it has is not looked at.
    ///
    /// # Errors
    /// Why the module is refused.
    pub fn load(&self, host: &Host, cache: Option<&Cache<'_>>) -> Result<Policy, LoadError> {
        let terms = &self.manifest.terms;
        let data = Some(self.data).filter(|data| !data.is_empty());
        let document = Document { data, entrypoint: terms.entrypoint.as_deref() };
        host.load_with(self.module, &document, &Limits { fuel: terms.fuel, pages: terms.pages }, cache)
    }

    /// The module.
    #[must_use]
    pub const fn module(&self) -> &'a [u8] {
        self.module
    }

    /// The data of an OPA module; empty where there is none.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The text it was compiled from; empty where it is not in the bundle.
    #[must_use]
    pub const fn source(&self) -> &'a str {
        self.source
    }
}

/// A bundle whose publisher is trusted for its scope.
#[derive(Clone, Debug)]
#[must_use]
pub struct Verified<'a> {
    /// The bundle.
    pub bundle: Bundle<'a>,
    /// Whose signature it has.
    pub anchor: TrustAnchor,
    /// Whether this very bundle was applied before.
    pub repeated: bool,
}

fn to_be_signed(manifest: &[u8]) -> Vec<u8> {
    [SIGNED, MAGIC, &[FORMAT], manifest].concat()
}

fn check_content(manifest: &Manifest, content: &Content) -> Result<()> {
    if !is_module(&content.module) {
        return Err(Error::new(ErrorKind::Arguments, "the module is no WebAssembly binary"));
    }
    check_parts(manifest, &content.module, content.data())
        .map_err(|_| Error::new(ErrorKind::Arguments, "only policies for opa/1 have data"))
}

fn check_parts(manifest: &Manifest, module: &[u8], data: &[u8]) -> Result<(), BundleError> {
    if !is_module(module) {
        return Err(BundleError::Malformed("its module is no WebAssembly binary"));
    }
    if manifest.terms.abi != Abi::Opa && !data.is_empty() {
        return Err(BundleError::Malformed("only policies for opa/1 have data"));
    }
    Ok(())
}
