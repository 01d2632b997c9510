//! `kmss --server`: the command against kmssd, over its Unix socket and over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "the tests of the server itself use the rest")]
#[path = "server/kit.rs"]
mod kit;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN, json_items};
use kmss_tests::program::Program;
use serde_json::Value;

use kit::Kmssd;

/// Whoever runs the tests, as the server's Unix socket knows it.
fn myself() -> String {
    format!("[[principal]]\nname = \"user:me\"\nuid = {}\nroles = [\"auditor\"]\n", uid())
}

fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid()
}

/// `kmss` somewhere without a home, which it must not make.
struct Operator {
    folder: Home,
    server: Vec<String>,
}

impl Operator {
    fn on_socket(server: &Kmssd) -> Self {
        Self::at(&format!("unix:{}", server.socket().display()))
    }

    fn at(uri: &str) -> Self {
        Self { folder: Home::new(), server: vec!["--server".to_owned(), uri.to_owned()] }
    }

    /// Over TLS, by a certificate with these names.
    fn by_certificate(server: &Kmssd, names: &[&str]) -> Self {
        let folder = Home::new();
        let authority = server.authority.as_ref().expect("the server has TLS");
        let (certificate, key) = authority.issue(names, 0);
        let file = |name: &str, text: &str| {
            let path = folder.file(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (uri, ca) = (format!("https://localhost:{}", server.port()), file("ca.pem", &authority.pem()));
        let (certificate, key) = (file("me.pem", &certificate), file("me.key", &key));
        let words = ["--server", &uri, "--server-ca", &ca, "--server-cert", &certificate, "--server-key", &key];
        let server = words.map(str::to_owned).to_vec();
        Self { folder, server }
    }

    fn kmss(&self, words: &str) -> Program {
        let program = Program::new(built::command()).envs(&self.folder.variables()).within(self.folder.folder());
        program.env("KMSS_SO_PIN", SO_PIN).env("KMSS_PIN", PIN).args(&self.server).words(words)
    }

    fn json(&self, words: &str) -> Vec<Value> {
        json_items(&self.kmss(&format!("{words} --json")).succeed())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.file(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        assert!(!self.folder.path().exists() || std::thread::panicking(), "a home was made");
    }
}

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
    ("domain list", "", Where::Server),
    ("domain rotate", "web", Where::Server),
    ("domain rewrap", "web", Where::Server),
    ("key generate", "k --token web --type aes:256", Where::Server),
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
    ("policy explain", "0:1", Where::Host),
    ("policy explain", "--policy p.kmss --principal user:ann --action sign", Where::Files),
    ("policy replay", "--policy p.kmss", Where::Host),
    ("policy remove", "p --token web --yes", Where::Server),
    ("policy trust add", "ann pub.pem --token web", Where::Server),
    ("policy trust list", "", Where::Server),
    ("policy trust remove", "ann --token web", Where::Server),
    ("approve", "--list --token web", Where::Host),
    ("block add", "--principal user:ann", Where::Server),
    ("block list", "", Where::Server),
    ("block show", "00000001", Where::Server),
    ("block release", "00000001", Where::Server),
    ("quota set", "q --total 5", Where::Server),
    ("quota list", "", Where::Server),
    ("quota show", "q", Where::Server),
    ("quota usage", "", Where::Server),
    ("quota remove", "q", Where::Server),
    ("audit tail", "", Where::Server),
    ("audit agent", "--once", Where::Host),
    ("audit agent status", "", Where::Host),
    ("audit agent forget", "d", Where::Host),
    ("audit export", "--format csv", Where::Server),
    ("audit verify", "", Where::Server),
    ("audit verify", "--archive nowhere --alone", Where::Files),
    ("audit seal", "", Where::Host),
    ("audit anchor", "", Where::Host),
    ("audit prove", "00000000000000000000000000000000:1", Where::Server),
    ("audit key", "", Where::Server),
    ("audit checkpoint", "", Where::Server),
    ("audit compress", "", Where::Host),
    ("audit archive", "--to a", Where::Host),
    ("audit prune", "", Where::Host),
    ("alarm list", "", Where::Server),
    ("report", "", Where::Host),
    ("store check", "", Where::Host),
    ("hsm list", "", Where::Host),
    ("hsm keys", "h --token web", Where::Host),
    ("hsm adopt", "h --token web --all", Where::Host),
    ("hsm probe", "h", Where::Host),
    ("migrate softhsm", "--from old --token web", Where::Host),
    ("config", "nginx", Where::Host),
    ("doctor", "", Where::Host),
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
fn keys_of_a_server_are_handled_as_keys_of_a_home_are() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate sign --token web --type ec:p256").succeed().mentions("Generated EC P-256 key `sign`");
    me.kmss("key generate wrap --token web --type aes:256 --id 0a0b").succeed();
    me.kmss("key generate sign --token web --type ec:p256").fail().mentions("exists already");
    // The same words and the same JSON, but for the times, as on the home itself.
    let there = json_items(&server.home.kmss("key list --token web --json").succeed());
    assert_eq!(me.json("key list --token web"), there);
    assert_eq!(
        me.kmss("key list --token web").succeed().text(),
        server.home.kmss("key list --token web").succeed().text()
    );
    assert_eq!(
        me.json("key show sign --token web"),
        json_items(&server.home.kmss("key show sign --token web --json").succeed())
    );
    me.kmss("key show nothing --token web").fail().mentions("no key named `nothing`");
    me.kmss("key list --token nothing").fail().mentions("no token is labelled `nothing`");

    me.kmss("key label sign l1 --token web").succeed();
    me.kmss("key rename sign s2 --token web").succeed();
    let parts = me.json("key show s2 --token web");
    assert!(parts.len() == 2 && parts.iter().all(|part| part["label"] == "l1"), "{parts:?}");
    me.kmss("key export-public s2 --token web").succeed().mentions("BEGIN PUBLIC KEY");
    me.kmss("cert self-sign s2 --token web --subject CN=s2 --out s2.pem").succeed();
    me.kmss("cert request s2 --token web --subject CN=s2 --out s2.csr").succeed();
    let openssl = |words: &str| Program::new("openssl").within(me.folder.folder()).words(words).succeed();
    openssl("verify -CAfile s2.pem s2.pem");
    openssl("req -in s2.csr -verify -noout");
    me.kmss("cert import s2.pem --token web --name other").succeed();
    assert_eq!(me.json("cert list --token web").len(), 2);
    assert_eq!(
        me.kmss("cert export s2 --token web").succeed().text(),
        fs::read_to_string(me.folder.file("s2.pem")).unwrap()
    );
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out r.pem");
    me.kmss("key import r.pem --token web --name rsa").succeed().mentions("Imported RSA");
    me.kmss("key destroy wrap --token web --yes").succeed();
    let names: Vec<Value> = me.json("key list --token web").iter().map(|k| k["name"].clone()).collect();
    assert_eq!(names, ["rsa", "s2"]);
    // What was done is in the server's audit, by whom the server knows.
    let made = |record: &Value| record["action"] == "import" && record["object"]["name"] == "rsa";
    assert!(server.home.audit(100).iter().any(made));
    server.home.audit_is_whole();
}

#[test]
fn state_tags_and_audit_of_a_key_take_the_officers_pin() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate k --token web --type aes:256").succeed();
    me.kmss("key disable k --token web").succeed().mentions("is disabled");
    me.kmss("key tag k payment --token web").succeed();
    me.kmss("key audit k sync --token web").succeed();
    let key = &me.json("key show k --token web")[0];
    assert_eq!((&key["state"], &key["audit"]), (&"disabled".into(), &"sync".into()));
    assert_eq!(key["tags"][0], "payment");
    let wrong = me.kmss("key enable k --token web").env("KMSS_SO_PIN", "wrong-1234").fail();
    wrong.mentions("the server says: ").mentions("request ");
}

#[test]
fn over_tls_the_certificate_says_who_asks_and_a_policy_of_the_server_decides() {
    if built::only_kmss("--server") {
        return;
    }
    let rules = "[[principal]]\nname = \"service:orders\"\nsan = \"DNS:orders\"\n";
    let server = Kmssd::with_tls("", rules);
    let text = "policy orders\nallow anyone to authenticate\nallow service:orders to find, generate\n";
    let file = server.home.file("orders.kmss");
    fs::write(&file, text).unwrap();
    let orders = Operator::by_certificate(&server, &["DNS:orders"]);
    let ledger = Operator::by_certificate(&server, &["DNS:ledger"]);
    ledger.kmss("key generate before --token web --type aes:256").succeed();
    server.home.kmss("policy apply").arg(&file).words("--token web").succeed();
    orders.kmss("key generate mine --token web --type aes:256").succeed();
    let refused = ledger.kmss("key generate mine2 --token web --type aes:256").fail();
    assert_eq!(refused.code(), Some(1));
    refused.mentions("the server says: ");
    orders.kmss("key destroy mine --token web --yes").fail().mentions("the server says: ");
    let denied = |record: &Value| record["outcome"] == "denied" && record["principal"] == "service:ledger";
    assert!(server.home.audit(50).iter().any(denied));
    // Without a certificate nobody comes in, and a server that another authority vouches for is not believed.
    let uri = format!("https://localhost:{}", server.port());
    let ca = orders.folder.file("ca.pem");
    let stranger = Operator::at(&uri);
    stranger.kmss("key list --token web --server-ca").arg(&ca).fail().mentions("does not serve");
    let other = stranger.file("other.pem", &kit::Authority::new().pem());
    stranger.kmss("key list --token web --server-ca").arg(&other).fail().mentions("does not serve");
}

/// A server whose administrator is whoever runs the tests, and an operator who is that.
fn administered() -> (Kmssd, Operator) {
    let server = Kmssd::start("", &format!("{}\n[policy]\nadmins = [\"user:me\"]\n", myself()));
    let me = Operator::on_socket(&server);
    (server, me)
}

/// The same question on the home itself.
fn there(server: &Kmssd, words: &str) -> Vec<Value> {
    json_items(&server.home.kmss(&format!("{words} --json")).succeed())
}

#[test]
fn an_administrator_blocks_and_limits_as_on_the_host() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    me.kmss("key generate k --token web --type aes:256").succeed();
    let made = me.json("block add --token web --key k --reason incident --for 1h");
    assert_eq!(there(&server, "block list"), me.json("block list"));
    let id = made[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(me.json(&format!("block show {id}")), there(&server, &format!("block show {id}")));
    me.kmss("block list").succeed().mentions("incident").mentions("default/web/k");
    me.kmss("key destroy k --token web --yes").fail().mentions(&format!("rule block:{id}"));
    me.kmss(&format!("block release {id}")).succeed().mentions("Released: key default/web/k.");
    me.kmss("block add --principal user:ann --throttle 3 --token web").succeed().mentions("3 operations a second");
    me.kmss("block add --principal user:bob").succeed();
    assert_eq!(there(&server, "block list --token web"), me.json("block list --token web"));

    me.kmss("quota set few --token web --principal user:me --actions sign --total 5").succeed();
    me.kmss("quota set few --token web --principal user:me --actions sign --total 6").succeed().mentions("in place of");
    me.kmss("quota set all --per-second 1000 --per-day 100000").succeed();
    assert_eq!(there(&server, "quota list"), me.json("quota list"));
    assert_eq!(there(&server, "quota usage"), me.json("quota usage"));
    assert_eq!(there(&server, "quota show few --token web"), me.json("quota show few --token web"));
    me.kmss("quota remove few --token web").succeed().mentions("Removed quota `few`");
    me.kmss("quota show few --token web").fail().mentions("token `web` has no quota `few`");
    assert_eq!(me.json("quota list").len(), 1);
}

#[test]
fn whoever_is_no_administrator_hears_so_from_the_server() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", &myself());
    let me = Operator::on_socket(&server);
    let why = "the server says: only an admin of the server's configuration may do this";
    let file = me.file("p.kmss", "policy p\nallow anyone to anything\n");
    for words in [
        "block list",
        "block add --principal user:ann",
        "quota list",
        "quota set q --total 1",
        "policy list",
        "policy trust list",
        "token init more",
        &format!("policy apply {} --token web", file.display()),
    ] {
        let said = me.kmss(words).fail();
        assert_eq!(said.code(), Some(1), "{said}");
        said.mentions(why);
    }
    // What is served to it, it sees; of PINs nothing.
    let tokens = me.json("token list");
    assert_eq!((&tokens[0]["label"], &tokens[0]["so_pin"]), (&"web".into(), &Value::Null));
    me.kmss("token user list web").fail().mentions("administrators alone");
}

