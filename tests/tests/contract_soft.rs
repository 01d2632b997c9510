//! The contract of backends, over the software engine: it offers everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kmss_tests::contract::{Lab, all_hold, not_offered};

#[test]
fn the_software_engine_keeps_the_whole_contract() {
    let lab = Lab::new(|_| {}, Vec::new());
    let reports = lab.contract("soft");
    all_hold(&reports);
    assert_eq!(not_offered(&reports), Vec::<String>::new());
    assert!(reports.len() > 200, "the suite has {} behaviours", reports.len());
    for report in reports.iter().filter(|report| report.milliseconds > 500) {
        println!("{} ms: {}", report.milliseconds, report.name);
    }
}
