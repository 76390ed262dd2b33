//! Order and prefix tree: what requests share, and how they are cut into packs.

use crate::ids::{common, compare, Runs};
use crate::requests::{Ask, Requests};
use std::collections::BTreeMap;
use std::ops::Range;

/// Requests of one model and one setting in prefix-tree order.
pub struct Branch {
    /// Index into the plan's settings; none for log-likelihoods.
    pub setting: Option<u32>,
    /// Requests, sorted by token ids.
    pub order: Vec<Ask>,
    /// Tokens that each shares with the one before.
    pub shared: Vec<u32>,
}

impl Branch {
    /// The open requests of these cells, by setting. `base` is where each cell's settings start in
    /// the plan's list, nothing where it generates nothing.
    ///
    /// An expansion knows the order of its requests, and two neighbours of that order, when those
    /// between them are gone, share the least that any two of the neighbours between them do.
    pub fn all(
        requests: &Requests,
        cells: &[usize],
        open: &[Vec<bool>],
        base: &[Option<u32>],
    ) -> Vec<Branch> {
        let mut groups: BTreeMap<Option<u32>, Vec<Branch>> = BTreeMap::new();
        for cell in cells {
            for branch in of_cell(requests, *cell, &open[*cell], base[*cell]) {
                groups.entry(branch.setting).or_default().push(branch);
            }
        }
        groups.into_values().filter_map(|branches| merged(requests, branches)).collect()
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

    /// Put requests `from..to` of a sorted branch behind these.
    fn take(&mut self, requests: &Requests, other: &Branch, from: usize, to: usize) {
        if from == to {
            return;
        }
        let first = match self.order.last() {
            None => 0,
            Some(last) => common(&runs(requests, *last), &runs(requests, other.order[from])),
        };
        self.shared.push(first);
        self.shared.extend_from_slice(&other.shared[from + 1..to]);
        self.order.extend_from_slice(&other.order[from..to]);
    }

    /// Where packs of about `budget` fresh tokens and at most `limit` requests are cut.
    fn cuts(&self, requests: &Requests, budget: u64, limit: usize) -> Vec<Range<usize>> {
        let mut cuts = Vec::new();
        let (mut start, mut spent) = (0, 0);
        for i in 0..self.order.len() {
            let cost = u64::from(self.fresh(requests, i));
            if i > start && (spent + cost > budget || i - start >= limit) {
                cuts.push(start..i);
                (start, spent) = (i, 0);
            }
            spent += cost;
        }
        if start < self.order.len() {
            cuts.push(start..self.order.len());
        }
        cuts
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

/// The packs of some branches, in execution order; each is made when it is asked for.
pub struct Packs {
    branches: Vec<Branch>,
    cuts: Vec<(usize, Range<usize>)>,
}

impl Packs {
    /// Cut branches into packs of about `budget` fresh tokens and at most `limit` requests.
    pub fn of(requests: &Requests, branches: Vec<Branch>, budget: u64, limit: usize) -> Packs {
        let cut = |(index, branch): (usize, &Branch)| {
            let cuts = branch.cuts(requests, budget, limit);
            cuts.into_iter().map(move |range| (index, range))
        };
        let cuts = branches.iter().enumerate().flat_map(cut).collect();
        Packs { branches, cuts }
    }

    /// Number of packs.
    pub fn len(&self) -> usize {
        self.cuts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Make one pack; `requests` are those that were cut.
    pub fn get(&self, requests: &Requests, index: usize) -> Pack {
        let (branch, range) = &self.cuts[index];
        self.branches[*branch].pack(requests, range.start, range.end)
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

    fn node(&mut self, requests: &Requests, ask: Ask, from: u32, to: u32, parent: i32) -> i32 {
        let mut position = 0;
        for run in runs(requests, ask) {
            let clip = |at: u32| (at.max(position) - position).min(run.len() as u32) as usize;
            run.slice(clip(from), clip(to)).put(&mut self.tokens);
            position += run.len() as u32;
        }
        self.node_offsets.push(self.tokens.len() as u32);
        self.node_parent.push(parent);
        self.node_start.push(from);
        self.node_parent.len() as i32 - 1
    }

    fn request(&mut self, requests: &Requests, ask: Ask, node: i32) {
        self.req_node.push(node.max(0) as u32);
        self.req_cont.push(requests.lengths(ask).1);
        self.req_key.push(requests.index(ask));
    }
}

fn runs(requests: &Requests, ask: Ask) -> Runs<'_> {
    requests.expansion(ask).tokens(ask.request as usize)
}

fn of_cell(requests: &Requests, cell: usize, open: &[bool], base: Option<u32>) -> Vec<Branch> {
    let expansion = &requests.cells[cell].expansion;
    let count = expansion.settings.len().max(1);
    let mut branches: Vec<Branch> = (0..count as u32)
        .map(|setting| Branch {
            setting: base.map(|base| base + setting),
            order: Vec::new(),
            shared: Vec::new(),
        })
        .collect();
    let mut least = vec![u32::MAX; count];
    for (request, with) in expansion.order.iter().zip(&expansion.shared) {
        least.iter_mut().for_each(|least| *least = (*least).min(*with));
        if open[*request as usize] {
            let setting = expansion.requests[*request as usize].setting as usize;
            let branch = &mut branches[setting];
            branch.shared.push(if branch.order.is_empty() { 0 } else { least[setting] });
            branch.order.push(Ask { cell: cell as u32, request: *request });
            least[setting] = u32::MAX;
        }
    }
    branches.retain(|branch| !branch.order.is_empty());
    branches
}

/// Merge sorted branches, halves at a time.
fn merged(requests: &Requests, mut branches: Vec<Branch>) -> Option<Branch> {
    if branches.len() < 2 {
        return branches.pop();
    }
    let rest = branches.split_off(branches.len() / 2);
    let (left, right) = rayon::join(|| merged(requests, branches), || merged(requests, rest));
    let (left, right) = (left?, right?);
    let mut out = Branch { setting: left.setting, order: Vec::new(), shared: Vec::new() };
    let (mut i, mut j) = (0, 0);
    while i < left.order.len() && j < right.order.len() {
        let (head, other) = (runs(requests, left.order[i]), runs(requests, right.order[j]));
        // requests of different tasks mostly differ early, so that long runs of one come first
        if compare(&head, &other).is_le() {
            let end = gallop(&left.order, i, |ask| compare(&runs(requests, ask), &other).is_le());
            out.take(requests, &left, i, end);
            i = end;
        } else {
            let end = gallop(&right.order, j, |ask| compare(&runs(requests, ask), &head).is_lt());
            out.take(requests, &right, j, end);
            j = end;
        }
    }
    out.take(requests, &left, i, left.order.len());
    out.take(requests, &right, j, right.order.len());
    Some(out)
}

/// The first place behind `from` whose request is not `before`; that of `from` is.
fn gallop(order: &[Ask], from: usize, before: impl Fn(Ask) -> bool) -> usize {
    let mut step = 1;
    while from + step < order.len() && before(order[from + step]) {
        step *= 2;
    }
    let low = from + step / 2 + 1;
    let high = order.len().min(from + step);
    low + order[low.min(high)..high].partition_point(|ask| before(*ask))
}
