//! The evaluator: the same code for every policy, but for the addresses of its tables. It writes nothing to its memory.
//!
//! Whoever asks is looked up among the names, programs, roles and groups of the policy, and the key among its keys. Each of
//! the pairs that both then make has its own short list of rules; most pairs have none, which one bit tells.

use super::address;
use super::data::{FACTOR, REQUEST};
use super::emit::{Body, Expr, Func, Label, Local, call, int, long};
use super::index::Tables;
use super::test::YES;
use wasm_encoder::ValType;

/// Fields of a request: docs/policy-abi.md, section 2.
const ACTION: u32 = REQUEST + 8;
const MECHANISM: u32 = REQUEST + 12;
const TIME: u32 = REQUEST + 16;
const LAST_SECOND: u32 = REQUEST + 32;
const LAST_MINUTE: u32 = REQUEST + 36;
const DATA_LENGTH: u32 = REQUEST + 40;
const FLAGS: u32 = REQUEST + 48;
const UID: u32 = REQUEST + 52;
const KEY_TYPE: u32 = REQUEST + 60;
const KEY_BITS: u32 = REQUEST + 64;
const VERSION_AGE: u32 = REQUEST + 80;
const PRINCIPAL: u32 = REQUEST + 96;
const ROLES: u32 = REQUEST + 104;
const LABEL: u32 = REQUEST + 120;
const TAGS: u32 = REQUEST + 136;
const PROCESS: u32 = REQUEST + 144;
const SOURCE: u32 = REQUEST + 152;
const CONTEXT: u32 = REQUEST + 168;

/// The flag that says that there is a key.
const HAS_KEY: u32 = 8;

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

/// A function with its type.
pub(super) struct Signature {
    pub(super) parameters: &'static [ValType],
    pub(super) result: ValType,
    pub(super) body: Body,
}

const HASH: Func = Func(0);
const EQUAL: Func = Func(1);
const FIND: Func = Func(2);
const LOCATE: Func = Func(3);
const ANY: Func = Func(4);
const V4: Func = Func(5);
const GROUP: Func = Func(6);
const V6: Func = Func(7);
const TEST: Func = Func(8);
const HOLDS: Func = Func(9);
const RULES: Func = Func(10);
const PAIR: Func = Func(11);
const FACET: Func = Func(12);
const SUBJECT: Func = Func(13);

/// The place of `kmss_decide` among the functions; `kmss_abi` and `kmss_buf` follow.
pub(super) const DECIDE: u32 = 14;

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
        f(&[I32, I32, I32], I32, hash()),
        f(&[I32, I32, I32], I32, equal()),
        f(&[I32, I32, I32, I32, I32], I32, find()),
        f(&[I32, I32, I32], I32, locate()),
        f(&[I32, I32, I32, I32], I32, any()),
        f(&[I32, I32], I64, address::v4()),
        f(&[I32, I32], I64, address::group()),
        f(&[I32, I32, I32], I64, address::v6(V4, GROUP)),
        f(&[I32], I32, test(constants)),
        f(&[I32], I32, holds()),
        f(&[I32, I32, I32, I64], I64, rules()),
        f(&[I32, I32, I32, I64], I64, pair(tables)),
        f(&[I32, I64, I32, I32, I64], I64, facet(tables)),
        f(&[I32, I32, I32, I64], I64, subject()),
        f(&[I32], I64, decide(tables, constants)),
    ]
}

/// A word of the request.
fn word(at: u32) -> Expr {
    int(at).word(0)
}

/// The address that a text, list or map at `at` begins at.
fn address(at: u32) -> Expr {
    word(at).add(int(REQUEST))
}

/// All bits of a text's last word that belong to it.
fn mask(left: Local) -> Expr {
    long(u64::MAX).shr64(int(64).sub(left.get().shl(int(3))).widened())
}

/// `(text, length, is_start) -> hash`
fn hash() -> Body {
    let mut body = Body::new(3);
    let (at, left) = (body.parameter(0), body.parameter(1));
    let hash = body.long(long(FACTOR).add64(body.parameter(2).get().widened()));
    let next = body.long(long(0));
    let mix = move |next: Local| hash.get().xor64(next.get()).mul64(long(FACTOR));
    body.as_long_as(left.get(), |body| {
        body.set(next, at.get().long(0));
        body.when(left.get().lt(int(8)), |body| {
            body.set(next, next.get().and64(mask(left)));
            body.set(left, int(8));
        });
        body.set(hash, mix(next));
        body.set(hash, hash.get().xor64(hash.get().shr64(long(32))));
        body.set(at, at.get().add(int(8)));
        body.set(left, left.get().sub(int(8)));
    });
    body.give(hash.get().narrowed());
    body
}

