//! A column of texts in one buffer: no allocation a text.

/// Texts, back to back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    text: String,
    /// Where each text ends in `text`.
    ends: Vec<u64>,
}

impl Texts {
    /// Put a text at the end.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u64);
    }

    /// Text `index`.
    pub fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start as usize..self.ends[index] as usize]
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Put texts `from..to` of another column behind these.
    pub fn extend(&mut self, other: &Texts, from: usize, to: usize) {
        if from == to {
            return;
        }
        let start = if from == 0 { 0 } else { other.ends[from - 1] };
        let base = self.text.len() as u64;
        self.text.push_str(&other.text[start as usize..other.ends[to - 1] as usize]);
        self.ends.extend(other.ends[from..to].iter().map(|end| end - start + base));
    }

    /// Put all texts of another column behind these.
    pub fn append(&mut self, other: &Texts) {
        self.extend(other, 0, other.len());
    }

    /// The buffer and the ends, as they are kept.
    pub fn parts(&self) -> (&[u8], &[u64]) {
        (self.text.as_bytes(), &self.ends)
    }

    /// A column from its parts, or nothing where they do not belong together.
    pub fn from_parts(bytes: Vec<u8>, ends: Vec<u64>) -> Option<Texts> {
        let text = String::from_utf8(bytes).ok()?;
        let mut before = 0;
        for end in &ends {
            if *end < before || !text.is_char_boundary(usize::try_from(*end).ok()?) {
                return None;
            }
            before = *end;
        }
        (before == text.len() as u64).then_some(Texts { text, ends })
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Texts {
        let mut column = Texts::default();
        texts.into_iter().for_each(|text| column.push(text));
        column
    }
}

#[cfg(test)]
mod tests {
    use super::Texts;

    #[test]
    fn a_column_gives_back_what_was_put_in() {
        let column: Texts = ["ä", "", "bc"].into_iter().collect();
        assert_eq!(column.iter().collect::<Vec<_>>(), ["ä", "", "bc"]);
        let mut other: Texts = ["x"].into_iter().collect();
        other.extend(&column, 1, 3);
        other.append(&column);
        assert_eq!(other.iter().collect::<Vec<_>>(), ["x", "", "bc", "ä", "", "bc"]);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_no_column() {
        let (bytes, ends) = ("äb".as_bytes().to_vec(), vec![2, 3]);
        assert!(Texts::from_parts(bytes.clone(), ends).is_some());
        for ends in [vec![1, 3], vec![3, 2, 3], vec![2], vec![2, 9]] {
            assert!(Texts::from_parts(bytes.clone(), ends).is_none());
        }
    }
}
