//! Which rows of a dataset become cases, under which id, in which order.

use crate::bounds;
use crate::digest::{content_id, order_key, Digest};
use crate::effort::{self, measured};
use crate::fault::Fault;
use crate::ir::{Dataset, Tier};
use crate::json_row::to_json;
use crate::lanes::Ids;
use crate::memo::{by_digest, ByDigest, KnownRows, Memo, RowDigest};
use crate::pyjson::python_str;
use crate::rows::Table;
use crate::template::Template;
use crate::texts::Texts;
use minijinja::Value;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Rows of a dataset that pass its filter, with unique ids, in file order.
pub struct Selection {
    /// Row index in the table.
    pub rows: Vec<u32>,
    /// Id of each row: stable across edits of other rows.
    pub ids: Texts,
    /// Digest of each row's bytes.
    pub digests: Vec<RowDigest>,
    /// What draws from it share.
    pub draws: Draws,
}

/// The ids to draw from as they are hashed, and what was drawn: every model of a task draws alike.
#[derive(Default)]
pub struct Draws {
    ids: OnceLock<Ids>,
    drawn: Mutex<HashMap<Drawing, Drawn>>,
}

/// How many rows are drawn by what, and the row that is left out.
type Drawing = (usize, String, Option<u32>);

/// Positions that were drawn, once they are.
type Drawn = Arc<OnceLock<Vec<u32>>>;

/// What is known of a row: where it is known, or its new id if the filter passes it.
enum Looked {
    Known(usize),
    New(Option<String>),
}

/// Keys of a draw that are held beside twice those that are drawn.
const SPARE: usize = 256;

/// Room for the draws from a dataset that are remembered, in positions.
pub const REMEMBERED: usize = 1 << 22;

/// Room that one draw takes.
pub fn room(k: usize) -> usize {
    k + 32
}

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

/// What `where` and `id` of all datasets take together: each may be cheap, and there may be many.
pub struct Looks {
    most: u64,
    spent: AtomicU64,
    by: Vec<AtomicU64>,
    rows: usize,
}

impl Looks {
    /// Nothing taken yet, of what rows and bytes allow: those of a file count once, and each row
    /// that is looked at a little.
    pub fn new(datasets: &[Dataset], tables: &[Option<Table>]) -> Looks {
        let mut files: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut looks = 0;
        for (dataset, table) in datasets.iter().zip(tables) {
            let Some(table) = table else { continue };
            let count = range(dataset, table).len();
            looks += count;
            let (rows, bytes) = files.entry(dataset.path.as_str()).or_default();
            *rows = count.max(*rows);
            *bytes = table.bytes();
        }
        let rows = files.values().map(|(rows, _)| rows).sum();
        let bytes = files.values().map(|(_, bytes)| bytes).sum();
        let more = bounds::WORK_OF_CASE * looks.min(bounds::CASES_OF_WORK);
        Looks {
            most: effort::most_work(rows, bytes) + more as u64,
            spent: AtomicU64::new(0),
            by: datasets.iter().map(|_| AtomicU64::new(0)).collect(),
            rows,
        }
    }

    fn pay(&self, dataset: usize, work: u64) {
        self.by[dataset].fetch_add(work, Ordering::Relaxed);
        self.spent.fetch_add(work, Ordering::Relaxed);
    }

    fn over(&self) -> bool {
        self.spent.load(Ordering::Relaxed) > self.most
    }

    /// Where the bound was reached: the dataset that took most.
    pub fn fault(&self, datasets: &[Dataset]) -> Option<Fault> {
        if !self.over() {
            return None;
        }
        let message =
            format!("`where` and `id` of all datasets take more work than {} rows may", self.rows);
        let (index, _) = effort::largest(&self.by);
        let name = &datasets[index].name;
        let hint = "do less in loops of its templates, or read fewer `rows` or datasets";
        Some(Fault::new("too-much-work", message).at("datasets", name, "").hint(hint))
    }
}

/// The rows of a table that a dataset is made of.
fn range(dataset: &Dataset, table: &Table) -> Range<usize> {
    let (start, stop) = dataset.rows.unwrap_or((0, None));
    let stop = stop.unwrap_or(usize::MAX).min(table.len());
    start.min(stop)..stop
}

