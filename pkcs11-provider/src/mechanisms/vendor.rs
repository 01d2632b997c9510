//! Numbers that no standard gives: SM2, SM3 and SM4.
//!
//! Thales Luna's numbers where Luna has one (its table is the one most clients know). What Luna lacks lies in a range of
//! our own, `0x804B4D..` (`KM` in ASCII behind the vendor bit), so that it cannot meet another vendor's number.

use cryptoki_sys::{CK_KEY_TYPE, CK_MECHANISM_TYPE, CKK_VENDOR_DEFINED, CKM_VENDOR_DEFINED};

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
