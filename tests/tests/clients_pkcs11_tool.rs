//! OpenSC's pkcs11-tool: the first program that people try.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN};
use kmss_tests::program::{Program, needs};

const TOKEN: &str = "tool";

#[test]
fn its_own_test_finds_no_error() {
    if built::only_kmss("OAEP label") {
        return;
    }
    needs(&["pkcs11-tool"]);
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "rsa1", "rsa:2048", "01");
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    let said = home.pkcs11_tool(TOKEN, "--test").succeed();
    said.mentions("No errors");
}

#[test]
fn its_fork_and_thread_tests_pass() {
    if built::only_kmss("care for forks") {
        return;
    }
    needs(&["pkcs11-tool"]);
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    home.pkcs11_tool("", "--test-fork").succeed();
    // I: initialise, L: list slots, G: token info, S: session, T: threads; 0 ends with the next word.
    home.pkcs11_tool("", "--test-threads ILGISLT0 --test-threads ILGISLT0 --test-threads ILGISLT0").succeed();
}

#[test]
fn it_makes_lists_uses_and_deletes_keys_of_every_type() {
    needs(&["pkcs11-tool"]);
    let home = Home::with_token(TOKEN);
    std::fs::write(home.file("data"), [7_u8; 32]).unwrap();
    let mut pairs = vec![
        ("rsa:2048", "10", "RSA-PKCS", "SHA256-RSA-PKCS"),
        ("rsa:3072", "11", "RSA-PKCS", "SHA512-RSA-PKCS"),
        ("EC:prime256v1", "12", "ECDSA", "ECDSA"),
        ("EC:secp384r1", "13", "ECDSA", "ECDSA"),
        ("EC:secp521r1", "14", "ECDSA", "ECDSA"),
    ];
    if !built::stand_in() {
        pairs.push(("EC:prime256v1", "15", "ECDSA-SHA256", "ECDSA-SHA384"));
        pairs.push(("EC:edwards25519", "16", "EDDSA", "EDDSA"));
    }
    for (kind, id, one, two) in &pairs {
        home.pkcs11_tool(TOKEN, "--keypairgen").args(["--key-type", kind, "--id", id, "--label", kind]).succeed();
        for mechanism in [one, two] {
            let key = ["--id", id, "--mechanism", mechanism, "--input-file", "data"];
            home.pkcs11_tool(TOKEN, "--sign --output-file sig").args(key).succeed();
            let verified = home.pkcs11_tool(TOKEN, "--verify --signature-file sig").args(key).succeed();
            verified.mentions("Signature is valid");
        }
        // The tool itself (0.23) cannot write public keys of the other types, and for those of EC it reads memory that it freed.
        if kind.starts_with("rsa") {
            let read = home.pkcs11_tool("", "--token-label tool --read-object --type pubkey --output-file pub.der");
            read.args(["--id", id]).succeed();
        }
    }
    for size in ["16", "24", "32"] {
        let id = format!("2{}", size.chars().next().unwrap());
        home.pkcs11_tool(TOKEN, "--keygen --key-type").args([&format!("AES:{size}"), "--id", &id]).succeed();
    }
    let list = home.pkcs11_tool(TOKEN, "--list-objects").succeed().text();
    for (kind, ..) in &pairs {
        assert!(list.contains(kind), "`{kind}` is not listed:\n{list}");
    }
    assert_eq!(list.matches("Private Key Object").count(), pairs.len(), "{list}");
    assert_eq!(list.matches("Secret Key Object").count(), 3, "{list}");
    let without_login = home.pkcs11_tool("", "--token-label tool --list-objects").succeed().text();
    assert!(!without_login.contains("Private Key Object"), "private keys are listed without a login:\n{without_login}");
    home.pkcs11_tool(TOKEN, "--delete-object --type privkey --id 12").succeed();
    let list = home.pkcs11_tool(TOKEN, "--list-objects --type privkey").succeed().text();
    assert_eq!(list.matches("Private Key Object").count(), pairs.len() - 1, "{list}");
}

