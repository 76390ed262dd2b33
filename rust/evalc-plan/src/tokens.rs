//! Text to token ids, exactly as the tokenizer's own library does it, without encoding the same
//! text twice.
//!
//! Few-shot contexts share most of their text. Where the tokenizer is a byte-level BPE, text may
//! be cut before a single space between two ASCII letters: no pre-token of that family spans such
//! a place, so the encodings of both sides concatenate to the encoding of the whole. Callers still
//! compare a sample with whole encodings, and fall back to whole encodings if one differs.

use crate::control::Controls;
use crate::ir::Correction;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tokenizers::pipeline::{EncodeOptions, PipelineToken, PipelineTokenizer};

/// What the tokenizer child process wrote about a model's tokenizer.
#[derive(Deserialize)]
struct Bundle {
    bundle: u32,
    digest: String,
    tokenizer_json: String,
    prefix_ids: Vec<u32>,
    empty_context_ids: Vec<u32>,
    eos_ids: Vec<u32>,
    plain_eos_ids: Vec<u32>,
    control_ids: Vec<u32>,
    loses_first_space: bool,
    decoding: String,
    chat_template: Option<String>,
    special_tokens: BTreeMap<String, String>,
    probes: Vec<Probe>,
}

#[derive(Deserialize)]
struct Probe {
    text: String,
    ids: Vec<u32>,
}

/// A model's tokenizer.
pub struct Encoder {
    tokenizer: PipelineTokenizer,
    options: EncodeOptions,
    /// Its control tokens.
    pub controls: Controls,
    /// The tokenizer that knows control tokens by their marks alone, or why there is none.
    marked: OnceLock<Result<PipelineTokenizer, String>>,
    json: Json,
    cuttable: bool,
    /// Ids from here on stand for bytes that the vocabulary lacks.
    holes: u32,
    /// Digest of the bundle.
    pub digest: String,
    /// Ids that the tokenizer puts before a text of its own accord.
    pub prefix_ids: Vec<u32>,
    /// Context of a request whose context is the empty text.
    pub empty_context_ids: Vec<u32>,
    /// Ids that end a generation.
    pub eos_ids: Vec<u32>,
    /// What is done for the texts of this tokenizer's generations.
    pub corrections: Vec<Correction>,
    /// Chat template, if the tokenizer has one.
    pub chat_template: Option<String>,
    /// Special tokens by role.
    pub special_tokens: BTreeMap<String, String>,
}

impl Encoder {
    /// Read a bundle and prove on its probes that this implementation reproduces the tokenizer.
    pub fn load(path: &str) -> Result<Encoder, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read it: {e}"))?;
        let bundle: Bundle = serde_json::from_str(&text).map_err(|e| format!("bad JSON: {e}"))?;
        if bundle.bundle != 3 {
            return Err(format!("bundle version {} is not 3", bundle.bundle));
        }
        let mut json: Json = serde_json::from_str(&bundle.tokenizer_json)
            .map_err(|e| format!("its `tokenizer.json` is bad JSON: {e}"))?;
        let cuttable = cuttable(&json);
        let holes = fill_holes(&mut json);
        let controls = Controls::new(&json, &bundle.control_ids);
        let kept = json.clone();
        let tokenizer = built(json)?;
        let encoder = Encoder {
            cuttable,
            holes,
            tokenizer,
            controls,
            marked: OnceLock::new(),
            json: kept,
            options: EncodeOptions {
                truncation: tokenizers::pipeline::Override::Off,
                padding: tokenizers::pipeline::Override::Off,
                ..EncodeOptions::no_specials()
            },
            digest: bundle.digest,
            prefix_ids: bundle.prefix_ids,
            empty_context_ids: bundle.empty_context_ids,
            eos_ids: bundle.eos_ids,
            corrections: Correction::of(
                bundle.loses_first_space,
                &bundle.plain_eos_ids,
                &bundle.decoding,
            ),
            chat_template: bundle.chat_template,
            special_tokens: bundle.special_tokens,
        };
        for probe in &bundle.probes {
            let ids = encoder.encode(&probe.text)?;
            if ids != probe.ids {
                return Err(format!(
                    "encodes {:?} as {ids:?} where transformers gives {:?}",
                    probe.text, probe.ids
                ));
            }
        }
        Ok(encoder)
    }

    /// Ids of `text`, without special tokens around it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        self.ids(&self.tokenizer, text)
    }

    /// Ids of a marked text: control tokens are where their marks are, and nowhere else.
    pub fn encode_marked(&self, text: &str) -> Result<Vec<u32>, String> {
        let made = self.marked.get_or_init(|| {
            let mut json = self.json.clone();
            self.controls.hide(&mut json);
            built(json)
        });
        self.ids(made.as_ref().map_err(Clone::clone)?, text)
    }

    fn ids(&self, tokenizer: &PipelineTokenizer, text: &str) -> Result<Vec<u32>, String> {
        let mut tokens: Vec<PipelineToken> = Vec::with_capacity(text.len() / 3);
        tokenizer
            .encode_into(text, &self.options, &mut tokens)
            .map_err(|e| format!("cannot encode a text: {e}"))?;
        let ids = PipelineToken::cast_slice(&tokens);
        match ids.iter().find(|id| **id >= self.holes) {
            Some(_) => {
                Err("a text has a control character that the tokenizer has no token for".into())
            }
            None => Ok(ids.to_vec()),
        }
    }

    /// Whether some id of the tokenizer is `limit` or above.
    pub fn reaches(&self, limit: u32) -> bool {
        let pieces = self.json["model"]["vocab"].as_array().map_or(0, Vec::len);
        let top = if self.holes == u32::MAX { pieces } else { self.holes as usize };
        let added = self.json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let most = added.iter().filter_map(|token| token["id"].as_u64()).max().unwrap_or(0);
        top > limit as usize || most >= u64::from(limit)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<&str> {
        let added = self.json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let found = added.iter().find(|token| token["id"] == id);
        found.and_then(|token| token["content"].as_str()).or_else(|| {
            let vocab = self.json["model"]["vocab"].as_object()?;
            vocab.iter().find(|(_, index)| **index == id).map(|(token, _)| token.as_str())
        })
    }

    /// The last byte position at which `text` may be cut, whatever follows it.
    pub fn last_cut(&self, text: &str) -> Option<usize> {
        if !self.cuttable {
            return None;
        }
        text.as_bytes()
            .windows(3)
            .rposition(|w| w[1] == b' ' && w[0].is_ascii_alphabetic() && w[2].is_ascii_alphabetic())
            .map(|position| position + 1)
    }
}

