//! The plan: an Ir in, what remains to be asked of which model out.

use crate::cases::Case;
use crate::cells::{expand_cells, expand_one};
use crate::digest::Namespace;
use crate::effort::Effort;
use crate::expand::split;
use crate::expansion::{Expansion, FORGED, SPLIT_WORD, TRUNCATED};
use crate::fault::Fault;
use crate::inputs::{load_datasets, load_encoders, write_all, writer, Loaded};
use crate::ir::{Ir, Kind, Model, Setting, VERSION};
use crate::json_row;
use crate::marks::{self, Marks};
use crate::memo::Memo;
use crate::requests::Requests;
use crate::rows::{changed, Table};
use crate::summary::{summarise, Summary};
use crate::tokens::Encoder;
use crate::tree::{Branch, Pack, Packs};
use minijinja::Value;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A built plan.
pub struct Plan {
    ir: Ir,
    datasets: Vec<Option<Loaded>>,
    encoders: Vec<Option<Arc<Encoder>>>,
    requests: Requests,
    settings: Vec<Setting>,
    /// Per cell: index of its expansion's first setting in `settings`, if it generates.
    setting_base: Vec<Option<u32>>,
    fresh: usize,
}

impl Plan {
    /// Check, expand, key and deduplicate. All faults of the Ir at once.
    ///
    /// `memo` is a folder in which expansions are remembered; the plan is the same without it.
    pub fn build(ir: &[u8], memo: Option<&Path>) -> Result<Plan, Vec<Fault>> {
        let memo = Memo::new(memo);
        let ir: Ir = serde_json::from_slice(ir)
            .map_err(|e| vec![Fault::new("bad-ir", format!("the Ir cannot be read: {e}"))])?;
        if ir.ir != VERSION {
            let message = format!("the Ir has version {}, not {VERSION}", ir.ir);
            return Err(vec![Fault::new("bad-ir", message)]);
        }
        let (mut datasets, mut faults) = load_datasets(&ir, &memo);
        let (encoders, more) = load_encoders(&ir);
        faults.extend(more);
        let effort = Effort::new(&ir, &datasets, false);
        let (expansions, fresh) = match effort.fault(&ir) {
            Some(fault) => {
                faults.push(fault);
                (ir.cells.iter().map(|_| None).collect(), 0)
            }
            None => expand_cells(&ir, &datasets, &encoders, &memo, &effort, &mut faults),
        };
        if faults.is_empty() {
            faults.extend(effort.fault(&ir));
        }
        if faults.is_empty() {
            effort.recount(&ir, &expansions);
            faults.extend(effort.fault(&ir));
        }
        for (cell, expansion) in ir.cells.iter().zip(&expansions) {
            let (Some(expansion), Some(encoder)) = (expansion, &encoders[cell.model]) else {
                continue;
            };
            let table = datasets[ir.tasks[cell.task].dataset].as_ref().map(|loaded| &loaded.table);
            faults.extend(beyond(&ir.models[cell.model], encoder, expansion, table));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        datasets.iter_mut().flatten().for_each(|loaded| loaded.table.let_go());
        let mut settings: Vec<Setting> = Vec::new();
        let mut setting_base = Vec::new();
        let mut cells = Vec::new();
        for (cell, expansion) in ir.cells.iter().zip(expansions) {
            let expansion = expansion.expect("no fault, so every cell expanded");
            let model = &ir.models[cell.model];
            let generates = !expansion.settings.is_empty();
            setting_base.push(generates.then(|| base_of(&mut settings, &expansion.settings)));
            cells.push((cell.model, Namespace::new(&model.model_id, &model.engine_id), expansion));
        }
        let mut requests = Requests::new(cells);
        for cell in &mut requests.cells {
            // keys are made; an expansion of several cells keeps what they were made of
            if let Some(expansion) = Arc::get_mut(&mut cell.expansion) {
                expansion.digests = Vec::new();
            }
        }
        Ok(Plan { ir, datasets, encoders, requests, settings, setting_base, fresh })
    }

    /// Check everything that needs no tokenizer: data, columns, templates, every row's texts.
    /// Faults, or where there are none what is to be warned of.
    pub fn check(ir: &[u8]) -> Result<Vec<Fault>, Vec<Fault>> {
        let ir: Ir = match serde_json::from_slice(ir) {
            Ok(ir) => ir,
            Err(e) => {
                return Err(vec![Fault::new("bad-ir", format!("the Ir cannot be read: {e}"))])
            }
        };
        let (datasets, mut faults) = load_datasets(&ir, &Memo::new(None));
        let mut warnings = Vec::new();
        let effort = Effort::new(&ir, &datasets, true);
        for task in 0..ir.tasks.len() {
            match write_all(&ir, &datasets, task, &effort) {
                Ok(more) => warnings.extend(more),
                Err(more) => faults.extend(more),
            }
        }
        if faults.is_empty() {
            faults.extend(effort.fault(&ir));
        }
        if faults.is_empty() {
            Ok(warnings)
        } else {
            Err(faults)
        }
    }

    /// Number of unique keys.
    pub fn key_count(&self) -> usize {
        self.requests.unique.len()
    }

    /// Every unique key, sorted, into `out`, 32 bytes each.
    pub fn keys(&self, out: &mut [u8]) {
        self.requests.keys(out);
    }

    /// Mark the requests whose records the cache has: one byte per key of [`Plan::keys`].
    pub fn subtract(&mut self, hits: &[u8]) -> Result<(), String> {
        if hits.len() != self.requests.unique.len() {
            let expected = self.requests.unique.len();
            return Err(format!("{} hits for {expected} keys", hits.len()));
        }
        self.requests.cached = hits.iter().map(|hit| *hit != 0).collect();
        Ok(())
    }

    /// Make sure of the token ids of `cells`: a memo's token file may be gone or damaged.
    fn settle(&mut self, cells: &[usize]) -> Result<(), Fault> {
        for index in cells {
            let old = Arc::clone(&self.requests.cells[*index].expansion);
            if old.ready() {
                continue;
            }
            let cell = self.ir.cells[*index];
            let none = Memo::new(None);
            self.load_again()?;
            let made = expand_one(&self.ir, &self.datasets, &self.encoders, &none, None, cell)
                .map_err(|mut faults| faults.remove(0))?;
            let new = Arc::new(made.expansion);
            for other in &mut self.requests.cells {
                if Arc::ptr_eq(&other.expansion, &old) {
                    other.expansion = Arc::clone(&new);
                }
            }
        }
        Ok(())
    }

    /// Read the content of the data again, which must be what it was.
    fn load_again(&mut self) -> Result<(), Fault> {
        let (again, mut faults) = load_datasets(&self.ir, &Memo::new(None));
        if !faults.is_empty() {
            return Err(faults.remove(0));
        }
        for (dataset, (old, new)) in self.ir.datasets.iter().zip(self.datasets.iter().zip(&again)) {
            let digest = |loaded: &Option<Loaded>| loaded.as_ref().map(|l| *l.table.digest());
            if digest(old) != digest(new) {
                return Err(changed(&dataset.origin));
            }
        }
        self.datasets = again;
        Ok(())
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.requests.cells.len()
    }

    /// Counts per cell and in total. Reads token ids only where several cells of a model remain.
    pub fn summary(&mut self) -> Result<Summary, Fault> {
        let open = self.requests.open();
        let mut branches = Vec::new();
        for model in 0..self.ir.models.len() {
            let cells = self.remaining(model, &open);
            if cells.len() > 1 {
                self.settle(&cells)?;
            }
            branches.extend(Branch::all(&self.requests, &cells, &open, &self.setting_base));
        }
        let populations: Vec<u64> =
            (0..self.ir.cells.len()).map(|cell| self.population(cell) as u64).collect();
        let mut summary =
            summarise(&self.ir, &populations, &self.requests, &self.settings, &branches);
        for (index, cell) in summary.cells.iter_mut().enumerate() {
            cell.forged_first = self.forged_first(index);
            cell.split_first = self.split_first(index);
        }
        Ok(summary)
    }

    /// Id and line of the first case whose row spells a control token, and the token.
    ///
    /// It is an example beside the count: none where its row can no longer be read, as of a file
    /// that was edited while a run went on.
    fn forged_first(&self, cell: usize) -> Option<(String, usize, String)> {
        let flags = &self.expansion(cell).flags;
        let case = flags.iter().position(|flag| flag & FORGED != 0)?;
        let (_, line, texts) = self.written(cell, case).ok()?;
        let id = self.expansion(cell).ids.get(case).to_owned();
        texts.marked.map(|marked| (id, line, marked.token))
    }

    /// Id and line of the first case whose continuation starts inside a token, and the texts that
    /// meet there; none where its row can no longer be read.
    fn split_first(&self, cell: usize) -> Option<(String, usize, String, String)> {
        let flags = &self.expansion(cell).flags;
        let case = flags.iter().position(|flag| flag & SPLIT_WORD != 0)?;
        let (_, line, texts) = self.written(cell, case).ok()?;
        let encoder = self.encoders[self.ir.cells[cell].model].as_ref()?;
        let (before, after) = split(encoder, &texts)?;
        Some((self.expansion(cell).ids.get(case).to_owned(), line, before, after))
    }

    /// Cells of a model of which something remains.
    fn remaining(&self, model: usize, open: &[Vec<bool>]) -> Vec<usize> {
        let cells = self.requests.cells.iter().zip(open).enumerate();
        cells
            .filter(|(_, (cell, open))| cell.model == model && open.contains(&true))
            .map(|(index, _)| index)
            .collect()
    }

    /// Cases that were written and tokenised for this plan; the others came from the memo.
    pub fn fresh(&self) -> usize {
        self.fresh
    }

    /// Names (model, task) of a cell.
    pub fn names(&self, cell: usize) -> (&str, &str) {
        let c = self.ir.cells[cell];
        (&self.ir.models[c.model].name, &self.ir.tasks[c.task].name)
    }

    /// Cases that a cell would have without a tier's budget.
    pub fn population(&self, cell: usize) -> usize {
        let dataset = self.ir.tasks[self.ir.cells[cell].task].dataset;
        self.datasets[dataset].as_ref().map_or(0, |loaded| loaded.selection.rows.len())
    }

    /// A cell's cases.
    pub fn expansion(&self, cell: usize) -> &Expansion {
        &self.requests.cells[cell].expansion
    }

    /// Per request of a cell: index into [`Plan::keys`].
    pub fn unique(&self, cell: usize) -> &[u32] {
        &self.requests.cells[cell].unique
    }

    /// What the why-log keeps of a cell; `hits` has a byte per key.
    pub fn marks(&self, cell: usize, hits: &[u8]) -> Result<Marks, String> {
        if hits.len() != self.key_count() {
            return Err(format!("{} hits for {} keys", hits.len(), self.key_count()));
        }
        let dataset = self.ir.tasks[self.ir.cells[cell].task].dataset;
        let selection = &self.datasets[dataset].as_ref().expect("loaded").selection;
        let (expansion, unique) = (self.expansion(cell), self.unique(cell));
        Ok(Marks::of(expansion.cases(), |case| {
            let offsets = &expansion.request_offsets[case..case + 2];
            let own = &unique[offsets[0] as usize..offsets[1] as usize];
            let place = selection.rows.binary_search(&expansion.rows[case]).expect("selected");
            (
                marks::of_text(expansion.ids.get(case)),
                marks::of_row(&selection.digests[place]),
                marks::of_keys(own.iter().map(|u| &self.requests.unique[*u as usize].key)),
                own.iter().all(|u| hits[*u as usize] != 0),
            )
        }))
    }

    /// All generation settings.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The remaining requests of a model as packs, in execution order.
    pub fn packs(&mut self, model: usize, budget: u64, limit: usize) -> Result<Packs, Fault> {
        let open = self.requests.open();
        let cells = self.remaining(model, &open);
        self.settle(&cells)?;
        let branches = Branch::all(&self.requests, &cells, &open, &self.setting_base);
        Ok(Packs::of(&self.requests, branches, budget, limit))
    }

    /// One of the packs of this plan.
    pub fn pack(&self, packs: &Packs, index: usize) -> Pack {
        packs.get(&self.requests, index)
    }

    /// Row, prompt, choices and target of one case, as JSON.
    pub fn case(&self, cell: usize, case: usize) -> Result<String, Fault> {
        let (value, line, case_texts) = self.written(cell, case)?;
        Ok(json!({
            "id": self.expansion(cell).ids.get(case),
            "line": line,
            "row": json_row::to_json(&value).unwrap_or_default(),
            "prompt": case_texts.context,
            "choices": case_texts.choices,
            "target": serde_json::from_str::<serde_json::Value>(&case_texts.target)
                .unwrap_or(serde_json::Value::Null),
        })
        .to_string())
    }

    /// Row, line and texts of one case.
    fn written(&self, cell: usize, case: usize) -> Result<(Value, usize, Case), Fault> {
        let task = self.ir.cells[cell].task;
        let loaded = self.datasets[self.ir.tasks[task].dataset].as_ref().expect("loaded");
        let expansion = self.expansion(cell);
        let row = expansion.rows[case];
        let value = loaded.selection.value(&loaded.table, row)?;
        let model = self.ir.cells[cell].model;
        let writer = writer(&self.ir, &self.datasets, task, Some((model, &self.encoders)))
            .map_err(|mut faults| faults.remove(0))?;
        let place = (loaded.table.origin(), loaded.table.line(row as usize));
        let texts = writer.write(&value, row, expansion.ids.get(case), place)?;
        Ok((value, place.1, texts))
    }

    /// A few remaining requests of a model whose whole text is known, as (text, ids): for the
    /// guard that re-encodes prompts with the Python tokenizer before a model is asked.
    pub fn probes(&mut self, model: usize, count: usize) -> Vec<(String, Vec<u32>)> {
        let mut probes = Vec::new();
        let cells = self.remaining(model, &self.requests.open());
        if self.settle(&cells).is_err() {
            return probes; // packs report it
        }
        for cell in cells {
            if self.ir.tasks[self.ir.cells[cell].task].kind == Kind::Perplexity {
                continue;
            }
            let expansion = &self.requests.cells[cell].expansion;
            if expansion.flagged(TRUNCATED) > 0 || expansion.ids.is_empty() {
                continue;
            }
            for case in [0, expansion.ids.len() / 2] {
                if expansion.flags[case] & FORGED != 0 {
                    continue; // the library takes what is spelled for the token itself
                }
                let first = expansion.request_offsets[case] as usize;
                let [prefix, tail, _] = expansion.tokens(first);
                let Ok(text) = self.case(cell, case) else { continue };
                let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
                let stem = json["prompt"].as_str().unwrap_or("");
                let stem = match self.ir.tasks[self.ir.cells[cell].task].kind {
                    Kind::MultipleChoice => stem.trim_end(),
                    _ => stem,
                };
                if !stem.is_empty() {
                    let mut ids = prefix.to_vec();
                    tail.put(&mut ids);
                    probes.push((stem.to_owned(), ids));
                }
            }
        }
        probes.truncate(count);
        probes
    }
}

/// The fault of a token that the model has no embedding for, if a case has one.
fn beyond(
    model: &Model,
    encoder: &Encoder,
    expansion: &Expansion,
    table: Option<&Table>,
) -> Option<Fault> {
    let limit = model.vocabulary.filter(|limit| encoder.reaches(*limit))?;
    if !expansion.ready() {
        return None;
    }
    let cases = expansion.request_offsets.windows(2).enumerate();
    let (case, id) = cases.into_iter().find_map(|(case, requests)| {
        let found = (requests[0]..requests[1]).find_map(|request| {
            let runs = expansion.tokens(request as usize);
            runs.iter().flat_map(|run| run.to_vec()).find(|id| *id >= limit)
        });
        found.map(|id| (case, id))
    })?;
    let (name, row) = (encoder.token(id).unwrap_or("?"), expansion.ids.get(case));
    let message = format!(
        "row `{row}` has the token `{name}` (id {id}), and model `{}` embeds {limit} tokens",
        model.name
    );
    let fault = Fault::new("token-beyond-embedding", message)
        .at("models", &model.name, "path")
        .hint("resize the model's embedding to its tokenizer and save it, or take the token out");
    let line = table.map(|table| (table.origin(), table.line(expansion.rows[case] as usize)));
    Some(match line {
        Some((file, line)) => fault.in_file(file, Some(line)),
        None => fault,
    })
}

/// Position of a run of settings in the plan's list, appended if it is not there yet.
fn base_of(settings: &mut Vec<Setting>, run: &[Setting]) -> u32 {
    if run.is_empty() {
        return 0;
    }
    let found = settings.windows(run.len()).position(|window| window == run);
    found.unwrap_or_else(|| {
        settings.extend_from_slice(run);
        settings.len() - run.len()
    }) as u32
}
