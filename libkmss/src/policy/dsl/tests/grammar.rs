//! The grammar of the document is the parser's: sentences made by the one are read by the other.

use std::collections::HashMap;

use super::random::Dice;
use crate::policy::dsl::Policy;

/// What a production is made of.
enum Part {
    /// A word or sign as it stands.
    Word(String),
    /// What another production, or [`leaf`], makes.
    Name(String),
    Sequence(Vec<Part>),
    Choice(Vec<Part>),
    /// Any number of times.
    Repeat(Box<Part>),
    Option(Box<Part>),
}

/// The productions of EBNF, by their names.
fn productions(text: &str) -> HashMap<String, Part> {
    let mut words = words(text).into_iter().peekable();
    let mut all = HashMap::new();
    while let Some(name) = words.next() {
        assert_eq!(words.next().as_deref(), Some("="), "behind {name}");
        let old = all.insert(name, choice(&mut words));
        assert!(old.is_none());
        assert_eq!(words.next().as_deref(), Some(";"));
    }
    all
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').unwrap() + 2,
            'a'..='z' => rest.find(|c: char| !c.is_ascii_lowercase()).unwrap(),
            _ => 1,
        };
        words.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    words
}

type Words = std::iter::Peekable<std::vec::IntoIter<String>>;

fn choice(words: &mut Words) -> Part {
    let mut all = vec![sequence(words)];
    while words.next_if(|word| word == "|").is_some() {
        all.push(sequence(words));
    }
    Part::Choice(all)
}

fn sequence(words: &mut Words) -> Part {
    let mut all = Vec::new();
    while let Some(word) = words.next_if(|word| !["|", ";", ")", "]", "}"].contains(&word.as_str())) {
        let mut nested = |end: &str| {
            let inner = choice(words);
            assert_eq!(words.next().as_deref(), Some(end));
            Box::new(inner)
        };
        all.push(match word.as_str() {
            "(" => *nested(")"),
            "[" => Part::Option(nested("]")),
            "{" => Part::Repeat(nested("}")),
            _ => match word.strip_prefix('"') {
                Some(literal) => Part::Word(literal.trim_end_matches('"').to_owned()),
                None => Part::Name(word),
            },
        });
    }
    Part::Sequence(all)
}

struct Speaker<'g> {
    grammar: &'g HashMap<String, Part>,
    dice: Dice,
    words: Vec<String>,
}

impl Speaker<'_> {
    fn say(&mut self, part: &Part, depth: u32) {
        match part {
            Part::Word(word) => self.words.push(word.clone()),
            Part::Name(name) => match self.grammar.get(name) {
                Some(part) => self.say(part, depth + 1),
                None => {
                    let leaf = self.leaf(name);
                    self.words.push(leaf.to_owned());
                }
            },
            Part::Sequence(parts) => parts.iter().for_each(|part| self.say(part, depth)),
            // Deep down the last choice is the one that ends.
            Part::Choice(parts) if depth > 12 => self.say(parts.last().unwrap(), depth),
            Part::Choice(parts) => {
                let chosen = self.dice.below(parts.len() as u64) as usize;
                self.say(&parts[chosen], depth);
            }
            Part::Repeat(part) => {
                while depth < 12 && self.dice.once_in(3) {
                    self.say(part, depth);
                }
            }
            Part::Option(part) => {
                if self.dice.once_in(2) {
                    self.say(part, depth);
                }
            }
        }
    }

    fn leaf(&mut self, name: &str) -> &'static str {
        self.dice.of(match name {
            "text" => &["\"a text\"", "\"\\\"quoted\\\" \\u{e9}\""],
            "name" => &["payment_aes", "\"a name\"", "order-v1", "\"allow\"", "/usr/bin/x"],
            "number" => &["2", "12", "1_0"],
            "offset" => &["UTC", "UTC+08:00", "UTC-03:30"],
            "clock" => &["08:00", "17:30", "24:00"],
            "date" => &["2026-12-31", "2027-02-01"],
            "network" => &["10.0.0.0/8", "192.168.1.7", "2001:db8::/32", "::1"],
            "mechanism" => &["AES_GCM", "AES_*", "ECDSA_SHA256"],
            "type" => &["RSA", "EC", "AES"],
            other => panic!("the document does not say what `{other}` is"),
        })
    }

    /// The words as a text: some stand right at the next or the last.
    fn text(&mut self) -> String {
        let mut text = String::new();
        for word in self.words.drain(..) {
            if !text.is_empty() && !text.ends_with(':') && word != "*" {
                text.push(' ');
            }
            text.push_str(&word);
        }
        text
    }
}

/// What a sentence can say against its own sense, which no grammar tells.
const SENSELESS: [&str; 11] = [
    "not among the actions",
    "stands twice",
    "a deny comes with no",
    "no time lies",
    "nothing lies between",
    "for a day at most",
    "includes itself",
    "a rate counts operations",
    "nothing is less",
    "duties",
    "is no mechanism",
];

#[test]
fn what_the_grammar_of_the_document_makes_the_parser_reads() {
    let document = include_str!("../../../../../docs/policy-language.md");
    let grammar = productions(document.split("```ebnf").nth(1).unwrap().split("```").next().unwrap());
    let mut speaker = Speaker { grammar: &grammar, dice: Dice(0x5EED_0004), words: Vec::new() };
    let mut read = 0;
    for start in ["header", "zone", "includes", "grant", "rule", "rule", "rule", "rule"].repeat(500) {
        speaker.say(&grammar[start], 0);
        let text = speaker.text();
        match Policy::parse(&text) {
            Ok(_) => read += 1,
            Err(mistakes) => {
                let known = |message: &str| SENSELESS.iter().any(|sentence| message.contains(sentence));
                assert!(mistakes.iter().all(|one| known(&one.message)), "{text}\n{mistakes}");
            }
        }
    }
    assert!(read > 2_500, "{read}");
    // What no production names would never be tried.
    let mut named = vec!["policy"];
    fn names<'p>(part: &'p Part, all: &mut Vec<&'p str>) {
        match part {
            Part::Word(_) => {}
            Part::Name(name) => all.push(name),
            Part::Sequence(parts) | Part::Choice(parts) => parts.iter().for_each(|part| names(part, all)),
            Part::Repeat(part) | Part::Option(part) => names(part, all),
        }
    }
    grammar.values().for_each(|part| names(part, &mut named));
    for production in grammar.keys() {
        assert!(named.contains(&production.as_str()), "{production}");
    }
}

#[test]
fn every_word_of_the_language_stands_in_the_grammar_of_the_document() {
    use crate::policy::dsl::words::{CLAUSES, Group, Kind, STARTERS, SUBJECTS, actions};
    let document = include_str!("../../../../../docs/policy-language.md");
    let grammar = document.split("```ebnf").nth(1).unwrap().split("```").next().unwrap();
    let kinds = Kind::ALL.map(|kind| format!("{}:", kind.word()));
    let fixed = STARTERS.iter().chain(&CLAUSES).chain(&SUBJECTS).map(|word| (*word).to_owned());
    let verbs = actions().map(|action| action.name().to_owned()).chain(Group::ALL.map(|group| group.word().to_owned()));
    for word in fixed.chain(kinds).chain(verbs) {
        assert!(grammar.contains(&format!("\"{word}\"")), "{word}");
    }
}
