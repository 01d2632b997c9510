//! `kmss report`: its figures are those of what was done, and nothing that a log holds gets out of its place in a page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kmss_tests::built;
use kmss_tests::home::Home;
use serde_json::{Value, json};

const TOKEN: &str = "main";

fn report(home: &Home, words: &str) -> Value {
    let said = home.kmss(&format!("report --json {words}")).succeed();
    serde_json::from_str(&said.text()).unwrap()
}

fn find<'a>(rows: &'a Value, field: &str, wanted: &str) -> &'a Value {
    let found = rows.as_array().unwrap().iter().find(|row| row[field] == wanted);
    found.unwrap_or_else(|| panic!("no `{wanted}` in {rows:#}"))
}

/// A home in which it is known what was done.
fn home() -> Home {
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "web", "ec:p256", "01");
    home.generate(TOKEN, "idle", "aes:256", "02");
    home.generate(TOKEN, "old", "rsa:2048", "03");
    home.kmss(&format!("cert self-sign web --subject CN=web --days 9 --token {TOKEN}")).succeed();
    std::fs::write(home.file("digest"), [7; 32]).unwrap();
    let sign =
        |id, mechanism| format!("--sign --id {id} --mechanism {mechanism} --input-file digest --output-file sig");
    home.pkcs11_tool(TOKEN, &sign("01", "ECDSA")).succeed();
    home.pkcs11_tool(TOKEN, &sign("01", "ECDSA")).succeed();
    home.pkcs11_tool(TOKEN, &sign("03", "SHA1-RSA-PKCS")).succeed();
    home.kmss(&format!("key disable web --token {TOKEN}")).succeed();
    home.pkcs11_tool(TOKEN, &sign("01", "ECDSA")).fail();
    home.kmss(&format!("key list --token {TOKEN}")).env("KMSS_PIN", "wrong-pin").fail();
    home
}

#[test]
fn the_figures_are_those_of_what_was_done() {
    if built::only_kmss("report") {
        return;
    }
    let home = home();
    let report = report(&home, "");
    assert_eq!((&report["schema"], &report["missing"]), (&json!(1), &json!([])));
    let keys = &report["keys"];
    assert_eq!(keys.as_array().unwrap().len(), 3);
    let web = find(keys, "name", "web");
    assert_eq!(
        (&web["class"], &web["type"], &web["state"]),
        (&json!("private"), &json!("EC P-256"), &json!("disabled"))
    );
    // The certificate was signed with the key, too.
    assert_eq!((&web["uses"], &web["uses_in_period"]), (&json!(3), &json!(3)));
    assert_eq!((&web["sensitive"], &web["extractable"], &web["local"]), (&json!(true), &json!(false), &json!(true)));
    assert_eq!((&web["backend"], &web["rotation_due"], &web["age_days"]), (&json!("soft"), &json!(false), &json!(0)));
    assert_eq!(web["last_use"]["action"], "sign");
    assert_eq!(web["made"]["action"], "generate");
    assert_eq!(web["made"]["principal"], web["last_use"]["principal"]);
    let idle = find(keys, "name", "idle");
    assert_eq!((&idle["last_use"], &idle["uses"], &idle["type"]), (&Value::Null, &json!(0), &json!("AES 256")));
    let certificate = find(&report["certificates"], "label", "web");
    assert_eq!((&certificate["keys"], &certificate["subject"]), (&json!(["web"]), &json!("CN=web")));
    assert_eq!((&certificate["days_left"], &certificate["expired"]), (&json!(8), &json!(false)));
    let uses = find(&report["uses"]["rows"], "key", "web");
    assert_eq!((&uses["operations"], &uses["actions"]), (&json!(3), &json!({ "sign": 3 })));
    assert_eq!(report["uses"]["rows"].as_array().unwrap().len(), 2);
    let denials = report["denials"]["rows"].as_array().unwrap();
    let denied = denials.iter().find(|row| row["action"] == "sign").unwrap();
    assert_eq!((&denied["error"], &denied["key"], &denied["count"]), (&json!("key-state"), &json!("web"), &json!(1)));
    assert_eq!(report["logins"]["rows"][0]["wrong_pin"], 1);
    let succeeded = &report["changes"]["succeeded"];
    assert_eq!((&succeeded["generated"], &succeeded["imported"]), (&json!(3), &json!(1)));
    // Both halves of the pair.
    assert_eq!((&succeeded["key-state"], &succeeded["pins"]), (&json!(2), &json!(1)));
    let state = find(&report["changes"]["newest"], "kind", "key-state");
    assert_eq!(state["what"], "state: enabled -> disabled");
    let weak = &report["weak_mechanisms"]["rows"];
    assert_eq!(weak.as_array().unwrap().len(), 1);
    assert_eq!(
        (&weak[0]["weakness"], &weak[0]["key"], &weak[0]["count"]),
        (&json!("sha1-signatures"), &json!("old"), &json!(1))
    );
    assert_eq!((&report["audit"]["verdict"], &report["audit"]["lost"]), (&json!("whole"), &json!(0)));
    assert_eq!(report["audit"]["period"], report["audit"]["complete"]);
    assert_eq!(report["audit"]["seal"], Value::Null);
    let days = report["days"]["rows"].as_array().unwrap();
    assert_eq!(days.iter().map(|day| day["uses"].as_u64().unwrap()).sum::<u64>(), 4);
    home.kmss("audit seal").succeed();
    let sealed = self::report(&home, "");
    assert!(sealed["audit"]["seal"]["records"].as_u64() > Some(0), "{:#}", sealed["audit"]);
    assert_eq!(sealed["audit"]["verdict"], "whole");
    home.audit_is_whole();
}

