//! The contract of backends, over the HSM backend with Kryoptic behind it. The only test of its program: the module is told by
//! variables of the process where its token is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use backend_contract::Group;
use kmss_tests::contract::{Lab, all_hold, offered};
use kmss_tests::module::Module;

#[test]
fn the_hsm_backend_keeps_the_contract_over_kryoptic() {
    let Some(module) = Module::kryoptic() else { return };
    module.lead_here();
    let lab = Lab::new(|config| config.hsms = vec![module.config("vault")], Vec::new());
    let reports = lab.contract("vault");
    all_hold(&reports);
    // What it offered once it goes on offering.
    for (group, least) in LEAST {
        let count = offered(&reports, *group);
        assert!(count >= *least, "{}: {count} behaviours are offered, {least} were", group.name());
    }
    assert_eq!(module.objects(), "", "keys are left in the HSM");
}

/// How many behaviours of each group Kryoptic 1.5 offers.
const LEAST: &[(Group, usize)] = &[
    (Group::Keys, 22),
    (Group::Rsa, 22),
    (Group::Curves, 23),
    (Group::Symmetric, 20),
    (Group::Macs, 18),
    (Group::Derivation, 1),
    (Group::Wrapping, 8),
    (Group::Errors, 15),
    (Group::Limits, 7),
    (Group::Concurrency, 5),
];
