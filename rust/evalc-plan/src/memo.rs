//! The expansion memo: what rows became last time, so that an unchanged row is not written,
//! tokenised or hashed again.
//!
//! Files are named by the digest of everything that their content depends on besides the rows:
//! `*.rows` (which rows a dataset selects, under which id), and what a task makes of a row for one
//! tokenizer: `*.cases` with `*.tokens`, and `*.later` with the cases of rows that came since. Rows
//! are recognised by the digest of their bytes.

use crate::digest::Digest;
use crate::expansion::{Arena, Expansion, TokenFile};
use crate::ids::Ids;
use crate::ir::{Dataset, Model, Task};
use crate::memo_file::{Reader, Writer};
use crate::texts::Texts;
use serde_json::json;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Digest of a row's bytes.
pub type RowDigest = [u8; 16];

/// Later cases are kept apart until there are more than one for this many others.
const LATER: usize = 16;

/// Where memo files are kept; without a folder nothing is remembered.
pub struct Memo {
    folder: Option<PathBuf>,
}

/// Which rows a dataset file selects, as remembered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KnownRows {
    /// Digest of the file.
    pub file: Digest,
    /// Digest of every looked-at row.
    pub digests: Vec<RowDigest>,
    /// Per looked-at row: 1, or 0 where the filter drops it.
    pub kept: Vec<u8>,
    /// Ids of the kept rows.
    pub ids: Texts,
}

/// What a task made of rows, as remembered. The expansion has no ids, rows and settings.
pub struct KnownCases {
    /// Digest of the row of each case.
    pub rows: Vec<RowDigest>,
    /// The cases.
    pub expansion: Expansion,
    /// Whether encodings were composed of parts.
    pub cut: bool,
    /// Cases of rows that came later, with the same prefix; they have no order.
    pub later: Option<(Vec<RowDigest>, Expansion)>,
}

impl Memo {
    /// A memo in `folder`.
    pub fn new(folder: Option<&Path>) -> Memo {
        Memo { folder: folder.map(Path::to_path_buf) }
    }

    /// Name of a dataset's selection.
    pub fn rows_name(dataset: &Dataset) -> String {
        name(&json!([
            "rows",
            dataset.format,
            dataset.compression,
            dataset.quote,
            dataset.rows,
            dataset.condition,
            dataset.id
        ]))
    }

    /// Name of a task's cases for a model's tokenizer. `rows` is what a case depends on besides its
    /// own row: the digests of the shots' data, and of the task's data where rows meet each other.
    pub fn cases_name(task: &Task, model: &Model, tokenizer: &str, rows: &[String]) -> String {
        let mut task = task.clone();
        task.name = String::new();
        task.program = None;
        task.shown = None;
        task.dataset = 0;
        if let Some(fewshot) = &mut task.fewshot {
            fewshot.dataset = 0;
        }
        name(&json!([
            "cases",
            task,
            tokenizer,
            model.max_length,
            model.chat,
            if model.chat { &model.system } else { &None },
            if model.chat { &model.date } else { &None },
            rows,
        ]))
    }

    /// The remembered selection of that name.
    pub fn rows(&self, name: &str) -> Option<KnownRows> {
        let mut reader = Reader::open(&self.path(name, "rows")?)?;
        let rows = KnownRows {
            file: reader.column()?.try_into().ok()?,
            digests: reader.column()?,
            kept: reader.column()?,
            ids: reader.texts()?,
        };
        reader.whole()?;
        let kept = rows.kept.iter().filter(|kept| **kept != 0).count();
        (rows.kept.len() == rows.digests.len() && kept == rows.ids.len()).then_some(rows)
    }

    /// Remember a selection.
    pub fn keep_rows(&self, name: &str, rows: &KnownRows) {
        let Some(path) = self.path(name, "rows") else { return };
        let mut writer = Writer::create(&path);
        writer.column(&rows.file).column(&rows.digests).column(&rows.kept).texts(&rows.ids);
        writer.finish();
    }

    /// The remembered cases of that name. Token ids stay in their file until they are needed.
    pub fn cases(&self, name: &str, slices: usize) -> Option<KnownCases> {
        let mut reader = Reader::open(&self.path(name, "cases")?)?;
        let tokens: Digest = reader.column()?.try_into().ok()?;
        let cut = reader.column::<u8>()? == [1];
        let rows: Vec<RowDigest> = reader.column()?;
        let mut expansion = columns(&mut reader, slices)?;
        expansion.order = reader.column()?;
        expansion.shared = reader.column()?;
        let base = reader.whole()?;
        let whole = expansion.cases() == rows.len()
            && expansion.order.len() == expansion.requests.len()
            && expansion.shared.len() == expansion.requests.len();
        let file = FiledTokens { path: self.path(name, "tokens")?, digest: tokens };
        expansion.arena = Arena::Filed(Box::new(file), OnceLock::new());
        let later = self.later(name, slices, &base).map(|(digests, mut later)| {
            later.prefix = expansion.prefix.clone();
            (digests, later)
        });
        whole.then_some(KnownCases { rows, expansion, cut, later })
    }

