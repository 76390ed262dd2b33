//! Cases to requests: tokenise, split context and continuation, digest.

mod room;
mod windows;

use crate::cases::{Case, Writer};
use crate::digest::{setting_digest, Digest, RequestHasher, NO_SETTING};
use crate::effort::{measured, Effort};
use crate::expansion::{flag_of, Expansion, Request, FORGED, SPLIT_WORD};
use crate::fault::{abridge, Fault};
use crate::ir::{Choices, Kind, Setting, Task};
use crate::memo::{KnownCases, RowDigest};
use crate::order;
use crate::prefix::{case, encode, encode_case, leading, Prefix};
use crate::reuse::reuse;
use crate::rows::Table;
use crate::select::Selection;
use crate::tokens::Encoder;
use rayon::prelude::*;

/// What an expansion is made from.
pub struct Input<'a> {
    /// The task.
    pub task: &'a Task,
    /// Its templates.
    pub writer: &'a Writer<'a>,
    /// Its data.
    pub table: &'a Table,
    /// Selected rows.
    pub selection: &'a Selection,
    /// Positions in `selection` that the tier keeps.
    pub positions: &'a [u32],
    /// Tokenizer.
    pub encoder: &'a Encoder,
    /// Whether prompts are chat conversations.
    pub chat: bool,
    /// Longest input of the model in tokens.
    pub max_length: usize,
    /// What the plan may still take; without it, whatever it does.
    pub effort: Option<Share<'a>>,
}

/// A task's share of a plan's effort.
pub struct Share<'a> {
    /// Of all tasks.
    pub effort: &'a Effort,
    /// The task.
    pub task: usize,
    /// Cells that get what is made.
    pub copies: usize,
}

/// Cases a worker expands between two hand-overs.
const CHUNK: usize = 256;
/// Chunks that are made between two appends, so that what is made is held once.
const WAVE: usize = 64;
/// One in this many cases is encoded whole as well, to prove the cuts.
const PROOF_SHARE: u64 = 64;

/// Bytes that a case may encode besides as many as its row has: a usual prompt with examples.
const FREE_BYTES: usize = 1 << 16;
/// Work of encoding one byte more. A tokenizer takes some millions a second.
const WORK_OF_BYTE: u64 = 20;

/// Why an expansion was not made.
pub enum Stop {
    /// The inputs have faults.
    Faults(Vec<Fault>),
    /// A composed encoding differed from a whole one.
    Cut,
    /// A bound of the plan was reached, which [`Effort::fault`] tells.
    Spent,
}

/// A finished expansion.
pub struct Made {
    /// The cases.
    pub expansion: Expansion,
    /// Cases that were written and tokenised; the others came from the memo.
    pub fresh: usize,
    /// Whether encodings were composed of parts.
    pub cut: bool,
    /// Cases that the memo can keep beside those it has, with their rows.
    pub later: Option<(Vec<RowDigest>, Expansion)>,
}

/// Expand a task. Deterministic whatever the number of threads; what the memo knows only saves work.
pub fn expand(input: &Input<'_>, known: Option<KnownCases>) -> Result<Made, Vec<Fault>> {
    let faults = |stop| match stop {
        Stop::Faults(faults) => {
            abridge(faults, input.effort.as_ref().is_some_and(|share| share.effort.over()))
        }
        Stop::Spent => Vec::new(),
        Stop::Cut => unreachable!("whole encodings are not cut"),
    };
    let made = match known {
        Some(known) => reuse(input, known),
        None => attempt(input, true),
    };
    let mut made = match made {
        Err(Stop::Cut) => attempt(input, false).map_err(faults)?,
        made => made.map_err(faults)?,
    };
    let positions = input.positions.iter().map(|position| *position as usize);
    made.expansion.ids = positions.clone().map(|p| input.selection.ids.get(p)).collect();
    made.expansion.rows = positions.map(|p| input.selection.rows[p]).collect();
    made.expansion.settings = settings(input);
    Ok(made)
}

fn settings(input: &Input<'_>) -> Vec<Setting> {
    let generate = input.task.generate.as_ref();
    let (ends, corrections) = (&input.encoder.eos_ids, &input.encoder.corrections);
    generate.map_or_else(Vec::new, |generate| generate.settings(ends, corrections))
}

