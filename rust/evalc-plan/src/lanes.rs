//! Keys of many draws at once: the hash of [`order_key`] for a text that begins alike and ends in
//! one of many ids.
//!
//! A case that draws examples for itself needs a key for every row they may be drawn from. One hash
//! is a single block, most of whose time is waiting for itself: sixteen are made side by side.

use crate::digest::{order_key, order_salt};
use crate::texts::Texts;

/// Hashes that are made side by side.
pub const LANES: usize = 16;

/// Bytes of a block.
const BLOCK: usize = 64;

/// Bytes of a chunk. What is longer is hashed by the library.
const CHUNK: usize = 1024;

const KEYED: u32 = 16;
const START: u32 = 1;
const END_OF_ROOT: u32 = 2 | 8;
const IV: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];
/// Which word of the message goes where, by round.
const SCHEDULE: [[usize; 16]; 7] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8],
    [3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1],
    [10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6],
    [12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4],
    [9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7],
    [11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13],
];

/// One word of each lane.
type Lane = [u32; LANES];

/// Ids as words, side by side, those of about one length together.
#[derive(Debug, Default)]
pub struct Ids {
    groups: Vec<Group>,
    words: Vec<Lane>,
}

#[derive(Debug)]
struct Group {
    /// Which ids these are.
    places: Vec<u32>,
    /// Their bytes.
    lengths: Lane,
    /// Their words in [`Ids::words`].
    words: std::ops::Range<usize>,
}

impl Ids {
    /// Of a column of ids.
    pub fn new(ids: &Texts) -> Ids {
        let mut places: Vec<u32> = (0..ids.len() as u32).collect();
        places.sort_by_key(|place| ids.get(*place as usize).len());
        let mut all = Ids::default();
        for places in places.chunks(LANES) {
            let first = all.words.len();
            let mut lengths = [0; LANES];
            for (lane, place) in places.iter().enumerate() {
                let id = ids.get(*place as usize).as_bytes();
                lengths[lane] = id.len() as u32;
                if id.len() >= CHUNK {
                    continue;
                }
                let words = id.len().div_ceil(4);
                all.words.resize(all.words.len().max(first + words), [0; LANES]);
                for (word, bytes) in all.words[first..].iter_mut().zip(id.chunks(4)) {
                    let mut padded = [0; 4];
                    padded[..bytes.len()].copy_from_slice(bytes);
                    word[lane] = u32::from_le_bytes(padded);
                }
            }
            // lanes without an id are as long as the last that has one
            let last = lengths[places.len() - 1];
            lengths[places.len()..].fill(last);
            let words = first..all.words.len();
            all.groups.push(Group { places: places.to_vec(), lengths, words });
        }
        all
    }

