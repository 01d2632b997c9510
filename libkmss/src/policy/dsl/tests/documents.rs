//! The examples of the documents are policies.

use crate::policy::dsl::Policy;

/// The code blocks of a document that hold policies.
fn policies(text: &str) -> Vec<&str> {
    text.split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.split_once('\n'))
        .filter_map(|(kind, body)| {
            let sentences = body.lines().any(|line| line.starts_with("allow ") || line.starts_with("deny "));
            ((kind == "kmss" || kind.is_empty()) && sentences).then_some(body)
        })
        .collect()
}

#[test]
fn every_policy_in_the_documents_can_be_read_and_compiled() {
    let documents = [
        (include_str!("../../../../../docs/policy-language.md"), 1),
        (include_str!("../../../../../docs/policies.md"), 2),
        (include_str!("../../../../../README.md"), 1),
        (include_str!("../../../../../README.zh-CN.md"), 1),
    ];
    for (text, count) in documents {
        let found = policies(text);
        assert_eq!(found.len(), count);
        for policy in found {
            let read = Policy::parse(policy).unwrap_or_else(|wrong| panic!("{}", wrong.rendered("document", false)));
            read.compile().unwrap();
        }
    }
}

#[test]
fn every_condition_in_the_documents_is_one() {
    let text = include_str!("../../../../../docs/policy-language.md");
    let table = text.split("## Conditions").nth(1).unwrap().split("They are joined").next().unwrap();
    for row in table.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let examples = row.rsplit_once(" | ").map_or(row, |(_, examples)| examples);
        for condition in examples.split('`').skip(1).step_by(2) {
            let policy = format!("allow anyone to use any key when {condition}");
            assert!(Policy::parse(&policy).is_ok(), "{condition}");
        }
    }
}
