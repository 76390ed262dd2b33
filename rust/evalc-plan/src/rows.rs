//! Data files: JSON Lines, CSV and TSV, plain or compressed, as random-access rows.

mod delimited;
mod lacking;
mod list;
mod packed;

use crate::bounds;
use crate::digest::Digest;
use crate::effort;
use crate::fault::Fault;
use crate::first_bytes::foreign;
use crate::ir::{Compression, Dataset, Format};
use crate::json_row;
use crate::memo::RowDigest;
use crate::quoting::{Flaw, Quotes};
use delimited::{delimiter, quote, Header, Record};
pub use list::read_all;
use minijinja::value::ValueKind;
use minijinja::Value;
use packed::decompress;
use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of a row that are parsed for one unit of work.
const BYTES_OF_WORK: u64 = 4;

/// A data file split into rows. Parsing a row is left to whoever needs it.
pub struct Table {
    origin: String,
    format: Format,
    /// What encloses fields of a delimited file.
    quote: Option<u8>,
    /// The content, until it is let go of.
    bytes: Vec<u8>,
    /// Whether the file was made of another one, by an import or a `prepare`.
    converted: bool,
    /// Where a row can be read again: a file that is not compressed.
    again: Option<PathBuf>,
    header: Header,
    rows: Vec<Row>,
    digest: Digest,
}

#[derive(Clone, Copy)]
struct Row {
    start: u64,
    end: u64,
    line: u32,
}

impl Table {
    /// Read and split a data file.
    pub fn load(dataset: &Dataset) -> Result<Table, Fault> {
        let raw = std::fs::read(&dataset.path).map_err(|error| {
            Fault::new("data-unreadable", format!("cannot read `{}`: {error}", dataset.origin))
                .at("datasets", &dataset.name, "path")
                .hint("give a path relative to the spec file, or check its permissions")
        })?;
        let digest = *blake3::Hasher::new().update_rayon(&raw).finalize().as_bytes();
        let bytes = decompress(raw, dataset)?;
        if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
            return Err(Fault::new(
                "data-lfs-pointer",
                format!("`{}` is a git-LFS pointer, not data", dataset.origin),
            )
            .at("datasets", &dataset.name, "path")
            .hint("run `git lfs pull`"));
        }
        if let Some((what, hint)) = foreign(&bytes) {
            let message = format!("`{}` is {what}, which its name does not say", dataset.origin);
            return Err(Fault::new("data-malformed", message)
                .at("datasets", &dataset.name, "path")
                .hint(hint));
        }
        let mut table = Table {
            origin: dataset.origin.clone(),
            format: dataset.format,
            quote: quote(dataset, &bytes),
            bytes,
            converted: dataset.origin != dataset.path,
            again: matches!(dataset.compression, Compression::None)
                .then(|| PathBuf::from(&dataset.path)),
            header: Header::default(),
            rows: Vec::new(),
            digest,
        };
        match dataset.format {
            Format::Jsonl => table.split_json(),
            Format::Csv | Format::Tsv => table.split_records(),
        }
        .map_err(|fault| fault.at("datasets", &dataset.name, "path"))?;
        if table.rows.is_empty() {
            return Err(Fault::new("data-empty", format!("`{}` has no rows", dataset.origin))
                .at("datasets", &dataset.name, "path")
                .hint("point `path` at a file with at least one row"));
        }
        Ok(table)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of the content, unpacked, as long as it is held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of row `index`.
    pub fn size(&self, index: usize) -> usize {
        (self.rows[index].end - self.rows[index].start) as usize
    }

    /// Whether there are no rows; never true of a loaded table.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Digest of the file as stored.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Digest of the bytes of row `index`, header included where there is one.
    pub fn row_digest(&self, index: usize) -> RowDigest {
        let row = self.rows[index];
        self.digest_of(&self.bytes[row.start as usize..row.end as usize])
    }

