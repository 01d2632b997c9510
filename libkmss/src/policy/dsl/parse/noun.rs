//! Who, what and on which keys.

use super::super::ast::{Filter, Keys, Pattern, Principal, Span, Spanned, Verb};
use super::super::diagnostic::Problem;
use super::super::lexeme::{Kind as Sign, Word};
use super::super::suggest::nearest;
use super::super::words::{Group, Kind, TYPES, actions};
use super::cursor::{Cursor, Result};
use crate::key::Action;

/// `service:order-*, role:clerk`
pub(super) fn principals(cursor: &mut Cursor<'_, '_>) -> Result<Vec<Spanned<Principal>>> {
    let mut all = vec![principal(cursor)?];
    while cursor.comma_or_and() {
        all.push(principal(cursor)?);
    }
    Ok(all)
}

fn principal(cursor: &mut Cursor<'_, '_>) -> Result<Spanned<Principal>> {
    let span = cursor.next_span();
    if cursor.take("anyone") {
        return Ok(Spanned { value: Principal::Anyone, span });
    }
    let Some(word) = cursor.word() else {
        return Err(cursor.expected("a principal such as `service:order-v1`", []));
    };
    if word.star && word.text.is_empty() {
        return Err(Problem::new(span, "`*` names nobody").suggest(Some("anyone")));
    }
    let (kind, name) = kind_and_name(word, span)?;
    cursor.advance();
    let value = Principal::Named(kind, pattern(word, &name, span)?);
    Ok(Spanned { value, span })
}

/// A role or group without wildcard.
pub(super) fn exact(cursor: &mut Cursor<'_, '_>) -> Result<(Kind, String)> {
    let span = cursor.next_span();
    let Some(word) = cursor.word() else {
        return Err(cursor.expected("a role such as `role:clerk`", []));
    };
    let (kind, name) = kind_and_name(word, span)?;
    match pattern(word, &name, span)? {
        Pattern::Exact(name) => {
            cursor.advance();
            Ok((kind, name))
        }
        Pattern::Prefix(_) => Err(Problem::new(span, "a role that is granted has one name, without `*`")),
    }
}

/// A role, with or without `role:` before it.
pub(super) fn role_name(cursor: &mut Cursor<'_, '_>) -> Result<Spanned<String>> {
    let role = cursor.text("a role")?;
    let bare = role.value.strip_prefix("role:").unwrap_or(&role.value);
    if bare.is_empty() || bare.contains(':') {
        return Err(Problem::new(role.span, format!("`{}` is not a role", role.value)));
    }
    Ok(Spanned { value: bare.to_owned(), span: role.span })
}

fn kind_and_name(word: &Word<'_>, span: Span) -> Result<(Kind, String)> {
    let Some((kind, name)) = word.text.split_once(':') else {
        let problem = Problem::new(span, format!("`{}` has no kind", word.text));
        return Err(match nearest(&word.text, ["anyone"]) {
            Some(meant) => problem.suggest(Some(meant)),
            None => problem.help("write who it is as `service:…`, `user:…`, `role:…`, `group:…` or `process:…`"),
        });
    };
    match Kind::ALL.into_iter().find(|k| k.word() == kind) {
        Some(kind) if kind == Kind::Role && name.contains(':') => {
            Err(Problem::new(span, format!("`{name}` is not a role: its name has a colon")))
        }
        Some(kind) => Ok((kind, name.to_owned())),
        None => {
            let meant = nearest(kind, Kind::ALL.map(Kind::word)).map(|kind| format!("{kind}:{name}"));
            let problem = Problem::new(span, format!("`{kind}` is no kind of principal"));
            Err(match meant {
                Some(_) => problem.suggest(meant),
                None => problem.help("there are service, user, role, group and process"),
            })
        }
    }
}

/// `name` with the star of `word`.
fn pattern(word: &Word<'_>, name: &str, span: Span) -> Result<Pattern> {
    if name.len() > 255 {
        return Err(Problem::new(span, "a name has at most 255 bytes"));
    }
    if word.star {
        return Ok(Pattern::Prefix(name.to_owned()));
    }
    if name.is_empty() {
        return Err(Problem::new(span, "the name after the colon is missing").help("write `*` for all"));
    }
    Ok(Pattern::Exact(name.to_owned()))
}

/// A text or the start of one.
pub(super) fn text_pattern(cursor: &mut Cursor<'_, '_>, what: &str) -> Result<Pattern> {
    let span = cursor.next_span();
    let Some(word) = cursor.word() else { return Err(cursor.expected(what, [])) };
    // In quotes a text may be empty.
    let pattern = if word.quoted && !word.star && word.text.is_empty() {
        Pattern::Exact(String::new())
    } else if word.text.len() > 1024 {
        return Err(Problem::new(span, format!("{what} has more than 1024 bytes")));
    } else if word.star {
        Pattern::Prefix(word.text.clone().into_owned())
    } else {
        Pattern::Exact(word.text.clone().into_owned())
    };
    cursor.advance();
    Ok(pattern)
}

/// `encrypt, decrypt`
pub(super) fn verbs(cursor: &mut Cursor<'_, '_>) -> Result<Vec<Spanned<Verb>>> {
    let mut all = vec![verb(cursor)?];
    while cursor.comma_or_and() {
        all.push(verb(cursor)?);
    }
    Ok(all)
}

