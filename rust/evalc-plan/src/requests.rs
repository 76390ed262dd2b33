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
        let mut all: Vec<Unique> = cells
            .par_iter()
            .enumerate()
            .flat_map_iter(|(cell, (_, namespace, expansion))| {
                expansion.digests.iter().enumerate().map(move |(request, digest)| Unique {
                    key: namespace.key(digest),
                    cell: cell as u32,
                    request: request as u32,
                })
            })
            .collect();
        all.par_sort_unstable_by_key(|u| (u.key, u.cell, u.request));
        let mut columns: Vec<Vec<u32>> =
            cells.iter().map(|(_, _, expansion)| vec![0; expansion.requests.len()]).collect();
        let mut unique: Vec<Unique> = Vec::with_capacity(all.len());
        for asked in &all {
            if unique.last().is_none_or(|last| last.key != asked.key) {
                unique.push(*asked);
            }
            columns[asked.cell as usize][asked.request as usize] = unique.len() as u32 - 1;
        }
        unique.shrink_to_fit();
        let cells = cells
            .into_iter()
            .zip(columns)
            .map(|((model, _, expansion), unique)| CellRequests { model, expansion, unique })
            .collect();
        let cached = vec![false; unique.len()];
        Requests { cells, unique, cached }
    }

    /// The keys, sorted, back to back.
    pub fn keys(&self) -> Vec<u8> {
        self.unique.iter().flat_map(|u| u.key).collect()
    }

    /// Token ids of a unique request, in three runs.
    pub fn tokens(&self, unique: u32) -> [&[u32]; 3] {
        let u = &self.unique[unique as usize];
        self.cells[u.cell as usize].expansion.tokens(u.request as usize)
    }

    /// Tokens of the whole request and of its continuation.
    pub fn lengths(&self, unique: u32) -> (u32, u32) {
        let u = &self.unique[unique as usize];
        self.cells[u.cell as usize].expansion.lengths(u.request as usize)
    }

    /// Tokens that the model must read: the last token of a continuation is only predicted.
    pub fn input_length(&self, unique: u32) -> u32 {
        let (length, scored) = self.lengths(unique);
        length - u32::from(scored > 0)
    }
}
