//! How a bundle lies in a file.
//!
//! ```text
//! "KMSSPOL" ‖ format (1) ‖ manifest ‖ signature ‖ module ‖ data ‖ source
//! ```
//! Each part has its length in front (4 bytes, big-endian); data and source are empty where there are none. Nothing follows.

use super::error::BundleError;
use super::key::SIGNATURE_LEN;
use super::manifest::MANIFEST_MAX;

/// First bytes of a bundle.
pub(super) const MAGIC: &[u8; 7] = b"KMSSPOL";
/// The format written today.
pub(super) const FORMAT: u8 = 1;
/// Largest bundle in bytes.
pub const BUNDLE_MAX: usize = 4 << 20;
/// Largest module in bytes.
const MODULE_MAX: usize = 3 << 20;
/// Largest data of an OPA module in bytes.
const DATA_MAX: usize = 1 << 20;
/// Longest source text in bytes.
const SOURCE_MAX: usize = 1 << 20;

/// The parts of a bundle, as they lie in its bytes.
pub(super) struct Parts<'a> {
    pub(super) manifest: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) module: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) source: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes a bundle apart. Nothing is copied, so no length is believed.
    pub(super) fn split(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let head = bytes.strip_prefix(MAGIC.as_slice()).ok_or(BundleError::NotABundle)?;
        let (format, mut rest) = head.split_first().ok_or(BundleError::NotABundle)?;
        if *format != FORMAT {
            return Err(if *format > FORMAT { BundleError::TooNew(*format) } else { BundleError::NotABundle });
        }
        limit("whole", bytes.len() as u64, BUNDLE_MAX)?;
        let mut part = |name, most| take(&mut rest, name, most);
        let parts = Self {
            manifest: part("manifest", MANIFEST_MAX)?,
            signature: part("signature", SIGNATURE_LEN)?,
            module: part("module", MODULE_MAX)?,
            data: part("data", DATA_MAX)?,
            source: part("source", SOURCE_MAX)?,
        };
        if !rest.is_empty() {
            return Err(BundleError::Malformed("something follows its end"));
        }
        Ok(parts)
    }

    /// The bytes of the bundle.
    pub(super) fn join(&self) -> Result<Vec<u8>, BundleError> {
        let mut out = MAGIC.to_vec();
        out.push(FORMAT);
        for (name, part, most) in [
            ("manifest", self.manifest, MANIFEST_MAX),
            ("signature", self.signature, SIGNATURE_LEN),
            ("module", self.module, MODULE_MAX),
            ("data", self.data, DATA_MAX),
            ("source", self.source, SOURCE_MAX),
        ] {
            limit(name, part.len() as u64, most)?;
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(part);
        }
        limit("whole", out.len() as u64, BUNDLE_MAX)?;
        Ok(out)
    }
}

fn limit(part: &'static str, size: u64, limit: usize) -> Result<(), BundleError> {
    if size > limit as u64 { Err(BundleError::TooLarge { part, size, limit }) } else { Ok(()) }
}

fn take<'a>(rest: &mut &'a [u8], name: &'static str, most: usize) -> Result<&'a [u8], BundleError> {
    let cut = BundleError::Malformed("it ends too early");
    let Some((len, after)) = rest.split_first_chunk::<4>() else { return Err(cut) };
    let len = u32::from_be_bytes(*len);
    limit(name, u64::from(len), most)?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let Some((part, after)) = after.split_at_checked(len) else { return Err(cut) };
    *rest = after;
    Ok(part)
}
