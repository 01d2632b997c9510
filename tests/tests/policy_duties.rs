//! What policies ask for beyond yes and no, through the module: rates over processes, a second authentication, approvals,
//! sizes; and that no copy goes around a policy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Rv, Token, Whole, curve, flag, raw, refused, text};
use kmss_tests::rules::{self, aes, apply, denied, ec_pair, kmss, last_denial, records};

fn token(label: &str) -> Token {
    rules::token("", label)
}

#[test]
fn a_rate_is_one_budget_for_every_process() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token("rated");
    home.generate("rated", "k", "ec:p256", "01");
    std::fs::write(home.file("data"), MESSAGE).unwrap();
    let file = home.file("rated.kmss");
    std::fs::write(&file, "allow anyone to sign key:k at most 5 per minute\n").unwrap();
    home.kmss("policy apply").arg(file).words("--token rated").succeed();
    // Each is a process of its own.
    let sign = || home.pkcs11_tool("rated", "--sign -m ECDSA-SHA256 --id 01 -i data -o sig").run().success();
    let signed = (0..8).filter(|_| sign()).count();
    assert_eq!(signed, 5);
    let refusal = home.audit(20).into_iter().rev().find(|record| record["outcome"] == "denied").unwrap();
    assert_eq!(refusal["error"], "quota-exceeded", "{refusal}");
    assert!(refusal["reason"].as_str().unwrap().contains("5 times in 60 s"), "{refusal}");
}

#[test]
fn an_operation_on_several_keys_counts_once_for_each() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("several").user();
    let [kek, a, b] = ["kek", "a", "b"].map(|name| aes(&session, name));
    apply("--token several", "p", "allow anyone to anything with any key at most 4 per hour\n");
    let wrap = |key| session.wrap(CKM_AES_KEY_WRAP, kek, key);
    for key in [a, a, a, b] {
        wrap(key).unwrap();
    }
    refused(wrap(b), CKR_TOKEN_RESOURCE_EXCEEDED);
    // What was refused for one of them costs the other nothing.
    let mac = |key| session.sign(CKM_AES_CMAC, key, MESSAGE);
    mac(a).unwrap();
    refused(mac(a), CKR_TOKEN_RESOURCE_EXCEEDED);
    for _ in 0..3 {
        mac(b).unwrap();
    }
    refused(mac(b), CKR_TOKEN_RESOURCE_EXCEEDED);
    // The halves of a pair are one key.
    for _ in 0..4 {
        let _ = ec_pair(&session, "pair");
    }
    let public = [raw(CKA_EC_PARAMS, curve::P256), flag(CKA_TOKEN, true), text(CKA_LABEL, "pair")];
    let private = [flag(CKA_TOKEN, true), text(CKA_LABEL, "pair")];
    refused(session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &private), CKR_TOKEN_RESOURCE_EXCEEDED);
}

#[test]
fn an_operation_that_is_given_up_costs_no_rate() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("givenup");
    let session = token.user();
    let (_, private) = ec_pair(&session, "k");
    apply("--token givenup", "givenup", "allow anyone to sign key:k at most 2 per minute\n");
    for _ in 0..4 {
        let other = session.module.open(session.info().unwrap().slotID, true).unwrap();
        other.sign_init(CKM_ECDSA_SHA256, private).unwrap();
        other.close().unwrap();
    }
    session.sign(CKM_ECDSA_SHA256, private, MESSAGE).unwrap();
    session.sign(CKM_ECDSA_SHA256, private, MESSAGE).unwrap();
    refused(session.sign(CKM_ECDSA_SHA256, private, MESSAGE), CKR_TOKEN_RESOURCE_EXCEEDED);
}

