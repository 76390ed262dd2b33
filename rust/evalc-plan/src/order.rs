//! Requests of an expansion in the order of their token ids: depth-first order of the prefix tree.

use crate::expansion::Expansion;
use crate::ids::{common, compare, Runs, Tokens};
use rayon::prelude::*;

/// Consecutive requests with one context.
#[derive(Clone, Copy)]
struct Unit {
    /// First tokens of the context behind the shared prefix, as a number that sorts as they do.
    head: u128,
    first: u32,
    count: u32,
}

/// Sort the requests of an expansion; fills `order` and `shared`.
///
/// Contexts are sorted first, by their first few tokens held beside them, as there are fewer of
/// them than requests. Requests of two contexts interleave only where one context begins the other.
pub fn sort(expansion: &mut Expansion) {
    let (behind, bare): (Vec<Unit>, Vec<Unit>) = units(expansion)
        .into_iter()
        .partition(|unit| expansion.requests[unit.first as usize].prefixed());
    let mut order = ordered(expansion, behind);
    if !bare.is_empty() {
        order.extend(ordered(expansion, bare));
        // two sorted runs, which the sort merges
        order.par_sort_by(|a, b| by_tokens(expansion, *a, *b));
    }
    expansion.shared = neighbours(expansion, &order);
    expansion.order = order;
}

/// Requests compare by their ids, equal ones by their number.
pub fn by_tokens(expansion: &Expansion, a: u32, b: u32) -> std::cmp::Ordering {
    let (x, y) = (expansion.tokens(a as usize), expansion.tokens(b as usize));
    compare(&x, &y).then(a.cmp(&b))
}

/// What each request of `order` shares with the one before.
pub fn neighbours(expansion: &Expansion, order: &[u32]) -> Vec<u32> {
    let shared = |i: usize| match i {
        0 => 0,
        _ => common(&expansion.tokens(order[i - 1] as usize), &expansion.tokens(order[i] as usize)),
    };
    (0..order.len()).into_par_iter().with_min_len(1024).map(shared).collect()
}

fn units(expansion: &Expansion) -> Vec<Unit> {
    let requests = &expansion.requests;
    let mut units: Vec<Unit> = Vec::with_capacity(expansion.cases());
    for (index, request) in requests.iter().enumerate() {
        match units.last_mut() {
            Some(last) if request.same_context(&requests[last.first as usize]) => last.count += 1,
            _ => units.push(Unit { head: 0, first: index as u32, count: 1 }),
        }
    }
    units.par_iter_mut().with_min_len(1024).for_each(|unit| {
        unit.head = head(expansion.tokens(unit.first as usize)[1]);
    });
    units
}

/// The first seven tokens, or three wide ones, as one number.
fn head(tail: Tokens<'_>) -> u128 {
    let (width, count) = if let Tokens::Narrow(_) = tail { (18, 7) } else { (33, 3) };
    (0..count).fold(0, |head, i| {
        let token = if i < tail.len() { u128::from(tail.get(i)) + 1 } else { 0 };
        head << width | token
    })
}

/// The context of a unit, without a continuation.
fn context<'a>(expansion: &'a Expansion, unit: &Unit) -> Runs<'a> {
    let [prefix, tail, _] = expansion.tokens(unit.first as usize);
    [prefix, tail, Tokens::Narrow(&[])]
}

fn ordered(expansion: &Expansion, mut units: Vec<Unit>) -> Vec<u32> {
    units.par_sort_unstable_by(|a, b| {
        let whole = || compare(&context(expansion, a), &context(expansion, b));
        a.head.cmp(&b.head).then_with(whole).then(a.first.cmp(&b.first))
    });
    let mut order = Vec::with_capacity(units.iter().map(|unit| unit.count as usize).sum());
    let mut start = 0;
    while start < units.len() {
        let mut end = start + 1;
        while end < units.len() && begins(expansion, &units[start], &units[end]) {
            end += 1;
        }
        let from = order.len();
        for unit in &units[start..end] {
            order.extend(unit.first..unit.first + unit.count);
        }
        order[from..].sort_unstable_by(|a, b| by_tokens(expansion, *a, *b));
        start = end;
    }
    order
}

/// Whether the context of `a` begins that of `b`.
fn begins(expansion: &Expansion, a: &Unit, b: &Unit) -> bool {
    let (x, y) = (expansion.tokens(a.first as usize)[1], expansion.tokens(b.first as usize)[1]);
    x.len() <= y.len() && x.common(y) == x.len()
}
