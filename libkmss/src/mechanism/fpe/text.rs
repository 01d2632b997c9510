//! A value taken apart: what is encrypted, as numbers, and the rest, into which other numbers are put.

use time::Date;
use zeroize::Zeroizing;

use super::Ff1;
use super::checksum::{identity_digit, luhn_digit};
use super::format::{Check, Format, Shape};
use crate::error::{Error, ErrorKind, Result};

/// The first day that a date can be, and one past the last, as Julian days: 1900-01-01 to 2099-12-31.
const DAYS: (i32, i32) = (2_415_021, 2_488_070);
/// How a character that is not shown looks.
const HIDDEN: char = '*';

/// A value in a format.
#[derive(Debug)]
pub struct Template<'a> {
    format: &'a Format,
    /// The whole text.
    text: Zeroizing<Vec<char>>,
    /// Where in the text the characters of the value are, without what only groups them.
    places: Vec<usize>,
    /// What is encrypted, as numbers below the radix.
    numerals: Zeroizing<Vec<u32>>,
    radix: u32,
}

impl Format {
    /// Takes a value apart.
    ///
    /// # Errors
    /// [`ErrorKind::DataInvalid`] for what is not of this format, [`ErrorKind::DataLength`] for another length. They never
    /// quote the value.
    pub fn take(&self, value: &[u8]) -> Result<Template<'_>> {
        let invalid = |why| Error::new(ErrorKind::DataInvalid, why);
        if value.len() > Ff1::MAX_VALUE {
            return Err(self.length());
        }
        let value = std::str::from_utf8(value).map_err(|_| invalid("the value is not UTF-8"))?;
        let mut text = Zeroizing::new(Vec::with_capacity(value.len()));
        text.extend(value.chars());
        if self.shape == Shape::Date {
            return self.day(text);
        }
        let end = match self.shape {
            Shape::Email => {
                let at = text.iter().position(|c| *c == '@').filter(|at| (1..text.len() - 1).contains(at));
                at.ok_or_else(|| invalid("the value is no address: it has no `@` between two parts"))?
            }
            _ => text.len(),
        };
        let stays = |c: char| match self.shape {
            Shape::Grouped => c == ' ' || c == '-',
            Shape::Email => self.alphabet.number(c).is_none(),
            _ => false,
        };
        let characters = text.iter().take(end).enumerate();
        let places: Vec<usize> = characters.filter(|(_, c)| !stays(**c)).map(|(place, _)| place).collect();
        let count = if self.shape == Shape::Email { text.len() } else { places.len() };
        if !self.lengths.contains(&count) {
            return Err(self.length());
        }
        let mut template =
            Template { format: self, text, places, numerals: Zeroizing::default(), radix: self.alphabet.radix() };
        template.check()?;
        let middle = template.middle().ok_or_else(|| self.length())?;
        let mut numerals = Zeroizing::new(Vec::with_capacity(middle.len()));
        for place in template.places.get(middle).unwrap_or_default() {
            let number = template.text.get(*place).and_then(|c| self.alphabet.number(*c));
            let unknown = || invalid("the value has characters that its format does not have");
            numerals.push(u32::from(number.ok_or_else(unknown)?));
        }
        template.numerals = numerals;
        Ok(template)
    }

    fn length(&self) -> Error {
        Error::new(ErrorKind::DataLength, format!("a value of the format `{self}` has another length"))
    }

    fn day(&self, text: Zeroizing<Vec<char>>) -> Result<Template<'_>> {
        let invalid = || Error::new(ErrorKind::DataInvalid, "the value is no date from 1900-01-01 to 2099-12-31");
        let written: Zeroizing<String> = Zeroizing::new(text.iter().collect());
        let read = time::macros::format_description!("[year]-[month]-[day]");
        let day = Date::parse(&written, &read).map_err(|_| invalid())?.to_julian_day();
        let number = (DAYS.0..DAYS.1).contains(&day).then(|| day.abs_diff(DAYS.0)).ok_or_else(invalid)?;
        let numerals = Zeroizing::new(vec![number]);
        Ok(Template { format: self, text, places: Vec::new(), numerals, radix: DAYS.1.abs_diff(DAYS.0) })
    }
}