#[test]
fn an_administrator_puts_policies_in_force_signed_or_not() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    let text = "policy orders\nallow anyone to anything\ndeny user:me to generate\n";
    me.file("orders.kmss", text);
    me.kmss("policy apply orders.kmss --token web").succeed().mentions("is in force for");
    assert_eq!(there(&server, "policy list"), me.json("policy list"));
    assert_eq!(me.kmss("policy show orders --source").succeed().text(), text);
    assert_eq!(there(&server, "policy show orders"), me.json("policy show orders"));
    let refused = me.kmss("key generate k --token web --type aes:256").fail();
    refused.mentions("the server says: ").mentions("(rule namespace/orders#").mentions("request ");
    me.kmss("policy apply orders.kmss --token web").succeed().mentions("in force for namespace default/web already");
    // A publisher of its own.
    let openssl = |words: &str| Program::new("openssl").within(me.folder.folder()).words(words).succeed();
    openssl("genpkey -algorithm ed25519 -out ann.key");
    openssl("pkey -in ann.key -pubout -out ann.pub");
    me.kmss("policy trust add ann ann.pub --token web").succeed().mentions("Bundles of `ann` (ed25519");
    assert_eq!(there(&server, "policy trust list"), me.json("policy trust list"));
    me.file("open.kmss", "policy orders\nallow anyone to anything\n");
    me.kmss("policy sign open.kmss --token web --key-file ann.key --out b").succeed();
    me.kmss("policy apply b").succeed().mentions("in place of sequence 1");
    me.kmss("key generate k --token web --type aes:256").succeed();
    me.kmss("policy trust remove ann --token web").fail().mentions("the server says: ");
    me.kmss("policy remove orders --token web --yes").succeed();
    assert_eq!(there(&server, "policy list"), me.json("policy list"));
    me.kmss("key generate k2 --token web --type aes:256").fail().mentions("the server says: ");
    server.home.audit_is_whole();
}

