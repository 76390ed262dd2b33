//! Composing an expansion of what the memo knows and what has to be made.

use crate::expand::{attempt, Input, Made, Stop, Worker};
use crate::expansion::{Arena, Expansion};
use crate::ids::common;
use crate::memo::{by_digest, ByDigest, KnownCases, RowDigest};
use crate::order;
use crate::prefix::Prefix;
use std::ops::Range;

/// Requests that are merged into a known order, as long as they are fewer than one in so many.
const MERGED: usize = 8;
/// No request of the composed expansion.
const GONE: u32 = u32::MAX;

/// Where consecutive cases of the composed expansion come from.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Base(Range<usize>),
    Later(Range<usize>),
    Fresh(Range<usize>),
}

/// Take what is known, make the rest with the same prefix.
pub fn reuse(input: &Input<'_>, mut known: KnownCases) -> Result<Made, Stop> {
    let (pieces, missing) = pieces(input, &known);
    if pieces == [Piece::Base(0..known.rows.len())] {
        return Ok(Made { expansion: known.expansion, fresh: 0, cut: known.cut, later: None });
    }
    if missing.len() * 2 > input.positions.len() || !known.expansion.ready() {
        return attempt(input, true);
    }
    let prefix = Prefix {
        text: known.expansion.prefix_text.clone(),
        ids: known.expansion.prefix.all().to_vec(),
    };
    let fresh = Worker::new(input, known.cut, &prefix).all(&missing)?;
    let mut expansion = Expansion::blank(input.task.slices.len());
    let mut arena = std::mem::take(&mut known.expansion.arena).into_ids();
    let none = Expansion::blank(input.task.slices.len());
    let later = known.later.as_ref().map_or(&none, |(_, later)| later);
    let starts = [arena.append(later.arena()), arena.append(fresh.arena())];
    expansion.arena = Arena::Held(arena);
    expansion.prefix = known.expansion.prefix.clone();
    expansion.prefix_text = prefix.text;
    let mut places = Places::new(known.expansion.requests.len());
    for piece in &pieces {
        let first = expansion.requests.len() as u32;
        match piece {
            Piece::Base(cases) => {
                expansion.take(&known.expansion, cases.clone(), 0);
                places.base(&known.expansion, cases, first);
            }
            Piece::Later(cases) => {
                expansion.take(later, cases.clone(), starts[0]);
                places.extra.extend(first..expansion.requests.len() as u32);
            }
            Piece::Fresh(cases) => {
                expansion.take(&fresh, cases.clone(), starts[1]);
                places.extra.extend(first..expansion.requests.len() as u32);
            }
        }
    }
    places.sort(&mut expansion, &known.expansion);
    let rows: Vec<RowDigest> = missing.iter().map(|position| digest(input, *position)).collect();
    let made = rows.len();
    let later = (made > 0).then(|| joined(known.later, rows, fresh, &expansion));
    Ok(Made { expansion, fresh: made, cut: known.cut, later })
}

fn digest(input: &Input<'_>, position: u32) -> RowDigest {
    input.selection.digests[position as usize]
}

