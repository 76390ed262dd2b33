//! The expansion memo: what rows became last time, so that an unchanged row is not written,
//! tokenised or hashed again.
//!
//! Two kinds of file, each named by the digest of everything that its content depends on besides
//! the rows: `*.rows` (which rows a dataset selects, under which id) and `*.cases` with `*.tokens`
//! (what a task makes of a row for one tokenizer). Rows are recognised by the digest of their
//! bytes. A file carries a checksum; one that is damaged, foreign or of another version is not
//! there. Files are replaced by rename, and a failure to write one is no failure of the plan.

use crate::digest::Digest;
use crate::expansion::{Arena, Expansion, Request, Run, TokenFile};
use crate::ir::{Dataset, Model, Task};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Digest of a row's bytes.
pub type RowDigest = [u8; 16];

const MAGIC: &[u8; 16] = b"evalc.memo.v0001";
const HEADER: usize = 48;

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
    /// Id of the row, or nothing where the filter drops it.
    pub ids: Vec<Option<Box<str>>>,
}

/// What a task made of rows, as remembered. The expansion has no ids, rows and settings.
pub struct KnownCases {
    /// Digest of the row of each case.
    pub rows: Vec<RowDigest>,
    /// The cases.
    pub expansion: Expansion,
    /// Whether encodings were composed of parts.
    pub cut: bool,
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
        let content = read(&self.path(name, "rows")?)?;
        let mut reader = Reader { rest: &content };
        let file = reader.bytes()?.try_into().ok()?;
        let digests = reader.digests()?;
        let kept = reader.bytes()?.to_vec();
        let mut texts = reader.texts()?.into_iter();
        let ids: Option<Vec<Option<Box<str>>>> = kept
            .iter()
            .map(|k| if *k == 1 { texts.next().map(Some) } else { Some(None) })
            .collect();
        let ids = ids?;
        (ids.len() == digests.len()).then_some(KnownRows { file, digests, ids })
    }

    /// Remember a selection.
    pub fn keep_rows(&self, name: &str, rows: &KnownRows) {
        let Some(path) = self.path(name, "rows") else { return };
        let mut out = Writer::default();
        out.bytes(&rows.file);
        out.bytes(&rows.digests.concat());
        out.bytes(&rows.ids.iter().map(|id| u8::from(id.is_some())).collect::<Vec<_>>());
        out.texts(rows.ids.iter().flatten());
        write(&path, &out.content);
    }

    /// The remembered cases of that name. Token ids stay in their file until they are needed.
    pub fn cases(&self, name: &str, slices: usize) -> Option<KnownCases> {
        let content = read(&self.path(name, "cases")?)?;
        let mut reader = Reader { rest: &content };
        let tokens: Digest = reader.bytes()?.try_into().ok()?;
        let cut = reader.bytes()? == [1];
        let rows = reader.digests()?;
        let mut expansion = Expansion::blank(slices);
        expansion.prefix_text = String::from_utf8(reader.bytes()?.to_vec()).ok()?;
        expansion.prefix = reader.u32s()?;
        expansion.targets = reader.texts()?;
        expansion.clusters = reader.texts()?;
        for slice in &mut expansion.slices {
            *slice = reader.texts()?;
        }
        expansion.text_words = reader.u32s()?;
        expansion.text_bytes = reader.u32s()?;
        expansion.flags = reader.bytes()?.to_vec();
        expansion.request_offsets = reader.u32s()?;
        expansion.requests = reader.requests()?;
        expansion.digests = reader
            .bytes()?
            .chunks_exact(32)
            .map(|d| d.try_into())
            .collect::<Result<_, _>>()
            .ok()?;
        expansion.choice_chars = reader.u32s()?;
        expansion.choice_bytes = reader.u32s()?;
        let file = FiledTokens { path: self.path(name, "tokens")?, digest: tokens };
        expansion.arena = Arena::Filed(Box::new(file), OnceLock::new());
        let whole = expansion.targets.len() == rows.len()
            && expansion.flags.len() == rows.len()
            && expansion.request_offsets.len() == rows.len() + 1
            && expansion.requests.len() == expansion.digests.len();
        whole.then_some(KnownCases { rows, expansion, cut })
    }

    /// Remember cases.
    pub fn keep_cases(&self, name: &str, rows: &[RowDigest], expansion: &Expansion, cut: bool) {
        let (Some(path), Some(tokens)) = (self.path(name, "cases"), self.path(name, "tokens"))
        else {
            return;
        };
        let ids = pack(expansion.arena());
        let mut out = Writer::default();
        out.bytes(blake3::hash(&ids).as_bytes());
        out.bytes(&[u8::from(cut)]);
        out.bytes(&rows.concat());
        out.bytes(expansion.prefix_text.as_bytes());
        out.u32s(&expansion.prefix);
        out.texts(&expansion.targets);
        out.texts(&expansion.clusters);
        for slice in &expansion.slices {
            out.texts(slice);
        }
        out.u32s(&expansion.text_words);
        out.u32s(&expansion.text_bytes);
        out.bytes(&expansion.flags);
        out.u32s(&expansion.request_offsets);
        out.requests(&expansion.requests);
        out.bytes(&expansion.digests.concat());
        out.u32s(&expansion.choice_chars);
        out.u32s(&expansion.choice_bytes);
        write(&tokens, &ids);
        write(&path, &out.content);
    }

    fn path(&self, name: &str, kind: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{name}.{kind}")))
    }
}

