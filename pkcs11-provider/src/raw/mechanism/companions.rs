//! What the parameters of a derivation name beside values: other keys that go in, templates of more keys that come out,
//! and places for what is given out.

use cryptoki_sys::{
    CK_DERIVED_KEY, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SP800_108_FEEDBACK_KDF_PARAMS, CK_SP800_108_KDF_PARAMS,
    CK_SSL3_KEY_MAT_OUT, CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS, CK_TLS12_KEY_MAT_PARAMS,
    CK_TLS12_MASTER_KEY_DERIVE_PARAMS, CK_VERSION, CKR_MECHANISM_INVALID,
};

use super::{INVALID, Parameter, Plain};
use crate::mechanisms::{Profile, Rounds, Shape, Splice, Tls};
use crate::raw::template::{self, Template};
use crate::rv::{Result, Rv};

/// Most keys that one derivation makes beside the first.
const MAX_ADDITIONAL: usize = 16;

/// See the module.
pub(crate) struct Companions {
    /// Other keys that go in.
    pub(crate) others: Vec<CK_OBJECT_HANDLE>,
    /// Templates of more keys that come out.
    pub(crate) additional: Vec<Template>,
    /// INVARIANT: as many as `additional`, each NULL or writable by the contract of [`Companions::of`].
    places: Vec<*mut CK_OBJECT_HANDLE>,
    returned: Returned,
}

/// Where a mechanism gives out what is no key.
enum Returned {
    Nothing,
    Version(*mut CK_VERSION),
    KeyMaterial(*mut CK_SSL3_KEY_MAT_OUT),
}

impl Companions {
    /// Reads them from a mechanism's parameter.
    ///
    /// # Safety
    /// As [`super::parse`], until [`Self::give`] was called; and what the parameter names to be written is writable.
    pub(crate) unsafe fn of(raw: &CK_MECHANISM, profile: Profile) -> Result<Self> {
        let row = profile.row(raw.mechanism).ok_or(Rv(CKR_MECHANISM_INVALID))?;
        let parameter = Parameter::new(raw, profile)?;
        let mut found =
            Self { others: Vec::new(), additional: Vec::new(), places: Vec::new(), returned: Returned::Nothing };
        match row.shape {
            Shape::Hkdf(_) => found.others = parameter.hkdf_salt()?,
            Shape::Splice(Splice::Key) => found.others = vec![parameter.handle()?],
            Shape::Kbkdf(rounds) => {
                found.others = parameter.kbkdf_keys(rounds)?;
                for derived in parameter.additional(rounds)? {
                    if derived.phKey.is_null() || !derived.phKey.is_aligned() {
                        return Err(INVALID);
                    }
                    // SAFETY: the contract of this function.
                    found.additional.push(unsafe { template::read(derived.pTemplate, derived.ulAttributeCount) }?);
                    found.places.push(derived.phKey);
                }
            }
            Shape::Tls(Tls::Master { versioned: true }) => {
                let p: CK_TLS12_MASTER_KEY_DERIVE_PARAMS = parameter.structure()?;
                found.returned = Returned::Version(p.pVersion);
            }
            Shape::Tls(Tls::ExtendedMaster { versioned: true }) => {
                let p: CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS = parameter.structure()?;
                found.returned = Returned::Version(p.pVersion);
            }
            Shape::Tls(Tls::KeyBlock { with_ivs }) => {
                let p: CK_TLS12_KEY_MAT_PARAMS = parameter.structure()?;
                let place = p.pReturnedKeyMaterial;
                let out = parameter.array(place.cast_const(), 1, 1)?.pop().ok_or(INVALID)?;
                if with_ivs && p.ulIVSizeInBits != 0 && (out.pIVClient.is_null() || out.pIVServer.is_null()) {
                    return Err(INVALID);
                }
                found.returned = Returned::KeyMaterial(place);
            }
            _ => {}
        }
        Ok(found)
    }

    /// Whether the handles of all keys go where the parameter says, so that C_DeriveKey has none to give.
    pub(crate) const fn returns_all_keys(&self) -> bool {
        matches!(self.returned, Returned::KeyMaterial(_))
    }

    /// Says which of the additional templates was at fault (PKCS#11 3.2, 6.42.8).
    ///
    /// # Safety
    /// As [`Self::of`].
    pub(crate) unsafe fn blame(&self, index: usize) {
        if let Some(place) = self.places.get(index) {
            // SAFETY: not NULL, aligned, and writable by the contract.
            unsafe { place.write(cryptoki_sys::CK_INVALID_HANDLE) };
        }
    }

    /// Writes handles (of the additional keys; or of all four keys of a key block) and `public`.
    ///
    /// # Safety
    /// As [`Self::of`].
    pub(crate) unsafe fn give(&self, handles: &[CK_OBJECT_HANDLE], public: &[u8]) {
        for (place, handle) in self.places.iter().zip(handles) {
            // SAFETY: not NULL, aligned, and writable by the contract.
            unsafe { place.write(*handle) };
        }
        match (&self.returned, public, handles) {
            (Returned::Version(place), [major, minor], _) if !place.is_null() => {
                // SAFETY: not NULL, and writable by the contract; bytes need no alignment.
                unsafe { place.write_unaligned(CK_VERSION { major: *major, minor: *minor }) };
            }
            (Returned::KeyMaterial(place), ivs, [client_mac, server_mac, client, server]) => {
                // SAFETY: read before (`of`), and writable by the contract; alignment is not assumed.
                let mut out = unsafe { place.read_unaligned() };
                out.hClientMacSecret = *client_mac;
                out.hServerMacSecret = *server_mac;
                out.hClientKey = *client;
                out.hServerKey = *server;
                let (client, server) = ivs.split_at(ivs.len() / 2);
                for (to, iv) in [(out.pIVClient, client), (out.pIVServer, server)] {
                    if !to.is_null() && !iv.is_empty() {
                        // SAFETY: not NULL, and writable for the length that the parameter asked for by the contract.
                        unsafe { std::ptr::copy_nonoverlapping(iv.as_ptr(), to, iv.len()) };
                    }
                }
                // SAFETY: as above.
                unsafe { place.write_unaligned(out) };
            }
            _ => {}
        }
    }
}

impl Parameter {
    fn additional(&self, rounds: Rounds) -> Result<Vec<CK_DERIVED_KEY>> {
        let (at, count) = if rounds == Rounds::Feedback {
            let p: CK_SP800_108_FEEDBACK_KDF_PARAMS = self.structure()?;
            (p.pAdditionalDerivedKeys, p.ulAdditionalDerivedKeys)
        } else {
            let p: CK_SP800_108_KDF_PARAMS = self.structure()?;
            (p.pAdditionalDerivedKeys, p.ulAdditionalDerivedKeys)
        };
        self.array(at.cast_const(), count, MAX_ADDITIONAL)
    }
}

impl Plain for CK_DERIVED_KEY {}
impl Plain for CK_SSL3_KEY_MAT_OUT {}
