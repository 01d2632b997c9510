//! The evaluator: the same code for every policy, but for the addresses of its tables. It writes nothing to its memory.
//!
//! Whoever asks is looked up among the names, programs, roles and groups of the policy, and the key among its keys. Each of
//! the pairs that both then make has its own short list of rules; most pairs have none, which one bit tells.
//!
//! What every decision does stands in one function: a call costs as much as a look into a table, because fuel is put down
//! before and taken up after it.

use super::data::{FACTOR, REQUEST};
use super::emit::{Body, Expr, Func, Label, Local, call, int, long};
use super::index::Tables;
use super::request::{ACTION, FLAGS, HAS_KEY, LABEL, PRINCIPAL, PROCESS, ROLES, TAGS, address, word};
use super::{address as network, condition, lookup, test::YES};
use wasm_encoder::ValType;

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

/// A function with its type.
pub(super) struct Signature {
    pub(super) parameters: &'static [ValType],
    pub(super) result: ValType,
    pub(super) body: Body,
}

pub(super) const FIND: Func = Func(0);
pub(super) const START: Func = Func(1);
pub(super) const LOCATE: Func = Func(2);
pub(super) const ANY: Func = Func(3);
pub(super) const V4: Func = Func(4);
const GROUP: Func = Func(5);
pub(super) const V6: Func = Func(6);
pub(super) const TEST: Func = Func(7);
const HOLDS: Func = Func(8);
const ROLE: Func = Func(9);

/// The place of `kmss_decide` among the functions; `kmss_abi` and `kmss_buf` follow.
pub(super) const DECIDE: u32 = 10;

/// What the code knows of the policy besides its tables.
pub(super) struct Constants {
    /// In milliseconds.
    pub(super) zone: i64,
    /// The rule that denies principals whose roles exclude each other.
    pub(super) clash: u32,
}

/// All functions, in the order of their numbers.
pub(super) fn functions(tables: &Tables, constants: &Constants) -> Vec<Signature> {
    let f = |parameters, result, body| Signature { parameters, result, body };
    vec![
        f(&[I32, I32, I32, I32, I32], I32, lookup::find_function()),
        f(&[I32, I32, I32], I32, lookup::start_function(FIND)),
        f(&[I32, I32, I32], I32, lookup::locate_function(FIND, START)),
        f(&[I32, I32, I32, I32], I32, lookup::any_function()),
        f(&[I32, I32], I64, network::v4()),
        f(&[I32, I32], I64, network::group()),
        f(&[I32, I32, I32], I64, network::v6(V4, GROUP)),
        f(&[I32], I32, condition::test(constants)),
        f(&[I32], I32, condition::holds()),
        f(&[I32], I32, role(tables)),
        f(&[I32], I64, decide(tables, constants)),
    ]
}

/// `(entry of the request's roles) -> node`
fn role(tables: &Tables) -> Body {
    let mut body = Body::new(1);
    let role = body.parameter(0);
    let at = body.int(role.word(0).add(int(REQUEST)));
    let length = body.int(role.word(4));
    let is_group = at.get().long(0).and64(long((1 << 48) - 1)).eq64(long(u64::from_le_bytes(*b"group:\0\0")));
    body.when(is_group.and(length.get().ge(int(6))), |body| {
        let (at, length) = (at.get().add(int(6)), length.get().sub(int(6)));
        body.give(call(LOCATE, [int(tables.groups.address), at, length]));
    });
    body.give(call(LOCATE, [int(tables.roles.address), at.get(), length.get()]));
    body
}

/// What a decision knows so far.
#[derive(Clone, Copy)]
struct Decision {
    /// The bit of the action.
    action: Local,
    /// The node of the key.
    key: Local,
    /// The number of the first deny that matches; all bits set: none.
    denied: Local,
    /// The address of the first allow that matches; 0: none.
    allow: Local,
}

/// `kmss_decide`
fn decide(tables: &Tables, constants: &Constants) -> Body {
    let mut body = Body::new(1);
    let body = &mut body;
    let find =
        |body: &mut Body, root, field: u32| lookup::locate_in(body, root, START, address(field), word(field + 4));
    let key = body.int(int(tables.no_key));
    body.when(word(FLAGS).and(int(HAS_KEY)), |body| {
        let found = find(body, &tables.keys, LABEL);
        body.set(key, found.get());
    });
    let node = find(body, &tables.names, PRINCIPAL);
    let state = Decision {
        action: body.int(int(1).shl(word(ACTION)).mul(word(ACTION).lt(int(32)))),
        key,
        denied: body.int(int(u32::MAX)),
        allow: body.int(int(0)),
    };
    let exclusive = body.int(int(0));
    let program_is_next = body.int(int(1));
    let role = body.int(address(ROLES));
    let last = body.int(role.get().add(word(ROLES + 4).shl(int(3))));
    body.block(|body, done| {
        body.repeat(|body, next| {
            body.set(exclusive, exclusive.get().or(node.word(20)));
            subject(body, tables, state, node);
            if let Some(processes) = &tables.processes {
                body.when(program_is_next.get(), |body| {
                    body.set(program_is_next, int(0));
                    let program = call(LOCATE, [int(processes.address), address(PROCESS), word(PROCESS + 4)]);
                    body.set(node, int(tables.unknown_process));
                    body.when(word(PROCESS + 4), |body| body.set(node, program));
                    body.go(next);
                });
            }
            body.go_if(done, role.get().ge(last.get()));
            body.set(node, call(ROLE, [role.get()]));
            body.set(role, role.get().add(int(8)));
            body.go(next);
        });
    });
    body.give_if(exclusive.get().ones().gt(int(1)), long(u64::from(constants.clash) << 8));
    let denied = state.denied;
    body.give_if(denied.get().ne(int(u32::MAX)), denied.get().widened().shl64(long(8)));
    let allow = state.allow;
    body.give_if(allow.get().zero(), long(2));
    let number = allow.word(4).and(int(i32::MAX.cast_unsigned())).widened().shl64(long(8));
    body.give(allow.word(12).widened().shl64(long(32)).or64(number).or64(long(1)));
    std::mem::replace(body, Body::new(0))
}