#[test]
fn a_period_without_anything_has_no_uses_and_still_knows_the_last_ones() {
    if built::only_kmss("report") {
        return;
    }
    let home = home();
    let report = report(&home, "--since 2020-01-01 --until 2020-02-01 --no-verify --max-age 0");
    for table in ["uses", "denials", "failures", "logins", "weak_mechanisms", "days"] {
        assert_eq!(report[table]["rows"], json!([]), "{table}");
    }
    let web = find(&report["keys"], "name", "web");
    assert_eq!((&web["uses"], &web["uses_in_period"]), (&json!(3), &json!(0)));
    assert_eq!((&report["audit"]["verdict"], &report["audit"]["period"]), (&Value::Null, &json!(0)));
    home.kmss("report --since 2020-01-02 --until 2020-01-01").fail().mentions("ends before");
    home.kmss("report --token nobody").fail().mentions("nobody");
}

#[test]
fn without_a_pin_the_public_part_is_reported_and_the_rest_is_named() {
    if built::only_kmss("report") {
        return;
    }
    let home = home();
    home.init_token("other");
    // Which of several tokens a PIN belongs to is not guessed: a wrong one counts.
    let all = report(&home, "");
    assert_eq!(all["tokens"].as_array().unwrap().len(), 2);
    assert_eq!(all["missing"].as_array().unwrap().len(), 2);
    let web = find(&all["keys"], "name", "web");
    assert_eq!((&web["class"], &web["sensitive"]), (&json!("public"), &Value::Null));
    // Uses of the private half are those of the key of that name.
    assert_eq!((&web["uses"], &web["last_use"]["action"]), (&json!(3), &json!("sign")));
    assert!(all["keys"].as_array().unwrap().iter().all(|key| key["name"] != "idle"));
    let one = report(&home, &format!("--token {TOKEN}"));
    assert_eq!((one["keys"].as_array().unwrap().len(), &one["missing"]), (3, &json!([])));
    home.kmss("report --token main --pin-env NOWHERE").fail().mentions("NOWHERE");
    home.kmss("report --fail-on missing").run().mentions("other").code().map(|code| assert_eq!(code, 3)).unwrap();
}

#[test]
fn an_empty_home_has_a_report_and_evidences_nothing_of_keys() {
    if built::only_kmss("report") {
        return;
    }
    let home = Home::new();
    home.kmss("report").fail().mentions("no home");
    home.kmss("home init").succeed();
    let report = report(&home, "");
    for list in ["tokens", "keys", "certificates"] {
        assert_eq!(report[list], json!([]), "{list}");
    }
    home.kmss("report").succeed().mentions("not a certified cryptographic module").mentions("There are no tokens.");
    assert_eq!(report["audit"]["verdict"], "whole");
    assert!(home.kmss("report --format html").succeed().text().ends_with("</html>"));
    for standard in report["coverage"].as_array().unwrap() {
        for row in standard["rows"].as_array().unwrap() {
            assert_ne!(row["status"], "evidenced", "{row:#}");
        }
    }
}

