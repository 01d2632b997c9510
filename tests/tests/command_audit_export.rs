//! `kmss audit export`: what other programs read of the trail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use serde_json::Value;

const TOKEN: &str = "main";
/// A name that spreadsheets would run, and that must be quoted.
const NAME: &str = "=1+1,\"a\"";

/// A home with keys, uses and a refusal.
fn home() -> Home {
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "web", "ec:p256", "01");
    home.kmss(&format!("key generate --token {TOKEN} --type aes:256")).arg(NAME).succeed();
    std::fs::write(home.file("digest"), [7; 32]).unwrap();
    let sign = "--sign --id 01 --mechanism ECDSA --input-file digest --output-file sig";
    home.pkcs11_tool(TOKEN, sign).succeed();
    home.kmss(&format!("key disable web --token {TOKEN}")).succeed();
    home.pkcs11_tool(TOKEN, sign).fail();
    home
}

/// The rows of CSV, each by its columns' names.
fn rows(text: &str) -> Vec<HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn a_spreadsheet_has_a_row_for_each_record_and_nothing_that_it_would_run() {
    if built::only_kmss("audit export") {
        return;
    }
    let home = home();
    let said = home.kmss("audit export --format csv").succeed();
    let rows = rows(&said.text());
    let records = home.audit(1000);
    assert_eq!(rows.len(), records.len());
    let refused: Vec<_> = rows.iter().filter(|row| row["outcome"] == "denied").collect();
    assert!(
        refused.iter().any(|row| row["action"] == "sign" && row["error"] == "key-state" && !row["reason"].is_empty())
    );
    let made = rows.iter().find(|row| row["object_type"] == "AES" && row["outcome"] == "success").unwrap();
    assert_eq!(made["object_name"], format!("'{NAME}"));
    assert!(made["time"].ends_with('Z') && made["executable"].ends_with("kmss"), "{made:?}");
    let hashes: Vec<&str> = records.iter().map(|record| record["h"].as_str().unwrap()).collect();
    assert!(rows.iter().all(|row| hashes.contains(&row["h"].as_str())));
    let some = home.kmss("audit export --format csv --action sign --outcome denied --until 2999-01-01").succeed();
    assert!(!self::rows(&some.text()).is_empty());
    let none = home.kmss("audit export --format csv --until 2020-01-01").succeed();
    assert_eq!(none.text().lines().count(), 1, "the names of the columns alone");
    home.kmss("audit export --format csv --since yesterday").fail().mentions("YYYY-MM-DD");
}

#[test]
fn every_event_of_ocsf_has_its_class_status_and_the_name_of_its_record() {
    if built::only_kmss("audit export") {
        return;
    }
    let home = home();
    let said = home.kmss("audit export --format ocsf --all").succeed();
    let events: Vec<Value> = said.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = |event: &Value, field: &str| event[field].as_u64().unwrap();
    for event in &events {
        assert_eq!(
            number(event, "type_uid"),
            number(event, "class_uid") * 100 + number(event, "activity_id"),
            "{event}"
        );
        assert!([1, 2, 99].contains(&number(event, "status_id")) && number(event, "time") > 0, "{event}");
    }
    let refused = events.iter().find(|e| e["api"]["operation"] == "sign" && e["status"] == "Failure").unwrap();
    assert_eq!((number(refused, "severity_id"), &refused["status_code"]), (3, &"key-state".into()), "{refused}");
    assert_eq!(refused["resources"][0]["name"], "web");
    assert!(refused["actor"]["process"]["pid"].as_u64() > Some(0) && refused["src_endpoint"]["hostname"].is_string());
    assert!(events.iter().any(|e| e["class_uid"] == 3002 && e["activity_name"] == "Logon"));
    assert!(events.iter().any(|e| e["api"]["operation"] == "audit genesis"));
    let shown = json_items(&home.kmss("audit tail -n 1000 --all --ids --json").succeed());
    let mut named: Vec<_> = shown.iter().map(|record| &record["id"]).collect();
    let mut exported: Vec<_> = events.iter().map(|event| &event["metadata"]["uid"]).collect();
    named.sort_by_key(|id| id.to_string());
    exported.sort_by_key(|id| id.to_string());
    assert_eq!(exported, named);
}
