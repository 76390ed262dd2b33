//! Byte spans of every key and value of a TOML document.
//!
//! Python parses and validates specs; this index is what turns a location such as
//! `tasks.hellaswag.metrics[1]` back into bytes of the file a user wrote.

use std::borrow::Cow;
use toml_edit::{Array, Document, InlineTable, Item, Table, Value};

/// One step of a path into a TOML document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A table key, decoded.
    Key(String),
    /// An index into an array or an array of tables.
    Index(usize),
}

/// A half-open byte range.
pub type Bytes = (usize, usize);

/// Where one key and its value stand. A super-table that is only implied has no value span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the document root.
    pub path: Vec<Step>,
    /// Span of the key, where one is written.
    pub key: Option<Bytes>,
    /// Span of the value (for a `[table]`, of its header).
    pub value: Option<Bytes>,
}

/// Numbers that may be too large for this parser; a document with more of them has no index.
const MOST_MASKED: usize = 64;

/// Index a document in order of appearance of its tables; a syntax error gives an empty index,
/// since the caller's own parser reports it.
///
/// That parser takes whole numbers of any size. Where one is beyond this parser, another number of
/// the same length stands in for it: the places of all the rest do not depend on its value.
pub fn index(text: &str) -> Vec<Entry> {
    let mut masked = Cow::Borrowed(text);
    for _ in 0..=MOST_MASKED {
        match Document::parse(masked.as_ref()) {
            Ok(document) => {
                let mut walk = Walk { entries: Vec::new(), path: Vec::new() };
                walk.table(document.as_table());
                return walk.entries;
            }
            Err(error) => match error.span().and_then(|span| without_number(&masked, span.start)) {
                Some(next) => masked = Cow::Owned(next),
                None => return Vec::new(),
            },
        }
    }
    Vec::new()
}

/// The document with a long number around a byte replaced by a small one of its length.
fn without_number(text: &str, at: usize) -> Option<String> {
    const LONG: usize = 16;
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let bytes = text.as_bytes();
    let start = at - bytes.get(..at)?.iter().rev().take_while(|byte| is_part(byte)).count();
    // a sign belongs to the number, and may be all that is in front of it
    let start = start + usize::from(matches!(bytes.get(start), Some(b'+' | b'-')));
    let end = start + bytes[start..].iter().take_while(|byte| is_part(byte)).count();
    let number = &text[start..end];
    let is_number = number.starts_with(|c: char| c.is_ascii_digit());
    (is_number && number.len() >= LONG).then(|| {
        let small = format!("0.{}", "1".repeat(number.len() - 2));
        format!("{}{small}{}", &text[..start], &text[end..])
    })
}

struct Walk {
    entries: Vec<Entry>,
    path: Vec<Step>,
}

impl Walk {
    fn push(&mut self, step: Step, key: Option<Bytes>, value: Option<Bytes>) {
        self.path.push(step);
        self.entries.push(Entry { path: self.path.clone(), key, value });
    }

    fn table(&mut self, table: &Table) {
        for (name, item) in table.iter() {
            let key = table.key(name).and_then(|k| k.span());
            self.push(Step::Key(name.to_owned()), key.map(range), item.span().map(range));
            self.item(item);
            self.path.pop();
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::None => {}
            Item::Value(value) => self.value(value),
            Item::Table(table) => self.table(table),
            Item::ArrayOfTables(tables) => {
                for (position, table) in tables.iter().enumerate() {
                    self.push(Step::Index(position), None, table.span().map(range));
                    self.table(table);
                    self.path.pop();
                }
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(array) => self.array(array),
            Value::InlineTable(table) => self.inline(table),
            _ => {}
        }
    }

    fn array(&mut self, array: &Array) {
        for (position, value) in array.iter().enumerate() {
            self.push(Step::Index(position), None, value.span().map(range));
            self.value(value);
            self.path.pop();
        }
    }

    fn inline(&mut self, table: &InlineTable) {
        for (name, value) in table.iter() {
            let key = table.key(name).and_then(|k| k.span());
            self.push(Step::Key(name.to_owned()), key.map(range), value.span().map(range));
            self.value(value);
            self.path.pop();
        }
    }
}

fn range(span: std::ops::Range<usize>) -> Bytes {
    (span.start, span.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(source: &'a str, path: &[Step]) -> (&'a str, &'a str) {
        let entries = index(source);
        let entry = entries.iter().find(|e| e.path == path).expect("path is indexed");
        let (k, v) = (entry.key.unwrap_or((0, 0)), entry.value.unwrap_or((0, 0)));
        (&source[k.0..k.1], &source[v.0..v.1])
    }

    #[test]
    fn keys_and_values_of_tables_arrays_and_inline_tables_have_spans() {
        let source = "a = 1\n[t.u]\n\"b c\" = [1, { d = \"x\" }]\n[[l]]\nz = 2\n";
        let key = |s: &str| Step::Key(s.into());
        assert_eq!(text(source, &[key("a")]), ("a", "1"));
        let d = [key("t"), key("u"), key("b c"), Step::Index(1), key("d")];
        assert_eq!(text(source, &d), ("d", "\"x\""));
        assert_eq!(text(source, &[key("l"), Step::Index(0), key("z")]), ("z", "2"));
    }

    #[test]
    fn a_number_beyond_64_bits_takes_no_place_from_the_others() {
        for number in ["9223372036854775808", "-99999999999999999999", "0xfffffffffffffffffff"] {
            let source = format!("a = [1, {number}, {number}]\n[t]\nb = \"x\"\n");
            let key = |s: &str| Step::Key(s.into());
            assert_eq!(text(&source, &[key("t"), key("b")]), ("b", "\"x\""));
            assert_eq!(text(&source, &[key("a"), Step::Index(2)]), ("", number));
        }
    }

    #[test]
    fn a_document_that_does_not_parse_has_no_index() {
        assert!(index("a = ").is_empty());
    }
}
