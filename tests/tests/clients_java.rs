//! Java 17 through SunPKCS11: keytool, jarsigner and a program, with keys in the home and on a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use kmss_tests::home::{Home, PIN};
use kmss_tests::program::{Program, Said, needs};
use kmss_tests::remote::{Kept, Keys};
use kmss_tests::{built, wherever_the_keys_are};

const TOKEN: &str = "java";
/// A JVM on a busy machine takes its time to start.
const PATIENCE: Duration = Duration::from_secs(300);

/// A home with a token, and the provider's configuration in `java.cfg`.
fn home(keys: Keys) -> Kept {
    needs(&["java", "javac", "keytool", "jarsigner"]);
    let home = Kept::with_token(TOKEN, keys);
    // `Slot 0 (0x1234): …`
    let text = home.pkcs11_tool("", "--list-slots").succeed().text();
    let block = text.split("Slot ").find(|b| b.contains(&format!(": {TOKEN}\n"))).expect("the token is listed");
    let hex = block.split("(0x").nth(1).and_then(|rest| rest.split(')').next()).expect("a slot has an id");
    let slot = u64::from_str_radix(hex, 16).unwrap();
    let text =
        format!("name = KMSS\nlibrary = {}\nslot = {slot}\nattributes = compatibility\n", built::module().display());
    std::fs::write(home.file("java.cfg"), text).unwrap();
    home
}

fn keytool(home: &Home, command: &str, words: &str) -> Program {
    let program = home.program("keytool").arg(command).words("-keystore NONE -storetype PKCS11 -storepass").arg(PIN);
    program.words("-addprovider SunPKCS11 -providerArg java.cfg").words(words).patience(PATIENCE)
}

#[track_caller]
fn pair(home: &Home, alias: &str, how: &str) -> Said {
    keytool(home, "-genkeypair", &format!("-alias {alias} -dname CN={alias} -validity 9 {how}")).succeed()
}

wherever_the_keys_are!(
    keytool_makes_lists_requests_and_deletes,
    jarsigner_signs_what_it_then_believes,
    a_program_signs_encrypts_macs_agrees_and_keeps_keys_from_eight_threads,
    a_machine_that_checks_its_native_calls_uses_keys_under_a_policy,
    keytool_imports_pairs_and_makes_secret_keys,
    every_algorithm_that_java_offers_agrees_with_its_own_providers,
    tls_servers_and_clients_have_their_keys_in_the_token,
    java_uses_keys_that_kmss_made,
    java_agrees_by_diffie_hellman_and_shakes_hands_over_tls_with_all_secrets_in_the_token,
);

fn keytool_makes_lists_requests_and_deletes(home: &Kept) {
    pair(home, "rsa1", "-keyalg RSA -keysize 2048");
    pair(home, "ec1", "-keyalg EC -groupname secp256r1");
    pair(home, "ec2", "-keyalg EC -groupname secp384r1");
    let list = keytool(home, "-list", "").succeed();
    for alias in ["rsa1", "ec1", "ec2"] {
        assert!(list.text().contains(&format!("{alias}, PrivateKeyEntry")), "{list}");
    }
    for alias in ["rsa1", "ec1"] {
        keytool(home, "-certreq", &format!("-alias {alias} -file {alias}.csr")).succeed();
        Program::new("openssl").within(home.folder()).words(&format!("req -verify -noout -in {alias}.csr")).succeed();
        keytool(home, "-exportcert", &format!("-alias {alias} -rfc -file {alias}.crt")).succeed();
    }
    keytool(home, "-delete", "-alias ec2").succeed();
    let list = keytool(home, "-list", "").succeed();
    assert!(!list.text().contains("ec2"), "{list}");
    // Other programs see the same keys, whose CKA_ID Java has renamed to the alias: `rsa1` in hex.
    home.pkcs11_tool(TOKEN, "--list-objects --type privkey").succeed().mentions("72736131");
}

fn jarsigner_signs_what_it_then_believes(home: &Kept) {
    pair(home, "signer", "-keyalg EC -groupname secp256r1");
    std::fs::write(home.file("note.txt"), "inside the archive").unwrap();
    home.program("jar").words("cf note.jar note.txt").patience(PATIENCE).succeed();
    let sign =
        home.program("jarsigner").words("-keystore NONE -storetype PKCS11 -storepass").arg(PIN).patience(PATIENCE);
    sign.words("-addprovider SunPKCS11 -providerArg java.cfg -signedjar signed.jar note.jar signer").succeed();
    home.program("jarsigner").words("-verify signed.jar").patience(PATIENCE).succeed().mentions("jar verified");
}

fn a_program_signs_encrypts_macs_agrees_and_keeps_keys_from_eight_threads(home: &Kept) {
    pair(home, "rsa1", "-keyalg RSA -keysize 2048");
    pair(home, "ec1", "-keyalg EC -groupname secp256r1");
    let source = built::workspace().join("tests/java/Use.java");
    let java = home.program("java").arg(format!("-Dstand.in={}", built::stand_in())).arg(source);
    let said = java.args(["java.cfg", PIN, "rsa1", "ec1"]).patience(PATIENCE).succeed();
    said.mentions("Java is content");
    home.audits_are_whole();
}

