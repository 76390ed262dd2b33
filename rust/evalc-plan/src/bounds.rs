//! How much of a data file evalc reads, and how much it plans. A small file may ask for more than a
//! machine has.

/// Longest row, in bytes: a line of JSON, an element of a list, or a record of a table.
pub const ROW: usize = 64 << 20;

/// Most rows of a file.
pub const ROWS: usize = 1 << 24;

/// Most columns of a row.
pub const COLUMNS: usize = 1 << 14;

/// Longest header of a table, in bytes: the names of its columns stand in every row.
pub const HEADER: usize = 1 << 20;

/// Most bytes that a compressed file may unpack to: they are held in memory.
pub const UNPACKED: usize = 512 << 20;

/// Most bytes that the values of a Parquet file may take, where these are not more than
/// [`PARQUET_RATIO`] times the file.
pub const PARQUET: usize = 128 << 20;

/// How many times its own size a Parquet file may unpack to, whatever that is.
pub const PARQUET_RATIO: usize = 32;

/// Most values of a Parquet file, where the file has not as many bytes.
pub const PARQUET_VALUES: usize = 1 << 20;

/// Longest description of the columns of a Parquet file, in bytes.
pub const PARQUET_FOOTER: usize = 32 << 20;

/// Work that the rows of a plan may take in all, in the unit of the template engine (an instruction,
/// or 64 bytes of data): some seconds on two cores.
pub const WORK: usize = 200_000_000;

/// More of it for each row of the data. A template takes 10 to 2,000.
pub const WORK_OF_ROW: usize = 5_000;

/// More of it for each byte of the data: reading one takes a quarter.
pub const WORK_OF_BYTE: usize = 20;

/// More of it for each case of each task: many plain tasks over the same rows are no fault.
pub const WORK_OF_CASE: usize = 100;

/// Most cases that count so.
pub const CASES_OF_WORK: usize = 1 << 21;

/// Most keys of draws: a case that draws examples for itself has one for each row they may be drawn
/// from. Twelve seconds on two cores.
pub const DRAWS: usize = 1 << 30;

/// Most requests of a plan, which holds each in memory: about 150 bytes.
pub const REQUESTS: usize = 1 << 22;

/// More of them for each row of the data.
pub const REQUESTS_OF_ROW: usize = 256;

/// All of them by name.
pub const ALL: [(&str, usize); 17] = [
    ("row", ROW),
    ("rows", ROWS),
    ("columns", COLUMNS),
    ("header", HEADER),
    ("unpacked", UNPACKED),
    ("parquet", PARQUET),
    ("parquet_ratio", PARQUET_RATIO),
    ("parquet_values", PARQUET_VALUES),
    ("parquet_footer", PARQUET_FOOTER),
    ("work", WORK),
    ("work_of_row", WORK_OF_ROW),
    ("work_of_byte", WORK_OF_BYTE),
    ("work_of_case", WORK_OF_CASE),
    ("cases_of_work", CASES_OF_WORK),
    ("draws", DRAWS),
    ("requests", REQUESTS),
    ("requests_of_row", REQUESTS_OF_ROW),
];
