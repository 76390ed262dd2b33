//! Delimited files: their columns, and what separates and encloses fields.

use crate::ir::{Dataset, Format};
use crate::quoting::Quotes;
use minijinja::Value;
use std::sync::Arc;

/// The columns of a delimited file, and the state of a digest that has read them.
#[derive(Default)]
pub(super) struct Header {
    pub(super) names: Vec<Value>,
    pub(super) state: blake3::Hasher,
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
        let names = names.iter().map(|name| Value::from(Arc::<str>::from(name.as_str()))).collect();
        Header { names, state }
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
