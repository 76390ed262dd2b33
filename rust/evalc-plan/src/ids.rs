//! Token ids in two bytes each where all of them fit, else in four.

use std::cmp::Ordering;

/// A buffer of token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// No id is above 65,535.
    Narrow(Vec<u16>),
    /// Some id may be.
    Wide(Vec<u32>),
}

/// A run of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens<'a> {
    /// Of a narrow buffer.
    Narrow(&'a [u16]),
    /// Of a wide one.
    Wide(&'a [u32]),
}

impl Default for Ids {
    fn default() -> Self {
        Ids::Narrow(Vec::new())
    }
}

impl Ids {
    /// Number of ids.
    pub fn len(&self) -> usize {
        match self {
            Ids::Narrow(ids) => ids.len(),
            Ids::Wide(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Put ids at the end; returns where they start.
    pub fn push(&mut self, ids: &[u32]) -> u64 {
        let start = self.len() as u64;
        if ids.iter().any(|id| *id > u32::from(u16::MAX)) {
            self.widen();
        }
        match self {
            Ids::Narrow(held) => held.extend(ids.iter().map(|id| *id as u16)),
            Ids::Wide(held) => held.extend_from_slice(ids),
        }
        start
    }

    /// Put all ids of another buffer behind these; returns where they start.
    pub fn append(&mut self, other: &Ids) -> u64 {
        let start = self.len() as u64;
        if let Ids::Wide(_) = other {
            self.widen();
        }
        match (&mut *self, other) {
            (Ids::Narrow(held), Ids::Narrow(more)) => held.extend_from_slice(more),
            (Ids::Wide(held), Ids::Wide(more)) => held.extend_from_slice(more),
            (Ids::Wide(held), Ids::Narrow(more)) => {
                held.extend(more.iter().map(|id| u32::from(*id)))
            }
            (Ids::Narrow(_), Ids::Wide(_)) => unreachable!("just widened"),
        }
        start
    }

    fn widen(&mut self) {
        if let Ids::Narrow(ids) = self {
            *self = Ids::Wide(ids.iter().map(|id| u32::from(*id)).collect());
        }
    }

    /// All ids.
    pub fn all(&self) -> Tokens<'_> {
        match self {
            Ids::Narrow(ids) => Tokens::Narrow(ids),
            Ids::Wide(ids) => Tokens::Wide(ids),
        }
    }
}

impl From<&[u32]> for Ids {
    fn from(ids: &[u32]) -> Ids {
        let mut out = Ids::default();
        out.push(ids);
        out
    }
}

impl Tokens<'_> {
    /// Number of ids.
    pub fn len(self) -> usize {
        match self {
            Tokens::Narrow(ids) => ids.len(),
            Tokens::Wide(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Id `index`.
    pub fn get(self, index: usize) -> u32 {
        match self {
            Tokens::Narrow(ids) => u32::from(ids[index]),
            Tokens::Wide(ids) => ids[index],
        }
    }

    /// Ids `from..to`.
    pub fn slice(self, from: usize, to: usize) -> Self {
        match self {
            Tokens::Narrow(ids) => Tokens::Narrow(&ids[from..to]),
            Tokens::Wide(ids) => Tokens::Wide(&ids[from..to]),
        }
    }

    /// Put the ids behind those of `out`.
    pub fn put(self, out: &mut Vec<u32>) {
        match self {
            Tokens::Narrow(ids) => out.extend(ids.iter().map(|id| u32::from(*id))),
            Tokens::Wide(ids) => out.extend_from_slice(ids),
        }
    }

    /// The ids as a vector.
    pub fn to_vec(self) -> Vec<u32> {
        let mut out = Vec::with_capacity(self.len());
        self.put(&mut out);
        out
    }

    /// How many leading ids two runs share.
    pub fn common(self, other: Tokens<'_>) -> usize {
        match (self, other) {
            (Tokens::Narrow(a), Tokens::Narrow(b)) if std::ptr::eq(a, b) => a.len(),
            (Tokens::Wide(a), Tokens::Wide(b)) if std::ptr::eq(a, b) => a.len(),
            (Tokens::Narrow(a), Tokens::Narrow(b)) => same(a, b),
            (Tokens::Wide(a), Tokens::Wide(b)) => same(a, b),
            (Tokens::Narrow(a), Tokens::Wide(b)) => mixed(a, b),
            (Tokens::Wide(a), Tokens::Narrow(b)) => mixed(b, a),
        }
    }
}

/// Leading equal items, sixteen at a time while they are.
fn same<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    const STEP: usize = 16;
    let most = a.len().min(b.len());
    let mut at = 0;
    while at + STEP <= most && a[at..at + STEP] == b[at..at + STEP] {
        at += STEP;
    }
    at + a[at..most].iter().zip(&b[at..most]).take_while(|(x, y)| x == y).count()
}

fn mixed(a: &[u16], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| u32::from(**x) == **y).count()
}

/// Token ids of a request: shared prefix, rest of the context, continuation.
pub type Runs<'a> = [Tokens<'a>; 3];

/// How many leading ids two requests share.
pub fn common(x: &Runs<'_>, y: &Runs<'_>) -> u32 {
    let (mut i, mut j, mut p, mut q, mut count) = (0, 0, 0, 0, 0);
    loop {
        while i < 3 && p == x[i].len() {
            (i, p) = (i + 1, 0);
        }
        while j < 3 && q == y[j].len() {
            (j, q) = (j + 1, 0);
        }
        if i == 3 || j == 3 {
            return count as u32;
        }
        let length = (x[i].len() - p).min(y[j].len() - q);
        let equal = x[i].slice(p, p + length).common(y[j].slice(q, q + length));
        count += equal;
        if equal < length {
            return count as u32;
        }
        (p, q) = (p + length, q + length);
    }
}

/// Number of ids of a request.
pub fn length(runs: &Runs<'_>) -> usize {
    runs.iter().map(|run| run.len()).sum()
}

/// Id at a position of a request.
pub fn at(runs: &Runs<'_>, mut index: usize) -> u32 {
    for run in runs {
        if index < run.len() {
            return run.get(index);
        }
        index -= run.len();
    }
    unreachable!("an index within the request")
}

/// The order of two requests by their ids.
pub fn compare(x: &Runs<'_>, y: &Runs<'_>) -> Ordering {
    let shared = common(x, y) as usize;
    let (a, b) = (length(x), length(y));
    if shared == a.min(b) {
        a.cmp(&b)
    } else {
        at(x, shared).cmp(&at(y, shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(ids: &[Ids; 3]) -> Runs<'_> {
        [ids[0].all(), ids[1].all(), ids[2].all()]
    }

    fn cut(ids: &[u32], a: usize, b: usize) -> [Ids; 3] {
        let (a, b) = (a.min(ids.len()), b.min(ids.len()));
        [Ids::from(&ids[..a.min(b)]), Ids::from(&ids[a.min(b)..b]), Ids::from(&ids[b..])]
    }

    #[test]
    fn requests_compare_as_their_whole_ids_do_however_they_are_cut() {
        let whole: [&[u32]; 6] =
            [&[1, 2, 3, 4], &[1, 2, 3], &[1, 2, 70_000, 4], &[1, 2, 70_000], &[2; 40], &[2; 41]];
        for x in whole {
            for y in whole {
                for (a, b) in [(0, 0), (1, 2), (2, 2), (3, 20)] {
                    let (p, q) = (cut(x, a, b), cut(y, b, a));
                    assert_eq!(compare(&runs(&p), &runs(&q)), x.cmp(y));
                    let shared = x.iter().zip(y).take_while(|(s, t)| s == t).count();
                    assert_eq!(common(&runs(&p), &runs(&q)) as usize, shared);
                }
            }
        }
    }

    #[test]
    fn a_buffer_widens_at_the_first_id_that_needs_it() {
        let mut ids = Ids::from(&[1, 65_535][..]);
        assert!(matches!(ids, Ids::Narrow(_)));
        assert_eq!(ids.push(&[65_536]), 2);
        assert_eq!(ids.all().to_vec(), [1, 65_535, 65_536]);
        let mut narrow = Ids::from(&[5][..]);
        narrow.append(&ids);
        ids.append(&Ids::from(&[5][..]));
        assert_eq!(narrow.all().to_vec(), [5, 1, 65_535, 65_536]);
        assert_eq!(ids.all().to_vec(), [1, 65_535, 65_536, 5]);
    }
}
