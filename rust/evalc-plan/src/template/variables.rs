//! The names a template takes from its row.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::engine;
use super::scan::{tokens, Piece, PieceKind, Token, TokenKind};
use super::source::Source;

/// A name that a template reads and does not define itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The name, e.g. `question`.
    pub name: String,
    /// Bytes of its first use in the template.
    pub span: (usize, usize),
    /// A use asks `is defined` or gives a `default`, or all of it depends on what else is defined, so
    /// the name may be missing from a row.
    pub guarded: bool,
}

/// Positions of `undeclared` names (found by the engine), in order of first use.
///
/// Names that a `{% set %}` assigns anywhere are left out: whether such a name is missing depends
/// on the branch taken.
pub(crate) fn variables(
    source: &Source,
    pieces: &[Piece],
    undeclared: &HashSet<String>,
) -> Vec<Variable> {
    let text = source.text();
    let mut assigned = HashSet::new();
    let mut found: Vec<Variable> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut branches: Vec<bool> = Vec::new();
    for piece in pieces {
        let mut words = match piece.kind {
            PieceKind::Expression | PieceKind::Statement => tokens(text, piece.inner.clone()),
            _ => continue,
        };
        let mut keyword = None;
        if piece.kind == PieceKind::Statement && !words.is_empty() {
            let word = words.remove(0);
            keyword = Some(text[word.span].to_string());
            if keyword.as_deref() == Some("set") {
                assigned.extend(set_targets(text, &words));
            }
        }
        let asks = asks_what_is_defined(text, &words);
        if piece.kind == PieceKind::Statement {
            match keyword.as_deref() {
                Some("if") => branches.push(asks),
                Some("elif") => {
                    if let Some(branch) = branches.last_mut() {
                        *branch |= asks;
                    }
                }
                Some("endif") => {
                    branches.pop();
                }
                _ => {}
            }
        }
        let depends = asks || branches.contains(&true);
        for position in 0..words.len() {
            if is_variable(text, &words, position) {
                let use_of = Use { words: &words, position, depends };
                note_use(&mut found, &mut known, text, &use_of, undeclared);
            }
        }
    }
    found.retain(|variable| {
        !assigned.contains(&variable.name) && !engine::is_global(&variable.name)
    });
    for variable in &mut found {
        variable.span = (source.place(variable.span.0), source.place(variable.span.1));
    }
    found
}

/// One use of a name; `depends` where it is read or not by what else is defined.
struct Use<'a> {
    words: &'a [Token],
    position: usize,
    depends: bool,
}

fn note_use(
    found: &mut Vec<Variable>,
    known: &mut HashMap<String, usize>,
    source: &str,
    &Use { words, position, depends }: &Use,
    undeclared: &HashSet<String>,
) {
    let span = words[position].span.clone();
    let name = &source[span.clone()];
    if !undeclared.contains(name) {
        return;
    }
    let guarded = depends || is_guarded(source, &words[position + 1..]);
    match known.get(name) {
        Some(&at) => found[at].guarded |= guarded,
        None => {
            known.insert(name.to_string(), found.len());
            found.push(Variable { name: name.to_string(), span: (span.start, span.end), guarded })
        }
    }
}

/// Names on the left of `{% set a, b = ... %}` or of a `{% set a %}` block.
fn set_targets(source: &str, words: &[Token]) -> Vec<String> {
    words
        .iter()
        .map(|word| (word.kind, &source[word.span.clone()]))
        .take_while(|(kind, text)| *kind == TokenKind::Name || matches!(*text, "," | "(" | ")"))
        .filter(|(kind, _)| *kind == TokenKind::Name)
        .map(|(_, text)| text.to_string())
        .collect()
}

/// Whether the token is a variable rather than an attribute, a filter, a test or a keyword argument.
fn is_variable(source: &str, words: &[Token], position: usize) -> bool {
    let word = &words[position];
    if word.kind != TokenKind::Name {
        return false;
    }
    let text = |index: usize| words.get(index).map(|token| text_of(source, &token.span));
    let before = position.checked_sub(1).and_then(text);
    let keyword_argument = text(position + 1) == Some("=") && matches!(before, Some("(" | ","));
    !matches!(before, Some("." | "|" | "is")) && !keyword_argument
}

fn is_guarded(source: &str, rest: &[Token]) -> bool {
    let text = |index: usize| rest.get(index).map(|token| text_of(source, &token.span));
    match (text(0), text(1)) {
        (Some("|"), Some(filter)) => matches!(filter, "default" | "d"),
        (Some("is"), Some("not")) => matches!(text(2), Some("defined" | "undefined")),
        (Some("is"), Some(test)) => matches!(test, "defined" | "undefined"),
        _ => false,
    }
}

fn asks_what_is_defined(source: &str, words: &[Token]) -> bool {
    (0..words.len()).any(|at| match text_of(source, &words[at].span) {
        "is" => is_guarded(source, &words[at..]),
        _ => false,
    })
}

fn text_of<'a>(source: &'a str, span: &Range<usize>) -> &'a str {
    &source[span.clone()]
}
