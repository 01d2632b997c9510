//! Numbers, times, dates, sizes, lengths of time and networks.

use std::net::IpAddr;

use ipnet::IpNet;
use winnow::Parser as _;
use winnow::combinator::{alt, eof, opt, preceded, separated_pair, seq, terminated};
use winnow::error::EmptyError;
use winnow::token::take_while;

use super::super::ast::Spanned;
use super::super::diagnostic::Problem;
use super::super::suggest::nearest;
use super::super::words::{DURATIONS, NumberField, SIZES, WEEKDAYS};
use super::cursor::{Cursor, Result};

/// Decimal digits, with `_` between them for the eye.
fn digits(input: &mut &str) -> std::result::Result<u64, EmptyError> {
    (take_while(1, '0'..='9'), take_while(0.., ('0'..='9', '_')))
        .take()
        .verify_map(|text: &str| text.replace('_', "").parse().ok())
        .parse_next(input)
}

/// Exactly `count` digits.
fn fixed<'i>(count: usize) -> impl winnow::Parser<&'i str, u64, EmptyError> {
    take_while(count, '0'..='9').verify_map(|text: &str| text.parse().ok())
}

/// The next word, read as a whole by `parser`.
fn read<'t, T>(
    cursor: &mut Cursor<'t, '_>,
    what: &str,
    parser: impl winnow::Parser<&'t str, T, EmptyError>,
) -> Result<T> {
    let mut whole = terminated(parser, eof);
    match cursor.keyword().and_then(|mut word| whole.parse_next(&mut word).ok()) {
        Some(value) => {
            cursor.advance();
            Ok(value)
        }
        None => Err(cursor.expected(what, [])),
    }
}

/// A whole number in a range.
pub(super) fn whole(cursor: &mut Cursor<'_, '_>, what: &str, low: u64, high: u64) -> Result<u64> {
    let span = cursor.next_span();
    let value = read(cursor, &format!("{what}, a number"), digits)?;
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Problem::new(span, format!("{what} is a number from {low} to {high}")))
}

/// A number with or without a unit of data.
pub(super) enum Sized {
    Bare(u64),
    Bytes(u64),
}

impl Sized {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Bare(n) | Self::Bytes(n) => *n,
        }
    }

    pub(super) fn bare(&self) -> Option<u64> {
        match self {
            Self::Bare(n) => Some(*n),
            Self::Bytes(_) => None,
        }
    }
}

/// `100`, `4 KiB`, `4KiB`
pub(super) fn sized(cursor: &mut Cursor<'_, '_>, what: &str) -> Result<Spanned<Sized>> {
    let span = cursor.next_span();
    let Some((number, unit)) = number_and_unit(cursor, what)? else {
        return Err(cursor.expected(what, []));
    };
    let unit = match unit {
        Some(word) => Some((unit_of_data(&word).ok_or_else(|| unknown_unit(cursor, &word, "data", &SIZES))?, false)),
        None => cursor.keyword().and_then(unit_of_data).map(|unit| (unit, true)),
    };
    let value = match unit {
        Some((unit, apart)) => {
            if apart {
                cursor.advance();
            }
            Sized::Bytes(number.checked_mul(unit).ok_or_else(|| Problem::new(span, "this is too large"))?)
        }
        None => Sized::Bare(number),
    };
    Ok(Spanned { value, span: span.to(cursor.last_span()) })
}

/// A length of time, in milliseconds.
fn duration(cursor: &mut Cursor<'_, '_>, what: &str) -> Result<u64> {
    let span = cursor.next_span();
    let Some((number, unit)) = number_and_unit(cursor, what)? else {
        return Err(cursor.expected(what, []));
    };
    let unit = match unit {
        Some(word) => unit_of_time(&word).ok_or_else(|| unknown_unit(cursor, &word, "time", &DURATIONS))?,
        None => match cursor.keyword().and_then(unit_of_time) {
            Some(unit) => {
                cursor.advance();
                unit
            }
            None => return Err(cursor.expected("a unit of time such as `minutes`", DURATIONS.map(|(word, _)| word))),
        },
    };
    number.checked_mul(unit).ok_or_else(|| Problem::new(span, "this is too long"))
}

/// A length of time in seconds, from 1 to `most`.
pub(super) fn seconds(cursor: &mut Cursor<'_, '_>, what: &str, most: u64) -> Result<u32> {
    let span = cursor.next_span();
    let seconds = duration(cursor, what)? / 1000;
    if seconds == 0 || seconds > most {
        return Err(Problem::new(span.to(cursor.last_span()), format!("{what} is from 1 to {most} seconds")));
    }
    Ok(u32::try_from(seconds).unwrap_or(u32::MAX))
}

fn number_and_unit(cursor: &mut Cursor<'_, '_>, what: &str) -> Result<Option<(u64, Option<String>)>> {
    let Some(mut word) = cursor.keyword() else { return Ok(None) };
    let Ok(number) = digits(&mut word) else {
        return Err(cursor.expected(&format!("{what}, a number"), []));
    };
    cursor.advance();
    Ok(Some((number, (!word.is_empty()).then(|| word.to_owned()))))
}

fn unit_of_data(word: &str) -> Option<u64> {
    let word = if word == "bytes" || word == "byte" { "B" } else { word };
    SIZES.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, unit)| unit)
}

