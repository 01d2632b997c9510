//! A pointer that frees what it points to.

use std::ptr::NonNull;

use aws_lc_sys as sys;

use super::{Failed, failed};

/// A type that aws-lc allocates, and its destructor (which wipes).
pub(super) trait Free {
    /// # Safety
    /// `ptr` was returned by the matching constructor and is not used afterwards.
    unsafe fn free(ptr: *mut Self);
}

/// Owns one aws-lc object.
pub(super) struct Owned<T: Free>(NonNull<T>);

// SAFETY: no aws-lc object is bound to the thread that made it.
unsafe impl<T: Free> Send for Owned<T> {}

impl<T: Free> Owned<T> {
    /// Takes ownership of what a constructor returned; null means that it failed.
    ///
    /// # Safety
    /// `ptr` is null or owned by nobody else.
    pub(super) unsafe fn new(ptr: *mut T) -> Result<Self, Failed> {
        NonNull::new(ptr).map(Self).ok_or_else(failed)
    }

    /// The pointer for one call; it stays owned.
    pub(super) const fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    /// Gives the pointer to a function that takes ownership.
    pub(super) const fn into_raw(self) -> *mut T {
        let ptr = self.0.as_ptr();
        std::mem::forget(self);
        ptr
    }
}

impl<T: Free> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: by the contract of `new`, this is the only owner.
        unsafe { T::free(self.0.as_ptr()) }
    }
}

/// Names the destructor of each type.
macro_rules! freed_by {
    ($($type:ident $destructor:ident;)*) => {$(
        impl Free for sys::$type {
            unsafe fn free(ptr: *mut Self) {
                // SAFETY: by the contract of the trait.
                unsafe { sys::$destructor(ptr) }
            }
        }
    )*};
}

impl Free for sys::AES_KEY {
    unsafe fn free(ptr: *mut Self) {
        // SAFETY: by the contract of the trait; the function wipes as many bytes as were allocated.
        unsafe { sys::OPENSSL_free(ptr.cast()) }
    }
}

freed_by! {
    BIGNUM BN_clear_free;
    BN_CTX BN_CTX_free;
    BN_GENCB BN_GENCB_free;
    CMAC_CTX CMAC_CTX_free;
    DH DH_free;
    ECDSA_SIG ECDSA_SIG_free;
    EC_KEY EC_KEY_free;
    EC_POINT EC_POINT_free;
    EVP_AEAD_CTX EVP_AEAD_CTX_free;
    EVP_CIPHER_CTX EVP_CIPHER_CTX_free;
    EVP_MD_CTX EVP_MD_CTX_free;
    EVP_PKEY EVP_PKEY_free;
    EVP_PKEY_CTX EVP_PKEY_CTX_free;
    HMAC_CTX HMAC_CTX_free;
    RSA RSA_free;
}
