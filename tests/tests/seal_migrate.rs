//! Migrations of the seal that ended early, met each other, or are given up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use kmss_tests::home::Home;
use libkmss::backend::Backend;
use libkmss::backend::soft::SoftBackend;
use libkmss::error::Result;
use libkmss::random::Random;
use libkmss::seal::{Holding, HomeSeal};

const TOKEN: &str = "main";

struct Engine(SoftBackend);

impl Random for Engine {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        self.0.entropy().fill(out)
    }
}

fn home() -> Home {
    let home = Home::new();
    home.kmss("home init").succeed();
    home.init_token(TOKEN);
    home.generate(TOKEN, "k", "ec:p256", "01");
    home
}

/// Begins a migration to a key file, as one does that is killed then.
fn begin(home: &Home) {
    let random: Arc<dyn Random> = Arc::new(Engine(SoftBackend::new().unwrap()));
    let seal = HomeSeal::open(&libkmss::home::Home::open(&home.path()).unwrap(), random, &[]).unwrap();
    let _alone = seal.alone().unwrap();
    assert!(!seal.begin(&Holding::File).unwrap());
}

fn ours_alone(home: &Home, file: &str) {
    fs::set_permissions(home.path().join(file), fs::Permissions::from_mode(0o600)).unwrap();
}

fn opens(home: &Home) {
    home.kmss("key list --token main").succeed().mentions("k");
    home.kmss("store check --token main").succeed().mentions("whole");
}

#[test]
fn what_is_left_of_a_migration_is_never_the_next_root_key() {
    let home = home();
    let file = |name: &str| home.path().join(name);
    let known = fs::read(file("root.key")).unwrap();
    // A copy of the key that the home has: as after a crash between the last two steps.
    fs::copy(file("root.key"), file("root.next")).unwrap();
    home.kmss("seal migrate --to file").succeed().mentions("erased");
    let second = fs::read(file("root.key")).unwrap();
    assert_ne!(second, known);
    // One that somebody knows.
    let stranger = self::home();
    fs::copy(stranger.path().join("root.key"), file("root.next")).unwrap();
    home.kmss("seal migrate --to file").succeed();
    let third = fs::read(file("root.key")).unwrap();
    assert!(third != second && third != fs::read(stranger.path().join("root.key")).unwrap());
    assert!(!file("root.next").exists() && !file("seal.next.toml").exists());
    opens(&home);
}

#[test]
fn a_migration_that_ended_but_for_its_last_file_is_over() {
    let home = home();
    begin(&home);
    let next = fs::read(home.path().join("seal.next.toml")).unwrap();
    home.kmss("seal migrate --to file").succeed();
    let key = fs::read(home.path().join("root.key")).unwrap();
    fs::write(home.path().join("seal.next.toml"), next).unwrap();
    ours_alone(&home, "seal.next.toml");
    opens(&home);
    home.kmss("seal migrate --to file").succeed();
    assert_ne!(fs::read(home.path().join("root.key")).unwrap(), key, "nothing was migrated");
    opens(&home);
}

#[test]
fn one_process_migrates_at_a_time() {
    let home = home();
    let lock = File::create(home.path().join("seal.lock")).unwrap();
    ours_alone(&home, "seal.lock");
    lock.lock().unwrap();
    home.kmss("seal migrate --to file").fail().mentions("another process migrates");
    home.kmss("seal migrate --abort").fail().mentions("another process migrates");
    lock.unlock().unwrap();
    let running: Vec<_> = (0..4).map(|_| home.kmss("seal migrate --to file").keep_running()).collect();
    drop(running);
    home.kmss("seal migrate --to file").succeed();
    opens(&home);
}

#[test]
fn a_migration_that_wrapped_nothing_is_given_up() {
    let home = home();
    home.kmss("seal migrate --abort").fail().mentions("no migration");
    let before = fs::read(home.path().join("root.key")).unwrap();
    begin(&home);
    home.kmss("seal migrate --abort").succeed().mentions("given up");
    assert!(!home.path().join("seal.next.toml").exists() && !home.path().join("root.next").exists());
    assert_eq!(fs::read(home.path().join("root.key")).unwrap(), before);
    opens(&home);
    // Also where the next key is lost, which opens nothing yet.
    begin(&home);
    fs::remove_file(home.path().join("root.next")).unwrap();
    opens(&home);
    home.kmss("seal migrate --abort").succeed();
    opens(&home);
    // Not where something needs it.
    begin(&home);
    home.init_token("other");
    home.kmss("seal migrate --abort").fail().mentions("wrapped by the next root key");
    home.kmss("seal migrate --to file").succeed();
    opens(&home);
    home.audit_is_whole();
}
