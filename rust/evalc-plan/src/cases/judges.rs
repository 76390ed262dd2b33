//! What those who judge an answer read of a row: programs some columns, functions all of it.

use super::{template_fault, Writer};
use crate::fault::Fault;
use crate::json_row;
use crate::template::{TemplateFault, Variable};
use minijinja::value::ValueKind;
use minijinja::Value;

/// What a program sees besides the columns of the row.
pub(super) const PROGRAM_NAMES: [&str; 3] = [COMPLETION, "prompt", "target"];

/// The one of them that goes before a column of its name.
pub(super) const COMPLETION: &str = "completion";

impl Writer<'_> {
    /// Names of the columns that the program which judges an answer reads.
    pub fn program_reads(&self) -> Vec<&str> {
        self.reads.iter().map(|variable| variable.name.as_str()).collect()
    }

    /// Whether a function that is given the row sees all of it.
    pub(super) fn shown_whole(&self, row: &Value, place: (&str, usize)) -> Result<(), Fault> {
        let Some(field) = &self.task.shown else { return Ok(()) };
        let Some(column) = json_row::invalid(row) else { return Ok(()) };
        let fault = TemplateFault::missing(&column, (0, 0));
        let mut fault = template_fault(&fault, "tasks", &self.task.name, field, Some(place));
        fault.span = None;
        Err(fault.note("this function is given whole rows"))
    }

    /// Whether a row has what the program will read; an answer is not there yet to write it with.
    pub(super) fn program_has(&self, row: &Value, place: (&str, usize)) -> Result<(), Fault> {
        // what is there but cannot be kept is not what a default is for
        let lacks = |variable: &&Variable| {
            let spare = variable.guarded || PROGRAM_NAMES.contains(&variable.name.as_str());
            match row.get_attr(&variable.name).map(|value| value.kind()) {
                Ok(ValueKind::Invalid) => true,
                Ok(ValueKind::Undefined) | Err(_) => !spare,
                Ok(_) => false,
            }
        };
        let Some(lacking) = self.reads.iter().find(lacks) else { return Ok(()) };
        let fault = TemplateFault::missing(&lacking.name, lacking.span);
        Err(template_fault(&fault, "tasks", &self.task.name, "code.program", Some(place)))
    }
}