    /// For every id: its place, and `order_key(0, start + id)`. A key above the bound that `take`
    /// gave last may be left out.
    pub fn keys(&self, ids: &Texts, start: &str, take: impl FnMut(u128, u32) -> u128) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for
            #[allow(unsafe_code)] // safe Rust cannot say so; it halves the time
            return unsafe { self.wide(ids, start, take) };
        }
        self.plain(ids, start, take);
    }

    /// The same, where registers hold eight words.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn wide(&self, ids: &Texts, start: &str, take: impl FnMut(u128, u32) -> u128) {
        self.plain(ids, start, take);
    }

    #[inline(always)]
    fn plain(&self, ids: &Texts, start: &str, mut take: impl FnMut(u128, u32) -> u128) {
        let salt = words(&order_salt(0));
        let mut head: Vec<u32> = words(start.as_bytes());
        let (whole, shift) = (start.len() / 4, start.len() % 4 * 8);
        head.resize(head.len().next_multiple_of(BLOCK / 4), 0);
        let mut text = start.to_owned();
        let mut bound = u128::MAX;
        for group in &self.groups {
            let blocks = |lane: usize| (start.len() + group.lengths[lane] as usize).div_ceil(BLOCK);
            let count = blocks(LANES - 1).max(1);
            if count * BLOCK > CHUNK || blocks(0).max(1) != count {
                for place in &group.places {
                    text.truncate(start.len());
                    text.push_str(ids.get(*place as usize));
                    bound = take(order_key(0, &text), *place);
                }
                continue;
            }
            let tail = &self.words[group.words.clone()];
            let word = |index: usize| -> Lane {
                let from = head.get(index).copied().unwrap_or(0);
                let part = |index: Option<usize>| index.and_then(|i| tail.get(i));
                let mut out = [from; LANES];
                if let Some(here) = part(index.checked_sub(whole)) {
                    (0..LANES).for_each(|lane| out[lane] |= here[lane] << shift);
                }
                match part(index.checked_sub(whole + 1)) {
                    Some(before) if shift > 0 => {
                        (0..LANES).for_each(|lane| out[lane] |= before[lane] >> (32 - shift));
                    }
                    _ => {}
                }
                out
            };
            let mut chain: [Lane; 8] = std::array::from_fn(|i| [salt[i]; LANES]);
            for block in 0..count {
                let message: [Lane; 16] = std::array::from_fn(|i| word(block * 16 + i));
                let first = if block == 0 { START } else { 0 };
                let (flags, lengths) = if block + 1 == count {
                    let done = (start.len(), block * BLOCK);
                    let left = group.lengths.map(|length| length + done.0 as u32 - done.1 as u32);
                    (KEYED | first | END_OF_ROOT, left)
                } else {
                    (KEYED | first, [BLOCK as u32; LANES])
                };
                compress(&mut chain, &message, &lengths, flags);
            }
            for (lane, place) in group.places.iter().enumerate() {
                let top = !chain[0][lane].swap_bytes();
                if top <= (bound >> 96) as u32 {
                    let rest = (1..4).map(|i| !chain[i][lane].swap_bytes());
                    let key = rest.fold(u128::from(top), |key, word| key << 32 | u128::from(word));
                    bound = take(key, *place);
                }
            }
        }
    }
}

/// Bytes as words, the last one padded.
fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |bytes: &[u8]| {
        let mut padded = [0; 4];
        padded[..bytes.len()].copy_from_slice(bytes);
        u32::from_le_bytes(padded)
    };
    bytes.chunks(4).map(word).collect()
}

/// BLAKE3's compression of one block. A plain loop over lanes without a branch: the compiler makes
/// several of them at once.
#[inline(always)]
fn compress(chain: &mut [Lane; 8], message: &[Lane; 16], lengths: &Lane, flags: u32) {
    for lane in 0..LANES {
        let m: [u32; 16] = std::array::from_fn(|i| message[i][lane]);
        let c: [u32; 8] = std::array::from_fn(|i| chain[i][lane]);
        let mut v = [
            c[0],
            c[1],
            c[2],
            c[3],
            c[4],
            c[5],
            c[6],
            c[7],
            IV[0],
            IV[1],
            IV[2],
            IV[3],
            0,
            0,
            lengths[lane],
            flags,
        ];
        round::<0>(&mut v, &m);
        round::<1>(&mut v, &m);
        round::<2>(&mut v, &m);
        round::<3>(&mut v, &m);
        round::<4>(&mut v, &m);
        round::<5>(&mut v, &m);
        round::<6>(&mut v, &m);
        (0..8).for_each(|i| chain[i][lane] = v[i] ^ v[i + 8]);
    }
}

#[inline(always)]
fn round<const R: usize>(v: &mut [u32; 16], m: &[u32; 16]) {
    let m: [u32; 16] = std::array::from_fn(|i| m[const { SCHEDULE[R] }[i]]);
    mix(v, [0, 4, 8, 12], m[0], m[1]);
    mix(v, [1, 5, 9, 13], m[2], m[3]);
    mix(v, [2, 6, 10, 14], m[4], m[5]);
    mix(v, [3, 7, 11, 15], m[6], m[7]);
    mix(v, [0, 5, 10, 15], m[8], m[9]);
    mix(v, [1, 6, 11, 12], m[10], m[11]);
    mix(v, [2, 7, 8, 13], m[12], m[13]);
    mix(v, [3, 4, 9, 14], m[14], m[15]);
}

#[inline(always)]
fn mix(v: &mut [u32; 16], [a, b, c, d]: [usize; 4], x: u32, y: u32) {
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(12);
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
    v[d] = (v[d] ^ v[a]).rotate_right(8);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(7);
}
