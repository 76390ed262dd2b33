//! The columns that cases become: ids, targets, requests, token ids. No objects per case.

use crate::digest::Digest;
use crate::ir::Setting;
use std::sync::OnceLock;

/// A run of tokens in an arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First token.
    pub start: u64,
    /// Number of tokens.
    pub len: u32,
}

impl Run {
    fn of(self, arena: &[u32]) -> &[u32] {
        &arena[self.start as usize..self.start as usize + self.len as usize]
    }
}

/// One request: `[prefix] + context tail + continuation`.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Whether the expansion's shared prefix comes first.
    pub prefixed: bool,
    /// Context tokens behind the prefix.
    pub tail: Run,
    /// Continuation.
    pub cont: Run,
    /// Index into the expansion's settings; unused for log-likelihoods.
    pub setting: u16,
}

/// All cases of one task for one tokenizer, as columns.
#[derive(Default)]
pub struct Expansion {
    /// Case ids.
    pub ids: Vec<Box<str>>,
    /// Row of each case in its table.
    pub rows: Vec<u32>,
    /// JSON targets.
    pub targets: Vec<Box<str>>,
    /// Clusters, empty where the task has none.
    pub clusters: Vec<Box<str>>,
    /// Per slice template: a value a case.
    pub slices: Vec<Vec<Box<str>>>,
    /// Words of the text of a perplexity case.
    pub text_words: Vec<u32>,
    /// UTF-8 bytes of the text of a perplexity case.
    pub text_bytes: Vec<u32>,
    /// Requests of case i are `request_offsets[i]..request_offsets[i + 1]`.
    pub request_offsets: Vec<u32>,
    /// Requests.
    pub requests: Vec<Request>,
    /// Digest of each request, without model and engine.
    pub digests: Vec<Digest>,
    /// Characters of each request's choice text.
    pub choice_chars: Vec<u32>,
    /// UTF-8 bytes of each request's choice text.
    pub choice_bytes: Vec<u32>,
    /// Settings of generation requests.
    pub settings: Vec<Setting>,
    /// Per case: [`SPLIT_WORD`] and [`TRUNCATED`].
    pub flags: Vec<u8>,
    /// Text that (nearly) all contexts start with, cut where its encoding is settled.
    pub prefix_text: String,
    /// Token ids of that text, with what the tokenizer puts before it.
    pub prefix: Vec<u32>,
    /// Token ids that runs point into.
    pub arena: Arena,
}

/// Flag of a case whose continuation does not start at a token boundary of the joined text.
pub const SPLIT_WORD: u8 = 1;
/// Flag of a case whose context lost tokens at the left.
pub const TRUNCATED: u8 = 2;

/// Token ids, in memory or still in a memo file.
pub enum Arena {
    /// In memory.
    Held(Vec<u32>),
    /// Read when first asked for. A file that is gone or damaged by then reads as nothing, which
    /// [`Expansion::ready`] reports before anyone looks.
    Filed(Box<dyn TokenFile>, OnceLock<Option<Vec<u32>>>),
}

/// Where filed token ids are read from.
pub trait TokenFile: Send + Sync {
    /// All of them, or nothing if they cannot be had unchanged.
    fn read(&self) -> Option<Vec<u32>>;
}

impl Default for Arena {
    fn default() -> Self {
        Arena::Held(Vec::new())
    }
}

impl Arena {
    fn ids(&self) -> &[u32] {
        match self {
            Arena::Held(ids) => ids,
            Arena::Filed(file, read) => read.get_or_init(|| file.read()).as_deref().unwrap_or(&[]),
        }
    }

    fn held(&mut self) -> &mut Vec<u32> {
        if let Arena::Filed(..) = self {
            *self = Arena::Held(self.ids().to_vec());
        }
        match self {
            Arena::Held(ids) => ids,
            Arena::Filed(..) => unreachable!("just read"),
        }
    }
}

impl Expansion {
    /// The three runs of a request's token ids.
    pub fn tokens(&self, request: usize) -> [&[u32]; 3] {
        let r = &self.requests[request];
        let prefix: &[u32] = if r.prefixed { &self.prefix } else { &[] };
        let arena = self.arena.ids();
        [prefix, r.tail.of(arena), r.cont.of(arena)]
    }

