//! A template's text as given, and as Jinja reads it.

use std::sync::Arc;

use minijinja::Error;

use super::fault::TemplateFault;

/// Jinja reads every line end as a line feed; places are reported in the text as given.
#[derive(Clone)]
pub(crate) struct Source {
    given: Arc<str>,
    text: Arc<str>,
    /// Places in `text` behind which a `\r` was left out.
    left_out: Arc<[usize]>,
}

impl Source {
    /// The source of a template.
    pub fn new(given: &str) -> Self {
        let given: Arc<str> = Arc::from(given);
        let text = match given.contains('\r') {
            true => Arc::from(given.replace("\r\n", "\n").replace('\r', "\n")),
            false => given.clone(),
        };
        let pairs = given.match_indices("\r\n").enumerate();
        let left_out = pairs.map(|(before, (at, _))| at - before).collect();
        Source { given, text, left_out }
    }

    /// The text as it was given.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// The text with line feeds only.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Byte offset in the given text of a byte offset in `text`.
    pub fn place(&self, offset: usize) -> usize {
        offset + self.left_out.partition_point(|&at| at <= offset)
    }

    /// A fault at a byte range of `text`.
    pub fn fault(&self, message: impl Into<String>, span: (usize, usize)) -> TemplateFault {
        let line = self.text[..span.0].matches('\n').count() + 1;
        let span = Some((self.place(span.0), self.place(span.1)));
        TemplateFault { span, line: Some(line), ..TemplateFault::new(message) }
    }

    /// The engine's error about the part of `text` that starts at byte `offset`.
    pub fn engine_fault(&self, error: &Error, offset: usize) -> TemplateFault {
        let (mut fault, range) = TemplateFault::from_engine(error);
        let span = range
            .map(|(start, end)| (start + offset, end + offset))
            .filter(|&(start, end)| start <= end && self.text.get(start..end).is_some());
        if let Some((start, end)) = span {
            fault.line = Some(self.text[..start].matches('\n').count() + 1);
            fault.span = Some((self.place(start), self.place(end)));
        }
        fault
    }
}
