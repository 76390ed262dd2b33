//! Which rows of a dataset become cases, under which id, in which order.

use crate::digest::{content_id, order_key};
use crate::fault::Fault;
use crate::ir::{Dataset, Tier};
use crate::memo::{KnownRows, Memo, RowDigest};
use crate::pyjson::python_str;
use crate::rows::Table;
use crate::template::Template;
use minijinja::Value;
use rayon::prelude::*;
use std::collections::HashMap;

/// Rows of a dataset that pass its filter, with unique ids, in file order.
pub struct Selection {
    /// Row index in the table.
    pub rows: Vec<u32>,
    /// Id of each row: stable across edits of other rows.
    pub ids: Vec<Box<str>>,
    /// Digest of each row's bytes.
    pub digests: Vec<RowDigest>,
}

/// Id of a row that passes the filter.
type Kept = Option<Box<str>>;

/// Rows looked at before the columns of a dataset are believed to be known.
const COLUMN_SAMPLE: usize = 64;

/// Names of the columns that the first rows have.
pub fn columns(table: &Table) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    for index in 0..table.len().min(COLUMN_SAMPLE) {
        let row = table.row(index)?;
        for key in row.try_iter().into_iter().flatten() {
            let key = key.to_string();
            if !names.contains(&key) {
                names.push(key);
            }
        }
    }
    Ok(names)
}

/// Apply `rows`, `where` and `id` of a dataset to its table; rows that the memo knows are not read.
pub fn select(dataset: &Dataset, table: &Table, memo: &Memo) -> Result<Selection, Vec<Fault>> {
    let name = Memo::rows_name(dataset);
    let known = memo.rows(&name);
    let rows = match known {
        Some(known) if known.file == *table.digest() => known,
        known => {
            let rows = look(dataset, table, &known.unwrap_or_default())?;
            memo.keep_rows(&name, &rows);
            rows
        }
    };
    let (start, _) = dataset.rows.unwrap_or((0, None));
    let mut selection = Selection { rows: Vec::new(), ids: Vec::new(), digests: Vec::new() };
    for (index, (digest, id)) in rows.digests.into_iter().zip(rows.ids).enumerate() {
        if let Some(id) = id {
            selection.rows.push((start + index) as u32);
            selection.ids.push(id);
            selection.digests.push(digest);
        }
    }
    if selection.rows.is_empty() {
        let message = format!("no row of `{}` is selected", dataset.origin);
        return Err(vec![Fault::new("data-empty", message)
            .at("datasets", &dataset.name, "")
            .hint("widen `rows` or `where`")]);
    }
    distinct(&mut selection, dataset, table)?;
    Ok(selection)
}

