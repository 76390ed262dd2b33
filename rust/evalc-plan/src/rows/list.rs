//! A whole file as one list, for functions that are given all rows.

use super::Table;
use crate::fault::{abridge, Fault};
use crate::ir::Dataset;
use crate::json_row;

/// Every row of a file, as one JSON array; `format` and `compression` as the Ir names them.
///
/// Rows with a number that cannot be kept are passed on as they are written, or are faults where
/// `origin` names the file for whom nothing may be lost.
pub fn read_all(
    path: &str,
    format: &str,
    compression: &str,
    quote: Option<&str>,
    origin: Option<&str>,
) -> Result<String, Vec<Fault>> {
    let ir = serde_json::json!({
        "name": "", "path": path, "format": format, "compression": compression, "quote": quote,
        "origin": origin.unwrap_or(path), "rows": null, "where": null, "id": null,
    });
    let bad_ir = |error: serde_json::Error| vec![Fault::new("bad-ir", error.to_string())];
    let dataset: Dataset = serde_json::from_value(ir).map_err(bad_ir)?;
    let table = Table::load(&dataset).map_err(|fault| vec![fault])?;
    let (mut text, mut faults) = (String::from("["), Vec::new());
    for index in 0..table.len() {
        let row = table.row(index).map_err(|fault| vec![fault])?;
        if index > 0 {
            text.push(',');
        }
        match (json_row::invalid(&row), origin) {
            (None, _) => {
                let json = json_row::to_json(&row).map_err(bad_ir)?;
                text.push_str(&json.to_string());
            }
            (Some(_), None) => {
                let row = table.rows[index];
                let slice = &table.bytes[row.start as usize..row.end as usize];
                text.push_str(std::str::from_utf8(slice).unwrap_or("null").trim());
            }
            (Some(name), Some(_)) => {
                let fault = table.lacking(index, &name).at("datasets", "", "prepare");
                faults.push(table.explained(fault, index));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(text + "]"),
        false => Err(abridge(faults, false)),
    }
}
