//! The `kmss` command, and what it shares with the module: both suites, homes of a group, configuration, principals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, json_items};
use kmss_tests::openssl::{ENGINE, configuration_text, key_uri};
use kmss_tests::program::Program;

const TOKEN: &str = "main";

/// The module on a home that neither KMSS_HOME nor anything else names.
fn without_environment(home: &Home, program: Program) -> Program {
    program.env("KMSS_PIN", PIN).env("HOME", home.folder()).within(home.folder())
}

#[test]
fn both_suites_carry_the_whole_thread() {
    if built::only_kmss("suites") {
        return;
    }
    for suite in ["nist", "gm"] {
        let home = Home::new();
        home.kmss(&format!("home init --suite {suite}")).succeed();
        home.init_token(TOKEN);
        for (name, kind, id) in
            [("r", "rsa:2048", "01"), ("e", "ec:p384", "02"), ("s", "sm2", "03"), ("a", "aes:256", "04")]
        {
            home.generate(TOKEN, name, kind, id);
        }
        fs::write(home.file("digest"), [7; 48]).unwrap();
        let sign = home.pkcs11_tool(TOKEN, "--sign --id 02 --mechanism ECDSA --input-file digest --output-file sig");
        sign.succeed();
        let verify =
            home.pkcs11_tool(TOKEN, "--verify --id 02 --mechanism ECDSA --input-file digest --signature-file sig");
        verify.succeed();
        home.kmss("audit verify").succeed();
        home.kmss("doctor --module").arg(built::module()).succeed().mentions(suite);
        home.kmss(&format!("key list --token {TOKEN}")).succeed().mentions("SM2");
    }
}

#[test]
fn tokens_are_made_listed_shown_repinned_and_deleted() {
    if built::only_kmss("command") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.kmss(&format!("token init {TOKEN}")).fail().mentions("exists already");
    home.init_token("other");
    let listed = json_items(&home.kmss("token list --json").succeed());
    assert_eq!(listed.len(), 2, "{listed:?}");
    home.kmss("token show other").succeed().mentions("other");
    home.kmss("token show nobody").fail();
    home.kmss(&format!("token set-pin {TOKEN}")).env("KMSS_NEW_PIN", "changed-1").succeed();
    home.pkcs11_tool(TOKEN, "--list-objects").fail().mentions("CKR_PIN_INCORRECT");
    home.kmss(&format!("token set-pin {TOKEN} --reset")).env("KMSS_NEW_PIN", PIN).succeed();
    home.pkcs11_tool(TOKEN, "--list-objects").succeed();
    home.kmss("token delete other --yes").succeed();
    let slots = home.pkcs11_tool("", "--list-slots").succeed().text();
    assert!(!slots.contains(": other"), "{slots}");
    home.audit_is_whole();
}

#[test]
fn keys_of_every_type_are_made_and_described_without_their_secrets() {
    if built::only_kmss("command") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let kinds = [
        "rsa:2048", "ec:p256", "ec:p384", "ec:p521", "ed25519", "x25519", "aes:128", "aes:256", "sm2", "sm4",
        "hmac:256",
    ];
    for (n, kind) in kinds.iter().enumerate() {
        home.generate(TOKEN, &format!("key-{n}"), kind, &format!("{n:02x}"));
    }
    let listed = json_items(&home.kmss(&format!("key list --token {TOKEN} --json")).succeed());
    assert_eq!(listed.len(), kinds.len(), "{listed:#?}");
    let tool = home.pkcs11_tool(TOKEN, "--list-objects").succeed().text();
    for n in 0..kinds.len() {
        assert!(tool.contains(&format!("key-{n}")), "key-{n} is hidden from pkcs11-tool:\n{tool}");
    }
    home.kmss(&format!("key generate key-0 --token {TOKEN} --type rsa:2048")).fail().mentions("key-0");
    home.kmss(&format!("key generate odd --token {TOKEN} --type rsa:512")).fail();
    home.kmss(&format!("key generate odd --token {TOKEN} --type ec:p999")).fail();
    home.kmss(&format!("key show nobody --token {TOKEN}")).fail().mentions("nobody");
    home.kmss(&format!("key disable key-0 --token {TOKEN}")).env("KMSS_SO_PIN", "not the officer").fail();
}

