//! Policies through the module: what is allowed passes, what is denied has its code, its rule and its reason, and changes hold
//! from the next operation of whoever is at work already.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::json_items;
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Mech, Token, flag, raw, text, ulong};
use kmss_tests::program::Program;
use kmss_tests::rules::{self, aes, apply, denied, ec_pair, kmss, last_denial, records};

const CONFIG: &str = r#"
[[principal]]
token = "orders"
name = "service:order-v1"

[[principal]]
token = "lab"
name = "user:dev"
"#;

/// As the product's documents show them.
const SENTENCES: &str = "allow service:order-v1 to use key:payment_aes for encrypt only
deny user:dev to decrypt key:user_data
allow service:* to verify signature with key:jwt_pub
";

fn token(label: &str) -> Token {
    rules::token(CONFIG, label)
}

fn iv() -> Mech {
    Mech::bytes(CKM_AES_CBC_PAD, &[7; 16])
}

#[test]
fn the_three_sentences_hold() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("orders");
    let session = token.user();
    let (payment, user_data) = (aes(&session, "payment_aes"), aes(&session, "user_data"));
    let (public, private) = ec_pair(&session, "jwt_pub");
    let signature = session.sign(CKM_ECDSA_SHA256, private, MESSAGE).unwrap();
    let sealed = session.encrypt(iv(), payment, MESSAGE).unwrap();
    assert_eq!(session.decrypt(iv(), payment, &sealed).unwrap(), MESSAGE, "without a policy, attributes decide");

    apply("--token orders", "orders", SENTENCES);
    assert_eq!(session.encrypt(iv(), payment, MESSAGE).unwrap(), sealed);
    let allowed = records("orders").into_iter().rev().find(|r| r["action"] == "encrypt").unwrap();
    assert_eq!(allowed["outcome"], "success", "{allowed}");
    assert_eq!(allowed["rule"], "namespace/orders#rule 1 (line 1)", "{allowed}");
    session.verify(CKM_ECDSA_SHA256, public, MESSAGE, &signature).unwrap();

    denied(session.decrypt(iv(), payment, &sealed));
    let refusal = last_denial("orders");
    assert_eq!((&refusal["action"], &refusal["principal"]), (&"decrypt".into(), &"service:order-v1".into()));
    assert_eq!(refusal["object"]["name"], "payment_aes");
    assert_eq!(refusal["reason"], "no policy allows service:order-v1 to decrypt key `payment_aes`", "{refusal}");
    denied(session.encrypt(iv(), user_data, MESSAGE));
    denied(session.sign(CKM_ECDSA_SHA256, private, MESSAGE));
    denied(session.generate(CKM_AES_KEY_GEN, &rules::aes_template("new", true)));
    denied(session.generate(CKM_AES_KEY_GEN, &rules::aes_template("", false)));
    let imported = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES), raw(CKA_VALUE, [1; 32])];
    denied(session.create(&imported));
    denied(session.destroy(user_data));
    denied(session.set(user_data, &[text(CKA_LABEL, "payment_aes")]));

    // Whoever may look at the token finds its keys, and reads what anybody may read.
    assert_eq!(session.find(&[text(CKA_LABEL, "user_data")]).unwrap(), [user_data]);
    assert_eq!(session.get_ulong(user_data, CKA_KEY_TYPE).unwrap(), CKK_AES);
    let folder = tempfile::tempdir().unwrap();
    let request =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /CN=x -outform DER -out c";
    Program::new("openssl").within(folder.path()).words(request).succeed();
    let der = std::fs::read(folder.path().join("c")).unwrap();
    let certificate = [
        ulong(CKA_CLASS, CKO_CERTIFICATE),
        ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
        flag(CKA_TOKEN, true),
        text(CKA_LABEL, "payment_aes"),
        raw(CKA_SUBJECT, b"\x30\x00"),
        raw(CKA_VALUE, der),
    ];
    let data = [ulong(CKA_CLASS, CKO_DATA), flag(CKA_TOKEN, true), raw(CKA_VALUE, b"note"), text(CKA_LABEL, "note")];
    for template in [&certificate[..], &data] {
        let object = session.create(template).unwrap();
        session.set(object, &[text(CKA_LABEL, "another")]).unwrap();
        let copy = session.copy(object, &[text(CKA_LABEL, "copy")]).unwrap();
        assert_eq!(session.get(copy, CKA_VALUE).unwrap(), session.get(object, CKA_VALUE).unwrap());
        session.destroy(copy).unwrap();
        session.destroy(object).unwrap();
    }
    assert_eq!(session.random(8).unwrap().len(), 8);
    session.digest(CKM_SHA256, MESSAGE).unwrap();
    kmss("audit verify").succeed();
}

