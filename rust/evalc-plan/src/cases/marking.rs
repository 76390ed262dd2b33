//! The marked texts of a case whose row spells control tokens; see `control`.

use super::{bad, ChoiceTemplates, Guard, Marked, Writer};
use crate::control::{holds_marks, EDGE};
use crate::fault::Fault;
use crate::ir::{Kind, Select};
use crate::pyjson::python_str;
use crate::template::Template;
use minijinja::Value;

/// The texts of a case as they are read.
pub(super) struct Texts<'t> {
    /// Description, shots and prompt.
    pub said: &'t str,
    /// The same in a conversation.
    pub context: &'t str,
    /// Continuations, delimiter included.
    pub continuations: &'t [String],
}

impl Guard<'_> {
    /// Whether a case has to be looked at: a text of it spells a control token.
    pub(super) fn sees(&self, said: &str, context: &str, continuations: &[String]) -> bool {
        let found = |text: &str| self.controls.spelled(text).is_some();
        found(said) || continuations.iter().any(|c| found(c) || self.controls.meet(context, c))
    }

    /// What a template writes with marks. A template that does something else with marks than with
    /// what they stand for writes ordinary text.
    fn text(&self, template: &Template, row: &Value, trusted: &[String]) -> String {
        let Ok(plain) = template.render(row) else { return String::new() };
        if self.controls.spelled(template.source()).is_none() && trusted.is_empty() {
            return plain;
        }
        let marking = Template::compile(&self.controls.written(template.source()));
        let row = self.controls.trusted(row, trusted);
        match marking.and_then(|template| template.render(&row)) {
            Ok(text) if self.controls.unmarked(&text) == plain => text,
            _ => plain,
        }
    }

    /// The same for a template that gives a list of choices.
    fn list(&self, template: &Template, row: &Value) -> Vec<String> {
        let texts = |value: Value| -> Vec<String> {
            value.try_iter().into_iter().flatten().map(|v| python_str(&v)).collect()
        };
        let plain = template.eval(row).map(texts).unwrap_or_default();
        let marking = Template::compile(&self.controls.written(template.source()));
        let row = self.controls.trusted(row, self.trusted);
        let marked = marking.and_then(|template| template.eval(&row)).map(texts);
        let marked = marked.unwrap_or_default();
        let same = marked.iter().map(|text| self.controls.unmarked(text)).eq(plain.iter().cloned());
        if same {
            marked
        } else {
            plain
        }
    }
}

impl Writer<'_> {
    /// The marked texts of a case, or nothing where all tokens in them may be written.
    pub(super) fn marked(
        &self,
        guard: &Guard<'_>,
        texts: &Texts<'_>,
        row: &Value,
        index: u32,
        id: &str,
        place: (&str, usize),
    ) -> Result<Option<Marked>, Fault> {
        if holds_marks(texts.context) || texts.continuations.iter().any(|c| holds_marks(c)) {
            let message = "a row spells a control token and has a noncharacter beside it".into();
            return Err(bad("forged-turn", message, &self.task.name, "prompt", place)
                .hint("filter such rows with `where`"));
        }
        let (controls, continuations) = (guard.controls, self.continuations(guard, row));
        let (context, spelled) = if self.task.kind == Kind::Perplexity {
            (String::new(), None)
        } else {
            let mut said = controls.written(&self.task.description);
            said.push_str(&self.marked_shots(guard, index, id)?);
            said.push_str(&guard.text(&self.prompt, row, guard.trusted));
            if controls.unmarked(&said) != texts.said {
                said = texts.said.to_owned();
            }
            let spelled = controls.spelled(&said).map(str::to_owned);
            (self.marked_conversation(guard, &said, texts.context, place)?, spelled)
        };
        let continuations: Vec<String> = continuations
            .into_iter()
            .zip(texts.continuations)
            .map(
                |(text, plain)| {
                    if controls.unmarked(&text) == *plain {
                        text
                    } else {
                        plain.clone()
                    }
                },
            )
            .collect();
        let spelled = spelled
            .or_else(|| continuations.iter().find_map(|c| controls.spelled(c)).map(str::to_owned))
            .or_else(|| {
                let joined =
                    |c: &String| controls.spelled(&format!("{context}{c}")).map(str::to_owned);
                continuations.iter().find_map(joined)
            });
        Ok(spelled.map(|token| Marked { context, continuations, token }))
    }

    fn continuations(&self, guard: &Guard<'_>, row: &Value) -> Vec<String> {
        if self.task.kind == Kind::Perplexity {
            return vec![guard.text(&self.prompt, row, guard.trusted)];
        }
        let choices = match &self.choices {
            None => Vec::new(),
            Some(ChoiceTemplates::One(template)) => guard.list(template, row),
            Some(ChoiceTemplates::Many(templates)) => {
                templates.iter().map(|t| guard.text(t, row, guard.trusted)).collect()
            }
        };
        let delimiter = guard.controls.written(&self.delimiter);
        choices.iter().map(|choice| format!("{delimiter}{choice}")).collect()
    }

    fn marked_shots(&self, guard: &Guard<'_>, index: u32, id: &str) -> Result<String, Fault> {
        let (Some(shots), Some(fewshot)) = (&self.shots, &self.task.fewshot) else {
            return Ok(String::new());
        };
        let rows: Vec<u32> = if fewshot.select == Select::PerCase {
            self.drawn(shots, fewshot, index, id)
        } else {
            shots.kept(index).take(fewshot.k).map(|(row, _)| *row).collect()
        };
        let texts = rows.iter().map(|row| {
            let value = shots.source.selection.value(shots.source.table, *row)?;
            Ok(guard.text(&shots.template, &value, shots.source.trusted))
        });
        let texts = texts.collect::<Result<Vec<String>, Fault>>()?;
        Ok(texts.join(&guard.controls.written(&fewshot.separator)))
    }

    /// What is said in a conversation whose template writes its own tokens. Where a template changes
    /// the white space around what is said, so does this.
    fn marked_conversation(
        &self,
        guard: &Guard<'_>,
        said: &str,
        context: &str,
        place: (&str, usize),
    ) -> Result<String, Fault> {
        if self.chat.is_none() {
            return Ok(said.to_owned());
        }
        let said = guard.controls.forged(said);
        let tries =
            [format!("{EDGE}{said}{EDGE}"), format!("{EDGE}{}{EDGE}", said.trim()), said.clone()];
        for text in &tries {
            let found = self.conversation(text, place)?;
            if guard.controls.unmarked(&found) == context {
                return Ok(guard.controls.settled(&found));
            }
        }
        let message =
            "the chat template does something to a control token that a row spells".into();
        Err(bad("forged-turn", message, &self.task.name, "prompt", place)
            .hint("filter such rows with `where`, or trust their column with `control_tokens`"))
    }
}
