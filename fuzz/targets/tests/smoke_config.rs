//! As `smoke.rs`, in a process of its own: the configuration is found through the environment, which all of a process share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod dice;

use dice::{around, random};
use fuzz_targets::config;

#[test]
fn no_configuration_brings_the_core_down() {
    random(config::run, 500, 200);
    let seed = "suite = \"gm\"\n[pin]\nmax_attempts = 3\n[audit]\nrecord_find = true\n[[principal]]\nuid = 5\nname = \"service:a\"\n";
    around(config::run, 2000, seed.as_bytes());
}
