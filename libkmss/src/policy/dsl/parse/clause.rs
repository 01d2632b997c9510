//! What comes with an allow.

use super::super::ast::{Duty, Spanned};
use super::super::diagnostic::Problem;
use super::super::words::Kind;
use super::cursor::{Cursor, Result};
use super::{noun, value};
use crate::policy::approval::MOST_NEEDED;

/// Longest texts that a host takes: docs/policy-abi.md, section 5.
const LONGEST: usize = 128;

/// Longest window of a rate limit, in seconds.
const DAY: u64 = 86_400;

/// A duty; its first word is next.
pub(super) fn duty(cursor: &mut Cursor<'_, '_>) -> Result<Duty> {
    let word = cursor.keyword().unwrap_or_default();
    cursor.advance();
    match word {
        "require" if cursor.take("mfa") => Ok(Duty::Mfa),
        "require" => quorum(cursor),
        "at" => most(cursor),
        "audit" => {
            cursor.require("as")?;
            Ok(Duty::Audit(cursor.short_text("the tag", LONGEST)?))
        }
        "expire" => {
            cursor.require("after")?;
            Ok(Duty::Expire(value::seconds(cursor, "the session's length", u32::MAX.into())?))
        }
        "notify" => Ok(Duty::Notify(cursor.short_text("the channel", LONGEST)?)),
        _ => {
            for word in ["all", "but"] {
                cursor.require(word)?;
            }
            let shown = value::whole(cursor, "how many characters are shown", 0, 255)?;
            let _ = cursor.take("characters");
            Ok(Duty::Mask(u8::try_from(shown).unwrap_or(u8::MAX)))
        }
    }
}

/// `require 2 of role:custodian within 1 hour`
fn quorum(cursor: &mut Cursor<'_, '_>) -> Result<Duty> {
    if !cursor.keyword().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
        return Err(cursor.expected("`mfa`, or how many must approve", ["mfa"]));
    }
    let approvals = value::whole(cursor, "how many must approve", 1, MOST_NEEDED.into())?;
    let _ = cursor.take("approvals") || cursor.take("approval");
    cursor.require("of")?;
    let span = cursor.next_span();
    let (kind, role) = noun::exact(cursor)?;
    if kind != Kind::Role || role.len() > LONGEST {
        return Err(Problem::new(span, "the holders of a role approve").suggest(Some(format!("role:{role}"))));
    }
    let within =
        if cursor.take("within") { value::seconds(cursor, "how long approvals hold", u32::MAX.into())? } else { 0 };
    Ok(Duty::Quorum { approvals: u8::try_from(approvals).unwrap_or(u8::MAX), role, within })
}

/// `at most 100 per minute`, `at most 4 KiB`
fn most(cursor: &mut Cursor<'_, '_>) -> Result<Duty> {
    cursor.require("most")?;
    let Spanned { value: number, span } = value::sized(cursor, "how many")?;
    if !cursor.take("per") {
        return Ok(Duty::Size(number.bytes()));
    }
    let Some(count) = number.bare().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0) else {
        return Err(Problem::new(span, "a rate counts operations, from 1 to 4294967295"));
    };
    let seconds = match cursor.keyword().and_then(value::unit_of_time) {
        Some(unit) => {
            cursor.advance();
            u32::try_from(unit / 1000).unwrap_or(u32::MAX)
        }
        None => value::seconds(cursor, "the length of time", u32::MAX.into())?,
    };
    if u64::from(seconds) > DAY {
        return Err(Problem::new(cursor.last_span(), "operations are counted for a day at most"));
    }
    Ok(Duty::Rate { count, seconds })
}