/// Where each case comes from, in order, and the positions that have to be made.
fn pieces(input: &Input<'_>, known: &KnownCases) -> (Vec<Piece>, Vec<u32>) {
    let none = Vec::new();
    let later = known.later.as_ref().map_or(&none, |(rows, _)| rows);
    let mut maps: Option<(ByDigest, ByDigest)> = None;
    let (mut pieces, mut missing): (Vec<Piece>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut expected = 0;
    for position in input.positions {
        let row = digest(input, *position);
        // rows mostly come in the order in which they are known
        if known.rows.get(expected) == Some(&row) {
            put(&mut pieces, Piece::Base(expected..expected + 1));
            expected += 1;
            continue;
        }
        let (base, after) = maps.get_or_insert_with(|| (by_digest(&known.rows), by_digest(later)));
        if let Some(index) = base.get(&row) {
            put(&mut pieces, Piece::Base(*index..index + 1));
            expected = index + 1;
        } else {
            expected += 1;
            if let Some(index) = after.get(&row) {
                put(&mut pieces, Piece::Later(*index..index + 1));
            } else {
                put(&mut pieces, Piece::Fresh(missing.len()..missing.len() + 1));
                missing.push(*position);
            }
        }
    }
    (pieces, missing)
}

/// Put one case behind the others, into their last piece where it continues that.
fn put(pieces: &mut Vec<Piece>, one: Piece) {
    match (pieces.last_mut(), &one) {
        (Some(Piece::Base(run)), Piece::Base(next))
        | (Some(Piece::Later(run)), Piece::Later(next))
        | (Some(Piece::Fresh(run)), Piece::Fresh(next))
            if run.end == next.start =>
        {
            run.end = next.end;
        }
        _ => pieces.push(one),
    }
}

/// The later cases to keep: those known before, and the fresh ones.
fn joined(
    before: Option<(Vec<RowDigest>, Expansion)>,
    rows: Vec<RowDigest>,
    fresh: Expansion,
    whole: &Expansion,
) -> (Vec<RowDigest>, Expansion) {
    let (rows, mut later) = match before {
        None => (rows, fresh),
        Some((mut all, mut later)) => {
            later.append(&fresh);
            all.extend(rows);
            (all, later)
        }
    };
    later.prefix = whole.prefix.clone();
    later.prefix_text.clone_from(&whole.prefix_text);
    (rows, later)
}

/// Where the requests of the known expansion went, and the requests that are not from there.
struct Places {
    of: Vec<u32>,
    extra: Vec<u32>,
}

impl Places {
    fn new(requests: usize) -> Places {
        Places { of: vec![GONE; requests], extra: Vec::new() }
    }

    /// Note the requests of a run of known cases, now from request `first` on. One that is there
    /// already, as equal rows are known as one, is an extra.
    fn base(&mut self, known: &Expansion, cases: &Range<usize>, first: u32) {
        let from = known.request_offsets[cases.start];
        for old in from..known.request_offsets[cases.end] {
            let new = first + (old - from);
            if self.of[old as usize] == GONE {
                self.of[old as usize] = new;
            } else {
                self.extra.push(new);
            }
        }
    }

    /// Order the composed expansion by way of the known order.
    fn sort(mut self, expansion: &mut Expansion, known: &Expansion) {
        if self.extra.len() * MERGED > expansion.requests.len() {
            order::sort(expansion);
            return;
        }
        let (kept, shared) = self.kept(known);
        self.extra.sort_unstable_by(|a, b| order::by_tokens(expansion, *a, *b));
        let mut order = Vec::with_capacity(kept.len() + self.extra.len());
        let mut out = Vec::with_capacity(order.capacity());
        let mut from = 0;
        for extra in &self.extra {
            let before = |held: &u32| order::by_tokens(expansion, *held, *extra).is_lt();
            let place = from + kept[from..].partition_point(before);
            pass(&mut order, &mut out, &kept[from..place], &shared[from..place]);
            order.push(*extra);
            out.push(GONE);
            from = place;
        }
        pass(&mut order, &mut out, &kept[from..], &shared[from..]);
        for (i, shared) in out.iter_mut().enumerate().filter(|(_, shared)| **shared == GONE) {
            *shared = beside(expansion, &order, i);
        }
        settle_equals(expansion, &mut order, &out);
        (expansion.order, expansion.shared) = (order, out);
    }

    /// The known order less what is gone, and what neighbours share.
    fn kept(&self, known: &Expansion) -> (Vec<u32>, Vec<u32>) {
        let (mut order, mut shared) = (Vec::new(), Vec::new());
        let mut least = u32::MAX;
        for (old, with) in known.order.iter().zip(&known.shared) {
            least = least.min(*with);
            let new = self.of[*old as usize];
            if new != GONE {
                shared.push(if order.is_empty() { 0 } else { least });
                order.push(new);
                least = u32::MAX;
            }
        }
        (order, shared)
    }
}

/// Take over a stretch of the known order. Behind an extra, what its first request shared with
/// another neighbour says nothing.
fn pass(order: &mut Vec<u32>, out: &mut Vec<u32>, kept: &[u32], shared: &[u32]) {
    let behind = out.last() == Some(&GONE);
    order.extend_from_slice(kept);
    let start = out.len();
    out.extend_from_slice(shared);
    if let (true, Some(first)) = (behind, out.get_mut(start)) {
        *first = GONE;
    }
}

fn beside(expansion: &Expansion, order: &[u32], i: usize) -> u32 {
    if i == 0 {
        return 0;
    }
    common(&expansion.tokens(order[i - 1] as usize), &expansion.tokens(order[i] as usize))
}

/// Requests of equal ids stand in the order of their numbers.
fn settle_equals(expansion: &Expansion, order: &mut [u32], shared: &[u32]) {
    let length = |request: u32| expansion.lengths(request as usize).0;
    let mut start = 0;
    for i in 1..=order.len() {
        let equal =
            i < order.len() && shared[i] == length(order[i]) && shared[i] == length(order[i - 1]);
        if !equal {
            if i - start > 1 {
                order[start..i].sort_unstable();
            }
            start = i;
        }
    }
}