    fn digest_of(&self, slice: &[u8]) -> RowDigest {
        let mut state = self.header.state.clone();
        state.update(slice);
        let mut head = [0; 16];
        head.copy_from_slice(&state.finalize().as_bytes()[..16]);
        head
    }

    /// Let go of the content, of which single rows can be read again with [`Table::row_again`].
    pub fn let_go(&mut self) {
        if self.again.is_some() {
            self.bytes = Vec::new();
        }
    }

    /// Whether the content is in memory.
    pub fn held(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Row `index`, from the file where the content is gone. It must be the row of that digest.
    pub fn row_again(&self, index: usize, digest: &RowDigest) -> Result<Value, Fault> {
        let row = self.rows[index];
        let slice = self.slice(row).map_err(|error| {
            Fault::new("data-unreadable", format!("cannot read `{}`: {error}", self.origin))
                .in_file(&self.origin, Some(row.line as usize))
        })?;
        if self.digest_of(&slice) != *digest {
            return Err(changed(&self.origin).in_file(&self.origin, Some(row.line as usize)));
        }
        self.parsed(&slice, row)
    }

    fn slice(&self, row: Row) -> std::io::Result<Cow<'_, [u8]>> {
        let held = self.bytes.get(row.start as usize..row.end as usize);
        let (None, Some(path)) = (held, &self.again) else {
            return Ok(Cow::Borrowed(held.unwrap_or(&[])));
        };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(row.start))?;
        let mut slice = vec![0; (row.end - row.start) as usize];
        file.read_exact(&mut slice)?;
        Ok(Cow::Owned(slice))
    }

    /// The path a user knows.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// 1-based line on which row `index` starts.
    pub fn line(&self, index: usize) -> usize {
        self.rows[index].line as usize
    }

    /// Row `index` as a mapping.
    pub fn row(&self, index: usize) -> Result<Value, Fault> {
        let row = self.rows[index];
        effort::spend((row.end - row.start) / BYTES_OF_WORK);
        self.parsed(&self.bytes[row.start as usize..row.end as usize], row)
    }

    fn parsed(&self, slice: &[u8], row: Row) -> Result<Value, Fault> {
        match self.format {
            Format::Jsonl => self.object(slice, row.line),
            Format::Csv | Format::Tsv => self.record(slice, row.line),
        }
    }

    fn object(&self, slice: &[u8], line: u32) -> Result<Value, Fault> {
        let malformed = |message: String| {
            Fault::new("data-malformed", message)
                .in_file(&self.origin, Some(line as usize))
                .hint("write one JSON object a line")
        };
        let row = json_row::parse(slice).map_err(|error| match not_utf8(slice, line) {
            Some(message) => malformed(message).hint("save the file as UTF-8"),
            None => malformed(format!("line {line} is not JSON: {}", plain(&error, slice))),
        })?;
        if row.value.kind() == ValueKind::Map {
            if row.value.len() > Some(bounds::COLUMNS) {
                return Err(too_wide(&self.origin, line as usize));
            }
            Ok(row.value)
        } else {
            Err(malformed(format!("line {line} is a {}, not an object", row.value.kind())))
        }
    }

    fn record(&self, slice: &[u8], line: u32) -> Result<Value, Fault> {
        let mut record = csv::StringRecord::new();
        let read = self.reader(slice, false).read_record(&mut record);
        if !matches!(read, Ok(true)) {
            let why = not_utf8(slice, line);
            let why = why.unwrap_or_else(|| format!("line {line} is not UTF-8 text"));
            return Err(Fault::new("data-malformed", why)
                .in_file(&self.origin, Some(line as usize))
                .hint("save the file as UTF-8"));
        }
        let names = Arc::clone(&self.header.names);
        Ok(Value::from_object(Record { names, fields: record }))
    }

    fn reader<'a>(&self, bytes: &'a [u8], flexible: bool) -> csv::Reader<&'a [u8]> {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(flexible)
            .delimiter(delimiter(self.format))
            .quoting(self.quote.is_some())
            .quote(self.quote.unwrap_or(b'"'))
            .from_reader(bytes)
    }

    /// Where the content begins: behind a mark of its encoding.
    fn body(&self) -> usize {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        }
    }

    /// The elements of a list that is all the file holds, else its lines.
    fn split_json(&mut self) -> Result<(), Fault> {
        let body = self.body();
        if let Some(elements) = json_row::elements(&self.bytes[body..], bounds::ROWS + 1) {
            if let Some((_, _, line)) = elements.get(bounds::ROWS) {
                self.room(bounds::ROWS, *line)?;
            }
            if let Some((.., line)) = elements.iter().find(|(a, b, _)| b - a > bounds::ROW) {
                return Err(too_long(&self.origin, *line));
            }
            let row = |(start, end, line)| Row {
                start: (body + start) as u64,
                end: (body + end) as u64,
                line: line as u32,
            };
            self.rows = elements.into_iter().map(row).collect();
            return Ok(());
        }
        self.split_lines(body)?;
        self.one_object(body)
    }

    /// The fault of a file that is one object over several lines.
    fn one_object(&self, body: usize) -> Result<(), Fault> {
        let [first, _, ..] = self.rows[..] else { return Ok(()) };
        if json_row::parse(&self.bytes[first.start as usize..first.end as usize]).is_ok() {
            return Ok(());
        }
        match json_row::parse(&self.bytes[body..]) {
            Ok(row) if row.value.kind() == ValueKind::Map => {
                let message = format!("`{}` is one object over several lines", self.origin);
                let fault = Fault::new("data-malformed", message);
                Err(match json_row::inner_rows(&row.value) {
                    Some(name) => fault.hint(format!("write the list `{name}` alone into a file")),
                    None => fault.hint("write one JSON object a line, or a list of objects"),
                })
            }
            _ => Ok(()),
        }
    }

    fn split_lines(&mut self, body: usize) -> Result<(), Fault> {
        let mut start = body;
        let mut line = 1;
        while start < self.bytes.len() {
            let rest = &self.bytes[start..];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            if length > bounds::ROW {
                return Err(too_long(&self.origin, line as usize));
            }
            if !rest[..length].trim_ascii().is_empty() {
                self.room(self.rows.len(), line as usize)?;
                self.rows.push(Row { start: start as u64, end: (start + length) as u64, line });
            }
            start += length + 1;
            line += 1;
        }
        Ok(())
    }

    fn room(&self, rows: usize, line: usize) -> Result<(), Fault> {
        if rows < bounds::ROWS {
            return Ok(());
        }
        let message = format!("`{}` has more than {} rows", self.origin, bounds::ROWS);
        Err(Fault::new("data-too-large", message)
            .in_file(&self.origin, Some(line))
            .hint("split the file"))
    }

    fn split_records(&mut self) -> Result<(), Fault> {
        let body = self.body();
        self.whole_quotes(&self.bytes[body..])?;
        let mut reader = self.reader(&self.bytes[body..], true);
        let mut record = csv::ByteRecord::new();
        let mut rows: Vec<Row> = Vec::new();
        let mut header: Option<Header> = None;
        loop {
            let start = reader.position().clone();
            let more = reader.read_byte_record(&mut record).map_err(|error| {
                Fault::new("data-malformed", format!("cannot read a record: {error}"))
                    .in_file(&self.origin, Some(start.line() as usize))
            })?;
            if !more {
                break;
            }
            let Some(Header { width, .. }) = &header else {
                header = Some(Header::of(&self.names(&record)?, self.quote, self.format));
                continue;
            };
            if record.len() != *width {
                return Err(Fault::new(
                    "data-malformed",
                    format!("a record has {} fields, the header has {width}", record.len()),
                )
                .in_file(&self.origin, Some(start.line() as usize))
                .hint("quote fields that contain the delimiter or a line break"));
            }
            let end = reader.position().byte();
            if end - start.byte() > bounds::ROW as u64 {
                return Err(too_long(&self.origin, start.line() as usize));
            }
            self.room(rows.len(), start.line() as usize)?;
            rows.push(Row {
                start: body as u64 + start.byte(),
                end: body as u64 + end,
                line: start.line() as u32,
            });
        }
        self.rows = rows;
        self.header = header.unwrap_or_default();
        Ok(())
    }

    /// The names of the columns, each of which has to be one of its own.
    fn names(&self, record: &csv::ByteRecord) -> Result<Vec<String>, Fault> {
        let malformed =
            |message: String| Fault::new("data-malformed", message).in_file(&self.origin, Some(1));
        if record.len() > bounds::COLUMNS {
            return Err(too_wide(&self.origin, 1));
        }
        if record.as_slice().len() > bounds::HEADER {
            let message = format!("the header is longer than {} MiB", bounds::HEADER >> 20);
            return Err(Fault::new("data-too-large", message)
                .in_file(&self.origin, Some(1))
                .hint("give the columns shorter names"));
        }
        let names: Result<Vec<String>, _> =
            record.iter().map(|field| std::str::from_utf8(field).map(str::to_owned)).collect();
        let names = names.map_err(|_| {
            let message = "the header is not UTF-8 text".to_owned();
            malformed(message).hint("save the file as UTF-8")
        })?;
        // columns without a name, as spreadsheets leave them, can be read by nobody
        let named = names.iter().map(String::as_str).filter(|name| !name.is_empty());
        match json_row::repeated(named) {
            None => Ok(names),
            Some(name) => Err(malformed(format!("the header has two columns `{name}`"))
                .hint("give every column a name of its own")),
        }
    }

    /// The fault of quotes that do not enclose whole fields.
    fn whole_quotes(&self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(quote) = self.quote else { return Ok(()) };
        let Some((line, flaw)) = Quotes::of(bytes, delimiter(self.format), quote).flaw else {
            return Ok(());
        };
        let message = match flaw {
            Flaw::Open => "a quoted field is never closed",
            Flaw::Behind => "text follows the closing quote of a field",
        };
        Err(Fault::new("data-malformed", message).in_file(&self.origin, Some(line)).hint(
            "write a quote inside a quoted field twice, or set `quote = \"\"` where quotes are text",
        ))
    }
}

