//! Texts of the information structures.

use cryptoki_sys::{CK_BYTE, CK_VERSION};

/// Who makes this.
pub(crate) const MANUFACTURER: &str = "KMSS";

/// `text` in a field of `N` bytes, padded with blanks and cut where a character ends (PKCS#11 3.2, 3.1).
pub(crate) fn padded<const N: usize>(text: &str) -> [CK_BYTE; N] {
    let mut field = [b' '; N];
    let cut = (0..=N.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    for (to, from) in field.iter_mut().zip(text.bytes().take(cut)) {
        *to = from;
    }
    field
}

/// The version of this library.
pub(crate) fn library_version() -> CK_VERSION {
    let part = |text: &str| text.parse().unwrap_or(0);
    CK_VERSION { major: part(env!("CARGO_PKG_VERSION_MAJOR")), minor: part(env!("CARGO_PKG_VERSION_MINOR")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_padded_with_blanks_and_never_cut_a_character() {
        assert_eq!(padded::<4>("ab"), *b"ab  ");
        assert_eq!(padded::<4>("abcdef"), *b"abcd");
        assert_eq!(padded::<4>("abcé"), *b"abc ");
    }
}