/// The rules of somebody and of all others that whoever matches it matches, too.
fn subject(body: &mut Body, tables: &Tables, state: Decision, node: Local) {
    // What is asked begins with a bit for every 64th key that it has rules with, and its number.
    let asked = body.int(node.get().add(int(8)));
    let others = body.int(node.word(24));
    let end = body.int(node.word(28));
    let keys = body.long(long(0));
    body.block(|body, done| {
        body.repeat(|body, next| {
            body.set(keys, asked.get().long(0));
            body.when(keys.get().zero64().zero(), |body| facet(body, tables, state, asked.word(8), keys));
            body.go_if(done, others.get().ge(end.get()));
            body.set(asked, others.get());
            body.set(others, others.get().add(int(16)));
            body.go(next);
        });
    });
}

/// The rules of somebody with the key, with all that is above it, and with its tags.
fn facet(body: &mut Body, tables: &Tables, state: Decision, subject: Expr, keys: Local) {
    let subject = body.int(subject);
    let object = body.int(state.key.get());
    let above = |body: &mut Body| {
        body.as_long_as(object.get(), |body| {
            let has_some = keys.get().shr64(object.word(8).widened()).narrowed().and(int(1));
            body.when(has_some, |body| pair(body, tables, state, subject, object.word(8)));
            body.set(object, object.word(12));
        });
    };
    let Some(tags) = &tables.tags else { return above(body) };
    let tag = body.int(address(TAGS));
    // Tags have even numbers.
    let is_with_tags = keys.get().and64(long(0x5555_5555_5555_5555)).zero64().zero();
    let last = body.int(tag.get().add(word(TAGS + 4).shl(int(3)).mul(is_with_tags)));
    body.block(|body, done| {
        body.repeat(|body, next| {
            above(body);
            body.go_if(done, tag.get().ge(last.get()));
            body.set(object, call(LOCATE, [int(tags.address), tag.word(0).add(int(REQUEST)), tag.word(4)]));
            body.set(tag, tag.get().add(int(8)));
            body.go(next);
        });
    });
}

/// The rules of a pair, if it has any.
fn pair(body: &mut Body, tables: &Tables, state: Decision, subject: Local, object: Expr) {
    let both = body.long(object.widened().shl64(long(32)).or64(subject.get().widened()));
    let place = body.int(both.get().mul64(long(FACTOR)).shr64(long(32)).narrowed());
    let slot = body.int(int(0));
    body.block(|body, done| {
        body.repeat(|body, next| {
            body.set(slot, place.get().and(int(tables.pairs_mask)).shl(int(4)).add(int(tables.pairs)));
            body.go_if(done, slot.word(8).zero());
            body.when(slot.get().long(0).eq64(both.get()), |body| rules(body, state, slot, done));
            body.set(place, place.get().add(int(1)));
            body.go(next);
        });
    });
}

/// The rules between the addresses in a slot; goes to `done`.
fn rules(body: &mut Body, state: Decision, slot: Local, done: Label) {
    let Decision { action, denied, allow, .. } = state;
    let at = body.int(slot.word(8));
    let end = body.int(slot.word(12));
    let rule = body.int(int(0));
    let holds = body.int(int(0));
    body.repeat(|body, next| {
        body.when(at.word(0).and(action.get()), |body| {
            body.set(rule, at.word(4));
            body.either(
                rule.get().shr(int(31)),
                |body| {
                    // Denies stand first: where there is one, allows do not matter, nor behind an earlier one.
                    body.go_if(done, denied.get().ne(int(u32::MAX)));
                    body.when(allow.get(), |body| body.go_if(done, allow.word(4).le(rule.get())));
                },
                |body| body.go_if(done, denied.get().le(rule.get())),
            );
            body.set(holds, at.word(8));
            body.when(holds.get().gt(int(YES)), |body| body.set(holds, call(HOLDS, [holds.get()])));
            body.when(holds.get(), |body| {
                body.either(
                    rule.get().shr(int(31)),
                    |body| body.set(allow, at.get()),
                    |body| body.set(denied, rule.get()),
                );
                body.go(done);
            });
        });
        body.set(at, at.get().add(int(16)));
        body.when(at.get().lt(end.get()), |body| body.go(next));
    });
    body.go(done);
}