#[test]
fn a_deny_tells_its_rule_and_its_reason() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("lab");
    let session = token.user();
    let (key, other) = (aes(&session, "user_data"), aes(&session, "other"));
    let sealed = session.encrypt(iv(), key, MESSAGE).unwrap();
    apply("--token lab", "sentences", SENTENCES);
    denied(session.decrypt(iv(), key, &sealed));
    let refusal = last_denial("lab");
    assert_eq!(refusal["rule"], "namespace/sentences#rule 2 (line 2)", "{refusal}");
    assert!(refusal["reason"].as_str().unwrap().contains("deny user:dev to decrypt key:user_data"), "{refusal}");
    let more =
        "allow anyone to use any key\ndeny user:dev to decrypt key:user_data because \"clerks ask the archive\"\n";
    apply("--token lab", "sentences", more);
    denied(session.decrypt(iv(), key, &sealed));
    let refusal = last_denial("lab");
    assert_eq!(
        (&refusal["rule"], &refusal["reason"]),
        (&"namespace/sentences#rule 2 (line 2)".into(), &"clerks ask the archive".into())
    );
    session.encrypt(iv(), key, MESSAGE).unwrap();
    let sealed = session.encrypt(iv(), other, MESSAGE).unwrap();
    session.decrypt(iv(), other, &sealed).unwrap();
}

#[test]
fn changes_hold_from_the_next_operation_of_open_sessions_and_forked_children() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("changes");
    let session = token.user();
    let key = aes(&session, "k");
    session.encrypt(iv(), key, MESSAGE).unwrap();
    apply("--token changes", "all", "allow anyone to use any key\n");
    session.encrypt(iv(), key, MESSAGE).unwrap();
    apply("--token changes", "all", "allow anyone to encrypt key:other\n");
    denied(session.encrypt(iv(), key, MESSAGE));
    apply("--token changes", "all", "allow anyone to encrypt any key\n");
    session.encrypt(iv(), key, MESSAGE).unwrap();
    in_a_child(|| session.encrypt(iv(), key, MESSAGE).is_ok());
    kmss("policy remove all --token changes --yes").succeed();
    denied(session.encrypt(iv(), key, MESSAGE));
    let refusal = last_denial("changes");
    assert_eq!(
        refusal["reason"],
        format!(
            "no policy allows {} to encrypt key `k`: none is in force here any more, and this namespace requires one",
            refusal["principal"].as_str().unwrap()
        )
    );
    in_a_child(|| session.encrypt(iv(), key, MESSAGE).is_err_and(|rv| rv.0 == CKR_FUNCTION_REJECTED));
    kmss("token show changes").succeed().mentions("required");
    apply("--token changes", "all", "allow anyone to encrypt any key\n");
    session.encrypt(iv(), key, MESSAGE).unwrap();
    in_a_child(|| session.encrypt(iv(), key, MESSAGE).is_ok());
    // A child that was there before the change sees it too.
    let (mut go, gone) = std::io::pipe().unwrap();
    // SAFETY: the child uses the module as a forked worker does, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(gone);
        let before = session.encrypt(iv(), key, MESSAGE).is_ok();
        let _ = std::io::Read::read(&mut go, &mut [0]);
        let after = session.encrypt(iv(), key, MESSAGE);
        let ok = before && after.is_err_and(|rv| rv.0 == CKR_FUNCTION_REJECTED);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(i32::from(!ok)) };
    }
    apply("--token changes", "all", "allow anyone to decrypt any key\n");
    drop(gone);
    assert!(ended_well(child));
}

/// Runs `f` in a forked child, which must find it true.
fn in_a_child(f: impl FnOnce() -> bool) {
    // SAFETY: as above.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let ok = f();
        // SAFETY: as above.
        unsafe { libc::_exit(i32::from(!ok)) };
    }
    assert!(ended_well(child));
}

fn ended_well(child: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    (unsafe { libc::waitpid(child, &raw mut status, 0) }) == child && status == 0
}

#[test]
fn a_token_without_policy_is_as_before_while_its_neighbour_has_one() {
    if built::only_kmss("policies") {
        return;
    }
    let (free, bound) = (token("free"), token("bound"));
    let (one, two) = (free.user(), bound.user());
    let (k1, k2) = (aes(&one, "k"), aes(&two, "k"));
    apply("--token bound", "none", "allow user:nobody to use any key\n");
    one.encrypt(iv(), k1, MESSAGE).unwrap();
    denied(two.encrypt(iv(), k2, MESSAGE));
    one.generate(CKM_AES_KEY_GEN, &rules::aes_template("more", true)).unwrap();
    one.destroy(k1).unwrap();
}

