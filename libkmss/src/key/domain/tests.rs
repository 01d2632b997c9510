#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        aws_lc_rs::rand::fill(out).unwrap();
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A random source whose next bytes are chosen.
struct Chosen(Vec<u8>);

impl Random for Chosen {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.copy_from_slice(&self.0[..out.len()]);
        Ok(())
    }
}

fn random() -> Counting {
    Counting(AtomicU64::new(0))
}

#[derive(Default)]
struct Rotating {
    generation: AtomicU64,
    secrets: Mutex<Vec<VersionSecret>>,
    looks: AtomicU64,
    /// What versions made from now on put key material into.
    envelope: Mutex<Option<Arc<dyn Envelope>>>,
}

impl Rotating {
    fn rotate(&self) -> u32 {
        let mut secrets = self.secrets.lock().unwrap();
        let number = secrets.last().map_or(1, |version| version.number + 1);
        let secret = Secret::filled(DomainKey::SECRET_LEN, |b| random().fill(b)).unwrap();
        let envelope = self.envelope.lock().unwrap().clone();
        secrets.push(VersionSecret { number, secret, envelope });
        self.generation.fetch_add(2, Ordering::SeqCst);
        number
    }

    fn erase(&self, number: u32) {
        self.secrets.lock().unwrap().retain(|version| version.number != number);
        self.generation.fetch_add(2, Ordering::SeqCst);
    }
}

impl DomainSource for Rotating {
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn secrets(&self) -> Result<Vec<VersionSecret>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(self.secrets.lock().unwrap().clone())
    }
}

fn key(source: &Arc<Rotating>, suite: Suite) -> DomainKey {
    let at = (source.generation(), source.secrets().unwrap());
    DomainKey::live(suite, Secret::copy_of(&[3; HASH_LEN]), Arc::clone(source) as _, at).unwrap()
}

fn both(f: impl Fn(Suite, Arc<Rotating>, DomainKey)) {
    for suite in [Suite::Nist, Suite::Gm] {
        let source = Arc::new(Rotating::default());
        source.rotate();
        let key = key(&source, suite);
        f(suite, source, key);
    }
}

#[test]
fn the_newest_version_seals_at_the_next_use_and_older_ones_open_what_they_sealed() {
    both(|_, source, key| {
        let plain = Secret::copy_of(b"key");
        let first = key.seal_material(&random(), b"a", &plain).unwrap();
        let record = key.newest().unwrap().seal_record(&random(), b"r", b"record").unwrap();
        assert_eq!(source.rotate(), 2);
        assert_eq!(key.newest().unwrap().number(), 2);
        let second = key.seal_material(&random(), b"a", &plain).unwrap();
        for sealed in [&first, &second] {
            assert_eq!(key.open_material(b"a", sealed).unwrap(), plain);
            assert_eq!(key.open_material(b"b", sealed).unwrap_err().kind(), ErrorKind::Damaged);
        }
        assert_eq!(key.version(1).unwrap().open_record(b"r", &record).unwrap().expose(), b"record");
        assert!(key.version(2).unwrap().open_record(b"r", &record).is_err());
        assert_eq!(key.version(3).unwrap_err().kind(), ErrorKind::Damaged);
    });
}

#[test]
fn what_the_first_version_sealed_looks_as_it_always_did() {
    both(|suite, source, key| {
        let single = DomainKey::expand(suite, 1, &source.secrets().unwrap()[0].secret).unwrap();
        let sealed = single.seal_material(&random(), b"a", &Secret::copy_of(b"old")).unwrap();
        source.rotate();
        assert_eq!(key.open_material(b"a", &sealed).unwrap().expose(), b"old");
        assert_eq!(sealed.len(), NONCE_LEN + 3 + TAG_LEN);
    });
}

#[test]
fn material_whose_nonce_looks_like_a_mark_still_opens() {
    both(|_, source, key| {
        let nonce = [MARK.as_slice(), &2_u32.to_be_bytes(), &[9; 4]].concat();
        let sealed = key.seal_material(&Chosen(nonce), b"a", &Secret::copy_of(b"old")).unwrap();
        assert_eq!(key.open_material(b"a", &sealed).unwrap().expose(), b"old");
        source.rotate();
        assert_eq!(key.open_material(b"a", &sealed).unwrap().expose(), b"old");
        let newest = key.newest().unwrap();
        let anew = key.reseal_material(&random(), b"a", &sealed, &newest).unwrap().unwrap();
        assert_eq!(key.open_material(b"a", &anew).unwrap().expose(), b"old");
    });
}

#[test]
fn resealing_is_done_once_and_damage_is_not_resealed() {
    both(|_, source, key| {
        let sealed = key.seal_material(&random(), b"a", &Secret::copy_of(b"old")).unwrap();
        source.rotate();
        let newest = key.newest().unwrap();
        let anew = key.reseal_material(&random(), b"a", &sealed, &newest).unwrap().unwrap();
        assert!(key.reseal_material(&random(), b"a", &anew, &newest).unwrap().is_none());
        for at in 0..anew.len() {
            let mut damaged = anew.clone();
            damaged[at] ^= 1;
            assert_eq!(key.reseal_material(&random(), b"a", &damaged, &newest).unwrap_err().kind(), ErrorKind::Damaged);
        }
    });
}

#[test]
fn an_erased_version_opens_only_what_was_under_way() {
    both(|_, source, key| {
        let sealed = key.seal_material(&random(), b"a", &Secret::copy_of(b"under way")).unwrap();
        source.rotate();
        assert_eq!(key.newest().unwrap().number(), 2);
        source.erase(1);
        source.generation.fetch_add(2, Ordering::SeqCst);
        assert_eq!(key.newest().unwrap().number(), 2);
        assert_eq!(key.open_material(b"a", &sealed).unwrap().expose(), b"under way");
        source.rotate();
        assert_eq!(key.newest().unwrap().number(), 3);
        assert_eq!(key.open_material(b"a", &sealed).unwrap_err().kind(), ErrorKind::Damaged);
    });
}

