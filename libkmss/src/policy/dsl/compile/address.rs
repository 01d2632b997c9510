//! Reading network addresses in the evaluator, as `std::net::IpAddr` reads them.

use super::emit::{Body, Expr, Func, call, int, long};

/// What tells that something is no address, or no number.
const NONE: u64 = u64::MAX;

/// `(at, end) -> i64`: an IPv4 address at `at`; its end in the upper half, or [`NONE`].
pub(super) fn v4() -> Body {
    let mut body = Body::new(2);
    let (start, end) = (body.parameter(0), body.parameter(1));
    let at = body.int(start.get());
    let address = body.int(int(0));
    let part = body.int(int(0));
    body.as_long_as(part.get().lt(int(4)), |body| {
        body.when(part.get(), |body| {
            body.give_if(at.get().ge(end.get()), long(NONE));
            body.give_if(at.get().byte(0).ne(int(b'.'.into())), long(NONE));
            body.set(at, at.get().add(int(1)));
        });
        let first = body.int(at.get());
        let number = body.int(int(0));
        let digit = body.int(int(0));
        body.block(|body, done| {
            body.repeat(|body, again| {
                body.go_if(done, at.get().ge(end.get()));
                body.set(digit, at.get().byte(0).sub(int(b'0'.into())));
                body.go_if(done, digit.get().gt(int(9)));
                body.set(number, number.get().mul(int(10)).add(digit.get()));
                body.set(at, at.get().add(int(1)));
                // More digits, larger numbers and zeros at the front are none.
                body.give_if(number.get().gt(int(255)).or(at.get().sub(first.get()).gt(int(3))), long(NONE));
                body.go(again);
            });
        });
        body.give_if(at.get().eq(first.get()), long(NONE));
        let long_zero = first.get().byte(0).eq(int(b'0'.into())).and(at.get().sub(first.get()).gt(int(1)));
        body.give_if(long_zero, long(NONE));
        body.set(address, address.get().shl(int(8)).or(number.get()));
        body.set(part, part.get().add(int(1)));
    });
    body.give(address.get().widened().or64(at.get().widened().shl64(long(32))));
    body
}

/// `(at, end) -> i64`: up to four hexadecimal digits at `at`; their end in the upper half, or [`NONE`].
pub(super) fn group() -> Body {
    let mut body = Body::new(2);
    let (start, end) = (body.parameter(0), body.parameter(1));
    let at = body.int(start.get());
    let number = body.int(int(0));
    let digit = body.int(int(0));
    body.block(|body, done| {
        body.repeat(|body, again| {
            body.go_if(done, at.get().ge(end.get()));
            body.set(digit, at.get().byte(0).sub(int(b'0'.into())));
            body.when(digit.get().gt(int(9)), |body| {
                // Letters of either case.
                body.set(digit, at.get().byte(0).or(int(32)).sub(int(b'a'.into())));
                body.go_if(done, digit.get().gt(int(5)));
                body.set(digit, digit.get().add(int(10)));
            });
            body.set(number, number.get().shl(int(4)).or(digit.get()));
            body.set(at, at.get().add(int(1)));
            body.give_if(at.get().sub(start.get()).gt(int(4)), long(NONE));
            body.go(again);
        });
    });
    body.give_if(at.get().eq(start.get()), long(NONE));
    body.give(number.get().widened().or64(at.get().widened().shl64(long(32))));
    body
}