/// Make every case, of parts or whole.
pub fn attempt(input: &Input<'_>, cut: bool) -> Result<Made, Stop> {
    let prefix = if cut { Prefix::find(input)? } else { Prefix::none() };
    let mut expansion = Worker::new(input, cut, &prefix).all(input.positions)?;
    expansion.prefix = prefix.ids.as_slice().into();
    expansion.prefix_text = prefix.text;
    order::sort(&mut expansion);
    Ok(Made { expansion, fresh: input.positions.len(), cut, later: None })
}

/// Makes cases behind one prefix.
pub struct Worker<'a> {
    input: &'a Input<'a>,
    cut: bool,
    setting_digests: Vec<Digest>,
    prefix: &'a Prefix,
    hasher: RequestHasher,
}

/// Token ids of a context: behind the shared prefix or not, and how many of its last tokens may
/// change with the continuation, with their text.
struct Context {
    prefixed: bool,
    tail: Vec<u32>,
    /// Tokens of `tail` that stay whatever follows.
    kept: usize,
    /// The text behind the last cut, whose encoding is `tail[kept..]`.
    open: String,
}

impl<'a> Worker<'a> {
    /// A worker for one task; `cut` says whether encodings are composed of parts.
    pub fn new(input: &'a Input<'a>, cut: bool, prefix: &'a Prefix) -> Worker<'a> {
        let setting_digests = settings(input).iter().map(setting_digest).collect();
        Worker { input, cut, setting_digests, hasher: prefix.hasher(input.task.kind), prefix }
    }

    /// Cases of these positions, on all cores, in order.
    pub fn all(&self, positions: &[u32]) -> Result<Expansion, Stop> {
        let mut whole = Expansion::blank(self.input.task.slices.len());
        let (mut faults, mut spent) = (Vec::new(), false);
        for wave in positions.chunks(CHUNK * WAVE) {
            let parts: Vec<Result<Expansion, Stop>> =
                wave.par_chunks(CHUNK).map(|positions| self.chunk(positions)).collect();
            for part in parts {
                match part {
                    Ok(part) => whole.append(&part),
                    Err(Stop::Faults(more)) => faults.extend(more),
                    Err(Stop::Cut) => return Err(Stop::Cut),
                    Err(Stop::Spent) => spent = true,
                }
            }
            if spent {
                break;
            }
        }
        if faults.is_empty() && spent {
            Err(Stop::Spent)
        } else if faults.is_empty() {
            Ok(whole)
        } else {
            Err(Stop::Faults(faults))
        }
    }

    fn chunk(&self, positions: &[u32]) -> Result<Expansion, Stop> {
        let mut out = Expansion::blank(self.input.task.slices.len());
        let mut faults = Vec::new();
        let mut buffer = Vec::new();
        for position in positions {
            let (case, work) = measured(|| case(self.input, *position));
            if let Err(stop) = self.spend(work) {
                return Err(if faults.is_empty() { stop } else { Stop::Faults(faults) });
            }
            let case = match case {
                Ok(case) => case,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            let forged = if case.marked.is_some() { FORGED } else { 0 };
            out.flags.push(forged | flag_of(case.reading));
            if let Err(stop) = self.encoding(&case, *position) {
                return Err(if faults.is_empty() { stop } else { Stop::Faults(faults) });
            }
            let asked = match self.input.task.kind {
                Kind::MultipleChoice => self.choices(&case, &mut out, &mut buffer),
                Kind::Generate => self.prompt(&case, &mut out, &mut buffer),
                Kind::Perplexity => self.windows(&case, &mut out, &mut buffer),
            };
            match asked {
                Ok(()) => {}
                Err(stop @ (Stop::Cut | Stop::Spent)) => return Err(stop),
                Err(Stop::Faults(more)) => {
                    let row = self.input.selection.rows[*position as usize];
                    let line = Some(self.input.table.line(row as usize));
                    let origin = self.input.table.origin();
                    faults.extend(more.into_iter().map(|f| f.in_file(origin, line)));
                    continue;
                }
            }
            out.targets.push(&case.target);
            if let Some(cluster) = &case.cluster {
                out.clusters.push(cluster);
            }
            for (column, value) in out.slices.iter_mut().zip(&case.slices) {
                column.push(value);
            }
            out.request_offsets.push(out.requests.len() as u32);
        }
        if faults.is_empty() {
            Ok(out)
        } else {
            Err(Stop::Faults(faults))
        }
    }

    fn spend(&self, work: u64) -> Result<(), Stop> {
        match &self.input.effort {
            Some(share) => share.effort.work(share.task, work).map_err(|_| Stop::Spent),
            None => Ok(()),
        }
    }

    /// Pay for what is encoded for this case alone, beyond its own row: a prefix that cases share is
    /// encoded once, but examples of which a case leaves out one are another text for each.
    fn encoding(&self, case: &Case, position: u32) -> Result<(), Stop> {
        let (context, continuations) = case.asked();
        let shared = match case.marked.is_none() && context.starts_with(&self.prefix.text) {
            true => self.prefix.text.len(),
            false => 0,
        };
        let bytes = context.len() - shared + continuations.iter().map(String::len).sum::<usize>();
        let row = self.input.selection.rows[position as usize];
        let free = FREE_BYTES + self.input.table.size(row as usize);
        self.spend(WORK_OF_BYTE * bytes.saturating_sub(free) as u64)
    }

    /// Count requests of a case that the spec does not tell.
    fn ask(&self, requests: usize) -> Result<(), Stop> {
        let Some(share) = &self.input.effort else { return Ok(()) };
        let asked = share.effort.ask(share.task, requests.saturating_mul(share.copies));
        asked.map_err(|_| Stop::Spent)
    }

    /// Encode a context once; its tail is reused by every continuation.
    fn context(&self, text: &str, case: &Case) -> Result<Context, Stop> {
        if case.marked.is_some() {
            let mut tail = leading(self.input).to_vec();
            let kept = tail.len();
            tail.extend(encode_case(self.input, case, text)?);
            return Ok(Context { prefixed: false, tail, kept, open: text.to_owned() });
        }
        let shared = !self.prefix.text.is_empty() && text.starts_with(&self.prefix.text);
        let rest = if shared { &text[self.prefix.text.len()..] } else { text };
        let end = if self.cut { self.input.encoder.last_cut(rest) } else { None }.unwrap_or(0);
        let mut tail = if shared { Vec::new() } else { leading(self.input).to_vec() };
        if end > 0 {
            tail.extend(encode(self.input, &rest[..end])?);
        }
        let kept = tail.len();
        tail.extend(encode(self.input, &rest[end..])?);
        Ok(Context { prefixed: shared, tail, kept, open: rest[end..].to_owned() })
    }

    fn choices(&self, case: &Case, out: &mut Expansion, buffer: &mut Vec<u8>) -> Result<(), Stop> {
        // the reference harness moves trailing white space of the context to the continuation
        let (whole, continuations) = case.asked();
        if let Some(Choices::Template(_)) = &self.input.task.choices {
            self.ask(continuations.len())?;
        }
        let stem = whole.trim_end_matches(python_space);
        let moved = &whole[stem.len()..];
        let empty = stem.is_empty();
        let mut context = if empty {
            let ids = self.input.encoder.empty_context_ids.clone();
            Context { prefixed: false, kept: ids.len(), tail: ids, open: String::new() }
        } else {
            self.context(stem, case)?
        };
        let sound = case.marked.is_none() && !empty;
        let (mut split, proof) = (false, sound && self.proof(&case.context));
        let mut conts = Vec::with_capacity(continuations.len());
        for text in continuations {
            let text = format!("{moved}{text}");
            let joined = encode_case(self.input, case, &format!("{}{text}", context.open))?;
            let open = context.tail.len() - context.kept;
            split |= joined.len() < open || joined[..open] != context.tail[context.kept..];
            let cont = joined.get(open..).unwrap_or_default().to_vec();
            if proof {
                self.prove(stem, &text, &context, &cont)?;
            }
            conts.push(cont);
        }
        let last = out.flags.len() - 1;
        out.flags[last] |= if split { SPLIT_WORD } else { 0 };
        if let Some(index) = conts.iter().position(Vec::is_empty) {
            let shown: String = case.choices[index].chars().take(60).collect();
            let message = format!("choice {index}, `{shown}`, adds no token to its context");
            let fault = Fault::new("empty-continuation", message)
                .at("tasks", &self.input.task.name, "choices")
                .hint("end the prompt before the text that the choice repeats, or set `delimiter`");
            return Err(Stop::Faults(vec![fault]));
        }
        let longest = conts.iter().map(Vec::len).max().unwrap_or(0);
        self.fit(&mut context, longest, self.input.max_length + 1, out)?;
        let tail = out.push(&context.tail);
        let mut hasher = self.start(&context);
        hasher.ids(&context.tail, buffer);
        for (cont, choice) in conts.iter().zip(&case.choices) {
            let run = out.push(cont);
            let mut hasher = hasher.clone();
            hasher.ids(cont, buffer);
            out.digests.push(hasher.finish(cont.len() as u64, &NO_SETTING));
            out.requests.push(Request::new(context.prefixed, tail, run, 0));
            out.choice_chars.push(choice.chars().count() as u32);
            out.choice_bytes.push(choice.len() as u32);
        }
        Ok(())
    }

    fn prompt(&self, case: &Case, out: &mut Expansion, buffer: &mut Vec<u8>) -> Result<(), Stop> {
        let generate = self.input.task.generate.as_ref();
        let room = generate.map_or(0, |g| g.max_new_tokens);
        let mut context = self.context(case.asked().0, case)?;
        if context.tail.is_empty() && !context.prefixed {
            context.tail = self.input.encoder.empty_context_ids.clone();
        }
        if case.marked.is_none() && self.proof(&case.context) {
            let mut whole = leading(self.input).to_vec();
            whole.extend(encode(self.input, &case.context)?);
            if !case.context.is_empty() && !self.equals(&context, &[], &whole) {
                return Err(Stop::Cut);
            }
        }
        self.fit(&mut context, room, self.input.max_length, out)?;
        let tail = out.push(&context.tail);
        let mut hasher = self.start(&context);
        hasher.ids(&context.tail, buffer);
        let nothing = out.push(&[]);
        for (setting, digest) in self.setting_digests.iter().enumerate() {
            out.digests.push(hasher.clone().finish(0, digest));
            out.requests.push(Request::new(context.prefixed, tail, nothing, setting as u16));
            out.choice_chars.push(0);
            out.choice_bytes.push(0);
        }
        Ok(())
    }

    fn start(&self, context: &Context) -> RequestHasher {
        if context.prefixed {
            self.hasher.clone()
        } else {
            RequestHasher::new(self.input.task.kind == Kind::Generate)
        }
    }

    /// Whether this context is in the sample that is encoded whole as well.
    fn proof(&self, text: &str) -> bool {
        let hash = blake3::hash(text.as_bytes());
        let mut head = [0; 8];
        head.copy_from_slice(&hash.as_bytes()[..8]);
        self.cut && u64::from_le_bytes(head) % PROOF_SHARE == 0
    }

    fn prove(&self, stem: &str, text: &str, context: &Context, cont: &[u32]) -> Result<(), Stop> {
        let mut alone = leading(self.input).to_vec();
        alone.extend(encode(self.input, stem)?);
        let mut joined = leading(self.input).to_vec();
        joined.extend(encode(self.input, &format!("{stem}{text}"))?);
        let same = self.equals(context, &[], &alone)
            && joined.get(alone.len()..).unwrap_or_default() == cont;
        if same {
            Ok(())
        } else {
            Err(Stop::Cut)
        }
    }

    fn equals(&self, context: &Context, cont: &[u32], whole: &[u32]) -> bool {
        let prefix: &[u32] = if context.prefixed { &self.prefix.ids } else { &[] };
        prefix.iter().chain(&context.tail).chain(cont).eq(whole)
    }
}

/// White space as Python's `str.rstrip` sees it.
fn python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The end of a context and the beginning of its first continuation that starts inside a token.
pub fn split(encoder: &Encoder, case: &Case) -> Option<(String, String)> {
    const SHOWN: usize = 16;
    let whole = &case.context;
    let stem = whole.trim_end_matches(python_space);
    let ids = encoder.encode(stem).ok()?;
    let parts = case.continuations.iter().map(|text| format!("{}{text}", &whole[stem.len()..]));
    let splits = |text: &String| {
        encoder.encode(&format!("{stem}{text}")).is_ok_and(|joined| !joined.starts_with(&ids))
    };
    let after = parts.into_iter().find(splits)?;
    let skipped = stem.chars().count().saturating_sub(SHOWN);
    Some((stem.chars().skip(skipped).collect(), after.chars().take(SHOWN).collect()))
}
