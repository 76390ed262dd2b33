//! Delimited files: their columns, and what separates and encloses fields.

use crate::ir::{Dataset, Format};
use crate::quoting::Quotes;
use minijinja::value::{Enumerator, Object};
use minijinja::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// The columns of a delimited file, and the state of a digest that has read them.
#[derive(Default)]
pub(super) struct Header {
    /// How many columns there are.
    pub(super) width: usize,
    pub(super) names: Arc<Names>,
    pub(super) state: blake3::Hasher,
}

/// The names of columns, each once, and where their fields stand.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: Vec<Value>,
    places: HashMap<Arc<str>, usize>,
}

/// A record as a mapping. Only the fields that are asked for become values: there may be thousands.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) names: Arc<Names>,
    pub(super) fields: csv::StringRecord,
}

impl Object for Record {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let place = self.names.places.get(key.as_str()?)?;
        self.fields.get(*place).map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names.all.clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.names.all.len())
    }
}

impl Header {
    pub(super) fn of(names: &[String], quote: Option<u8>, format: Format) -> Header {
        let mut state = blake3::Hasher::new();
        for name in names {
            state.update(&(name.len() as u64).to_le_bytes());
            state.update(name.as_bytes());
        }
        if quote != Some(b'"') {
            // the same bytes are other fields
            state.update(&[0, quote.unwrap_or_default()]);
        }
        if delimiter(format) != b',' {
            state.update(&[1, delimiter(format)]);
        }
        let mut known = Names::default();
        for (place, name) in names.iter().enumerate() {
            let name = Arc::<str>::from(name.as_str());
            if known.places.insert(Arc::clone(&name), place).is_none() {
                known.all.push(Value::from(name));
            }
        }
        Header { width: names.len(), names: Arc::new(known), state }
    }
}

pub(super) fn delimiter(format: Format) -> u8 {
    if format == Format::Tsv {
        b'\t'
    } else {
        b','
    }
}

/// What encloses the fields of a delimited file.
pub(super) fn quote(dataset: &Dataset, bytes: &[u8]) -> Option<u8> {
    match (&dataset.quote, dataset.format) {
        (Some(quote), _) => quote.bytes().next(),
        (None, Format::Tsv) => {
            let encloses = Quotes::of(bytes, b'\t', b'"').enclose(bytes);
            let any = memchr::memchr(b'"', bytes).is_some();
            (encloses || !any).then_some(b'"')
        }
        (None, _) => Some(b'"'),
    }
}
