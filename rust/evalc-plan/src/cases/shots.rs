//! Examples that stand before a prompt: which rows they are, and their texts.

use super::{template_fault, Writer};
use crate::effort;
use crate::fault::{many, Fault};
use crate::ir::{Fewshot, Select};
use crate::rows::Table;
use crate::select::Selection;
use crate::template::Template;

/// Work of writing one example, besides what its template does.
const SHOT_WORK: u64 = 40;

/// Bytes of examples for one unit of work, where a case has its own: they are encoded for it alone.
const BYTES_OF_OWN_SHOTS: u64 = 2;

/// Where shots come from.
pub struct Source<'a> {
    /// Table of the shots.
    pub table: &'a Table,
    /// Its selected rows.
    pub selection: &'a Selection,
    /// Whether it is the table of the cases too, so that a case must not be its own shot.
    pub own: bool,
    /// Columns that may write control tokens.
    pub trusted: &'a [String],
}

/// The examples of a task.
pub(super) struct Shots<'a> {
    pub(super) template: Template,
    pub(super) source: Source<'a>,
    /// Rendered shots in drawing order, one more than needed where a case may have to be skipped;
    /// empty when every case draws its own.
    fixed: Vec<(u32, String)>,
}

impl Shots<'_> {
    /// Those that all cases have in common, for the case of a row: none is its own example.
    pub(super) fn kept(&self, row: u32) -> impl Iterator<Item = &(u32, String)> {
        let skipped = self.skipped(row);
        self.fixed.iter().filter(move |(own, _)| Some(*own) != skipped)
    }

    fn skipped(&self, row: u32) -> Option<u32> {
        self.source.own.then_some(row)
    }
}

impl<'a> Writer<'a> {
    /// Settle the rows that all cases have in common, and write them.
    pub(super) fn draw(
        &self,
        template: Template,
        source: Source<'a>,
    ) -> Result<Shots<'a>, Vec<Fault>> {
        let fewshot = self.task.fewshot.as_ref().expect("a task with shots");
        let spare = usize::from(source.own);
        let available = source.selection.rows.len();
        if available < fewshot.k + spare {
            let message =
                format!("{} asked of {}", many(fewshot.k, "shot"), many(available, "row"));
            return Err(vec![Fault::new("too-few-shots", message)
                .at("tasks", &self.task.name, "fewshot.k")
                .hint("lower `k`, or draw from a larger dataset")]);
        }
        let wanted = fewshot.k + spare;
        let positions: Vec<u32> = match fewshot.select {
            Select::First => (0..wanted as u32).collect(),
            Select::Random => source.selection.draw(wanted, &fewshot.seed.to_string(), None),
            Select::PerCase => Vec::new(),
        };
        let mut shots = Shots { template, source, fixed: Vec::new() };
        for position in positions {
            let row = shots.source.selection.rows[position as usize];
            let text = self.shot(&shots, row).map_err(|fault| vec![fault])?;
            shots.fixed.push((row, text));
        }
        Ok(shots)
    }

    fn shot(&self, shots: &Shots<'_>, row: u32) -> Result<String, Fault> {
        let table = shots.source.table;
        effort::spend(SHOT_WORK);
        let value = shots.source.selection.value(table, row)?;
        shots.template.render(&value).map_err(|fault| {
            let place = Some((table.origin(), table.line(row as usize)));
            let fault = template_fault(&fault, "tasks", &self.task.name, "fewshot.template", place);
            table.explained(fault, row as usize)
        })
    }

    /// The examples of a case, joined.
    pub(super) fn shots(&self, row: u32, id: &str) -> Result<String, Fault> {
        let (Some(shots), Some(fewshot)) = (&self.shots, &self.task.fewshot) else {
            return Ok(String::new());
        };
        if fewshot.select != Select::PerCase {
            let kept = shots.kept(row).take(fewshot.k);
            let texts: Vec<&str> = kept.map(|(_, text)| text.as_str()).collect();
            return Ok(texts.join(&fewshot.separator));
        }
        let rows = self.drawn(shots, fewshot, row, id).into_iter();
        let texts = rows.map(|r| self.shot(shots, r)).collect::<Result<Vec<_>, _>>()?;
        let text = texts.join(&fewshot.separator);
        effort::spend(text.len() as u64 / BYTES_OF_OWN_SHOTS);
        Ok(text)
    }

    /// Rows of the shots that a case draws for itself.
    pub(super) fn drawn(
        &self,
        shots: &Shots<'_>,
        fewshot: &Fewshot,
        row: u32,
        id: &str,
    ) -> Vec<u32> {
        let seed = format!("{}\0{id}", fewshot.seed);
        let positions = shots.source.selection.draw(fewshot.k, &seed, shots.skipped(row));
        positions.iter().map(|p| shots.source.selection.rows[*p as usize]).collect()
    }
}
