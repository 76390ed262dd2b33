//! The cells of a plan, expanded: each distinct task, tokenizer and chat setting once.

use crate::effort::Effort;
use crate::expand::{expand, Input, Made, Share};
use crate::expansion::Expansion;
use crate::fault::Fault;
use crate::inputs::{same_rows, writer, Loaded};
use crate::ir::{Cell, Ir, Select, Task};
use crate::memo::{Memo, RowDigest};
use crate::tokens::Encoder;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What distinguishes two expansions of one task.
type Variant = (usize, String, usize, bool, Option<String>, Option<String>);

/// Expand every distinct (task, tokenizer, chat) once; cells share the result.
pub fn expand_cells(
    ir: &Ir,
    datasets: &[Option<Loaded>],
    encoders: &[Option<Arc<Encoder>>],
    memo: &Memo,
    effort: &Effort,
    faults: &mut Vec<Fault>,
) -> (Vec<Option<Arc<Expansion>>>, usize) {
    let mut variants: BTreeMap<Variant, (Cell, usize)> = BTreeMap::new();
    let keys: Vec<Option<Variant>> = ir
        .cells
        .iter()
        .map(|cell| {
            let model = &ir.models[cell.model];
            let encoder = encoders[cell.model].as_ref()?;
            let key = (
                cell.task,
                encoder.digest.clone(),
                model.max_length,
                model.chat,
                model.system.clone(),
                model.date.clone(),
            );
            variants.entry(key.clone()).or_insert((*cell, 0)).1 += 1;
            Some(key)
        })
        .collect();
    let jobs: Vec<(&Variant, &(Cell, usize))> = variants.iter().collect();
    let outcomes: Vec<Result<Made, Vec<Fault>>> = jobs
        .par_iter()
        .map(|(_, (cell, copies))| {
            expand_one(ir, datasets, encoders, memo, Some((effort, *copies)), *cell)
        })
        .collect();
    let (mut made, mut fresh) = (BTreeMap::new(), 0);
    for ((variant, _), outcome) in jobs.iter().zip(outcomes) {
        match outcome {
            Ok(one) => {
                fresh += one.fresh;
                made.insert((*variant).clone(), Arc::new(one.expansion));
            }
            Err(more) => {
                let new: Vec<Fault> = more.into_iter().filter(|f| !faults.contains(f)).collect();
                faults.extend(new);
            }
        }
    }
    let cells = keys.into_iter().map(|key| key.and_then(|key| made.get(&key).cloned())).collect();
    (cells, fresh)
}

/// Expand one task for one model, of which so many cells get a copy. Where a bound of `effort` is
/// reached there is no fault: it has one for all.
pub fn expand_one(
    ir: &Ir,
    datasets: &[Option<Loaded>],
    encoders: &[Option<Arc<Encoder>>],
    memo: &Memo,
    effort: Option<(&Effort, usize)>,
    Cell { model, task }: Cell,
) -> Result<Made, Vec<Fault>> {
    let writer = writer(ir, datasets, task, Some((model, encoders)))?;
    let loaded = datasets[ir.tasks[task].dataset].as_ref().ok_or_else(Vec::new)?;
    let encoder = encoders[model].as_ref().ok_or_else(Vec::new)?;
    let positions = loaded.selection.tier(&ir.tier, ir.seed);
    let input = Input {
        task: &ir.tasks[task],
        writer: &writer,
        table: &loaded.table,
        selection: &loaded.selection,
        positions: &positions,
        encoder,
        chat: ir.models[model].chat,
        max_length: ir.models[model].max_length,
        effort: effort.map(|(effort, copies)| Share { effort, task, copies }),
    };
    let definition = &ir.tasks[task];
    let mut beside = beside(ir, datasets, definition);
    let trusted = &ir.datasets[definition.dataset].control_tokens;
    let shots = definition.fewshot.as_ref().map(|f| &ir.datasets[f.dataset].control_tokens);
    beside.extend(trusted.iter().map(|column| format!("trusted {column}")));
    beside.extend(writer.program_reads().iter().map(|column| format!("program reads {column}")));
    beside.extend(definition.shown.iter().map(|_| String::from("rows are shown")));
    beside.extend(shots.into_iter().flatten().map(|column| format!("trusted shots {column}")));
    let name = Memo::cases_name(definition, &ir.models[model], &encoder.digest, &beside);
    let mut made = expand(&input, memo.cases(&name, definition.slices.len()))?;
    if made.fresh > 0 {
        let apart = made.later.as_ref().is_some_and(|(rows, later)| {
            memo.keep_later(&name, rows, later, made.expansion.cases())
        });
        if !apart {
            let rows: Vec<RowDigest> =
                positions.iter().map(|p| loaded.selection.digests[*p as usize]).collect();
            memo.keep_cases(&name, &rows, &made.expansion, made.cut);
        }
        made.later = None;
    }
    Ok(made)
}

/// What a case of a task depends on besides its own row: the data of its shots, and its own data
/// where a case must not be its own shot or draws by its id.
fn beside(ir: &Ir, datasets: &[Option<Loaded>], task: &Task) -> Vec<String> {
    let Some(fewshot) = &task.fewshot else { return Vec::new() };
    let whole = |dataset: usize| {
        let digest = datasets[dataset].as_ref().map(|loaded| loaded.table.digest());
        let d = &ir.datasets[dataset];
        serde_json::json!([digest, d.rows, d.condition, d.id]).to_string()
    };
    let mut beside = vec![whole(fewshot.dataset)];
    if same_rows(ir, fewshot.dataset, task.dataset) || fewshot.select == Select::PerCase {
        beside.push(whole(task.dataset));
    }
    beside
}