/// `(text, other, length) -> whether they are equal`
fn equal() -> Body {
    let mut body = Body::new(3);
    let (a, b, left) = (body.parameter(0), body.parameter(1), body.parameter(2));
    let differ = body.long(long(0));
    body.as_long_as(left.get(), |body| {
        body.set(differ, a.get().long(0).xor64(b.get().long(0)));
        body.when(left.get().lt(int(8)), |body| body.give(differ.get().and64(mask(left)).zero64()));
        body.give_if(differ.get().ne64(long(0)), int(0));
        body.set(a, a.get().add(int(8)));
        body.set(b, b.get().add(int(8)));
        body.set(left, left.get().sub(int(8)));
    });
    body.give(int(1));
    body
}

/// `(slots, mask, text, length, is_start) -> node, or 0`
fn find() -> Body {
    let mut body = Body::new(5);
    let [slots, slot_mask, text, length, is_start] = [0, 1, 2, 3, 4].map(|place| body.parameter(place));
    let hash = body.int(call(HASH, [text.get(), length.get(), is_start.get()]));
    let kind = body.int(length.get().or(is_start.get().shl(int(31))));
    let place = body.int(hash.get());
    let slot = body.int(int(0));
    let node = body.int(int(0));
    body.repeat(|body, again| {
        body.set(slot, slots.get().add(place.get().and(slot_mask.get()).shl(int(3))));
        body.set(node, slot.word(4));
        body.give_if(node.get().zero(), int(0));
        body.when(slot.word(0).eq(hash.get()), |body| {
            body.when(node.word(4).eq(kind.get()), |body| {
                body.give_if(call(EQUAL, [node.word(0), text.get(), length.get()]), node.get());
            });
        });
        body.set(place, place.get().add(int(1)));
        body.go(again);
    });
    body
}

/// `(root, text, length) -> the deepest node that the text matches`
fn locate() -> Body {
    let mut body = Body::new(3);
    let (root, text, length) = (body.parameter(0), body.parameter(1), body.parameter(2));
    let look =
        move |length: Expr, is_start: u32| call(FIND, [root.word(0), root.word(4), text.get(), length, int(is_start)]);
    let node = body.int(look(length.get(), 0));
    body.give_if(node.get(), node.get());
    let at = body.int(root.word(8));
    let end = body.int(at.get().add(root.word(12).shl(int(2))));
    body.as_long_as(at.get().lt(end.get()), |body| {
        body.when(at.word(0).le(length.get()), |body| {
            body.set(node, look(at.word(0), 1));
            body.give_if(node.get(), node.get());
        });
        body.set(at, at.get().add(int(4)));
    });
    body.give(root.word(16));
    body
}

/// `(patterns, count, text, length) -> whether one matches`
fn any() -> Body {
    let mut body = Body::new(4);
    let [at, count, text, length] = [0, 1, 2, 3].map(|place| body.parameter(place));
    let kind = body.int(int(0));
    let wanted = body.int(int(0));
    body.as_long_as(count.get(), |body| {
        body.set(kind, at.word(4));
        body.set(wanted, kind.get().and(int(i32::MAX.cast_unsigned())));
        let fits = wanted.get().eq(length.get()).or(wanted.get().lt(length.get()).and(kind.get().shr(int(31))));
        body.when(fits, |body| {
            body.give_if(call(EQUAL, [at.word(0), text.get(), wanted.get()]), int(1));
        });
        body.set(at, at.get().add(int(8)));
        body.set(count, count.get().sub(int(1)));
    });
    body.give(int(0));
    body
}

type Case<'b> = Box<dyn FnOnce(&mut Body) + 'b>;

