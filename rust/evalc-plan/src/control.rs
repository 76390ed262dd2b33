//! Control tokens: what a text may spell without being taken for it.
//!
//! A tokenizer takes `<|im_start|>` in any text for the token that opens a turn, so a row that
//! spells it would speak for somebody else. Only a chat template and the spec's own text may write
//! such tokens. A text in which rows spell some is written a second time, *marked*: tokens that may
//! be written stand there as marks of noncharacters, which no text holds, and what is still spelled
//! is ordinary text. A second tokenizer, which knows control tokens by their marks alone, encodes
//! marked texts. Texts that spell none are never marked.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use minijinja::Value;
use serde_json::Value as Json;

/// Begins the mark of a token that may be written.
const WRITTEN: char = '\u{fdd0}';
/// Begins the mark of a token that is ordinary text.
const FORGED: char = '\u{fdd1}';
/// The sixteen digits of a mark start here.
const DIGITS: u32 = 0xfdd2;
/// An edge between texts of different authors.
pub const EDGE: char = '\u{fdee}';
/// Ends a mark.
const END: char = '\u{fdef}';

/// The control tokens of a tokenizer.
pub struct Controls {
    tokens: Vec<(String, u32)>,
    finder: Option<AhoCorasick>,
}

/// A table of all steps is fastest to search. Making one takes the square of a text that repeats
/// itself, so that of long texts is none.
fn kind(bytes: usize) -> Option<AhoCorasickKind> {
    (bytes > 1 << 13).then_some(AhoCorasickKind::ContiguousNFA)
}

impl Controls {
    /// Of a tokenizer's JSON and the ids of its control tokens.
    pub fn new(json: &Json, ids: &[u32]) -> Controls {
        let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let mut tokens: Vec<(String, u32)> = added
            .iter()
            .filter_map(|token| {
                let id = u32::try_from(token["id"].as_u64()?).ok()?;
                let text = token["content"].as_str()?;
                (ids.contains(&id) && !text.trim().is_empty()).then(|| (text.to_owned(), id))
            })
            .collect();
        tokens.sort();
        tokens.dedup();
        let texts = tokens.iter().map(|(text, _)| text);
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(kind(tokens.iter().map(|(text, _)| text.len()).sum()))
            .build(texts)
            .ok()
            .filter(|_| !tokens.is_empty());
        Controls { tokens, finder }
    }

    /// The first control token that a text spells.
    pub fn spelled(&self, text: &str) -> Option<&str> {
        let found = self.finder.as_ref()?.find(text)?;
        Some(&self.tokens[found.pattern().as_usize()].0)
    }

    /// Whether two texts spell a control token only where they meet.
    pub fn meet(&self, left: &str, right: &str) -> bool {
        let Some(finder) = &self.finder else { return false };
        let most = self.tokens.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
        let start =
            (left.len().saturating_sub(most)..=left.len()).find(|i| left.is_char_boundary(*i));
        let end = (right.len().min(most)..=right.len()).find(|i| right.is_char_boundary(*i));
        let (head, tail) = (&left[start.unwrap_or(0)..], &right[..end.unwrap_or(right.len())]);
        finder
            .find_iter(&format!("{head}{tail}"))
            .any(|found| found.start() < head.len() && found.end() > head.len())
    }

    /// The text with every token that it spells as the mark of one that may be written.
    pub fn written(&self, text: &str) -> String {
        self.replaced(text, WRITTEN)
    }

    /// The text with every token that it spells as the mark of ordinary text.
    pub fn forged(&self, text: &str) -> String {
        self.replaced(text, FORGED)
    }

    fn replaced(&self, text: &str, lead: char) -> String {
        let Some(finder) = &self.finder else { return text.to_owned() };
        let mut out = String::with_capacity(text.len());
        finder.replace_all_with(text, &mut out, |found, _, out| {
            out.push_str(&mark(lead, found.pattern().as_usize()));
            true
        });
        out
    }