#[test]
fn standards_are_covered_by_what_the_home_shows_and_no_further() {
    if built::only_kmss("report") {
        return;
    }
    let home = home();
    let report = report(&home, "");
    assert!(report["statement"].as_str().unwrap().contains("not a certified cryptographic module"));
    let status = |standard: &str, number: &str| {
        let rows = &find(&report["coverage"], "id", standard)["rows"];
        find(rows, "requirement", number)["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status("pci-dss-4.0", "10.2.1.4"), "evidenced");
    assert_eq!(status("pci-dss-4.0", "10.2.2"), "evidenced");
    // The trail is a few seconds old, but whole.
    assert_eq!(status("pci-dss-4.0", "10.5.1"), "partly");
    assert_eq!(status("pci-dss-4.0", "3.7.8, 3.7.9"), "not-by-kmss");
    assert_eq!(status("iso-27001-2022", "A.8.24"), "partly");
    assert_eq!(status("gbt-22239-2019-3", "8.1.10.9"), "not-shown");
    assert_eq!(status("gbt-39786-2021", "GM/T 0115, 5.3 and 5.4"), "not-by-kmss");
    for (what, code) in [("weak", 3), ("denied", 3), ("wrong-pin", 3), ("overdue,expired,audit", 0)] {
        let said = home.kmss(&format!("report --json --fail-on {what}")).run();
        assert_eq!(said.code(), Some(code), "{what}: {said}");
    }
}

#[test]
fn a_log_that_was_tampered_with_is_said_to_be() {
    if built::only_kmss("report") {
        return;
    }
    let home = home();
    let segment = std::fs::read_dir(home.path().join("audit")).unwrap().map(|e| e.unwrap().path());
    let segment = segment.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).min().unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("\"action\":\"generate\"", "\"action\":\"generaTe\"", 1)).unwrap();
    let said = home.kmss("report --json --fail-on audit").run();
    assert_eq!(said.code(), Some(3), "{said}");
    let report: Value = serde_json::from_str(&said.text()).unwrap();
    assert_eq!(report["audit"]["verdict"], "tampered");
    assert!(!report["audit"]["findings"].as_array().unwrap().is_empty());
    home.kmss("report").succeed().mentions("TAMPERED WITH");
}

/// Names that would be markup, ends of attributes, and controls of a terminal.
const HOSTILE: &str = "<script>alert(1)</script>\"'onload='x&amp;</style>\u{1b}[2J";

