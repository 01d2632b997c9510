//! `kmss import` and `kmss export`: keys under keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::{Program, needs};
use kmss_tests::softhsm::Vault;

fn skip() -> bool {
    if built::only_kmss("importing wrapped keys") {
        return true;
    }
    needs(&["openssl"]);
    false
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(words).within(home.folder())
}

fn openssl(home: &Home, words: &str) {
    home.program("openssl").words(words).succeed();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Wraps a file under `wrap.pem` as OpenSSL does it.
fn wrap(home: &Home, file: &str, hash: &str, bits: usize) {
    openssl(home, &format!("rand -out between {}", bits / 8));
    let oaep = format!("-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{hash} -pkeyopt rsa_mgf1_md:{hash}");
    openssl(home, &format!("pkeyutl -encrypt -pubin -inkey wrap.pem -in between -out first {oaep}"));
    let between = hex(&fs::read(home.file("between")).unwrap());
    openssl(home, &format!("enc -id-aes{bits}-wrap-pad -iv A65959A6 -K {between} -in {file} -out second"));
    let whole = [fs::read(home.file("first")).unwrap(), fs::read(home.file("second")).unwrap()].concat();
    fs::write(home.file("wrapped"), whole).unwrap();
}

#[test]
fn what_openssl_wraps_comes_in_and_the_wrapping_key_goes() {
    if skip() {
        return;
    }
    let home = Home::with_token("main");
    fs::write(home.file("value"), [7_u8; 32]).unwrap();
    openssl(&home, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -outform DER -out rsa.der");
    openssl(&home, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    openssl(&home, "pkcs8 -topk8 -nocrypt -in ec.pem -outform DER -out ec.der");
    openssl(&home, "pkcs8 -topk8 -nocrypt -in rsa.der -inform DER -outform DER -out rsa8.der");
    let cases = [
        ("value", "aes", "sha256", 256, "rsa:3072"),
        ("rsa8.der", "rsa", "sha1", 128, "rsa:3072"),
        ("ec.der", "ec", "sha512", 256, "rsa:4096"),
    ];
    for (file, key_type, hash, bits, kind) in cases {
        kmss(&home, &format!("import begin w --token main --type {kind} --out wrap.pem")).succeed();
        wrap(&home, file, hash, bits);
        let finish = format!(
            "import finish wrapped --token main --with w --name {key_type} --type {key_type} --oaep {hash} --aes {bits}"
        );
        kmss(&home, &finish).succeed().mentions("destroyed");
        kmss(&home, "key show w --token main").fail();
        kmss(&home, &finish.replace("--name ", "--name x")).fail().mentions("no wrapping key");
    }
    // They are what they were.
    fs::write(home.file("plain"), "said").unwrap();
    for name in ["rsa", "ec"] {
        kmss(&home, &format!("key export-public {name} --token main --out {name}.pub")).succeed();
        kmss(&home, &format!("sign {name} --token main plain --out signature")).succeed();
    }
    openssl(&home, "dgst -sha256 -verify ec.pub -signature signature plain");
    openssl(&home, "pkey -in ec.pem -pubout -out expected");
    assert_eq!(fs::read(home.file("expected")).unwrap(), fs::read(home.file("ec.pub")).unwrap());
    kmss(&home, "encrypt aes --token main plain --out sealed").succeed();
    let said = kmss(&home, "key show aes --token main --json").succeed();
    assert!(!said.text().is_empty());
    home.audit_is_whole();
}

#[test]
fn a_wrapping_key_unwraps_alone_and_ends() {
    if skip() {
        return;
    }
    let home = Home::with_token("main");
    kmss(&home, "import begin w --token main --days 0 --out wrap.pem").succeed();
    let shown = kmss(&home, "key show w --token main --json").succeed();
    let key = json_items(&shown).into_iter().find(|key| key["class"] == "private").unwrap();
    assert_eq!(key["extractable"], false, "{key}");
    fs::write(home.file("plain"), "said").unwrap();
    kmss(&home, "sign w --token main plain --out s").fail();
    kmss(&home, "import begin w --token main --out other.pem").fail().mentions("exists already");
    kmss(&home, "import begin x --token main --days 31 --out other.pem").fail();
    // Another mechanism finds no ear, whoever asks.
    fs::write(home.file("value"), [7_u8; 32]).unwrap();
    openssl(&home, "pkeyutl -encrypt -pubin -inkey wrap.pem -in value -out wrapped -pkeyopt rsa_padding_mode:pkcs1");
    kmss(&home, "import finish wrapped --token main --with w --name k").fail();
    wrap(&home, "value", "sha256", 256);
    let whole = fs::read(home.file("wrapped")).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    for bad in [changed, whole[..whole.len() - 8].to_vec(), whole[..384].to_vec(), Vec::new()] {
        fs::write(home.file("wrapped"), bad).unwrap();
        kmss(&home, "import finish wrapped --token main --with w --name k").fail();
        kmss(&home, "key show k --token main").fail();
    }
    fs::write(home.file("wrapped"), &whole).unwrap();
    kmss(&home, "import finish wrapped --token main --with w --name k --keep").succeed();
    kmss(&home, "import finish wrapped --token main --with w --name k2").succeed();
}

/// A DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = match content.len() {
        len @ ..=127 => vec![u8::try_from(len).unwrap()],
        len => vec![0x81, u8::try_from(len).unwrap()],
    };
    [vec![tag], len, content.to_vec()].concat()
}

#[test]
fn an_sm2_envelope_comes_in_and_only_with_its_own_public_key() {
    if skip() {
        return;
    }
    let home = Home::with_token("main");
    kmss(&home, "import begin w --token main --type sm2 --out wrap.pem").succeed();
    openssl(&home, "ecparam -name SM2 -genkey -noout -out sm2.pem");
    openssl(&home, "ec -in sm2.pem -outform DER -out sm2.der");
    openssl(&home, "ec -in sm2.pem -pubout -outform DER -out sm2.spki");
    let private = fs::read(home.file("sm2.der")).unwrap();
    let spki = fs::read(home.file("sm2.spki")).unwrap();
    // SEC 1: version, then 32 bytes.
    let at = private.windows(2).position(|w| w == [4, 32]).unwrap() + 2;
    fs::write(home.file("scalar"), &private[at..at + 32]).unwrap();
    openssl(&home, "rand -out sm4 16");
    let sm4 = hex(&fs::read(home.file("sm4")).unwrap());
    openssl(&home, &format!("enc -sm4-ecb -nopad -K {sm4} -in scalar -out sealed"));
    openssl(&home, "pkeyutl -encrypt -pubin -inkey wrap.pem -in sm4 -out cipher -pkeyopt digest:sm3");
    let envelope = |point: &[u8]| {
        let oid = der(6, &[0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x68, 0x01]);
        let algorithm = der(0x30, &[oid, vec![5, 0]].concat());
        let sealed = fs::read(home.file("sealed")).unwrap();
        let bits = |bytes: &[u8]| der(3, &[&[0], bytes].concat());
        der(0x30, &[algorithm, fs::read(home.file("cipher")).unwrap(), bits(point), bits(&sealed)].concat())
    };
    let point = &spki[spki.len() - 65..];
    let mut other = point.to_vec();
    other[64] ^= 1;
    fs::write(home.file("envelope"), envelope(&other)).unwrap();
    kmss(&home, "import finish envelope --token main --with w --name mine").fail().mentions("does not open");
    kmss(&home, "key show mine --token main").fail();
    // It was not here, not even for a moment.
    let records = home.audit(100);
    let about_it = |record: &&serde_json::Value| {
        let action = record["action"].as_str().unwrap_or_default();
        (action == "import" || action == "destroy") && record.to_string().contains("\"mine\"")
    };
    assert_eq!(records.iter().find(about_it), None);
    // A key of theirs that decrypts, too, is no wrapping key.
    kmss(&home, "key import sm2.pem --token main --name theirs --usage decrypt").succeed();
    kmss(&home, "import finish envelope --token main --with theirs --name mine").fail().mentions("no wrapping key");
    kmss(&home, "key show theirs --token main").succeed();
    fs::write(home.file("envelope"), envelope(point)).unwrap();
    kmss(&home, "import finish envelope --token main --with w --name mine").succeed().mentions("destroyed");
    assert!(home.audit(100).iter().any(|record| about_it(&record)));
    kmss(&home, "key export-public mine --token main --format der --out mine.spki").succeed();
    assert!(fs::read(home.file("mine.spki")).unwrap().ends_with(point));
    for bad in [Vec::new(), vec![0x30], vec![0x30, 0x80], envelope(&point[..64])] {
        kmss(&home, "import begin w --token main --type sm2 --out wrap.pem").run();
        fs::write(home.file("envelope"), bad).unwrap();
        kmss(&home, "import finish envelope --token main --with w --name bad").fail().mentions("GM/T 0009");
    }
}

#[test]
fn a_key_comes_in_where_it_is_wanted_or_not_at_all() {
    if skip() {
        return;
    }
    let vault = Vault::new("main");
    let home = &vault.home;
    kmss(home, "import begin w --token main --out wrap.pem").succeed().mentions("--name NAME --backend soft");
    fs::write(home.file("value"), [7_u8; 32]).unwrap();
    wrap(home, "value", "sha256", 256);
    let finish = |more: &str| kmss(home, &format!("import finish wrapped --token main --with w --name new {more}"));
    finish("").fail().mentions("name the backend `soft`");
    finish("--backend vault").fail().mentions("name the backend `soft`");
    kmss(home, "key show new --token main").fail();
    // What is no seed is refused, and uses nothing up.
    fs::write(home.file("short"), [7_u8; 8]).unwrap();
    wrap(home, "short", "sha256", 256);
    finish("--backend soft --type hd-seed").fail();
    kmss(home, "key show new --token main").fail();
    wrap(home, "value", "sha256", 256);
    finish("--backend soft --type hd-seed").succeed();
    let shown = json_items(&kmss(home, "key show new --token main --json").succeed());
    assert_eq!(shown[0]["uses"], serde_json::json!(["derive"]), "{shown:?}");
}

#[test]
fn only_a_key_that_was_made_for_it_is_used_up() {
    if skip() {
        return;
    }
    let home = Home::with_token("main");
    kmss(&home, "key generate rsa --token main --type rsa:3072").succeed();
    kmss(&home, "key export-public rsa --token main --out wrap.pem").succeed();
    fs::write(home.file("value"), [7_u8; 32]).unwrap();
    wrap(&home, "value", "sha256", 256);
    kmss(&home, "import finish wrapped --token main --with rsa --name new").fail().mentions("no wrapping key");
    kmss(&home, "key show rsa --token main").succeed();
    kmss(&home, "key show new --token main").fail();
}

#[test]
fn what_stays_of_an_import_is_told() {
    if skip() {
        return;
    }
    let home = Home::with_token("main");
    openssl(&home, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    openssl(&home, "pkcs8 -topk8 -nocrypt -in ec.pem -outform DER -out ec.der");
    kmss(&home, "import begin w --token main --out wrap.pem").succeed();
    wrap(&home, "ec.der", "sha256", 256);
    let finish = |name: &str| {
        kmss(&home, &format!("import finish wrapped --token main --with w --type ec --name {name}")).fail()
    };
    let apply = |rules: &str| {
        fs::write(home.file("stays.kmss"), rules).unwrap();
        kmss(&home, "policy apply stays.kmss --token main").succeed();
    };
    let rest = "deny anyone to destroy any key\nallow anyone to use, manage, generate, find any key\n";
    apply(&format!("{rest}allow anyone to import any key\n"));
    finish("whole").mentions("the key came in, and its wrapping key could not be destroyed");
    kmss(&home, "key show whole --token main").succeed();
    // The unwrapped half is one import, and the public half is another.
    apply(&format!("{rest}allow anyone to import any key at most 1 per hour\n"));
    finish("half").mentions("the private key `half` came in without its public half");
}

#[test]
fn what_may_leave_leaves_wrapped_and_in_clear_only_where_it_was_meant_to() {
    if skip() {
        return;
    }
    let home = Home::with_token("main");
    fs::write(home.file("value"), [9_u8; 32]).unwrap();
    kmss(&home, "key import value --raw --type aes --token main --name kek").succeed();
    kmss(&home, "key generate stays --token main --type aes:256").succeed();
    kmss(&home, "key generate may --token main --type aes:256 --extractable").succeed();
    kmss(&home, "key generate pair --token main --type ec:p256 --extractable").succeed();
    let export =
        |name: &str, how: &str, out: &str| kmss(&home, &format!("export {name} --token main {how} --out {out}"));
    export("stays", "--under kek", "a").fail();
    export("may", "", "a").fail();
    export("may", "--clear", "a").fail().mentions("sensitive");
    assert!(!home.file("a").exists());
    export("may", "--under kek", "a").succeed();
    export("may", "--under kek", "a").fail().mentions("cannot be made");
    // OpenSSL opens it.
    let key = hex(&[9; 32]);
    openssl(&home, &format!("enc -d -id-aes256-wrap-pad -iv A65959A6 -K {key} -in a -out b"));
    assert_eq!(fs::read(home.file("b")).unwrap().len(), 32);
    export("pair", "--under kek", "p").succeed();
    openssl(&home, &format!("enc -d -id-aes256-wrap-pad -iv A65959A6 -K {key} -in p -out p8"));
    openssl(&home, "pkey -inform DER -in p8 -pubout -out p.pub");
    kmss(&home, "key export-public pair --token main --out q.pub").succeed();
    assert_eq!(fs::read(home.file("p.pub")).unwrap(), fs::read(home.file("q.pub")).unwrap());
    // To somebody else's RSA key.
    openssl(&home, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out theirs.pem");
    openssl(&home, "pkey -in theirs.pem -pubout -out theirs.pub");
    kmss(&home, "key import theirs.pub --token main --name theirs").succeed();
    export("may", "--under theirs", "r").succeed();
    let whole = fs::read(home.file("r")).unwrap();
    fs::write(home.file("r1"), &whole[..384]).unwrap();
    fs::write(home.file("r2"), &whole[384..]).unwrap();
    let oaep = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";
    openssl(&home, &format!("pkeyutl -decrypt -inkey theirs.pem -in r1 -out between {oaep}"));
    let between = hex(&fs::read(home.file("between")).unwrap());
    openssl(&home, &format!("enc -d -id-aes256-wrap-pad -iv A65959A6 -K {between} -in r2 -out r3"));
    assert_eq!(fs::read(home.file("r3")).unwrap(), fs::read(home.file("b")).unwrap());
    // In clear.
    kmss(&home, "key import value --raw --type aes --token main --name open --extractable --not-sensitive").succeed();
    export("open", "--clear", "open.jwk").succeed().mentions("IN CLEAR");
    let jwk: serde_json::Value = serde_json::from_slice(&fs::read(home.file("open.jwk")).unwrap()).unwrap();
    assert_eq!((jwk["kty"].as_str(), jwk["k"].as_str().map(str::len)), (Some("oct"), Some(43)));
    let said = format!("{:?}", home.audit(4));
    assert!(said.contains("export"), "{said}");
    home.audit_is_whole();
}
