//! Several threads at once, with one key and with many.

use std::thread;

use libkmss::key::KeySpec;
use libkmss::mechanism::{BlockCipher, CipherMode, Curve, KeyType, Mechanism};

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, rsa, secret};
use crate::side::{Guard, end_signing, feed_signing};
use crate::signing::ecdsa;
use crate::verdict::{Check, Verdict, same};

/// Threads at once.
const THREADS: u8 = 8;
/// What each of them does.
const ROUNDS: u8 = 12;

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let one = |name: &str, trial: fn(&Bench<'_>) -> Check| Behaviour::new(Group::Concurrency, name, trial);
    vec![
        one("threads sign with one key of P-256", |bench| sign(bench, &KeySpec::Ec(Curve::P256))),
        one("threads sign with one key of RSA 2048", |bench| sign(bench, &rsa(2048))),
        one("threads encrypt and decrypt with keys of their own", encrypt),
        one("threads make and destroy keys", make_and_destroy),
        one("an operation ends in another thread than it began", hand_over),
    ]
}

/// Runs `work` in every thread; the first that fails is told.
fn all(work: impl Fn(u8) -> Check + Sync) -> Check {
    let results: Vec<Check> = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    results.into_iter().collect()
}

fn panicked() -> Verdict {
    Verdict::Failed("a thread panicked".to_owned())
}

fn sign(bench: &Bench<'_>, spec: &KeySpec) -> Check {
    let pair = bench.pair(spec)?;
    let mirror = bench.mirror(&pair.public)?;
    let how = match spec {
        KeySpec::Rsa { .. } => {
            Mechanism::Rsa(libkmss::mechanism::RsaMechanism::PkcsHash(libkmss::mechanism::Hash::Sha256))
        }
        _ => ecdsa(),
    };
    all(|thread| {
        for round in 0..ROUNDS {
            let message = [thread, round];
            let signature = bench.tested.sign(&pair.private, &how, &[&message])?;
            bench.reference.verify(&mirror, &how, &[&message], &signature)?;
        }
        Ok(())
    })
}

fn encrypt(bench: &Bench<'_>) -> Check {
    all(|thread| {
        let key = bench.tested.generate(&secret(KeyType::Aes, 32), Guard::Kept)?;
        let how = Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcPad { iv: [thread; 16] });
        for round in 0..ROUNDS {
            let data = vec![round; 100];
            let ciphertext = bench.tested.encrypt(&key, &how, &[&data])?;
            same("what comes back", &bench.tested.decrypt(&key, &how, &[&ciphertext])?, &data)?;
        }
        Ok(())
    })
}

fn make_and_destroy(bench: &Bench<'_>) -> Check {
    all(|_| {
        for _ in 0..3 {
            let pair = bench.tested.generate_pair(&KeySpec::Ec(Curve::P256), Guard::Kept)?;
            let signature = bench.tested.sign(&pair.private, &ecdsa(), &[b"data"])?;
            bench.tested.verify(&pair.public, &ecdsa(), &[b"data"], &signature)?;
            bench.tested.destroy(&pair.private)?;
            bench.tested.destroy(&pair.public)?;
        }
        Ok(())
    })
}

fn hand_over(bench: &Bench<'_>) -> Check {
    let pair = bench.pair(&KeySpec::Ec(Curve::P256))?;
    let mirror = bench.mirror(&pair.public)?;
    let mut signing = bench.tested.begin_sign(&pair.private, &ecdsa())?;
    bench.tested.told("sign a part", feed_signing(&mut signing, &[b"one "]))?;
    let ended = thread::scope(|scope| {
        let other = scope.spawn(|| {
            feed_signing(&mut signing, &[b"two"])?;
            end_signing(&mut signing)
        });
        other.join().ok()
    });
    let signature = bench.tested.told("end a signature", ended.ok_or_else(panicked)?)?;
    Ok(bench.reference.verify(&mirror, &ecdsa(), &[b"one two"], &signature)?)
}
