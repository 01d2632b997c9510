//! One block of AES alone (FIPS 197), without the memory that a cipher's context takes.

use aws_lc_sys as sys;
use zeroize::Zeroize;

use super::{Failed, failed};

/// A key schedule on the stack, wiped when it goes.
struct Schedule(sys::AES_KEY);

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.rd_key.zeroize();
    }
}

/// Encrypts `block` to `out`.
pub(in super::super) fn encrypt_aes_block(key: &[u8], block: &[u8; 16], out: &mut [u8; 16]) -> Result<(), Failed> {
    let bits = match key.len() {
        16 => 128,
        24 => 192,
        32 => 256,
        _ => return Err(Failed),
    };
    let mut schedule = Schedule(sys::AES_KEY { rd_key: [0; 60], rounds: 0 });
    // SAFETY: the key has `bits` bits, and the schedule is written to as it is.
    if unsafe { sys::AES_set_encrypt_key(key.as_ptr(), bits, &raw mut schedule.0) } != 0 {
        return Err(failed());
    }
    // SAFETY: both blocks have 16 bytes, and the schedule is expanded.
    unsafe { sys::AES_encrypt(block.as_ptr(), out.as_mut_ptr(), &raw const schedule.0) };
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_block_is_that_of_the_standard() {
        // FIPS 197, appendix B and C.1 to C.3.
        let plain: [u8; 16] = std::array::from_fn(|n| u8::try_from(n * 0x11).unwrap());
        for (len, first) in [(16, 0x69_u8), (24, 0xdd), (32, 0x8e)] {
            let key: Vec<u8> = (0..len).collect();
            let mut out = [0; 16];
            encrypt_aes_block(&key, &plain, &mut out).unwrap();
            assert_eq!(out.first(), Some(&first));
        }
        assert_eq!(encrypt_aes_block(&[0; 15], &plain, &mut [0; 16]), Err(Failed));
    }
}
