#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use super::*;
use crate::home::Home;
use crate::seal::FileSeal;
use crate::settings::Settings;
use crate::tenant::{BackendId, NamespaceId};

struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        aws_lc_rs::rand::fill(out).map_err(|_| Error::new(ErrorKind::BackendUnavailable, "no random"))
    }
}

fn namespace() -> Namespace {
    Namespace {
        id: NamespaceId([7; 16]),
        tenant: "default".into(),
        name: "token".into(),
        ordinal: 0,
        incarnation: 3,
        policy_required: false,
        settings: Settings::default(),
        backend: BackendId::soft(),
    }
}

fn seal(suite: Suite) -> (tempfile::TempDir, FileSeal) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(&folder.path().join("home"), None).unwrap();
    let seal = FileSeal::create_or_open(&home, suite, std::sync::Arc::new(SystemRandom)).unwrap();
    (folder, seal)
}

fn same(one: &Versions, other: &Versions, site: &Site, access: &Access) {
    assert_eq!(one.index, other.index);
    for access in [None, Some(access)] {
        assert_eq!(secrets(one, site, access).unwrap(), secrets(other, site, access).unwrap());
    }
    assert_eq!(one.devices().collect::<Vec<_>>(), other.devices().collect::<Vec<_>>());
    assert_eq!(one.over, other.over);
}

fn secrets(versions: &Versions, site: &Site, access: Option<&Access>) -> Result<Vec<(u32, Secret)>> {
    let secrets = versions.secrets(site, access, &Arc::default())?;
    Ok(secrets.into_iter().map(|version| (version.number, version.secret)).collect())
}

