//! From a policy to a module of `kmss-policy/1`: tables, and an evaluator that reads them.

mod address;
mod condition;
mod data;
mod emit;
mod evaluator;
mod index;
mod lookup;
mod request;
mod response;
mod test;
mod tree;

use std::borrow::Cow;
use std::collections::BTreeSet;

use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataSection, ExportKind, ExportSection, FunctionSection, MemorySection,
    MemoryType, Module, TypeSection, ValType,
};

use self::data::{BASE, Data, REQUEST};
use self::emit::{Body, int};
use self::evaluator::{Constants, DECIDE, Signature};
use super::ast::{Condition, Relation, Spanned, Test};
use super::words::NumberField;
use super::{CLASH, Policy, reason};
use crate::policy::abi::{MAX_SIZES, READS_SECTION, Reads, SECTION, SIZES_SECTION, VERSION};

/// Bytes of a page of memory.
const PAGE: usize = 64 << 10;

/// Most pages that a host gives to any policy.
const MOST_PAGES: usize = 256;

/// Why a policy cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Its rules speak of too many pairs.
    #[error("its rules name more than 1048576 pairs of a principal and a key: use roles and tags instead of lists")]
    TooManyPairs,
    /// Its tables are larger than a host allows.
    #[error("its tables take {0} pages of 64 KiB and a host gives 256: use roles and tags instead of lists")]
    TooLarge(usize),
}

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The module.
    pub wasm: Vec<u8>,
    /// Pages of 64 KiB that its memory has, which its bundle must allow.
    pub pages: u32,
}

/// Compiles a policy.
pub(super) fn compile(policy: &Policy) -> Result<Compiled, CompileError> {
    let mut data = Data::default();
    let tables = index::write(policy, &mut data)?;
    let data = data.finish();
    let pages = (BASE as usize + data.len()).div_ceil(PAGE);
    if pages > MOST_PAGES {
        return Err(CompileError::TooLarge(pages));
    }
    let constants = Constants { zone: i64::from(policy.zone) * 60_000, clash: policy.clash_number() };
    let mut functions = evaluator::functions(&tables, &constants);
    for value in [VERSION, REQUEST] {
        let mut body = Body::new(0);
        body.give(int(value));
        functions.push(Signature { parameters: &[], result: ValType::I32, body });
    }
    let mut sections = vec![(SECTION, names(policy)), (READS_SECTION, reads(policy).section().to_vec())];
    sections.extend(sizes(policy).map(|sizes| (SIZES_SECTION, sizes)));
    let wasm = module(functions, &data, pages as u64, &sections);
    Ok(Compiled { wasm, pages: u32::try_from(pages).unwrap_or(u32::MAX) })
}

fn module(all: Vec<Signature>, tables: &[u8], pages: u64, sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    for (number, one) in (0..).zip(all) {
        types.ty().function(one.parameters.iter().copied(), [one.result]);
        functions.function(number);
        code.function(&one.body.finish());
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: pages,
        maximum: Some(pages),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    exports.export("kmss_decide", ExportKind::Func, DECIDE);
    exports.export("kmss_abi", ExportKind::Func, DECIDE + 1);
    exports.export("kmss_buf", ExportKind::Func, DECIDE + 2);
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(BASE.cast_signed()), tables.iter().copied());
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports).section(&code).section(&data);
    for (name, data) in sections {
        module.section(&CustomSection { name: Cow::Borrowed(name), data: Cow::Borrowed(data) });
    }
    module.finish()
}

/// The section with the numbers that sizes are compared with: docs/policy-abi.md, section 7. `None` where they are too many.
fn sizes(policy: &Policy) -> Option<Vec<u8>> {
    let mut all = BTreeSet::new();
    policy.rules().filter_map(|rule| rule.when.as_ref()).for_each(|when| thresholds(when, &mut all));
    (all.len() <= MAX_SIZES).then(|| all.into_iter().flat_map(u64::to_le_bytes).collect())
}

fn thresholds(condition: &Condition, all: &mut BTreeSet<u64>) {
    match condition {
        Condition::Any(parts) | Condition::All(parts) => parts.iter().for_each(|part| thresholds(part, all)),
        Condition::Not(inner) => thresholds(inner, all),
        Condition::Test(Spanned { value: Test::Number { field: NumberField::Size, relation, .. }, .. }) => {
            match relation {
                Relation::In(any) => all.extend(any),
                Relation::Less(n) | Relation::AtMost(n) | Relation::More(n) | Relation::AtLeast(n) => {
                    all.insert(*n);
                }
                Relation::Between(low, high) => all.extend([*low, *high]),
            }
        }
        Condition::Test(_) => {}
    }
}

/// What the section of docs/policy-abi.md, section 8, says.
pub(super) fn reads(policy: &Policy) -> Reads {
    fn looked_at(condition: &Condition) -> Reads {
        match condition {
            Condition::Any(parts) | Condition::All(parts) => {
                parts.iter().map(looked_at).fold(Reads::NOTHING, Reads::or)
            }
            Condition::Not(inner) => looked_at(inner),
            Condition::Test(Spanned { value: Test::Number { field, .. }, .. }) => match field {
                NumberField::Time | NumberField::Weekday | NumberField::Date | NumberField::KeyAge => {
                    Reads { time: true, ..Reads::NOTHING }
                }
                NumberField::LastSecond | NumberField::LastMinute => Reads { counts: true, ..Reads::NOTHING },
                NumberField::Size | NumberField::Uid | NumberField::KeyBits => Reads::NOTHING,
            },
            Condition::Test(_) => Reads::NOTHING,
        }
    }
    policy.rules().filter_map(|rule| rule.when.as_ref()).map(looked_at).fold(Reads::NOTHING, Reads::or)
}

/// The section with the names and reasons of rules: docs/policy-abi.md, section 6.
fn names(policy: &Policy) -> Vec<u8> {
    let mut rules: Vec<(u32, String, String)> = policy
        .rules()
        .zip(&policy.lines)
        .map(|(rule, line)| (rule.number, format!("rule {} (line {line})", rule.number), reason(rule)))
        .collect();
    rules.push((policy.clash_number(), "roles that exclude each other".to_owned(), CLASH.to_owned()));
    let narrow = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    let mut table = Vec::new();
    let mut texts = Vec::new();
    let start = 8 + rules.len() * 20;
    for (number, name, why) in &rules {
        table.extend(number.to_le_bytes());
        for text in [name, why] {
            let at = if text.is_empty() { 0 } else { start + texts.len() };
            table.extend(narrow(at).to_le_bytes());
            table.extend(narrow(text.len()).to_le_bytes());
            texts.extend_from_slice(text.as_bytes());
        }
    }
    [1_u32.to_le_bytes(), narrow(rules.len()).to_le_bytes()].concat().into_iter().chain(table).chain(texts).collect()
}