fn verb(cursor: &mut Cursor<'_, '_>) -> Result<Spanned<Verb>> {
    let span = cursor.next_span();
    let Some(word) = cursor.keyword() else {
        return Err(cursor.expected("an action", []));
    };
    let value = if let Some(action) = actions().find(|action| action.name() == word) {
        cursor.advance();
        let signed = matches!(action, Action::Sign | Action::Verify);
        if signed && (cursor.take("signature") || cursor.take("signatures")) {
            Verb::Signature(action)
        } else {
            Verb::One(action)
        }
    } else if let Some(group) = Group::ALL.into_iter().find(|group| group.word() == word) {
        cursor.advance();
        Verb::Group(group)
    } else {
        let known = actions().map(Action::name).chain(Group::ALL.into_iter().map(Group::word));
        let meant = nearest(word, known);
        let problem = Problem::new(span, format!("`{word}` is no action"));
        return Err(match meant {
            Some(_) => problem.suggest(meant),
            None => problem.help("for example `use`, `sign`, `encrypt`, `administer`; docs/policy-language.md has all"),
        });
    };
    Ok(Spanned { value, span: span.to(cursor.last_span()) })
}

/// `key:payment_*`, `any key`, `keys tagged pci of type AES in namespace:prod`; nothing where no key is named.
pub(super) fn keys(cursor: &mut Cursor<'_, '_>) -> Result<Option<Keys>> {
    let with = cursor.take("with") || cursor.take("using") || cursor.take("use");
    let mut names = Vec::new();
    if is_key(cursor) {
        loop {
            let span = cursor.next_span();
            let Some(word) = cursor.word().filter(|_| is_key(cursor)) else {
                return Err(cursor.expected("another key such as `key:name`", []));
            };
            let name = word.text.strip_prefix("key:").unwrap_or_default();
            let is_tag = name == "tag";
            names.push(Spanned { value: pattern(word, name, span)?, span });
            cursor.advance();
            if is_tag && cursor.take_sign(&Sign::Equal) {
                let span = span.to(cursor.next_span());
                let tag = cursor.text("the tag")?.value;
                return Err(Problem::new(span, "tags stand in words").suggest(Some(format!("keys tagged {tag}"))));
            }
            if !cursor.comma_or_and() {
                break;
            }
        }
    } else if cursor.take("any") {
        if !cursor.take("key") && !cursor.take("keys") {
            return Err(cursor.expected("`key`", ["key"]));
        }
    } else if !cursor.take("keys") {
        if with {
            return Err(cursor.expected("a key such as `key:name`", ["any", "keys"]));
        }
        return Ok(None);
    }
    Ok(Some(Keys { with, names, filters: filters(cursor)? }))
}

fn is_key(cursor: &Cursor<'_, '_>) -> bool {
    cursor.word().is_some_and(|word| word.text.starts_with("key:"))
}

fn filters(cursor: &mut Cursor<'_, '_>) -> Result<Vec<Spanned<Filter>>> {
    let mut all = Vec::new();
    loop {
        let span = cursor.next_span();
        let value = if cursor.take("tagged") {
            let mut tags = vec![cursor.text("a tag")?.value];
            while cursor.comma_or_and() {
                tags.push(cursor.text("a tag")?.value);
            }
            Filter::Tagged(tags)
        } else if cursor.take("of") {
            if !cursor.take("type") && !cursor.take("types") {
                return Err(cursor.expected("`type`", ["type"]));
            }
            let mut types = vec![key_type(cursor)?];
            while cursor.comma_or_and() {
                types.push(key_type(cursor)?);
            }
            Filter::Types(types)
        } else if cursor.take("in") {
            let mut namespaces = vec![namespace(cursor)?];
            while cursor.comma_or_and() {
                namespaces.push(namespace(cursor)?);
            }
            Filter::Namespaces(namespaces)
        } else {
            return Ok(all);
        };
        all.push(Spanned { value, span: span.to(cursor.last_span()) });
    }
}

fn namespace(cursor: &mut Cursor<'_, '_>) -> Result<Pattern> {
    let span = cursor.next_span();
    match cursor.word().and_then(|word| Some((word, word.text.strip_prefix("namespace:")?))) {
        Some((word, name)) => {
            cursor.advance();
            pattern(word, name, span)
        }
        None => Err(cursor.expected("a namespace such as `namespace:prod`", [])),
    }
}

fn key_type(cursor: &mut Cursor<'_, '_>) -> Result<&'static str> {
    let names = || TYPES.iter().map(|(_, name)| *name);
    let Some(word) = cursor.keyword() else { return Err(cursor.expected("a type of key", names())) };
    match names().find(|name| name.eq_ignore_ascii_case(word)) {
        Some(name) => {
            cursor.advance();
            Ok(name)
        }
        None => {
            let problem = Problem::new(cursor.next_span(), format!("`{word}` is no type of key"));
            let meant = nearest(word, names());
            Err(if meant.is_some() {
                problem.suggest(meant)
            } else {
                problem.help(format!("there are {}", names().collect::<Vec<_>>().join(", ")))
            })
        }
    }
}
