//! Byte spans of every key and value of a TOML document.
//!
//! Python parses and validates specs; this index is what turns a location such as
//! `tasks.hellaswag.metrics[1]` back into bytes of the file a user wrote.

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

/// Index a document in order of appearance of its tables; a syntax error gives an empty index,
/// since the caller's own parser reports it.
pub fn index(text: &str) -> Vec<Entry> {
    let Ok(document) = Document::parse(text) else {
        return Vec::new();
    };
    let mut walk = Walk { entries: Vec::new(), path: Vec::new() };
    walk.table(document.as_table());
    walk.entries
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
    fn a_document_that_does_not_parse_has_no_index() {
        assert!(index("a = ").is_empty());
    }
}