impl Template<'_> {
    /// What is encrypted: numbers below [`Self::radix`].
    #[must_use]
    pub fn numerals(&self) -> &[u32] {
        &self.numerals
    }

    /// How many values a numeral can have.
    #[must_use]
    pub const fn radix(&self) -> u32 {
        self.radix
    }

    /// How many values there are that differ from this one in what is encrypted alone, itself included.
    #[must_use]
    pub fn domain(&self) -> u128 {
        let power = |domain: u128, _| domain.saturating_mul(u128::from(self.radix));
        self.numerals.iter().fold(1, power)
    }

    /// What stays, as bytes: it goes into the tweak, so that equal middles of different values do not look alike.
    #[must_use]
    pub fn kept(&self) -> Zeroizing<Vec<u8>> {
        let (first, last) = (self.format.first, self.format.last);
        let back = self.places.len().saturating_sub(last);
        let ends = self.places.iter().take(first).chain(self.places.iter().skip(back));
        let mut kept = Zeroizing::new(Vec::with_capacity(4 * (first + last)));
        let mut buffer = [0; 4];
        for character in ends.filter_map(|place| self.text.get(*place)) {
            kept.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        kept
    }

    /// The value with other numbers in the place of its own, and check digits to match.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] for numbers that are not of this format.
    pub fn with(&self, numerals: &[u32]) -> Result<Zeroizing<String>> {
        let wrong = || Error::new(ErrorKind::Internal, "the numbers are not of the format of the value");
        if numerals.len() != self.numerals.len() {
            return Err(wrong());
        }
        if self.format.shape == Shape::Date {
            let [number] = numerals else { return Err(wrong()) };
            let day = i32::try_from(*number).ok().filter(|_| *number < self.radix).ok_or_else(wrong)?;
            let day = Date::from_julian_day(DAYS.0 + day).map_err(|_| wrong())?;
            let (year, month, day) = day.to_calendar_date();
            return Ok(Zeroizing::new(format!("{year:04}-{:02}-{day:02}", u8::from(month))));
        }
        let mut text = self.text.clone();
        let middle = self.places.get(self.middle().ok_or_else(wrong)?).unwrap_or_default();
        for (place, number) in middle.iter().zip(numerals) {
            let character = self.format.alphabet.character(u16::try_from(*number).map_err(|_| wrong())?);
            *text.get_mut(*place).ok_or_else(wrong)? = character.ok_or_else(wrong)?;
        }
        if let Some(place) = self.check_place() {
            let digit = self.check_digit(&text).ok_or_else(wrong)?;
            let place = self.places.get(place).ok_or_else(wrong)?;
            *text.get_mut(*place).ok_or_else(wrong)? = digit;
        }
        Ok(written(&text))
    }

    /// The value without what only groups its digits.
    #[must_use]
    pub fn bare(&self) -> Zeroizing<String> {
        match self.format.shape {
            Shape::Grouped => {
                let mut bare = Zeroizing::new(String::with_capacity(self.places.len()));
                bare.extend(self.places.iter().filter_map(|place| self.text.get(*place)));
                bare
            }
            _ => written(&self.text),
        }
    }

    /// Another value, which [`Self::bare`] gave, grouped as this one is.
    #[must_use]
    pub fn dressed(&self, bare: &str) -> Zeroizing<String> {
        if self.format.shape != Shape::Grouped {
            return Zeroizing::new(bare.to_owned());
        }
        let mut text = self.text.clone();
        for (place, character) in self.places.iter().zip(bare.chars()) {
            if let Some(there) = text.get_mut(*place) {
                *there = character;
            }
        }
        written(&text)
    }

    /// The value with all hidden but what its format lets many see.
    #[must_use]
    pub fn masked(&self) -> Zeroizing<String> {
        if self.format.shape == Shape::Date {
            return Zeroizing::new("****-**-**".to_owned());
        }
        let (first, last) = self.format.shown;
        let mut text = self.text.clone();
        // Of short values a part would be most of it.
        let (first, last) = if self.places.len() >= 2 * (first + last) { (first, last) } else { (0, 0) };
        let hidden = self.places.len().saturating_sub(first + last);
        for place in self.places.iter().skip(first).take(hidden) {
            if let Some(character) = text.get_mut(*place) {
                *character = HIDDEN;
            }
        }
        written(&text)
    }

    /// Which of the value's characters are encrypted.
    fn middle(&self) -> Option<std::ops::Range<usize>> {
        let end = self.places.len().checked_sub(self.format.last + usize::from(self.check_place().is_some()))?;
        (self.format.first < end).then_some(self.format.first..end)
    }

    /// Which of the value's characters follows from the others: the last one that does not stay.
    fn check_place(&self) -> Option<usize> {
        match self.format.check {
            Check::None => None,
            Check::Luhn | Check::Identity => self.places.len().checked_sub(self.format.last + 1),
        }
    }

    /// What has to stand there.
    fn check_digit(&self, text: &[char]) -> Option<char> {
        let mut digits = Zeroizing::new(Vec::with_capacity(self.places.len()));
        digits.extend(self.places.iter().filter_map(|place| text.get(*place).copied()));
        match self.format.check {
            Check::None => None,
            Check::Luhn => luhn_digit(&digits, self.check_place()?),
            Check::Identity => identity_digit(&digits),
        }
    }

    /// Refuses a value whose check digit is another one than that of its digits, for it would come back as another value.
    /// `x` goes on as `X`: they are one value, which has one token.
    fn check(&mut self) -> Result<()> {
        let Some(place) = self.check_place() else { return Ok(()) };
        let wanted = self.check_digit(&self.text);
        let found = self.places.get(place).and_then(|place| self.text.get_mut(*place));
        if let (Some(found), Some(wanted)) = (found, wanted)
            && found.to_ascii_uppercase() == wanted
        {
            *found = wanted;
            return Ok(());
        }
        let why = format!("the value is none of the format `{}`: its check digit is wrong", self.format);
        Err(Error::new(ErrorKind::DataInvalid, why))
    }
}

