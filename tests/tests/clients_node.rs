//! Node.js: pkcs11js from npm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::program::needs;

const TOKEN: &str = "node";

#[test]
fn pkcs11js_signs_seals_agrees_and_waits_for_thirty_at_once() {
    if built::only_kmss("return value that the program asks for") {
        return;
    }
    let Some(folder) = built::clients("node") else { return };
    needs(&["node"]);
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "rsa1", "rsa:2048", "01");
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    // The addon is looked for in the folder that the program runs in.
    let node = home.program("node").arg(built::workspace().join("tests/node/use.js")).arg(built::module());
    node.args([TOKEN, PIN]).within(&folder).succeed().mentions("JavaScript is content");
    home.audit_is_whole();
}
