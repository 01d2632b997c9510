//! Requests in parts. What stays the same from one decision to the next is parsed once, and the instance put back to the
//! moment after that; the numbers that pass are added each time.
//!
//! INVARIANT: which calls a guest gets, with which arguments, fuel and time, depends on the request alone: a decision begins
//! at a moment that the same calls lead to, whether they are made for it or were made before. So nothing is told to a guest
//! by what was asked earlier, and it answers as if it had never been asked anything.

use super::exports::call;
use super::guest::Guest;
use super::input::{self, Members, Number, PATHS, SLOW};
use super::kept::Layer;
use crate::clock::Timestamp;
use crate::policy::Input;
use crate::policy::host::{Failure, Limits};

/// How many requests an instance keeps, each some 10 KiB.
const MOST: usize = 8;
/// Fuel for parsing what is kept of a request, and for adding the numbers that are.
const FUEL: u64 = Limits::OPA_FUEL;
/// Room for the digits of a number.
const DIGITS: i32 = 24;

/// Where in the memory things lie that requests in parts need.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    /// The paths of the numbers.
    paths: [i32; PATHS.len()],
    /// Room for the digits of each.
    digits: i32,
}

/// A request that an instance has parsed.
pub(super) struct Prepared {
    /// Everything in it but the numbers.
    rest: Vec<u8>,
    /// The instance after that was parsed.
    layer: Layer,
    /// Where the input and the context of its evaluation are.
    input: i32,
    context: i32,
    /// The slow numbers of the last decision.
    slow: [Number; SLOW],
    /// The instance after they were added, once they came twice.
    slow_layer: Option<Layer>,
}

impl Guest {
    /// What requests in parts need, where the module has the functions for them.
    pub(super) fn parts(&mut self) -> Result<Option<Parts>, Failure> {
        if self.exports.add.is_none() || self.exports.steps.is_err() {
            return Ok(None);
        }
        let mut paths = [0; PATHS.len()];
        for (place, path) in paths.iter_mut().zip(PATHS) {
            *place = self.parse(path.as_bytes())?;
        }
        let digits = call(&mut self.store, &self.exports.allocate, DIGITS * PATHS.len() as i32)?;
        Ok(Some(Parts { paths, digits }))
    }

    /// The address of the result of one decision, with the request given in parts.
    pub(super) fn decide_by_parts(
        &mut self,
        parts: Parts,
        entrypoint: i32,
        input: &Input<'_>,
        fuel: u64,
    ) -> Result<i32, Failure> {
        let mut rest = std::mem::take(&mut self.text);
        input::write_rest(input, &mut rest);
        let mut prepared = match self.prepared.iter().position(|one| one.rest == rest) {
            Some(found) => self.prepared.remove(found),
            None => self.prepare(entrypoint, input, rest.clone())?,
        };
        self.text = rest;
        let numbers = input::numbers(input);
        let (slow, fast) = numbers.split_at(SLOW);
        let is_again = prepared.slow == slow;
        match &prepared.slow_layer {
            Some(layer) if is_again => self.put_back(&[&prepared.layer, layer])?,
            _ => {
                self.put_back(&[&prepared.layer])?;
                self.begin(Timestamp(0), FUEL)?;
                self.add(parts, prepared.input, 0, slow)?;
                // A layer for numbers that come once would cost more than they do.
                prepared.slow_layer = if is_again { Some(self.layer()?) } else { None };
                prepared.slow.copy_from_slice(slow);
            }
        }
        self.begin(input.time, fuel)?;
        self.add(parts, prepared.input, SLOW, fast)?;
        let json = self.evaluate(prepared.context)?;
        self.prepared.truncate(MOST - 1);
        self.prepared.insert(0, prepared);
        Ok(json)
    }

    /// Parses a request but for its numbers.
    fn prepare(&mut self, entrypoint: i32, input: &Input<'_>, rest: Vec<u8>) -> Result<Prepared, Failure> {
        self.put_back(&[])?;
        self.begin(Timestamp(0), FUEL)?;
        let mut text = Vec::new();
        input::write(input, Members::Rest, &mut text).map_err(|_| Failure::Result("the request is not JSON"))?;
        let input = self.parse(&text)?;
        let context = self.context(entrypoint, input)?;
        Ok(Prepared { rest, layer: self.layer()?, input, context, slow: [Number::Absent; SLOW], slow_layer: None })
    }

    /// Adds numbers to an input, of which `first` is the place of the first.
    fn add(&mut self, parts: Parts, input: i32, first: usize, numbers: &[Number]) -> Result<(), Failure> {
        let missing = || Failure::Instance("the module exports no function `opa_value_add_path`".to_owned());
        let add = self.exports.add.clone().ok_or_else(missing)?;
        let places = (parts.digits..).step_by(DIGITS as usize).zip(parts.paths).skip(first);
        for ((digits, path), number) in places.zip(numbers) {
            let value = match number {
                Number::Is(number) => self.parse_at(digits, number.to_string().as_bytes())?,
                Number::Quoted(number) => self.parse_at(digits, format!("\"{number}\"").as_bytes())?,
                Number::Unknown => self.parse_at(digits, b"null")?,
                Number::Absent => continue,
            };
            if call(&mut self.store, &add, (input, path, value))? != 0 {
                return Err(Failure::Instance("it does not take its input".to_owned()));
            }
        }
        Ok(())
    }
}