#[test]
fn platform_tenant_token_and_key_add_up_and_any_deny_wins() {
    if built::only_kmss("policies") {
        return;
    }
    // A home of its own: what is on the platform is about every token of it.
    let home = kmss_tests::home::Home::with_token("layers");
    for name in ["k", "other"] {
        home.generate("layers", name, "ec:p256", if name == "k" { "01" } else { "02" });
    }
    std::fs::write(home.file("data"), MESSAGE).unwrap();
    let apply = |scope: &str, rules: &str| {
        let file = home.file(&format!("{}.kmss", scope.split_whitespace().next().unwrap().trim_start_matches('-')));
        std::fs::write(&file, rules).unwrap();
        home.kmss("policy apply").arg(file).words(scope).succeed();
    };
    let sign = |id: &str| home.pkcs11_tool("layers", &format!("--sign -m ECDSA-SHA256 --id {id} -i data -o sig")).run();
    apply("--key k --token layers", "allow anyone to sign any key\n");
    assert!(sign("01").success(), "one allow is enough");
    assert!(!sign("02").success(), "the key's policy is about the key alone");
    apply("--tenant default", "deny anyone to sign key:k because \"frozen\"\n");
    let said = sign("01");
    assert!(
        !said.success() && ["CKR_FUNCTION_REJECTED", "0x200"].iter().any(|code| said.all().contains(code)),
        "{said}"
    );
    let refusal = home.audit(20).into_iter().rev().find(|r| r["outcome"] == "denied").unwrap();
    assert_eq!(
        (&refusal["rule"], &refusal["reason"]),
        (&"tenant/tenant#rule 1 (line 1)".into(), &"frozen".into()),
        "{refusal}"
    );
    apply("--tenant default", "allow role:nobody to sign any key\n");
    assert!(sign("01").success());
    apply("--platform", "allow anyone to sign key:other\n");
    assert!(sign("02").success() && sign("01").success());
    apply("--token layers", "deny anyone to sign key:other\n");
    assert!(!sign("02").success() && sign("01").success());
    home.kmss("policy remove token --token layers --yes").succeed();
    assert!(sign("02").success());
    home.kmss("policy remove platform --platform --yes").succeed();
    assert!(!sign("02").success() && sign("01").success());
    home.audit_is_whole();
    home.kmss("store check").succeed();
}

#[test]
fn a_candidate_in_the_shadow_changes_nothing_and_its_differences_are_recorded() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("shadow");
    let session = token.user();
    let key = aes(&session, "k");
    // Beside no policy at all, and beside one.
    for round in ["free", "bound"] {
        apply("--token shadow --shadow", "trial", "allow anyone to encrypt any key\ndeny anyone to decrypt key:k\n");
        let sealed = session.encrypt(iv(), key, MESSAGE).unwrap();
        session.decrypt(iv(), key, &sealed).unwrap();
        let of = |action: &str| records("shadow").into_iter().rev().find(|r| r["action"] == action).unwrap();
        let (same, differs) = (of("encrypt"), of("decrypt"));
        assert_eq!(differs["outcome"], "success", "{round}: {differs}");
        let tags = differs["tags"].as_array().unwrap_or_else(|| panic!("{round}: {differs}"));
        assert!(tags.iter().any(|t| t.as_str().unwrap().starts_with("shadow:deny")), "{round}: {differs}");
        assert!(same["tags"].is_null(), "{round}: {same}");
        let listed = json_items(&kmss("policy list --token shadow --json").succeed());
        let trial = listed.iter().find(|one| one["name"] == "trial").unwrap();
        assert_eq!((&trial["state"], &trial["differences"]), (&"shadow".into(), &1.into()), "{round}: {trial}");
        kmss("policy list").succeed().mentions("shadow, 1 difference");
        kmss("policy remove trial --token shadow --shadow").succeed();
        apply("--token shadow", "real", "allow anyone to use any key\n");
    }
    // The other way round: the candidate would allow what is denied.
    apply("--token shadow", "real", "deny anyone to encrypt any key\n");
    apply("--token shadow --shadow", "real", "allow anyone to encrypt any key\n");
    denied(session.encrypt(iv(), key, MESSAGE));
    let refusal = last_denial("shadow");
    assert!(refusal["tags"].to_string().contains("shadow:allow"), "{refusal}");
    kmss("policy list").succeed().mentions("shadow, 1 difference");
    apply("--token shadow", "real", "allow anyone to encrypt any key\n");
    session.encrypt(iv(), key, MESSAGE).unwrap();
}
