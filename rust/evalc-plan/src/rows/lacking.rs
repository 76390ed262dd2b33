//! Columns of a row that hold a number which cannot be kept, and what is said of them.

use super::Table;
use crate::fault::Fault;
use crate::ir::Format;
use crate::json_row::{self, LeftOut};

impl Table {
    /// Columns that a row has, but no value of that could be kept as it stands.
    pub fn left_out(&self, index: usize) -> Vec<LeftOut> {
        let row = self.rows[index];
        match (self.format, self.slice(row)) {
            (Format::Jsonl, Ok(slice)) => {
                json_row::parse(&slice).map(|row| row.left_out).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// The fault of a row. Where a column is said to be missing that the row has, it says what
    /// stands there instead.
    pub fn explained(&self, fault: Fault, index: usize) -> Fault {
        let line = self.line(index);
        let of_row = (fault.file.as_deref(), fault.line) == (Some(self.origin()), Some(line));
        if fault.code != "missing-column" || !of_row {
            return fault;
        }
        let lacking = format!("the row on line {line} has no ");
        let said = |column: &LeftOut| fault.message == lacking.clone() + &quoted(&column.name);
        match self.left_out(index).iter().find(|column| said(column)) {
            None => fault,
            Some(column) => Fault { message: self.odd(column, line), ..self.told(fault, column) },
        }
    }

    /// The fault of a row without a column.
    pub fn lacking(&self, index: usize, column: &str) -> Fault {
        let line = self.line(index);
        Fault::new("missing-column", format!("the row on line {line} has no `{column}`"))
            .in_file(&self.origin, Some(line))
    }

    /// The headline of a number that cannot be kept.
    fn odd(&self, column: &LeftOut, line: usize) -> String {
        format!("the row on line {line} has {} in `{}`", column.what, column.name)
    }

    /// A fault with what there is to know about such a number, and what to do.
    fn told(&self, fault: Fault, column: &LeftOut) -> Fault {
        let fault = match self.converted && column.what == "NaN" {
            true => fault.note("bytes that are no text, and times beyond year 9999, are NaN too"),
            false => fault,
        };
        fault
            .note("such a number cannot be printed or handed on as it stands")
            .hint("write it as a text, or `null` where there is no value")
    }
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}
