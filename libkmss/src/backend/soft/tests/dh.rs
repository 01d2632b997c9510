//! Diffie-Hellman in named groups.

use super::lab::Lab;
use crate::error::ErrorKind;
use crate::key::{KeyComponents, KeySpec, PublicComponents};
use crate::mechanism::{DhGroup, DhMechanism, KeyType, Mechanism};
use crate::secret::Secret;

fn agreement(public: &[u8]) -> Mechanism {
    Mechanism::Dh(DhMechanism::Derive { public: public.to_vec() })
}

fn dh(group: DhGroup) -> KeySpec {
    KeySpec::Dh { group, private_bits: None }
}

#[test]
fn both_sides_share_a_secret_as_long_as_the_prime() {
    let lab = Lab::new();
    for group in [DhGroup::Ffdhe2048, DhGroup::Ffdhe3072, DhGroup::Modp2048, DhGroup::Modp4096] {
        let (a, a_public) = lab.pair(&dh(group)).unwrap();
        let (b, b_public) = lab.pair(&dh(group)).unwrap();
        let value = |key| match lab.export(key) {
            KeyComponents::Public(PublicComponents::Dh { value, .. }) => value,
            _ => panic!("not a public value"),
        };
        let (left, right) = (agreement(&value(&b_public)), agreement(&value(&a_public)));
        let left = lab.derive(&a, &left, KeyType::GenericSecret, None).unwrap();
        let whole = lab.bytes(&left);
        assert_eq!(whole.len() * 8, group.bits() as usize);
        let short = lab.bytes(&lab.derive(&b, &right, KeyType::Aes, Some(32)).unwrap());
        assert_eq!(whole[whole.len() - 32..], short, "{}: leading bytes are removed", group.name());
        // A key that was taken out and in again is the same.
        let again = lab.import(&lab.export(&a)).unwrap();
        assert_eq!(
            lab.bytes(&lab.derive(&again, &agreement(&value(&b_public)), KeyType::GenericSecret, None).unwrap()),
            whole
        );
    }
}

#[test]
fn private_values_have_the_bits_asked_for_and_no_fewer_than_224() {
    let lab = Lab::new();
    let bits = |private_bits| {
        let (private, _) = lab.pair(&KeySpec::Dh { group: DhGroup::Modp2048, private_bits })?;
        let KeyComponents::DhPrivate { value, .. } = lab.export(&private) else { panic!() };
        Ok::<_, crate::error::Error>(value.len() * 8)
    };
    for wanted in [None, Some(224), Some(1024), Some(2048)] {
        let most = wanted.unwrap_or(256) as usize;
        let got = bits(wanted).unwrap();
        assert!(got <= most && got + 32 >= most, "{wanted:?} {got}");
    }
    assert_eq!(bits(Some(223)).unwrap_err().kind(), ErrorKind::KeySize);
    assert_eq!(bits(Some(2049)).unwrap_err().kind(), ErrorKind::KeySize);
}

#[test]
fn values_outside_the_group_of_prime_order_are_refused() {
    let lab = Lab::new();
    let group = DhGroup::Ffdhe2048;
    let (key, public) = lab.pair(&dh(group)).unwrap();
    let mut minus_one = group.prime().to_vec();
    *minus_one.last_mut().unwrap() -= 1;
    // p ≡ 7 mod 8, so that −1 is no square; the negative of a value of order q has order 2q.
    let mut not_square = group.prime().to_vec();
    *not_square.last_mut().unwrap() -= 4;
    let longer = [group.prime(), &[1]].concat();
    for bad in [&[0][..], &[1], &minus_one, &not_square, group.prime(), &longer, &[0xFF; 4096]] {
        let refused = lab.derive(&key, &agreement(bad), KeyType::GenericSecret, None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::MechanismParameter);
        let components = PublicComponents::Dh { group, value: bad.to_vec() };
        let refused = lab.import(&KeyComponents::Public(components)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AttributeValue);
    }
    let refused = lab.derive(&public, &agreement(&[4]), KeyType::GenericSecret, None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeyType);
    for bad in [&[0][..], &[], group.prime(), &longer] {
        let refused = lab.import(&KeyComponents::DhPrivate { group, value: Secret::copy_of(bad) }).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AttributeValue);
    }
}
