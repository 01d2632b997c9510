//! Which commands work against a server, and that no other does.

use std::collections::BTreeMap;
use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Program;

use crate::kit::{self, Kmssd};
use crate::operator::Operator;

/// Where a command works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Server,
    Host,
    Files,
}

/// Every command, as somebody would type it.
#[rustfmt::skip]
const COMMANDS: &[(&str, &str, Where)] = &[
    ("home init", "", Where::Host),
    ("seal status", "", Where::Server),
    ("seal migrate", "--to file", Where::Host),
    ("token init", "web", Where::Server),
    ("token list", "", Where::Server),
    ("token show", "web", Where::Server),
    ("token delete", "web --yes", Where::Server),
    ("token set-pin", "web", Where::Server),
    ("token unlock", "web", Where::Server),
    ("token user add", "web ann", Where::Server),
    ("token user remove", "web ann --yes", Where::Server),
    ("token user roles", "web ann auditor", Where::Server),
    ("token user list", "web", Where::Server),
    ("token profile", "web", Where::Server),
    ("token backend", "web soft", Where::Server),
    ("domain list", "", Where::Server),
    ("domain rotate", "web", Where::Server),
    ("domain rewrap", "web", Where::Server),
    ("key generate", "k --token web --type aes:256", Where::Server),
    ("key derive", "k l --token web --path m/0", Where::Server),
    ("key list", "--token web", Where::Server),
    ("key import", "key.pem --token web --name k", Where::Server),
    ("key export-public", "k --token web", Where::Server),
    ("key show", "k --token web", Where::Server),
    ("key label", "k l --token web", Where::Server),
    ("key rename", "k l --token web", Where::Server),
    ("key tag", "k t --token web", Where::Server),
    ("key audit", "k sync --token web", Where::Server),
    ("key disable", "k --token web", Where::Server),
    ("key enable", "k --token web", Where::Server),
    ("key destroy", "k --token web --yes", Where::Server),
    ("key suspend", "k --token web", Where::Server),
    ("key archive", "k --token web", Where::Server),
    ("key revoke", "k --token web", Where::Server),
    ("key schedule", "k --token web --deactivate 2030-01-01", Where::Server),
    ("key delete", "k --token web", Where::Server),
    ("key restore", "k --token web", Where::Server),
    ("key purge", "--token web", Where::Server),
    ("key tombstones", "--token web", Where::Server),
    ("key release-name", "k --token web", Where::Server),
    ("key rotate", "k --token web", Where::Server),
    ("key activate", "k --token web", Where::Server),
    ("key versions", "k --token web", Where::Server),
    ("key rotation", "k --token web --every 90d", Where::Server),
    ("key describe", "k --token web --owner me", Where::Server),
    ("key grant", "k --token web --service billing", Where::Server),
    ("key alias", "a --token web --to k", Where::Server),
    ("rotate due", "--token web", Where::Server),
    ("import begin", "w --token web --out w.pem", Where::Server),
    ("import finish", "key.pem --token web --with w --name k", Where::Server),
    ("export", "k --token web --under w --out k.wrapped", Where::Server),
    ("unwrap", "key.pem --token web --under w --name k", Where::Server),
    ("derive", "k l --token web", Where::Server),
    ("encapsulate", "k l --token web --out key.kem", Where::Server),
    ("decapsulate", "k l --token web --in key.pem", Where::Server),
    ("key move", "k --token web --to soft", Where::Host),
    ("cert request", "k --token web --subject CN=x", Where::Server),
    ("cert self-sign", "k --token web --subject CN=x", Where::Server),
    ("cert import", "cert.pem --token web --name k", Where::Server),
    ("cert list", "--token web", Where::Server),
    ("cert export", "k --token web", Where::Server),
    ("policy check", "p.kmss", Where::Files),
    ("policy fmt", "p.kmss --check", Where::Files),
    ("policy compile", "p.kmss --out p.wasm", Where::Files),
    ("policy test", "cases.toml", Where::Files),
    ("policy sign", "p.kmss --out b --token web --key-file key.pem", Where::Files),
    ("policy sign", "p.kmss --out b --token web --with-key k --with-token web", Where::Server),
    ("policy apply", "p.kmss --token web", Where::Server),
    ("policy list", "", Where::Server),
    ("policy show", "p", Where::Server),
    ("policy show", "--file b", Where::Files),
    ("policy explain", "0:1", Where::Server),
    ("policy explain", "--policy p.kmss --principal user:ann --action sign", Where::Files),
    ("policy replay", "--policy p.kmss", Where::Server),
    ("policy remove", "p --token web --yes", Where::Server),
    ("policy trust add", "ann pub.pem --token web", Where::Server),
    ("policy trust list", "", Where::Server),
    ("policy trust remove", "ann --token web", Where::Server),
    ("approve", "--list --token web", Where::Server),
    ("block add", "--principal user:ann", Where::Server),
    ("block list", "", Where::Server),
    ("block show", "00000001", Where::Server),
    ("block release", "00000001", Where::Server),
    ("quota set", "q --total 5", Where::Server),
    ("quota list", "", Where::Server),
    ("quota show", "q", Where::Server),
    ("quota usage", "", Where::Server),
    ("quota remove", "q", Where::Server),
    ("rule set", "--token web --types aes:256", Where::Server),
    ("rule list", "", Where::Server),
    ("rule remove", "--token web", Where::Server),
    ("audit tail", "", Where::Server),
    ("audit agent", "--once", Where::Host),
    ("audit agent status", "", Where::Host),
    ("audit agent forget", "d", Where::Host),
    ("audit export", "--format csv", Where::Server),
    ("audit verify", "", Where::Server),
    ("audit verify", "--archive nowhere --alone", Where::Files),
    ("audit seal", "", Where::Host),
    ("audit anchor", "", Where::Host),
    ("audit prove", "1760000000000-0000000000000000:1", Where::Server),
    ("audit key", "", Where::Server),
    ("audit checkpoint", "", Where::Server),
    ("audit compress", "", Where::Host),
    ("audit archive", "--to a", Where::Host),
    ("audit prune", "", Where::Host),
    ("alarm list", "", Where::Server),
    ("report", "", Where::Server),
    ("store check", "", Where::Host),
    ("backup create", "a --needed 2 --custodian ann=x/s --custodian bob=y/s", Where::Host),
    ("backup epoch", "", Where::Host),
    ("backup retire", "--least 2", Where::Host),
    ("backup inspect", "p.kmss", Where::Files),
    ("backup verify", "p.kmss --share p.kmss", Where::Files),
    ("restore", "p.kmss --share p.kmss", Where::Host),
    ("hsm list", "", Where::Host),
    ("hsm keys", "h --token web", Where::Host),
    ("hsm clone", "g --token web", Where::Host),
    ("hsm adopt", "h --token web --all", Where::Host),
    ("hsm probe", "h", Where::Host),
    ("migrate softhsm", "--from old --token web", Where::Host),
    ("config", "nginx", Where::Host),
    ("doctor", "", Where::Host),
    ("tokenize", "k --token web --format card", Where::Server),
    ("detokenize", "k --token web --format card", Where::Server),
    ("compat user-key", "k --token web --application 11015000", Where::Server),
    ("compat encrypt", "k --token web --short", Where::Server),
    ("compat decrypt", "--token web", Where::Server),
    ("compat mac", "--token web --user-key user.json --purpose hmac-sm3", Where::Server),
    ("encrypt", "k --token web p.kmss", Where::Server),
    ("decrypt", "--token web p.kmss", Where::Server),
    ("reencrypt", "k --token web p.kmss", Where::Server),
    ("datakey", "k --token web", Where::Server),
    ("sign", "k --token web p.kmss", Where::Server),
    ("verify", "k --token web p.kmss --signature p.kmss", Where::Server),
    ("jwt sign", "k --token web --lifetime 5m p.kmss", Where::Server),
    ("jwt verify", "k --token web p.kmss", Where::Server),
    ("jwt jwks", "k --token web", Where::Server),
    ("batch", "--token web p.kmss", Where::Server),
    ("mac", "k --token web p.kmss", Where::Server),
    ("random", "8 --token web --hex", Where::Server),
    ("file seal", "p.kmss --token web --key k --out x", Where::Server),
    ("file open", "sealed --token web --out x", Where::Server),
    ("hash", "sha256 --token web p.kmss", Where::Host),
    ("inspect", "p.kmss", Where::Files),
    ("completions", "bash", Where::Files),
];

