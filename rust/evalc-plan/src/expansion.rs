//! The columns that cases become: ids, targets, requests, token ids. No objects per case.

use crate::cases::Reading;
use crate::digest::Digest;
use crate::ids::{Ids, Runs, Tokens};
use crate::ir::Setting;
use crate::texts::Texts;
use bytemuck::{Pod, Zeroable};
use std::ops::Range;
use std::sync::OnceLock;

/// One request: `[prefix] + context tail + continuation`, the latter two as runs of an arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Request {
    /// First token of the context behind the prefix.
    tail: u64,
    /// Number of those tokens.
    tail_len: u32,
    /// First token of the continuation, counted from the first of the tail.
    cont: u32,
    /// Number of tokens of the continuation.
    cont_len: u32,
    /// Index into the expansion's settings; unused for log-likelihoods.
    pub setting: u16,
    /// Whether the expansion's shared prefix comes first.
    prefixed: u16,
}

/// A run of tokens in an arena.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    start: u64,
    len: u32,
}

impl Request {
    /// A request of two runs, of which the tail comes first.
    pub fn new(prefixed: bool, tail: Run, cont: Run, setting: u16) -> Request {
        Request {
            tail: tail.start,
            tail_len: tail.len,
            cont: (cont.start - tail.start) as u32,
            cont_len: cont.len,
            setting,
            prefixed: u16::from(prefixed),
        }
    }

    /// Whether the expansion's shared prefix comes first.
    pub fn prefixed(&self) -> bool {
        self.prefixed != 0
    }

    /// Whether two requests have one and the same context.
    pub fn same_context(&self, other: &Request) -> bool {
        (self.prefixed, self.tail, self.tail_len) == (other.prefixed, other.tail, other.tail_len)
    }

    fn moved(mut self, by: u64) -> Request {
        self.tail += by;
        self
    }
}

/// All cases of one task for one tokenizer, as columns.
#[derive(Default)]
pub struct Expansion {
    /// Case ids.
    pub ids: Texts,
    /// Row of each case in its table.
    pub rows: Vec<u32>,
    /// JSON targets.
    pub targets: Texts,
    /// Clusters, empty where the task has none.
    pub clusters: Texts,
    /// Per slice template: a value a case.
    pub slices: Vec<Texts>,
    /// Words of the text of a perplexity case.
    pub text_words: Vec<u32>,
    /// UTF-8 bytes of the text of a perplexity case.
    pub text_bytes: Vec<u32>,
    /// Requests of case i are `request_offsets[i]..request_offsets[i + 1]`.
    pub request_offsets: Vec<u32>,
    /// Requests.
    pub requests: Vec<Request>,
    /// Digest of each request, without model and engine. Dropped when keys are made of it.
    pub digests: Vec<Digest>,
    /// Characters of each request's choice text.
    pub choice_chars: Vec<u32>,
    /// UTF-8 bytes of each request's choice text.
    pub choice_bytes: Vec<u32>,
    /// Settings of generation requests.
    pub settings: Vec<Setting>,
    /// Per case: [`SPLIT_WORD`], [`TRUNCATED`], [`FORGED`] and [`UNSURE`].
    pub flags: Vec<u8>,
    /// Text that (nearly) all contexts start with, cut where its encoding is settled.
    pub prefix_text: String,
    /// Token ids of that text, with what the tokenizer puts before it.
    pub prefix: Ids,
    /// Token ids that runs point into.
    pub arena: Arena,
    /// Requests in the order of their token ids; see [`crate::order`].
    pub order: Vec<u32>,
    /// Tokens that each request of `order` shares with the one before.
    pub shared: Vec<u32>,
}

/// Flag of a case whose continuation does not start at a token boundary of the joined text.
pub const SPLIT_WORD: u8 = 1;
/// Flag of a case whose row spells a control token, which is asked as ordinary text.
pub const FORGED: u8 = 4;
/// Flag of a case whose context lost tokens at the left.
pub const TRUNCATED: u8 = 2;

/// Flag of a case whose target is the text of one choice and the index of another.
pub const UNSURE: u8 = 8;

/// The flag of how a target was read; see [`Reading`].
pub fn flag_of(reading: Reading) -> u8 {
    match reading {
        Reading::Sure => 0,
        Reading::Text => UNSURE,
        Reading::Flag => 16,
        Reading::Number => 32,
        Reading::Index => 64,
    }
}

/// Token ids, in memory or still in a memo file.
pub enum Arena {
    /// In memory.
    Held(Ids),
    /// Read when first asked for. A file that is gone or damaged by then reads as nothing, which
    /// [`Expansion::ready`] reports before anyone looks.
    Filed(Box<dyn TokenFile>, OnceLock<Option<Ids>>),
}

/// Where filed token ids are read from.
pub trait TokenFile: Send + Sync {
    /// All of them, or nothing if they cannot be had unchanged.
    fn read(&self) -> Option<Ids>;
}

static NO_IDS: Ids = Ids::Narrow(Vec::new());

impl Default for Arena {
    fn default() -> Self {
        Arena::Held(Ids::default())
    }
}

