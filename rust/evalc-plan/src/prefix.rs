//! What the contexts of a task start with: encoded once, hashed once.

use crate::cases::Case;
use crate::digest::RequestHasher;
use crate::expand::{Input, Stop};
use crate::fault::Fault;
use crate::ir::Kind;

/// Cases looked at to find the text that all contexts start with.
const PREFIX_SAMPLE: usize = 8;

/// The text that (nearly) all contexts of a task start with, encoded once.
pub struct Prefix {
    /// The text.
    pub text: String,
    /// Its ids, with what the tokenizer puts first.
    pub ids: Vec<u32>,
}

impl Prefix {
    /// No text.
    pub fn none() -> Prefix {
        Prefix { text: String::new(), ids: Vec::new() }
    }

    /// The text that a few cases start with, as far as its encoding is settled.
    pub fn find(input: &Input<'_>) -> Result<Prefix, Stop> {
        let none = Prefix::none();
        if input.task.kind == Kind::Perplexity || input.positions.len() < PREFIX_SAMPLE {
            return Ok(none);
        }
        let step = input.positions.len() / PREFIX_SAMPLE;
        let mut common: Option<String> = None;
        for position in input.positions.iter().step_by(step) {
            let Ok(case) = case(input, *position) else {
                return Ok(none); // the expansion itself will report it
            };
            common = Some(match common {
                None => case.context,
                Some(text) => {
                    let same = text.char_indices().zip(case.context.chars());
                    let end = same
                        .take_while(|((_, a), b)| a == b)
                        .last()
                        .map_or(0, |((i, a), _)| i + a.len_utf8());
                    text[..end].to_owned()
                }
            });
        }
        let common = common.unwrap_or_default();
        let Some(end) = input.encoder.last_cut(&common) else {
            return Ok(none);
        };
        let mut ids = leading(input).to_vec();
        ids.extend(encode(input, &common[..end])?);
        Ok(Prefix { text: common[..end].to_owned(), ids })
    }

    /// The hash state after these ids.
    pub fn hasher(&self, kind: Kind) -> RequestHasher {
        let mut hasher = RequestHasher::new(kind == Kind::Generate);
        hasher.ids(&self.ids, &mut Vec::new());
        hasher
    }
}

/// Ids before any text: the tokenizer's own, unless a chat template writes them.
pub fn leading<'a>(input: &'a Input<'_>) -> &'a [u32] {
    if input.chat {
        &[]
    } else {
        &input.encoder.prefix_ids
    }
}

/// Token ids of a text, or the fault of a text that has none.
pub fn encode(input: &Input<'_>, text: &str) -> Result<Vec<u32>, Stop> {
    input.encoder.encode(text).map_err(|message| {
        Stop::Faults(vec![Fault::new("tokenizer-failed", message).at(
            "tasks",
            &input.task.name,
            "prompt",
        )])
    })
}

/// Token ids of a text of a case, marked if its texts are.
pub fn encode_case(input: &Input<'_>, case: &Case, text: &str) -> Result<Vec<u32>, Stop> {
    if case.marked.is_none() {
        return encode(input, text);
    }
    input.encoder.encode_marked(text).map_err(|message| {
        let fault = Fault::new("tokenizer-failed", message);
        Stop::Faults(vec![fault.at("tasks", &input.task.name, "prompt")])
    })
}

/// The case at a position.
pub fn case(input: &Input<'_>, position: u32) -> Result<Case, Fault> {
    let row = input.selection.rows[position as usize];
    let id = input.selection.ids.get(position as usize);
    let value = input.table.row(row as usize)?;
    let place = (input.table.origin(), input.table.line(row as usize));
    let written = input.writer.write(&value, row, id, place);
    written.map_err(|fault| input.table.explained(fault, row as usize))
}
