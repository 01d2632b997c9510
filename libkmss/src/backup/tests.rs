#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::chunk::CHUNK;
use super::summary::RuleScope;
use super::*;
use crate::clock::Timestamp;
use crate::error::ErrorKind;
use crate::suite::Suite;
use crate::tenant::NamespaceId;

struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        aws_lc_rs::rand::fill(out).map_err(|_| Error::new(ErrorKind::BackendUnavailable, "no random"))
    }
}

struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, _: &mut [u8]) -> Result<()> {
        Err(Error::new(ErrorKind::BackendUnavailable, "no random"))
    }
}

fn names(count: u8) -> Vec<String> {
    (0..count).map(|number| format!("custodian {number}")).collect()
}

fn made(suite: Suite, needed: u8, shares: u8) -> (ArchiveHeader, ArchiveKey, Vec<Share>) {
    let said = ArchiveTerms { suite, needed, shares, epoch: 7, created: Timestamp(5), tenant: "bänk" };
    let mut header = ArchiveHeader::new(said, &SystemRandom).unwrap();
    let key = ArchiveKey::fresh(&SystemRandom).unwrap();
    let shares = split(&mut header, &key, &names(shares), &SystemRandom).unwrap();
    (header, key, shares)
}

fn written(header: &ArchiveHeader, key: &ArchiveKey, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = ArchiveWriter::begin(header, key, &mut out).unwrap();
    plain.chunks(1000).for_each(|part| writer.put(part).unwrap());
    writer.finish().unwrap();
    out
}

fn read(archive: &[u8], key: &ArchiveKey, len: usize) -> Result<Vec<u8>> {
    let mut from = archive;
    let header = ArchiveHeader::read(&mut from)?;
    let mut reader = ArchiveReader::begin(&header, key, &mut from)?;
    let mut plain = vec![0; len];
    if len > 0 {
        assert!(reader.fill(&mut plain)?);
    }
    assert!(!reader.fill(&mut [0])?);
    Ok(plain)
}

#[test]
fn an_archive_of_any_length_is_read_as_it_was_written() {
    for suite in [Suite::Nist, Suite::Gm] {
        let (header, key, _) = made(suite, 2, 3);
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17] {
            let plain: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            assert_eq!(read(&written(&header, &key, &plain), &key, len).unwrap(), plain, "{len}");
        }
    }
}

#[test]
fn an_archive_of_the_first_format_is_read_and_one_of_the_next_is_too_new() {
    for (format, read_as) in [(1, None), (2, None), (3, Some(ErrorKind::TooNew)), (0, Some(ErrorKind::Damaged))] {
        let said = ArchiveTerms {
            suite: Suite::Nist,
            needed: 2,
            shares: 2,
            epoch: 1,
            created: Timestamp(1),
            tenant: "default",
        };
        let mut header = ArchiveHeader::new(said, &SystemRandom).unwrap();
        let key = ArchiveKey::fresh(&SystemRandom).unwrap();
        header.format = format;
        let _ = split(&mut header, &key, &names(2), &SystemRandom).unwrap();
        let archive = written(&header, &key, b"said");
        assert_eq!(archive[8], format);
        assert_eq!(read(&archive, &key, 4).map_err(|e| e.kind()).err(), read_as, "{format}");
    }
}