#[test]
fn tokens_their_pins_and_users_are_managed_from_afar() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    me.kmss("token init more").succeed().mentions("[[server.namespace]]");
    me.kmss("token init more").fail().mentions("exists already");
    assert_eq!(there(&server, "token list"), me.json("token list"));
    assert_eq!(me.kmss("token show web").succeed().text(), server.home.kmss("token show web").succeed().text());
    let new = |words: &str| me.kmss(words).env("KMSS_NEW_PIN", "another-1234");
    new("token user add web ann").succeed();
    me.kmss("token user roles web ann auditor").succeed();
    assert_eq!(there(&server, "token user list web"), me.json("token user list web"));
    new("token set-pin web --user ann --reset").succeed();
    new("token set-pin web --user ann").env("KMSS_PIN", "another-1234").succeed();
    me.kmss("token unlock web --user ann").succeed();
    me.kmss("token user remove web ann --yes").succeed();
    me.kmss("token profile web --forbid sha1-signatures").succeed();
    assert_eq!(there(&server, "token profile web"), me.json("token profile web"));
    let wrong = me.kmss("token unlock web").env("KMSS_SO_PIN", "wrong-1234").fail();
    wrong.mentions("the server says: ");
    me.kmss("token delete more --yes").succeed();
    assert_eq!(me.json("token list").len(), 1);
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

