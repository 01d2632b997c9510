//! NSS (Firefox, Thunderbird, Chromium's certificates): modutil and certutil.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::program::{Program, needs};

const TOKEN: &str = "nss";

/// A database that knows the module, with files for the PIN and for noise.
fn home() -> Home {
    needs(&["certutil", "modutil"]);
    let home = Home::with_token(TOKEN);
    std::fs::create_dir(home.file("db")).unwrap();
    std::fs::write(home.file("pin"), PIN).unwrap();
    std::fs::write(home.file("noise"), [7; 64]).unwrap();
    home.program("certutil").words("-N -d sql:db --empty-password").succeed();
    let add = home.program("modutil").words("-dbdir sql:db -force -add kmss -libfile").arg(built::module());
    add.succeed().mentions("added to database");
    home
}

/// certutil on the token.
fn certutil(home: &Home, words: &str) -> Program {
    home.program("certutil").words("-d sql:db -f pin -h").arg(TOKEN).words(words)
}

#[test]
fn modutil_lists_the_module_and_its_token() {
    let home = home();
    let list = home.program("modutil").words("-dbdir sql:db -list kmss").succeed();
    list.mentions(&format!("Token Name: {TOKEN}"));
    home.program("modutil").words("-dbdir sql:db -force -disable kmss").succeed();
    home.program("modutil").words("-dbdir sql:db -force -enable kmss").succeed();
    home.program("modutil").words("-dbdir sql:db -force -delete kmss").succeed();
}

#[test]
fn certutil_makes_keys_certificates_and_requests() {
    let home = home();
    let pairs = [("ec1", "ec -q nistp256"), ("ec2", "ec -q nistp384"), ("rsa1", "rsa -g 2048")];
    for (serial, (name, kind)) in pairs.iter().enumerate() {
        let make = format!("-S -n {name} -s CN={name} -x -t ,, -z noise -m {} -k {kind}", serial + 1);
        certutil(&home, &make).succeed();
        let export = certutil(&home, "-L -a -n").arg(format!("{TOKEN}:{name}")).succeed();
        std::fs::write(home.file("made.pem"), &export.stdout).unwrap();
        Program::new("openssl").within(home.folder()).words("verify -CAfile made.pem made.pem").succeed();
    }
    let (certificates, keys) = (certutil(&home, "-L").succeed(), certutil(&home, "-K").succeed());
    for (name, _) in pairs {
        let name = format!("{TOKEN}:{name}");
        assert!(certificates.text().contains(&name), "{certificates}");
        assert!(keys.text().contains(&name), "{keys}");
    }
    certutil(&home, "-R -s CN=wanted -k ec -q nistp256 -z noise -o request.der").succeed();
    let request = Program::new("openssl").within(home.folder()).words("req -inform DER -in request.der -verify -noout");
    request.succeed();
    certutil(&home, "-F -n").arg(format!("{TOKEN}:ec2")).succeed();
    let keys = certutil(&home, "-K").succeed();
    assert!(!keys.text().contains(":ec2"), "a deleted key is listed: {keys}");
    if !built::stand_in() {
        home.audit_is_whole();
    }
}

#[test]
fn a_certificate_signs_another() {
    let home = home();
    // `-2` asks three questions: an authority, of any depth, critically so.
    let authority = certutil(&home, "-S -n ca -s CN=ca -x -t CT,, -z noise -m 1 -k ec -q nistp256 -2");
    authority.input("y\n\ny\n").succeed();
    let issuer = format!("{TOKEN}:ca");
    certutil(&home, "-S -n leaf -s CN=leaf -t ,, -z noise -m 2 -k rsa -g 2048 -c").arg(&issuer).succeed();
    let export = |name: &str| {
        let said = certutil(&home, "-L -a -n").arg(format!("{TOKEN}:{name}")).succeed();
        std::fs::write(home.file(&format!("{name}.pem")), &said.stdout).unwrap();
    };
    export("ca");
    export("leaf");
    let verify = Program::new("openssl").within(home.folder()).words("verify -partial_chain -trusted ca.pem leaf.pem");
    verify.succeed();
}

#[test]
fn a_wrong_pin_makes_nothing() {
    let home = home();
    std::fs::write(home.file("pin"), "wrong-pin").unwrap();
    certutil(&home, "-S -n ec1 -s CN=ec1 -x -t ,, -z noise -m 1 -k ec -q nistp256").fail();
    std::fs::write(home.file("pin"), PIN).unwrap();
    let said = certutil(&home, "-K").run();
    assert!(!said.text().contains("ec1"), "{said}");
}
