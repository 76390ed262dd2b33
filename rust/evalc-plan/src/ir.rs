//! The resolved form of a spec: nothing optional but what is honestly absent, paths absolute.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Version of the Ir that this planner reads.
pub const VERSION: u32 = 1;

/// Everything the planner is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ir {
    /// Format version; must equal [`VERSION`].
    pub ir: u32,
    /// Sampling seed of the spec.
    pub seed: u64,
    /// The budget of this plan.
    pub tier: Tier,
    /// Models.
    pub models: Vec<Model>,
    /// Datasets.
    pub datasets: Vec<Dataset>,
    /// Tasks.
    pub tasks: Vec<Task>,
    /// Which task runs on which model, in canonical order.
    pub cells: Vec<Cell>,
}

/// One task on one model.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Index into `models`.
    pub model: usize,
    /// Index into `tasks`.
    pub task: usize,
}

/// A budget of cases per task on the one hash order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Name, for messages.
    pub name: String,
    /// At most this many cases of a task.
    pub cases: Option<usize>,
    /// At most this share of a task's cases.
    pub fraction: Option<f64>,
}

/// A model, identified by content.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name in the spec.
    pub name: String,
    /// Hex digest of what the model computes.
    pub model_id: String,
    /// Hex digest of what else changes the numbers.
    pub engine_id: String,
    /// Path of the tokenizer bundle.
    pub bundle: String,
    /// Longest input in tokens.
    pub max_length: usize,
    /// Whether prompts go through the chat template.
    pub chat: bool,
    /// System message for chat.
    pub system: Option<String>,
    /// Rows of the model's embedding, where they are known.
    #[serde(default)]
    pub vocabulary: Option<u32>,
    /// Date that `strftime_now` sees, `YYYY-MM-DD`.
    pub date: Option<String>,
}

/// How a data file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated with a header.
    Csv,
    /// Tab-separated with a header.
    Tsv,
}

/// How a data file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// A dataset in one file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Name in the spec.
    pub name: String,
    /// Absolute path.
    pub path: String,
    /// Format.
    pub format: Format,
    /// Compression.
    pub compression: Compression,
    /// What encloses fields of a delimited file: one character, nothing where it is empty; absent:
    /// as its format says.
    pub quote: Option<String>,
    /// The path a user knows it by.
    pub origin: String,
    /// Half-open range of rows.
    pub rows: Option<(usize, Option<usize>)>,
    /// Filter template.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// Template of a stable id.
    pub id: Option<String>,
    /// Columns whose texts may write control tokens.
    #[serde(default)]
    pub control_tokens: Vec<String>,
}

/// What a task asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Log-likelihoods of given continuations.
    MultipleChoice,
    /// Generated text.
    Generate,
    /// Rolling log-likelihood of a text.
    Perplexity,
}

/// How choices are written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Choices {
    /// One template that yields a list.
    Template(String),
    /// A list of templates.
    List(Vec<String>),
}

/// A task.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name in the spec.
    pub name: String,
    /// Index into `datasets`.
    pub dataset: usize,
    /// Kind.
    pub kind: Kind,
    /// Plain text before everything else.
    pub description: String,
    /// Template of the prompt.
    pub prompt: String,
    /// Text between prompt and continuation; absent: one space, or nothing for chat.
    pub delimiter: Option<String>,
    /// Choices of a multiple-choice task.
    pub choices: Option<Choices>,
    /// Template of the target.
    pub target: Option<String>,
    /// Shots.
    pub fewshot: Option<Fewshot>,
    /// Generation settings.
    pub generate: Option<Generate>,
    /// What to do with inputs longer than the model.
    pub overflow: Overflow,
    /// Template of the cluster.
    pub cluster: Option<String>,
    /// Templates of slices.
    pub slices: Vec<String>,
    /// Template of the program that judges an answer. Nothing of a case depends on it: it is here
    /// for the names in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Where the task names a function that is given whole rows. Nothing of a case depends on it: a
    /// row that cannot be given whole is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
}

