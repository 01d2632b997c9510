//! A bounded run of every fuzzer over random and mutated bytes: what `cargo fuzz` does for hours, for seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod dice;

use dice::{around, random};
use fuzz_targets::{
    archive, audit, backup, bundle, checkpoint, compat, message, parameter, policy_language, policy_request,
    policy_response, proof, record, sealed_file, template, token, wrapped,
};

#[test]
fn no_template_brings_the_door_down() {
    random(template::run, 4000, 400);
}

#[test]
fn no_parameter_brings_the_door_down() {
    random(parameter::run, 1500, 200);
}

#[test]
fn no_ciphertext_brings_its_reader_down() {
    random(message::run, 4000, 200);
    around(message::run, 20_000, &message::seed());
}

#[test]
fn no_token_brings_its_reader_down() {
    random(token::run, 4000, 200);
    around(token::run, 20_000, &token::seed());
    around(token::run, 20_000, b"{\"iss\":\"me\",\"aud\":[\"a\"],\"exp\":2000000000}");
}

#[test]
fn no_file_brings_its_reader_down_and_none_opens_that_was_not_sealed() {
    random(sealed_file::run, 2000, 400);
    around(sealed_file::run, 5000, sealed_file::seed());
}

#[test]
fn no_archive_of_a_tenant_brings_its_reader_down_and_none_opens_that_was_not_written() {
    random(backup::run, 2000, 400);
    around(backup::run, 5000, backup::seed());
    around(backup::run, 2000, backup::share().as_bytes());
}

#[test]
fn no_record_brings_the_catalogue_down() {
    random(record::run, 1500, 300);
}

#[test]
fn no_bundle_brings_its_reader_down_and_none_opens_unsigned() {
    random(bundle::run, 2000, 600);
    around(bundle::run, 2000, bundle::seed());
}

#[test]
fn no_text_brings_the_policy_language_down() {
    random(policy_language::run, 2000, 200);
    around(policy_language::run, 1500, policy_language::SEED);
}

#[test]
fn no_segment_brings_the_verification_down() {
    random(audit::run, 500, 400);
    let seed = b"{\"kind\":\"genesis\",\"v\":2,\"segment\":\"1760000000000-0101010101010101\",\"ordinal\":1,\"suite\":\"nist\",\"seq\":0,\
        \"time\":1760000000000,\"h\":\"0000000000000000000000000000000000000000000000000000000000000000\"}\n";
    around(audit::run, 2000, seed);
}

#[test]
fn no_archive_brings_its_verifier_down_and_none_proves_what_nobody_sealed() {
    random(archive::run, 300, 400);
    around(archive::run, 1000, &archive::seed());
}

#[test]
fn no_text_brings_the_readers_of_checkpoints_down_and_none_opens_unsigned() {
    random(checkpoint::run, 2000, 400);
    around(checkpoint::run, 3000, checkpoint::seed());
}

#[test]
fn no_text_brings_the_reader_of_proofs_down_and_none_shows_what_is_not_so() {
    random(proof::run, 2000, 400);
    around(proof::run, 3000, proof::seed());
}

#[test]
fn no_wrapped_key_brings_the_door_down() {
    random(wrapped::run, 1500, 300);
    // An Ed25519 key of RFC 8410, 7, behind the number of its type.
    let seed = b"\x02\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\xd4\xee\x72\xdb\xf9\x13\x58\x4a\xd5\xb6\xd8\xf1\
        \xf7\x69\xf8\xad\x3a\xfe\x7c\x28\xcb\xf1\xd4\xfb\xe0\x97\xa8\x8f\x44\x75\x58\x42";
    around(wrapped::run, 1500, seed);
}

#[test]
fn no_request_brings_the_encoder_down() {
    random(policy_request::run, 3000, 600);
}

#[test]
fn no_answer_of_a_guest_brings_the_host_down() {
    random(policy_response::run, 4000, 400);
    let response = b"\x01\x02__\x1f\x00\x00\x00\x01\x00\x03\x00pci\x02\x80\x08\x00\x64\x00\x00\x00\x3c\x00\x00\x00\x10\x00\x04\x00why!";
    around(policy_response::run, 4000, response);
    let rules = b"\x01\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x1c\x00\x00\x00\x0a\x00\x00\x00\x26\x00\x00\x00\x07\x00\x00\x00a.kp:3 devnot you";
    around(policy_response::run, 4000, rules);
}

#[test]
fn no_ciphertext_of_other_products_brings_its_reader_down() {
    random(compat::run, 2000, 300);
    around(compat::run, 2000, compat::SEED);
    for seed in compat::MORE {
        around(compat::run, 2000, seed);
    }
    // Bytes that are DER already are reached more often than through Base64.
    around(compat::run, 2000, b"0\x0e\x02\x01\x01\x02\x02\x04\x02\x01\x01\xff\x04\x02ab");
}
