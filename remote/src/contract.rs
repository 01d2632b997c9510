//! The contract goes on saying what it says: modules and servers of other versions speak it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};

use crate::proto;

/// What stands above the lines of `proto/contract.txt`.
const HEAD: &str = "\
# What proto/kmss/v1 promises to clients and servers of other versions, a line for each field, value and method.
# A line never changes and never goes. `KMSS_WRITE_CONTRACT=1 cargo test -p remote contract` adds new ones.
";

/// The contract, a line for each promise.
type Lines = BTreeSet<String>;

/// What reflection serves.
fn contract() -> FileDescriptorSet {
    FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap()
}

fn lines(set: &FileDescriptorSet) -> Lines {
    let mut lines = Lines::new();
    for file in &set.file {
        let package = file.package();
        file.message_type.iter().for_each(|message| add_message(package, message, &mut lines));
        file.enum_type.iter().for_each(|values| add_enum(package, values, &mut lines));
        file.service.iter().for_each(|service| add_service(package, service, &mut lines));
    }
    lines
}

fn add_message(parent: &str, message: &DescriptorProto, lines: &mut Lines) {
    let name = format!("{parent}.{}", message.name());
    for field in &message.field {
        let (number, kind, label) = (field.number(), kind(field), label(message, field));
        lines.insert(format!("{name}.{} = {number} {kind} {label}", field.name()));
    }
    for range in &message.reserved_range {
        add_reserved(&name, range.start()..range.end(), lines);
    }
    for word in &message.reserved_name {
        lines.insert(format!("{name} reserved \"{word}\""));
    }
    message.nested_type.iter().for_each(|nested| add_message(&name, nested, lines));
    message.enum_type.iter().for_each(|values| add_enum(&name, values, lines));
}

fn add_enum(parent: &str, values: &EnumDescriptorProto, lines: &mut Lines) {
    let name = format!("{parent}.{}", values.name());
    for value in &values.value {
        lines.insert(format!("{name}.{} = {}", value.name(), value.number()));
    }
    for range in &values.reserved_range {
        add_reserved(&name, range.start()..=range.end(), lines);
    }
}

/// A line for each number, so that reserving one more leaves the lines of the others: at most a thousand.
fn add_reserved(name: &str, numbers: impl Iterator<Item = i32>, lines: &mut Lines) {
    lines.extend(numbers.take(1000).map(|number| format!("{name} reserved {number}")));
}

fn add_service(package: &str, service: &ServiceDescriptorProto, lines: &mut Lines) {
    let side = |name: &str, streams: Option<bool>| {
        let stream = if streams == Some(true) { " stream" } else { "" };
        format!("{}{stream}", name.trim_start_matches('.'))
    };
    for method in &service.method {
        let asks = side(method.input_type(), method.client_streaming);
        let answers = side(method.output_type(), method.server_streaming);
        lines.insert(format!("{package}.{}.{}({asks}) returns ({answers})", service.name(), method.name()));
    }
}

/// `uint32`, or the name of a message or an enum.
fn kind(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        simple => simple.as_str_name().trim_start_matches("TYPE_").to_ascii_lowercase(),
    }
}

/// How often it is there: `singular`, `optional`, `repeated`, or as one of a `oneof`.
fn label(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    match field.oneof_index {
        _ if field.label() == Label::Repeated => "repeated".to_owned(),
        _ if field.proto3_optional == Some(true) => "optional".to_owned(),
        Some(index) => format!("oneof {}", message.oneof_decl[usize::try_from(index).unwrap()].name()),
        None => "singular".to_owned(),
    }
}

/// The file of these lines.
fn text(lines: &Lines) -> String {
    lines.iter().fold(HEAD.to_owned(), |text, line| text + line + "\n")
}

/// What the file has and the contract has not, and the other way round.
fn differences(kept: &str, now: &Lines) -> (Vec<String>, Vec<String>) {
    let promises = kept.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let kept: Lines = promises.map(str::to_owned).collect();
    (kept.difference(now).cloned().collect(), now.difference(&kept).cloned().collect())
}

