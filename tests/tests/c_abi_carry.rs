//! The C interface where keys come and go: wrapped ones that somebody else made, and archives of a tenant.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::c;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::{Program, needs};
use kmss_tests::softhsm::Vault;

fn skip() -> bool {
    built::only_kmss("C interface")
}

/// A C program of the tests against the header, linked with the module, on `home`.
fn program(name: &str, home: &Home) -> Program {
    let module = built::module();
    let include = std::env::var_os("KMSS_INCLUDE").map_or_else(|| built::workspace().join("include"), PathBuf::from);
    let program = c::compile(name, &[&format!("-I{}", include.display()), &module.display().to_string()]);
    let folder = module.parent().expect("a file lies in a folder");
    let program = Program::new(program).env("LD_LIBRARY_PATH", folder).envs(&home.variables());
    program.within(home.folder()).arg(home.path())
}

fn import(home: &Home, words: &str) {
    program("abi_import", home).arg("main").words(words).succeed().mentions("imports hold");
}

fn openssl(home: &Home, words: &str) {
    home.program("openssl").words(words).succeed();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Wraps `file` under the public key in `wrap.der` as OpenSSL does it, into `wrapped`.
fn wrap(home: &Home, file: &str) {
    openssl(home, "rand -out between 32");
    let oaep = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";
    openssl(home, &format!("pkeyutl -encrypt -pubin -keyform DER -inkey wrap.der -in between -out first {oaep}"));
    let between = hex(&fs::read(home.file("between")).unwrap());
    openssl(home, &format!("enc -id-aes256-wrap-pad -iv A65959A6 -K {between} -in {file} -out second"));
    let whole = [fs::read(home.file("first")).unwrap(), fs::read(home.file("second")).unwrap()].concat();
    fs::write(home.file("wrapped"), whole).unwrap();
}

#[test]
fn what_openssl_wraps_comes_in_through_c_once() {
    if skip() {
        return;
    }
    needs(&["openssl"]);
    let home = Home::with_token("main");
    fs::write(home.file("value"), [7_u8; 32]).unwrap();
    openssl(&home, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    openssl(&home, "pkcs8 -topk8 -nocrypt -in ec.pem -outform DER -out ec.der");
    for (file, key_type, name) in [("value", "aes:256", "aes"), ("ec.der", "ec:p256", "pair")] {
        import(&home, "begin w rsa:3072 2 wrap.der");
        wrap(&home, file);
        let whole = fs::read(home.file("wrapped")).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        for bad in [changed, whole[..whole.len() - 8].to_vec(), whole[..384].to_vec()] {
            fs::write(home.file("wrapped"), bad).unwrap();
            import(&home, &format!("finish w wrapped {key_type} {name} 6"));
        }
        fs::write(home.file("wrapped"), &whole).unwrap();
        import(&home, &format!("finish w wrapped {key_type} {name}-kept 0 keep"));
        import(&home, &format!("finish w wrapped {key_type} {name} 0"));
        // It is used up.
        import(&home, &format!("finish w wrapped {key_type} {name}-again 200"));
    }
    // They are what they were.
    let kmss = |words: &str| home.kmss(&format!("{words} --token main")).within(home.folder());
    fs::write(home.file("plain"), "said").unwrap();
    kmss("sign pair plain --out signature").succeed();
    openssl(&home, "pkey -in ec.pem -pubout -out ec.pub");
    openssl(&home, "dgst -sha256 -verify ec.pub -signature signature plain");
    import(&home, "hostile");
    kmss("key show pair").succeed();
    home.audit_is_whole();
}

#[test]
fn a_seed_that_comes_in_is_one() {
    if skip() {
        return;
    }
    needs(&["openssl"]);
    let home = Home::with_token("main");
    import(&home, "begin w rsa:3072 1 wrap.der");
    for (len, status) in [(15, 1), (65, 1), (16, 0)] {
        fs::write(home.file("value"), vec![7_u8; len]).unwrap();
        wrap(&home, "value");
        import(&home, &format!("finish w wrapped hd-seed seed {status}"));
    }
    let shown = json_items(&home.kmss("key show seed --token main --json").succeed());
    assert_eq!(shown[0]["uses"], serde_json::json!(["derive"]), "{shown:?}");
    import(&home, "child seed");
}

#[test]
fn a_key_comes_in_where_it_is_wanted_or_not_at_all() {
    if skip() {
        return;
    }
    needs(&["openssl"]);
    let vault = Vault::new("main");
    let home = &vault.home;
    import(home, "begin w rsa:3072 1 wrap.der");
    fs::write(home.file("value"), [7_u8; 32]).unwrap();
    wrap(home, "value");
    // The token's keys are made in the HSM, and this one would not be there.
    import(home, "finish w wrapped aes:256 new 4");
    import(home, "finish w wrapped aes:256 new 4 vault");
    import(home, "finish w wrapped aes:256 new 0 soft");
    home.audit_is_whole();
}

#[test]
fn a_wrapping_key_that_stays_is_told_of() {
    if skip() {
        return;
    }
    needs(&["openssl"]);
    let home = Home::with_token("main");
    import(&home, "begin w rsa:3072 1 wrap.der");
    fs::write(home.file("value"), [7_u8; 32]).unwrap();
    wrap(&home, "value");
    fs::write(home.file("stays.kmss"), "deny anyone to destroy any key\nallow anyone to use, manage, import any key\n")
        .unwrap();
    home.kmss("policy apply stays.kmss --token main").within(home.folder()).succeed();
    import(&home, "finish w wrapped aes:256 new 104 left");
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
fn an_sm2_envelope_comes_in_through_c_and_only_with_its_own_public_key() {
    if skip() {
        return;
    }
    needs(&["openssl"]);
    let home = Home::with_token("main");
    import(&home, "begin w sm2 1 wrap.der");
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
    openssl(&home, "pkeyutl -encrypt -pubin -keyform DER -inkey wrap.der -in sm4 -out cipher -pkeyopt digest:sm3");
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
    // A key of theirs that decrypts, too, is no wrapping key.
    home.kmss("key import sm2.pem --token main --name theirs --usage decrypt").within(home.folder()).succeed();
    for bad in [envelope(&other), envelope(&point[..64]), vec![0x30, 0x80]] {
        fs::write(home.file("envelope"), bad).unwrap();
        import(&home, "finish w envelope sm2 mine 6");
        import(&home, "finish theirs envelope sm2 mine 5");
    }
    // Nothing was here, not even for a moment.
    let records = home.audit(100);
    assert!(records.iter().any(|record| record["action"] == "decrypt"), "{records:?}");
    let about_it = |record: &&serde_json::Value| {
        let action = record["action"].as_str().unwrap_or_default();
        (action == "import" || action == "destroy") && record.to_string().contains("\"mine\"")
    };
    assert_eq!(records.iter().find(about_it), None);
    fs::write(home.file("envelope"), envelope(point)).unwrap();
    import(&home, "finish w envelope aes:128 mine 1");
    import(&home, "finish w envelope sm2 mine 0");
    assert!(home.audit(100).iter().any(|record| about_it(&record)));
    home.kmss("key export-public mine --token main --format der --out mine.spki").within(home.folder()).succeed();
    assert!(fs::read(home.file("mine.spki")).unwrap().ends_with(point));
    home.audit_is_whole();
}

#[test]
fn a_tenant_goes_from_one_home_to_another_through_c() {
    if skip() {
        return;
    }
    let (home, other) = (Home::with_token("main"), Home::with_token("else"));
    home.kmss("key generate box --token main --type aes:256").succeed();
    let run = program("abi_backup", &home).arg("main").arg(other.path()).arg(home.file("tenant.kmssbackup"));
    run.succeed().mentions("archives hold");
    assert!(!home.file("tenant.kmssbackup.partial").exists());
    // The other home is one of its own still.
    other.kmss("key list --token else").succeed();
    other.kmss("key show box --token main").succeed();
    home.audit_is_whole();
    other.audit_is_whole();
}