#[test]
fn nothing_that_a_log_holds_is_markup_in_a_page() {
    if built::only_kmss("report") {
        return;
    }
    let home = home();
    home.kmss("key generate").args([HOSTILE, "--token", TOKEN, "--type", "aes:128"]).succeed();
    home.kmss("key tag").args([HOSTILE, "--token", TOKEN, "<b>tag</b>"]).run();
    home.kmss("key disable").args([HOSTILE, "--token", TOKEN]).succeed();
    home.init_token("<img src=x>");
    let page = home.kmss("report --format html --token main --token").arg("<img src=x>").succeed().text();
    for bad in ["<script", "<img", "<b>", "onload='x&amp;<", "\u{1b}"] {
        assert!(!page.contains(bad), "`{bad}` got into the page");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;") && page.contains("&lt;img src=x&gt;"));
    // One page that asks for nothing from elsewhere, with each element closed.
    for bad in ["http://", "https://", "src=\"", "url(", "@import"] {
        assert!(!page.contains(bad), "`{bad}`");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    for element in ["section", "table", "figure", "svg", "tr", "ul", "html"] {
        let open = page.matches(&format!("<{element} ")).count() + page.matches(&format!("<{element}>")).count();
        assert_eq!(open, page.matches(&format!("</{element}>")).count(), "{element}");
    }
    assert!(page.contains("not a certified cryptographic module") && page.contains("\u{7b49}\u{4fdd} 2.0"));
    assert!(page.contains("role=\"img\"") && page.contains("By day"));
    let text = home.kmss("report").succeed().text();
    assert!(!text.contains('\u{1b}'), "a terminal would obey");
}

#[test]
fn a_report_in_a_file_is_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    if built::only_kmss("report") {
        return;
    }
    let home = home();
    let file = home.file("report.html");
    let said = home.kmss("report --format html --output").arg(&file).succeed();
    assert!(said.text().is_empty(), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("<!DOCTYPE html>"));
    home.kmss("report --output").arg(home.file("no/where")).fail().mentions("cannot write");
}

/// The fields on which programs rely: taking one away, or giving it another meaning, raises `schema`.
#[test]
fn the_form_for_programs_keeps_its_fields() {
    if built::only_kmss("report") {
        return;
    }
    let report = report(&home(), "");
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        fields(&report),
        "audit certificates changes coverage days denials failures generated home keys kmss logins max_age_days missing \
         period schema statement suite tokens uses weak_mechanisms"
    );
    assert_eq!(
        fields(&report["keys"][0]),
        "age_days backend bits blocks class created end expired extractable id label last_use local made name \
         policies rotation_due sensitive start state tags token type uses uses_allowed uses_in_period version versions \
         weaknesses"
    );
    assert_eq!(
        fields(&report["uses"]["rows"][0]),
        "abandoned actions class data_len id key last operations principal session_keys token type"
    );
    assert_eq!(fields(&report["denials"]["rows"][0]), "action count error key last principal rule token");
    assert_eq!(fields(&report["coverage"][0]["rows"][0]), "about evidence gaps limit requirement status");
    assert_eq!(
        fields(&report["audit"]),
        "complete findings first last lost period recoveries seal segments trail trail_days verdict verified_records writers"
    );
}

#[test]
fn policies_roles_settings_and_tags_are_in_it() {
    if built::only_kmss("report") {
        return;
    }
    let home = home();
    home.kmss(&format!("token user add {TOKEN} bob --new-pin-env KMSS_PIN")).succeed();
    home.kmss(&format!("token user roles {TOKEN} bob custodian")).succeed();
    home.kmss(&format!("token profile {TOKEN} --forbid ecb")).succeed();
    home.kmss(&format!("key tag idle payment --token {TOKEN}")).succeed();
    std::fs::write(home.file("rules.kmss"), "allow anyone to use any key\n").unwrap();
    home.kmss(&format!("policy apply rules.kmss --token {TOKEN}")).within(home.folder()).succeed();
    home.kmss(&format!("block add --token {TOKEN} --key idle --throttle 3")).succeed();
    let report = report(&home, "");
    let blocks = find(&report["keys"], "name", "idle")["blocks"].to_string();
    assert!(blocks.contains("block:") && blocks.contains("3/s until released"), "{blocks}");
    assert!(report["keys"].as_array().unwrap().iter().any(|key| key["blocks"] == json!([])));
    let token = &report["tokens"][0];
    assert_eq!(find(&token["users"], "user", "bob")["roles"], json!(["custodian"]));
    assert_eq!((&token["forbid"], &token["policy_required"]), (&json!("ecb"), &json!(true)));
    assert_eq!(token["policies"], json!(["namespace/rules"]));
    let newest = &report["changes"]["newest"];
    let settings = newest.as_array().unwrap().iter().filter(|change| change["kind"] == "settings");
    let settings: Vec<&str> = settings.filter_map(|change| change["what"].as_str()).collect();
    assert!(settings.contains(&"forbid: nothing -> ecb"), "{settings:?}");
    assert!(settings.iter().any(|what| what.starts_with("block throttle; block:")), "{settings:?}");
    assert_eq!(find(newest, "kind", "roles")["what"], "roles [] -> [custodian] for user bob");
    assert_eq!(find(newest, "kind", "key-attributes")["what"], "tags: nothing -> payment");
    let policy = find(newest, "kind", "policy")["what"].as_str().unwrap();
    assert!(policy.contains("policy apply") && policy.contains("name rules"), "{policy}");
    assert_eq!(find(&report["keys"], "name", "idle")["tags"], json!(["payment"]));
}
