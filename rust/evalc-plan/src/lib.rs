//! The evalc planner: rows to cases to keyed, deduplicated, ordered requests.
//!
//! Pure Rust: no Python, no clock, no environment. What varies between machines is passed in.
//!
//! Reading order: `ir` -> `rows` -> `select` -> `cases` -> `expand` (into `expansion`, by `prefix`, `memo`
//! and `reuse`, sorted by `order`) -> `requests` -> `tree` -> `summary`, driven by `plan`.

pub mod bounds;
pub mod cases;
pub mod cells;
pub mod chat;
pub mod control;
pub mod digest;
pub mod effort;
pub mod expand;
pub mod expansion;
pub mod fault;
pub mod first_bytes;
pub mod ids;
pub mod inputs;
pub mod ir;
pub mod json_row;
pub mod lanes;
pub mod marks;
pub mod memo;
pub mod memo_file;
pub mod order;
pub mod plan;
pub mod prefix;
pub mod pyjson;
pub mod quoting;
pub mod requests;
pub mod reuse;
pub mod rows;
pub mod seal;
pub mod select;
pub mod summary;
pub mod template;
pub mod texts;
pub mod tokens;
pub mod toml_index;
pub mod tree;
