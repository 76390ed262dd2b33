//! Order and prefix tree: what requests share, and how they are cut into packs.

use crate::requests::Requests;
use rayon::prelude::*;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Requests of one model and one setting in prefix-tree order.
pub struct Branch {
    /// Index into the plan's settings; none for log-likelihoods.
    pub setting: Option<u32>,
    /// Unique requests, sorted by token ids.
    pub order: Vec<u32>,
    /// Tokens that each shares with the one before.
    pub shared: Vec<u32>,
}

impl Branch {
    /// Sort requests by their token ids: depth-first order of the prefix tree.
    pub fn new(requests: &Requests, setting: Option<u32>, order: Vec<u32>) -> Branch {
        let order = sorted(requests, order);
        let shared = (0..order.len())
            .into_par_iter()
            .map(|i| if i == 0 { 0 } else { common(requests, order[i - 1], order[i]) })
            .collect();
        Branch { setting, order, shared }
    }

    /// Input tokens of request `i` that no request before it has.
    pub fn fresh(&self, requests: &Requests, i: usize) -> u32 {
        let length = requests.input_length(self.order[i]);
        if i == 0 {
            return length;
        }
        let before = requests.input_length(self.order[i - 1]);
        length - self.shared[i].min(before).min(length)
    }

    /// Cut into packs of about `budget` fresh tokens and at most `limit` requests.
    pub fn packs(&self, requests: &Requests, budget: u64, limit: usize) -> Vec<Pack> {
        let mut packs = Vec::new();
        let (mut start, mut spent) = (0, 0);
        for i in 0..self.order.len() {
            let cost = u64::from(self.fresh(requests, i));
            if i > start && (spent + cost > budget || i - start >= limit) {
                packs.push((start, i));
                (start, spent) = (i, 0);
            }
            spent += cost;
        }
        if start < self.order.len() {
            packs.push((start, self.order.len()));
        }
        packs.into_par_iter().map(|(from, to)| self.pack(requests, from, to)).collect()
    }

    fn pack(&self, requests: &Requests, from: usize, to: usize) -> Pack {
        let mut pack = Pack::empty(self.setting);
        let mut stack = vec![(from, to, 0_u32, -1_i32)];
        while let Some((low, high, depth, parent)) = stack.pop() {
            let length = requests.lengths(self.order[low]).0;
            let common = self.shared[low + 1..high].iter().copied().min().unwrap_or(length);
            let common = common.min(length);
            let node = if common > depth {
                pack.node(requests, self.order[low], depth, common, parent)
            } else {
                parent
            };
            let mut first = low;
            while first < high && requests.lengths(self.order[first]).0 == common {
                pack.request(requests, self.order[first], node);
                first += 1;
            }
            let mut children = Vec::new();
            let mut begin = first;
            for i in first..high {
                if i > begin && self.shared[i] == common {
                    children.push((begin, i, common, node));
                    begin = i;
                }
            }
            if begin < high {
                children.push((begin, high, common, node));
            }
            stack.extend(children.into_iter().rev());
        }
        pack
    }
}

/// A prefix tree of token ids with requests at its nodes; see docs/architecture.md.
pub struct Pack {
    /// Index into the plan's settings; none for log-likelihoods.
    pub setting: Option<u32>,
    /// Tokens of all nodes.
    pub tokens: Vec<u32>,
    /// Node i owns `tokens[node_offsets[i]..node_offsets[i + 1]]`.
    pub node_offsets: Vec<u32>,
    /// Parent of each node, -1 for a root; parents come first.
    pub node_parent: Vec<i32>,
    /// Position of each node's first token.
    pub node_start: Vec<u32>,
    /// Node at which each request ends.
    pub req_node: Vec<u32>,
    /// Scored tokens of each request.
    pub req_cont: Vec<u32>,
    /// Unique request behind each request.
    pub req_key: Vec<u32>,
}

impl Pack {
    fn empty(setting: Option<u32>) -> Pack {
        Pack {
            setting,
            tokens: Vec::new(),
            node_offsets: vec![0],
            node_parent: Vec::new(),
            node_start: Vec::new(),
            req_node: Vec::new(),
            req_cont: Vec::new(),
            req_key: Vec::new(),
        }
    }

    fn node(&mut self, requests: &Requests, unique: u32, from: u32, to: u32, parent: i32) -> i32 {
        let mut position = 0;
        for run in requests.tokens(unique) {
            let clip = |at: u32| (at.max(position) - position).min(run.len() as u32) as usize;
            self.tokens.extend_from_slice(&run[clip(from)..clip(to)]);
            position += run.len() as u32;
        }
        self.node_offsets.push(self.tokens.len() as u32);
        self.node_parent.push(parent);
        self.node_start.push(from);
        self.node_parent.len() as i32 - 1
    }