    /// The later cases that go with the cases file of checksum `base`.
    fn later(
        &self,
        name: &str,
        slices: usize,
        base: &Digest,
    ) -> Option<(Vec<RowDigest>, Expansion)> {
        let mut reader = Reader::open(&self.path(name, "later")?)?;
        let belongs: Vec<u8> = reader.column()?;
        let rows: Vec<RowDigest> = reader.column()?;
        let mut expansion = columns(&mut reader, slices)?;
        expansion.arena = Arena::Held(reader.ids()?);
        reader.whole()?;
        (belongs == base && expansion.cases() == rows.len()).then_some((rows, expansion))
    }

    /// Remember cases.
    pub fn keep_cases(&self, name: &str, rows: &[RowDigest], expansion: &Expansion, cut: bool) {
        let (Some(path), Some(tokens)) = (self.path(name, "cases"), self.path(name, "tokens"))
        else {
            return;
        };
        let mut writer = Writer::create(&tokens);
        writer.ids(expansion.arena());
        let digest = writer.finish();
        let mut writer = Writer::create(&path);
        writer.column(&digest).column(&[u8::from(cut)]).column(rows);
        put_columns(&mut writer, expansion);
        writer.column(&expansion.order).column(&expansion.shared);
        writer.finish();
    }

    /// Remember all later cases of that name, unless there are so many that they belong with the
    /// `others`; returns whether it did.
    pub fn keep_later(
        &self,
        name: &str,
        rows: &[RowDigest],
        expansion: &Expansion,
        others: usize,
    ) -> bool {
        let (Some(path), Some(base)) = (self.path(name, "later"), self.sum(name)) else {
            return false;
        };
        if rows.len() * LATER > others {
            return false;
        }
        let mut writer = Writer::create(&path);
        writer.column(&base).column(rows);
        put_columns(&mut writer, expansion);
        writer.ids(expansion.arena());
        writer.finish();
        true
    }

    /// Checksum that a cases file states.
    fn sum(&self, name: &str) -> Option<Digest> {
        Reader::open(&self.path(name, "cases")?).map(|reader| reader.stated())
    }

    fn path(&self, name: &str, kind: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{name}.{kind}")))
    }
}

/// Another build may write or tokenise prompts otherwise: its memo is another one. `build.rs` names
/// a build by its sources and the versions it is locked to.
fn name(fields: &serde_json::Value) -> String {
    let order = if cfg!(target_endian = "little") { "little" } else { "big" };
    let text = format!("{}\0{order}\0{fields}", build());
    blake3::hash(text.as_bytes()).to_hex()[..40].to_owned()
}

/// Name of this build of the planner.
pub fn build() -> &'static str {
    env!("EVALC_PLAN_SOURCES")
}

fn put_columns(writer: &mut Writer, expansion: &Expansion) {
    writer
        .column(expansion.prefix_text.as_bytes())
        .ids(&expansion.prefix)
        .texts(&expansion.targets)
        .texts(&expansion.clusters);
    for slice in &expansion.slices {
        writer.texts(slice);
    }
    writer
        .column(&expansion.text_words)
        .column(&expansion.text_bytes)
        .column(&expansion.flags)
        .column(&expansion.request_offsets)
        .column(&expansion.requests)
        .column(&expansion.digests)
        .column(&expansion.choice_chars)
        .column(&expansion.choice_bytes);
}

fn columns(reader: &mut Reader, slices: usize) -> Option<Expansion> {
    let mut expansion = Expansion::blank(slices);
    expansion.prefix_text = String::from_utf8(reader.column()?).ok()?;
    expansion.prefix = reader.ids()?;
    expansion.targets = reader.texts()?;
    expansion.clusters = reader.texts()?;
    for slice in &mut expansion.slices {
        *slice = reader.texts()?;
    }
    expansion.text_words = reader.column()?;
    expansion.text_bytes = reader.column()?;
    expansion.flags = reader.column()?;
    expansion.request_offsets = reader.column()?;
    expansion.requests = reader.column()?;
    expansion.digests = reader.column()?;
    expansion.choice_chars = reader.column()?;
    expansion.choice_bytes = reader.column()?;
    let whole = expansion.targets.len() == expansion.cases()
        && expansion.request_offsets.len() == expansion.cases() + 1
        && expansion.requests.len() == expansion.digests.len();
    whole.then_some(expansion)
}

struct FiledTokens {
    path: PathBuf,
    digest: Digest,
}

impl TokenFile for FiledTokens {
    fn read(&self) -> Option<Ids> {
        let mut reader = Reader::open(&self.path)?;
        let ids = reader.ids()?;
        (reader.whole()? == self.digest).then_some(ids)
    }
}

/// Rows by their digest.
pub type ByDigest = HashMap<RowDigest, usize, BuildHasherDefault<Head>>;

/// A map from row digests, of which equal ones keep the last.
pub fn by_digest(rows: &[RowDigest]) -> ByDigest {
    rows.iter().enumerate().map(|(index, digest)| (*digest, index)).collect()
}

/// The head of a digest is as good a hash as any made of it.
#[derive(Default)]
pub struct Head(u64);

impl Hasher for Head {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks_exact(8) {
            self.0 ^= u64::from_le_bytes(word.try_into().expect("eight bytes"));
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