/// What to do with an input that is longer than the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// Refuse.
    Error,
    /// Drop tokens at the left, as the reference harness does.
    Truncate,
}

/// How shots are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// The first k rows.
    First,
    /// One seeded draw for the whole task.
    Random,
    /// A seeded draw for each case.
    PerCase,
}

/// Shots before a prompt.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fewshot {
    /// Index into `datasets`.
    pub dataset: usize,
    /// How many.
    pub k: usize,
    /// How drawn.
    pub select: Select,
    /// Seed of a draw.
    pub seed: u64,
    /// Template of one shot.
    pub template: String,
    /// Text between two shots.
    pub separator: String,
}

/// Generation settings as written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Upper bound of new tokens.
    pub max_new_tokens: usize,
    /// Stop strings.
    pub stop: Vec<String>,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus mass.
    pub top_p: f64,
    /// 0 is off.
    pub top_k: usize,
    /// Samples per case.
    pub repeats: usize,
    /// Seed.
    pub seed: u64,
}

/// Settings of one generated sample, canonical: what has no effect is at its neutral value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Upper bound of new tokens.
    pub max_new_tokens: usize,
    /// Stop strings, sorted, unique.
    pub stop: Arc<[String]>,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus mass.
    pub top_p: f64,
    /// 0 is off.
    pub top_k: usize,
    /// Seed; 0 when greedy.
    pub seed: u64,
    /// Repeat index; 0 when greedy.
    pub slot: usize,
    /// End-of-sequence ids, sorted.
    pub eos_ids: Arc<[u32]>,
    /// What the text of an answer owes to its tokenizer, in order.
    #[serde(skip_serializing_if = "<[Correction]>::is_empty")]
    pub corrections: Arc<[Correction]>,
}

/// A part of how the text of an answer is made, which stands in the keys of those generations
/// alone whose texts it can change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Correction(String);

impl Correction {
    /// Those of a tokenizer: whether its decoder takes something from what comes first, so that
    /// ids are decoded behind their prompt's; which ids that end an answer have a text, which is
    /// no part of the answer; and the digest of what makes ids a text.
    pub fn of(loses_first_space: bool, plain_eos_ids: &[u32], decoding: &str) -> Vec<Correction> {
        let mut out = Vec::new();
        out.extend(loses_first_space.then(|| Correction("first-space.v1".into())));
        out.extend((!plain_eos_ids.is_empty()).then(|| Correction("plain-eos.v1".into())));
        out.extend((!decoding.is_empty()).then(|| Correction(format!("decoding.v1:{decoding}"))));
        out
    }

    /// Its name in a key.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Generate {
    /// The settings of every distinct sample of one case.
    pub fn settings(&self, eos_ids: &[u32], corrections: &[Correction]) -> Vec<Setting> {
        let greedy = self.temperature == 0.0;
        let mut stop = self.stop.clone();
        stop.sort();
        stop.dedup();
        let mut eos_ids = eos_ids.to_vec();
        eos_ids.sort_unstable();
        eos_ids.dedup();
        // lists are the same for all samples, of which there may be thousands
        let (stop, eos_ids): (Arc<[String]>, Arc<[u32]>) = (stop.into(), eos_ids.into());
        let corrections: Arc<[Correction]> = corrections.into();
        let slots = if greedy { 1 } else { self.repeats };
        (0..slots)
            .map(|slot| Setting {
                max_new_tokens: self.max_new_tokens,
                stop: Arc::clone(&stop),
                temperature: self.temperature,
                top_p: if greedy { 1.0 } else { self.top_p },
                top_k: if greedy { 0 } else { self.top_k },
                seed: if greedy { 0 } else { self.seed },
                slot,
                eos_ids: Arc::clone(&eos_ids),
                corrections: Arc::clone(&corrections),
            })
            .collect()
    }
}