/// `minute`, `minutes`, `min`, `m`: in milliseconds.
pub(super) fn unit_of_time(word: &str) -> Option<u64> {
    let short = |name: &str| match name {
        "weeks" => ["w", "w"],
        "days" => ["d", "d"],
        "hours" => ["h", "h"],
        "minutes" => ["min", "m"],
        _ => ["s", "sec"],
    };
    DURATIONS
        .into_iter()
        .find(|(name, _)| word == *name || name.strip_suffix('s') == Some(word) || short(name).contains(&word))
        .map(|(_, unit)| unit)
}

fn unknown_unit<const N: usize>(cursor: &Cursor<'_, '_>, word: &str, what: &str, units: &[(&str, u64); N]) -> Problem {
    let problem = Problem::new(cursor.last_span(), format!("`{word}` is no unit of {what}"));
    match nearest(word, units.map(|(name, _)| name)) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem.help(format!("there are {}", units.map(|(name, _)| name).join(", "))),
    }
}

/// A value in the unit of its field.
pub(super) fn of_field(cursor: &mut Cursor<'_, '_>, field: NumberField) -> Result<u64> {
    match field {
        NumberField::Time => {
            let time = separated_pair(fixed(2), ":", fixed(2));
            let time = time
                .verify_map(|(hour, minute)| (hour * 60 + minute <= 1440 && minute < 60).then_some(hour * 60 + minute));
            read(cursor, "a time of day such as `09:00`", time)
        }
        NumberField::Weekday => weekday(cursor),
        NumberField::Date => date(cursor),
        NumberField::Size => sized(cursor, "a size such as `4 KiB`").map(|size| size.value.bytes()),
        NumberField::Uid => whole(cursor, "a user id", 0, u64::from(u32::MAX) - 1),
        NumberField::KeyAge => duration(cursor, "an age such as `90 days`"),
        NumberField::KeyBits => whole(cursor, "a size in bits", 1, u32::MAX.into()),
        NumberField::LastSecond | NumberField::LastMinute => whole(cursor, "a count", 0, u32::MAX.into()),
    }
}

fn weekday(cursor: &mut Cursor<'_, '_>) -> Result<u64> {
    let found = cursor.keyword().and_then(|word| {
        let word = word.to_ascii_lowercase();
        WEEKDAYS.iter().position(|day| *day == word || (word.len() == 3 && day.starts_with(&word)))
    });
    match found {
        Some(day) => {
            cursor.advance();
            Ok(day as u64)
        }
        None => Err(cursor.expected("a weekday", WEEKDAYS)),
    }
}

/// `2026-11-22` as days since 1970.
fn date(cursor: &mut Cursor<'_, '_>) -> Result<u64> {
    let span = cursor.next_span();
    let parts = seq!(fixed(4), _: "-", fixed(2), _: "-", fixed(2));
    let (year, month, day) = read(cursor, "a date such as `2026-11-22`", parts)?;
    let none = || Problem::new(span, "there is no such date after 1970");
    let month = u8::try_from(month).ok().and_then(|m| time::Month::try_from(m).ok()).ok_or_else(none)?;
    let year = i32::try_from(year).map_err(|_| none())?;
    let day = u8::try_from(day).map_err(|_| none())?;
    let date = time::Date::from_calendar_date(year, month, day).map_err(|_| none())?;
    u64::try_from((date - time::Date::from_ordinal_date(1970, 1).map_err(|_| none())?).whole_days()).map_err(|_| none())
}

/// `UTC+08:00`, in minutes.
pub(super) fn zone(cursor: &mut Cursor<'_, '_>) -> Result<i16> {
    let span = cursor.next_span();
    let sign = alt(("+".value(1_i16), "-".value(-1)));
    let offset = (sign, fixed(2), preceded(":", fixed(2)));
    let (sign, hours, minutes) =
        read(cursor, "an offset such as `UTC+08:00`", preceded("UTC", opt(offset)))?.unwrap_or((1, 0, 0));
    if hours > 14 || minutes > 59 {
        return Err(Problem::new(span, "no time zone is that far from UTC"));
    }
    Ok(sign * i16::try_from(hours * 60 + minutes).unwrap_or_default())
}

/// `10.0.0.0/8`, `10.1.2.3`, `2001:db8::/32`. IPv4 addresses in IPv6 (`::ffff:…`) are IPv4.
pub(super) fn network(cursor: &mut Cursor<'_, '_>) -> Result<IpNet> {
    let span = cursor.next_span();
    let Some(word) = cursor.word().filter(|word| !word.star) else {
        return Err(cursor.expected("a network such as `10.0.0.0/8`", []));
    };
    let net = word.text.parse::<IpNet>().ok().or_else(|| word.text.parse::<IpAddr>().ok().map(IpNet::from));
    let Some(net) = net else { return Err(cursor.expected("a network such as `10.0.0.0/8`", [])) };
    if net.trunc() != net {
        let meant = net.trunc().to_string();
        return Err(Problem::new(span, "this address has bits beyond its prefix").suggest(Some(meant)));
    }
    cursor.advance();
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ok(ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(net, IpNet::V4)),
            None => Ok(net),
        },
        _ => Ok(net),
    }
}
