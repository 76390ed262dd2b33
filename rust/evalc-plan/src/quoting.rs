//! Whether the quotes of a delimited file enclose its fields, or are text like any other.
//!
//! In CSV they enclose (RFC 4180). `text/tab-separated-values` knows no quoting, but many programs
//! write it all the same; their files are known by what only they write. What is then read with
//! quotes has to have them in pairs: a reader that guesses where a field ends merges rows.

/// What the quotes of a file look like, were they to enclose fields.
#[derive(Debug, Default, PartialEq)]
pub struct Quotes {
    /// Line and kind of the first quote that encloses nothing whole.
    pub flaw: Option<(usize, Flaw)>,
    /// Whether a quote stands inside a field that does not begin with one.
    bare: bool,
    /// Whether a quoted field holds the delimiter or a line break.
    joins: bool,
    /// Whether a quote is written twice inside a quoted field.
    doubled: bool,
    /// Whether a field of the first line is quoted.
    in_header: bool,
}

/// How a quoted field goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flaw {
    /// It is never closed.
    Open,
    /// Text follows its closing quote.
    Behind,
}

impl Quotes {
    /// Look at every field of a file.
    pub fn of(bytes: &[u8], delimiter: u8, quote: u8) -> Quotes {
        let mut found = Quotes::default();
        if memchr::memchr(quote, bytes).is_none() {
            return found;
        }
        let (mut at, mut line) = (0, 1);
        while at < bytes.len() {
            if bytes[at] == quote {
                found.in_header |= line == 1;
                match found.enclosed(bytes, at, &mut line, delimiter, quote) {
                    Some(end) => at = end,
                    None => return found,
                }
            } else {
                let rest = &bytes[at..];
                let ends = |byte: &u8| *byte == delimiter || *byte == b'\n' || *byte == b'\r';
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                found.bare |= memchr::memchr(quote, &rest[..length]).is_some();
                at += length;
            }
            line += usize::from(bytes.get(at) == Some(&b'\n'));
            at += 1;
        }
        found
    }

    /// Go through a quoted field that begins at `at`; the byte behind it, or nothing for a flaw.
    fn enclosed(
        &mut self,
        bytes: &[u8],
        at: usize,
        line: &mut usize,
        delimiter: u8,
        quote: u8,
    ) -> Option<usize> {
        let (first, mut at) = (*line, at + 1);
        while at < bytes.len() {
            let byte = bytes[at];
            if byte == quote {
                match bytes.get(at + 1) {
                    Some(next) if *next == quote => {
                        self.doubled = true;
                        at += 1;
                    }
                    Some(next) if *next != delimiter && *next != b'\n' && *next != b'\r' => {
                        self.flaw = Some((*line, Flaw::Behind));
                        return None;
                    }
                    _ => return Some(at + 1),
                }
            }
            self.joins |= byte == delimiter || byte == b'\n' || byte == b'\r';
            *line += usize::from(byte == b'\n');
            at += 1;
        }
        self.flaw = Some((first, Flaw::Open));
        None
    }

    /// Whether a program that quotes fields has evidently written this tab-separated file.
    ///
    /// Such a program encloses every field that holds a quote, writes each quote inside twice, and
    /// encloses tabs and line breaks, without which the lines have other numbers of fields. One
    /// that encloses everything encloses the header too.
    pub fn enclose(&self, bytes: &[u8]) -> bool {
        if self.flaw.is_some() || self.bare {
            return false;
        }
        self.in_header || self.doubled || (self.joins && !even(bytes))
    }
}

/// Whether every line has as many tabs as the first.
fn even(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let tabs = |line: &[u8]| memchr::memchr_iter(b'\t', line).count();
    let wanted = lines.next().map_or(0, tabs);
    lines.all(|line| tabs(line) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encloses(text: &str) -> bool {
        Quotes::of(text.as_bytes(), b'\t', b'"').enclose(text.as_bytes())
    }

    #[test]
    fn what_only_a_program_that_quotes_can_have_written_is_read_with_quotes() {
        assert!(encloses("\"a\"\t\"b\"\n\"x\"\t\"y\"\n"));
        assert!(encloses("a\tb\n\"has \"\"two\"\"\"\ty\n"));
        assert!(encloses("a\tb\n\"two\nlines\"\ty\n"));
        assert!(encloses("a\tb\n\"a tab\tinside\"\ty\n"));
    }

    #[test]
    fn any_other_quote_of_a_tab_separated_file_is_text() {
        assert!(!encloses("a\tb\n\"open\ty\nx\ty\n"));
        assert!(!encloses("a\tb\n\"said\" he\ty\n"));
        assert!(!encloses("a\tb\n\"open\ty\nclosed\"\tz\n"));
        assert!(!encloses("a\tb\n5\" pipe\t\"\"\"\n"));
        assert!(!encloses("a\tb\n\"whole\"\ty\n"));
    }

    #[test]
    fn a_flaw_has_its_line() {
        let of = |text: &str| Quotes::of(text.as_bytes(), b',', b'"').flaw;
        assert_eq!(of("a,b\nx,\"y\nz\n"), Some((2, Flaw::Open)));
        assert_eq!(of("a,b\n\"x\ny\"z,1\n"), Some((3, Flaw::Behind)));
        assert_eq!(of("a,b\n\"x\ny\",\"\"\"\"\r\n\"\",\"1\""), None);
    }
}
