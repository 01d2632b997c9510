//! Alarms: what the agent notices, whom it tells, and that what it noticed is in the audit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::http::Receiver;
use kmss_tests::program::Running;
use serde_json::Value;

const TOKEN: &str = "main";

/// A home with a token, whose configuration holds `rules`.
fn home(rules: &str) -> Home {
    let home = Home::with_token(TOKEN);
    configure(&home, rules);
    home
}

fn configure(home: &Home, rules: &str) {
    fs::write(home.path().join("kmss.toml"), format!("[audit.agent]\npoll_ms = 20\nheartbeat_s = 1\n\n{rules}"))
        .unwrap();
}

/// A rule by its name, its kind and the rest.
fn rule(name: &str, when: &str, rest: &str) -> String {
    format!("[[alarm]]\nname = \"{name}\"\nwhen = \"{when}\"\n{rest}\n\n")
}

/// A destination for alarms.
fn pager(name: &str, receiver: &Receiver) -> String {
    let port = receiver.port();
    format!(
        "[[audit.forward]]\nname = \"{name}\"\nto = \"http://127.0.0.1:{port}/\"\nallow_plaintext = true\nrecords = \"alarms\"\n\n"
    )
}

fn agent(home: &Home) -> Running {
    home.kmss("audit agent").keep_running()
}

fn look(home: &Home) {
    home.kmss("audit agent --once").succeed();
}

fn alarms(home: &Home) -> Vec<Value> {
    json_items(&home.kmss("alarm list --json").succeed())
}

/// The alarms of a rule.
fn of(home: &Home, rule: &str) -> Vec<Value> {
    alarms(home).into_iter().filter(|alarm| alarm["rule"] == rule).collect()
}

/// Signs once with the key of id 01.
fn sign(home: &Home) -> kmss_tests::program::Program {
    fs::write(home.file("digest"), [7; 32]).unwrap();
    home.pkcs11_tool(TOKEN, "--sign --id 01 --mechanism ECDSA --input-file digest --output-file sig")
}

#[test]
fn wrong_pins_alarm_whoever_is_to_hear_of_it_and_nobody_else() {
    if built::only_kmss("alarms") {
        return;
    }
    let (pagers, others) = (Receiver::start(0), Receiver::start(0));
    let rules = rule("pins", "wrong-pins", "count = 3\nwindow_s = 600\nseverity = \"high\"\nnotify = [\"pager\"]");
    let home = home(&[rules, pager("pager", &pagers), pager("other", &others)].concat());
    let mut agent = agent(&home);
    for _ in 0..2 {
        home.kmss(&format!("key list --token {TOKEN}")).env("KMSS_PIN", "wrong-1234").fail();
    }
    home.kmss(&format!("key list --token {TOKEN}")).succeed();
    assert!(of(&home, "pins").is_empty());
    home.kmss(&format!("key list --token {TOKEN}")).env("KMSS_PIN", "wrong-1234").fail();
    agent.wait_until("the alarm", || !pagers.records().is_empty());
    let heard = pagers.records();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(
        (&heard[0]["kind"], &heard[0]["severity"], &heard[0]["namespace"]),
        (&"alarm".into(), &"high".into(), &TOKEN.into())
    );
    assert_eq!(heard[0]["count"], 3);
    // What it shows is in the audit.
    let known = json_items(&home.kmss("audit tail -n 1000 --ids --json").succeed());
    for shown in heard[0]["evidence"].as_array().unwrap() {
        let record = known.iter().find(|record| record["id"] == *shown).unwrap();
        assert_eq!((&record["action"], &record["error"]), (&"login".into(), &"pin-incorrect".into()));
    }
    assert_eq!(heard[0]["evidence"].as_array().unwrap().len(), 3);
    agent.signal(15);
    assert!(agent.wait_end().success(), "{}", agent.said());
    assert!(others.records().is_empty());
    let said =
        home.kmss("alarm list").succeed().mentions("ALARM     pins (high)").mentions("3 wrong PINs within 600 s");
    assert!(!said.text().contains('\u{1b}'), "no colours where nobody sees them");
    home.kmss("audit tail --color always").succeed().mentions("\u{1b}[1;31mALARM");
    let beats = json_items(&home.kmss("audit tail -n 1000 --all --json").succeed());
    assert!(beats.iter().any(|record| record["kind"] == "heartbeat" && record["every_s"] == 1));
    home.audit_is_whole();
}

