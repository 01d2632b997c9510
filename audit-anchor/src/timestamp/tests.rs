#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
x509_extensions = tsa
[name]
CN = time
[tsa]
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa1]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_alg = sha256
";

fn openssl(folder: &Path, words: &str) {
    let said = Command::new("openssl").args(words.split(' ')).current_dir(folder).output().unwrap();
    assert!(said.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&said.stderr));
}

/// An authority, and its answer to `request`.
fn authority(folder: &Path, request: &[u8]) -> Vec<u8> {
    fs::write(folder.join("tsa.cnf"), CONFIG).unwrap();
    fs::write(folder.join("serial"), "01").unwrap();
    openssl(
        folder,
        "req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config tsa.cnf -keyout tsa.key -out tsa.pem -days 2",
    );
    fs::write(folder.join("request"), request).unwrap();
    openssl(
        folder,
        "ts -reply -config tsa.cnf -section tsa1 -queryfile request -signer tsa.pem -inkey tsa.key -out answer",
    );
    fs::read(folder.join("answer")).unwrap()
}

#[test]
fn the_answer_of_an_authority_is_taken_for_its_request_and_for_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = b"a checkpoint\n";
    let digest = audit_proof::TreeHash::Sha256.of(&[data]);
    let ours = request(&digest.0, &[0xff; 8]).unwrap();
    let answer = authority(folder.path(), &ours);
    assert_eq!(fault(&ours, &answer), None);
    fs::write(folder.path().join("data"), data).unwrap();
    openssl(folder.path(), "ts -verify -data data -in answer -CAfile tsa.pem");
    // Another number, other data, no answer at all.
    assert_eq!(fault(&request(&digest.0, &[1; 8]).unwrap(), &answer), Some("answers another request"));
    let other = audit_proof::TreeHash::Sha256.of(&[b"other"]);
    assert_eq!(fault(&request(&other.0, &[0xff; 8]).unwrap(), &answer), Some("is about something else"));
    assert!(fault(&ours, b"<html>").is_some());
    // PKIStatus rejection(2), without a token.
    assert_eq!(fault(&ours, &[0x30, 5, 0x30, 3, 2, 1, 2]), Some("refuses the request"));
}

#[test]
fn no_answer_brings_its_reader_down() {
    let folder = tempfile::tempdir().unwrap();
    let ours = request(&[7; 32], &[3; 8]).unwrap();
    let answer = authority(folder.path(), &ours);
    for at in 0..answer.len() {
        let mut changed = answer.clone();
        changed[at] ^= 0x55;
        let _ = fault(&ours, &changed);
        let _ = fault(&ours, &answer[..at]);
    }
}
