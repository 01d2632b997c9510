//! Finding texts in the evaluator: by their hashes, then by the longest start that is known.

use super::data::FACTOR;
use super::emit::{Body, Expr, Func, Local, call, int, long};
use super::tree::Root;

/// All bits of a text's last word that belong to it.
fn mask(left: Local) -> Expr {
    long(u64::MAX).shr64(int(64).sub(left.get().shl(int(3))).widened())
}

/// The hash of a text, as [`super::data::hash`] computes it.
fn hash(body: &mut Body, text: Local, length: Local, is_start: Expr) -> Local {
    let (at, left) = (body.int(text.get()), body.int(length.get()));
    let hash = body.long(long(FACTOR).add64(is_start.widened()));
    let next = body.long(long(0));
    body.as_long_as(left.get(), |body| {
        body.set(next, at.get().long(0));
        body.when(left.get().lt(int(8)), |body| {
            body.set(next, next.get().and64(mask(left)));
            body.set(left, int(8));
        });
        body.set(hash, hash.get().xor64(next.get()).mul64(long(FACTOR)));
        body.set(hash, hash.get().xor64(hash.get().shr64(long(32))));
        body.set(at, at.get().add(int(8)));
        body.set(left, left.get().sub(int(8)));
    });
    body.int(hash.get().narrowed())
}

/// Runs `then` if two texts of one length are equal.
fn if_equal(body: &mut Body, a: Expr, b: Expr, length: Expr, then: impl FnOnce(&mut Body)) {
    let (a, b, left) = (body.int(a), body.int(b), body.int(length));
    let differ = body.long(long(0));
    body.block(|body, unequal| {
        body.as_long_as(left.get(), |body| {
            body.set(differ, a.get().long(0).xor64(b.get().long(0)));
            body.when(left.get().lt(int(8)), |body| {
                body.set(differ, differ.get().and64(mask(left)));
                body.set(left, int(8));
            });
            body.go_if(unequal, differ.get().ne64(long(0)));
            body.set(a, a.get().add(int(8)));
            body.set(b, b.get().add(int(8)));
            body.set(left, left.get().sub(int(8)));
        });
        then(body);
    });
}

/// The node of exactly this text, or start of texts; 0 where there is none.
fn find(body: &mut Body, [slots, slot_mask]: [Expr; 2], text: Local, length: Local, is_start: Expr) -> Local {
    let hash = hash(body, text, length, is_start.clone());
    let kind = body.int(length.get().or(is_start.shl(int(31))));
    let place = body.int(hash.get());
    let slot = body.int(int(0));
    let node = body.int(int(0));
    body.block(|body, done| {
        body.repeat(|body, again| {
            body.set(slot, slots.add(place.get().and(slot_mask).shl(int(3))));
            body.set(node, slot.word(4));
            body.go_if(done, node.get().zero());
            body.when(slot.word(0).eq(hash.get()), |body| {
                body.when(node.word(4).eq(kind.get()), |body| {
                    if_equal(body, node.word(0), text.get(), length.get(), |body| body.go(done));
                });
            });
            body.set(place, place.get().add(int(1)));
            body.go(again);
        });
    });
    node
}

/// The deepest node of a tree that the text matches. What the tree is like is known: the shortest way is written out.
pub(super) fn locate_in(body: &mut Body, root: &Root, start: Func, text: Expr, length: Expr) -> Local {
    let (text, length) = (body.int(text), body.int(length));
    let node = find(body, [int(root.slots), int(root.mask)], text, length, int(0));
    body.when(node.get().zero(), |body| {
        let otherwise = call(start, [int(root.address), text.get(), length.get()]);
        body.set(node, if root.has_starts { otherwise } else { int(root.otherwise) });
    });
    node
}

/// `(slots, mask, text, length, is_start) -> node, or 0`
pub(super) fn find_function() -> Body {
    let mut body = Body::new(5);
    let [slots, slot_mask, text, length, is_start] = [0, 1, 2, 3, 4].map(|place| body.parameter(place));
    let node = find(&mut body, [slots.get(), slot_mask.get()], text, length, is_start.get());
    body.give(node.get());
    body
}

/// `(root, text, length) -> the node of the longest start of the text that is known, or of what matches nothing`
pub(super) fn start_function(find: Func) -> Body {
    let mut body = Body::new(3);
    let (root, text, length) = (body.parameter(0), body.parameter(1), body.parameter(2));
    let node = body.int(int(0));
    let at = body.int(root.word(8));
    let end = body.int(at.get().add(root.word(12).shl(int(2))));
    body.as_long_as(at.get().lt(end.get()), |body| {
        body.when(at.word(0).le(length.get()), |body| {
            body.set(node, call(find, [root.word(0), root.word(4), text.get(), at.word(0), int(1)]));
            body.give_if(node.get(), node.get());
        });
        body.set(at, at.get().add(int(4)));
    });
    body.give(root.word(16));
    body
}

/// `(root, text, length) -> the deepest node that the text matches`
pub(super) fn locate_function(find: Func, start: Func) -> Body {
    let mut body = Body::new(3);
    let (root, text, length) = (body.parameter(0), body.parameter(1), body.parameter(2));
    let node = body.int(call(find, [root.word(0), root.word(4), text.get(), length.get(), int(0)]));
    body.give_if(node.get(), node.get());
    body.give(call(start, [root.get(), text.get(), length.get()]));
    body
}

/// `(patterns, count, text, length) -> whether one matches`
pub(super) fn any_function() -> Body {
    let mut body = Body::new(4);
    let [at, count, text, length] = [0, 1, 2, 3].map(|place| body.parameter(place));
    let kind = body.int(int(0));
    let wanted = body.int(int(0));
    body.as_long_as(count.get(), |body| {
        body.set(kind, at.word(4));
        body.set(wanted, kind.get().and(int(i32::MAX.cast_unsigned())));
        let fits = wanted.get().eq(length.get()).or(wanted.get().lt(length.get()).and(kind.get().shr(int(31))));
        body.when(fits, |body| if_equal(body, at.word(0), text.get(), wanted.get(), |body| body.give(int(1))));
        body.set(at, at.get().add(int(8)));
        body.set(count, count.get().sub(int(1)));
    });
    body.give(int(0));
    body
}
