//! Bounds on a template's text, found by the engine's own tokens before its parser recurses.
//!
//! The parser, the compiler and whatever drops a parsed template call themselves once per level, and
//! a chain such as `a + b + c` or `elif` is a level per link. So links are counted like brackets.

use minijinja::machinery::{tokenize, Span, Token};
use minijinja::syntax::SyntaxConfig;

use super::fault::TemplateFault;
use super::source::Source;
use super::OUTPUT_LIMIT;

/// Most levels of blocks, brackets and links of a chain, taken together.
pub(crate) const NESTING: usize = 400;

/// Most words, numbers and signs outside of literal text.
pub(crate) const TOKENS: usize = 100_000;

/// The fault of a text that is too long, too busy or nested too deeply.
pub(crate) fn check(
    source: &Source,
    syntax: SyntaxConfig,
    expression: bool,
) -> Result<(), TemplateFault> {
    let text = source.text();
    if text.len() > OUTPUT_LIMIT {
        let limit = OUTPUT_LIMIT >> 20;
        return Err(TemplateFault::new(format!("the template is longer than `{limit}` MiB")));
    }
    let mut levels = Levels::default();
    let mut count = 0;
    for token in tokenize(text, expression, syntax) {
        // The parser words what the tokens are wrong about.
        let Ok((token, span)) = token else { return Ok(()) };
        count += usize::from(!matches!(token, Token::TemplateData(_)));
        if count > TOKENS {
            return Err(fault(
                source,
                &span,
                format!("the template has more than `{TOKENS}` words"),
            ));
        }
        if levels.after(&token) > NESTING {
            let message = format!("the template is nested more than `{NESTING}` deep");
            return Err(fault(source, &span, message));
        }
    }
    Ok(())
}

fn fault(source: &Source, span: &Span, message: String) -> TemplateFault {
    let (start, end) = (span.start_offset as usize, span.end_offset as usize);
    match source.text().get(start..end) {
        Some(_) => source.fault(message, (start, end)),
        None => TemplateFault::new(message),
    }
}

#[derive(Default)]
struct Levels {
    /// Levels that each open block has: one, and one more for each `elif`.
    blocks: Vec<usize>,
    /// Links so far at each open bracket, outermost first.
    links: Vec<usize>,
    /// All of both.
    total: usize,
    /// The keyword of the tag that is open, and whether it assigns.
    tag: Tag,
}

#[derive(Default, PartialEq)]
enum Tag {
    #[default]
    Outside,
    Expression,
    Start,
    Opening {
        /// `set` opens a block only if it assigns nothing.
        set: bool,
    },
    Other,
}

impl Levels {
    /// How deep a template may be nested at this token, at most.
    fn after(&mut self, token: &Token) -> usize {
        match token {
            Token::VariableStart => self.enter(Tag::Expression),
            Token::BlockStart => self.enter(Tag::Start),
            Token::VariableEnd => self.leave(),
            Token::BlockEnd => {
                let opens = matches!(self.tag, Tag::Opening { .. });
                self.leave();
                if opens {
                    self.blocks.push(1);
                    self.total += 1;
                }
            }
            Token::Ident(word) if self.tag == Tag::Start => self.keyword(word),
            Token::Assign if self.tag == (Tag::Opening { set: true }) && self.links.len() == 1 => {
                self.tag = Tag::Other;
            }
            Token::BracketOpen | Token::ParenOpen | Token::BraceOpen => {
                self.link();
                self.links.push(0);
            }
            Token::BracketClose | Token::ParenClose | Token::BraceClose => {
                let closed = if self.links.len() > 1 { self.links.pop() } else { None };
                self.total -= closed.unwrap_or(0);
            }
            Token::Comma | Token::Colon | Token::Assign => {
                if let Some(last) = self.links.last_mut() {
                    self.total -= std::mem::take(last);
                }
            }
            Token::TemplateData(_) | Token::Str(_) | Token::String(_) => {}
            Token::Int(_) | Token::Int128(_) | Token::Float(_) => {}
            Token::Ident(word) if !is_operator(word) => {}
            _ => self.link(),
        }
        self.total
    }

    fn enter(&mut self, tag: Tag) {
        self.tag = tag;
        self.total -= self.links.drain(..).sum::<usize>();
        self.links.push(0);
    }

    fn leave(&mut self) {
        self.enter(Tag::Outside);
    }

    fn link(&mut self) {
        if let Some(last) = self.links.last_mut() {
            *last += 1;
            self.total += 1;
        }
    }

    fn keyword(&mut self, word: &str) {
        self.tag = match word {
            "if" | "for" | "with" | "macro" | "call" | "filter" | "block" | "autoescape" => {
                Tag::Opening { set: false }
            }
            "set" => Tag::Opening { set: true },
            _ => Tag::Other,
        };
        if let ("elif", Some(block)) = (word, self.blocks.last_mut()) {
            *block += 1;
            self.total += 1;
        } else if word.starts_with("end") {
            self.total -= self.blocks.pop().unwrap_or(0);
        }
    }
}

fn is_operator(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "is" | "in" | "if" | "else")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::engine;

    fn fits(text: &str) -> bool {
        check(&Source::new(text), engine::syntax(false, true), false).is_ok()
    }

    #[test]
    fn links_of_a_chain_count_and_elements_of_a_list_do_not() {
        assert!(fits(&format!("{{{{ {} }}}}", vec!["1"; 400].join("+"))));
        assert!(!fits(&format!("{{{{ {} }}}}", vec!["1"; 402].join("+"))));
        assert!(fits(&format!("{{{{ [{}] }}}}", vec!["a+b.c[0](1)"; 5000].join(","))));
        assert!(!fits(&format!("{{{{ {}a }}}}", "not ".repeat(401))));
        assert!(!fits(&format!("{{{{ a{} }}}}", ".b".repeat(401))));
        assert!(!fits(&format!("{{{{ a{} }}}}", "|string".repeat(401))));
        assert!(!fits(&format!("{{{{ {} }}}}", "a if b else ".repeat(201) + "c")));
    }

    #[test]
    fn blocks_count_while_they_are_open() {
        assert!(fits(&"{% if a %}x{% elif b %}y{% endif %}{% set c = 1 %}".repeat(4000)));
        assert!(fits(&"{% set a %}x{% endset %}".repeat(4000)));
        assert!(!fits(&format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}y".repeat(401))));
        assert!(!fits(&"{% set a %}".repeat(401)));
        assert!(!fits(&"{% for a in b %}".repeat(401)));
    }

    #[test]
    fn words_are_counted() {
        assert!(!fits(&"{{a}}".repeat(TOKENS)));
    }
}
