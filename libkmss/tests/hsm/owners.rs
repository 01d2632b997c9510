//! One object of the device is one key's alone, and public objects that anybody may have put there are not believed.

use cryptoki::mechanism::Mechanism as Theirs;
use cryptoki::object::{Attribute, KeyType as TheirType, ObjectClass};
use libkmss::backend::Foreign;
use libkmss::key::{Expected, PublicComponents};
use libkmss::mechanism::{BlockCipher, CipherMode, Curve, Hash, KeyType, Oaep, RsaMechanism};
use libkmss::operation::{Adopt, Destroy, Survey, Unwrap, Wrap};

use super::adoption::{P256, pair};
use super::keys::{AES, RSA, ecdsa};
use super::*;

const OFFICER: &[u8] = b"so-12345";

fn backend() -> BackendId {
    BackendId("vault".into())
}

impl Vault {
    /// A user of another token of this home.
    fn neighbour(&self) -> Caller {
        let officer = Secret::copy_of(OFFICER);
        let settings = Settings { pinless: true, ..Settings::default() };
        let made = self.kms.initialize_with(None, "other", &officer, (settings, backend())).unwrap();
        self.kms.enter(&made, 1).unwrap()
    }

    fn found(&self, caller: &Caller) -> Vec<Foreign> {
        self.kms.perform(caller, Survey { backend: backend() }).unwrap()
    }

    fn adopt(&self, caller: &Caller, foreign: &Foreign, name: &str) -> Result<Arc<Object>> {
        self.adopt_at(caller, foreign, name, foreign.material.locator.clone())
    }

    fn adopt_at(&self, caller: &Caller, foreign: &Foreign, name: &str, locator: Vec<u8>) -> Result<Arc<Object>> {
        let mut draft = self.kms.draft(Storage::Stored).unwrap();
        (draft.usage, draft.protection) = (foreign.usage, foreign.protection);
        draft.name = name.to_owned();
        self.kms.perform(caller, Adopt { backend: backend(), locator, draft })
    }
}

fn all_are_kept(found: &[Foreign]) {
    for foreign in found {
        assert!(foreign.refusal.as_ref().is_some_and(|why| why.contains("already")), "{foreign:?}");
    }
}

#[test]
fn a_key_of_one_token_is_not_adopted_into_another_nor_into_its_own_once_more() {
    let vault = Vault::new();
    let (private, public) = vault.pair(KeySpec::Ec(Curve::P256));
    let secret = vault.secret(AES, |_| ());
    let other = vault.neighbour();
    let found = vault.found(&other);
    assert_eq!(found.len(), 3);
    for caller in [&other, &vault.caller] {
        all_are_kept(&vault.found(caller));
        for foreign in &found {
            assert_eq!(kind(vault.adopt(caller, foreign, "stolen")), ErrorKind::AlreadyExists);
            // The same object by its label as well.
            let mut alias = foreign.material.locator.clone();
            alias.extend(u16::try_from(foreign.label.len()).unwrap().to_be_bytes());
            alias.extend(&foreign.label);
            assert_eq!(kind(vault.adopt_at(caller, foreign, "stolen", alias)), ErrorKind::AlreadyExists);
        }
    }
    // Other versions of the home's key change nothing.
    let owner = vault.kms.administrator(None).unwrap();
    vault.kms.rotate_home_domain(&owner).unwrap();
    assert!(vault.kms.rewrap_home_domain(&owner, &mut |_, _| ()).unwrap().kept.is_empty());
    all_are_kept(&vault.found(&other));
    for key in [private, public, secret] {
        vault.kms.perform(&vault.caller, Destroy { object: (&key).into() }).unwrap();
    }
    assert_eq!(vault.found(&other).len(), 0);
}

#[test]
fn what_a_removed_token_left_in_the_device_is_adopted_again() {
    let vault = Vault::new();
    let key = vault.secret(AES, |_| ());
    let other = vault.neighbour();
    all_are_kept(&vault.found(&other));
    vault.kms.initialize(Some(&vault.caller.namespace), "anew", &Secret::copy_of(OFFICER)).unwrap();
    let found = vault.found(&other);
    assert_eq!((found.len(), &found[0].refusal), (1, &None));
    let adopted = vault.adopt(&other, &found[0], "mine").unwrap();
    assert_ne!(adopted.id, key.id);
    all_are_kept(&vault.found(&other));
    vault.kms.remove(&other, &Secret::copy_of(OFFICER)).unwrap();
    let third = vault.neighbour();
    let found = vault.found(&third);
    vault.adopt(&third, &found[0], "mine").unwrap();
}

