#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use super::file::{File, parse};
use super::search::Surroundings;
use super::*;
use crate::error::ErrorKind;
use crate::os::effective_ids;

const STRANGER: u32 = 54_321;

/// A world of its own: a user's directory, a system file, no environment.
struct World {
    folder: tempfile::TempDir,
    surroundings: Surroundings,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("user");
        fs::create_dir(&user).unwrap();
        let surroundings = Surroundings {
            conf: None,
            home: None,
            environment_ignored: false,
            user_directory: Some(user),
            system: folder.path().join("etc/kmss.toml"),
            root_home: folder.path().join("var/kmss"),
            uid: effective_ids().0,
        };
        Self { folder, surroundings }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn load(&self) -> Config {
        self.surroundings.load().unwrap()
    }

    fn refused(&self, kind: ErrorKind, hint: &str) {
        let error = self.surroundings.load().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(hint), "`{error}` does not say `{hint}`");
    }
}

fn complaint(text: &str) -> String {
    let error = parse::<File>(Path::new("/etc/kmss/kmss.toml"), text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

#[test]
fn without_any_file_the_defaults_hold() {
    let world = World::new();
    let config = world.load();
    let default = if world.surroundings.uid == 0 {
        world.folder.path().join("var/kmss")
    } else {
        world.folder.path().join("user/.local/share/kmss")
    };
    assert_eq!(config.home, default);
    assert_eq!(config.suite, Suite::Nist);
    assert_eq!(config.pin, PinConfig { max_attempts: 10, min_length: 4 });
    assert_eq!(config.explanation.home, HomeSource::Default);
    assert_eq!(config.explanation.used(), None);
    assert!(config.explanation.considered.iter().all(|c| c.outcome == Outcome::Absent));
}

#[test]
fn other_users_get_a_home_of_their_own() {
    let mut world = World::new();
    world.surroundings.uid = STRANGER;
    assert_eq!(world.load().home, world.folder.path().join("user/.local/share/kmss"));
    world.surroundings.user_directory = None;
    world.refused(ErrorKind::Config, "KMSS_HOME");
}

#[test]
fn files_outrank_each_other_in_the_documented_order_and_the_explanation_says_so() {
    let mut world = World::new();
    let system = world.write("etc/kmss.toml", "home = \"/srv/system\"\nsuite = \"gm\"\n");
    let config = world.load();
    assert_eq!((config.home.as_path(), config.suite), (Path::new("/srv/system"), Suite::Gm));
    assert_eq!(config.explanation.used(), Some(system.as_path()));

    let user = world.write("user/.config/kmss/kmss.toml", "home = \"~/keys\"\n");
    let config = world.load();
    assert_eq!(config.home, world.folder.path().join("user/keys"));
    assert_eq!(config.suite, Suite::Nist);
    let outcomes: Vec<_> =
        config.explanation.considered.iter().map(|c| (c.path.as_path(), c.outcome)).take(2).collect();
    assert_eq!(outcomes, [(user.as_path(), Outcome::Used), (system.as_path(), Outcome::Outranked)]);

    world.surroundings.home = Some(world.folder.path().join("env"));
    let config = world.load();
    assert_eq!(config.home, world.folder.path().join("env"));
    assert_eq!(config.explanation.home, HomeSource::Environment);
    assert_eq!(config.explanation.used(), None);

    let own = world.write("env/kmss.toml", "[pin]\nmin_length = 8\n");
    assert_eq!(world.load().pin.min_length, 8);
    assert_eq!(world.load().explanation.used(), Some(own.as_path()));

    world.surroundings.conf =
        Some(world.write("explicit.toml", "home = \"/srv/explicit\"\n[store]\nbusy_timeout_ms = 9\n"));
    let config = world.load();
    assert_eq!(config.home, world.folder.path().join("env"));
    assert_eq!(config.store.busy_timeout_ms, 9);
    world.surroundings.home = None;
    assert_eq!(world.load().home, Path::new("/srv/explicit"));
}

#[test]
fn a_file_that_the_environment_names_must_exist() {
    let mut world = World::new();
    world.surroundings.conf = Some(world.folder.path().join("nowhere.toml"));
    world.refused(ErrorKind::Config, "does not exist");
}

#[test]
fn a_homes_own_file_does_not_send_elsewhere() {
    let mut world = World::new();
    world.surroundings.home = Some(world.folder.path().join("h"));
    world.write("h/kmss.toml", "home = \"/srv/other\"\n");
    world.refused(ErrorKind::Config, "names another");
}

#[test]
fn the_environment_is_ignored_under_foreign_rights() {
    let uid = effective_ids().0;
    let folder = tempfile::tempdir().unwrap();
    let variable = |name: &str| {
        Some(OsString::from(match name {
            "KMSS_CONF" => "/tmp/evil.toml",
            "KMSS_HOME" => "/tmp/evil",
            _ => folder.path().to_str().unwrap(),
        }))
    };
    let secure = Surroundings::new(true, uid, Some("/root".into()), variable).unwrap();
    assert_eq!((secure.conf, secure.home), (None, None));
    assert_eq!(secure.user_directory, Some("/root".into()));
    assert!(secure.environment_ignored);
    let plain = Surroundings::new(false, uid, Some("/root".into()), variable).unwrap();
    assert_eq!(plain.conf, Some("/tmp/evil.toml".into()));
    assert_eq!(plain.user_directory.as_deref(), Some(folder.path()));
    assert!(!plain.environment_ignored);
}

#[test]
fn a_directory_that_belongs_to_somebody_else_is_not_the_users() {
    let folder = tempfile::tempdir().unwrap();
    let variable = |name: &str| (name == "HOME").then(|| folder.path().as_os_str().to_owned());
    let other = Surroundings::new(false, STRANGER, Some("/home/stranger".into()), variable).unwrap();
    assert_eq!(other.user_directory, Some("/home/stranger".into()));
    let empty = Surroundings::new(false, STRANGER, None, |_| Some(OsString::new())).unwrap();
    assert_eq!((empty.conf, empty.home, empty.user_directory), (None, None, None));
}

#[test]
fn a_file_that_others_can_write_is_refused_with_the_command_that_helps() {
    let world = World::new();
    let path = world.write("etc/kmss.toml", "");
    for mode in [0o666, 0o664, 0o646] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        world.refused(ErrorKind::HomeUnsafe, "chmod go-w");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(world.load().explanation.used(), Some(path.as_path()));
}

#[test]
fn a_link_is_followed_to_a_file_that_is_then_judged_itself() {
    let world = World::new();
    let target = world.write("loose.toml", "");
    fs::create_dir(world.folder.path().join("etc")).unwrap();
    symlink(&target, &world.surroundings.system).unwrap();
    world.load();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o666)).unwrap();
    world.refused(ErrorKind::HomeUnsafe, "others can write");
}