/// `(test) -> whether it is so`; see [`super::test`] for its record.
fn test(constants: &Constants) -> Body {
    let mut body = Body::new(1);
    let test = body.parameter(0);
    let known = body.int(int(1));
    let so = body.int(int(0));
    let (from, to) = (8, 16);
    let matches = move |text: Expr, length: Expr| call(ANY, [test.word(from), test.word(to), text, length]);
    let request_text = move || {
        let at = test.word(4).add(int(REQUEST));
        (at.clone().word(0).add(int(REQUEST)), at.word(4))
    };
    let mut cases: Vec<Case<'_>> = Vec::new();
    // In the order of `Op`.
    cases.push(Box::new(move |body| {
        let number = number(body, test, known, constants);
        body.set(so, number.get().ge64(test.get().long(from)).and(number.get().le64(test.get().long(to))));
    }));
    cases.push(Box::new(move |body| {
        let (text, length) = request_text();
        body.set(known, length.clone().ne(int(0)));
        body.set(so, matches(text, length));
    }));
    cases.push(Box::new(move |body| {
        let (text, length) = request_text();
        body.set(so, matches(text, length));
    }));
    cases.push(Box::new(move |body| {
        body.set(known, int(0));
        each(body, CONTEXT, 16, |body, entry, done| {
            // `what` leads to the name as a pattern.
            let named = call(ANY, [test.word(4), int(1), entry.word(0).add(int(REQUEST)), entry.word(4)]);
            body.when(named, |body| {
                body.set(known, int(1));
                body.set(so, matches(entry.word(8).add(int(REQUEST)), entry.word(12)));
                body.go(done);
            });
        });
    }));
    for (list, size) in [(CONTEXT, 16), (TAGS, 8)] {
        cases.push(Box::new(move |body| {
            each(body, list, size, |body, entry, done| {
                body.set(so, matches(entry.word(0).add(int(REQUEST)), entry.word(4)));
                body.go_if(done, so.get());
            });
        }));
    }
    cases.push(Box::new(move |body| source(body, test, known, so)));
    cases.push(Box::new(move |body| {
        let mechanism = body.int(word(MECHANISM));
        body.set(known, mechanism.get().ne(int(0)));
        let at = body.int(test.word(from));
        let end = body.int(at.get().add(test.word(to).shl(int(2))));
        body.block(|body, done| {
            body.as_long_as(at.get().lt(end.get()), |body| {
                body.set(so, at.word(0).eq(mechanism.get()));
                body.go_if(done, so.get());
                body.set(at, at.get().add(int(4)));
            });
        });
    }));
    cases.push(Box::new(move |body| {
        let key_type = body.int(word(KEY_TYPE));
        body.set(known, key_type.get().ne(int(0)));
        let bit = test.get().long(from).shr64(key_type.get().widened()).narrowed().and(int(1));
        body.set(so, bit.and(key_type.get().lt(int(64))));
    }));
    cases.push(Box::new(move |body| body.set(so, word(FLAGS).and(test.word(from)).ne(int(0)))));
    body.choose(test.word(0).and(int(0xff)), cases);
    body.give_if(known.get(), so.get().xor(test.word(0).shr(int(8)).and(int(1))));
    body.give(test.word(0).shr(int(16)).and(int(1)));
    body
}

/// Runs `inner` for the entries of a list or map of the request, until it leaves.
fn each(body: &mut Body, list: u32, size: u32, inner: impl FnOnce(&mut Body, Local, Label)) {
    let at = body.int(address(list));
    let end = body.int(at.get().add(word(list + 4).mul(int(size))));
    body.block(|body, done| {
        body.as_long_as(at.get().lt(end.get()), |body| {
            inner(body, at, done);
            body.set(at, at.get().add(int(size)));
        });
    });
}

/// The number that a test asks for.
fn number(body: &mut Body, test: Local, known: Local, constants: &Constants) -> Local {
    const DAY: u64 = 86_400_000;
    let zone = constants.zone.cast_unsigned();
    let local = move || int(TIME).long(0).add64(long(zone));
    let number = body.long(long(0));
    let keyed = move || word(FLAGS).and(int(HAS_KEY)).ne(int(0));
    let set = move |value: Expr, is_known: Option<Expr>| -> Case<'static> {
        Box::new(move |body: &mut Body| {
            body.set(number, value);
            if let Some(is_known) = is_known {
                body.set(known, is_known);
            }
        })
    };
    let cases = vec![
        set(local().rem64(long(DAY)).div64(long(60_000)), None),
        set(local().div64(long(DAY)).add64(long(3)).rem64(long(7)), None),
        set(local().div64(long(DAY)), None),
        set(int(DATA_LENGTH).long(0), Some(int(DATA_LENGTH).long(0).ne64(long(u64::MAX)))),
        set(word(UID).widened(), Some(word(UID).ne(int(u32::MAX)))),
        set(int(VERSION_AGE).long(0), Some(keyed())),
        set(word(KEY_BITS).widened(), Some(word(KEY_BITS).ne(int(0)))),
        set(word(LAST_SECOND).widened(), None),
        set(word(LAST_MINUTE).widened(), None),
    ];
    body.choose(test.word(4), cases);
    number
}