#[test]
fn of_many_who_adopt_a_key_at_once_one_has_it() {
    let vault = Vault::new();
    pair(&vault.look(), &[1], "one");
    let other = vault.neighbour();
    let found = vault.found(&other);
    let private = found.iter().find(|foreign| foreign.class == KeyClass::Private).unwrap();
    // Another process of the home, as far as the store can tell.
    let second = Kms::open(&vault.config).unwrap().unwrap();
    let entered = second.enter(&other.namespace, 1).unwrap();
    let adopt = |kms: &Kms, caller: &Caller, n: usize| {
        let mut draft = kms.draft(Storage::Stored).unwrap();
        (draft.usage, draft.protection) = (private.usage, private.protection);
        draft.name = format!("n{n}");
        let locator = private.material.locator.clone();
        kms.perform(caller, Adopt { backend: backend(), locator, draft }).is_ok()
    };
    let done = std::thread::scope(|scope| {
        let (vault, other, second, entered, adopt) = (&vault, &other, &second, &entered, &adopt);
        let threads: Vec<_> = (0..6)
            .map(|n| {
                scope.spawn(move || if n % 2 == 0 { adopt(&vault.kms, other, n) } else { adopt(second, entered, n) })
            })
            .collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
    });
    assert_eq!(done, 1);
}

#[test]
fn a_key_that_opens_a_home_or_key_material_is_not_adopted() {
    let vault = Vault::new();
    let name = b"kmss-root-0011223344556677".to_vec();
    let wrapping = b"kmss-domain-0011223344556677".to_vec();
    for (id, label) in [(name.clone(), b"x".to_vec()), (vec![7], name), (wrapping.clone(), wrapping)] {
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Id(id),
            Attribute::Label(label),
            Attribute::ValueLen(32.into()),
            Attribute::Decrypt(true),
        ];
        vault.look().generate_key(&Theirs::AesKeyGen, &template).unwrap();
    }
    let found = vault.found(&vault.caller);
    assert_eq!(found.len(), 3);
    for foreign in &found {
        let what = if foreign.label.starts_with(b"kmss-domain-") {
            "it opens key material of a home"
        } else {
            "it opens a home"
        };
        assert_eq!(foreign.refusal.as_deref(), Some(what));
        assert_eq!(kind(vault.adopt(&vault.caller, foreign, "root")), ErrorKind::ActionProhibited);
    }
}

#[test]
fn uses_and_protection_are_decided_on_as_the_device_has_them() {
    let vault = Vault::new();
    pair(&vault.look(), &[1], "one");
    let mut wrong = vault.found(&vault.caller).remove(0);
    wrong.usage = Usage::default();
    assert_eq!(kind(vault.adopt(&vault.caller, &wrong, "one")), ErrorKind::TemplateInconsistent);
    let mut wrong = vault.found(&vault.caller).remove(0);
    wrong.protection.extractable = !wrong.protection.extractable;
    assert_eq!(kind(vault.adopt(&vault.caller, &wrong, "one")), ErrorKind::TemplateInconsistent);
}

/// Puts a public key there that is not the other half of what it stands beside.
fn plant(vault: &Vault, id: &[u8], from: Vec<Attribute>) {
    let mut template = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Id(id.to_vec()),
        Attribute::Label(b"planted".to_vec()),
        Attribute::Verify(true),
        Attribute::Encrypt(true),
        Attribute::Wrap(true),
    ];
    template.extend(from);
    vault.look().create_object(&template).unwrap();
}

fn foreign_point(vault: &Vault) -> Vec<Attribute> {
    let session = vault.look();
    let same = [Attribute::Token(false), Attribute::Private(false)];
    let public = [&same[..], &[Attribute::EcParams(P256.to_vec())]].concat();
    let (public, _) = session.generate_key_pair(&Theirs::EccKeyPairGen, &public, &same).unwrap();
    let mut read = session.get_attributes(public, &[cryptoki::object::AttributeType::EcPoint]).unwrap();
    read.extend([Attribute::EcParams(P256.to_vec()), Attribute::KeyType(TheirType::EC)]);
    read
}

#[test]
fn a_planted_public_half_is_not_believed() {
    let vault = Vault::new();
    let planted = foreign_point(&vault);
    plant(&vault, &[1], planted.clone());
    pair(&vault.look(), &[1], "one");
    pair(&vault.look(), &[2], "lost");
    // Its own half goes, and another takes its place.
    {
        let session = vault.look();
        let half = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(vec![2])];
        let found = session.find_objects(&half).unwrap();
        session.destroy_object(found[0]).unwrap();
    }
    plant(&vault, &[2], planted);
    let found = vault.found(&vault.caller);
    let one = |class, label: &[u8]| found.iter().find(|key| key.class == class && key.label == label).unwrap();
    let private = vault.adopt(&vault.caller, one(KeyClass::Private, b"one"), "one").unwrap();
    let signature = vault.sign(&private, &ecdsa(Some(Hash::Sha256)), &[b"text"]).unwrap();
    let public = vault.adopt(&vault.caller, one(KeyClass::Public, b"one"), "one").unwrap();
    vault.verify(&public, &ecdsa(Some(Hash::Sha256)), b"text", &signature).unwrap();
    let components = |key: &Arc<Object>| key.key().unwrap().primary().unwrap().public.clone();
    assert_eq!(components(&private), components(&public));
    for foreign in found.iter().filter(|key| key.label == b"planted") {
        assert_eq!(kind(vault.adopt(&vault.caller, foreign, "planted")), ErrorKind::ActionProhibited);
    }
    let refused = vault.adopt(&vault.caller, one(KeyClass::Private, b"lost"), "lost").err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::ActionProhibited, "{refused}");
}