#[test]
fn its_signatures_convince_openssl() {
    needs(&["pkcs11-tool"]);
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "rsa1", "rsa:2048", "01");
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    std::fs::write(home.file("msg"), "what openssl shall believe").unwrap();
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line).succeed();
    for (id, mechanism, options) in [
        ("01", "SHA256-RSA-PKCS", ""),
        ("01", "SHA256-RSA-PKCS-PSS", "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1"),
        ("02", "ECDSA", ""),
    ] {
        openssl("dgst -sha256 -binary -out digest msg");
        let input = if mechanism == "ECDSA" { "digest" } else { "msg" };
        let sign = home.pkcs11_tool(TOKEN, "--sign --output-file sig --signature-format openssl");
        sign.args(["--id", id, "--mechanism", mechanism, "--input-file", input]).succeed();
        let read = if id == "02" && !built::stand_in() {
            home.kmss("key export-public ec1 --token tool --format der --out").arg(home.file("pub.der"))
        } else {
            home.pkcs11_tool("", "--token-label tool --read-object --type pubkey --output-file pub.der --id").arg(id)
        };
        read.succeed();
        openssl(&format!("dgst -sha256 {options} -verify pub.der -keyform DER -signature sig msg"));
    }
    openssl("pkeyutl -help");
    home.pkcs11_tool("", "--token-label tool --read-object --type pubkey --output-file pub.der --id 01").succeed();
    openssl("pkeyutl -encrypt -pubin -inkey pub.der -keyform DER -in msg -out sealed");
    let opened =
        home.pkcs11_tool(TOKEN, "--decrypt --mechanism RSA-PKCS --id 01 --input-file sealed --output-file opened");
    opened.succeed();
    assert_eq!(std::fs::read(home.file("opened")).unwrap(), b"what openssl shall believe");
}

#[test]
fn it_encrypts_macs_agrees_wraps_and_hashes() {
    if built::only_kmss("mechanism for each of these") {
        return;
    }
    needs(&["pkcs11-tool"]);
    let home = Home::with_token(TOKEN);
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line).succeed();
    let read = |name: &str| std::fs::read(home.file(name)).unwrap();
    let tool = |line: &str| home.pkcs11_tool(TOKEN, line).succeed();
    std::fs::write(home.file("msg"), "more than sixteen bytes of text").unwrap();
    tool("--keygen --key-type AES:32 --id 20 --label aes --extractable");
    tool("--keygen --key-type GENERIC:32 --id 21 --label mac");
    tool("--keypairgen --key-type EC:prime256v1 --id 22 --label ec --usage-derive");
    tool("--keypairgen --key-type rsa:2048 --id 23 --label rsa");
    let cbc = format!("--id 20 --mechanism AES-CBC-PAD --iv {}", "00".repeat(16));
    tool(&format!("--encrypt {cbc} --input-file msg --output-file sealed"));
    tool(&format!("--decrypt {cbc} --input-file sealed --output-file opened"));
    assert_eq!(read("opened"), read("msg"));
    tool("--sign --id 21 --mechanism SHA256-HMAC --input-file msg --output-file mac");
    tool("--verify --id 21 --mechanism SHA256-HMAC --input-file msg --signature-file mac").mentions("is valid");
    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem");
    openssl("pkey -in peer.pem -pubout -outform DER -out peer.der");
    tool("--derive --mechanism ECDH1-DERIVE --id 22 --input-file peer.der --output-file ours");
    // Not by the tool: see above.
    home.kmss("key export-public ec --token tool --format der --out").arg(home.file("ec.der")).succeed();
    openssl("pkeyutl -derive -inkey peer.pem -peerkey ec.der -peerform DER -out theirs");
    assert_eq!(read("ours"), read("theirs"));
    // Wrapped by the token, opened by openssl outside: the key that sealed the message.
    tool("--wrap --mechanism RSA-PKCS --id 23 --application-id 20 --output-file wrapped");
    tool("--unwrap --mechanism RSA-PKCS --id 23 --key-type AES: --application-id 29 --input-file wrapped");
    tool(&format!("--decrypt {} --input-file sealed --output-file again", cbc.replace("--id 20", "--id 29")));
    assert_eq!(read("again"), read("msg"));
    tool("--read-object --type pubkey --id 23 --output-file rsa.der");
    let oaep = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";
    openssl(&format!("pkeyutl -encrypt -pubin -inkey rsa.der -keyform DER {oaep} -in msg -out to-rsa"));
    let oaep = "--mechanism RSA-PKCS-OAEP --hash-algorithm SHA256 --mgf MGF1-SHA256";
    tool(&format!("--decrypt --id 23 {oaep} --input-file to-rsa --output-file from-rsa"));
    assert_eq!(read("from-rsa"), read("msg"));
    tool("--hash --mechanism SHA256 --input-file msg --output-file ours");
    openssl("dgst -sha256 -binary -out theirs msg");
    assert_eq!(read("ours"), read("theirs"));
    tool("--generate-random 100 --output-file random");
    assert_eq!(read("random").len(), 100);
    home.audit_is_whole();
}