/// Where a slice of a file is no UTF-8 text.
fn not_utf8(slice: &[u8], line: u32) -> Option<String> {
    let error = std::str::from_utf8(slice).err()?;
    let at = error.valid_up_to();
    let before = memchr::memchr_iter(b'\n', &slice[..at]).count();
    let column = at - memchr::memrchr(b'\n', &slice[..at]).map_or(0, |end| end + 1) + 1;
    let line = line as usize + before;
    Some(format!("line {line} is not UTF-8 text: byte {column} of it is `0x{:02x}`", slice[at]))
}

/// The fault of a file that is no longer what was planned from.
pub fn changed(origin: &str) -> Fault {
    Fault::new("data-unreadable", format!("`{origin}` was changed while it was planned"))
        .hint("run the command again")
}

fn too_long(origin: &str, line: usize) -> Fault {
    let limit = bounds::ROW >> 20;
    Fault::new("data-too-large", format!("the row on line {line} is longer than {limit} MiB"))
        .in_file(origin, Some(line))
        .hint("split the row, or leave out what no template reads")
}

fn too_wide(origin: &str, line: usize) -> Fault {
    let message = format!("the row on line {line} has more than {} columns", bounds::COLUMNS);
    Fault::new("data-too-large", message)
        .in_file(origin, Some(line))
        .hint("leave out what no template reads, or keep it in one column as a list")
}

/// serde_json's message without its own line number, which counts from the row.
fn plain(error: &serde_json::Error, slice: &[u8]) -> String {
    let text = error.to_string();
    let end = text.find(" at line ").unwrap_or(text.len());
    format!("{} at column {}", &text[..end], error.column().min(slice.len()))
}