#[test]
fn who_came_after_a_rotation_still_opens_what_was_under_way_when_the_old_version_is_erased() {
    both(|suite, source, _| {
        source.rotate();
        let late = key(&source, suite);
        let first = late.version(1).unwrap();
        let sealed = first.seal_material(&random(), b"a", &Secret::copy_of(b"under way")).unwrap();
        source.erase(1);
        assert_eq!(late.newest().unwrap().number(), 2);
        assert_eq!(late.open_material(b"a", &sealed).unwrap().expose(), b"under way");
        // It goes with the next.
        source.rotate();
        source.erase(2);
        assert_eq!(late.newest().unwrap().number(), 3);
        assert_eq!(late.open_material(b"a", &sealed).unwrap_err().kind(), ErrorKind::Damaged);
    });
}

#[test]
fn the_index_stays_what_it_is() {
    both(|_, source, key| {
        let before = key.index_term("label", b"x").unwrap();
        source.rotate();
        let _ = key.newest().unwrap();
        assert_eq!(key.index_term("label", b"x").unwrap(), before);
    });
}

#[test]
fn while_the_store_stands_nobody_looks_again() {
    both(|_, source, key| {
        let looks = source.looks.load(Ordering::SeqCst);
        for _ in 0..100 {
            let _ = key.newest().unwrap();
            let _ = key.version(1).unwrap();
            let _ = key.version(7).unwrap_err();
        }
        assert_eq!(source.looks.load(Ordering::SeqCst), looks);
    });
}

/// An envelope that may be out of reach, and counts how often it was asked.
#[derive(Default)]
struct Distant {
    away: std::sync::atomic::AtomicBool,
    asked: AtomicU64,
}

impl Distant {
    fn ask(&self) -> Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::BackendUnavailable, "away"));
        }
        Ok(())
    }
}

impl Envelope for Distant {
    fn close(&self, _random: &dyn Random, context: &[u8], plain: &Secret) -> Result<Vec<u8>> {
        self.ask()?;
        let turned: Vec<u8> = plain.expose().iter().map(|b| !b).collect();
        Ok([context, &turned].concat())
    }

    fn open(&self, context: &[u8], closed: &[u8]) -> Result<Secret> {
        self.ask()?;
        let turned = closed.strip_prefix(context).ok_or_else(|| too_short("an envelope"))?;
        Ok(Secret::new(turned.iter().map(|b| !b).collect()))
    }

    fn device(&self) -> &str {
        "distant"
    }
}

#[test]
fn material_in_an_envelope_is_opened_by_whoever_made_that_and_by_nobody_else() {
    both(|_, source, key| {
        let plain = Secret::copy_of(b"key material");
        let before = key.seal_material(&random(), b"a", &plain).unwrap();
        let envelope = Arc::new(Distant::default());
        *source.envelope.lock().unwrap() = Some(Arc::clone(&envelope) as _);
        source.rotate();
        let sealed = key.seal_material(&random(), b"a", &plain).unwrap();
        assert_eq!(key.open_material(b"a", &sealed).unwrap(), plain);
        assert_eq!(key.open_material(b"b", &sealed).unwrap_err().kind(), ErrorKind::Damaged);
        // Whoever wants to know who opens it need not ask them.
        let asked = envelope.asked.load(Ordering::SeqCst);
        assert_eq!(key.opener(&before), Some(Opener::Memory));
        assert_eq!(key.opener(&sealed), Some(Opener::Device("distant".to_owned())));
        assert_eq!(key.sealing_device().as_deref(), Some("distant"));
        assert_eq!(envelope.asked.load(Ordering::SeqCst), asked);
        let newest = key.newest().unwrap();
        let outside = newest.open_outside(b"a", &sealed).unwrap();
        assert!(!outside.expose().windows(plain.len()).any(|part| part == plain.expose()));
        // What lies under the version is not opened to be told so.
        let asked = envelope.asked.load(Ordering::SeqCst);
        assert!(key.reseal_material(&random(), b"a", &sealed, &newest).unwrap().is_none());
        assert_eq!(envelope.asked.load(Ordering::SeqCst), asked);
        // Out of reach is told as that, though the first version has no envelope; records open all the same.
        envelope.away.store(true, Ordering::SeqCst);
        assert_eq!(key.open_material(b"a", &sealed).unwrap_err().kind(), ErrorKind::BackendUnavailable);
        assert_eq!(key.seal_material(&random(), b"a", &plain).unwrap_err().kind(), ErrorKind::BackendUnavailable);
        let moved = key.reseal_material(&random(), b"a", &before, &newest);
        assert_eq!(moved.unwrap_err().kind(), ErrorKind::BackendUnavailable);
        assert_eq!(key.open_material(b"a", &before).unwrap(), plain);
        let record = newest.seal_record(&random(), b"r", b"a record").unwrap();
        assert_eq!(newest.open_record(b"r", &record).unwrap().expose(), b"a record");
        // And back again.
        envelope.away.store(false, Ordering::SeqCst);
        *source.envelope.lock().unwrap() = None;
        source.rotate();
        let newest = key.newest().unwrap();
        let anew = key.reseal_material(&random(), b"a", &sealed, &newest).unwrap().unwrap();
        envelope.away.store(true, Ordering::SeqCst);
        assert_eq!(key.open_material(b"a", &anew).unwrap(), plain);
    });
}