#[test]
fn versions_survive_their_record_in_both_suites() {
    for suite in [Suite::Nist, Suite::Gm] {
        let (_folder, seal) = seal(suite);
        let site = Site::of(&namespace()).unwrap();
        let access = Access::new(suite, &Secret::copy_of(&[5; 32]), false).unwrap();
        let mut versions = Versions::fresh(&site, suite, &SystemRandom, (Some(&access), Timestamp(1)), None).unwrap();
        for number in 2..=5 {
            assert_eq!(versions.add(&site, &SystemRandom, (Some(&access), Timestamp(2)), None).unwrap(), number);
        }
        let again = site.decode(&seal, &site.encode(&seal, &versions).unwrap()).unwrap();
        same(&versions, &again, &site, &access);
        assert_eq!(again.all.iter().map(|v| v.created.0).collect::<Vec<_>>(), [1, 2, 2, 2, 2]);
        let other = Access::new(suite, &Secret::copy_of(&[6; 32]), false).unwrap();
        assert_eq!(secrets(&again, &site, Some(&other)).unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[test]
fn a_record_of_one_version_still_opens_and_can_be_rotated() {
    for suite in [Suite::Nist, Suite::Gm] {
        let (_folder, seal) = seal(suite);
        let site = Site::of(&namespace()).unwrap();
        let (public, private) = (Secret::copy_of(&[1; 32]), Secret::copy_of(&[2; 32]));
        let wrapped = seal.wrap(&format!("domain/{}/3/1/public", namespace().id), &public).unwrap();
        let record = [&[SINGLE], 3_u32.to_be_bytes().as_slice(), 1_u32.to_be_bytes().as_slice(), &wrapped].concat();
        let mut versions = site.decode(&seal, &record).unwrap();
        assert!(versions.first_is_access());
        assert_eq!(versions.index, DomainKey::index_of(suite, &public).unwrap());
        let access = Access::new(suite, &private, true).unwrap();
        assert_eq!(secrets(&versions, &site, None).unwrap(), [(1, public)]);
        assert_eq!(secrets(&versions, &site, Some(&access)).unwrap(), [(1, private)]);
        versions.add(&site, &SystemRandom, (Some(&access), Timestamp(1)), None).unwrap();
        let again = site.decode(&seal, &site.encode(&seal, &versions).unwrap()).unwrap();
        same(&versions, &again, &site, &access);
    }
}

#[test]
fn keys_in_devices_survive_the_record_and_those_of_erased_versions_are_to_be_destroyed() {
    let (_folder, seal) = seal(Suite::Nist);
    let site = Site::of(&namespace()).unwrap();
    let access = Access::new(Suite::Nist, &Secret::copy_of(&[5; 32]), false).unwrap();
    let key = |name: &str| WrappingKey {
        hsm: "vault".into(),
        serial: "0123".into(),
        key: name.into(),
        mechanism: "aes-gcm".into(),
    };
    let encoded = |versions: &Versions| site.encode(&seal, versions).unwrap();
    let at = |time| (Some(&access), Timestamp(time));
    let mut versions = Versions::fresh(&site, Suite::Nist, &SystemRandom, at(1), Some(key("one"))).unwrap();
    versions.add(&site, &SystemRandom, at(2), None).unwrap();
    versions.add(&site, &SystemRandom, at(3), Some(key("three"))).unwrap();
    let record = encoded(&versions);
    assert_eq!(record[0], WITH_DEVICES);
    let mut again = site.decode(&seal, &record).unwrap();
    same(&versions, &again, &site, &access);
    assert!(
        again
            .secrets(&site, None, &Arc::default())
            .unwrap()
            .iter()
            .map(|v| v.envelope.is_some())
            .eq([true, false, true])
    );
    // The newest stays, with its key.
    again.erase(&[1, 2, 3]);
    assert_eq!(again.over, [key("one")]);
    assert_eq!(again.all.iter().map(|v| v.device.clone()).collect::<Vec<_>>(), [Some(key("three"))]);
    same(&again, &site.decode(&seal, &encoded(&again)).unwrap(), &site, &access);
    // Where nothing of devices is left, an older KMSS reads it again.
    again.add(&site, &SystemRandom, at(4), None).unwrap();
    again.erase(&[3]);
    assert_eq!((encoded(&again)[0], again.over.len()), (WITH_DEVICES, 2));
    again.over.clear();
    assert_eq!(encoded(&again)[0], FORMAT);
    let long = Versions { over: vec![key(&"x".repeat(300))], ..again };
    assert_eq!(site.encode(&seal, &long).unwrap_err().kind(), ErrorKind::Arguments);
}

#[test]
fn the_record_of_a_home_of_old_still_opens() {
    let (_folder, seal) = seal(Suite::Nist);
    let site = Site::home().unwrap();
    let secret = Secret::copy_of(&[1; 32]);
    let versions = site.decode(&seal, &seal.wrap("home/domain", &secret).unwrap()).unwrap();
    assert_eq!(secrets(&versions, &site, None).unwrap(), [(1, secret)]);
    let again = site.decode(&seal, &site.encode(&seal, &versions).unwrap()).unwrap();
    assert_eq!(again.index, versions.index);
}

#[test]
fn the_newest_version_is_never_erased_and_the_number_of_versions_is_bounded() {
    let (_folder, seal) = seal(Suite::Nist);
    let site = Site::home().unwrap();
    let mut versions = Versions::fresh(&site, seal.suite(), &SystemRandom, (None, Timestamp(1)), None).unwrap();
    versions.erase(&[1]);
    assert_eq!(versions.newest(), 1);
    while versions.all.len() < MOST_VERSIONS {
        versions.add(&site, &SystemRandom, (None, Timestamp(1)), None).unwrap();
    }
    assert_eq!(
        versions.add(&site, &SystemRandom, (None, Timestamp(1)), None).unwrap_err().kind(),
        ErrorKind::Arguments
    );
    versions.erase(&(1..=64).collect::<Vec<_>>());
    assert_eq!(versions.all.len(), 1);
    assert_eq!(versions.newest(), 64);
}

#[test]
fn another_incarnation_is_told_to_look_again_only_where_the_seal_proves_it() {
    let (_folder, seal) = seal(Suite::Nist);
    let site = Site::of(&namespace()).unwrap();
    let next = Site::of(&Namespace { incarnation: 4, ..namespace() }).unwrap();
    let access = Access::new(Suite::Nist, &Secret::copy_of(&[5; 32]), false).unwrap();
    let versions = Versions::fresh(&next, Suite::Nist, &SystemRandom, (Some(&access), Timestamp(1)), None).unwrap();
    let mut record = next.encode(&seal, &versions).unwrap();
    assert_eq!(site.decode(&seal, &record).err().unwrap().kind(), ErrorKind::Conflict);
    record[4] = 5;
    assert_eq!(site.decode(&seal, &record).err().unwrap().kind(), ErrorKind::Damaged);
}

#[test]
fn every_record_names_its_version_where_the_fence_looks_for_it() {
    let key = |text: &str| StoreKey::new(text).unwrap();
    let marker = |k: &str, value: &[u8]| fence(&key(k), value).map(|m| m.as_str().to_owned());
    let object = [&[1, 1, 0, 0, 0, 9], [0_u8; 40].as_slice()].concat();
    assert_eq!(marker("ns/ab/3/obj/cd", &object).as_deref(), Some("ns/ab/3/retired/private-00000009"));
    let object = [&[1, 0, 0, 0, 0, 9], [0_u8; 40].as_slice()].concat();
    assert_eq!(marker("ns/ab/3/obj/cd", &object).as_deref(), Some("ns/ab/3/retired/public-00000009"));
    assert_eq!(marker("ns/ab/3/mirror/public", &object).as_deref(), Some("ns/ab/3/retired/public-00000009"));
    assert_eq!(marker("auth/ab/ef/so", &[2, 0, 0, 1, 0, 7]).as_deref(), Some("auth/ab/ef/retired/00000100"));
    assert_eq!(marker("auth/ab/ef/user/12", &[1, 200, 7]).as_deref(), Some("auth/ab/ef/retired/00000001"));
    assert_eq!(marker("namespace/ab", &[1, 2, 0, 0, 0, 4, 0]).as_deref(), Some("home/retired/00000004"));
    assert_eq!(marker("quota/rule/ab", &[1, 0, 0, 0, 4, 0]).as_deref(), Some("home/retired/00000004"));
    assert_eq!(marker("rule/key/ab", &[1, 0, 0, 0, 4, 0]).as_deref(), Some("home/retired/00000004"));
    for (other, value) in [
        ("rule/edition", [].as_slice()),
        ("ns/ab/3/idx/cd/ef", [1, 0, 0, 0, 0, 0].as_slice()),
        ("ns/ab/3/name/cd", &[1, 0, 0, 0, 0, 0]),
        ("auth/ab/domain", &[2, 0, 0, 0, 0, 0]),
        ("auth/ab/ef/open", &[1, 0, 0, 0, 0, 0]),
        ("quota/edition", &[]),
        ("audit/segment/ab", &[1, 0, 0, 0, 0, 0]),
        ("home/domain", &[2, 0, 0, 0, 0, 0]),
    ] {
        assert_eq!(marker(other, value), None, "{other}");
    }
}