/// Whether the caller's address lies in one of the networks of 40 bytes.
fn source(body: &mut Body, test: Local, known: Local, so: Local) {
    let text = body.int(address(SOURCE));
    let end = body.int(text.get().add(word(SOURCE + 4)));
    let found = body.long(call(V4, [text.get(), end.get()]));
    let (upper, lower, family) = (body.long(long(0)), body.long(long(0)), body.long(long(4)));
    let whole = found.get().shr64(long(32)).narrowed().eq(end.get()).and(found.get().ne64(long(u64::MAX)));
    body.either(
        whole,
        |body| body.set(lower, found.get().and64(long(u32::MAX.into()))),
        |body| {
            let part = |which: u32| call(V6, [text.get(), end.get(), int(which)]);
            body.set(family, part(2));
            body.set(known, family.get().ne64(long(0)));
            body.when(known.get(), |body| {
                body.set(upper, part(0));
                body.set(lower, part(1));
                // An IPv4 address in an IPv6 one.
                let mapped = upper.get().zero64().and(lower.get().shr64(long(32)).eq64(long(0xffff)));
                body.when(mapped, |body| {
                    body.set(family, long(4));
                    body.set(lower, lower.get().and64(long(u32::MAX.into())));
                });
            });
        },
    );
    let at = body.int(test.word(8));
    let last = body.int(at.get().add(test.word(16).mul(int(40))));
    body.block(|body, done| {
        body.as_long_as(at.get().lt(last.get()), |body| {
            let same =
                |value: Local, net: u32, mask: u32| value.get().and64(at.get().long(mask)).eq64(at.get().long(net));
            let inside = same(upper, 0, 16).and(same(lower, 8, 24)).and(at.get().long(32).eq64(family.get()));
            body.set(so, inside);
            body.go_if(done, so.get());
            body.set(at, at.get().add(int(40)));
        });
    });
}

/// `(chain) -> whether it ends well`
fn holds() -> Body {
    let mut body = Body::new(1);
    let at = body.parameter(0);
    body.as_long_as(at.get().gt(int(YES)), |body| {
        body.either(call(TEST, [at.get()]), |body| body.set(at, at.word(24)), |body| body.set(at, at.word(28)));
    });
    body.give(at.get());
    body
}

/// `(rules, end, action, state) -> state`. A state is the first deny that matches (all bits set: none) and the address of the
/// first allow that does (0: none).
fn rules() -> Body {
    let mut body = Body::new(4);
    let [at, end, action, state] = [0, 1, 2, 3].map(|place| body.parameter(place));
    let rule = body.int(int(0));
    let allow = body.int(int(0));
    let denied = move || state.get().shr64(long(32)).narrowed();
    body.as_long_as(at.get().lt(end.get()), |body| {
        body.when(at.word(0).and(action.get()), |body| {
            body.set(rule, at.word(4));
            body.either(
                rule.get().shr(int(31)),
                |body| {
                    // Denies stand first: where there is one, allows do not matter, nor behind an earlier one.
                    body.give_if(denied().ne(int(u32::MAX)), state.get());
                    body.set(allow, state.get().narrowed());
                    body.when(allow.get(), |body| body.give_if(allow.word(4).le(rule.get()), state.get()));
                    body.when(call(HOLDS, [at.word(8)]), |body| {
                        body.give(long(u64::from(u32::MAX) << 32).or64(at.get().widened()));
                    });
                },
                |body| {
                    body.give_if(denied().le(rule.get()), state.get());
                    body.when(call(HOLDS, [at.word(8)]), |body| body.give(rule.get().widened().shl64(long(32))));
                },
            );
        });
        body.set(at, at.get().add(int(16)));
    });
    body.give(state.get());
    body
}

/// `(subject, object, action, state) -> state`
fn pair(tables: &Tables) -> Body {
    let mut body = Body::new(4);
    let [subject, object, action, state] = [0, 1, 2, 3].map(|place| body.parameter(place));
    let both = subject.get().widened().shl64(long(32)).or64(object.get().widened());
    let place = body.int(both.mul64(long(FACTOR)).shr64(long(32)).narrowed());
    let slot = body.int(int(0));
    body.repeat(|body, again| {
        body.set(slot, place.get().and(int(tables.pairs_mask)).shl(int(4)).add(int(tables.pairs)));
        body.give_if(slot.word(8).zero(), state.get());
        let same = slot.word(0).eq(subject.get()).and(slot.word(4).eq(object.get()));
        body.when(same, |body| {
            body.give(call(RULES, [slot.word(8), slot.word(12), action.get(), state.get()]));
        });
        body.set(place, place.get().add(int(1)));
        body.go(again);
    });
    body
}