#[test]
fn what_the_contract_promised_it_still_promises() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/contract.txt");
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let now = lines(&contract());
    let (gone, new) = differences(&kept, &now);
    assert!(
        gone.is_empty(),
        "the contract is broken: clients and servers of other versions rely on what these lines of remote/proto/contract.txt \
         say, and proto/kmss/v1 says it no more. Put it back, and give what is new a name and a number of its own:\n{}",
        gone.join("\n")
    );
    if env::var_os("KMSS_WRITE_CONTRACT").is_some_and(|value| value == "1") {
        fs::write(&file, text(&now)).unwrap();
        return;
    }
    assert!(
        new.is_empty(),
        "these lines are new in the contract, and from now on a promise: add them to remote/proto/contract.txt by \
         `KMSS_WRITE_CONTRACT=1 cargo test -p remote contract`:\n{}",
        new.join("\n")
    );
}

/// What of the contract is gone, and what is new, after a change of it.
fn after(change: fn(&mut FileDescriptorSet)) -> (Vec<String>, Vec<String>) {
    let mut changed = contract();
    let kept = text(&lines(&changed));
    change(&mut changed);
    differences(&kept, &lines(&changed))
}

/// A message with the fields `string name = 1`, `string officer_pin = 2` and `optional string user_pin = 3`.
fn namespace(set: &mut FileDescriptorSet) -> &mut DescriptorProto {
    let mut messages = set.file.iter_mut().flat_map(|file| file.message_type.iter_mut());
    messages.find(|message| message.name() == "CreateNamespaceRequest").unwrap()
}

#[test]
fn a_field_that_goes_or_changes_breaks_the_contract() {
    let line = "kmss.v1.CreateNamespaceRequest.name = 1 string singular";
    let removed = after(|set| drop(namespace(set).field.remove(0)));
    assert_eq!(removed, (vec![line.to_owned()], vec![]));
    let (gone, new) = after(|set| namespace(set).field[0].number = Some(99));
    assert_eq!(gone, [line]);
    assert_eq!(new, ["kmss.v1.CreateNamespaceRequest.name = 99 string singular"]);
    let (gone, new) = after(|set| namespace(set).field[0].r#type = Some(Type::Bytes as i32));
    assert_eq!(gone, [line]);
    assert_eq!(new, ["kmss.v1.CreateNamespaceRequest.name = 1 bytes singular"]);
    let (gone, _) = after(|set| namespace(set).field[2].proto3_optional = None);
    assert_eq!(gone, ["kmss.v1.CreateNamespaceRequest.user_pin = 3 string optional"]);
}

#[test]
fn a_value_a_method_or_a_reserved_number_that_goes_breaks_the_contract() {
    let (gone, _) = after(|set| {
        let mut enums = set.file.iter_mut().flat_map(|file| file.enum_type.iter_mut());
        drop(enums.find(|values| values.name() == "Hash").unwrap().value.remove(1));
    });
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(gone[0].starts_with("kmss.v1.Hash.") && gone[0].ends_with(" = 1"), "{gone:?}");
    let (gone, new) = after(|set| {
        let mut services = set.file.iter_mut().flat_map(|file| file.service.iter_mut());
        let service = services.find(|service| service.name() == "AdminService").unwrap();
        service.method.iter_mut().find(|method| method.name() == "ReplayPolicy").unwrap().server_streaming = None;
    });
    let method = "kmss.v1.AdminService.ReplayPolicy(kmss.v1.ReplayPolicyRequest) returns (kmss.v1.ReplayPolicyResponse";
    assert_eq!((gone, new), (vec![format!("{method} stream)")], vec![format!("{method})")]));
    let (gone, _) = after(|set| {
        let mut messages = set.file.iter_mut().flat_map(|file| file.message_type.iter_mut());
        messages.find(|message| message.name() == "ChangeKeyLifeRequest").unwrap().reserved_range.clear();
    });
    assert_eq!(gone, ["kmss.v1.ChangeKeyLifeRequest reserved 2"]);
}

#[test]
fn what_is_added_is_new_and_breaks_nothing() {
    let (gone, new) = after(|set| {
        let added = FieldDescriptorProto {
            name: Some("added".to_owned()),
            number: Some(99),
            r#type: Some(Type::Uint32 as i32),
            ..FieldDescriptorProto::default()
        };
        namespace(set).field.push(added);
    });
    assert_eq!(gone, Vec::<String>::new());
    assert_eq!(new, ["kmss.v1.CreateNamespaceRequest.added = 99 uint32 singular"]);
}