/// The tokenizer of a `tokenizer.json`.
fn built(mut json: Json) -> Result<PipelineTokenizer, String> {
    let unsupported = |e: &dyn std::fmt::Display| format!("it is of an unsupported form: {e}");
    tokenizers::canonicalize_value(&mut json).map_err(|e| unsupported(&e))?;
    tokenizers::from_json(&json.to_string()).map_err(|e| unsupported(&e))
}

/// Give every byte that a byte-level vocabulary lacks an id above all others, returned.
///
/// The library refuses incomplete vocabularies, which transformers accepts (it drops such bytes,
/// control characters mostly). With these ids a text that has one is noticed and refused instead.
fn fill_holes(json: &mut Json) -> u32 {
    let largest = |ids: &mut dyn Iterator<Item = Option<u64>>| ids.flatten().max().unwrap_or(0);
    let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let top = largest(&mut added.iter().map(|token| token["id"].as_u64()));
    let byte_level = json["pre_tokenizer"].to_string().contains("\"ByteLevel\"");
    let Some(vocab) = json["model"]["vocab"].as_object_mut() else {
        return u32::MAX;
    };
    let first = top.max(largest(&mut vocab.values().map(Json::as_u64))) as u32 + 1;
    if byte_level {
        let mut next = first;
        for letter in byte_letters() {
            if !vocab.contains_key(&letter.to_string()) {
                vocab.insert(letter.to_string(), next.into());
                next += 1;
            }
        }
    }
    first
}

/// The letters that stand for bytes 0..=255 in byte-level vocabularies (GPT-2's table): printable
/// Latin-1 as itself, the others from U+0100 on in order.
fn byte_letters() -> impl Iterator<Item = char> {
    let printable = |b: u8| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100_u32;
    (0..=255_u8).filter_map(move |byte| {
        if printable(byte) {
            return Some(char::from(byte));
        }
        others += 1;
        char::from_u32(others - 1)
    })
}

/// Whether the tokenizer belongs to the family in which a cut before ` word` is exact.
fn cuttable(json: &Json) -> bool {
    let model = &json["model"];
    let bpe = model["type"] == "BPE"
        && model["dropout"].as_f64().unwrap_or(0.0) == 0.0
        && model["continuing_subword_prefix"].as_str().unwrap_or("").is_empty()
        && model["end_of_word_suffix"].as_str().unwrap_or("").is_empty();
    let normalizer = json["normalizer"].is_null() || json["normalizer"]["type"] == "NFC";
    let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    bpe && normalizer && local_words(&json["pre_tokenizer"]) && added.iter().all(harmless)
}

/// Byte-level pre-tokenizers whose pieces never span `letter, space, letter`.
fn local_words(step: &Json) -> bool {
    match step["type"].as_str() {
        Some("ByteLevel") => step["add_prefix_space"] == false,
        Some("Digits") => true,
        Some("Split") => step["pattern"]["Regex"]
            .as_str()
            .is_some_and(|regex| regex.contains(r"\p{L}") && !regex.contains("(?<")),
        Some("Sequence") => {
            let steps = step["pretokenizers"].as_array().map_or(&[][..], Vec::as_slice);
            steps.iter().any(|s| s["type"] == "ByteLevel") && steps.iter().all(local_words)
        }
        _ => false,
    }
}

/// An added token that neither contains a possible cut nor swallows the space at one.
fn harmless(token: &Json) -> bool {
    let content = token["content"].as_str().unwrap_or("");
    let spans_cut = content
        .as_bytes()
        .windows(3)
        .any(|w| w[1] == b' ' && w[0].is_ascii_alphabetic() && w[2].is_ascii_alphabetic());
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic() || c == ' ');
    let swallows = token["lstrip"] == true && edge(content.chars().next())
        || token["rstrip"] == true && edge(content.chars().last())
        || token["single_word"] == true;
    let straddles = content.starts_with(' ') && content.trim() != ""
        || content.ends_with(' ') && content.trim() != "";
    !spans_cut && !swallows && !straddles
}
