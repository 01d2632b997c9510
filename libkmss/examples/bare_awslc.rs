//! aws-lc without anything around it, for the benchmark: speaks the protocol of p11bench's workers (one JSON request per
//! line, one JSON answer), so that it runs in turns with the modules and its figures are the limit for theirs.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac, rsa};
use serde_json::{Value, json};

type Step = Box<dyn FnMut() + Send>;

fn main() {
    let mut lines = std::io::stdin().lock().lines();
    // The configuration is about modules.
    let _ = lines.next();
    answer(&json!({ "note": "aws-lc-rs, bare calls" }));
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        let request: Value = serde_json::from_str(&line.expect("a request")).expect("JSON");
        match request["cmd"].as_str() {
            Some("setup") => {
                let threads = request["threads"].as_u64().unwrap_or(1);
                let name = request["workload"].as_str().unwrap_or_default();
                let made: Option<Vec<Step>> = (0..threads).map(|_| step(name)).collect();
                let offered = made.is_some();
                steps = made.unwrap_or_default();
                let error = if offered { "" } else { "no bare call for this" };
                answer(&json!({ "error": error, "unsupported": !offered }));
            }
            Some("run") => answer(&run(&mut steps, request["seconds"].as_f64().unwrap_or(1.0))),
            Some("populate" | "ensure_cold_key") => answer(&json!({ "error": "keeps nothing", "unsupported": true })),
            _ => answer(&json!({})),
        }
    }
}

/// Prints an answer with every field that the other side expects.
fn answer(fields: &Value) {
    let mut all = json!({ "error": "", "unsupported": false, "note": "", "ops": 0, "secs": 0.0, "rate": 0.0,
                          "cpu_secs": 0.0, "rss_kib": 0, "switches": 0 });
    if let (Some(all), Some(fields)) = (all.as_object_mut(), fields.as_object()) {
        all.extend(fields.clone());
    }
    let mut out = std::io::stdout();
    writeln!(out, "{all}").and_then(|()| out.flush()).expect("an answer");
}

fn run(steps: &mut [Step], seconds: f64) -> Value {
    let before = cpu_seconds();
    let lanes: Vec<(u64, f64)> = std::thread::scope(|scope| {
        let lanes: Vec<_> = steps.iter_mut().map(|step| scope.spawn(move || measure(step, seconds))).collect();
        lanes.into_iter().map(|lane| lane.join().expect("a lane")).collect()
    });
    let ops: u64 = lanes.iter().map(|lane| lane.0).sum();
    let rate: f64 = lanes.iter().map(|lane| lane.0 as f64 / lane.1).sum();
    let longest = lanes.iter().map(|lane| lane.1).fold(0.0, f64::max);
    json!({ "ops": ops, "secs": longest, "rate": rate, "cpu_secs": cpu_seconds() - before })
}

fn measure(step: &mut Step, seconds: f64) -> (u64, f64) {
    let (start, end) = (Instant::now(), Duration::from_secs_f64(seconds));
    let (mut ops, mut batch) = (0, 1);
    let mut last = Duration::ZERO;
    loop {
        (0..batch).for_each(|_| step());
        ops += batch;
        let now = start.elapsed();
        if now >= end {
            return (ops, now.as_secs_f64());
        }
        if now - last < Duration::from_micros(500) {
            batch *= 2;
        }
        last = now;
    }
}

/// CPU time of this process: user and system ticks of /proc/self/stat, 100 to the second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn step(workload: &str) -> Option<Step> {
    let random = SystemRandom::new();
    Some(match workload {
        "rsa2048-sign-pkcs" | "rsa2048-sign-sha256" => {
            let pair = RsaKeyPair::generate(rsa::KeySize::Rsa2048).ok()?;
            let mut signature = vec![0; pair.public_modulus_len()];
            Box::new(move || pair.sign(&RSA_PKCS1_SHA256, &random, &[7; 32], &mut signature).expect("signs"))
        }
        "p256-sign" | "p256-sign-sha256" => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
            Box::new(move || {
                let _ = std::hint::black_box(pair.sign(&random, &[7; 32]).expect("signs"));
            })
        }
        "ed25519-sign" => {
            let pair = Ed25519KeyPair::generate().ok()?;
            Box::new(move || {
                std::hint::black_box(pair.sign(&[7; 32]));
            })
        }
        "aes256-gcm-enc-16" => gcm(16)?,
        "aes256-gcm-enc-1k" => gcm(1 << 10)?,
        "aes256-gcm-enc-16k" => gcm(16 << 10)?,
        "aes256-gcm-enc-1m" => gcm(1 << 20)?,
        "hmac-sha256-1k" => {
            let (key, data) = (hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), vec![7; 1 << 10]);
            Box::new(move || {
                std::hint::black_box(hmac::sign(&key, &data));
            })
        }
        "sha256-1k" | "sha256-1m" => {
            let data = vec![7; if workload == "sha256-1k" { 1 << 10 } else { 1 << 20 }];
            Box::new(move || {
                std::hint::black_box(digest::digest(&digest::SHA256, &data));
            })
        }
        _ => return None,
    })
}

fn gcm(len: usize) -> Option<Step> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).ok()?);
    let (mut data, mut counter) = (vec![7; len], 0_u128);
    Some(Box::new(move || {
        counter += 1;
        let mut nonce = [0; 12];
        nonce.copy_from_slice(counter.to_be_bytes().last_chunk::<12>().expect("16 bytes"));
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut data);
        let _ = std::hint::black_box(tag.expect("seals"));
    }))
}
