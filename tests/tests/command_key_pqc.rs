//! `kmss key import` of post-quantum and Diffie-Hellman keys that OpenSSL made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::p11::keys::der;
use kmss_tests::program::{Program, Said};

const TOKEN: &str = "main";

fn openssl(home: &Home, line: &str) -> Said {
    Program::new("openssl").within(home.folder()).words(line).succeed()
}

fn import(home: &Home, file: &str, rest: &str) -> Program {
    let command = home.kmss("key import").arg(home.file(file)).within(home.folder());
    command.env("KMSS_PASSPHRASE", "secret").words(&format!("--token {TOKEN} {rest}"))
}

/// A file of `tests/vectors/openssl-3.5`.
fn vector(file: &str) -> PathBuf {
    built::workspace().join("tests/vectors/openssl-3.5").join(file)
}

fn public_of(home: &Home, name: &str) -> String {
    home.kmss(&format!("key export-public {name} --token {TOKEN}")).succeed().text()
}

/// What is in a DER element, and what follows it.
fn opened(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (start, len) = match bytes[1] {
        0x82 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        0x81 => (3, usize::from(bytes[2])),
        len => (2, usize::from(len)),
    };
    (&bytes[start..start + len], &bytes[start + len..])
}

/// Seed and expanded key of a PrivateKeyInfo that has both, and its algorithm with the version before it.
fn halves(home: &Home, name: &str) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let pem = fs::read_to_string(vector(&format!("{name}.pem"))).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    fs::write(home.file("base64"), base64 + "\n").unwrap();
    openssl(home, "base64 -d -A -in base64 -out whole.der");
    let whole = fs::read(home.file("whole.der")).unwrap();
    let (info, _) = opened(&whole);
    let (_, after_version) = opened(info);
    let (_, key) = opened(after_version);
    let head = info[..info.len() - key.len()].to_vec();
    let (inner, _) = opened(opened(key).0);
    let (seed, rest) = opened(inner);
    (seed.to_vec(), opened(rest).0.to_vec(), head)
}

#[test]
fn post_quantum_keys_of_openssl_come_in_in_every_form() {
    if built::only_kmss("key import") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for (name, shown) in [("ml-dsa-44", "ML-DSA-44"), ("ml-kem-512", "ML-KEM-512")] {
        let theirs = fs::read_to_string(vector(&format!("{name}.pub"))).unwrap();
        let (seed, value, head) = halves(&home, name);
        let forms = [
            ("both", der(0x30, &[der(4, &seed), der(4, &value)].concat())),
            ("seed", der(0x80, &seed)),
            ("value", der(4, &value)),
            ("bare-seed", seed.clone()),
            ("bare-value", value.clone()),
        ];
        for (form, inner) in forms {
            let key = format!("{name}-{form}");
            fs::write(home.file(&key), der(0x30, &[head.clone(), der(4, &inner)].concat())).unwrap();
            import(&home, &key, &format!("--name {key}")).succeed().mentions(shown);
            assert_eq!(public_of(&home, &key), theirs, "{key}");
        }
        // As OpenSSL wrote it, and the public half alone.
        fs::copy(vector(&format!("{name}.pem")), home.file("whole.pem")).unwrap();
        import(&home, "whole.pem", &format!("--name {name}-whole")).succeed();
        fs::copy(vector(&format!("{name}.pub")), home.file("whole.pub")).unwrap();
        import(&home, "whole.pub", &format!("--name {name}-public")).succeed();
        assert_eq!(public_of(&home, &format!("{name}-whole")), theirs);
        assert_eq!(public_of(&home, &format!("{name}-public")), theirs);
        // A seed of another key, and lengths that the set does not have.
        let mut other = seed.clone();
        other[0] ^= 1;
        let both = der(0x30, &[der(4, &other), der(4, &value)].concat());
        for inner in [both, der(0x80, &seed[1..]), der(4, &value[1..]), der(4, b""), Vec::new()] {
            fs::write(home.file("damaged"), der(0x30, &[head.clone(), der(4, &inner)].concat())).unwrap();
            import(&home, "damaged", "--name damaged").fail();
        }
        let kept = home.kmss(&format!("key list --token {TOKEN}")).succeed().text();
        assert!(!kept.contains("damaged"), "{kept}");
    }
    fs::copy(vector("slh-dsa-sha2-128f.pem"), home.file("slh.pem")).unwrap();
    import(&home, "slh.pem", "--name slh").succeed().mentions("SLH-DSA-SHA2-128f");
    assert_eq!(public_of(&home, "slh"), fs::read_to_string(vector("slh-dsa-sha2-128f.pub")).unwrap());
    fs::copy(vector("ml-kem-512.enc.pem"), home.file("enc.pem")).unwrap();
    import(&home, "enc.pem", "--name enc").env("KMSS_PASSPHRASE", "wrong").fail().mentions("passphrase is wrong");
    import(&home, "enc.pem", "--name enc").succeed();
    let parts = json_items(&home.kmss(&format!("key show enc --token {TOKEN} --json")).succeed());
    assert_eq!((parts.len(), &parts[0]["uses"]), (2, &serde_json::json!(["decapsulate"])));
    home.audit_is_whole();
}