fn a_machine_that_checks_its_native_calls_uses_keys_under_a_policy(home: &Kept) {
    if built::only_kmss("policies") {
        return;
    }
    pair(home, "rsa1", "-keyalg RSA -keysize 2048");
    pair(home, "ec1", "-keyalg EC -groupname secp256r1");
    std::fs::write(home.file("p.kmss"), "allow anyone to anything with any key\nallow anyone to anything\n").unwrap();
    home.kmss("policy apply p.kmss --token java").within(home.folder()).succeed();
    let source = built::workspace().join("tests/java/Use.java");
    let java = home.program("java").words("-Xcheck:jni -Dstand.in=false").arg(source);
    let said = java.args(["java.cfg", PIN, "rsa1", "ec1"]).patience(PATIENCE).succeed().mentions("Java is content");
    // A handler of ours in the place of the machine's own would be told.
    for complaint in ["FATAL ERROR", "signal handler", "Warning: SIG", "was modified"] {
        assert!(!said.all().contains(complaint), "{said}");
    }
    home.audits_are_whole();
}

fn keytool_imports_pairs_and_makes_secret_keys(home: &Kept) {
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line).succeed();
    for (name, how) in [("rsa", "rsa:2048"), ("ec", "ec -pkeyopt ec_paramgen_curve:P-256")] {
        openssl(&format!("req -x509 -newkey {how} -nodes -keyout {name}.key -subj /CN={name} -out {name}.crt"));
        let export = "pkcs12 -export -passout pass:outside -name";
        openssl(&format!("{export} {name} -inkey {name}.key -in {name}.crt -out {name}.p12"));
        let import =
            home.program("keytool").words("-importkeystore -noprompt -srcstoretype PKCS12 -srcstorepass outside");
        let import = import.words("-destkeystore NONE -deststoretype PKCS11 -deststorepass").arg(PIN);
        let import =
            import.words("-addprovider SunPKCS11 -providerArg java.cfg -srckeystore").arg(format!("{name}.p12"));
        import.patience(PATIENCE).succeed();
    }
    keytool(home, "-genseckey", "-alias secret -keyalg AES -keysize 256").succeed();
    let list = keytool(home, "-list", "").succeed();
    for entry in ["rsa, PrivateKeyEntry", "ec, PrivateKeyEntry", "secret, SecretKeyEntry"] {
        assert!(list.text().contains(entry), "{list}");
    }
    // An imported key signs: the request convinces openssl.
    keytool(home, "-certreq", "-alias ec -file ec.csr").succeed();
    openssl("req -verify -noout -in ec.csr");
}

fn every_algorithm_that_java_offers_agrees_with_its_own_providers(home: &Kept) {
    if built::only_kmss("algorithm in every mode that Java finds") {
        return;
    }
    // Without `attributes = compatibility`: what Java leaves out is up to the module.
    let configuration = std::fs::read_to_string(home.file("java.cfg")).unwrap();
    std::fs::write(home.file("plain.cfg"), configuration.replace("attributes = compatibility\n", "")).unwrap();
    let source = built::workspace().join("tests/java/Every.java");
    let java = home.program("java").arg(source).args(["plain.cfg", PIN]).patience(PATIENCE);
    java.succeed().mentions("Java is content with every one");
    // Its keys are those of sessions, which are here wherever the token's are.
    home.audit_is_whole();
}

fn tls_servers_and_clients_have_their_keys_in_the_token(home: &Kept) {
    if built::only_kmss("TLS secrets that Java accepts") {
        return;
    }
    pair(home, "rsa1", "-keyalg RSA -keysize 2048 -ext san=dns:localhost");
    pair(home, "ec1", "-keyalg EC -groupname secp256r1 -ext san=dns:localhost");
    let source = built::workspace().join("tests/java/Tls.java");
    // First of all providers the token does whatever TLS asks for; last of them, only what needs its keys.
    for position in ["1", "20"] {
        let java = home.program("java").arg(format!("-Dtls.position={position}")).arg(&source);
        java.args(["java.cfg", PIN, "rsa1", "ec1"]).patience(PATIENCE).succeed().mentions("TLS is content");
    }
    home.audits_are_whole();
}

fn java_uses_keys_that_kmss_made(home: &Kept) {
    if built::only_kmss("command") {
        return;
    }
    for (name, kind, id) in [("rsa1", "rsa:2048", "01"), ("ec1", "ec:p256", "02")] {
        home.generate(TOKEN, name, kind, id);
        home.kmss(&format!("cert self-sign {name} --token {TOKEN} --subject CN={name} --dns localhost")).succeed();
    }
    let list = keytool(home, "-list", "").succeed();
    assert!(list.text().contains("rsa1, PrivateKeyEntry"), "{list}");
    assert!(list.text().contains("ec1, PrivateKeyEntry"), "{list}");
    // Without `attributes = compatibility` Java leaves everything to the module's defaults.
    let configuration = std::fs::read_to_string(home.file("java.cfg")).unwrap();
    std::fs::write(home.file("plain.cfg"), configuration.replace("attributes = compatibility\n", "")).unwrap();
    let source = built::workspace().join("tests/java/Use.java");
    let java = home.program("java").arg(source).args(["plain.cfg", PIN, "rsa1", "ec1"]);
    java.patience(PATIENCE).succeed().mentions("Java is content");
}

fn java_agrees_by_diffie_hellman_and_shakes_hands_over_tls_with_all_secrets_in_the_token(home: &Kept) {
    if built::only_kmss("TLS") {
        return;
    }
    pair(home, "rsa1", "-keyalg RSA -keysize 2048");
    let source = built::workspace().join("tests/java/Handshake.java");
    // With and without the extended master secret, for which SunPKCS11 has no mechanism.
    for extended in ["true", "false"] {
        let java = home.program("java").arg(format!("-Djdk.tls.useExtendedMasterSecret={extended}")).arg(&source);
        java.args(["java.cfg", PIN]).patience(PATIENCE).succeed().mentions("Java is content");
    }
    home.audits_are_whole();
}
