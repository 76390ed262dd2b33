//! Rows to cases: the texts that a row asks under a task.

mod judges;
mod marking;
mod shots;
mod target;

use crate::chat::{ChatTemplate, Message};
use crate::control::Controls;
use crate::effort;
use crate::fault::{closest, Fault};
use crate::ir::{Choices, Kind, Model, Task};
use crate::pyjson::python_str;
use crate::template::{Template, TemplateFault, Variable};
use crate::tokens::Encoder;
use judges::{COMPLETION, PROGRAM_NAMES};
use marking::Texts;
use minijinja::value::ValueKind;
use minijinja::Value;
use shots::Shots;
pub use shots::Source;
pub use target::Reading;
use target::{target, Target};

/// Bytes of a prompt for one unit of work: it is copied.
const BYTES_OF_PROMPT: u64 = 64;

/// A prompt of so many bytes does not fit a cache, and copying more takes longer.
const SHORT_PROMPT: usize = 1 << 18;

/// Bytes beyond that for one unit of work.
const BYTES_OF_LONG_PROMPT: u64 = 8;

/// Work of one text of a list, besides what its template does.
const TEXT_WORK: u64 = 40;

/// Work of a choice that a template gives.
const CHOICE_WORK: u64 = 10;

/// The texts of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What stands before every continuation.
    pub context: String,
    /// Continuations, delimiter included; empty for generation, the text itself for perplexity.
    pub continuations: Vec<String>,
    /// Choice texts, without the delimiter.
    pub choices: Vec<String>,
    /// JSON of the target.
    pub target: String,
    /// How the target was read.
    pub reading: Reading,
    /// Cluster, where the task has clusters.
    pub cluster: Option<String>,
    /// One value per slice template.
    pub slices: Vec<String>,
    /// The texts with marks, where the row spells control tokens.
    pub marked: Option<Marked>,
}

/// Context and continuations of a case as `control` marks them, and a token that the row spells.
#[derive(Debug, Clone, PartialEq)]
pub struct Marked {
    /// What stands before every continuation.
    pub context: String,
    /// Continuations, delimiter included.
    pub continuations: Vec<String>,
    /// The first of the tokens.
    pub token: String,
}

impl Case {
    /// Context and continuations as they are encoded: marked, where they have to be.
    pub fn asked(&self) -> (&str, &[String]) {
        match &self.marked {
            Some(marked) => (&marked.context, &marked.continuations),
            None => (&self.context, &self.continuations),
        }
    }
}

/// The compiled templates of a task.
pub struct Writer<'a> {
    task: &'a Task,
    prompt: Template,
    choices: Option<ChoiceTemplates>,
    target: Option<Template>,
    cluster: Option<Template>,
    slices: Vec<Template>,
    delimiter: String,
    chat: Option<(ChatTemplate, Option<String>)>,
    shots: Option<Shots<'a>>,
    guard: Option<Guard<'a>>,
    /// Columns that the program which judges an answer reads of a row, and where it does.
    reads: Vec<Variable>,
    /// Whether the target is made by an operator, a filter or a call: a number of it is an index
    /// on purpose.
    settled: bool,
}

/// What keeps rows from writing control tokens.
struct Guard<'a> {
    controls: &'a Controls,
    /// Columns that may.
    trusted: &'a [String],
}

enum ChoiceTemplates {
    One(Box<Template>),
    Many(Vec<Template>),
}

/// Place a template's fault in the spec and, for a rendering fault, in the data.
pub fn template_fault(
    fault: &TemplateFault,
    table: &str,
    name: &str,
    field: &str,
    place: Option<(&str, usize)>,
) -> Fault {
    let (code, message) = match (&fault.missing, place) {
        (Some(column), Some((_, line))) => {
            ("missing-column", format!("the row on line {line} has no `{column}`"))
        }
        (_, Some(_)) => ("template-failed", fault.message.clone()),
        (_, None) => ("template-syntax", fault.message.clone()),
    };
    let mut out = Fault::new(code, message).at(table, name, field);
    out.span = fault.span;
    if let Some((file, line)) = place {
        out = out.in_file(file, Some(line));
    }
    match code {
        "missing-column" => {
            out.hint("add the column to that row, or filter such rows with `where`")
        }
        "template-failed" if field == "where" => {
            out.hint("write it so that it holds for such rows")
        }
        "template-failed" => {
            out.hint("write it so that it holds for such rows, or filter them with `where`")
        }
        _ => out,
    }
}