#[test]
fn diffie_hellman_keys_come_in_where_their_group_has_a_name() {
    if built::only_kmss("key import") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let files = [
        ("ffdhe", "genpkey -algorithm DH -pkeyopt group:ffdhe3072 -out ffdhe.pem", "DH ffdhe3072"),
        ("modp", "genpkey -algorithm DH -pkeyopt group:modp_2048 -out modp.pem", "DH modp2048"),
        ("dhx", "genpkey -algorithm DHX -pkeyopt group:ffdhe2048 -out dhx.pem", "DH ffdhe2048"),
    ];
    for (name, made, shown) in files {
        openssl(&home, made);
        import(&home, &format!("{name}.pem"), &format!("--name {name}")).succeed().mentions(shown);
        openssl(&home, &format!("pkey -in {name}.pem -pubout -out {name}.pub"));
        import(&home, &format!("{name}.pub"), &format!("--name {name}-public")).succeed();
        assert_eq!(public_of(&home, name), public_of(&home, &format!("{name}-public")));
        fs::write(home.file("ours.pub"), public_of(&home, name)).unwrap();
        // OpenSSL finds its own value in what we tell, whatever it calls the algorithm.
        let value = |file: &str| {
            let text = openssl(&home, &format!("pkey -pubin -in {file} -noout -text")).text();
            let text = text.split("public-key:").nth(1).unwrap().to_owned();
            let digits = text.lines().skip(1).take_while(|line| line.starts_with("    ") && line.contains(':'));
            digits.map(str::trim).collect::<String>()
        };
        assert!(value("ours.pub").len() > 500);
        assert_eq!(value("ours.pub"), value(&format!("{name}.pub")));
    }
    openssl(&home, "pkcs8 -topk8 -in ffdhe.pem -passout pass:secret -outform DER -out enc.der");
    import(&home, "enc.der", "--name enc").succeed();
    assert_eq!(public_of(&home, "enc"), public_of(&home, "ffdhe"));
    openssl(&home, "genpkey -algorithm DHX -pkeyopt dh_rfc5114:2 -out nameless.pem");
    import(&home, "nameless.pem", "--name k").fail().mentions("group of its own").mentions("ffdhe2048");
    openssl(&home, "pkey -in ffdhe.pem -outform DER -out whole.der");
    let whole = fs::read(home.file("whole.der")).unwrap();
    fs::write(home.file("cut.der"), &whole[..whole.len() - 20]).unwrap();
    import(&home, "cut.der", "--name k").fail();
    home.audit_is_whole();
}

#[test]
fn what_is_not_known_is_named() {
    if built::only_kmss("key import") {
        return;
    }
    let home = Home::with_token(TOKEN);
    // Falcon-512 and Dilithium2 of the drafts, by OID alone.
    let old = [
        ("drafts", &[0x06, 0x05, 0x2b, 0xce, 0x0f, 0x03, 0x0b][..], "draft"),
        ("dilithium", &[0x06, 0x0b, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x02, 0x82, 0x0b, 0x07, 0x04, 0x04][..], "draft"),
        ("gost", &[0x06, 0x08, 0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x01, 0x01][..], "GOST"),
    ];
    for (name, oid, word) in old {
        let info = der(0x30, &[&[2, 1, 0][..], &der(0x30, oid), &der(4, &[7; 32])].concat());
        fs::write(home.file(name), info).unwrap();
        import(&home, name, "--name k").fail().mentions(word);
    }
    assert!(json_items(&home.kmss(&format!("key list --token {TOKEN} --json")).succeed()).is_empty());
}