    /// Whether the token ids can be had; reads them.
    pub fn ready(&self) -> bool {
        match &self.arena {
            Arena::Held(_) => true,
            Arena::Filed(file, read) => read.get_or_init(|| file.read()).is_some(),
        }
    }

    /// All token ids that runs point into.
    pub fn arena(&self) -> &[u32] {
        self.arena.ids()
    }

    /// Cases with a flag.
    pub fn flagged(&self, flag: u8) -> usize {
        self.flags.iter().filter(|flags| **flags & flag != 0).count()
    }

    /// Tokens of the whole request and of its continuation.
    pub fn lengths(&self, request: usize) -> (u32, u32) {
        let r = &self.requests[request];
        let prefix = if r.prefixed { self.prefix.len() as u32 } else { 0 };
        (prefix + r.tail.len + r.cont.len, r.cont.len)
    }

    /// Where two requests share their context run, that alone tells them equal up to it.
    pub fn same_context(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.requests[a], &self.requests[b]);
        a.prefixed == b.prefixed && a.tail == b.tail
    }

    /// An expansion without cases.
    pub fn blank(slices: usize) -> Expansion {
        Expansion {
            slices: vec![Vec::new(); slices],
            request_offsets: vec![0],
            ..Expansion::default()
        }
    }

    /// Keep token ids.
    pub fn push(&mut self, ids: &[u32]) -> Run {
        let arena = self.arena.held();
        let start = arena.len() as u64;
        arena.extend_from_slice(ids);
        Run { start, len: ids.len() as u32 }
    }

    /// Put case `index` of `from` behind these; `tokens` is where its arena starts in this one.
    pub fn take(&mut self, from: &Expansion, index: usize, tokens: u64) {
        let (start, end) = (from.request_offsets[index], from.request_offsets[index + 1]);
        let requests = start as usize..end as usize;
        self.targets.push(from.targets[index].clone());
        self.clusters.extend(from.clusters.get(index).cloned());
        for (column, source) in self.slices.iter_mut().zip(&from.slices) {
            column.push(source[index].clone());
        }
        self.text_words.extend(from.text_words.get(index));
        self.text_bytes.extend(from.text_bytes.get(index));
        self.flags.push(from.flags[index]);
        self.requests.extend(from.requests[requests.clone()].iter().map(|r| Request {
            tail: Run { start: r.tail.start + tokens, ..r.tail },
            cont: Run { start: r.cont.start + tokens, ..r.cont },
            ..*r
        }));
        self.digests.extend(&from.digests[requests.clone()]);
        self.choice_chars.extend(&from.choice_chars[requests.clone()]);
        self.choice_bytes.extend(&from.choice_bytes[requests]);
        self.request_offsets.push(self.requests.len() as u32);
    }

    /// Put the cases of `part` behind these.
    pub fn append(&mut self, mut part: Expansion) {
        let (requests, tokens) = (self.requests.len() as u32, self.arena.ids().len() as u64);
        self.ids.append(&mut part.ids);
        self.rows.append(&mut part.rows);
        self.targets.append(&mut part.targets);
        self.clusters.append(&mut part.clusters);
        for (whole, part) in self.slices.iter_mut().zip(&mut part.slices) {
            whole.append(part);
        }
        self.text_words.append(&mut part.text_words);
        self.text_bytes.append(&mut part.text_bytes);
        self.request_offsets.extend(part.request_offsets[1..].iter().map(|o| o + requests));
        self.requests.extend(part.requests.iter().map(|r| Request {
            tail: Run { start: r.tail.start + tokens, ..r.tail },
            cont: Run { start: r.cont.start + tokens, ..r.cont },
            ..*r
        }));
        self.digests.append(&mut part.digests);
        self.choice_chars.append(&mut part.choice_chars);
        self.choice_bytes.append(&mut part.choice_bytes);
        self.flags.append(&mut part.flags);
        self.arena.held().append(part.arena.held());
    }
}