#[test]
fn more_data_than_a_policy_admits_is_refused_in_one_part_and_in_many() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("sized");
    let session = token.user();
    let (_, private) = ec_pair(&session, "k");
    apply("--token sized", "sized", "allow anyone to sign key:k at most 1 KiB audit as small\n");
    session.sign(CKM_ECDSA_SHA256, private, &[7; 1024]).unwrap();
    denied(session.sign(CKM_ECDSA_SHA256, private, &[7; 1025]));
    denied(session.sign_parts(CKM_ECDSA_SHA256, private, &[&[7; 600], &[7; 600]]));
    let signed =
        records("sized").into_iter().rev().find(|r| r["action"] == "sign" && r["outcome"] == "success").unwrap();
    assert!(signed["tags"].as_array().unwrap().contains(&"small".into()), "{signed}");
}

#[test]
fn copies_and_labels_do_not_lead_around_a_policy() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("dodge");
    let session = token.user();
    let (_, private) = ec_pair(&session, "frozen");
    apply("--token dodge", "dodge", "allow anyone to anything\ndeny anyone to sign key:frozen because \"frozen\"\n");
    denied(session.sign(CKM_ECDSA_SHA256, private, MESSAGE));
    session.set(private, &[text(CKA_LABEL, "thawed")]).unwrap();
    denied(session.sign(CKM_ECDSA_SHA256, private, MESSAGE));
    let copy = session.copy(private, &[text(CKA_LABEL, "copy")]).unwrap();
    denied(session.sign(CKM_ECDSA_SHA256, copy, MESSAGE));
    let again = session.copy(copy, &[text(CKA_LABEL, "again")]).unwrap();
    denied(session.sign(CKM_ECDSA_SHA256, again, MESSAGE));
    assert_eq!(last_denial("dodge")["reason"], "frozen");
}

#[test]
fn two_custodians_and_not_the_requester_let_a_key_go() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token("vault");
    for (user, roles) in [("alice", "custodian"), ("bob", "custodian"), ("carol", "clerk")] {
        home.kmss(&format!("token user add vault {user}")).env("KMSS_NEW_PIN", "other-pin").succeed();
        home.kmss(&format!("token user roles vault {user} {roles}")).succeed();
    }
    home.generate("vault", "root", "aes:256", "01");
    let file = home.file("vault.kmss");
    std::fs::write(
        &file,
        "allow anyone to use any key\nallow anyone to destroy key:root require 2 of role:custodian\n",
    )
    .unwrap();
    home.kmss("policy apply").arg(file).words("--token vault").succeed();
    let destroy = || home.kmss("key destroy root --token vault --yes");
    let said = destroy().fail().mentions("kmss approve");
    drop(said);
    let list = home.kmss("--json approve --list --token vault").succeed();
    let open = kmss_tests::home::json_items(&list);
    let id = open.iter().flat_map(|one| one.as_array().cloned().unwrap_or_else(|| vec![one.clone()])).next().unwrap();
    let id = id["id"].as_str().or(id["request"].as_str()).expect("a request has an id").to_owned();
    let approve =
        |user: &str| home.kmss(&format!("approve {id} --token vault --user {user}")).env("KMSS_PIN", "other-pin");
    approve("carol").fail();
    approve("alice").succeed();
    approve("alice").run();
    destroy().fail();
    approve("bob").succeed();
    destroy().succeed();
    let gone =
        home.audit(30).into_iter().rev().find(|r| r["action"] == "destroy" && r["outcome"] == "success").unwrap();
    let tags = gone["tags"].to_string();
    assert!(tags.contains("alice@") && tags.contains("bob@"), "{gone}");
}

#[test]
fn a_step_up_holds_the_result_back_until_the_user_authenticates_for_it() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("stepup");
    let session = token.user();
    let (_, private) = ec_pair(&session, "k");
    apply("--token stepup", "stepup", "allow anyone to sign key:k require mfa\n");
    refused(session.sign(CKM_ECDSA_SHA256, private, MESSAGE), CKR_USER_NOT_LOGGED_IN);
    session.sign_init(CKM_ECDSA_SHA256, private).unwrap();
    session.login(CKU_CONTEXT_SPECIFIC, PIN).unwrap();
    let (rv, length) = session.into_buffer(Whole::Sign, MESSAGE, Some(64));
    assert_eq!((rv, length), (Rv(CKR_OK), 64));
    drop(kmss("audit verify").succeed());
}
