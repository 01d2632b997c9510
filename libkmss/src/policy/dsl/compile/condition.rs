//! Testing conditions in the evaluator; [`super::test`] says what it reads.

use super::data::REQUEST;
use super::emit::{Body, Branch, Expr, Local, call, int, long};
use super::evaluator::{ANY, Constants, TEST, V4, V6};
use super::request::{
    CONTEXT, DATA_LENGTH, FLAGS, HAS_KEY, KEY_BITS, KEY_TYPE, LAST_MINUTE, LAST_SECOND, MECHANISM, SOURCE, TAGS, TIME,
    UID, VERSION_AGE, address, each, word,
};
use super::test::YES;

/// `(test) -> whether it is so`; see [`super::test`] for its record.
pub(super) fn test(constants: &Constants) -> Body {
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
    let mut cases: Vec<Branch<'_>> = Vec::new();
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

/// The number that a test asks for.
fn number(body: &mut Body, test: Local, known: Local, constants: &Constants) -> Local {
    const DAY: u64 = 86_400_000;
    let zone = constants.zone.cast_unsigned();
    let local = move || int(TIME).long(0).add64(long(zone));
    let number = body.long(long(0));
    let keyed = move || word(FLAGS).and(int(HAS_KEY)).ne(int(0));
    let set = move |value: Expr, is_known: Option<Expr>| -> Branch<'static> {
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
pub(super) fn holds() -> Body {
    let mut body = Body::new(1);
    let at = body.parameter(0);
    body.as_long_as(at.get().gt(int(YES)), |body| {
        body.either(call(TEST, [at.get()]), |body| body.set(at, at.word(24)), |body| body.set(at, at.word(28)));
    });
    body.give(at.get());
    body
}
