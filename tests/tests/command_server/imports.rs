//! Keys that come and go wrapped.

use std::fs;

use kmss_tests::built;
use kmss_tests::program::Program;

use crate::kit::Kmssd;
use crate::operator::Operator;

#[test]
fn a_server_takes_wrapped_keys_in_and_gives_wrapped_keys_out() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    let openssl = |words: &str| Program::new("openssl").within(me.folder.folder()).words(words).succeed();
    let hex = |file: &str| {
        let bytes = fs::read(me.folder.file(file)).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    me.kmss("import begin w --token web --out wrap.pem").succeed();
    openssl("rand -out value 32");
    openssl("rand -out between 32");
    openssl(
        "pkeyutl -encrypt -pubin -inkey wrap.pem -in between -out first -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256",
    );
    openssl(&format!("enc -id-aes256-wrap-pad -iv A65959A6 -K {} -in value -out second", hex("between")));
    let whole = [fs::read(me.folder.file("first")).unwrap(), fs::read(me.folder.file("second")).unwrap()].concat();
    fs::write(me.folder.file("wrapped"), &whole[..whole.len() - 8]).unwrap();
    me.kmss("import finish wrapped --token web --with w --name mine").fail();
    fs::write(me.folder.file("wrapped"), whole).unwrap();
    me.kmss("import finish wrapped --token web --with w --name mine --extractable").succeed().mentions("destroyed");
    me.kmss("key show w --token web").fail();
    openssl("rand -out kek 32");
    me.kmss("key import kek --raw --type aes --token web --name kek").succeed();
    me.kmss("export mine --token web --under kek --out out").succeed();
    openssl(&format!("enc -d -id-aes256-wrap-pad -iv A65959A6 -K {} -in out -out again", hex("kek")));
    assert_eq!(hex("again"), hex("value"));
    me.kmss("export mine --token web --clear --out clear").fail();
    me.kmss("key import value --raw --type aes --token web --name open --extractable --not-sensitive").succeed();
    me.kmss("export open --token web --clear --out clear").succeed();
    assert!(fs::read_to_string(me.folder.file("clear")).unwrap().contains("\"kty\":\"oct\""));
}