/// `(subject, keys, key, action, state) -> state`: the rules of a subject with the key, all above it, and its tags.
fn facet(tables: &Tables) -> Body {
    let mut body = Body::new(5);
    let [subject, keys, key, action, state] = [0, 1, 2, 3, 4].map(|place| body.parameter(place));
    let object = body.int(int(0));
    let look = move |body: &mut Body, node: Local| {
        body.set(object, node.word(8));
        let has_some = keys.get().shr64(object.get().widened()).narrowed().and(int(1));
        body.when(has_some, |body| {
            body.set(state, call(PAIR, [subject.get(), object.get(), action.get(), state.get()]));
        });
    };
    body.as_long_as(key.get(), |body| {
        look(body, key);
        body.set(key, key.word(12));
    });
    if let Some(tags) = tables.tags {
        each(&mut body, TAGS, 8, |body, tag, _| {
            let node = body.int(call(LOCATE, [int(tags.0), tag.word(0).add(int(REQUEST)), tag.word(4)]));
            body.when(node.get(), |body| look(body, node));
        });
    }
    body.give(state.get());
    body
}

/// `(node, key, action, state) -> state`: the rules of a subject and of all others that whoever matches it matches, too.
fn subject() -> Body {
    let mut body = Body::new(4);
    let [node, key, action, state] = [0, 1, 2, 3].map(|place| body.parameter(place));
    body.when(node.get().long(8).zero64().zero(), |body| {
        body.set(state, call(FACET, [node.word(16), node.get().long(8), key.get(), action.get(), state.get()]));
    });
    let at = body.int(node.word(24));
    let end = body.int(node.word(28));
    body.as_long_as(at.get().lt(end.get()), |body| {
        body.set(state, call(FACET, [at.word(8), at.get().long(0), key.get(), action.get(), state.get()]));
        body.set(at, at.get().add(int(16)));
    });
    body.give(state.get());
    body
}

/// `kmss_decide`
fn decide(tables: &Tables, constants: &Constants) -> Body {
    let mut body = Body::new(1);
    let text = |root: u32, field: u32| call(LOCATE, [int(root), address(field), word(field + 4)]);
    let action = body.int(int(1).shl(word(ACTION)).mul(word(ACTION).lt(int(32))));
    let key = body.int(int(tables.no_key));
    body.when(word(FLAGS).and(int(HAS_KEY)), |body| body.set(key, text(tables.keys.0, LABEL)));
    let node = body.int(text(tables.names.0, PRINCIPAL));
    let exclusive = body.int(node.word(20));
    let ask = move |node: Local, state: Expr| call(SUBJECT, [node.get(), key.get(), action.get(), state]);
    let state = body.long(ask(node, long(u64::from(u32::MAX) << 32)));
    if let Some(processes) = tables.processes {
        body.either(
            word(PROCESS + 4),
            |body| body.set(node, text(processes.0, PROCESS)),
            |body| body.set(node, int(tables.unknown_process)),
        );
        body.set(state, ask(node, state.get()));
    }
    each(&mut body, ROLES, 8, |body, role, _| {
        let at = body.int(role.word(0).add(int(REQUEST)));
        let length = body.int(role.word(4));
        let is_group = at.get().long(0).and64(long((1 << 48) - 1)).eq64(long(u64::from_le_bytes(*b"group:\0\0")));
        body.either(
            is_group.and(length.get().ge(int(6))),
            |body| {
                let (at, length) = (at.get().add(int(6)), length.get().sub(int(6)));
                body.set(node, call(LOCATE, [int(tables.groups.0), at, length]));
            },
            |body| body.set(node, call(LOCATE, [int(tables.roles.0), at.get(), length.get()])),
        );
        body.set(exclusive, exclusive.get().or(node.word(20)));
        body.set(state, ask(node, state.get()));
    });
    body.give_if(exclusive.get().ones().gt(int(1)), long(u64::from(constants.clash) << 8));
    let denied = body.int(state.get().shr64(long(32)).narrowed());
    body.give_if(denied.get().ne(int(u32::MAX)), denied.get().widened().shl64(long(8)));
    let allow = body.int(state.get().narrowed());
    body.give_if(allow.get().zero(), long(2));
    let number = allow.word(4).and(int(i32::MAX.cast_unsigned())).widened().shl64(long(8));
    body.give(allow.word(12).widened().shl64(long(32)).or64(number).or64(long(1)));
    body
}
