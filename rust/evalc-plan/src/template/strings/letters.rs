//! Classes of characters as Python's `str.is*` methods know them.

use std::sync::OnceLock;

use regex::Regex;

use crate::pyjson::is_printable;

/// The test behind `str.isalpha` and its kin.
pub(super) fn predicate(method: &str) -> Option<fn(&str) -> bool> {
    Some(match method {
        "isalpha" => |text| all(text, is_alpha),
        "isalnum" => |text| all(text, |c| is_alpha(c) || c.is_numeric()),
        "isdecimal" => |text| all(text, is_decimal),
        "isdigit" => |text| all(text, |c| is_decimal(c) || is_other_digit(c)),
        "isnumeric" => |text| all(text, char::is_numeric),
        "isspace" => |text| all(text, is_space),
        "isascii" => str::is_ascii,
        "isprintable" => |text| text.chars().all(is_printable),
        "islower" => {
            |text| has_case(text) && !text.chars().any(|c| c.is_uppercase() || is_title(c))
        }
        "isupper" => {
            |text| has_case(text) && !text.chars().any(|c| c.is_lowercase() || is_title(c))
        }
        "istitle" => is_title_text,
        "isidentifier" => is_identifier,
        _ => return None,
    })
}

/// `str.isspace` of one character.
pub(crate) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// Whether a character has case.
pub(super) fn is_cased(letter: char) -> bool {
    letter.is_lowercase() || letter.is_uppercase() || is_title(letter)
}

/// `str.swapcase`.
pub(super) fn swapcase(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_uppercase() {
            out.extend(letter.to_lowercase());
        } else {
            out.extend(letter.to_uppercase());
        }
    }
    out
}

fn all(text: &str, test: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(test)
}

fn has_case(text: &str) -> bool {
    text.chars().any(is_cased)
}

fn is_alpha(letter: char) -> bool {
    static LETTER: OnceLock<Regex> = OnceLock::new();
    letter.is_ascii_alphabetic() || (!letter.is_ascii() && in_class(&LETTER, r"^\p{L}$", letter))
}

fn is_decimal(letter: char) -> bool {
    static DECIMAL: OnceLock<Regex> = OnceLock::new();
    letter.is_ascii_digit() || (!letter.is_ascii() && in_class(&DECIMAL, r"^\p{Nd}$", letter))
}

/// Characters of numeric type `Digit`: superscripts, subscripts, circled digits and the like.
fn is_other_digit(letter: char) -> bool {
    matches!(u32::from(letter),
        0xb2 | 0xb3 | 0xb9 | 0x1369..=0x1371 | 0x19da | 0x2070 | 0x2074..=0x2079
        | 0x2080..=0x2089 | 0x2460..=0x2468 | 0x2474..=0x247c | 0x2488..=0x2490 | 0x24ea
        | 0x24f5..=0x24fd | 0x24ff | 0x2776..=0x277e | 0x2780..=0x2788 | 0x278a..=0x2792
        | 0x10a40..=0x10a43 | 0x10e60..=0x10e68 | 0x11052..=0x1105a | 0x1f100..=0x1f10a)
}

/// Titlecase letters, such as the digraph of `D` and a small `z` with caron.
fn is_title(letter: char) -> bool {
    matches!(u32::from(letter),
        0x1c5 | 0x1c8 | 0x1cb | 0x1f2 | 0x1f88..=0x1f8f | 0x1f98..=0x1f9f | 0x1fa8..=0x1faf
        | 0x1fbc | 0x1fcc | 0x1ffc)
}

fn is_title_text(text: &str) -> bool {
    let mut inside = false;
    let mut found = false;
    for letter in text.chars() {
        if letter.is_uppercase() || is_title(letter) {
            if inside {
                return false;
            }
            (inside, found) = (true, true);
        } else if letter.is_lowercase() {
            if !inside {
                return false;
            }
            found = true;
        } else {
            inside = false;
        }
    }
    found
}

fn is_identifier(text: &str) -> bool {
    static IDENTIFIER: OnceLock<Regex> = OnceLock::new();
    let identifier = IDENTIFIER.get_or_init(|| {
        Regex::new(r"^[_\p{XID_Start}]\p{XID_Continue}*\z").expect("a valid pattern")
    });
    identifier.is_match(text)
}

fn in_class(cell: &'static OnceLock<Regex>, class: &str, letter: char) -> bool {
    let class = cell.get_or_init(|| Regex::new(class).expect("a valid character class"));
    class.is_match(letter.encode_utf8(&mut [0; 4]))
}
