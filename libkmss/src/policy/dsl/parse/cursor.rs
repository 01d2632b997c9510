//! A place among the words.

use winnow::stream::{Stream as _, TokenSlice};

use super::super::ast::{Span, Spanned};
use super::super::diagnostic::{Problem, shortened};
use super::super::lexeme::{Kind, Lexeme, Word};
use super::super::suggest::nearest;
use super::super::words::STARTERS;

pub(super) type Result<T> = std::result::Result<T, Problem>;

/// Longest name, in bytes.
const LONGEST_NAME: usize = 255;

pub(super) struct Cursor<'t, 's> {
    rest: TokenSlice<'t, Lexeme<'s>>,
    last: Span,
    end: Span,
    pub(super) depth: u32,
}

impl<'t, 's> Cursor<'t, 's> {
    pub(super) fn new(lexemes: &'t [Lexeme<'s>]) -> Self {
        let end = lexemes.last().map(|t| Span { start: t.span.end, end: t.span.end }).unwrap_or_default();
        Self { rest: TokenSlice::new(lexemes), last: Span::default(), end, depth: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'t Lexeme<'s>> {
        // The slice hands out references that live as long as the lexemes.
        self.rest.peek_token()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.peek().is_none()
    }

    pub(super) fn advance(&mut self) {
        if let Some(lexeme) = self.rest.next_token() {
            self.last = lexeme.span;
        }
    }

    /// Where the next word stands, or the end.
    pub(super) fn next_span(&self) -> Span {
        self.peek().map_or(self.end, |lexeme| lexeme.span)
    }

    pub(super) fn last_span(&self) -> Span {
        self.last
    }

    /// The next word with its quotes and star, unless it is a sign, or begins a statement on a line of its own: what the
    /// statement before it lacks, it is not.
    pub(super) fn word(&self) -> Option<&'t Word<'s>> {
        match self.peek() {
            Some(Lexeme { kind: Kind::Word(word), .. }) if !self.is_at_next_statement() => Some(word),
            _ => None,
        }
    }

    /// The next word, where it can be a keyword.
    pub(super) fn keyword(&self) -> Option<&'t str> {
        self.word().and_then(bare)
    }

    /// The word that begins a statement, or should.
    pub(super) fn first_word(&self) -> Option<&'t str> {
        match self.peek() {
            Some(Lexeme { kind: Kind::Word(word), .. }) => bare(word),
            _ => None,
        }
    }

    /// Whether nothing is left, or a word that begins a statement is next.
    pub(super) fn is_at_statement_end(&self) -> bool {
        self.is_at_end() || self.starts_statement()
    }

    /// Whether the next word begins a line and a statement.
    fn is_at_next_statement(&self) -> bool {
        // The first word of all is no next one.
        self.last.end != 0 && self.peek().is_some_and(|lexeme| lexeme.begins_line) && self.starts_statement()
    }

    /// Goes past `word`, if it is next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.keyword() == Some(word);
        if found {
            self.advance();
        }
        found
    }

    /// Goes past a sign, if it is next.
    pub(super) fn take_sign(&mut self, sign: &Kind<'_>) -> bool {
        let found = self.peek().is_some_and(|lexeme| lexeme.kind == *sign);
        if found {
            self.advance();
        }
        found
    }

    /// Goes past `,` or `and` or `or` in a list of names.
    pub(super) fn comma_or_and(&mut self) -> bool {
        self.take_sign(&Kind::Comma) || self.take("and") || self.take("or")
    }

    /// Goes past `word`, which must be next.
    pub(super) fn require(&mut self, word: &str) -> Result<()> {
        if self.take(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"), [word])) }
    }

    /// A name or text, in quotes or not.
    pub(super) fn text(&mut self, what: &str) -> Result<Spanned<String>> {
        let span = self.next_span();
        match self.word() {
            Some(word) if word.star => Err(Problem::new(span, format!("{what} is one name: `*` does not belong here"))),
            Some(word) if word.text.is_empty() => Err(Problem::new(span, format!("{what} is empty"))),
            Some(word) if word.text.len() > LONGEST_NAME => {
                Err(Problem::new(span, format!("{what} has more than {LONGEST_NAME} bytes")))
            }
            Some(word) if word.text.chars().any(char::is_control) => {
                Err(Problem::new(span, format!("{what} holds a control character")))
            }
            Some(word) => {
                self.advance();
                Ok(Spanned { value: word.text.clone().into_owned(), span })
            }
            None => Err(self.expected(what, [])),
        }
    }

    /// A text of at most `most` bytes that a host will take.
    pub(super) fn short_text(&mut self, what: &str, most: usize) -> Result<String> {
        let text = self.text(what)?;
        if text.value.len() > most {
            return Err(Problem::new(text.span, format!("{what} has at most {most} bytes")));
        }
        Ok(text.value)
    }

    /// That something else should stand here; one of `words` may have been meant.
    pub(super) fn expected<'c>(&self, what: &str, words: impl IntoIterator<Item = &'c str>) -> Problem {
        let span = self.next_span();
        let Some(lexeme) = self.peek() else {
            return Problem::new(span, format!("here {what} should stand, and the policy ends"));
        };
        if self.is_at_next_statement() {
            let behind = Span { start: self.last.end, end: self.last.end };
            return Problem::new(behind, format!("here {what} should stand, and the next statement begins"));
        }
        let found = match &lexeme.kind {
            Kind::Word(word) => shortened(&word.text, 60),
            Kind::Open => "(".to_owned(),
            Kind::Close => ")".to_owned(),
            Kind::Comma => ",".to_owned(),
            Kind::Less => "<".to_owned(),
            Kind::AtMost => "<=".to_owned(),
            Kind::More => ">".to_owned(),
            Kind::AtLeast => ">=".to_owned(),
            Kind::Equal => "=".to_owned(),
            Kind::Unequal => "!=".to_owned(),
        };
        let problem = Problem::new(span, format!("here {what} should stand, not `{found}`"));
        problem.suggest(self.keyword().and_then(|word| nearest(word, words)))
    }

    /// To the next word that begins a statement, past the one that is read.
    pub(super) fn skip_to_statement(&mut self) {
        // A statement that ends too early stands before the next one already.
        if self.last.end != 0 && self.starts_statement() {
            return;
        }
        loop {
            self.advance();
            if self.is_at_end() || self.starts_statement() {
                return;
            }
        }
    }

    fn starts_statement(&self) -> bool {
        self.first_word().is_some_and(|word| STARTERS.contains(&word))
    }
}

/// A word without quotes and star.
fn bare<'t>(word: &'t Word<'_>) -> Option<&'t str> {
    (!word.quoted && !word.star).then_some(word.text.as_ref())
}
