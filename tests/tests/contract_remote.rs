//! The contract of backends, over the remote backend with a kmssd behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kmss_tests::built;
use kmss_tests::contract::{Lab, all_hold, not_offered};
use kmss_tests::remote::Kmssd;
use libkmss::config::{Config, RemoteConfig, Routing};

#[test]
fn the_remote_backend_keeps_the_contract_over_a_server() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start();
    let mut config = Config::load().expect("no configuration is in the way");
    config.remotes = vec![RemoteConfig {
        name: "there".to_owned(),
        uris: vec![server.uri()],
        namespace: Some("web".to_owned()),
        ca: None,
        certificate: None,
        key: None,
        deadline_ms: 10_000,
        connections: 4,
        routing: Routing::Priority,
    }];
    let lab = Lab::new(|_| (), remote::client::backends(&config).expect("the addresses can be read"));
    let reports = lab.contract("there");
    all_hold(&reports);
    assert_eq!(not_offered(&reports), Vec::<String>::new());
    let left = server.home.kmss("key list --token web --json").succeed().text();
    assert_eq!(left.trim(), "[]", "keys are left on the server");
    server.home.audit_is_whole();
}