/// The commands below `path`, as the help names them; those that do something themselves among them.
fn leaves(path: &str, into: &mut Vec<String>) {
    let said = Program::new(built::command()).words(path).arg("--help").succeed().text();
    let commands: Vec<&str> = said
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    let usage = said.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default();
    if commands.is_empty() || !usage.contains("<COMMAND>") {
        into.push(path.to_owned());
    }
    for name in commands {
        leaves(format!("{path} {name}").trim(), into);
    }
}

#[test]
fn every_command_is_known_to_work_against_a_server_or_to_be_refused() {
    if built::only_kmss("--server") {
        return;
    }
    let mut all = Vec::new();
    leaves("", &mut all);
    all.sort();
    let mut known: Vec<String> = COMMANDS.iter().map(|(path, ..)| (*path).to_owned()).collect();
    known.sort();
    known.dedup();
    assert_eq!(all, known);
}

#[test]
fn the_documentation_says_of_every_command_where_it_works() {
    let text = fs::read_to_string(built::workspace().join("docs/command.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("Every command, with where it works"));
    let rows = table.take_while(|line| !line.starts_with("## ")).filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let noun = cells[0].strip_prefix('`')?.strip_suffix('`')?;
        let place = match cells[2] {
            "server" => Where::Server,
            "host" => Where::Host,
            "files" => Where::Files,
            other => panic!("`{other}` says not where `{noun}` works"),
        };
        let verbs = cells[1].split(", ").map(|verb| verb.trim_matches('`').to_owned());
        Some(verbs.map(move |verb| (format!("{noun} {verb}").trim().to_owned(), place)).collect::<Vec<_>>())
    });
    let said: BTreeMap<String, Where> = rows.flatten().collect();
    for (path, _, place) in COMMANDS {
        let said = said.get(*path).unwrap_or_else(|| panic!("docs/command.md does not know `{path}`"));
        // What depends on the options stands as the most that it does.
        let several = COMMANDS.iter().filter(|(other, ..)| other == path).count() > 1;
        assert!(said == place || (several && *place == Where::Files), "{path}: {said:?}, {place:?}");
    }
}

