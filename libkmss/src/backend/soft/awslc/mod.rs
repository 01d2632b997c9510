//! aws-lc behind safe types: the one room of the software engine that holds `unsafe`.
//!
//! Every type owns what it points to and frees it; every call hands over slices with their lengths. A failed call
//! clears aws-lc's per-thread error queue, so that nothing piles up there and no reason code travels on: callers choose
//! the error kind from what they were doing. aws-lc keeps no other state, loads no error strings and starts no threads.
#![expect(
    unsafe_code,
    reason = "aws-lc-rs does not offer raw RSA, OAEP with a label, CMAC, KW and more; aws-lc-sys does"
)]

mod aead;
mod block;
mod bn;
mod ccm;
mod cipher;
mod complete;
mod dh;
mod ec;
mod edwards;
mod kdf;
mod keywrap;
mod mac;
mod md;
mod memory;
mod mldsa;
mod mlkem;
mod owned;
mod pkcs8;
mod raw;
mod rsa;
mod xof;
mod xts;

pub(super) use aead::{Aead, AeadEncrypt, AeadKind};
pub(super) use block::encrypt_aes_block;
pub(super) use ccm::{ccm_open, ccm_seal};
pub(super) use cipher::{AesBlocks, AesMode};
pub(super) use complete::complete;
pub(super) use dh::DhKey;
pub(super) use ec::EcKey;
pub(super) use edwards::{Ed25519Key, Ed25519Variant, ed25519_verify, x25519_agree, x25519_public};
pub(super) use kdf::{hkdf_expand, hkdf_extract, pbkdf2, tls12_prf};
pub(super) use keywrap::{UnwrapKey, WrapKey};
pub(super) use mac::{Cmac, Hmac};
pub(super) use md::{Md, digest_at_once};
pub(super) use memory::{in_vault, install};
pub(super) use mldsa::MlDsa;
pub(super) use mlkem::MlKem;
pub(super) use pkcs8::{PrivateKey, ec_to_pkcs8, parse_pkcs8, rsa_to_pkcs8, seed_to_pkcs8};
pub(super) use rsa::{RawPadding, Rsa, RsaPrivate};
pub(super) use xof::Xof;
pub(super) use xts::xts;

use std::os::raw::c_int;

use crate::error::{Error, ErrorKind};

/// An aws-lc call failed. Why is not told: where it matters, it must not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed;

impl From<Failed> for Error {
    fn from(_: Failed) -> Self {
        Self::new(ErrorKind::Internal, "the cryptographic library failed")
    }
}

/// The result of an aws-lc call that returns 1 for success.
fn check(code: c_int) -> Result<(), Failed> {
    if code == 1 { Ok(()) } else { Err(failed()) }
}

/// Clears the error queue after a failure.
fn failed() -> Failed {
    // SAFETY: takes no arguments and touches only this thread's queue.
    unsafe { aws_lc_sys::ERR_clear_error() };
    Failed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failure_leaves_nothing_in_the_error_queue() {
        assert!(Rsa::from_public(&[5], &[2]).is_err());
        assert!(EcKey::from_point(crate::mechanism::Curve::P256, &[4; 65]).is_err());
        assert!(parse_pkcs8(&[0x30, 0x03, 1, 2, 3]).is_err());
        let mut out = [0; 16];
        assert!(
            Aead::new(AeadKind::AesGcm, &[0; 16], 16)
                .unwrap()
                .open(&[0; 12], &[], &[0; 16], &[0; 16], &mut out)
                .is_err()
        );
        // SAFETY: reads this thread's queue.
        assert_eq!(unsafe { aws_lc_sys::ERR_peek_error() }, 0);
    }
}
