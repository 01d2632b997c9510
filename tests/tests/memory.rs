//! What a core dump of a process with the module in it holds: no keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::built;
use kmss_tests::c;
use kmss_tests::home::Home;

#[test]
fn no_key_that_was_used_would_be_in_a_core_dump() {
    if built::only_kmss("keep keys out of core dumps") {
        return;
    }
    let home = Home::with_token("dump");
    c::program(&home, "memory").arg("dump").succeed().mentions("no key would be in a core dump");
}