/// Digest every row of the range; filter and name those that `known` has not.
fn look(dataset: &Dataset, table: &Table, known: &KnownRows) -> Result<KnownRows, Vec<Fault>> {
    let compile = |source: &Option<String>, field: &str| {
        source.as_deref().map(Template::compile).transpose().map_err(|fault| {
            vec![crate::cases::template_fault(&fault, "datasets", &dataset.name, field, None)]
        })
    };
    let (condition, id) = (compile(&dataset.condition, "where")?, compile(&dataset.id, "id")?);
    let (start, stop) = dataset.rows.unwrap_or((0, None));
    let stop = stop.unwrap_or(usize::MAX).min(table.len());
    let before: HashMap<&RowDigest, &Kept> = known.digests.iter().zip(&known.ids).collect();
    let looked: Vec<Result<(RowDigest, Kept), Fault>> = (start.min(stop)..stop)
        .into_par_iter()
        .with_min_len(64)
        .map(|index| {
            let digest = table.row_digest(index);
            if let Some(kept) = before.get(&digest) {
                return Ok((digest, (*kept).clone()));
            }
            let row = table.row(index)?;
            let fail = |fault, field| {
                let place = Some((table.origin(), table.line(index)));
                crate::cases::template_fault(&fault, "datasets", &dataset.name, field, place)
            };
            if let Some(condition) = &condition {
                let value = condition.eval(&row).map_err(|f| fail(f, "where"))?;
                if !truthy(&value) {
                    return Ok((digest, None));
                }
            }
            let name = match &id {
                Some(id) => python_str(&id.eval(&row).map_err(|f| fail(f, "id"))?),
                None => content_id(&canonical(&row)),
            };
            Ok((digest, Some(name.into_boxed_str())))
        })
        .collect();
    let mut rows = KnownRows { file: *table.digest(), ..KnownRows::default() };
    let mut faults = Vec::new();
    for outcome in looked {
        match outcome {
            Ok((digest, kept)) => {
                rows.digests.push(digest);
                rows.ids.push(kept);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(rows)
    } else {
        Err(crate::fault::abridge(faults))
    }
}

/// JSON of a row that does not depend on the order of its keys.
fn canonical(row: &Value) -> Vec<u8> {
    let mut json = serde_json::to_value(row).unwrap_or_default();
    json.sort_all_objects();
    json.to_string().into_bytes()
}

/// What counts as false: what Python counts as false, and the texts that say so.
fn truthy(value: &Value) -> bool {
    match value.as_str() {
        Some(text) => !matches!(text.trim(), "" | "False" | "false" | "0" | "None"),
        None => value.is_true(),
    }
}

/// Equal content gets `#2`, `#3`, ... behind its id; a stable id given twice is an error.
fn distinct(selection: &mut Selection, dataset: &Dataset, table: &Table) -> Result<(), Vec<Fault>> {
    let mut seen: HashMap<Box<str>, (u32, u32)> = HashMap::with_capacity(selection.ids.len());
    for (row, id) in selection.rows.iter().zip(selection.ids.iter_mut()) {
        let (first, times) = seen.entry(id.clone()).or_insert((*row, 0));
        *times += 1;
        if *times > 1 {
            if dataset.id.is_some() {
                let lines = (table.line(*first as usize), table.line(*row as usize));
                let message =
                    format!("rows on lines {} and {} have one id, `{id}`", lines.0, lines.1);
                return Err(vec![Fault::new("duplicate-id", message)
                    .at("datasets", &dataset.name, "id")
                    .hint("make `id` unique, or leave it out to identify rows by their content")]);
            }
            *id = format!("{id}#{times}").into_boxed_str();
        }
    }
    Ok(())
}

impl Selection {
    /// Positions (into `rows`) that a tier keeps, in file order.
    pub fn tier(&self, tier: &Tier, seed: u64) -> Vec<u32> {
        let share = tier.fraction.map(|f| (f * self.rows.len() as f64).ceil() as usize);
        let budget = [tier.cases, share].into_iter().flatten().min().unwrap_or(usize::MAX);
        let mut positions: Vec<u32> = (0..self.rows.len() as u32).collect();
        if budget < positions.len() {
            positions.sort_by_cached_key(|p| order_key(seed, &self.ids[*p as usize]));
            positions.truncate(budget.max(1));
            positions.sort_unstable();
        }
        positions
    }

    /// The first `k` positions of a seeded draw, those in `skip` left out.
    pub fn draw(&self, k: usize, seed: &str, skip: Option<u32>) -> Vec<u32> {
        let mut hashed: Vec<(u128, u32)> = (0..self.rows.len() as u32)
            .filter(|p| Some(self.rows[*p as usize]) != skip)
            .map(|p| (order_key(0, &format!("{seed}\0{}", self.ids[p as usize])), p))
            .collect();
        if k < hashed.len() {
            hashed.select_nth_unstable(k);
            hashed.truncate(k);
        }
        hashed.sort_unstable();
        hashed.into_iter().map(|(_, p)| p).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(n: usize) -> Selection {
        Selection {
            rows: (0..n as u32).collect(),
            ids: (0..n).map(|i| format!("row-{i}").into()).collect(),
            digests: vec![[0; 16]; n],
        }
    }

    fn tier(cases: usize) -> Tier {
        Tier { name: "t".into(), cases: Some(cases), fraction: None }
    }

    #[test]
    fn a_smaller_tier_is_a_subset_of_a_larger_one() {
        let all = selection(500);
        let (small, large) = (all.tier(&tier(20), 3), all.tier(&tier(200), 3));
        assert_eq!((small.len(), large.len()), (20, 200));
        assert!(small.iter().all(|p| large.contains(p)));
    }

    #[test]
    fn removing_a_row_leaves_the_sample_of_the_others_alone() {
        let all = selection(300);
        let mut fewer = selection(300);
        let gone = all.tier(&tier(50), 0)[10] as usize;
        fewer.rows.remove(gone);
        fewer.ids.remove(gone);
        let names = |s: &Selection, t: usize| -> Vec<Box<str>> {
            s.tier(&tier(t), 0).iter().map(|p| s.ids[*p as usize].clone()).collect()
        };
        let (before, after) = (names(&all, 50), names(&fewer, 49));
        assert!(after.iter().all(|id| before.contains(id)));
    }

    #[test]
    fn a_draw_skips_the_case_itself_and_is_repeatable() {
        let all = selection(50);
        let first = all.draw(5, "7", None);
        assert_eq!(first, all.draw(5, "7", None));
        assert_ne!(first, all.draw(5, "8", None));
        let skip = first[0];
        let without = all.draw(5, "7", Some(skip));
        assert!(!without.contains(&skip));
        assert_eq!(first[1..], without[..4]);
    }
}
