//! Texts whose every token is scored, cut to what a model takes.

use super::{python_space, Stop, Worker};
use crate::cases::Case;
use crate::digest::{RequestHasher, NO_SETTING};
use crate::expansion::{Expansion, Request};
use crate::fault::Fault;
use crate::prefix::encode_case;

impl Worker<'_> {
    /// Disjoint windows in which every token of the text is scored once, with one token of
    /// context and as much more as fits for the last window (the reference harness's protocol).
    pub(super) fn windows(
        &self,
        case: &Case,
        out: &mut Expansion,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        let (text, asked) = (&case.continuations[0], &case.asked().1[0]);
        let mut ids = self.input.encoder.empty_context_ids.clone();
        ids.truncate(1);
        let scored = encode_case(self.input, case, asked)?;
        if scored.is_empty() {
            return Err(Stop::Faults(vec![Fault::new(
                "empty-continuation",
                "a text has no tokens",
            )
            .at("tasks", &self.input.task.name, "prompt")
            .hint("filter empty texts with `where`")]));
        }
        let leads = ids.len();
        ids.extend(scored);
        let window = self.input.max_length;
        // one was counted before
        self.ask((ids.len() - leads).div_ceil(window) - 1)?;
        let mut done = leads;
        while done < ids.len() {
            let end = ids.len().min(done + window);
            let start = if done == leads { 0 } else { end.saturating_sub(window + 1) };
            let tail = out.push(&ids[start..done]);
            let cont = out.push(&ids[done..end]);
            let mut hasher = RequestHasher::new(false);
            hasher.ids(&ids[start..end], buffer);
            out.digests.push(hasher.finish((end - done) as u64, &NO_SETTING));
            out.requests.push(Request::new(false, tail, cont, 0));
            out.choice_chars.push(0);
            out.choice_bytes.push(0);
            done = end;
        }
        out.text_words.push(words(text));
        out.text_bytes.push(text.len() as u32);
        Ok(())
    }
}

/// Pieces of `re.split(r"\s+", text)`, the reference harness's count of words.
fn words(text: &str) -> u32 {
    let mut runs = 0;
    let mut inside = false;
    for c in text.chars() {
        let space = python_space(c);
        runs += u32::from(space && !inside);
        inside = space;
    }
    runs + 1
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_counted_as_a_split_on_white_space_counts_them() {
        assert_eq!(words("a b"), 2);
        assert_eq!(words(" a  b\n"), 4);
        assert_eq!(words(""), 1);
    }
}
