//! All requests of a plan: keyed, deduplicated within and across cells, subtracted by the cache.

use crate::digest::{Key, Namespace};
use crate::expansion::Expansion;
use rayon::prelude::*;
use std::sync::Arc;

/// One cell's share of the requests.
pub struct CellRequests {
    /// Model index of the Ir.
    pub model: usize,
    /// The cell's cases.
    pub expansion: Arc<Expansion>,
    /// Per request of the expansion: its index in [`Requests::unique`].
    pub unique: Vec<u32>,
}

/// A request that is asked at most once.
#[derive(Clone, Copy)]
pub struct Unique {
    /// Stored key.
    pub key: Key,
    /// First cell, in canonical order, that asks it.
    pub cell: u32,
    /// Request index in that cell's expansion.
    pub request: u32,
}

/// A request as its cell knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Cell that asks first.
    pub cell: u32,
    /// Request index in that cell's expansion.
    pub request: u32,
}

/// The requests of a plan, in key order.
pub struct Requests {
    /// Cells in canonical order.
    pub cells: Vec<CellRequests>,
    /// Every distinct request, sorted by key.
    pub unique: Vec<Unique>,
    /// Whether the cache has the record of each of `unique`.
    pub cached: Vec<bool>,
}

impl Requests {
    /// Key and deduplicate. `cells` gives model index, namespace and expansion of each cell.
    pub fn new(cells: Vec<(usize, Namespace, Arc<Expansion>)>) -> Requests {
        let total = cells.iter().map(|(_, _, expansion)| expansion.requests.len()).sum();
        let mut all: Vec<Unique> = Vec::with_capacity(total);
        for (cell, (_, namespace, expansion)) in cells.iter().enumerate() {
            let keyed = expansion.digests.par_iter().enumerate().map(|(request, digest)| Unique {
                key: namespace.key(digest),
                cell: cell as u32,
                request: request as u32,
            });
            all.par_extend(keyed);
        }
        all.par_sort_unstable_by_key(|u| (u.key, u.cell, u.request));
        let mut columns: Vec<Vec<u32>> =
            cells.iter().map(|(_, _, expansion)| vec![0; expansion.requests.len()]).collect();
        let mut count = 0;
        for index in 0..all.len() {
            let asked = all[index];
            if count == 0 || all[count - 1].key != asked.key {
                all[count] = asked;
                count += 1;
            }
            columns[asked.cell as usize][asked.request as usize] = count as u32 - 1;
        }
        all.truncate(count);
        all.shrink_to_fit();
        let cells = cells
            .into_iter()
            .zip(columns)
            .map(|((model, _, expansion), unique)| CellRequests { model, expansion, unique })
            .collect();
        Requests { cells, unique: all, cached: vec![false; count] }
    }

    /// The keys, sorted, into `out`, 32 bytes each.
    pub fn keys(&self, out: &mut [u8]) {
        for (place, unique) in out.chunks_exact_mut(32).zip(&self.unique) {
            place.copy_from_slice(&unique.key);
        }
    }

    /// Per cell and request: whether it remains to be asked, and is asked there first.
    pub fn open(&self) -> Vec<Vec<bool>> {
        let mut open: Vec<Vec<bool>> =
            self.cells.iter().map(|cell| vec![false; cell.unique.len()]).collect();
        for (unique, cached) in self.unique.iter().zip(&self.cached) {
            if !cached {
                open[unique.cell as usize][unique.request as usize] = true;
            }
        }
        open
    }

    /// The cell's cases of a request.
    pub fn expansion(&self, ask: Ask) -> &Expansion {
        &self.cells[ask.cell as usize].expansion
    }

    /// Index of a request in [`Requests::unique`].
    pub fn index(&self, ask: Ask) -> u32 {
        self.cells[ask.cell as usize].unique[ask.request as usize]
    }

    /// Tokens of the whole request and of its continuation.
    pub fn lengths(&self, ask: Ask) -> (u32, u32) {
        self.expansion(ask).lengths(ask.request as usize)
    }

    /// Tokens that the model must read: the last token of a continuation is only predicted.
    pub fn input_length(&self, ask: Ask) -> u32 {
        let (length, scored) = self.lengths(ask);
        length - u32::from(scored > 0)
    }
}