/// `(at, end, half) -> i64`: the upper (0) or lower (1) half of the IPv6 address that is all of the text, or its family
/// (2): 6; 0 where it is none.
pub(super) fn v6(v4: Func, group: Func) -> Body {
    let mut body = Body::new(3);
    let (start, end, which) = (body.parameter(0), body.parameter(1), body.parameter(2));
    let at = body.int(start.get());
    // Groups before and behind `::`, each as two halves that are shifted in from below.
    let (upper, lower) = (body.long(long(0)), body.long(long(0)));
    let (upper2, lower2) = (body.long(long(0)), body.long(long(0)));
    let count = body.int(int(0));
    let count2 = body.int(int(0));
    let gap = body.int(int(0));
    let found = body.long(long(0));
    let failed = |which: Expr| {
        // There is no half to give; whoever asks for halves has asked for the family first.
        which.widened().and64(long(0))
    };
    let colon = |at: Expr| at.byte(0).eq(int(b':'.into()));
    body.block(|body, done| {
        body.repeat(|body, again| {
            body.go_if(done, at.get().ge(end.get()));
            let all = count.get().add(count2.get());
            body.give_if(all.clone().add(gap.get()).ge(int(8)), failed(which.get()));
            // `::`, once.
            body.when(at.get().add(int(1)).lt(end.get()), |body| {
                let both = colon(at.get()).and(at.get().byte(1).eq(int(b':'.into())));
                body.when(both.and(gap.get().zero()), |body| {
                    body.set(gap, int(1));
                    body.set(at, at.get().add(int(2)));
                    body.go_if(done, at.get().ge(end.get()));
                    body.go(again);
                });
            });
            // Between groups stands a colon; right behind `::` and at the front none.
            let first_of_its_side = gap.get().zero().and(count.get().zero()).or(gap.get().and(count2.get().zero()));
            body.when(first_of_its_side.zero(), |body| {
                body.give_if(colon(at.get()).zero(), failed(which.get()));
                body.set(at, at.get().add(int(1)));
            });
            // The last 32 bits may stand as an IPv4 address.
            body.set(found, call(v4, [at.get(), end.get()]));
            let room = all.add(gap.get()).le(int(6));
            body.either(
                found.get().ne64(long(NONE)).and(room),
                |body| {
                    body.give_if(found.get().shr64(long(32)).narrowed().ne(end.get()), failed(which.get()));
                    for half in [16, 0] {
                        let word = found.get().shr64(long(half)).and64(long(0xffff));
                        body.either(
                            gap.get(),
                            |body| {
                                body.set(upper2, upper2.get().shl64(long(16)).or64(lower2.get().shr64(long(48))));
                                body.set(lower2, lower2.get().shl64(long(16)).or64(word.clone()));
                                body.set(count2, count2.get().add(int(1)));
                            },
                            |body| {
                                body.set(upper, upper.get().shl64(long(16)).or64(lower.get().shr64(long(48))));
                                body.set(lower, lower.get().shl64(long(16)).or64(word.clone()));
                                body.set(count, count.get().add(int(1)));
                            },
                        );
                    }
                    body.set(at, end.get());
                },
                |body| {
                    body.set(found, call(group, [at.get(), end.get()]));
                    body.give_if(found.get().eq64(long(NONE)), failed(which.get()));
                    body.set(at, found.get().shr64(long(32)).narrowed());
                    let word = found.get().and64(long(0xffff));
                    body.either(
                        gap.get(),
                        |body| {
                            body.set(upper2, upper2.get().shl64(long(16)).or64(lower2.get().shr64(long(48))));
                            body.set(lower2, lower2.get().shl64(long(16)).or64(word.clone()));
                            body.set(count2, count2.get().add(int(1)));
                        },
                        |body| {
                            body.set(upper, upper.get().shl64(long(16)).or64(lower.get().shr64(long(48))));
                            body.set(lower, lower.get().shl64(long(16)).or64(word.clone()));
                            body.set(count, count.get().add(int(1)));
                        },
                    );
                },
            );
            body.go(again);
        });
    });
    // Without `::` there are eight groups.
    body.give_if(gap.get().zero().and(count.get().ne(int(8))), failed(which.get()));
    body.give_if(which.get().eq(int(2)), long(6));
    body.give_if(gap.get().zero().and(which.get().zero()), upper.get());
    body.give_if(gap.get().zero(), lower.get());
    // The groups before the gap move up by as many as are missing.
    let missing = body.int(int(8).sub(count.get()));
    body.as_long_as(missing.get(), |body| {
        body.set(upper, upper.get().shl64(long(16)).or64(lower.get().shr64(long(48))));
        body.set(lower, lower.get().shl64(long(16)));
        body.set(missing, missing.get().sub(int(1)));
    });
    body.give_if(which.get().zero(), upper.get().or64(upper2.get()));
    body.give(lower.get().or64(lower2.get()));
    body
}
