//! How much a plan may take: work on templates, rows and shots, and requests.
//!
//! Each template has bounds for one row. A small spec still asks for much where such things are
//! multiplied: choices by rows, tasks by rows, models by tasks, shots of its own for every case.

use crate::bounds;
use crate::expansion::Expansion;
use crate::fault::Fault;
use crate::inputs::Loaded;
use crate::ir::{Choices, Ir, Kind, Select, Task};
use crate::select::{room, REMEMBERED};
use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static SPENT: Cell<u64> = const { Cell::new(0) };
}

/// Work was done on this thread, in the unit of the template engine.
pub fn spend(work: u64) {
    SPENT.with(|spent| spent.set(spent.get().wrapping_add(work)));
}

/// The work that `done` does.
pub fn measured<T>(done: impl FnOnce() -> T) -> (T, u64) {
    let before = SPENT.with(Cell::get);
    let result = done();
    (result, SPENT.with(Cell::get).wrapping_sub(before))
}

/// Work on rows that are looked at one by one: so much, and so much more for each row and byte.
pub fn most_work(rows: usize, bytes: usize) -> u64 {
    (bounds::WORK + bounds::WORK_OF_ROW * rows + bounds::WORK_OF_BYTE * bytes) as u64
}

/// What a plan has taken so far, by task.
pub struct Effort {
    rows: usize,
    most_work: u64,
    most_requests: u64,
    work: Vec<AtomicU64>,
    all_work: AtomicU64,
    requests: Vec<AtomicU64>,
    all_requests: AtomicU64,
    /// Keys of draws, which are known before a row is read.
    draws: Vec<u64>,
}

/// A bound was reached; [`Effort::fault`] says which.
#[derive(Debug)]
pub struct Spent;

impl Effort {
    /// Nothing taken but the requests and draws that are known before a row is read. `whole` says
    /// whether every case is written, whatever the tier.
    pub fn new(ir: &Ir, datasets: &[Option<Loaded>], whole: bool) -> Effort {
        let mut files: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (dataset, loaded) in ir.datasets.iter().zip(datasets) {
            let Some(loaded) = loaded else { continue };
            let (rows, bytes) = files.entry(dataset.path.as_str()).or_default();
            *rows = loaded.selection.rows.len().max(*rows);
            *bytes = loaded.table.bytes();
        }
        let rows = files.values().map(|(rows, _)| rows).sum();
        let bytes = files.values().map(|(_, bytes)| bytes).sum();
        let effort = Effort {
            rows,
            most_work: most_work(rows, bytes)
                + (bounds::WORK_OF_CASE * cases(ir, datasets).min(bounds::CASES_OF_WORK)) as u64,
            most_requests: (bounds::REQUESTS + bounds::REQUESTS_OF_ROW * rows) as u64,
            work: ir.tasks.iter().map(|_| AtomicU64::new(0)).collect(),
            all_work: AtomicU64::new(0),
            requests: ir.tasks.iter().map(|_| AtomicU64::new(0)).collect(),
            all_requests: AtomicU64::new(0),
            draws: draws(ir, datasets, whole),
        };
        for cell in &ir.cells {
            let task = &ir.tasks[cell.task];
            if let (Some(loaded), Some((count, _))) = (&datasets[task.dataset], known(task)) {
                let cases = loaded.selection.kept_by(&ir.tier);
                let _ = effort.ask(cell.task, cases.saturating_mul(count));
            }
        }
        effort
    }

    /// A task has done so much work.
    pub fn work(&self, task: usize, work: u64) -> Result<(), Spent> {
        self.work[task].fetch_add(work, Ordering::Relaxed);
        let all = self.all_work.fetch_add(work, Ordering::Relaxed) + work;
        if all <= self.most_work && !self.draws_too_much() {
            Ok(())
        } else {
            Err(Spent)
        }
    }

    /// A task asks for so many more requests.
    pub fn ask(&self, task: usize, requests: usize) -> Result<(), Spent> {
        self.requests[task].fetch_add(requests as u64, Ordering::Relaxed);
        let before = self.all_requests.fetch_add(requests as u64, Ordering::Relaxed);
        if before + requests as u64 <= self.most_requests {
            Ok(())
        } else {
            Err(Spent)
        }
    }

    /// Whether a bound was reached.
    pub fn over(&self) -> bool {
        self.all_requests.load(Ordering::Relaxed) > self.most_requests
            || self.all_work.load(Ordering::Relaxed) > self.most_work
            || self.draws_too_much()
    }

    fn draws_too_much(&self) -> bool {
        self.draws.iter().sum::<u64>() > bounds::DRAWS as u64
    }

    /// The requests that there are, some of which were remembered.
    pub fn recount(&self, ir: &Ir, expansions: &[Option<impl Borrow<Expansion>>]) {
        self.requests.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        self.all_requests.store(0, Ordering::Relaxed);
        for (cell, expansion) in ir.cells.iter().zip(expansions) {
            if let Some(expansion) = expansion {
                let _ = self.ask(cell.task, expansion.borrow().requests.len());
            }
        }
    }

