//! What an Ir names, loaded: data, tokenizers, compiled templates.

use crate::cases::{Reading, Source, Writer};
use crate::effort::{measured, Effort};
use crate::fault::{closest, many, Fault};
use crate::ir::{Dataset, Ir, Task};
use crate::json_row::inner_rows;
use crate::memo::Memo;
use crate::rows::Table;
use crate::select::{columns, select, Looks, Selection};
use crate::tokens::Encoder;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// A dataset as loaded: its table, selected rows and column names.
pub struct Loaded {
    /// Its rows.
    pub table: Table,
    /// Those that are selected.
    pub selection: Selection,
    /// Names of its columns.
    pub columns: Vec<String>,
}

fn used_datasets(ir: &Ir) -> Vec<bool> {
    let mut used = vec![false; ir.datasets.len()];
    for task in &ir.tasks {
        used[task.dataset] = true;
        if let Some(fewshot) = &task.fewshot {
            used[fewshot.dataset] = true;
        }
    }
    used
}

/// Every dataset that a task uses, and what is wrong with the others.
pub fn load_datasets(ir: &Ir, memo: &Memo) -> (Vec<Option<Loaded>>, Vec<Fault>) {
    let used = used_datasets(ir);
    let read = |(dataset, used): (&Dataset, bool)| match used {
        true => Table::load(dataset).map(Some).map_err(|fault| vec![fault]),
        false => Ok(None),
    };
    let tables: Vec<Result<Option<Table>, Vec<Fault>>> =
        ir.datasets.par_iter().zip(used).map(read).collect();
    let (tables, mut faults) = split(tables);
    let looks = Looks::new(&ir.datasets, &tables);
    let loaded: Vec<Result<Option<Loaded>, Vec<Fault>>> = ir
        .datasets
        .par_iter()
        .zip(tables)
        .enumerate()
        .map(|(index, (dataset, table))| {
            let Some(table) = table else { return Ok(None) };
            let selection = select(index, dataset, &table, memo, &looks)?;
            let columns = columns(&table).map_err(|fault| vec![fault])?;
            trusted(dataset, &columns)?;
            Ok(Some(Loaded { table, selection, columns }))
        })
        .collect();
    let (loaded, more) = split(loaded);
    // those of reading and of looking stand in the order of their kinds, as they are found
    faults.extend(more);
    if faults.is_empty() {
        faults.extend(looks.fault(&ir.datasets));
    }
    (loaded, faults)
}