/// Report variables of a template that no column can fill.
fn undefined(template: &Template, columns: &[String], name: &str, field: &str) -> Vec<Fault> {
    template
        .variables()
        .iter()
        .filter(|variable| !variable.guarded && !columns.contains(&variable.name))
        .map(|variable| {
            let message = format!("undefined template variable `{}`", variable.name);
            let mut fault = Fault::new("undefined-variable", message).at("tasks", name, field);
            fault.span = Some(variable.span);
            fault.suggestion = closest(&variable.name, columns.iter().map(String::as_str));
            let program = field == "code.program";
            let own = |column: &&str| !program || !PROGRAM_NAMES.contains(column);
            let shown: Vec<&str> =
                columns.iter().map(String::as_str).filter(own).take(20).collect();
            let fault = fault.note(format!("the dataset's columns are: {}", shown.join(", ")));
            match program {
                true => fault.note("a program also sees: completion, prompt, target"),
                false => fault,
            }
        })
        .collect()
}

impl<'a> Writer<'a> {
    /// Compile a task's templates and check them against the dataset's columns; all faults at once.
    pub fn compile(
        task: &'a Task,
        columns: &[String],
        shots: Option<(Source<'a>, &[String])>,
    ) -> Result<Writer<'a>, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut compile = |source: &str, field: &str, columns: &[String]| -> Option<Template> {
            match Template::compile(source) {
                Ok(template) => {
                    faults.extend(undefined(&template, columns, &task.name, field));
                    Some(template)
                }
                Err(fault) => {
                    faults.push(template_fault(&fault, "tasks", &task.name, field, None));
                    None
                }
            }
        };
        let prompt = compile(&task.prompt, "prompt", columns);
        let choices = task.choices.as_ref().map(|choices| match choices {
            Choices::Template(source) => {
                compile(source, "choices", columns).map(Box::new).map(ChoiceTemplates::One)
            }
            Choices::List(sources) => sources
                .iter()
                .enumerate()
                .map(|(i, source)| compile(source, &format!("choices.{i}"), columns))
                .collect::<Vec<_>>()
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .map(ChoiceTemplates::Many),
        });
        let target = task.target.as_ref().map(|source| compile(source, "target", columns));
        let cluster = task.cluster.as_ref().map(|source| compile(source, "cluster", columns));
        let slices: Vec<Option<Template>> = task
            .slices
            .iter()
            .enumerate()
            .map(|(i, source)| compile(source, &format!("slices.{i}"), columns))
            .collect();
        let shot = match (&task.fewshot, &shots) {
            (Some(fewshot), Some((_, columns))) => {
                Some(compile(&fewshot.template, "fewshot.template", columns))
            }
            _ => None,
        };
        // what evalc gives a program besides the row; columns of these names go before it
        let given = columns.iter().cloned().chain(PROGRAM_NAMES.map(String::from));
        let given: Vec<String> = given.collect();
        let program =
            task.program.as_ref().and_then(|source| compile(source, "code.program", &given));
        if !faults.is_empty() {
            return Err(faults);
        }
        let read = program.iter().flat_map(Template::variables);
        // a column of that name is not seen
        let read = read.filter(|variable| variable.name != COMPLETION).cloned();
        let reads: Vec<Variable> = read.collect();
        let target = target.flatten();
        let mut writer = Writer {
            task,
            settled: target.as_ref().is_some_and(Template::computes),
            prompt: prompt.expect("no fault, so it compiled"),
            choices: choices.flatten(),
            target,
            cluster: cluster.flatten(),
            slices: slices.into_iter().flatten().collect(),
            delimiter: task.delimiter.clone().unwrap_or_else(|| " ".into()),
            chat: None,
            shots: None,
            guard: None,
            reads,
        };
        if let (Some(template), Some((source, _))) = (shot.flatten(), shots) {
            writer.shots = Some(writer.draw(template, source)?);
        }
        Ok(writer)
    }

    /// Keep rows, but for their trusted columns, from writing control tokens.
    pub fn guard(&mut self, controls: &'a Controls, trusted: &'a [String]) {
        self.guard = Some(Guard { controls, trusted });
    }

    /// Write prompts through a model's chat template.
    pub fn chat(&mut self, model: &Model, encoder: &Encoder) -> Result<(), Fault> {
        let source = encoder.chat_template.as_deref().ok_or_else(|| {
            let message = format!("the tokenizer of model `{}` has no chat template", model.name);
            Fault::new("no-chat-template", message)
                .at("models", &model.name, "chat")
                .hint("set `chat = false`, or use the tokenizer of an instruction-tuned model")
        })?;
        let template =
            ChatTemplate::compile(source, &encoder.special_tokens, model.date.as_deref()).map_err(
                |fault| {
                    Fault::new("chat-template", format!("the chat template: {}", fault.message)).at(
                        "models",
                        &model.name,
                        "chat",
                    )
                },
            )?;
        self.chat = Some((template, model.system.clone()));
        self.delimiter = self.task.delimiter.clone().unwrap_or_default();
        Ok(())
    }

    /// Write the case of one row. `place` is the row's file and line, for faults.
    pub fn write(
        &self,
        row: &Value,
        index: u32,
        id: &str,
        place: (&str, usize),
    ) -> Result<Case, Fault> {
        let name = &self.task.name;
        let fail = |fault: TemplateFault, field: &str| {
            template_fault(&fault, "tasks", name, field, Some(place))
        };
        let text = |template: &Template, field: &str| {
            template.render(row).map_err(|fault| fail(fault, field))
        };
        let prompt = text(&self.prompt, "prompt")?;
        let cluster = self.cluster.as_ref().map(|t| text(t, "cluster")).transpose()?;
        effort::spend((self.slices.len() + self.choice_texts()) as u64 * TEXT_WORK);
        let slices = self.slices.iter().enumerate();
        let slices =
            slices.map(|(i, t)| text(t, &format!("slices.{i}"))).collect::<Result<Vec<_>, _>>()?;
        let choices = self.choices(row, place)?;
        let Target { json: target, reading } = self.target(row, &choices, place)?;
        self.program_has(row, place)?;
        self.shown_whole(row, place)?;
        let (said, continuations) = match self.task.kind {
            Kind::Perplexity => (String::new(), vec![prompt]),
            Kind::MultipleChoice => {
                let joined = choices.iter().map(|c| format!("{}{c}", self.delimiter)).collect();
                (self.said(&prompt, index, id)?, joined)
            }
            Kind::Generate => (self.said(&prompt, index, id)?, Vec::new()),
        };
        let context = match self.task.kind {
            Kind::Perplexity => String::new(),
            _ => self.conversation(&said, place)?,
        };
        let marked = match &self.guard {
            Some(guard) if guard.sees(&said, &context, &continuations) => {
                let texts = Texts { said: &said, context: &context, continuations: &continuations };
                self.marked(guard, &texts, row, index, id, place)?
            }
            _ => None,
        };
        Ok(Case { context, continuations, choices, target, reading, cluster, slices, marked })
    }

    /// How many templates of choices there are.
    fn choice_texts(&self) -> usize {
        match &self.choices {
            Some(ChoiceTemplates::Many(templates)) => templates.len(),
            _ => 0,
        }
    }

    /// Description, shots and prompt.
    fn said(&self, prompt: &str, index: u32, id: &str) -> Result<String, Fault> {
        let mut text = self.task.description.clone();
        text.push_str(&self.shots(index, id)?);
        text.push_str(prompt);
        let beyond = text.len().saturating_sub(SHORT_PROMPT) as u64;
        effort::spend(text.len() as u64 / BYTES_OF_PROMPT + beyond / BYTES_OF_LONG_PROMPT);
        Ok(text)
    }

    /// What is said, as a conversation where the model is chatted with.
    fn conversation(&self, text: &str, place: (&str, usize)) -> Result<String, Fault> {
        let Some((template, system)) = &self.chat else {
            return Ok(text.to_owned());
        };
        let message = |role: &str, content: &str| Message {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        let mut messages: Vec<Message> = Vec::with_capacity(2);
        messages.extend(system.as_deref().map(|system| message("system", system)));
        messages.push(message("user", text));
        template.render(&messages, true).map_err(|fault| {
            Fault::new("chat-template", format!("the chat template: {}", fault.message))
                .at("tasks", &self.task.name, "prompt")
                .in_file(place.0, Some(place.1))
        })
    }

    fn target(
        &self,
        row: &Value,
        choices: &[String],
        place: (&str, usize),
    ) -> Result<Target, Fault> {
        let Some(template) = &self.target else {
            return Ok(Target::of("null"));
        };
        let name = &self.task.name;
        let fail = |fault| template_fault(&fault, "tasks", name, "target", Some(place));
        let mut value = template.eval(row).map_err(fail)?;
        let list = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
        if !list && !value.is_none() {
            let text = template.render(row).map_err(fail)?;
            if template.shows_null(row, &text) {
                value = Value::from(());
            } else if self.task.kind != Kind::MultipleChoice {
                // white space around the expression is part of the text
                value = Value::from(text);
            }
        }
        target(&value, choices, self.task.kind, self.settled).map_err(|wrong| {
            let fault = bad("bad-target", wrong.message, name, "target", place);
            match wrong.hint {
                Some(hint) => fault.hint(hint),
                None => fault,
            }
        })
    }

    fn choices(&self, row: &Value, place: (&str, usize)) -> Result<Vec<String>, Fault> {
        let name = &self.task.name;
        let choices: Vec<String> = match &self.choices {
            None => return Ok(Vec::new()),
            Some(ChoiceTemplates::Many(templates)) => templates
                .iter()
                .enumerate()
                .map(|(i, template)| {
                    let field = format!("choices.{i}");
                    let text = template
                        .render(row)
                        .map_err(|f| template_fault(&f, "tasks", name, &field, Some(place)))?;
                    match template.shows_null(row, &text) {
                        true => Err(null_choice(i, name, &field, place)),
                        false => Ok(text),
                    }
                })
                .collect::<Result<_, _>>()?,
            Some(ChoiceTemplates::One(template)) => {
                let value = template
                    .eval(row)
                    .map_err(|f| template_fault(&f, "tasks", name, "choices", Some(place)))?;
                if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
                    let message = format!("`choices` is a {}, not a list", value.kind());
                    return Err(bad("bad-choices", message, name, "choices", place));
                }
                let items: Vec<Value> = value.try_iter().into_iter().flatten().collect();
                effort::spend(items.len() as u64 * CHOICE_WORK);
                if let Some(null) = items.iter().position(Value::is_none) {
                    return Err(null_choice(null, name, "choices", place));
                }
                let nested = |item: &Value| {
                    matches!(item.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
                };
                if let Some(at) = items.iter().position(nested) {
                    let kind = items[at].kind();
                    let message = format!("choice {at} of a case is a {kind}, which is no text");
                    return Err(bad("bad-choices", message, name, "choices", place)
                        .hint("make it one, as with `| map('join', ' ') | list`"));
                }
                items.iter().map(python_str).collect()
            }
        };
        if choices.is_empty() {
            let message = "a case has no choices".to_owned();
            return Err(bad("bad-choices", message, name, "choices", place));
        }
        if let Some(empty) = choices.iter().position(|c| c.is_empty() && self.delimiter.is_empty())
        {
            let message = format!("choice {empty} of a case is empty");
            return Err(bad("bad-choices", message, name, "choices", place));
        }
        Ok(choices)
    }
}

fn bad(
    code: &'static str,
    message: String,
    task: &str,
    field: &str,
    place: (&str, usize),
) -> Fault {
    Fault::new(code, message).at("tasks", task, field).in_file(place.0, Some(place.1))
}

fn null_choice(index: usize, task: &str, field: &str, place: (&str, usize)) -> Fault {
    let message = format!("choice {index} of a case is null, which is no text");
    bad("bad-choices", message, task, field, place)
        .hint("filter such rows with `where`, or leave nulls out with `| select`")
}