#[test]
fn bursts_denials_and_strangers_are_noticed_once() {
    if built::only_kmss("alarms") {
        return;
    }
    let only = "only = [{ action = \"sign\" }]";
    let rules = [
        rule("burst", "burst", &format!("per = \"key\"\nleast = 5\nlearn_hours = 0\n{only}")),
        rule("much", "burst", &format!("least = 500\nlearn_hours = 0\n{only}")),
        rule("learning", "burst", "least = 1\nlearn_hours = 1000"),
        rule("denied", "denials", "count = 2\nseverity = \"critical\""),
        rule("night", "off-hours", &format!("hours = \"00:00-00:00\"\n{only}")),
        rule("stranger", "new-principal", "learn_hours = 0"),
        rule("destroyed", "match", "only = [{ action = \"destroy\", outcome = \"success\" }]\ndedupe_s = 0"),
    ];
    let home = home(&rules.concat());
    home.generate(TOKEN, "web", "ec:p256", "01");
    home.kmss(&format!("key generate gone --token {TOKEN} --type aes:256")).succeed();
    for _ in 0..8 {
        sign(&home).succeed();
    }
    look(&home);
    let burst = of(&home, "burst");
    assert_eq!(burst.len(), 1, "{burst:?}");
    assert_eq!((&burst[0]["count"], &burst[0]["object"]["name"]), (&6.into(), &"web".into()));
    assert!(of(&home, "much").is_empty() && of(&home, "learning").is_empty() && of(&home, "denied").is_empty());
    assert_eq!(of(&home, "night").len(), 1);
    // Whoever made it and uses it is one and the same.
    assert!(of(&home, "stranger").is_empty(), "{:?}", of(&home, "stranger"));
    home.kmss(&format!("key disable web --token {TOKEN}")).succeed();
    sign(&home).fail();
    look(&home);
    assert!(of(&home, "denied").is_empty());
    sign(&home).fail();
    home.kmss(&format!("key destroy gone --yes --token {TOKEN}")).succeed();
    // Somebody else, by the look of it.
    let text = fs::read_to_string(home.path().join("kmss.toml")).unwrap();
    fs::write(home.path().join("kmss.toml"), format!("{text}\n[[principal]]\nname = \"service:other\"\n")).unwrap();
    home.kmss(&format!("key enable web --token {TOKEN}")).succeed();
    sign(&home).succeed();
    look(&home);
    look(&home);
    let denied = of(&home, "denied");
    assert_eq!((denied.len(), &denied[0]["severity"]), (1, &"critical".into()), "{denied:?}");
    assert_eq!(of(&home, "destroyed").len(), 1);
    let stranger = of(&home, "stranger");
    assert!(stranger.iter().any(|alarm| alarm["principal"] == "service:other"), "{stranger:?}");
    assert_eq!(of(&home, "burst").len(), 1, "once an hour is enough");
    let bad = json_items(&home.kmss("alarm list --severity critical --json").succeed());
    assert!(!bad.is_empty() && bad.iter().all(|alarm| alarm["severity"] == "critical"), "{bad:?}");
    home.audit_is_whole();
}

#[test]
fn what_expires_is_told_before_it_does() {
    if built::only_kmss("alarms") {
        return;
    }
    let home = home(&rule("expiry", "expiry", "days_before = 30\nseverity = \"low\""));
    for (key, days) in [("soon", 20), ("late", 300)] {
        home.kmss(&format!("key generate {key} --token {TOKEN} --type ec:p256")).succeed();
        home.kmss(&format!("cert self-sign {key} --token {TOKEN} --subject CN={key} --days {days}")).succeed();
    }
    look(&home);
    look(&home);
    let found = of(&home, "expiry");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["object"]["label"], &found[0]["object"]["class"]), (&"soon".into(), &"certificate".into()));
    assert!(found[0]["reason"].as_str().unwrap().contains("expires in 19 days"), "{found:?}");
}