#[test]
fn certificates_are_requested_signed_imported_and_listed() {
    if built::only_kmss("command") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line).succeed();
    for (name, kind, id) in [("r", "rsa:2048", "01"), ("e", "ec:p256", "02"), ("d", "ed25519", "03")] {
        home.generate(TOKEN, name, kind, id);
        let out = home.file(&format!("{name}.pem"));
        let request =
            home.kmss(&format!("cert request {name} --token {TOKEN} --subject CN={name}.test --dns {name}.test --out"));
        request.arg(&out).succeed();
        openssl(&format!("req -verify -noout -in {name}.pem"));
        let sign =
            home.kmss(&format!("cert self-sign {name} --token {TOKEN} --subject CN=localhost --dns localhost --out"));
        sign.arg(&out).succeed();
        openssl(&format!("verify -CAfile {name}.pem {name}.pem"));
        openssl(&format!("x509 -in {name}.pem -noout -text -checkhost localhost")).mentions("does match");
    }
    // A certificate that somebody else issued comes back into the token.
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -subj /CN=ca -out ca.pem");
    home.kmss(&format!("cert request r --token {TOKEN} --subject CN=issued --out")).arg(home.file("r.csr")).succeed();
    openssl("x509 -req -in r.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out issued.pem");
    let import = home.kmss("cert import").arg(home.file("issued.pem"));
    import.words(&format!("--token {TOKEN} --name r")).succeed();
    let listed = home.kmss(&format!("cert list --token {TOKEN}")).succeed();
    listed.mentions("localhost").mentions("issued");
    home.pkcs11_tool("", &format!("--token-label {TOKEN} --list-objects --type cert"))
        .succeed()
        .mentions("Certificate Object");
}

#[test]
fn a_home_of_a_group_serves_its_members_and_nobody_else() {
    if built::only_kmss("home of a group") {
        return;
    }
    if !built::is_root() {
        built::skipped("programs of other users take root");
        return;
    }
    let home = Home::new();
    home.kmss("home init --group www-data").succeed();
    home.init_token(TOKEN);
    home.generate(TOKEN, "e", "ec:p256", "02");
    let mode = fs::metadata(home.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o2770);
    // Others cannot reach the module where it was built; a copy in the test's folder will do.
    let module = home.file("libkmss.so");
    fs::copy(built::module(), &module).unwrap();
    fs::set_permissions(&module, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(home.folder(), Permissions::from_mode(0o1777)).unwrap();
    let (www_data, nobody) = (33, 65534);
    let tool = |uid: u32| {
        let tool = Program::new("pkcs11-tool").envs(&home.variables()).within(home.folder()).as_user(uid, uid);
        tool.arg("--module").arg(&module).words("--login --pin").arg(PIN).args(["--token-label", TOKEN])
    };
    fs::write(home.file("digest"), [7; 32]).unwrap();
    fs::set_permissions(home.file("digest"), Permissions::from_mode(0o644)).unwrap();
    tool(www_data).words("--sign --id 02 --mechanism ECDSA --input-file digest --output-file sig").succeed();
    tool(www_data).words("--keypairgen --key-type EC:prime256v1 --id 03 --label theirs").succeed();
    tool(nobody).words("--list-objects").fail();
    // The owner goes on, and reads what the member did.
    home.kmss(&format!("key list --token {TOKEN}")).succeed().mentions("theirs");
    home.audit_is_whole();
    let trail: String = home.audit(50).iter().map(ToString::to_string).collect();
    assert!(trail.contains("user:www-data"), "{trail}");
    // A home that others can write is refused.
    fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
    home.kmss("token list").fail();
    home.pkcs11_tool(TOKEN, "--list-objects").fail();
}

#[test]
fn the_configuration_names_the_home_and_who_the_caller_is() {
    if built::only_kmss("configuration") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "e", "ec:p256", "02");
    let conf = home.file("kmss.toml");
    let tool = fs::canonicalize("/usr/bin/pkcs11-tool").unwrap();
    let rule = format!(
        "[[principal]]\nexecutable = \"{}\"\ntoken = \"{TOKEN}\"\nname = \"service:order-v1\"\n",
        tool.display()
    );
    fs::write(&conf, format!("home = \"{}\"\n{rule}", home.path().display())).unwrap();
    fs::write(home.file("digest"), [7; 32]).unwrap();
    let sign = || {
        let tool = without_environment(&home, Program::new("pkcs11-tool")).arg("--module").arg(built::module());
        let tool = tool.words("--login --pin").arg(PIN).args(["--token-label", TOKEN]);
        tool.words("--sign --id 02 --mechanism ECDSA --input-file digest --output-file sig")
    };
    sign().env("KMSS_CONF", &conf).succeed();
    let trail: String = home.audit(10).iter().map(ToString::to_string).collect();
    assert!(trail.contains("service:order-v1"), "{trail}");
    // The user's own file is found without any variable.
    let own = home.file(".config/kmss");
    fs::create_dir_all(&own).unwrap();
    fs::copy(&conf, own.join("kmss.toml")).unwrap();
    sign().succeed();
    // A file that others can write has no say.
    fs::set_permissions(&conf, Permissions::from_mode(0o666)).unwrap();
    sign().env("KMSS_CONF", &conf).fail();
    fs::set_permissions(&conf, Permissions::from_mode(0o600)).unwrap();
    // An unknown field is refused with its line.
    fs::write(&conf, format!("home = \"{}\"\n\nhoem = 1\n", home.path().display())).unwrap();
    let refused =
        without_environment(&home, Program::new(built::command())).env("KMSS_CONF", &conf).words("token list").fail();
    refused.mentions("line 3").mentions("hoem");
    sign().env("KMSS_CONF", &conf).fail();
}

