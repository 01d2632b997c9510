//! From words to statements. After a mistake reading goes on at the next statement, so that one run names all mistakes.

mod clause;
mod condition;
mod cursor;
mod noun;
mod rule;
mod value;

use self::cursor::{Cursor, Result};
use super::ast::{Document, Span, Spanned, Statement};
use super::diagnostic::{MOST, Problem};
use super::lexeme::lexemes;
use super::suggest::nearest;
use super::words::{Kind, STARTERS};

/// Largest policy in bytes.
pub(crate) const LARGEST: usize = 8 << 20;

/// Most rules of a policy.
const MOST_RULES: u32 = 100_000;

/// Reads a policy; what could be read of it where there are problems.
pub(crate) fn parse(source: &str) -> (Document, Vec<Problem>) {
    if source.len() > LARGEST {
        let problem = Problem::new(Span::default(), format!("a policy has at most {LARGEST} bytes"));
        return (Document::default(), vec![problem]);
    }
    let (lexemes, comments, mut problems) = lexemes(source);
    let mut cursor = Cursor::new(&lexemes);
    let mut document = Document { statements: Vec::new(), comments };
    let mut rules = 0;
    while !cursor.is_at_end() && problems.len() < MOST {
        let start = cursor.next_span();
        match statement(&mut cursor, rules + 1) {
            Ok(value) => {
                if matches!(value, Statement::Rule(_)) {
                    rules += 1;
                }
                let span = start.to(cursor.last_span());
                if rules > MOST_RULES {
                    problems.push(Problem::new(span, format!("a policy has at most {MOST_RULES} rules")));
                    break;
                }
                document.statements.push(Spanned { value, span });
            }
            Err(problem) => {
                problems.push(problem);
                cursor.skip_to_statement();
            }
        }
    }
    (document, problems)
}

fn statement(cursor: &mut Cursor<'_, '_>, number: u32) -> Result<Statement> {
    let span = cursor.next_span();
    let Some(word) = cursor.first_word() else {
        return Err(Problem::new(span, "a statement begins with `allow` or `deny`"));
    };
    match word {
        "allow" | "deny" => rule::rule(cursor, number).map(|rule| Statement::Rule(Box::new(rule))),
        "role" => includes(cursor),
        "grant" => grant(cursor),
        "policy" => header(cursor),
        "timezone" => {
            cursor.advance();
            Ok(Statement::Zone(value::zone(cursor)?))
        }
        other => {
            let problem = Problem::new(span, format!("`{other}` begins no statement"));
            let instead = nearest(other, STARTERS);
            Err(match instead {
                Some(_) => problem.suggest(instead),
                None => problem.help("statements begin with `allow`, `deny`, `role`, `grant`, `policy` or `timezone`"),
            })
        }
    }
}

/// `role senior includes clerk, reader`
fn includes(cursor: &mut Cursor<'_, '_>) -> Result<Statement> {
    cursor.advance();
    let role = noun::role_name(cursor)?;
    if !cursor.take("includes") && !cursor.take("inherits") {
        return Err(cursor.expected("`includes`", ["includes", "inherits"]));
    }
    let mut others = vec![noun::role_name(cursor)?];
    while cursor.comma_or_and() {
        others.push(noun::role_name(cursor)?);
    }
    Ok(Statement::Includes { role, others })
}

/// `grant role:clerk to user:alice, group:desk`
fn grant(cursor: &mut Cursor<'_, '_>) -> Result<Statement> {
    cursor.advance();
    let mut roles = Vec::new();
    loop {
        let span = cursor.next_span();
        let (kind, name) = noun::exact(cursor)?;
        if !matches!(kind, Kind::Role | Kind::Group) {
            return Err(Problem::new(span, "only roles and groups are granted").suggest(Some(format!("role:{name}"))));
        }
        roles.push(Spanned { value: (kind, name), span });
        if !cursor.comma_or_and() {
            break;
        }
    }
    cursor.require("to")?;
    let to = noun::principals(cursor)?;
    for one in &to {
        if let super::ast::Principal::Named(Kind::Process, _) = one.value {
            return Err(Problem::new(one.span, "a program holds no roles").help("name the program in a rule"));
        }
    }
    Ok(Statement::Grant { roles, to })
}

/// `policy "payments" version 3`
fn header(cursor: &mut Cursor<'_, '_>) -> Result<Statement> {
    cursor.advance();
    let name = cursor.text("the policy's name")?.value;
    let version =
        if cursor.take("version") { Some(value::whole(cursor, "a version", 1, u32::MAX.into())? as u32) } else { None };
    Ok(Statement::Header { name, version })
}