#[test]
fn no_command_falls_back_on_a_home_where_a_server_is_named() {
    if built::only_kmss("--server") {
        return;
    }
    // There is nobody: whatever is meant for a server says so, and nothing else happens.
    let nobody = Operator::at("unix:/nonexistent/kmssd.sock");
    let authority = kit::Authority::new();
    let (certificate, key) = authority.issue(&["DNS:x"], 0);
    nobody.file("key.pem", &key);
    nobody.file("cert.pem", &certificate);
    nobody.file("p.kmss", "policy p\nallow anyone to anything\n");
    let spki = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    nobody.file("pub.pem", spki);
    let wrapped = "MGwCAQECAgQCAQH/BCB4a7HXJhA/1jKdAd5/EwEIWhH+v5ECceUi4FDnF2g9zaASBBAiaKo5TEdJYLrzz9rt+m/AoRIMEDA0NjFFM0JFRjY1NTUwMDeiCgwIM0ZDNTVFNDSjCgwIMTEwMTUwMDA=";
    nobody.file("user.json", &serde_json::json!({ "id": "00".repeat(16), "ciphertext": wrapped }).to_string());
    for (path, rest, place) in COMMANDS {
        let said = nobody.kmss(&format!("{path} {rest}")).run();
        let (gone, refused) = ("does not serve: it cannot be reached", "works on the home itself");
        let all = said.all();
        match place {
            Where::Server => assert!(said.code() == Some(1) && all.contains(gone), "{said}"),
            Where::Host => assert!(said.code() == Some(1) && all.contains(refused), "{said}"),
            Where::Files => assert!(!all.contains(gone) && !all.contains(refused), "{said}"),
        }
        assert!(!nobody.folder.path().exists(), "{said}");
    }
}

#[test]
fn the_environment_names_a_server_and_home_outranks_it() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let home = Home::with_token("web");
    let uri = format!("unix:{}", server.socket().display());
    home.kmss("key generate there --token web --type aes:256").env("KMSS_SERVER", &uri).succeed();
    let named = |program: Program| json_items(&program.succeed()).iter().map(|k| k["name"].clone()).collect::<Vec<_>>();
    assert_eq!(named(server.home.kmss("key list --token web --json")), ["there"]);
    assert!(named(home.kmss("key list --token web --json")).is_empty());
    let list = home.kmss("key list --token web --json --home").arg(home.path());
    assert!(named(list.env("KMSS_SERVER", &uri)).is_empty());
    home.kmss("store check").env("KMSS_SERVER", &uri).fail().mentions("KMSS_SERVER names a server");
    let both = home.kmss("key list --token web --server").arg(&uri).arg("--home").arg(home.path()).fail();
    assert_eq!(both.code(), Some(2));
    home.kmss("key list --token web --server-ca x.pem").fail().mentions("go with --server");
}

#[test]
fn what_kmssd_dev_prints_is_all_that_the_command_needs() {
    if built::only_kmss("--server") {
        return;
    }
    let folder = Home::new();
    let mut dev = Program::new(built::server()).words("dev").env("TMPDIR", folder.folder()).keep_running();
    let (mut exports, mut commands) = (Vec::new(), Vec::new());
    for _ in 0..600 {
        let said = dev.said();
        let said = said.lines().map(str::trim);
        let pairs = said.clone().filter_map(|line| line.strip_prefix("export "));
        exports = pairs.flat_map(str::split_whitespace).filter_map(|pair| pair.split_once('=')).map(owned).collect();
        commands = said.filter_map(|line| line.strip_prefix("kmss ")).map(str::to_owned).collect();
        let socket = fs::read_dir(folder.folder()).unwrap().flatten().any(|one| one.path().join("kmssd.sock").exists());
        if !commands.is_empty() && socket {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(dev.ended().is_none(), "{}", dev.said());
    }
    assert_eq!((exports.len(), commands.len()), (4, 2), "{}", dev.said());
    for command in commands {
        let program = Program::new(built::command()).envs(&folder.variables()).words(&command);
        exports.iter().fold(program, |program, (name, value)| program.env(name, value)).succeed();
    }
    assert!(!folder.path().exists(), "a home was made");
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
