//! Which rows of a dataset become cases, under which id, in which order.

use crate::digest::{content_id, order_key, Digest};
use crate::effort::{self, measured};
use crate::fault::Fault;
use crate::ir::{Dataset, Tier};
use crate::json_row::to_json;
use crate::memo::{by_digest, ByDigest, KnownRows, Memo, RowDigest};
use crate::pyjson::python_str;
use crate::rows::Table;
use crate::template::Template;
use crate::texts::Texts;
use minijinja::Value;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows of a dataset that pass its filter, with unique ids, in file order.
pub struct Selection {
    /// Row index in the table.
    pub rows: Vec<u32>,
    /// Id of each row: stable across edits of other rows.
    pub ids: Texts,
    /// Digest of each row's bytes.
    pub digests: Vec<RowDigest>,
}

/// What is known of a row: where it is known, or its new id if the filter passes it.
enum Looked {
    Known(usize),
    New(Option<String>),
}

/// Work of one hash that a draw sorts by.
const HASH_WORK: u64 = 2;

/// Keys of a draw that are held beside twice those that are drawn.
const SPARE: usize = 256;

/// Rows looked at before the columns of a dataset are believed to be known.
const COLUMN_SAMPLE: usize = 64;

/// Names of the columns that the first rows have.
pub fn columns(table: &Table) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    for index in 0..table.len().min(COLUMN_SAMPLE) {
        let row = table.row(index)?;
        let keys = row.try_iter().into_iter().flatten().map(|key| key.to_string());
        for key in keys.chain(table.left_out(index).into_iter().map(|column| column.name)) {
            if seen.insert(key.clone()) {
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
    let kept = rows.kept.iter().enumerate().filter(|(_, kept)| **kept != 0).map(|(index, _)| index);
    let mut selection = Selection {
        rows: kept.clone().map(|index| (start + index) as u32).collect(),
        digests: kept.map(|index| rows.digests[index]).collect(),
        ids: rows.ids,
    };
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
    let range = start.min(stop)..stop;
    let digests: Vec<RowDigest> =
        range.clone().into_par_iter().with_min_len(64).map(|row| table.row_digest(row)).collect();
    let moved = digests.iter().zip(&known.digests).any(|(now, before)| now != before)
        || digests.len() > known.digests.len();
    let before = if moved { by_digest(&known.digests) } else { ByDigest::default() };
    let (spent, most) = (AtomicU64::new(0), effort::most_work(range.len(), table.bytes()));
    let pay = |work| spent.fetch_add(work, Ordering::Relaxed);
    let looked: Vec<Result<Looked, Fault>> = range
        .into_par_iter()
        .zip(&digests)
        .enumerate()
        .with_min_len(64)
        .map(|(place, (index, digest))| {
            if known.digests.get(place) == Some(digest) {
                return Ok(Looked::Known(place));
            }
            if let Some(place) = before.get(digest) {
                return Ok(Looked::Known(*place));
            }
            if spent.load(Ordering::Relaxed) > most {
                return Ok(Looked::New(None));
            }
            let row = table.row(index)?;
            let fail = |fault, field| {
                let place = Some((table.origin(), table.line(index)));
                let fault =
                    crate::cases::template_fault(&fault, "datasets", &dataset.name, field, place);
                table.explained(fault, index)
            };
            if let Some(condition) = &condition {
                let (value, work) = measured(|| condition.eval(&row));
                pay(work);
                let value = value.map_err(|f| fail(f, "where"))?;
                if !truthy(&value) {
                    return Ok(Looked::New(None));
                }
            }
            Ok(Looked::New(Some(match &id {
                Some(id) => {
                    let (value, work) = measured(|| id.eval(&row));
                    pay(work);
                    let value = value.map_err(|f| fail(f, "id"))?;
                    if value.is_none() {
                        return Err(Fault::new("bad-id", "`id` is null")
                            .at("datasets", &dataset.name, "id")
                            .in_file(table.origin(), Some(table.line(index)))
                            .hint("filter such rows with `where`, or leave `id` out"));
                    }
                    python_str(&value)
                }
                None => content_id(&canonical(&row)),
            })))
        })
        .collect();
    if spent.load(Ordering::Relaxed) > most && looked.iter().all(Result::is_ok) {
        let message = format!("`where` and `id` take more work than {} rows may", digests.len());
        return Err(vec![Fault::new("too-much-work", message)
            .at("datasets", &dataset.name, "")
            .hint("do less in loops of its templates, or read fewer `rows`")]);
    }
    let cut = spent.load(Ordering::Relaxed) > most;
    put_together(*table.digest(), digests, looked, known, cut)
}

fn put_together(
    file: Digest,
    digests: Vec<RowDigest>,
    looked: Vec<Result<Looked, Fault>>,
    known: &KnownRows,
    cut: bool,
) -> Result<KnownRows, Vec<Fault>> {
    // where the id of each known row is, among those of the kept ones
    let mut count = 0;
    let place = |kept: &u8| {
        count += usize::from(*kept);
        (*kept != 0).then_some(count.wrapping_sub(1))
    };
    let places: Vec<Option<usize>> = known.kept.iter().map(place).collect();
    let mut rows = KnownRows { file, digests, ..KnownRows::default() };
    let mut faults = Vec::new();
    for outcome in looked {
        let kept = rows.ids.len();
        match outcome {
            Ok(Looked::Known(index)) => {
                if let Some(place) = places[index] {
                    rows.ids.push(known.ids.get(place));
                }
            }
            Ok(Looked::New(Some(id))) => rows.ids.push(&id),
            Ok(Looked::New(None)) => {}
            Err(fault) => faults.push(fault),
        }
        rows.kept.push(u8::from(rows.ids.len() > kept));
    }
    if faults.is_empty() {
        Ok(rows)
    } else {
        Err(crate::fault::abridge(faults, cut))
    }
}

/// JSON of a row that does not depend on the order of its keys.
fn canonical(row: &Value) -> Vec<u8> {
    let mut json = to_json(row).unwrap_or_default();
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
    let ids = &selection.ids;
    let mut seen: HashMap<&str, (u32, u32)> = HashMap::with_capacity(ids.len());
    let mut again: Vec<(usize, u32)> = Vec::new();
    for (place, (row, id)) in selection.rows.iter().zip(ids.iter()).enumerate() {
        let (first, times) = seen.entry(id).or_insert((*row, 0));
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
            again.push((place, *times));
        }
    }
    if again.is_empty() {
        return Ok(());
    }
    let (mut named, mut from) = (Texts::default(), 0);
    for (place, times) in again {
        named.extend(ids, from, place);
        named.push(&format!("{}#{times}", ids.get(place)));
        from = place + 1;
    }
    named.extend(ids, from, ids.len());
    selection.ids = named;
    Ok(())
}

impl Selection {
    /// Row `row` of the table that was selected from.
    pub fn value(&self, table: &Table, row: u32) -> Result<Value, Fault> {
        match self.rows.binary_search(&row) {
            Ok(place) if !table.held() => table.row_again(row as usize, &self.digests[place]),
            _ => table.row(row as usize),
        }
    }

    /// How many rows a tier keeps.
    pub fn kept_by(&self, tier: &Tier) -> usize {
        let share = tier.fraction.map(|f| (f * self.rows.len() as f64).ceil() as usize);
        let budget = [tier.cases, share].into_iter().flatten().min();
        budget.map_or(self.rows.len(), |budget| budget.max(1).min(self.rows.len()))
    }

    /// Positions (into `rows`) that a tier keeps, in file order.
    pub fn tier(&self, tier: &Tier, seed: u64) -> Vec<u32> {
        let budget = self.kept_by(tier);
        let mut positions: Vec<u32> = (0..self.rows.len() as u32).collect();
        if budget < positions.len() {
            positions.sort_by_cached_key(|p| order_key(seed, self.ids.get(*p as usize)));
            positions.truncate(budget);
            positions.sort_unstable();
        }
        positions
    }

    /// The first `k` positions of a seeded draw, those in `skip` left out.
    pub fn draw(&self, k: usize, seed: &str, skip: Option<u32>) -> Vec<u32> {
        effort::spend(self.rows.len() as u64 * HASH_WORK);
        let mut text = format!("{seed}\0");
        let start = text.len();
        let mut first: Vec<(u128, u32)> = Vec::new();
        let mut beyond = u128::MAX; // no key behind this one is among the first
        for (position, id) in self.ids.iter().enumerate() {
            if Some(self.rows[position]) == skip {
                continue;
            }
            text.truncate(start);
            text.push_str(id);
            let key = order_key(0, &text);
            if key > beyond {
                continue;
            }
            first.push((key, position as u32));
            if first.len() > 2 * k + SPARE {
                first.select_nth_unstable(k);
                first.truncate(k);
                beyond = first.iter().map(|(key, _)| *key).max().unwrap_or(0);
            }
        }
        first.sort_unstable();
        first.truncate(k);
        first.into_iter().map(|(_, position)| position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(n: usize) -> Selection {
        Selection { rows: (0..n as u32).collect(), ids: named(0..n), digests: vec![[0; 16]; n] }
    }

    fn named(numbers: impl Iterator<Item = usize>) -> Texts {
        let mut ids = Texts::default();
        numbers.for_each(|i| ids.push(&format!("row-{i}")));
        ids
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
        fewer.ids = named((0..300).filter(|i| *i != gone));
        let names = |s: &Selection, t: usize| -> Vec<String> {
            s.tier(&tier(t), 0).iter().map(|p| s.ids.get(*p as usize).to_owned()).collect()
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