#[test]
fn files_of_strangers_and_things_that_are_no_files_are_refused() {
    let world = World::new();
    let path = world.write("etc/kmss.toml", "");
    if effective_ids().0 == 0 {
        chown(&path, Some(STRANGER), None).unwrap();
        world.refused(ErrorKind::HomeUnsafe, "belongs to user 54321");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    world.refused(ErrorKind::Config, "plain text file");
}

#[test]
fn rules_count_only_from_root_or_the_owner_of_the_home() {
    let mut world = World::new();
    let rule = "[[principal]]\nname = \"service:x\"\n";
    world.surroundings.home = Some(world.folder.path().join("h"));
    let file = world.write("h/kmss.toml", rule);
    assert_eq!(world.load().principals.len(), 1);
    if effective_ids().0 != 0 {
        return;
    }
    // The home's owner decides in their home, and nobody else but root.
    chown(world.folder.path().join("h"), Some(STRANGER), None).unwrap();
    chown(&file, Some(STRANGER), None).unwrap();
    assert_eq!(world.load().principals.len(), 1);
    let config = world.write("mine.toml", rule);
    chown(&config, Some(STRANGER + 1), None).unwrap();
    world.surroundings.conf = Some(config);
    world.surroundings.uid = STRANGER + 1;
    let config = world.load();
    assert!(config.principals.is_empty());
    // Another home of somebody else's does not help the file.
    world.surroundings.conf = None;
    let elsewhere = world.load().at(world.folder.path().join("user"));
    assert!(elsewhere.principals.is_empty() && elsewhere.explanation.rules_ignored.is_some());
    world.surroundings.conf = Some(world.folder.path().join("mine.toml"));
    let config = world.load();
    assert!(config.explanation.rules_ignored.unwrap().contains("54321"));
}

#[test]
fn unknown_fields_are_refused_with_line_and_suggestion() {
    assert_eq!(
        complaint("home = \"/x\"\n\n[pin]\nmax_attemts = 3\n"),
        "`/etc/kmss/kmss.toml`, line 4: unknown field `max_attemts`, expected `max_attempts` or `min_length`: did you mean \
         `max_attempts`?"
    );
    assert!(complaint("hom = \"/x\"\n").contains("line 1: unknown field `hom`"));
    assert!(complaint("hom = \"/x\"\n").ends_with("did you mean `home`?"));
    assert!(complaint("[storage]\nx = 1\n").contains("unknown field `storage`"));
    assert!(!complaint("zebra = 1\n").contains("did you mean"));
    assert!(complaint("[[principal]]\nname = \"a:b\"\nexecutible = \"/x\"\n").contains("line 3"));
    assert!(complaint("suite = \"nits\"\n").contains("did you mean `nist`?"));
}

#[test]
fn values_that_cannot_be_meant_are_refused_with_their_line() {
    for (text, line, hint) in [
        ("[pin]\nmax_attempts = 0\n", 2, "between 1 and 100"),
        ("[pin]\nmin_length = 3\n", 2, "between 4 and 255"),
        ("[pin]\nmin_length = -1\n", 2, "between 4 and 255"),
        ("\nhome = \"relative\"\n", 2, "absolute"),
        ("[[principal]]\nname = \"nobody\"\n", 2, "kind:name"),
        ("[[principal]]\nname = \"a:\\u0000\"\n", 2, "kind:name"),
        ("[[principal]]\nname = \"a:b\"\nroles = [\"x y\"]\n", 3, "role"),
        ("[[principal]]\nname = \"a:b\"\nexecutable = \"nginx\"\n", 3, "absolute"),
        ("[[principal]]\nuid = 1\n", 1, "name"),
        ("[audit]\nrecord_find = 1\n", 2, "boolean"),
        ("[audit]\nsegment_bytes = 4096\n", 2, "between 1048576 and"),
        ("[audit]\nemergency_bytes = 67108865\n", 2, "between 0 and 67108864"),
        ("home = \n", 1, ""),
        ("home = \"/a\"\nhome = \"/b\"\n", 2, "duplicate"),
    ] {
        let said = complaint(text);
        assert!(said.contains(&format!("line {line}:")) && said.contains(hint), "{text:?}: {said}");
    }
}

#[test]
fn everything_that_can_be_set_can_be_read() {
    let text = r#"
        home = "/srv/kmss"
        suite = "gm"
        [pin]
        max_attempts = 3
        min_length = 6
        [store]
        busy_timeout_ms = 1000
        [audit]
        record_random = true
        record_digest = true
        record_find = true
        record_session_operations = true
        segment_bytes = 1048576
        segment_days = 30
        emergency_bytes = 262144
        [[principal]]
        uid = 33
        gid = 33
        executable = "/usr/sbin/nginx"
        token = "web"
        name = "service:order-v1"
        roles = ["tls", "sign"]
    "#;
    let file = parse::<File>(Path::new("x"), text).unwrap();
    assert_eq!((file.pin.max_attempts, file.store.busy_timeout_ms), (3, 1000));
    assert_eq!(
        file.audit,
        AuditConfig {
            record_random: true,
            record_digest: true,
            record_find: true,
            record_session_operations: true,
            segment_bytes: 1 << 20,
            segment_days: 30,
            emergency_bytes: 256 << 10,
            ..AuditConfig::default()
        }
    );
    assert_eq!(file.principal[0].roles, ["tls", "sign"]);
    assert_eq!(file.principal[0].executable.as_deref(), Some(Path::new("/usr/sbin/nginx")));
}

#[test]
fn anchors_are_read_strictly() {
    let own = |text: &str| parse::<File>(Path::new("kmss.toml"), text).map(|file| file.audit);
    let parsed = |text: &str| own(text).and_then(|_| AgentSections::parse(Path::new("kmss.toml"), text));
    let good = "[audit]\norigin = \"example.com/audit\"\nepoch_hours = 1\nseal = false\n\
        [[audit.anchor]]\nname = \"far\"\ntype = \"file\"\npath = \"/mnt/far/checkpoints\"\n\
        [[audit.anchor]]\nname = \"w1\"\ntype = \"witness\"\nurl = \"https://w.example\"\nkey = \"k\"\nevery_minutes = 5\n";
    let audit = own(good).unwrap();
    assert_eq!((audit.origin.as_str(), audit.epoch_hours, audit.seal), ("example.com/audit", 1, false));
    let anchors = parsed(good).unwrap().anchors;
    assert_eq!(anchors[0].place, AnchorPlace::File("/mnt/far/checkpoints".into()));
    assert_eq!((anchors[0].every_minutes, anchors[1].every_minutes), (60, 5));
    for bad in [
        "[audit]\norigin = \"a b\"",
        "[audit]\norigin = \"a+b\"",
        "[audit]\nepoch_hours = 8761",
        "[[audit.anchor]]\nname = \"Far\"\ntype = \"file\"\npath = \"/x\"",
        "[[audit.anchor]]\nname = \"../x\"\ntype = \"file\"\npath = \"/x\"",
        "[[audit.anchor]]\nname = \"x\"\ntype = \"file\"",
        "[[audit.anchor]]\nname = \"x\"\ntype = \"file\"\npath = \"x\"",
        "[[audit.anchor]]\nname = \"x\"\ntype = \"http\"\nurl = \"ftp://x\"",
        "[[audit.anchor]]\nname = \"x\"\ntype = \"http\"\nurl = \"https://x\"\npath = \"/x\"",
        "[[audit.anchor]]\nname = \"x\"\ntype = \"http\"\nurl = \"https://x\"\nkey = \"k\"",
        "[[audit.anchor]]\nname = \"x\"\ntype = \"witness\"\nurl = \"https://x\"",
        "[[audit.anchor]]\nname = \"x\"\ntype = \"pigeon\"\nurl = \"https://x\"",
    ] {
        assert!(parsed(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_the_page_of_the_agent_shows_is_understood() {
    let page = include_str!("../../../docs/audit-agent.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let page = Path::new("page");
    blocks.iter().for_each(|text| drop(parse::<File>(page, text).unwrap()));
    let sections = blocks.iter().map(|text| AgentSections::parse(page, text).unwrap());
    let (forwards, alarms) = sections.fold((0, 0), |(f, a), one| (f + one.forward.len(), a + one.alarms.len()));
    assert_eq!((forwards, alarms), (3, 3));
    let twice = "[[alarm]]\nname = \"a\"\nwhen = \"audit-gap\"\n".repeat(2);
    assert!(AgentSections::parse(page, &twice).unwrap_err().to_string().contains("two are named `a`"));
}

#[test]
fn an_hsm_has_a_name_a_module_and_a_token_of_its_own() {
    let text = "[[hsm]]\nname = \"a\"\nmodule = \"/m.so\"\ntoken = \"t\"\npin = { file = \"/pin\" }\n";
    let world = World::new();
    world.write("etc/kmss.toml", text);
    let hsms = world.load().hsms;
    assert_eq!((hsms.len(), hsms[0].max_sessions, hsms[0].deadline_ms), (1, 16, 2_000));
    assert_eq!(hsms[0].pin, Some(PinSource::File("/pin".into())));
    for (from, to, said) in [
        ("\"a\"", "\"soft\"", "does not name an HSM"),
        ("\"a\"", "\"a b\"", "does not name an HSM"),
        ("/m.so", "m.so", "not an absolute path"),
        ("token = \"t\"\n", "", "needs `token`"),
        ("{ file = \"/pin\" }", "{ file = \"pin\" }", "an absolute path"),
        ("{ file = \"/pin\" }", "{ command = [\"pass\"] }", "absolute path of a program"),
        ("{ file = \"/pin\" }", "{ credential = \"../x\" }", "the name of one"),
        ("{ file = \"/pin\" }", "{ word = \"x\" }", "unknown variant"),
        ("token = ", "max_sessions = 0\ntoken = ", "between 1 and 1024"),
    ] {
        let told = complaint(&text.replace(from, to));
        assert!(told.contains(said), "{told}");
    }
    assert!(complaint(&text.repeat(2)).contains("two HSMs"));
}

#[test]
fn modules_that_a_stranger_names_are_not_loaded_into_this_process() {
    if effective_ids().0 != 0 {
        return;
    }
    let world = World::new();
    let home = world.folder.path().join("var/kmss");
    fs::create_dir_all(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&home, Some(STRANGER), Some(STRANGER)).unwrap();
    let file = world.write("var/kmss/kmss.toml", "[[hsm]]\nname = \"a\"\nmodule = \"/m.so\"\nslot = 0\n");
    chown(&file, Some(STRANGER), Some(STRANGER)).unwrap();
    let config = world.load();
    assert!(config.hsms.is_empty());
    assert!(config.explanation.rules_ignored.unwrap().contains("HSMs' modules"));
}

#[test]
fn a_group_of_hsms_has_members_of_its_own() {
    let hsm = |name: &str| format!("[[hsm]]\nname = \"{name}\"\nmodule = \"/m.so\"\ntoken = \"{name}\"\n");
    let group = "[[hsm_group]]\nname = \"pair\"\nmembers = [\"a\", \"b\"]\n";
    let text = format!("{}{}{group}", hsm("a"), hsm("b"));
    let world = World::new();
    world.write("etc/kmss.toml", &text);
    let groups = world.load().hsm_groups;
    assert_eq!((groups[0].routing, groups[0].deadline_ms, groups[0].clonable), (Routing::Priority, 2_000, false));
    assert_eq!(groups[0].members, ["a", "b"]);
    for (from, to, said) in [
        ("\"pair\"\nmembers", "\"a\"\nmembers", "the name of another backend"),
        ("\"pair\"\nmembers", "\"soft\"\nmembers", "does not name an HSM"),
        ("[\"a\", \"b\"]", "[\"a\"]", "needs 2 to 8"),
        ("[\"a\", \"b\"]", "[\"a\", \"c\"]", "no [[hsm]] is called so"),
        ("[\"a\", \"b\"]", "[\"a\", \"a\"]", "names its member `a` twice"),
        ("members = [\"a\", \"b\"]", "members = [\"a\", \"b\"]\nrouting = \"random\"", "unknown variant"),
        ("members = [\"a\", \"b\"]", "members = [\"a\", \"b\"]\ndeadline_ms = 1", "between 50 and 600000"),
        (group, &format!("{group}[[hsm_group]]\nname = \"other\"\nmembers = [\"b\", \"a\"]\n"), "it can be in one"),
        (group, &group.repeat(2), "the name of another backend"),
    ] {
        world.write("etc/kmss.toml", &text.replace(from, to));
        let told = world.surroundings.load().unwrap_err().to_string();
        assert!(told.contains(said), "{told}");
    }
}
