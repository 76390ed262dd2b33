//! What a plan will cost, in exact token counts.

use crate::expansion::{FORGED, SPLIT_WORD, TRUNCATED, UNSURE};
use crate::ir::{Ir, Setting};
use crate::requests::Requests;
use crate::tree::Branch;
use serde::Serialize;

/// Counts of one cell, or of the whole plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Cases.
    pub cases: u64,
    /// Requests of those cases.
    pub requests: u64,
    /// Requests that another request of the plan answers.
    pub deduped: u64,
    /// Distinct requests that the cache answers.
    pub cached: u64,
    /// Distinct requests that remain.
    pub to_run: u64,
    /// Input tokens of the remaining requests, each read on its own.
    pub prefill_tokens_unshared: u64,
    /// Input tokens of the remaining requests, every shared prefix read once.
    pub prefill_tokens: u64,
    /// Sum over those tokens of the tokens each attends to.
    pub attention_pairs: u64,
    /// Tokens whose log-probability is wanted.
    pub scored_tokens: u64,
    /// Upper bound of generated tokens.
    pub decode_tokens_bound: u64,
    /// Upper bound of the tokens that generated tokens attend to.
    pub decode_pairs_bound: u64,
    /// Cases whose continuation starts inside a token of the joined text.
    pub split_words: u64,
    /// Cases whose context lost tokens.
    pub truncated: u64,
    /// Cases whose row spells a control token, which is asked as ordinary text.
    pub forged: u64,
    /// Cases whose target is the text of one choice and the index of another.
    pub unsure_targets: u64,
    /// Cases whose target is read as an index and says what another choice does.
    pub unsure_indices: u64,
}

/// One cell's counts.
#[derive(Debug, Clone, Serialize)]
pub struct CellCounts {
    /// Model name.
    pub model: String,
    /// Task name.
    pub task: String,
    /// Cases without a tier's budget.
    pub population: u64,
    /// Counts; a request asked by several cells counts where it is asked first.
    #[serde(flatten)]
    pub counts: Counts,
    /// Of the first case whose row spells a control token: its id, line and the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forged_first: Option<(String, usize, String)>,
    /// Of the first case whose continuation starts inside a token: its id, line, and the ends of
    /// context and continuation that meet there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_first: Option<(String, usize, String, String)>,
}

/// Counts per cell and in total.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Per cell.
    pub cells: Vec<CellCounts>,
    /// Sum.
    pub total: Counts,
}

/// Count a plan; `populations` are the cells' cases without a tier's budget.
pub fn summarise(
    ir: &Ir,
    populations: &[u64],
    requests: &Requests,
    settings: &[Setting],
    branches: &[Branch],
) -> Summary {
    let mut counts: Vec<Counts> = requests
        .cells
        .iter()
        .map(|cell| Counts {
            cases: cell.expansion.cases() as u64,
            requests: cell.expansion.requests.len() as u64,
            deduped: cell.expansion.requests.len() as u64,
            split_words: cell.expansion.flagged(SPLIT_WORD) as u64,
            truncated: cell.expansion.flagged(TRUNCATED) as u64,
            forged: cell.expansion.flagged(FORGED) as u64,
            unsure_targets: cell.expansion.flagged(UNSURE) as u64,
            unsure_indices: cell.expansion.unsure_indices() as u64,
            ..Counts::default()
        })
        .collect();
    for (unique, cached) in requests.unique.iter().zip(&requests.cached) {
        let cell = &mut counts[unique.cell as usize];
        cell.deduped -= 1;
        cell.cached += u64::from(*cached);
        cell.to_run += u64::from(!*cached);
    }
    for branch in branches {
        for (i, ask) in branch.order.iter().enumerate() {
            let cell = &mut counts[ask.cell as usize];
            let length = u64::from(requests.input_length(*ask));
            let fresh = u64::from(branch.fresh(requests, i));
            cell.prefill_tokens_unshared += length;
            cell.prefill_tokens += fresh;
            cell.attention_pairs += pairs(length - fresh, fresh);
            cell.scored_tokens += u64::from(requests.lengths(*ask).1);
            if let Some(setting) = branch.setting {
                let bound = settings[setting as usize].max_new_tokens as u64;
                cell.decode_tokens_bound += bound;
                cell.decode_pairs_bound += pairs(length, bound);
            }
        }
    }
    let mut total = Counts::default();
    for cell in &counts {
        total.add(cell);
    }
    let named = ir.cells.iter().zip(populations).zip(counts);
    let named = named.map(|((cell, population), counts)| CellCounts {
        model: ir.models[cell.model].name.clone(),
        task: ir.tasks[cell.task].name.clone(),
        population: *population,
        counts,
        forged_first: None,
        split_first: None,
    });
    Summary { cells: named.collect(), total }
}

/// Query-key pairs of `count` causal tokens behind `before` others.
fn pairs(before: u64, count: u64) -> u64 {
    before * count + count * (count + 1) / 2
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.cases += other.cases;
        self.requests += other.requests;
        self.deduped += other.deduped;
        self.cached += other.cached;
        self.to_run += other.to_run;
        self.prefill_tokens_unshared += other.prefill_tokens_unshared;
        self.prefill_tokens += other.prefill_tokens;
        self.attention_pairs += other.attention_pairs;
        self.scored_tokens += other.scored_tokens;
        self.decode_tokens_bound += other.decode_tokens_bound;
        self.decode_pairs_bound += other.decode_pairs_bound;
        self.split_words += other.split_words;
        self.truncated += other.truncated;
        self.forged += other.forged;
        self.unsure_targets += other.unsure_targets;
        self.unsure_indices += other.unsure_indices;
    }
}