#[test]
fn the_snippets_it_prints_work_as_they_stand() {
    if built::only_kmss("command") || !std::path::Path::new(ENGINE).exists() {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "r", "rsa:2048", "01");
    fs::write(home.file("msg"), "text").unwrap();
    let print = |client: &str| {
        let command = home.kmss(&format!("config {client} --token {TOKEN} --key r --module"));
        command.arg(built::module()).succeed().text()
    };
    fs::write(home.file("snippet.cnf"), print("openssl")).unwrap();
    let uri = format!("{};pin-value={PIN}", key_uri(TOKEN, "r"));
    let sign = |configuration: &str| {
        let openssl = home.program("openssl").env("OPENSSL_CONF", home.file(configuration));
        openssl.words(&format!("dgst -sha256 -engine pkcs11 -keyform engine -sign {uri} -out sig msg"))
    };
    sign("snippet.cnf").succeed();
    // The tests' own configuration and the printed one lead to the same module.
    fs::write(home.file("own.cnf"), configuration_text(&built::module())).unwrap();
    sign("own.cnf").succeed();
    home.kmss(&format!("cert self-sign r --token {TOKEN} --subject CN=r --dns localhost")).succeed();
    fs::write(home.file("java.cfg"), print("java")).unwrap();
    let keytool = home.program("keytool").words("-list -keystore NONE -storetype PKCS11 -storepass").arg(PIN);
    keytool.words("-addprovider SunPKCS11 -providerArg java.cfg").succeed().mentions("r, PrivateKeyEntry");
    let (openssl, nginx) = (print("openssl"), print("nginx"));
    let module = format!("#   pkcs11-module-path = {}", built::module().display());
    for printed in [&openssl, &nginx] {
        for wanted in ["#   pkcs11 = pkcs11_provider", "#   [pkcs11_provider]", module.as_str()] {
            assert!(printed.lines().any(|line| line == wanted), "`{wanted}` is not in:\n{printed}");
        }
    }
    let key = key_uri(TOKEN, "r");
    let (engine, store) = (format!("\"engine:pkcs11:{key}\";"), format!("\"store:{key}\";"));
    for wanted in ["ssl_engine pkcs11;", engine.as_str(), store.as_str(), "nginx 1.29.0"] {
        assert!(nginx.contains(wanted), "`{wanted}` is not in:\n{nginx}");
    }
}

#[test]
fn no_pin_ever_appears_in_what_it_prints_or_records() {
    if built::only_kmss("command") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "e", "ec:p256", "02");
    let wrong = "wrong-but-secret";
    let mut said = home.kmss(&format!("key list --token {TOKEN}")).env("KMSS_PIN", wrong).fail().all();
    said += &home.kmss("doctor").run().all();
    said += &home.kmss(&format!("key list --token {TOKEN} --json")).succeed().all();
    said += &home.kmss("audit tail -n 100 --json").succeed().all();
    for secret in [wrong, PIN, kmss_tests::home::SO_PIN] {
        assert!(!said.contains(secret), "`{secret}` was printed:\n{said}");
    }
    assert!(said.contains("login") || said.contains("authenticate"), "a wrong PIN is in the trail:\n{said}");
}
