//! Chat templates, rendered as `transformers` renders them, on a pinned date.

mod strftime;

use std::collections::BTreeMap;

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::pyjson::{dumps, JsonStyle};
use crate::template::filters::indentation;
use crate::template::program::Program;
use crate::template::source::Source;
use crate::template::{engine, nesting, scan, weight, within_limit, TemplateFault};

pub use strftime::Date;

/// Name under which the engine knows the template.
const NAME: &str = "chat";

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// A compiled chat template with the tokenizer's special tokens.
pub struct ChatTemplate {
    source: Source,
    environment: Environment<'static>,
    program: Program,
    special_tokens: Vec<(String, Value)>,
}

impl ChatTemplate {
    /// Compiles a tokenizer's `chat_template`.
    ///
    /// `special_tokens` are the tokenizer's (`bos_token`, ...). `date` (`YYYY-MM-DD`) is what
    /// `strftime_now` sees; without it a template that asks for the date fails.
    pub fn compile(
        source: &str,
        special_tokens: &BTreeMap<String, String>,
        date: Option<&str>,
    ) -> Result<Self, TemplateFault> {
        let date = date.map(Date::parse).transpose().map_err(TemplateFault::new)?;
        let environment = environment(date);
        let source = Source::new(source);
        nesting::check(&source, environment.syntax().clone(), false)?;
        let text = without_generation(source.text());
        let program = Program::template(NAME, &text, environment.syntax().clone())
            .map_err(|error| source.engine_fault(&error, 0))?;
        let special_tokens =
            special_tokens.iter().map(|(name, token)| (name.clone(), Value::from(token))).collect();
        Ok(ChatTemplate { source, environment, program, special_tokens })
    }

    /// The text of a conversation, with the opening of the assistant's next turn if asked.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateFault> {
        let turns: Vec<Value> = messages
            .iter()
            .map(|message| {
                Value::from_pairs([
                    ("role", Value::from(&message.role)),
                    ("content", Value::from(&message.content)),
                ])
            })
            .collect();
        let given = [
            ("messages", Value::from(turns)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ];
        let tokens = self.special_tokens.iter().map(|(name, token)| (name.as_str(), token.clone()));
        let context = Value::from_pairs(tokens.chain(given));
        self.program
            .run(&self.environment, &context)
            .map_err(|error| self.source.engine_fault(&error, 0))
            .and_then(|(text, _)| within_limit(text))
    }
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ChatTemplate").field(&self.source.given()).finish()
    }
}

/// Compiles and renders in one step; `messages` are `(role, content)`.
pub fn render_chat(
    source: &str,
    special_tokens: &BTreeMap<String, String>,
    date: Option<&str>,
    messages: &[(String, String)],
    add_generation_prompt: bool,
) -> Result<String, TemplateFault> {
    let messages: Vec<Message> = messages
        .iter()
        .map(|(role, content)| Message { role: role.clone(), content: content.clone() })
        .collect();
    ChatTemplate::compile(source, special_tokens, date)?.render(&messages, add_generation_prompt)
}

/// The environment that `transformers` compiles chat templates in.
fn environment(date: Option<Date>) -> Environment<'static> {
    let mut environment = engine::pythonic();
    environment.set_syntax(engine::syntax(true, false));
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        let text = crate::pyjson::python_str(&message);
        Err(refused(format!("the chat template refuses the conversation: {text}")))
    });
    environment.add_function("strftime_now", move |format: &str| match date {
        Some(date) => date.format(format).map_err(refused),
        None => Err(refused("the chat template prints the date, and no date is pinned".into())),
    });
    environment
}

fn to_json(
    state: &State,
    value: &Value,
    ensure_ascii: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    weight::weigh(state, value)?;
    let indent: Option<Value> = kwargs.get("indent")?;
    let separators: Option<Vec<String>> = kwargs.get("separators")?;
    let style = JsonStyle {
        ensure_ascii: match ensure_ascii {
            Some(given) => given,
            None => kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        },
        sort_keys: kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        indent: indent
            .filter(|indent| !indent.is_none())
            .map(|indent| indentation(&indent))
            .transpose()?,
        separators: separators.map(pair).transpose()?,
    };
    kwargs.assert_all_used()?;
    dumps(value, &style).map_err(refused)
}

fn pair(texts: Vec<String>) -> Result<(String, String), Error> {
    <[String; 2]>::try_from(texts)
        .map(|[item, key]| (item, key))
        .map_err(|_| refused("`separators` needs two texts".to_string()))
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The template with `{% generation %}` blocks, an extension of `transformers`, as `{% with %}`
/// blocks: both print their body in a scope of its own. No byte moves.
fn without_generation(source: &str) -> String {
    let mut text = source.to_string();
    for piece in scan::pieces(source) {
        if piece.kind != scan::PieceKind::Statement {
            continue;
        }
        let words = scan::tokens(source, piece.inner.clone());
        let [word] = words.as_slice() else { continue };
        let replacement = match &source[word.span.clone()] {
            "generation" => "with      ",
            "endgeneration" => "endwith      ",
            _ => continue,
        };
        text.replace_range(word.span.clone(), replacement);
    }
    text
}
