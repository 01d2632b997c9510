//! What policies saw, in the record of an event: only where policies are in force, and only what the record does not say
//! elsewhere. Values of encryption contexts are never written; their marks are.

use super::AuditEvent;
use super::chain::hex_pair;
use super::encode::{push_count, push_name, push_word};
use super::text::push_text;
use crate::key::Key;
use crate::permit::Subject;
use crate::seen::Seen;

/// Longest kept part of a role, tag or name in bytes; what is longer counts as cut.
const TEXT_LIMIT: usize = 128;
/// Bytes of the whole after which no list is begun or continued: a record must fit its line.
const BUDGET: usize = 4096;

/// Appends the field `policy`, where there is something to say. Gives where the line stops being that of other uses of the key.
pub(super) fn push(out: &mut Vec<u8>, event: &AuditEvent<'_>) -> usize {
    let Some(first) = event.policy.first() else { return out.len() };
    let mut writer = Writer { end: out.len() + BUDGET, cut: Vec::new(), repeated: None, out };
    writer.out.extend_from_slice(b",\"policy\":{\"set\":\"");
    first.set.iter().for_each(|byte| writer.out.extend_from_slice(&hex_pair(*byte)));
    writer.out.push(b'"');
    writer.flag("mfa", first.mfa);
    writer.flag("fips", first.fips);
    writer.out.extend_from_slice(b",\"asked\":[");
    for (at, seen) in event.policy.iter().enumerate() {
        if at > 0 {
            writer.out.push(b',');
        }
        writer.asked(seen, if seen.place == 0 { Some(event.subject) } else { event.also });
    }
    writer.out.push(b']');
    if let Some(len) = first.data_len {
        push_count(writer.out, "data_len", len);
    }
    push_count(writer.out, "at", first.time.0);
    writer.end()
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Where the budget is used up.
    end: usize,
    /// Fields that lack something. Seldom any, so that this allocates nothing.
    cut: Vec<&'static str>,
    /// Where the first field begins that differs from use to use.
    repeated: Option<usize>,
}

impl Writer<'_> {
    fn asked(&mut self, seen: &Seen, subject: Option<&Subject>) {
        // The first field has no comma before it.
        self.out.extend_from_slice(b"{\"action\":\"");
        self.out.extend_from_slice(seen.action.name().as_bytes());
        self.out.push(b'"');
        if seen.place > 0 {
            push_word(self.out, "of", "also");
        }
        push_word(self.out, "decision", if seen.allowed { "allow" } else { "deny" });
        if let Some(key) = &seen.key {
            self.flag("key", true);
            if let Some(name) = &key.new {
                push_name(self.out, "new");
                push_text(self.out, name.as_bytes(), 2 * TEXT_LIMIT);
            }
            self.flag("session", key.session);
            if let Some(key_type) = key.key_type {
                push_word(self.out, "type", key_type.name());
            }
            for (name, number) in [("bits", u64::from(key.bits)), ("created", key.created.0)] {
                if number > 0 {
                    push_count(self.out, name, number);
                }
            }
            // A key that was about to exist had none when it was decided on.
            let known = if key.new.is_some() { None } else { subject.and_then(key_of) };
            if let Some(known) = known {
                self.list("tags", &known.tags);
                self.list("copy_of", &known.copy_of);
            }
        }
        self.repeated.get_or_insert(self.out.len());
        if let Some(age) = seen.key.as_ref().map(|key| key.version_age).filter(|age| *age > 0) {
            push_count(self.out, "age", age);
        }
        if let Some((second, minute)) = seen.counts {
            push_count(self.out, "second", u64::from(second));
            push_count(self.out, "minute", u64::from(minute));
        }
        self.out.push(b'}');
    }

    fn flag(&mut self, name: &str, set: bool) {
        if set {
            push_name(self.out, name);
            self.out.extend_from_slice(b"true");
        }
    }

    fn list(&mut self, name: &'static str, texts: &[String]) {
        let mut written = false;
        for text in texts {
            if self.is_full(name, text) {
                break;
            }
            if written {
                self.out.push(b',');
            } else {
                push_name(self.out, name);
                self.out.push(b'[');
            }
            push_text(self.out, text.as_bytes(), TEXT_LIMIT);
            written = true;
        }
        if written {
            self.out.push(b']');
        }
    }

    /// Whether `text` is not to be written, which is noted.
    fn is_full(&mut self, name: &'static str, text: &str) -> bool {
        let full = text.len() > TEXT_LIMIT || self.out.len() >= self.end;
        if full && !self.cut.contains(&name) {
            self.cut.push(name);
        }
        full
    }

    fn end(self) -> usize {
        for (at, name) in self.cut.iter().enumerate() {
            self.out.extend_from_slice(if at == 0 { b",\"cut\":[\"".as_slice() } else { b",\"" });
            self.out.extend_from_slice(name.as_bytes());
            self.out.push(b'"');
        }
        if !self.cut.is_empty() {
            self.out.push(b']');
        }
        self.out.push(b'}');
        self.repeated.unwrap_or(self.out.len())
    }
}

fn key_of(subject: &Subject) -> Option<&Key> {
    match subject {
        Subject::Object(object) => object.key(),
        _ => None,
    }
}