/// Refuse trust in columns that are not there.
fn trusted(dataset: &Dataset, columns: &[String]) -> Result<(), Vec<Fault>> {
    let lacking = dataset.control_tokens.iter().filter(|column| !columns.contains(column));
    let faults: Vec<Fault> = lacking
        .map(|column| {
            let message = format!("`control_tokens` names `{column}`, which is no column");
            let mut fault = Fault::new("undefined-variable", message);
            fault.suggestion = closest(column, columns.iter().map(String::as_str));
            fault.at("datasets", &dataset.name, "control_tokens")
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// The tokenizer of every model, one bundle read once.
pub fn load_encoders(ir: &Ir) -> (Vec<Option<Arc<Encoder>>>, Vec<Fault>) {
    let mut by_path: BTreeMap<&str, Arc<Encoder>> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for model in &ir.models {
        if let Some(encoder) = by_path.get(model.bundle.as_str()) {
            outcomes.push(Ok(Some(Arc::clone(encoder))));
            continue;
        }
        outcomes.push(match Encoder::load(&model.bundle) {
            Ok(encoder) => {
                let encoder = Arc::new(encoder);
                by_path.insert(&model.bundle, Arc::clone(&encoder));
                Ok(Some(encoder))
            }
            Err(message) => Err(vec![Fault::new(
                "tokenizer-mismatch",
                format!("the tokenizer of model `{}` cannot be used: {message}", model.name),
            )
            .at("models", &model.name, "path")]),
        });
    }
    split(outcomes)
}

fn split<T>(outcomes: Vec<Result<Option<T>, Vec<Fault>>>) -> (Vec<Option<T>>, Vec<Fault>) {
    let mut faults = Vec::new();
    let values = outcomes
        .into_iter()
        .map(|outcome| {
            outcome.unwrap_or_else(|more| {
                faults.extend(more);
                None
            })
        })
        .collect();
    (values, faults)
}

/// The writer of a task, for a model if one is given. Without its data it has no faults to report.
pub fn writer<'a>(
    ir: &'a Ir,
    datasets: &'a [Option<Loaded>],
    task: usize,
    model: Option<(usize, &'a [Option<Arc<Encoder>>])>,
) -> Result<Writer<'a>, Vec<Fault>> {
    let task = &ir.tasks[task];
    let loaded = datasets[task.dataset].as_ref().ok_or_else(Vec::new)?;
    let shots = match &task.fewshot {
        None => None,
        Some(fewshot) => {
            let source = datasets[fewshot.dataset].as_ref().ok_or_else(Vec::new)?;
            let own = same_rows(ir, fewshot.dataset, task.dataset);
            let trusted = &ir.datasets[fewshot.dataset].control_tokens;
            let from = Source { table: &source.table, selection: &source.selection, own, trusted };
            Some((from, source.columns.as_slice()))
        }
    };
    let explained = |faults: Vec<Fault>| -> Vec<Fault> {
        faults.into_iter().map(|fault| nested(fault, &loaded.table)).collect()
    };
    let mut writer = Writer::compile(task, &loaded.columns, shots).map_err(explained)?;
    if let Some((model, encoders)) = model {
        if let Some(encoder) = encoders[model].as_ref() {
            writer.guard(&encoder.controls, &ir.datasets[task.dataset].control_tokens);
        }
        if ir.models[model].chat {
            let encoder = encoders[model].as_ref().ok_or_else(Vec::new)?;
            writer.chat(&ir.models[model], encoder).map_err(|fault| vec![fault])?;
        }
    }
    Ok(writer)
}

/// A column that is not there may be one of a list in a file that is a single object.
fn nested(fault: Fault, table: &Table) -> Fault {
    let inner = match (fault.code, table.len()) {
        ("undefined-variable", 1) => table.row(0).ok().and_then(|row| inner_rows(&row)),
        _ => None,
    };
    match inner {
        None => fault,
        Some(name) => {
            let told = format!("the file is one object, whose rows are in its list `{name}`");
            fault.note(told).hint(format!("write the list `{name}` alone into a file"))
        }
    }
}

/// Whether two datasets read one file, so that row indices mean the same rows.
pub fn same_rows(ir: &Ir, a: usize, b: usize) -> bool {
    let read = |index: usize| (&ir.datasets[index].path, &ir.datasets[index].quote);
    a == b || read(a) == read(b)
}

/// Write every case of a task, for its faults, or else for what is to be warned of. Where a bound of
/// `effort` is reached the rest is left out.
pub fn write_all(
    ir: &Ir,
    datasets: &[Option<Loaded>],
    task: usize,
    effort: &Effort,
) -> Result<Vec<Fault>, Vec<Fault>> {
    let writer = writer(ir, datasets, task, None)?;
    let loaded = datasets[ir.tasks[task].dataset].as_ref().ok_or_else(Vec::new)?;
    let (table, selection) = (&loaded.table, &loaded.selection);
    let spent = AtomicBool::new(false);
    let cases: Vec<Result<Option<(Reading, usize)>, Fault>> = (0..selection.rows.len())
        .into_par_iter()
        .with_min_len(64)
        .map(|position| {
            let row = selection.rows[position];
            let place = (table.origin(), table.line(row as usize));
            if spent.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let (case, work) = measured(|| {
                table
                    .row(row as usize)
                    .and_then(|value| writer.write(&value, row, selection.ids.get(position), place))
            });
            if effort.work(task, work).is_err() {
                spent.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            let case = case.map_err(|fault| table.explained(fault, row as usize))?;
            Ok(Some((case.reading, place.1)))
        })
        .collect();
    let (mut faults, mut readings) = (Vec::new(), Vec::new());
    for case in cases {
        match case {
            Ok(reading) => readings.extend(reading),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(crate::fault::abridge(faults, effort.over()));
    }
    Ok(unsure_targets(&ir.tasks[task], table.origin(), &readings))
}

/// What settles a target that is the same value for every case, which no filter can be put behind.
fn constant(task: &Task) -> Option<String> {
    let value = task.target.as_deref()?.strip_prefix("{{ ")?.strip_suffix(" }}")?;
    let plain = serde_json::from_str::<serde_json::Value>(value).ok()?;
    (plain.is_number() || plain.is_boolean()).then(|| {
        format!(
            "write `target = \"{{{{ {value} | int }}}}\"` for the index, or an expression for \
                 the choice that is meant, such as `choices.index(...)`"
        )
    })
}

/// What is to be said of targets that are two things, from how each was read and its line.
fn unsure_targets(task: &Task, file: &str, readings: &[(Reading, usize)]) -> Vec<Fault> {
    let lines = |wanted: &[Reading]| -> Vec<usize> {
        readings.iter().filter(|(own, _)| wanted.contains(own)).map(|(_, line)| *line).collect()
    };
    let told = |lines: Vec<usize>, what: &str, hint: &str| {
        let message = format!("the target of {} {what}", many(lines.len(), "case"));
        let fault = Fault::new("unsure-target", message).at("tasks", &task.name, "target");
        let hint = constant(task).unwrap_or_else(|| hint.to_owned());
        lines.first().map(|line| fault.in_file(file, Some(*line)).hint(hint))
    };
    let indices = match lines(&[Reading::Index]).is_empty() {
        true => lines(&[Reading::Flag, Reading::Number]),
        false => lines(&[Reading::Flag]),
    };
    let text = told(
        lines(&[Reading::Text]),
        "is the text of one choice and the index of another; it is read as the text",
        "write `| int` for the index, or `choices.index(...)` for the text",
    );
    let index = told(
        indices,
        "is the index of one choice and says what another does; it is read as the index",
        "write `| int` for the index, or an expression for the choice that is meant, such as \
         `choices.index(...)`",
    );
    text.into_iter().chain(index).collect()
}
