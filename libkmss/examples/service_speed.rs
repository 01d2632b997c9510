//! What messages, data keys and tokens cost, for the benchmark: prints one JSON object with operations a second of one thread.
//! Arguments: a home with a token, the token's label, its PIN (in `KMSS_PIN`), and seconds for each.
//!
//! Everything goes through the pipeline, with whatever policies and audit the home has.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::config::Config;
use libkmss::envelope::file::{FileAlgorithm, FileHeader};
use libkmss::envelope::stream;
use libkmss::error::Result;
use libkmss::key::KeyClass;
use libkmss::kms::Kms;
use libkmss::mechanism::{BlockCipher, EncryptionContext, Ff1, Mechanism, NativeAlgorithm, Sm2Mechanism};
use libkmss::operation::{DecryptMessage, Encrypt, EncryptMessage, GenerateDataKey, ObjectRef, Sign, Verify};
use libkmss::secret::Secret;
use serde_json::{Map, Value};

/// Length of the file that is sealed in bytes.
const FILE: usize = 16 << 20;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [home, token, seconds] = words.as_slice() else { panic!("usage: service_speed HOME TOKEN SECONDS") };
    let pin = std::env::var("KMSS_PIN").expect("KMSS_PIN");
    let seconds = seconds.parse().map(Duration::from_secs_f64).expect("seconds");
    let config = Config::load().expect("a configuration").at(Path::new(home).to_owned());
    let kms = Kms::open(&config).expect("the home").expect("a home");
    let namespace = kms.namespaces().expect("the tokens").into_iter().find(|n| n.name == *token).expect("the token");
    let caller = kms.enter(&namespace, 0).expect("entering");
    let pin = Secret::new(pin.into_bytes());
    let credential = Credential::UserPin { name: "user", pin: &pin };
    let caller = kms.login(&caller, &credential).expect("logging in");
    println!("{}", Value::Object(measured(&kms, &caller, seconds).expect("the work")));
}

fn measured(kms: &Kms, caller: &Caller, time: Duration) -> Result<Map<String, Value>> {
    let aes = key(kms, caller, "aes", KeyClass::Secret)?;
    let sm4 = key(kms, caller, "sm4", KeyClass::Secret)?;
    let private = key(kms, caller, "sm2", KeyClass::Private)?;
    let public = key(kms, caller, "sm2", KeyClass::Public)?;
    let context = EncryptionContext::new(vec![("tenant".into(), "42".into()), ("table".into(), "orders".into())])?;
    let kibibyte = [7; 1 << 10];
    let large = vec![7; 16 << 10];
    let seal = |key: &ObjectRef, algorithm, text: &[u8]| {
        kms.perform(caller, EncryptMessage::new(key.clone(), algorithm, context.clone(), text))
    };
    let sealed = seal(&aes, NativeAlgorithm::Aes256Gcm, &kibibyte)?;
    let ff1 = Ff1::new(BlockCipher::Aes, "card".parse()?, b"orders".to_vec())?;
    let ff1 = Mechanism::Ff1(ff1);
    let mut figures = Map::new();
    let mut figure = |name: &str, work: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        figures.insert(name.into(), rate(time, work)?.into());
        Ok(())
    };
    figure("encrypt_1k", &mut || seal(&aes, NativeAlgorithm::Aes256Gcm, &kibibyte).map(|c| drop(black_box(c))))?;
    figure("decrypt_1k", &mut || {
        kms.perform(caller, DecryptMessage::new(&sealed, context.clone())).map(|p| drop(black_box(p)))
    })?;
    figure("encrypt_16k", &mut || seal(&aes, NativeAlgorithm::Aes256Gcm, &large).map(|c| drop(black_box(c))))?;
    figure("sm4_encrypt_16k", &mut || seal(&sm4, NativeAlgorithm::Sm4Gcm, &large).map(|c| drop(black_box(c))))?;
    figure("data_key", &mut || {
        let algorithm = NativeAlgorithm::Aes256Gcm;
        let operation = GenerateDataKey::new(aes.clone(), algorithm, context.clone(), GenerateDataKey::USUAL);
        kms.perform(caller, operation).map(|k| drop(black_box(k)))
    })?;
    figure("ff1_card", &mut || {
        let operation = Encrypt { key: aes.clone(), how: ff1.clone().into() };
        let value = b"4111111111111111";
        let mut running = kms.begin(caller, operation)?;
        running.finish(value, |cipher| {
            let mut token = vec![0; cipher.finish_len(value.len())];
            cipher.finish(value, &mut token).map(|len| drop(black_box((token, len))))
        })
    })?;
    let mut file = vec![7; FILE];
    let random = libkmss::kms::software()?;
    figure("file_seal", &mut || {
        let recipients = [(aes.clone(), NativeAlgorithm::Aes256Gcm)];
        let (source, target) = (&mut file.as_slice(), &mut io::sink());
        let to = (recipients.as_slice(), &context);
        stream::seal((kms, caller), to, FileAlgorithm::Aes256Gcm, (source, target), random.entropy())
    })?;
    let bare = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("a key"));
    figure("file_aead", &mut || {
        for chunk in file.chunks_mut(1 << FileHeader::USUAL) {
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            drop(black_box(bare.seal_in_place_separate_tag(nonce, Aad::empty(), chunk).expect("a chunk")));
        }
        Ok(())
    })?;
    let how = Mechanism::Sm2(Sm2Mechanism::SignSm3 { id: Sm2Mechanism::DEFAULT_ID.to_vec() });
    let sign = || {
        let mut signing = kms.begin(caller, Sign { key: private.clone(), how: how.clone().into() })?;
        signing.finish(&kibibyte[..32], |running| {
            let mut signature = vec![0; running.signature_len()];
            running.update(&kibibyte[..32])?;
            running.finish(&mut signature)?;
            Ok(signature)
        })
    };
    let signature = sign()?;
    figure("sm2_sign", &mut || sign().map(|s| drop(black_box(s))))?;
    figure("sm2_verify", &mut || {
        let mut verifying = kms.begin(caller, Verify { key: public.clone(), how: how.clone().into() })?;
        verifying.finish(&kibibyte[..32], |running| {
            running.update(&kibibyte[..32])?;
            running.finish(&signature)
        })
    })?;
    Ok(figures)
}

/// The key of that name and class.
fn key(kms: &Kms, caller: &Caller, name: &str, class: KeyClass) -> Result<ObjectRef> {
    let found = kms.key(caller, name, class)?;
    Ok(ObjectRef::from(&found.unwrap_or_else(|| panic!("no such key is named `{name}`"))))
}

/// How often a second: of the best of five rounds, which share the time.
fn rate(time: Duration, work: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    const ROUNDS: u32 = 5;
    let round = time / ROUNDS;
    let mut best = 0_f64;
    for _ in 0..ROUNDS {
        let (begun, mut count) = (Instant::now(), 0_u32);
        while begun.elapsed() < round {
            // The clock is read once in a while only.
            for _ in 0..16 {
                work()?;
            }
            count += 16;
        }
        best = best.max(f64::from(count) / begun.elapsed().as_secs_f64());
    }
    Ok(best)
}
