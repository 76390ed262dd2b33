//! The parts of a template's text: literal text, expressions, statements, comments.
//!
//! The engine keeps no positions of variables, so this scanner finds them again. It splits the text
//! exactly where Jinja does (strings and brackets hide delimiters) and is only asked about
//! templates that the engine has already parsed.

use std::ops::Range;

/// What a part of the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// Literal text.
    Text,
    /// `{{ ... }}`
    Expression,
    /// `{% ... %}`
    Statement,
    /// `{# ... #}`
    Comment,
    /// The text between `{% raw %}` and `{% endraw %}`, with its tags.
    Raw,
}

/// One part of the text. `inner` leaves out delimiters and whitespace-control marks.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub kind: PieceKind,
    pub outer: Range<usize>,
    pub inner: Range<usize>,
}

impl Piece {
    /// Whether a delimiter carries a whitespace-control mark.
    pub fn trims(&self) -> bool {
        self.inner.start - self.outer.start > 2 || self.outer.end - self.inner.end > 2
    }
}

/// A word, number, string or operator inside an expression or a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub span: Range<usize>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Name,
    Number,
    Text,
    Operator,
}

/// Splits a template into its parts, in order. An unclosed tag ends with the text.
pub(crate) fn pieces(source: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let Some((start, kind)) = next_tag(source, at) else { break };
        if start > at {
            found.push(text_piece(at..start));
        }
        let piece = tag_piece(source, start, kind);
        at = piece.outer.end;
        found.push(piece);
    }
    if at < source.len() {
        found.push(text_piece(at..source.len()));
    }
    found
}

/// The tokens of `source[range]`, with spans in `source`.
pub(crate) fn tokens(source: &str, range: Range<usize>) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = range.start;
    while let Some(letter) = source[at..range.end].chars().next() {
        let (kind, end) = match letter {
            _ if letter.is_whitespace() => {
                at += letter.len_utf8();
                continue;
            }
            '\'' | '"' => (TokenKind::Text, string_end(source, at).min(range.end)),
            _ if letter.is_ascii_digit() => (TokenKind::Number, word_end(source, at, range.end)),
            _ if is_word(letter) => (TokenKind::Name, word_end(source, at, range.end)),
            _ => (TokenKind::Operator, operator_end(source, at, range.end)),
        };
        found.push(Token { kind, span: at..end });
        at = end;
    }
    found
}

/// The range of the expression if the template is one `{{ expression }}` and whitespace.
pub(crate) fn sole_expression(source: &str, pieces: &[Piece]) -> Option<Range<usize>> {
    let mut expression = None;
    for piece in pieces {
        match piece.kind {
            PieceKind::Expression if expression.is_none() => expression = Some(piece.inner.clone()),
            PieceKind::Text if source[piece.outer.clone()].trim().is_empty() => {}
            _ => return None,
        }
    }
    expression
}

fn text_piece(range: Range<usize>) -> Piece {
    Piece { kind: PieceKind::Text, outer: range.clone(), inner: range }
}

fn next_tag(source: &str, from: usize) -> Option<(usize, PieceKind)> {
    let bytes = source.as_bytes();
    let mut at = from;
    while let Some(offset) = source[at..].find('{') {
        let start = at + offset;
        match bytes.get(start + 1) {
            Some(b'{') => return Some((start, PieceKind::Expression)),
            Some(b'%') => return Some((start, PieceKind::Statement)),
            Some(b'#') => return Some((start, PieceKind::Comment)),
            _ => at = start + 1,
        }
    }
    None
}

fn tag_piece(source: &str, start: usize, kind: PieceKind) -> Piece {
    let close = match kind {
        PieceKind::Expression => "}}",
        PieceKind::Statement => "%}",
        _ => "#}",
    };
    let body = start + 2;
    let end = if kind == PieceKind::Comment {
        source[body..].find(close).map(|offset| body + offset)
    } else {
        tag_end(source, body, close)
    };
    let (inner_end, outer_end) = match end {
        Some(end) => (end, end + close.len()),
        None => (source.len(), source.len()),
    };
    let inner = unmarked(source, body, inner_end);
    if kind == PieceKind::Statement && source[inner.clone()].trim() == "raw" {
        return raw_piece(source, start, outer_end);
    }
    Piece { kind, outer: start..outer_end, inner }
}

fn raw_piece(source: &str, start: usize, body: usize) -> Piece {
    let mut at = body;
    while let Some(offset) = source[at..].find("{%") {
        let open = at + offset;
        let Some(end) = source[open..].find("%}").map(|offset| open + offset) else { break };
        let word = source[open + 2..end].trim_matches(['-', '+']).trim();
        if word == "endraw" {
            return Piece { kind: PieceKind::Raw, outer: start..end + 2, inner: body..open };
        }
        at = open + 2;
    }
    Piece { kind: PieceKind::Raw, outer: start..source.len(), inner: body..source.len() }
}

fn unmarked(source: &str, start: usize, end: usize) -> Range<usize> {
    let bytes = source.as_bytes();
    let is_mark = |at: usize| matches!(bytes.get(at), Some(b'-' | b'+'));
    let from = if start < end && is_mark(start) { start + 1 } else { start };
    let until = if end > from && is_mark(end - 1) { end - 1 } else { end };
    from..until
}

fn tag_end(source: &str, body: usize, close: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    let mut depth = 0usize;
    let mut at = body;
    while at < bytes.len() {
        if depth == 0 && source.as_bytes()[at..].starts_with(close.as_bytes()) {
            return Some(at);
        }
        match bytes[at] {
            b'\'' | b'"' => {
                at = string_end(source, at);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

fn string_end(source: &str, start: usize) -> usize {
    let bytes = source.as_bytes();
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == bytes[start] => return at + 1,
            _ => at += 1,
        }
    }
    source.len()
}

fn word_end(source: &str, start: usize, limit: usize) -> usize {
    source[start..limit].find(|letter| !is_word(letter)).map_or(limit, |offset| start + offset)
}

fn operator_end(source: &str, start: usize, limit: usize) -> usize {
    let rest = &source[start..limit];
    let long = ["==", "!=", "<=", ">=", "//", "**"].iter().any(|word| rest.starts_with(word));
    let letter = rest.chars().next().map_or(1, char::len_utf8);
    start + if long { 2 } else { letter }
}

fn is_word(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}