#[test]
fn an_auditor_reads_verifies_and_proves_the_servers_audit() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", &myself());
    let me = Operator::on_socket(&server);
    me.kmss("key generate k --token web --type aes:256").succeed();
    me.kmss("audit checkpoint").fail().mentions("nothing is sealed yet");
    server.home.kmss("audit seal").succeed();
    // Byte for byte what is in the log: nothing is written meanwhile.
    for words in [
        "audit tail -n 50 --json --ids",
        "audit tail --all --token web --ids",
        "audit tail --action generate",
        "audit export --format csv",
        "audit export --format ocsf --action generate",
        "audit key",
        "audit key --root",
        "audit key --witness",
        "audit checkpoint",
        "alarm list",
    ] {
        assert_eq!(me.kmss(words).succeed().text(), server.home.kmss(words).succeed().text(), "{words}");
    }
    me.kmss("audit verify").succeed().mentions("The audit trail is whole");
    let report = &me.json("audit verify")[0];
    assert_eq!((&report["verdict"], &report["seal"]["unsealed"]), (&"whole".into(), &0.into()));
    // A proof that needs no server.
    let sealed = me.kmss("audit tail -n 1 --ids --action generate").succeed().text();
    let name = sealed.split_whitespace().next().unwrap().to_owned();
    me.kmss(&format!("audit prove {name} -o proof")).succeed();
    let keys = me.kmss("audit key").succeed().text();
    let keys = me.file("keys", &keys);
    let auditor = Program::new(built::auditor()).arg(me.folder.file("proof")).arg("--key").arg(keys);
    auditor.succeed();
    // Somebody who changes the log is found by the server, and the exit code is the same as on the host.
    let mut follower = me.kmss("audit tail -n 0 -f --action destroy").keep_running();
    // It may begin to follow a moment later than it is started.
    for n in 0..100 {
        me.kmss(&format!("key generate d{n} --token web --type aes:256")).succeed();
        me.kmss(&format!("key destroy d{n} --token web --yes")).succeed();
        if follower.said().contains("destroy") {
            break;
        }
        assert!(n < 99 && follower.ended().is_none(), "{}", follower.said());
    }
    let segments = fs::read_dir(server.home.path().join("audit")).unwrap().flatten().map(|one| one.path());
    let told = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("\"k\""));
    let segment = segments.filter(|path| path.is_file()).find(told).unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("\"k\"", "\"q\"", 1)).unwrap();
    assert_eq!(me.kmss("audit verify").run().code(), Some(3));
    me.kmss("audit verify --from 2026-01-01").fail().mentions("run it on the server's host");
}

#[test]
fn the_audit_is_for_auditors_and_administrators() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    for words in
        ["audit tail", "audit tail -f", "audit export --format csv", "audit verify", "audit key", "audit checkpoint"]
    {
        me.kmss(words).fail().mentions("the server says: only an auditor or an admin");
    }
}

#[test]
fn domain_keys_are_rotated_and_the_root_key_is_told_from_afar() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    me.kmss("key generate k --token web --type aes:256").succeed();
    assert_eq!(me.json("seal status"), there(&server, "seal status"));
    me.kmss("domain rotate web --home-key").succeed().mentions("web: version 2 seals from now on");
    assert_eq!(me.json("domain list"), there(&server, "domain list"));
    me.kmss("domain rewrap web").env("KMSS_SO_PIN", "wrong-1234").fail().mentions("the server says: ");
    me.kmss("domain rewrap --all").succeed().mentions("version 1 is erased");
    assert_eq!(me.json("domain list"), there(&server, "domain list"));
    assert_eq!(me.json("key list --token web").len(), 1);
    server.home.audit_is_whole();
}