fn written(text: &[char]) -> Zeroizing<String> {
    let mut written = Zeroizing::new(String::with_capacity(text.iter().map(|c| c.len_utf8()).sum()));
    written.extend(text);
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn format(text: &str) -> Format {
        text.parse().unwrap()
    }

    /// What the value becomes with every number one higher.
    fn moved(name: &str, value: &str) -> String {
        let format = format(name);
        let template = format.take(value.as_bytes()).unwrap();
        let next: Vec<u32> = template.numerals().iter().map(|n| (n + 1) % template.radix()).collect();
        let moved = template.with(&next).unwrap();
        let template = format.take(moved.as_bytes()).unwrap();
        assert_eq!(template.numerals(), next, "{name}");
        moved.to_string()
    }

    #[test]
    fn an_id_number_is_one_value_however_its_check_digit_is_written() {
        let format = format("id-number");
        for value in ["11010519491231002x", "11010519491231002X"] {
            assert_eq!(*format.take(value.as_bytes()).unwrap().bare(), *"11010519491231002X");
        }
    }

    #[test]
    fn what_a_format_keeps_stays_and_check_digits_are_put_right() {
        for (name, value, becomes) in [
            ("card", "4111 1111-11111111", "5222 2222-22222227"),
            ("card-bin", "4111111111111111", "4111112222222227"),
            ("card-bin8", "4111111111111111", "4111111122222220"),
            ("card-last4", "4111111111111111", "5222222222231111"),
            ("card-bin-last4", "4111111111111111", "4111112222231111"),
            ("id-number", "11010519491231002X", "221216205023421135"),
            ("id-number-region", "11010519491231002X", "110105205023421134"),
            ("mobile", "138-0013-8000", "138-1124-9111"),
            ("account", "6222020000000000", "7333131111111111"),
            ("account-last4", "6222020000000000", "7333131111110000"),
            ("date", "1999-12-31", "2000-01-01"),
            ("email", "a.Zz@example.com", "b.a0@example.com"),
            ("hex", "0f1e", "102f"),
            ("digits(first=2,last=1)", "123456", "124566"),
            (
                "alphabet(first=1,chars=\u{96f6}\u{4e00}\u{4e8c})",
                "\u{4e00}\u{96f6}\u{4e8c}",
                "\u{4e00}\u{4e00}\u{96f6}",
            ),
        ] {
            assert_eq!(moved(name, value), becomes, "{name}");
        }
    }

    #[test]
    fn a_masked_value_shows_little() {
        for (name, value, shown) in [
            ("card-bin", "4111 1111 1111 1111", "**** **** **** 1111"),
            ("mobile", "13800138000", "*******8000"),
            ("id-number", "11010519491231002X", "**************002X"),
            ("date", "1999-12-31", "****-**-**"),
            ("email", "someone@example.com", "s******@example.com"),
            ("digits", "12345678", "****5678"),
            ("digits", "1234567", "*******"),
        ] {
            assert_eq!(*format(name).take(value.as_bytes()).unwrap().masked(), shown, "{name}");
        }
    }

    #[test]
    fn what_is_not_of_the_format_is_refused_and_not_quoted() {
        for (name, value, kind) in [
            ("card", "4111111111111112", ErrorKind::DataInvalid),
            ("card", "41111111111", ErrorKind::DataLength),
            ("card", "411111111111111a", ErrorKind::DataInvalid),
            ("id-number", "110105194912310021", ErrorKind::DataInvalid),
            ("id-number", "110105194912310", ErrorKind::DataLength),
            ("mobile", "1380013800", ErrorKind::DataLength),
            ("date", "1999-02-29", ErrorKind::DataInvalid),
            ("date", "1899-12-31", ErrorKind::DataInvalid),
            ("email", "nobody", ErrorKind::DataInvalid),
            ("email", "@example.com", ErrorKind::DataInvalid),
            ("email", "...@example.com", ErrorKind::DataLength),
            ("digits", "1", ErrorKind::DataLength),
            ("digits(first=2,last=2)", "1234", ErrorKind::DataLength),
            ("hex", "0F", ErrorKind::DataInvalid),
        ] {
            let refused = format(name).take(value.as_bytes()).unwrap_err();
            assert_eq!(refused.kind(), kind, "{name} {value}");
            assert!(value.len() == 1 || !refused.to_string().contains(value), "{name}");
        }
        assert_eq!(format("digits").take(&[0xff; 8]).unwrap_err().kind(), ErrorKind::DataInvalid);
        assert_eq!(format("digits").take(&[b'1'; 2000]).unwrap_err().kind(), ErrorKind::DataLength);
    }

    #[test]
    fn formats_read_as_they_are_written() {
        for name in Format::names().filter(|name| *name != "alphabet") {
            assert_eq!(format(name).to_string(), name);
        }
        for text in ["digits(first=2,last=4)", "alphabet(first=0,last=1,chars=ab),(c)"] {
            assert_eq!(format(text).to_string(), text);
        }
        let unknown = ["", "cards", "alphabet", "alphabet(chars=a)", "alphabet(chars=aba)", "digits(first=2"];
        let options =
            ["digits(first=65)", "digits(chars=01)", "digits(middle=2)", "digits(first)", "alphabet(chars=a b)"];
        for bad in unknown.into_iter().chain(options) {
            assert_eq!(bad.parse::<Format>().unwrap_err().kind(), ErrorKind::MechanismParameter, "{bad}");
        }
    }
}
