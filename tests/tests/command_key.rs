//! `kmss key`: what other programs made comes in, what they need of it goes out, and names and labels change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::{Program, Said};

const TOKEN: &str = "main";

fn openssl(home: &Home, line: &str) -> Said {
    Program::new("openssl").within(home.folder()).words(line).succeed()
}

fn import(home: &Home, file: &str, rest: &str) -> Program {
    let command = home.kmss("key import").arg(home.file(file)).within(home.folder());
    command.env("KMSS_PASSPHRASE", "secret").words(&format!("--token {TOKEN} {rest}"))
}

/// The public half as OpenSSL reads it from its own file and from the token.
fn same_public(home: &Home, private: &str, name: &str) {
    openssl(home, &format!("pkey -in {private} -passin pass:secret -pubout -out theirs.pub"));
    let export = home.kmss(&format!("key export-public {name} --token {TOKEN} --out")).arg(home.file("ours.pub"));
    export.succeed();
    let read = |file: &str| fs::read_to_string(home.file(file)).unwrap();
    assert_eq!(read("theirs.pub"), read("ours.pub"), "{name}");
}

#[test]
fn keys_in_every_form_that_openssl_writes_come_in_and_sign() {
    if built::only_kmss("key import") {
        return;
    }
    let home = Home::with_token(TOKEN);
    openssl(&home, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out r8.pem");
    openssl(&home, "rsa -in r8.pem -traditional -out r1.pem");
    openssl(&home, "ecparam -name secp384r1 -genkey -out e.pem");
    openssl(&home, "pkcs8 -topk8 -in e.pem -passout pass:secret -out enc.pem");
    openssl(&home, "pkcs8 -topk8 -v2prf hmacWithSHA1 -in e.pem -passout pass:secret -outform DER -out enc.der");
    openssl(&home, "pkcs8 -topk8 -scrypt -in r8.pem -passout pass:secret -out scrypt.pem");
    openssl(&home, "pkcs8 -topk8 -nocrypt -in e.pem -outform DER -out plain.der");
    openssl(&home, "genpkey -algorithm ed25519 -out ed.pem");
    openssl(&home, "genpkey -algorithm x25519 -out x.pem");
    openssl(&home, "ecparam -name SM2 -genkey -out sm2.pem");
    let files =
        ["r8.pem", "r1.pem", "e.pem", "enc.pem", "enc.der", "scrypt.pem", "plain.der", "ed.pem", "x.pem", "sm2.pem"];
    for (n, file) in files.iter().enumerate() {
        let name = format!("k{n}");
        import(&home, file, &format!("--name {name} --id {n:02x}")).succeed();
        same_public(&home, file, &name);
    }
    fs::write(home.file("msg"), "text").unwrap();
    let sign = "--sign --id 00 --mechanism SHA256-RSA-PKCS --input-file msg --output-file sig";
    home.pkcs11_tool(TOKEN, sign).succeed();
    openssl(&home, "pkey -in r8.pem -pubout -out r.pub");
    openssl(&home, "dgst -sha256 -verify r.pub -signature sig msg");
    // Both halves are there, and the private one is as careful as one made here, but for its past.
    let parts = json_items(&home.kmss(&format!("key show k0 --token {TOKEN} --json")).succeed());
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!((&parts[0]["sensitive"], &parts[0]["extractable"]), (&true.into(), &false.into()));
    assert_eq!(parts[0]["local"], false);
    home.audit_is_whole();
}

#[test]
fn what_cannot_be_imported_is_refused_with_a_sentence_and_leaves_nothing() {
    if built::only_kmss("key import") {
        return;
    }
    let home = Home::with_token(TOKEN);
    openssl(&home, "ecparam -name prime256v1 -genkey -noout -out e.pem");
    openssl(&home, "pkcs8 -topk8 -in e.pem -passout pass:secret -out enc.pem");
    openssl(&home, "ec -in e.pem -aes128 -passout pass:secret -out old.pem");
    openssl(&home, "dsaparam -genkey -out dsa.pem 1024");
    openssl(&home, "pkey -in dsa.pem -out dsa8.pem");
    fs::write(home.file("noise"), [0x30; 100]).unwrap();
    fs::write(home.file("short"), [7; 15]).unwrap();
    fs::write(home.file("jwk"), r#"{"kty":"EC","crv":"P-256","d":"top secret","x":"","y":""}"#).unwrap();
    import(&home, "enc.pem", "--name k").env("KMSS_PASSPHRASE", "wrong").fail().mentions("passphrase is wrong");
    import(&home, "old.pem", "--name k").fail().mentions("pkcs8 -topk8");
    import(&home, "dsa8.pem", "--name k").fail().mentions("DSA");
    import(&home, "noise", "--name k").fail().mentions("no key");
    import(&home, "short", "--name k --raw --type aes").fail();
    import(&home, "short", "--name k --raw").fail();
    import(&home, "e.pem", "").fail().mentions("--name");
    import(&home, "e.pem", "--name k --usage fly").fail().mentions("fly");
    import(&home, "missing", "--name k").fail().mentions("missing");
    let said = import(&home, "jwk", "--name k").fail().all();
    assert!(!said.contains("top secret"), "{said}");
    assert!(json_items(&home.kmss(&format!("key list --token {TOKEN} --json")).succeed()).is_empty());
    import(&home, "e.pem", "--name k").succeed();
    import(&home, "e.pem", "--name k").fail().mentions("exists already");
}

#[test]
fn a_pkcs12_file_brings_its_certificates_and_ties_them_to_the_key() {
    if built::only_kmss("key import") {
        return;
    }
    let home = Home::with_token(TOKEN);
    openssl(&home, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=authority -out ca.pem");
    openssl(&home, "req -newkey rsa:2048 -nodes -keyout k.key -subj /CN=leaf -out k.csr");
    openssl(&home, "x509 -req -in k.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out k.pem");
    let pack = "pkcs12 -export -inkey k.key -in k.pem -certfile ca.pem -name friendly -passout pass:secret";
    openssl(&home, &format!("{pack} -out k.p12"));
    openssl(&home, &format!("{pack} -legacy -out old.p12"));
    import(&home, "old.p12", "--name old").fail().mentions("openssl pkcs12");
    import(&home, "k.p12", "").env("KMSS_PASSPHRASE", "wrong").fail().mentions("passphrase is wrong");
    import(&home, "k.p12", "").succeed().mentions("friendly");
    let key = json_items(&home.kmss(&format!("key list --token {TOKEN} --json")).succeed());
    let certificates = json_items(&home.kmss(&format!("cert list --token {TOKEN} --json")).succeed());
    assert_eq!((key.len(), certificates.len()), (1, 2));
    let of = |cn: &str| certificates.iter().find(|c| c["subject"] == format!("CN={cn}")).unwrap();
    assert_eq!(of("leaf")["cka_id"], key[0]["cka_id"]);
    assert_ne!(of("authority")["cka_id"], key[0]["cka_id"]);
    // What came in goes out again, byte by byte.
    let export = home.kmss(&format!("cert export friendly --token {TOKEN} --out")).arg(home.file("out.pem"));
    export.succeed();
    let der = |file: &str| openssl(&home, &format!("x509 -in {file} -outform PEM")).text();
    assert_eq!(der("k.pem"), der("out.pem"));
    home.kmss(&format!("cert export nobody --token {TOKEN}")).fail().mentions("nobody");
}

#[test]
fn json_web_keys_and_bare_bytes_come_in_with_the_uses_they_name() {
    if built::only_kmss("key import") {
        return;
    }
    let home = Home::with_token(TOKEN);
    // RFC 8037, A.1, and RFC 7515, A.1.1.
    let ed = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed","key_ops":["sign","verify"],
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let mac = r#"{"kty":"oct","alg":"HS256","kid":"mac",
        "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    fs::write(home.file("ed.jwk"), ed).unwrap();
    fs::write(home.file("mac.jwk"), mac).unwrap();
    fs::write(home.file("aes"), [7; 32]).unwrap();
    import(&home, "ed.jwk", "").succeed();
    import(&home, "mac.jwk", "--usage sign").succeed();
    import(&home, "aes", "--name aes --raw --type aes --usage encrypt,decrypt --extractable").succeed();
    let show = |name: &str| json_items(&home.kmss(&format!("key show {name} --token {TOKEN} --json")).succeed());
    assert_eq!(show("ed")[0]["uses"], serde_json::json!(["sign"]));
    assert_eq!(show("mac")[0]["uses"], serde_json::json!(["sign"]));
    assert_eq!(show("aes")[0]["uses"], serde_json::json!(["encrypt", "decrypt"]));
    assert_eq!(show("aes")[0]["extractable"], true);
    let public = home.kmss(&format!("key export-public ed --token {TOKEN} --format jwk")).succeed();
    public.mentions("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    home.kmss(&format!("key export-public aes --token {TOKEN}")).fail().mentions("secret key");
}

#[test]
fn openssh_reads_the_public_halves_it_knows() {
    if built::only_kmss("key export-public") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for (name, kind) in [("r", "rsa:2048"), ("e", "ec:p256"), ("f", "ec:p521"), ("d", "ed25519")] {
        home.generate(TOKEN, name, kind, "01");
        let export = home.kmss(&format!("key export-public {name} --token {TOKEN} --format ssh --out"));
        export.arg(home.file("key.pub")).succeed();
        let print = Program::new("ssh-keygen").within(home.folder()).words("-l -f key.pub").succeed();
        print.mentions("SHA256:").mentions(name);
    }
    home.generate(TOKEN, "s", "sm2", "02");
    home.kmss(&format!("key export-public s --token {TOKEN} --format ssh")).fail().mentions("OpenSSH");
    home.kmss(&format!("key export-public s --token {TOKEN} --format jwk")).fail();
    home.kmss(&format!("key export-public s --token {TOKEN} --format pem")).succeed().mentions("PUBLIC KEY");
}

#[test]
fn a_label_changes_without_the_name_and_a_name_without_the_label() {
    if built::only_kmss("key label") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "e", "ec:p256", "01");
    home.generate(TOKEN, "other", "ec:p256", "02");
    home.kmss(&format!("key label e --token {TOKEN} shown")).succeed();
    home.kmss(&format!("key show e --token {TOKEN}")).succeed().mentions("shown");
    home.pkcs11_tool(TOKEN, "--list-objects").succeed().mentions("shown");
    home.kmss(&format!("key rename e --token {TOKEN} billing")).succeed();
    home.kmss(&format!("key show e --token {TOKEN}")).fail();
    let parts = json_items(&home.kmss(&format!("key show billing --token {TOKEN} --json")).succeed());
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert!(parts.iter().all(|p| p["label"] == "shown"), "{parts:?}");
    home.kmss(&format!("key rename billing --token {TOKEN} other")).fail().mentions("other");
    let trail: String = home.audit(20).iter().map(ToString::to_string).collect();
    assert!(trail.contains("manage"), "{trail}");
    home.audit_is_whole();
}
