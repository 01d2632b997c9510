//! From characters to words. `#` begins a comment; all other space only separates.

use std::borrow::Cow;

use winnow::Parser as _;
use winnow::combinator::{dispatch, empty, fail, opt};
use winnow::stream::{LocatingSlice, Location as _, Stream as _};
use winnow::token::{any, take_while};

use super::ast::{Comment, Span};
use super::diagnostic::{MOST, Problem};

/// A word or a sign, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Lexeme<'s> {
    pub(crate) kind: Kind<'s>,
    pub(crate) span: Span,
    /// Whether it is the first of its line.
    pub(crate) begins_line: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'s> {
    /// `key:payment_*`, `"a text"`, `key:"a name"`
    Word(Word<'s>),
    Open,
    Close,
    Comma,
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
}

/// A word. The star at its end is not part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word<'s> {
    pub(crate) text: Cow<'s, str>,
    pub(crate) star: bool,
    /// Whether a part of it stands in quotes: such a word is never a keyword.
    pub(crate) quoted: bool,
}

/// Longest text in quotes, in bytes.
const LONGEST: usize = 1024;

type Characters<'s> = LocatingSlice<&'s str>;
type Fault = winnow::error::EmptyError;

/// All lexemes and comments of a text, and what could not be read of it.
pub(crate) fn lexemes(source: &str) -> (Vec<Lexeme<'_>>, Vec<Comment>, Vec<Problem>) {
    let mut input = LocatingSlice::new(source);
    let (mut lexemes, mut comments, mut problems) = (Vec::with_capacity(source.len() / 6), Vec::new(), Vec::new());
    let mut begins_line = true;
    loop {
        let start = input.current_token_start();
        let Some(first) = input.peek_token() else { break };
        let span = |input: &Characters<'_>| place(start, input.current_token_start());
        if first == '\u{feff}' && start == 0 {
            let _ = input.next_token();
        } else if first.is_whitespace() {
            begins_line |= space(&mut input).contains('\n');
        } else if first == '#' {
            let text = line(&mut input);
            let text = text.get(1..).unwrap_or_default().trim_end().to_owned();
            comments.push(Comment { text, span: span(&input) });
        } else if "(),<>=!".contains(first)
            && let Ok(kind) = sign(&mut input)
        {
            lexemes.push(Lexeme { kind, span: span(&input), begins_line: std::mem::take(&mut begins_line) });
        } else {
            match word(&mut input) {
                Ok(word) => {
                    let begins_line = std::mem::take(&mut begins_line);
                    lexemes.push(Lexeme { kind: Kind::Word(word), span: span(&input), begins_line });
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.len() >= MOST {
            break;
        }
    }
    (lexemes, comments, problems)
}

fn place(start: usize, end: usize) -> Span {
    let narrow = |at| u32::try_from(at).unwrap_or(u32::MAX);
    Span { start: narrow(start), end: narrow(end) }
}

/// Whatever separates only.
fn space<'s>(input: &mut Characters<'s>) -> &'s str {
    let space: Result<_, Fault> = take_while(0.., char::is_whitespace).parse_next(input);
    space.unwrap_or_default()
}

/// Up to the line's end.
fn line<'s>(input: &mut Characters<'s>) -> &'s str {
    let line: Result<_, Fault> = take_while(0.., |c| c != '\n').parse_next(input);
    line.unwrap_or_default()
}

fn sign<'s>(input: &mut Characters<'s>) -> Result<Kind<'s>, Fault> {
    let mut punctuation = dispatch! {any;
        '(' => empty.value(Kind::Open),
        ')' => empty.value(Kind::Close),
        ',' => empty.value(Kind::Comma),
        '<' => opt('=').map(|equal| if equal.is_some() { Kind::AtMost } else { Kind::Less }),
        '>' => opt('=').map(|equal| if equal.is_some() { Kind::AtLeast } else { Kind::More }),
        '=' => opt('=').value(Kind::Equal),
        '!' => '='.value(Kind::Unequal),
        _ => fail::<_, Kind<'s>, _>,
    };
    let start = input.checkpoint();
    let found = punctuation.parse_next(input);
    if found.is_err() {
        input.reset(&start);
    }
    found
}