#[test]
fn it_keeps_certificates_and_data() {
    needs(&["pkcs11-tool"]);
    let home = Home::with_token(TOKEN);
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line).succeed();
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=kept -outform DER -out c.der",
    );
    home.pkcs11_tool(TOKEN, "--write-object c.der --type cert --id 05 --label kept").succeed();
    home.pkcs11_tool("", "--token-label tool --read-object --type cert --id 05 --output-file back.der").succeed();
    assert_eq!(std::fs::read(home.file("back.der")).unwrap(), std::fs::read(home.file("c.der")).unwrap());
    home.pkcs11_tool("", "--token-label tool --list-objects --type cert").succeed().mentions("kept");
    openssl("pkey -in k.pem -outform DER -out k.der");
    home.pkcs11_tool(TOKEN, "--write-object k.der --type privkey --id 05 --label kept").succeed();
    home.pkcs11_tool(TOKEN, "--list-objects --type privkey").succeed().mentions("kept");
    std::fs::write(home.file("data"), "a note").unwrap();
    home.pkcs11_tool(TOKEN, "--write-object data --type data --label note").succeed();
    home.pkcs11_tool(TOKEN, "--read-object --type data --label note --output-file note").succeed();
    assert_eq!(std::fs::read(home.file("note")).unwrap(), b"a note");
}

#[test]
fn it_manages_tokens_and_pins() {
    needs(&["pkcs11-tool"]);
    let home = Home::new();
    home.pkcs11_tool("", "--init-token --slot-index 0 --label made").args(["--so-pin", SO_PIN]).succeed();
    let officer = home.pkcs11_tool("", "--token-label made --init-pin --login --login-type so");
    officer.args(["--so-pin", SO_PIN, "--new-pin", PIN]).succeed();
    let change = home.pkcs11_tool("", "--token-label made --change-pin --login");
    change.args(["--pin", PIN, "--new-pin", "changed-1"]).succeed();
    home.pkcs11_tool("made", "--list-objects").fail().mentions("CKR_PIN_INCORRECT");
    let listed = home.pkcs11_tool("", "--token-label made --login --list-objects").args(["--pin", "changed-1"]);
    listed.succeed();
    let slots = home.pkcs11_tool("", "--list-slots").succeed().text();
    assert!(slots.contains("made"), "{slots}");
    assert!(slots.contains("uninitialized"), "the spare slot is listed:\n{slots}");
    home.pkcs11_tool("", "--list-mechanisms --token-label made").succeed().mentions("AES-GCM");
}
