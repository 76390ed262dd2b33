//! What fits into a model: a context is cut from its left, or its case is a fault.

use super::{Context, Stop, Worker};
use crate::expansion::{Expansion, TRUNCATED};
use crate::fault::Fault;
use crate::ir::{Kind, Overflow, Task};

impl Worker<'_> {
    /// Make room for `after` more tokens within `limit`, or say that there is none.
    pub(super) fn fit(
        &self,
        context: &mut Context,
        after: usize,
        limit: usize,
        out: &mut Expansion,
    ) -> Result<(), Stop> {
        let shared = if context.prefixed { self.prefix.ids.len() } else { 0 };
        let length = shared + context.tail.len();
        if length + after <= limit {
            return Ok(());
        }
        let task = self.input.task;
        if task.overflow == Overflow::Error || after >= limit {
            return Err(Stop::Faults(vec![too_long(task, length, after, limit)]));
        }
        let drop = length + after - limit;
        if context.prefixed {
            let mut whole = self.prefix.ids.clone();
            whole.append(&mut context.tail);
            context.tail = whole;
            context.prefixed = false;
        }
        context.tail.drain(..drop);
        let last = out.flags.len() - 1;
        out.flags[last] |= TRUNCATED;
        Ok(())
    }
}

/// The fault of a case of `length` tokens and `after` more where `limit` fit. Where those leave no
/// room for a prompt at all, a shorter one would not help.
fn too_long(task: &Task, length: usize, after: usize, limit: usize) -> Fault {
    let generates = task.kind == Kind::Generate;
    if after >= limit && generates {
        let message = format!(
            "`max_new_tokens` of {after} leaves no room for a prompt: the model takes {limit} \
             tokens in all"
        );
        return Fault::new("context-too-long", message)
            .at("tasks", &task.name, "generate.max_new_tokens")
            .hint(format!("lower `max_new_tokens` below {limit}"));
    }
    if after >= limit {
        let message =
            format!("a choice of {after} tokens leaves no room for a prompt in {limit} tokens");
        return Fault::new("context-too-long", message)
            .at("tasks", &task.name, "choices")
            .hint("shorten the choices, or filter such rows with `where`");
    }
    let need = length + after;
    let (parts, more) = match generates {
        true => (format!(" ({length} of the prompt, {after} new)"), "lower `max_new_tokens`, "),
        false => (String::new(), ""),
    };
    let message = format!("a case needs {need} tokens{parts} where the model takes {limit}");
    Fault::new("context-too-long", message).at("tasks", &task.name, "prompt").hint(format!(
        "shorten the prompt, use fewer shots, {more}or set `overflow = \"truncate\"`"
    ))
}
