//! Numbers that no standard gives: SM2, SM3 and SM4.
//!
//! Thales Luna's numbers where Luna has one (its table is the one most clients know). What Luna lacks lies in a range of
//! our own, `0x804B4D..` (`KM` in ASCII behind the vendor bit), so that it cannot meet another vendor's number.
//!
//! These are the numbers of the table. A token with another vendor's [profile](Profile) shows and takes that vendor's in
//! their place, by the vendor's list below: a new vendor is a new list.

use cryptoki_sys::{CK_KEY_TYPE, CK_MECHANISM_TYPE, CKK_VENDOR_DEFINED, CKM_VENDOR_DEFINED};
use libkmss::settings::{Settings, VendorProfile, Weaknesses};

/// Key type SM2 (Luna).
pub(crate) const CKK_SM2: CK_KEY_TYPE = CKK_VENDOR_DEFINED | 0x16;
/// Key type SM4 (Luna).
pub(crate) const CKK_SM4: CK_KEY_TYPE = CKK_VENDOR_DEFINED | 0x15;
/// Key type of HMAC-SM3 keys (ours).
pub(crate) const CKK_SM3_HMAC: CK_KEY_TYPE = CKK_VENDOR_DEFINED | 0x004B_4D00;

/// SM3 digest (Luna).
pub(crate) const CKM_SM3: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB01;
/// HMAC-SM3 (Luna).
pub(crate) const CKM_SM3_HMAC: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB02;
/// SM4 key generation (Luna).
pub(crate) const CKM_SM4_KEY_GEN: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB10;
/// SM4 in ECB mode (Luna).
pub(crate) const CKM_SM4_ECB: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB11;
/// SM4 in CBC mode (Luna); 16 bytes of IV.
pub(crate) const CKM_SM4_CBC: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB12;
/// SM4 in CBC mode with padding (Luna); 16 bytes of IV.
pub(crate) const CKM_SM4_CBC_PAD: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB13;
/// SM2 key pair generation (Luna).
pub(crate) const CKM_SM2_KEY_PAIR_GEN: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB20;
/// SM2 signature over a ready 32-byte digest (Luna).
pub(crate) const CKM_SM2: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB21;
/// SM2 signature over SM3(Z ‖ message) (Luna); parameter: the signer's identity, default where absent.
pub(crate) const CKM_SM2_SM3: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0xB22;

/// SM2 encryption, C1 ‖ C3 ‖ C2 (ours).
pub(crate) const CKM_SM2_ENCRYPT: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D01;
/// SM4 in counter mode (ours); parameter `CK_AES_CTR_PARAMS`.
pub(crate) const CKM_SM4_CTR: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D02;
/// SM4-GCM (ours); parameter `CK_GCM_PARAMS`.
pub(crate) const CKM_SM4_GCM: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D03;
/// HMAC-SM3, truncated (ours); parameter `CK_MAC_GENERAL_PARAMS`.
pub(crate) const CKM_SM3_HMAC_GENERAL: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D04;
/// Generation of HMAC-SM3 keys (ours).
pub(crate) const CKM_SM3_KEY_GEN: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D05;
/// SM2 signature over SM3(Z ‖ message) as DER (ours); parameter as with [`CKM_SM2_SM3`].
pub(crate) const CKM_SM2_SM3_DER: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D10;

/// What a vendor calls what the table calls otherwise: pairs of the table's number and the vendor's.
struct Numbers {
    mechanisms: &'static [(CK_MECHANISM_TYPE, CK_MECHANISM_TYPE)],
    key_types: &'static [(CK_KEY_TYPE, CK_KEY_TYPE)],
}

const LUNA: Numbers = Numbers { mechanisms: &[], key_types: &[] };

/// Sansec's numbers. HMAC-SM3, which Sansec has no number for, gets one of ours: Luna's could mean anything there.
const SANSEC: Numbers = Numbers {
    mechanisms: &[
        (CKM_SM2_KEY_PAIR_GEN, CKM_VENDOR_DEFINED | 0x8001),
        (CKM_SM2_SM3, CKM_VENDOR_DEFINED | 0x8100),
        (CKM_SM2_SM3_DER, CKM_VENDOR_DEFINED | 0x8101),
        (CKM_SM2, CKM_VENDOR_DEFINED | 0x8104),
        (CKM_SM2_ENCRYPT, CKM_VENDOR_DEFINED | 0x8200),
        (CKM_SM3, CKM_VENDOR_DEFINED | 0x9001),
        (CKM_SM4_KEY_GEN, CKM_VENDOR_DEFINED | 0x107),
        (CKM_SM4_ECB, CKM_VENDOR_DEFINED | 0x108),
        (CKM_SM4_CBC, CKM_VENDOR_DEFINED | 0x109),
        (CKM_SM4_CBC_PAD, CKM_VENDOR_DEFINED | 0xA102),
        (CKM_SM3_HMAC, CKM_VENDOR_DEFINED | 0x004B_4D11),
    ],
    key_types: &[(CKK_SM2, CKK_VENDOR_DEFINED | 0x4), (CKK_SM4, CKK_VENDOR_DEFINED | 0x106)],
};

/// Whose numbers a token shows and takes, and what it offers nothing by.
#[derive(Clone, Copy)]
pub(crate) struct Profile {
    numbers: &'static Numbers,
    pub(super) forbid: Weaknesses,
}

impl Profile {
    /// The numbers of a vendor.
    pub(crate) const fn of(vendor: VendorProfile) -> Self {
        let numbers = match vendor {
            VendorProfile::Luna => &LUNA,
            VendorProfile::Sansec => &SANSEC,
        };
        Self { numbers, forbid: Weaknesses::NONE }
    }

    /// What a token with these settings goes by.
    pub(crate) const fn for_settings(settings: &Settings) -> Self {
        Self { forbid: settings.forbid, ..Self::of(settings.profile) }
    }

    /// The profile's number for a mechanism of the table.
    pub(crate) fn number(self, canonical: CK_MECHANISM_TYPE) -> CK_MECHANISM_TYPE {
        theirs(self.numbers.mechanisms, canonical)
    }

    /// The table's number for a mechanism; `None` for a number that the profile has replaced by another.
    pub(crate) fn canonical(self, number: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_TYPE> {
        ours(self.numbers.mechanisms, number)
    }

    /// The profile's number for a key type of the table.
    pub(super) fn key_number(self, canonical: CK_KEY_TYPE) -> CK_KEY_TYPE {
        theirs(self.numbers.key_types, canonical)
    }

    /// The table's number for a key type, as [`Self::canonical`].
    pub(super) fn canonical_key(self, number: CK_KEY_TYPE) -> Option<CK_KEY_TYPE> {
        ours(self.numbers.key_types, number)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::of(VendorProfile::default())
    }
}

fn theirs<N: Copy + PartialEq>(numbers: &[(N, N)], canonical: N) -> N {
    numbers.iter().find(|(ours, _)| *ours == canonical).map_or(canonical, |(_, theirs)| *theirs)
}

fn ours<N: Copy + PartialEq>(numbers: &[(N, N)], number: N) -> Option<N> {
    match numbers.iter().find(|(_, theirs)| *theirs == number) {
        Some((ours, _)) => Some(*ours),
        None if numbers.iter().any(|(ours, _)| *ours == number) => None,
        None => Some(number),
    }
}
