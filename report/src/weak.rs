//! What is weak, by the names of mechanisms in records: their parameters are not recorded.

use libkmss::settings::Weakness;

/// What the use of a mechanism falls under.
///
/// A signature over a hash that was made elsewhere (`ECDSA`, `RSA_PKCS`, `RSA_PKCS_PSS`) does not say which hash that was, and a
/// MAC does not say how short it was cut.
pub(crate) fn of_use(action: &str, mechanism: &str) -> Option<Weakness> {
    let conceals = matches!(action, "encrypt" | "decrypt" | "wrap" | "unwrap");
    match mechanism {
        "SHA1_RSA_PKCS" | "SHA1_RSA_PKCS_PSS" | "ECDSA_SHA1" if action == "sign" => Some(Weakness::Sha1Signatures),
        "RSA_PKCS" if conceals => Some(Weakness::Pkcs1Encryption),
        "RSA_X_509" => Some(Weakness::RawRsa),
        _ if mechanism.ends_with("_ECB") => Some(Weakness::Ecb),
        _ if mechanism.ends_with("_CBC_PAD") => Some(Weakness::CbcPadding),
        _ => None,
    }
}

/// A weakness in words.
pub(crate) const fn words(weakness: Weakness) -> &'static str {
    match weakness {
        Weakness::Sha1Signatures => "signs over SHA-1",
        Weakness::Pkcs1Encryption => "encrypts with PKCS #1 v1.5 padding",
        Weakness::RawRsa => "uses RSA without padding",
        Weakness::ShortRsa => "an RSA key of fewer than 2048 bits",
        Weakness::Ecb => "uses electronic codebook",
        Weakness::CbcPadding => "uses CBC with padding, without authentication",
        Weakness::ShortMacs => "a MAC of fewer than 8 bytes",
        Weakness::ShortSecrets => "a secret of fewer than 112 bits",
        Weakness::Unapproved => "not approved for FIPS 140-3",
    }
}

#[cfg(test)]
mod tests {
    use libkmss::key::Action;
    use libkmss::key::weakness_of_use;
    use libkmss::mechanism::{BlockCipher, CipherMode, EcMechanism, Hash, Mechanism, RsaMechanism};

    use super::*;

    #[test]
    fn the_names_of_weak_mechanisms_are_told_from_others_as_the_core_does() {
        let all = Weakness::ALL.into_iter().filter(|weakness| *weakness != Weakness::Unapproved).collect();
        let mechanisms = [
            Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha1)),
            Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256)),
            Mechanism::Rsa(RsaMechanism::Pkcs),
            Mechanism::Rsa(RsaMechanism::X509),
            Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha1) }),
            Mechanism::Ec(EcMechanism::Ecdsa { hash: None }),
            Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb),
            Mechanism::Cipher(BlockCipher::Sm4, CipherMode::Ecb),
            Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcPad { iv: [0; 16] }),
            Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv: [0; 16] }),
        ];
        for action in [Action::Sign, Action::Verify, Action::Encrypt, Action::Decrypt, Action::Wrap, Action::Unwrap] {
            for mechanism in &mechanisms {
                let expected = weakness_of_use(all, action, mechanism);
                assert_eq!(of_use(action.name(), mechanism.name()), expected, "{action:?} {mechanism:?}");
            }
        }
    }
}