/// Another build may write or tokenise prompts otherwise: its memo is another one. `build.rs` names
/// a build by its sources and the versions it is locked to.
fn name(fields: &serde_json::Value) -> String {
    let text = format!("{}\0{fields}", env!("EVALC_PLAN_SOURCES"));
    blake3::hash(text.as_bytes()).to_hex()[..40].to_owned()
}

struct FiledTokens {
    path: PathBuf,
    digest: Digest,
}

impl TokenFile for FiledTokens {
    fn read(&self) -> Option<Vec<u32>> {
        let content = read(&self.path)?;
        let same = blake3::Hasher::new().update_rayon(&content).finalize() == self.digest;
        if same {
            unpack(&content)
        } else {
            None
        }
    }
}

/// Token ids in two bytes each where the largest allows, else in four; the first byte says which.
fn pack(ids: &[u32]) -> Vec<u8> {
    let small = ids.iter().all(|id| *id <= u32::from(u16::MAX));
    let mut out = Vec::with_capacity(1 + ids.len() * if small { 2 } else { 4 });
    out.push(if small { 2 } else { 4 });
    if small {
        out.extend(ids.iter().flat_map(|id| (*id as u16).to_le_bytes()));
    } else {
        out.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
    }
    out
}

fn unpack(content: &[u8]) -> Option<Vec<u32>> {
    let (width, body) = content.split_first()?;
    match width {
        2 => Some(
            body.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect(),
        ),
        4 => Some(words(body)),
        _ => None,
    }
}

fn words(body: &[u8]) -> Vec<u32> {
    body.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Content of a memo file, if it is whole.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut content = std::fs::read(path).ok()?;
    if content.len() < HEADER || &content[..16] != MAGIC {
        return None;
    }
    let sum = blake3::Hasher::new().update_rayon(&content[HEADER..]).finalize();
    if sum.as_bytes() != &content[16..HEADER] {
        return None;
    }
    content.drain(..HEADER);
    Some(content)
}

fn write(path: &Path, content: &[u8]) {
    let sum = blake3::Hasher::new().update_rayon(content).finalize();
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    let put = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::File::create(&temporary)?;
        for part in [&MAGIC[..], sum.as_bytes(), content] {
            std::io::Write::write_all(&mut file, part)?;
        }
        std::fs::rename(&temporary, path)
    };
    if put().is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
}

/// Sections: each its length in eight bytes, then its bytes.
#[derive(Default)]
struct Writer {
    content: Vec<u8>,
}

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.content.extend((bytes.len() as u64).to_le_bytes());
        self.content.extend(bytes);
    }

    fn u32s(&mut self, values: &[u32]) {
        self.content.extend((values.len() as u64 * 4).to_le_bytes());
        self.content.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }

    fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a Box<str>>) {
        let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
        for text in texts {
            lengths.push(text.len() as u32);
            bytes.extend(text.as_bytes());
        }
        self.u32s(&lengths);
        self.bytes(&bytes);
    }

    fn requests(&mut self, requests: &[Request]) {
        self.content.extend((requests.len() as u64 * 27).to_le_bytes());
        for r in requests {
            self.content.push(u8::from(r.prefixed));
            self.content.extend(r.setting.to_le_bytes());
            for run in [r.tail, r.cont] {
                self.content.extend(run.start.to_le_bytes());
                self.content.extend(run.len.to_le_bytes());
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_at_checked(8)?;
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (section, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(section)
    }

    fn u32s(&mut self) -> Option<Vec<u32>> {
        self.bytes().map(words)
    }

    fn digests(&mut self) -> Option<Vec<RowDigest>> {
        self.bytes()?.chunks_exact(16).map(|d| d.try_into().ok()).collect()
    }

    fn texts(&mut self) -> Option<Vec<Box<str>>> {
        let lengths = self.u32s()?;
        let mut bytes = self.bytes()?;
        lengths
            .into_iter()
            .map(|length| {
                let (text, rest) = bytes.split_at_checked(length as usize)?;
                bytes = rest;
                std::str::from_utf8(text).ok().map(Box::from)
            })
            .collect()
    }

    fn requests(&mut self) -> Option<Vec<Request>> {
        let run = |b: &[u8]| -> Option<Run> {
            Some(Run {
                start: u64::from_le_bytes(b[..8].try_into().ok()?),
                len: u32::from_le_bytes(b[8..12].try_into().ok()?),
            })
        };
        self.bytes()?
            .chunks_exact(27)
            .map(|b| {
                Some(Request {
                    prefixed: b[0] == 1,
                    setting: u16::from_le_bytes([b[1], b[2]]),
                    tail: run(&b[3..15])?,
                    cont: run(&b[15..27])?,
                })
            })
            .collect()
    }
}