    /// The text with its marks spelled out: all of them, or only those of ordinary text.
    fn spelled_out(&self, text: &str, all: bool) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find([WRITTEN, FORGED, EDGE]) {
            out.push_str(&rest[..at]);
            let lead = rest[at..].chars().next().unwrap_or(EDGE);
            let end = rest[at..].find(END).map_or(rest.len(), |end| at + end + END.len_utf8());
            let (whole, token) = (&rest[at..end], self.read(&rest[at..end]));
            rest = match (lead, token) {
                (EDGE, _) => &rest[at + EDGE.len_utf8()..],
                (_, Some(token)) if all || lead == FORGED => {
                    out.push_str(token);
                    &rest[end..]
                }
                _ => {
                    out.push_str(whole);
                    &rest[end..]
                }
            };
        }
        out.push_str(rest);
        out
    }

    fn read(&self, mark: &str) -> Option<&str> {
        let digits = mark.chars().skip(1).take_while(|c| *c != END);
        let index = digits.fold(0, |sum, c| sum * 16 + (c as usize).wrapping_sub(DIGITS as usize));
        self.tokens.get(index).map(|(text, _)| text.as_str())
    }

    /// The text as it reads without marks.
    pub fn unmarked(&self, text: &str) -> String {
        self.spelled_out(text, true)
    }

    /// A marked text whose edges and marks of ordinary text are gone.
    pub fn settled(&self, text: &str) -> String {
        self.spelled_out(&self.written(text), false)
    }

    /// A row whose trusted columns write the tokens that they spell.
    pub fn trusted(&self, row: &Value, columns: &[String]) -> Value {
        let Ok(mut json) = crate::json_row::to_json(row) else { return row.clone() };
        for column in columns {
            if let Some(value) = json.get_mut(column) {
                self.mark_json(value);
            }
        }
        serde_json::from_value(json).unwrap_or_else(|_| row.clone())
    }

    fn mark_json(&self, value: &mut Json) {
        match value {
            Json::String(text) => *text = self.written(text),
            Json::Array(items) => items.iter_mut().for_each(|item| self.mark_json(item)),
            Json::Object(fields) => fields.values_mut().for_each(|field| self.mark_json(field)),
            _ => {}
        }
    }

    /// Make a tokenizer's JSON know its control tokens by their marks alone.
    pub fn hide(&self, json: &mut Json) {
        for (index, (text, id)) in self.tokens.iter().enumerate() {
            let mark = mark(WRITTEN, index);
            for token in json["added_tokens"].as_array_mut().into_iter().flatten() {
                if token["content"] == text.as_str() && token["id"] == *id {
                    token["content"] = mark.clone().into();
                }
            }
            let model = &mut json["model"];
            if model["unk_token"] == text.as_str() {
                model["unk_token"] = mark.clone().into();
            }
            match &mut model["vocab"] {
                Json::Object(vocab) => {
                    if let Some(id) = vocab.remove(text) {
                        vocab.insert(mark, id);
                    }
                }
                Json::Array(pieces) => {
                    for piece in pieces.iter_mut().filter(|piece| piece[0] == text.as_str()) {
                        piece[0] = mark.clone().into();
                    }
                }
                _ => {}
            }
            if let Some(merges) = model["merges"].as_array_mut() {
                merges.retain(|merge| !makes(merge, text));
            }
        }
        json["post_processor"] = Json::Null;
    }
}

/// Whether a text holds a character that marks are made of.
pub fn holds_marks(text: &str) -> bool {
    text.contains(|c| (WRITTEN..=END).contains(&c))
}

fn mark(lead: char, index: usize) -> String {
    let mut out = String::from(lead);
    for digit in format!("{index:x}").chars().filter_map(|c| c.to_digit(16)) {
        out.extend(char::from_u32(DIGITS + digit));
    }
    out.push(END);
    out
}

/// Whether a merge makes `text` or starts from it.
fn makes(merge: &Json, text: &str) -> bool {
    let (left, right) = match merge {
        Json::String(pair) => pair.split_once(' ').unwrap_or((pair, "")),
        pair => (pair[0].as_str().unwrap_or(""), pair[1].as_str().unwrap_or("")),
    };
    left == text
        || right == text
        || left.len() + right.len() == text.len() && {
            text.starts_with(left) && text.ends_with(right)
        }
}