    /// What a bound was reached by, if one was: the task that took most, and why.
    pub fn fault(&self, ir: &Ir) -> Option<Fault> {
        if self.all_requests.load(Ordering::Relaxed) > self.most_requests {
            return Some(self.too_many(ir));
        }
        if self.draws_too_much() {
            return Some(self.too_many_draws(ir));
        }
        if self.all_work.load(Ordering::Relaxed) <= self.most_work {
            return None;
        }
        let (task, _) = largest(&self.work);
        let task = &ir.tasks[task];
        let own = task.fewshot.as_ref().is_some_and(|f| f.select == Select::PerCase);
        let message = format!(
            "the rows of all tasks take more work than a plan over {} rows may, `{}` the most",
            self.rows, task.name
        );
        let (field, hint) = match &task.choices {
            _ if own => {
                ("fewshot", "lower `k`, draw from fewer rows, or set `select = \"random\"`")
            }
            Some(Choices::Template(_)) => (
                "prompt",
                "do less in loops of its templates, offer fewer choices, or choose fewer tasks or \
                 rows",
            ),
            _ => ("prompt", "do less in loops of its templates, or choose fewer tasks or rows"),
        };
        Some(Fault::new("too-much-work", message).at("tasks", &task.name, field).hint(hint))
    }

    fn too_many_draws(&self, ir: &Ir) -> Fault {
        let counts = self.draws.iter().enumerate();
        let (index, most) =
            counts.max_by_key(|(index, n)| (**n, usize::MAX - index)).unwrap_or((0, &0));
        let task = &ir.tasks[index];
        let alone = *most > bounds::DRAWS as u64;
        let who = if alone { "its cases" } else { "the cases of all tasks" };
        let message = format!(
            "{who} draw examples from so many rows that it takes {} keys, and a plan makes at most \
             {}",
            if alone { *most } else { self.draws.iter().sum() },
            bounds::DRAWS
        );
        let hint = "draw from fewer rows (`rows` of their dataset), set `select = \"random\"`, or \
                    choose fewer cases";
        Fault::new("too-much-work", message).at("tasks", &task.name, "fewshot").hint(hint)
    }

    fn too_many(&self, ir: &Ir) -> Fault {
        let (index, most) = largest(&self.requests);
        let (task, bound) = (&ir.tasks[index], self.most_requests);
        let limit = format!("a plan over {} rows has at most {bound}", self.rows);
        let models = ir.cells.iter().filter(|cell| cell.task == index).count().max(1) as u64;
        if most / models <= bound {
            let message = format!(
                "all tasks and models together ask for more requests than are planned, `{}` for \
                 the most: {limit}",
                task.name
            );
            return Fault::new("too-many-requests", message)
                .at("tasks", &task.name, "")
                .hint("choose fewer tasks and models by a suite, or a tier with fewer cases");
        }
        if task.kind == Kind::Perplexity {
            let message = format!(
                "the texts are scored in windows of `max_length` tokens, {} and more of them, which \
                 are more requests than are planned: {limit}",
                most / models
            );
            return Fault::new("too-many-requests", message)
                .at("tasks", &task.name, "")
                .hint("raise `max_length` of the model, or choose a tier with fewer cases");
        }
        let (what, field, hint) = match known(task) {
            Some((count, field)) => {
                let cases = most / models / count as u64;
                let noun = if field == "choices" { field } else { "repeats" };
                (format!("{cases} cases times {count} {noun}"), field, noun)
            }
            None => ("the choices of its cases".to_owned(), "choices", "choices"),
        };
        let hint = match hint {
            "choices" => "offer fewer choices, or choose a tier with fewer cases",
            _ => "lower `repeats`, or choose a tier with fewer cases",
        };
        let message = format!("{what} are more requests than are planned: {limit}");
        Fault::new("too-many-requests", message).at("tasks", &task.name, field).hint(hint)
    }
}

/// Keys that each task's draws take: one for each case and row to draw from. Draws that are
/// remembered are made once whatever the tasks and models.
fn draws(ir: &Ir, datasets: &[Option<Loaded>], whole: bool) -> Vec<u64> {
    let (mut out, mut seen) = (vec![0; ir.tasks.len()], BTreeSet::new());
    let mut remembered: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, task) in ir.tasks.iter().enumerate() {
        let Some(fewshot) = task.fewshot.as_ref().filter(|f| f.select == Select::PerCase) else {
            continue;
        };
        let (Some(loaded), Some(pool)) = (&datasets[task.dataset], &datasets[fewshot.dataset])
        else {
            continue;
        };
        let cases = match whole {
            true => loaded.selection.rows.len(),
            false => loaded.selection.kept_by(&ir.tier),
        };
        let held = remembered.entry(fewshot.dataset).or_default();
        if seen.insert((task.dataset, fewshot.dataset, fewshot.k, fewshot.seed)) {
            *held += cases * room(fewshot.k);
        } else if *held <= REMEMBERED {
            continue;
        }
        let models = match *held <= REMEMBERED || whole {
            true => 1,
            false => ir.cells.iter().filter(|cell| cell.task == index).count().max(1),
        };
        out[index] = (cases as u64)
            .saturating_mul(pool.selection.rows.len() as u64)
            .saturating_mul(models as u64);
    }
    out
}

/// Cases of all tasks, each once whatever the models.
fn cases(ir: &Ir, datasets: &[Option<Loaded>]) -> usize {
    let own = ir.tasks.iter().filter_map(|task| datasets[task.dataset].as_ref());
    own.map(|loaded| loaded.selection.kept_by(&ir.tier)).sum()
}

/// How many requests a case of a task has, where the spec says so, and which key does.
fn known(task: &Task) -> Option<(usize, &'static str)> {
    match (&task.choices, &task.generate) {
        (Some(Choices::Template(_)), _) => None,
        (Some(Choices::List(choices)), _) => Some((choices.len().max(1), "choices")),
        (None, Some(generate)) => Some((generate.repeats.max(1), "generate.repeats")),
        (None, None) => Some((1, "")),
    }
}

/// The largest count and where it is, the first of several.
pub fn largest(counts: &[AtomicU64]) -> (usize, u64) {
    let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
    counts.enumerate().max_by_key(|(index, count)| (*count, usize::MAX - index)).unwrap_or((0, 0))
}