#[test]
fn whatever_is_changed_cut_or_swapped_is_noticed() {
    let (header, key, _) = made(Suite::Nist, 2, 2);
    let len = 2 * CHUNK + 100;
    let whole = written(&header, &key, &vec![7; len]);
    let start = header.encode().len();
    // Each byte of the header that has a meaning of its own, and some of each chunk.
    for at in (0..start).chain((start..whole.len()).step_by(9973)).chain([whole.len() - 1]) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        let error = read(&changed, &key, len).unwrap_err();
        let kinds = [ErrorKind::Damaged, ErrorKind::EncryptedDataInvalid, ErrorKind::TooNew];
        assert!(kinds.contains(&error.kind()), "byte {at}: {error}");
    }
    let chunk = CHUNK + 16;
    for cut in [start, start + 15, start + chunk - 1, start + chunk, start + 2 * chunk, whole.len() - 1] {
        assert_eq!(read(&whole[..cut], &key, len).unwrap_err().kind(), ErrorKind::Damaged, "{cut}");
    }
    let mut swapped = whole.clone();
    swapped[start..start + 2 * chunk].rotate_left(chunk);
    assert_eq!(read(&swapped, &key, len).unwrap_err().kind(), ErrorKind::Damaged);
    let more = [whole.as_slice(), &[0; 100]].concat();
    assert_eq!(read(&more, &key, len).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn enough_shares_open_the_archive_whichever_they_are() {
    for suite in [Suite::Nist, Suite::Gm] {
        let (header, key, shares) = made(suite, 3, 5);
        for (a, b, c) in [(0, 1, 2), (4, 3, 2), (0, 2, 4), (3, 0, 1)] {
            let some = [a, b, c].map(|at: usize| Share::parse(&shares[at].text()).unwrap());
            let found = combine(&header, &some).unwrap();
            assert_eq!(found.secret(), key.secret());
        }
        assert!(combine(&header, &shares).is_ok());
    }
    let (header, key, shares) = made(Suite::Nist, MOST_SHARES, MOST_SHARES);
    assert_eq!(combine(&header, &shares).unwrap().secret(), key.secret());
}

#[test]
fn too_few_shares_foreign_ones_and_one_twice_open_nothing() {
    let (header, _, shares) = made(Suite::Nist, 3, 5);
    let refused = |shares: &[Share], why: &str| {
        let error = combine(&header, shares).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Arguments);
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(&shares[..2], "2 shares are there, and 3 are needed");
    refused(&[], "are needed");
    refused(&[shares[0].clone(), shares[1].clone(), shares[0].clone()], "comes twice");
    let (_, _, others) = made(Suite::Nist, 3, 5);
    refused(&[shares[0].clone(), shares[1].clone(), others[2].clone()], "is of another archive");
    // Of another archive, with this one's name on it.
    let mut renamed = others[2].clone();
    renamed.archive = shares[0].archive;
    refused(&[shares[0].clone(), shares[1].clone(), renamed], "is not what was made for this archive");
}

#[test]
fn two_shares_of_three_tell_nothing_that_one_could_check_a_guess_with() {
    // Shares of one key are different each time, and no share is the key.
    let (_, key, shares) = made(Suite::Nist, 2, 2);
    for share in &shares {
        assert!(!share.text().contains(&hex(key.secret().expose())));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_share_survives_paper_and_notices_mistakes() {
    let (_, _, shares) = made(Suite::Nist, 2, 2);
    let text = shares[1].text();
    assert_eq!(Share::parse(&text).unwrap(), shares[1]);
    let dressed = format!("\r\n  {}\r\n\r\n", text.trim_end().replace('\n', "  \r\n   "));
    assert_eq!(Share::parse(&dressed).unwrap(), shares[1]);
    for (at, byte) in text.bytes().enumerate() {
        let mut changed = text.as_bytes().to_vec();
        changed[at] = if byte == b'1' { b'2' } else { b'1' };
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let lost = Share::parse(&changed);
        // A line that is split is still the same, as is white space.
        assert!(lost.is_err() || lost.as_ref().unwrap() == &shares[1], "byte {at} of\n{changed}");
    }
    for line in 0..text.lines().count() {
        let without: Vec<&str> = text.lines().enumerate().filter(|(at, _)| *at != line).map(|(_, l)| l).collect();
        assert!(Share::parse(&without.join("\n")).is_err());
    }
    assert!(Share::parse("").is_err());
    assert!(Share::parse(&"x".repeat(1 << 20)).is_err());
}

#[test]
fn what_cannot_be_split_is_refused_and_a_dead_generator_makes_no_shares() {
    let said = |needed, shares| ArchiveTerms {
        suite: Suite::Nist,
        needed,
        shares,
        epoch: 1,
        created: Timestamp(1),
        tenant: "default",
    };
    for (needed, shares) in [(0, 3), (1, 3), (4, 3), (2, MOST_SHARES + 1), (0, 0)] {
        assert_eq!(ArchiveHeader::new(said(needed, shares), &SystemRandom).unwrap_err().kind(), ErrorKind::Arguments);
    }
    let key = ArchiveKey::fresh(&SystemRandom).unwrap();
    let mut header = ArchiveHeader::new(said(2, 2), &SystemRandom).unwrap();
    for wrong in [vec!["a".to_owned()], vec!["a".into(), "a".into()], vec!["a".into(), " b".into()]] {
        assert_eq!(split(&mut header, &key, &wrong, &SystemRandom).unwrap_err().kind(), ErrorKind::Arguments);
    }
    let dead = split(&mut header, &key, &names(2), &NoRandom).unwrap_err();
    assert_eq!(dead.kind(), ErrorKind::BackendUnavailable);
}

#[test]
fn an_archive_ends_with_its_end() {
    let (header, key, _) = made(Suite::Nist, 2, 2);
    let manifest = Manifest {
        writer: "test".into(),
        tenant: "bänk".into(),
        namespaces: 0,
        audit_checkpoint: None,
        in_devices: 0,
        elsewhere: Vec::new(),
    };
    let manifest = || Item::of(ItemKind::Manifest, "", &manifest).unwrap();
    let end = |items| Item::of(ItemKind::End, "", &Totals { items }).unwrap();
    let summed = |items: &[Item]| {
        let mut out = Vec::new();
        let mut writer = ArchiveWriter::begin(&header, &key, &mut out).unwrap();
        items.iter().for_each(|item| item.put(&mut writer).unwrap());
        writer.finish().unwrap();
        let mut from = out.as_slice();
        let header = ArchiveHeader::read(&mut from).unwrap();
        let reader = ArchiveReader::begin(&header, &key, &mut from).unwrap();
        Summary::read(&header, &mut Items::of(reader), &mut |_| Ok(()))
    };
    assert_eq!(summed(&[manifest(), end(1)]).unwrap().items, 1);
    let damaged = |items: &[Item]| assert_eq!(summed(items).unwrap_err().kind(), ErrorKind::Damaged);
    damaged(&[]);
    damaged(&[manifest()]);
    damaged(&[end(0)]);
    damaged(&[manifest(), end(2)]);
    damaged(&[manifest(), end(1), end(1)]);
    damaged(&[manifest(), manifest(), end(2)]);
    let stray = Item { kind: ItemKind::Entry, place: "ns/00/1/obj/11".into(), content: Vec::new().into() };
    damaged(&[manifest(), stray, end(2)]);
    let rule = |tenant: Option<&str>, namespace: Option<NamespaceId>| {
        let scope = RuleScope { tenant: tenant.map(str::to_owned), namespace, service: Some("order".into()) };
        Item::of(ItemKind::Rule, "", &std::collections::BTreeMap::from([("scope", scope)])).unwrap()
    };
    let summary = summed(&[manifest(), rule(Some("bänk"), None), end(2)]).unwrap();
    assert_eq!(summary.rules, ["service order in tenant bänk"]);
    for (tenant, namespace) in [(Some("bank"), None), (None, None), (None, Some(NamespaceId([7; 16])))] {
        damaged(&[manifest(), rule(tenant, namespace), end(2)]);
    }
}