/// What words are made of outside quotes.
pub(crate) fn is_word(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' | ':' | '/' | '@' | '+' | '%' | '$')
        || !c.is_ascii() && c.is_alphanumeric()
}

fn word<'s>(input: &mut Characters<'s>) -> Result<Word<'s>, Problem> {
    let start = input.current_token_start();
    let bare: Result<&str, Fault> = take_while(0.., is_word).parse_next(input);
    let mut text = Cow::Borrowed(bare.unwrap_or_default());
    let quoted = input.peek_token() == Some('"');
    if quoted {
        let inner = string(input)?;
        text = if text.is_empty() { Cow::Owned(inner) } else { Cow::Owned(text.into_owned() + &inner) };
    }
    let star = input.peek_token() == Some('*');
    if star {
        let _ = input.next_token();
    }
    if !quoted && !star && text.is_empty() {
        let odd: Result<char, Fault> = any.parse_next(input);
        let span = place(start, input.current_token_start());
        let odd = odd.unwrap_or_default();
        return Err(Problem::new(span, format!("the character `{}` has no meaning here", odd.escape_debug()))
            .help("names with other characters stand in double quotes: key:\"a name\""));
    }
    let glued = input.peek_token().is_some_and(|c| is_word(c) || c == '*' || c == '"');
    if (quoted || star) && glued {
        let more: Result<&str, Fault> = take_while(1.., |c| is_word(c) || c == '*' || c == '"').parse_next(input);
        let span = place(start, input.current_token_start());
        let message = if star && more.is_ok() {
            "a `*` may stand at the end of a name only"
        } else {
            "a text goes on after its quotes"
        };
        return Err(Problem::new(span, message).help(if star {
            "write one rule for each name, or tag the keys"
        } else {
            "put the whole name into the quotes"
        }));
    }
    Ok(Word { text, star, quoted })
}

/// A text in double quotes, on one line.
fn string(input: &mut Characters<'_>) -> Result<String, Problem> {
    let start = input.current_token_start();
    let _ = input.next_token();
    let mut text = String::new();
    loop {
        let plain: Result<&str, Fault> =
            take_while(0.., |c: char| c != '"' && c != '\\' && !c.is_control()).parse_next(input);
        text.push_str(plain.unwrap_or_default());
        let at = input.current_token_start();
        match input.next_token() {
            Some('"') => break,
            Some('\\') => match escape(input) {
                Some(c) => text.push(c),
                None => {
                    line(input);
                    return Err(Problem::new(place(at, at + 1), "this escape has no meaning")
                        .help("there are \\\" \\\\ \\n \\t and \\u{…}"));
                }
            },
            other => {
                let problem = Problem::new(place(start, at), "this text has no end on its line");
                if other.is_some_and(|c| c != '\n') {
                    line(input);
                    return Err(Problem::new(place(at, at + 1), "a control character stands in a text")
                        .help("write it as \\u{…}"));
                }
                return Err(problem.help("close it with a double quote; a double quote inside is \\\""));
            }
        }
    }
    if text.len() > LONGEST {
        let span = place(start, input.current_token_start());
        return Err(Problem::new(span, format!("a text has at most {LONGEST} bytes")));
    }
    Ok(text)
}

fn escape(input: &mut Characters<'_>) -> Option<char> {
    match input.next_token()? {
        c @ ('"' | '\\') => Some(c),
        'n' => Some('\n'),
        't' => Some('\t'),
        'u' => {
            let code: Result<&str, Fault> =
                winnow::combinator::delimited("{", take_while(1..=6, |c: char| c.is_ascii_hexdigit()), "}")
                    .parse_next(input);
            char::from_u32(u32::from_str_radix(code.ok()?, 16).ok()?).filter(|c| *c != '\0')
        }
        _ => None,
    }
}