#[test]
fn an_audit_with_a_gap_is_an_alarm() {
    if built::only_kmss("alarms") {
        return;
    }
    let home = home(&rule("gap", "audit-gap", "severity = \"critical\""));
    home.kmss(&format!("key generate a --token {TOKEN} --type aes:256")).succeed();
    look(&home);
    assert!(of(&home, "gap").is_empty(), "{:?}", alarms(&home));
    let segments = fs::read_dir(home.path().join("audit")).unwrap().map(|entry| entry.unwrap().path());
    let oldest = segments.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).min().unwrap();
    let text = fs::read_to_string(&oldest).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    fs::write(&oldest, lines[..lines.len() - 2].concat()).unwrap();
    look(&home);
    let found = of(&home, "gap");
    assert!(found.iter().any(|alarm| alarm["reason"].as_str().unwrap().contains("not what it was")), "{found:?}");
    // Records that nobody looks at while they go are missed by the verification.
    fs::remove_file(home.path().join("agent/alarms.json")).unwrap();
    look(&home);
    let found = of(&home, "gap");
    assert!(found.iter().any(|alarm| alarm["reason"].as_str().unwrap().contains("tampered with")), "{found:?}");
}

#[test]
fn what_a_policy_wants_notified_is_notified() {
    if built::only_kmss("alarms") {
        return;
    }
    let desk = Receiver::start(0);
    let home = home(&[rule("policy", "notify", "dedupe_s = 0"), pager("desk", &desk)].concat());
    home.generate(TOKEN, "web", "ec:p256", "01");
    fs::write(home.file("watch.kmss"), "allow anyone to use any key notify \"desk\"\n").unwrap();
    let said = home.kmss(&format!("policy apply --token {TOKEN} --name watch")).arg(home.file("watch.kmss")).run();
    assert!(said.success(), "{said}");
    sign(&home).succeed();
    look(&home);
    let heard = desk.records();
    assert!(heard.iter().any(|record| record["kind"] == "event" && record["tags"][0] == "notify:desk"), "{heard:?}");
    let alarm = heard.iter().find(|record| record["kind"] == "alarm");
    assert!(alarm.is_some_and(|alarm| alarm["reason"].as_str().unwrap().contains("wants desk notified")), "{heard:?}");
}

#[test]
fn whoever_raises_an_alarm_is_stopped_until_an_operator_looks() {
    if built::only_kmss("alarms") {
        return;
    }
    let only = "only = [{ action = \"sign\" }]\nlearn_hours = 0\nleast = 3";
    let rules = [
        rule("key-burst", "burst", &format!("per = \"key\"\n{only}\nblock = \"key\"")),
        rule(
            "slow",
            "match",
            "only = [{ action = \"destroy\" }]\nthrottle = \"principal\"\nper_second = 100\nfor_s = 3600",
        ),
    ];
    let home = home(&rules.concat());
    home.generate(TOKEN, "web", "ec:p256", "01");
    let mut agent = agent(&home);
    for _ in 0..4 {
        sign(&home).succeed();
    }
    agent.wait_until("the block", || json_items(&home.kmss("block list --json").succeed()).len() == 1);
    sign(&home).fail();
    let blocks = json_items(&home.kmss("block list --json").succeed());
    let told = blocks[0].to_string();
    assert!(told.contains("alarm key-burst: 4 operations within 60 s") && told.contains("web"), "{told}");
    assert_eq!(of(&home, "key-burst")[0]["measure"], "block key until released");
    let denied = json_items(&home.kmss("audit tail --denied --action sign --json").succeed());
    assert_eq!((denied.len(), &denied[0]["error"]), (1, &"blocked".into()), "{denied:?}");
    let id = blocks[0]["id"].as_str().unwrap();
    home.kmss(&format!("block release {id}")).succeed();
    sign(&home).succeed();
    home.kmss(&format!("key destroy web --yes --token {TOKEN}")).succeed();
    agent.wait_until("the throttle", || !json_items(&home.kmss("block list --json").succeed()).is_empty());
    let told = json_items(&home.kmss("block list --json").succeed())[0].to_string();
    assert!(told.contains("100") && told.contains("alarm slow"), "{told}");
    home.audit_is_whole();
}
