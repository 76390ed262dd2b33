//! Words of a template that must mean something: statements, filters, tests.

use std::ops::Range;

use minijinja::{Environment, ErrorKind};

use super::fault::TemplateFault;
use super::scan::{tokens, Piece, PieceKind, Token, TokenKind};
use super::source::Source;

/// The fault of the first statement, filter or test that is unknown or refused.
pub(crate) fn check(
    environment: &Environment<'static>,
    source: &Source,
    pieces: &[Piece],
) -> Result<(), TemplateFault> {
    let text = source.text();
    for piece in pieces {
        if !matches!(piece.kind, PieceKind::Expression | PieceKind::Statement) {
            continue;
        }
        let words = tokens(text, piece.inner.clone());
        if piece.kind == PieceKind::Statement {
            refuse_loading(source, &words)?;
        }
        for (position, word) in words.iter().enumerate() {
            let rest = &words[position + 1..];
            match &text[word.span.clone()] {
                "|" if word.kind == TokenKind::Operator => {
                    known(source, rest.first(), "filter", |name| is_filter(environment, name))?;
                }
                "is" if word.kind == TokenKind::Name && position > 0 => {
                    let negated =
                        rest.first().is_some_and(|word| &text[word.span.clone()] == "not");
                    let test = rest.get(usize::from(negated));
                    known(source, test, "test", |name| is_test(environment, name))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn known(
    source: &Source,
    word: Option<&Token>,
    kind: &str,
    test: impl Fn(&str) -> bool,
) -> Result<(), TemplateFault> {
    let Some(word) = word.filter(|word| word.kind == TokenKind::Name) else { return Ok(()) };
    let Range { start, end } = word.span;
    let name = &source.text()[start..end];
    match test(name) {
        true => Ok(()),
        false => Err(source.fault(format!("the {kind} `{name}` is unknown"), (start, end))),
    }
}

fn is_filter(environment: &Environment<'static>, name: &str) -> bool {
    let answer = environment.empty_state().apply_filter(name, &[]);
    !matches!(answer, Err(error) if error.kind() == ErrorKind::UnknownFilter)
}

fn is_test(environment: &Environment<'static>, name: &str) -> bool {
    let answer = environment.empty_state().perform_test(name, &[]);
    !matches!(answer, Err(error) if error.kind() == ErrorKind::UnknownTest)
}

fn refuse_loading(source: &Source, words: &[Token]) -> Result<(), TemplateFault> {
    let Some(word) = words.first() else { return Ok(()) };
    let keyword = &source.text()[word.span.clone()];
    if !matches!(keyword, "include" | "import" | "from" | "extends") {
        return Ok(());
    }
    let message = format!("`{keyword}` is refused: a template cannot load another one");
    Err(source.fault(message, (word.span.start, word.span.end)))
}
