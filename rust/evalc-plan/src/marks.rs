//! What the why-log keeps of a cell: a few bytes a case that tell whether it is the same.

use crate::digest::Key;
use crate::memo::RowDigest;
use rayon::prelude::*;

/// Columns of a cell's cases.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of the case's id.
    pub case: Vec<u64>,
    /// Of the bytes of its row.
    pub row: Vec<u64>,
    /// Sum over its requests of a part of their keys, each times 2 * position + 1.
    pub keys: Vec<u64>,
    /// Whether every request has a record.
    pub answered: Vec<bool>,
}

/// Eight bytes of BLAKE3 of a text.
pub fn of_text(text: &str) -> u64 {
    word(blake3::hash(text.as_bytes()).as_bytes())
}

/// Eight bytes of a row's digest.
pub fn of_row(digest: &RowDigest) -> u64 {
    word(digest)
}

/// The mark of the keys of a case's requests, in order.
pub fn of_keys<'a>(keys: impl Iterator<Item = &'a Key>) -> u64 {
    keys.zip(0_u64..).fold(0, |sum, (key, place)| {
        let part = word(key) ^ word(&key[8..]);
        sum.wrapping_add(part.wrapping_mul(2 * place + 1))
    })
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

impl Marks {
    /// Marks of `count` cases; `mark` gives those of one.
    pub fn of(count: usize, mark: impl Fn(usize) -> (u64, u64, u64, bool) + Send + Sync) -> Marks {
        let all: Vec<_> = (0..count).into_par_iter().with_min_len(1024).map(mark).collect();
        let mut marks = Marks::default();
        for (case, row, keys, answered) in all {
            marks.case.push(case);
            marks.row.push(row);
            marks.keys.push(keys);
            marks.answered.push(answered);
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::of_keys;

    #[test]
    fn the_order_and_the_number_of_keys_are_in_their_mark() {
        let key = |first: u8| -> [u8; 32] { std::array::from_fn(|i| first * (i as u8 + 1)) };
        let (a, b) = (key(1), key(2));
        let marks = [
            of_keys([&a, &b].into_iter()),
            of_keys([&b, &a].into_iter()),
            of_keys([&b].into_iter()),
        ];
        assert_ne!(marks[0], marks[1]);
        assert_ne!(marks[1], marks[2]);
    }
}