impl Arena {
    fn ids(&self) -> &Ids {
        match self {
            Arena::Held(ids) => ids,
            Arena::Filed(file, read) => {
                read.get_or_init(|| file.read()).as_ref().unwrap_or(&NO_IDS)
            }
        }
    }

    /// The ids themselves, read where they are filed.
    pub fn into_ids(self) -> Ids {
        match self {
            Arena::Held(ids) => ids,
            Arena::Filed(file, read) => {
                read.into_inner().unwrap_or_else(|| file.read()).unwrap_or_default()
            }
        }
    }

    fn held(&mut self) -> &mut Ids {
        if let Arena::Filed(..) = self {
            *self = Arena::Held(std::mem::take(self).into_ids());
        }
        match self {
            Arena::Held(ids) => ids,
            Arena::Filed(..) => unreachable!("just read"),
        }
    }
}

impl Expansion {
    /// The three runs of a request's token ids.
    pub fn tokens(&self, request: usize) -> Runs<'_> {
        let r = &self.requests[request];
        let arena = self.arena.ids().all();
        let prefix = if r.prefixed() { self.prefix.all() } else { Tokens::Narrow(&[]) };
        let cont = (r.tail + u64::from(r.cont)) as usize;
        [
            prefix,
            arena.slice(r.tail as usize, r.tail as usize + r.tail_len as usize),
            arena.slice(cont, cont + r.cont_len as usize),
        ]
    }

    /// Whether the token ids can be had; reads them.
    pub fn ready(&self) -> bool {
        match &self.arena {
            Arena::Held(_) => true,
            Arena::Filed(file, read) => read.get_or_init(|| file.read()).is_some(),
        }
    }

    /// Whether the token ids are in memory.
    pub fn held(&self) -> bool {
        match &self.arena {
            Arena::Held(_) => true,
            Arena::Filed(_, read) => read.get().is_some(),
        }
    }

    /// All token ids that runs point into.
    pub fn arena(&self) -> &Ids {
        self.arena.ids()
    }

    /// Number of cases.
    pub fn cases(&self) -> usize {
        self.flags.len()
    }

    /// Cases with a flag.
    pub fn flagged(&self, flag: u8) -> usize {
        self.flags.iter().filter(|flags| **flags & flag != 0).count()
    }

    /// Cases whose target is read as an index and says what another choice does. Where one number
    /// is the text of no choice, all numbers are indices.
    pub fn unsure_indices(&self) -> usize {
        let open = self.flagged(flag_of(Reading::Index)) == 0;
        self.flagged(flag_of(Reading::Flag) | if open { flag_of(Reading::Number) } else { 0 })
    }

    /// The first case with a flag.
    pub fn first_flagged(&self, flag: u8) -> Option<usize> {
        self.flags.iter().position(|flags| flags & flag != 0)
    }

    /// Tokens of the whole request and of its continuation.
    pub fn lengths(&self, request: usize) -> (u32, u32) {
        let r = &self.requests[request];
        let prefix = if r.prefixed() { self.prefix.len() as u32 } else { 0 };
        (prefix + r.tail_len + r.cont_len, r.cont_len)
    }

    /// An expansion without cases.
    pub fn blank(slices: usize) -> Expansion {
        Expansion {
            slices: vec![Texts::default(); slices],
            request_offsets: vec![0],
            ..Expansion::default()
        }
    }

    /// Keep token ids.
    pub fn push(&mut self, ids: &[u32]) -> Run {
        Run { start: self.arena.held().push(ids), len: ids.len() as u32 }
    }

    /// Put a run of cases of `from` behind these; `tokens` is where its arena starts in this one.
    /// Ids and rows, which the data say, are not taken.
    pub fn take(&mut self, from: &Expansion, cases: Range<usize>, tokens: u64) {
        let (first, last) = (from.request_offsets[cases.start], from.request_offsets[cases.end]);
        let requests = first as usize..last as usize;
        let base = self.requests.len() as u32;
        self.targets.extend(&from.targets, cases.start, cases.end);
        if !from.clusters.is_empty() {
            self.clusters.extend(&from.clusters, cases.start, cases.end);
        }
        for (column, source) in self.slices.iter_mut().zip(&from.slices) {
            column.extend(source, cases.start, cases.end);
        }
        if !from.text_words.is_empty() {
            self.text_words.extend_from_slice(&from.text_words[cases.clone()]);
            self.text_bytes.extend_from_slice(&from.text_bytes[cases.clone()]);
        }
        self.flags.extend_from_slice(&from.flags[cases.clone()]);
        let offsets = &from.request_offsets[cases.start + 1..=cases.end];
        self.request_offsets.extend(offsets.iter().map(|offset| offset - first + base));
        self.requests.extend(from.requests[requests.clone()].iter().map(|r| r.moved(tokens)));
        self.digests.extend_from_slice(&from.digests[requests.clone()]);
        self.choice_chars.extend_from_slice(&from.choice_chars[requests.clone()]);
        self.choice_bytes.extend_from_slice(&from.choice_bytes[requests]);
    }

    /// Put the cases of `part` behind these.
    pub fn append(&mut self, part: &Expansion) {
        let tokens = self.arena.held().append(part.arena());
        self.take(part, 0..part.cases(), tokens);
    }
}