/// Apply `rows`, `where` and `id` of a dataset to its table; rows that the memo knows are not read.
/// Where the bound of `looks` is reached there is no fault: it has one for all datasets.
pub fn select(
    index: usize,
    dataset: &Dataset,
    table: &Table,
    memo: &Memo,
    looks: &Looks,
) -> Result<Selection, Vec<Fault>> {
    let name = Memo::rows_name(dataset);
    let known = memo.rows(&name);
    let rows = match known {
        Some(known) if known.file == *table.digest() => known,
        known => {
            let rows = look((index, dataset), table, &known.unwrap_or_default(), looks)?;
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
        draws: Draws::default(),
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
fn look(
    (number, dataset): (usize, &Dataset),
    table: &Table,
    known: &KnownRows,
    looks: &Looks,
) -> Result<KnownRows, Vec<Fault>> {
    let compile = |source: &Option<String>, field: &str| {
        source.as_deref().map(Template::compile).transpose().map_err(|fault| {
            vec![crate::cases::template_fault(&fault, "datasets", &dataset.name, field, None)]
        })
    };
    let (condition, id) = (compile(&dataset.condition, "where")?, compile(&dataset.id, "id")?);
    let range = range(dataset, table);
    let digests: Vec<RowDigest> =
        range.clone().into_par_iter().with_min_len(64).map(|row| table.row_digest(row)).collect();
    let moved = digests.iter().zip(&known.digests).any(|(now, before)| now != before)
        || digests.len() > known.digests.len();
    let before = if moved { by_digest(&known.digests) } else { ByDigest::default() };
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
            if looks.over() {
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
                looks.pay(number, work);
                let value = value.map_err(|f| fail(f, "where"))?;
                if !truthy(&value) {
                    return Ok(Looked::New(None));
                }
            }
            Ok(Looked::New(Some(match &id {
                Some(id) => {
                    let (value, work) = measured(|| id.eval(&row));
                    looks.pay(number, work);
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
    let cut = looks.over();
    if cut && looked.iter().all(Result::is_ok) {
        return Err(Vec::new());
    }
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

    /// The first `k` positions of a seeded draw, row `skip` left out.
    pub fn draw(&self, k: usize, seed: &str, skip: Option<u32>) -> Vec<u32> {
        let drawn = {
            let mut all = self.draws.drawn.lock().unwrap_or_else(PoisonError::into_inner);
            if (all.len() + 1) * room(k) > REMEMBERED {
                drop(all);
                return self.draw_now(k, seed, skip);
            }
            Arc::clone(all.entry((k, seed.to_owned(), skip)).or_default())
        };
        drawn.get_or_init(|| self.draw_now(k, seed, skip)).clone()
    }

    fn draw_now(&self, k: usize, seed: &str, skip: Option<u32>) -> Vec<u32> {
        let ids = self.draws.ids.get_or_init(|| Ids::new(&self.ids));
        let mut first: Vec<(u128, u32)> = Vec::new();
        let mut beyond = u128::MAX; // no key behind this one is among the first
        ids.keys(&self.ids, &format!("{seed}\0"), |key, position| {
            if key > beyond || Some(self.rows[position as usize]) == skip {
                return beyond;
            }
            first.push((key, position));
            if first.len() > 2 * k + SPARE {
                first.select_nth_unstable(k);
                first.truncate(k);
                beyond = first.iter().map(|(key, _)| *key).max().unwrap_or(0);
            }
            beyond
        });
        first.sort_unstable();
        first.truncate(k);
        first.into_iter().map(|(_, position)| position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(n: usize) -> Selection {
        Selection {
            rows: (0..n as u32).collect(),
            ids: named(0..n),
            digests: vec![[0; 16]; n],
            draws: Draws::default(),
        }
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
    fn a_draw_is_the_rows_of_the_smallest_keys() {
        let long = |n: usize| "x".repeat(n * 7 % 1_100) + &n.to_string();
        for (n, ids) in [(3_000, named(0..3_000)), (900, Texts::default())] {
            let mut ids = ids;
            (ids.len()..n).for_each(|i| ids.push(&long(i)));
            let all = Selection { ids, ..selection(n) };
            for (seed, skip) in [("", None), ("7", Some(3)), ("7\0a case of some length", None)] {
                let mut keys: Vec<(u128, u32)> = (0..n as u32)
                    .filter(|p| Some(*p) != skip)
                    .map(|p| (order_key(0, &format!("{seed}\0{}", all.ids.get(p as usize))), p))
                    .collect();
                keys.sort_unstable();
                let wanted: Vec<u32> = keys.iter().take(20).map(|(_, p)| *p).collect();
                assert_eq!(all.draw(20, seed, skip), wanted, "{seed}");
                assert_eq!(all.draw(20, seed, skip), wanted, "{seed}");
            }
        }
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