#[test]
fn keys_that_only_agree_or_decrypt_are_adopted_with_their_halves() {
    let vault = Vault::new();
    {
        let session = vault.look();
        let same = [Attribute::Token(true), Attribute::Id(vec![5]), Attribute::Label(b"agrees".to_vec())];
        let public = [&same[..], &[Attribute::EcParams(P256.to_vec()), Attribute::Derive(true)]].concat();
        let private = [&same[..], &[Attribute::Derive(true), Attribute::Private(true)]].concat();
        session.generate_key_pair(&Theirs::EccKeyPairGen, &public, &private).unwrap();
    }
    for foreign in vault.found(&vault.caller) {
        vault.adopt(&vault.caller, &foreign, "agrees").unwrap();
    }
}

#[test]
fn a_key_is_wrapped_under_the_public_key_of_the_record_and_no_other() {
    let vault = Vault::new();
    let (private, public) = vault.pair(RSA());
    let target = vault.secret(AES, |draft| draft.protection.extractable = true);
    let id = private.id.0.to_vec();
    let planted = {
        let session = vault.look();
        let half = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id.clone())];
        let found = session.find_objects(&half).unwrap();
        session.destroy_object(found[0]).unwrap();
        let same = [Attribute::Token(false), Attribute::Private(false)];
        let of = [&same[..], &[Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])]].concat();
        let (theirs, _) = session.generate_key_pair(&Theirs::RsaPkcsKeyPairGen, &of, &same).unwrap();
        let wanted = [cryptoki::object::AttributeType::Modulus, cryptoki::object::AttributeType::PublicExponent];
        let mut read = session.get_attributes(theirs, &wanted).unwrap();
        read.push(Attribute::KeyType(TheirType::RSA));
        read
    };
    plant(&vault, &id, planted);
    let oaep = || {
        let oaep = Oaep { hash: Hash::Sha1, mgf: Hash::Sha1, label: Vec::new() };
        Mechanism::Rsa(RsaMechanism::Oaep(oaep)).into()
    };
    let wrap = Wrap { wrapping: (&public).into(), key: (&target).into(), how: oaep() };
    let wrapped = vault.kms.perform(&vault.caller, wrap).unwrap();
    let draft = vault.draft(Storage::Stored, &AES, KeyClass::Secret);
    let expected = Expected { key_type: KeyType::Aes, len: None };
    let unwrap = Unwrap { unwrapping: (&private).into(), how: oaep(), wrapped: wrapped.into(), expected, draft };
    vault.kms.perform(&vault.caller, unwrap).unwrap();
    assert!(matches!(public.key().unwrap().primary().unwrap().public, PublicComponents::Rsa { .. }));
}

#[test]
fn a_session_key_is_not_used_past_the_session_it_was_made_in() {
    let vault = Vault::new();
    let wrapping = vault.secret(AES, |_| ());
    let target = vault.secret(AES, |draft| draft.protection.extractable = true);
    let how = || Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad).into();
    let wrap = Wrap { wrapping: (&wrapping).into(), key: (&target).into(), how: how() };
    let wrapped = vault.kms.perform(&vault.caller, wrap).unwrap();
    let (private, public) = vault.pair(RSA());
    // Several sessions, so that the login outlives one.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let pkcs = Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256));
                (0..30).for_each(|_| drop(vault.sign(&private, &pkcs, &[b"text"]).unwrap()));
            });
        }
    });
    let mut draft = vault.draft(Storage::Ephemeral, &AES, KeyClass::Secret);
    draft.protection = Protection { sensitive: true, ..Protection::default() };
    draft.usage.sign = true;
    let expected = Expected { key_type: KeyType::Aes, len: None };
    let unwrap = Unwrap { unwrapping: (&wrapping).into(), how: how(), wrapped: wrapped.into(), expected, draft };
    let held = vault.kms.perform(&vault.caller, unwrap).unwrap();
    let cmac = Mechanism::Mac(libkmss::mechanism::MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 });
    vault.sign(&held, &cmac, &[b"text"]).unwrap();
    // A wrong ciphertext costs the session that it was tried in: the one that was used last.
    let oaep = Mechanism::Rsa(RsaMechanism::Pkcs);
    assert_eq!(kind(super::keys::crypt(&vault, &private, &oaep, false, &[3; 256])), ErrorKind::EncryptedDataInvalid);
    let error = vault.sign(&held, &cmac, &[b"text"]).err().unwrap();
    assert!(error.message().contains("went with its session"), "{error}");
    drop((held, public));
}
