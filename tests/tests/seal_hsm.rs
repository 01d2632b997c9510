//! Homes whose root key is in an HSM: real SoftHSM2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::softhsm::{HSM, Vault};

const TOKEN: &str = "main";

fn holds(vault: &Vault) -> bool {
    vault.inside("--list-objects").all().contains("kmss-root-")
}

fn hide(vault: &Vault, away: bool) {
    let (there, gone) = (vault.home.file("tokens"), vault.home.file("tokens.gone"));
    let (from, to) = if away { (there, gone) } else { (gone, there) };
    if away {
        fs::rename(&from, &to).unwrap();
        fs::create_dir(&from).unwrap();
    } else {
        fs::remove_dir_all(&to).unwrap();
        fs::rename(&from, &to).unwrap();
    }
}

#[test]
fn without_its_hsm_a_home_is_worth_nothing_and_with_it_everything() {
    if built::only_kmss("seal in an HSM") {
        return;
    }
    for suite in ["nist", "gm"] {
        let vault = Vault::new("");
        let home = &vault.home;
        home.kmss(&format!("home init --suite {suite} --seal hsm:{HSM}")).succeed();
        assert!(!home.path().join("root.key").exists());
        home.init_token(TOKEN);
        home.generate(TOKEN, "k", "ec:p256", "01");
        assert!(holds(&vault));
        home.kmss("seal status").succeed().mentions("hsm:vault").mentions("serial");
        // The module, too.
        vault.outside(TOKEN, "--list-objects").succeed().mentions("k");
        hide(&vault, true);
        home.kmss("key list --token main")
            .fail()
            .mentions("root key of the home is in an HSM")
            .mentions("no such token");
        hide(&vault, false);
        home.kmss("key list --token main").succeed().mentions("k");
        vault.configure("pin = { env = \"NOT_SET\" }\n");
        home.kmss("key list --token main").fail().mentions("NOT_SET");
        fs::write(home.path().join("kmss.toml"), "").unwrap();
        home.kmss("key list --token main").fail().mentions("[[hsm]]");
    }
}

#[test]
fn a_seal_moves_into_an_hsm_and_out_of_it_again() {
    if built::only_kmss("seal in an HSM") {
        return;
    }
    let vault = Vault::new("");
    let home = &vault.home;
    home.kmss("home init").succeed();
    home.init_token(TOKEN);
    home.generate(TOKEN, "k", "ec:p256", "01");
    let old = fs::read(home.path().join("root.key")).unwrap();
    let tokens = vault.tokens();
    for round in 0..6_u64 {
        let running = home.kmss(&format!("seal migrate --to hsm:{HSM}")).keep_running();
        std::thread::sleep(std::time::Duration::from_millis(10 + round * 40));
        running.signal(libc::SIGKILL);
        drop(running);
        tokens.restore();
        home.kmss("key list --token main").succeed().mentions("k");
    }
    home.kmss(&format!("seal migrate --to hsm:{HSM}")).succeed();
    assert!(!home.path().join("root.key").exists() && !home.path().join("root.next").exists());
    home.kmss("key list --token main").succeed().mentions("k");
    home.kmss("store check --token main").succeed().mentions("whole");
    let text = fs::read_to_string(home.path().join("seal.toml")).unwrap();
    assert!(text.contains("aes-gcm"), "{text}");
    // The old key file opens nothing any more.
    hide(&vault, true);
    fs::write(home.path().join("root.key"), &old).unwrap();
    home.kmss("key list --token main").fail();
    fs::remove_file(home.path().join("root.key")).unwrap();
    hide(&vault, false);
    // Back, and the key in the HSM is gone.
    home.kmss("seal migrate --to file").succeed();
    assert!(home.path().join("root.key").exists());
    let label = text.lines().find_map(|line| line.strip_prefix("key = ")).unwrap().trim_matches('"').to_owned();
    assert!(!vault.inside("--list-objects").all().contains(&label));
    hide(&vault, true);
    home.kmss("key list --token main").succeed().mentions("k");
    home.audit_is_whole();
}