    fn request(&mut self, requests: &Requests, unique: u32, node: i32) {
        self.req_node.push(node.max(0) as u32);
        self.req_cont.push(requests.lengths(unique).1);
        self.req_key.push(unique);
    }
}

/// Requests in the order of their token ids, equal ones by number.
///
/// Requests of a cell share their beginning, so they are sorted by the few tokens behind it, held
/// beside the number; whole sequences are compared only where those are equal.
fn sorted(requests: &Requests, order: Vec<u32>) -> Vec<u32> {
    let mut groups: BTreeMap<(u32, bool), Vec<(u128, u32)>> = BTreeMap::new();
    for unique in order {
        let u = &requests.unique[unique as usize];
        let prefixed =
            requests.cells[u.cell as usize].expansion.requests[u.request as usize].prefixed;
        groups.entry((u.cell, prefixed)).or_default().push((0, unique));
    }
    let lists: Vec<Vec<u32>> = groups
        .into_values()
        .map(|mut list| {
            list.par_iter_mut().for_each(|(head, unique)| *head = head_of(requests, *unique));
            list.par_sort_unstable_by(|(x, a), (y, b)| {
                x.cmp(y).then_with(|| compare(requests, *a, *b)).then(a.cmp(b))
            });
            list.into_iter().map(|(_, unique)| unique).collect()
        })
        .collect();
    merged(requests, lists)
}

/// The first four tokens behind the shared prefix, as one number that sorts as they do.
fn head_of(requests: &Requests, unique: u32) -> u128 {
    let [_, tail, cont] = requests.tokens(unique);
    let tokens = tail.iter().chain(cont).map(|id| u128::from(*id) + 1);
    tokens.chain(std::iter::repeat(0)).take(4).fold(0, |head, id| head << 32 | id)
}

/// Merge sorted lists, halves at a time.
fn merged(requests: &Requests, mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    if lists.len() < 2 {
        return lists.pop().unwrap_or_default();
    }
    let rest = lists.split_off(lists.len() / 2);
    let (left, right) = rayon::join(|| merged(requests, lists), || merged(requests, rest));
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        let (a, b) = (left[i], right[j]);
        if compare(requests, a, b).then(a.cmp(&b)).is_le() {
            out.push(a);
            i += 1;
        } else {
            out.push(b);
            j += 1;
        }
    }
    out.extend(&left[i..]);
    out.extend(&right[j..]);
    out
}

fn same_context(requests: &Requests, a: u32, b: u32) -> bool {
    let (ua, ub) = (&requests.unique[a as usize], &requests.unique[b as usize]);
    ua.cell == ub.cell
        && requests.cells[ua.cell as usize]
            .expansion
            .same_context(ua.request as usize, ub.request as usize)
}

/// Token ids of a request: shared prefix, rest of the context, continuation.
type Runs<'a> = [&'a [u32]; 3];

/// The runs of two requests, without leading runs that are one and the same memory.
fn runs(requests: &Requests, a: u32, b: u32) -> (Runs<'_>, Runs<'_>, u32) {
    let (mut x, mut y) = (requests.tokens(a), requests.tokens(b));
    let mut skipped = 0;
    let shared = if same_context(requests, a, b) { 2 } else { 1 };
    for i in 0..shared {
        if shared == 2 || std::ptr::eq(x[i], y[i]) {
            skipped += x[i].len() as u32;
            (x[i], y[i]) = (&[], &[]);
        } else {
            break;
        }
    }
    (x, y, skipped)
}

/// Walk two run lists in step; `visit` sees equally long pieces and says whether to go on.
fn walk(x: Runs<'_>, y: Runs<'_>, mut visit: impl FnMut(&[u32], &[u32]) -> bool) -> Ordering {
    let (mut i, mut j) = (0, 0);
    let (mut p, mut q): (&[u32], &[u32]) = (x[0], y[0]);
    loop {
        while p.is_empty() && i < 2 {
            i += 1;
            p = x[i];
        }
        while q.is_empty() && j < 2 {
            j += 1;
            q = y[j];
        }
        if p.is_empty() || q.is_empty() {
            return (!p.is_empty()).cmp(&!q.is_empty());
        }
        let length = p.len().min(q.len());
        if !visit(&p[..length], &q[..length]) {
            return Ordering::Equal;
        }
        (p, q) = (&p[length..], &q[length..]);
    }
}

fn compare(requests: &Requests, a: u32, b: u32) -> Ordering {
    let (x, y, _) = runs(requests, a, b);
    let mut found = Ordering::Equal;
    let rest = walk(x, y, |p, q| {
        found = p.cmp(q);
        found.is_eq()
    });
    found.then(rest)
}

fn common(requests: &Requests, a: u32, b: u32) -> u32 {
    let (x, y, mut count) = runs(requests, a, b);
    walk(x, y, |p, q| {
        let equal = p.iter().zip(q).take_while(|(s, t)| s == t).count();
        count += equal as u32;
        equal == p.len()
    });
    count
}
