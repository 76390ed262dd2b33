//! `datetime.strftime` of a pinned date at midnight.

use std::fmt::Write;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// Reads `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is not a date of the form `YYYY-MM-DD`");
        let numbers: Vec<u32> = text
            .split('-')
            .map(|part| part.parse().map_err(|_| fault()))
            .collect::<Result<_, _>>()?;
        let [year, month, day] = numbers[..] else { return Err(fault()) };
        let date = Date { year, month, day };
        let form = text.len() == 10 && (1..=9999).contains(&year) && (1..=12).contains(&month);
        if form && (1..=date.month_length()).contains(&day) {
            Ok(date)
        } else {
            Err(fault())
        }
    }

    /// The date in a `strftime` format of the C locale; the time of day is midnight.
    pub fn format(self, format: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            let mut directive = letters.next();
            let bare = directive == Some('-');
            if bare {
                directive = letters.next();
            }
            let directive = directive.ok_or("the date format ends in `%`")?;
            self.write(&mut out, directive, bare)?;
        }
        Ok(out)
    }

    fn write(self, out: &mut String, directive: char, bare: bool) -> Result<(), String> {
        let weekday = self.weekday() as usize;
        let month = MONTHS[self.month as usize - 1];
        let (number, width) = match directive {
            'd' => (self.day, 2),
            'm' => (self.month, 2),
            'y' => (self.year % 100, 2),
            'j' => (self.day_of_year(), 3),
            'H' | 'M' | 'S' => (0, 2),
            'I' => (12, 2),
            'f' => (0, 6),
            'Y' => (self.year, 1),
            'u' => (self.weekday() + 1, 1),
            'w' => ((self.weekday() + 1) % 7, 1),
            _ => {
                let text = match directive {
                    'A' => DAYS[weekday].to_string(),
                    'a' => DAYS[weekday][..3].to_string(),
                    'B' => month.to_string(),
                    'b' | 'h' => month[..3].to_string(),
                    'p' => "AM".to_string(),
                    'e' if bare => self.day.to_string(),
                    'e' => format!("{:2}", self.day),
                    'F' => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
                    'D' | 'x' => {
                        format!("{:02}/{:02}/{:02}", self.month, self.day, self.year % 100)
                    }
                    'T' | 'X' => "00:00:00".to_string(),
                    'R' => "00:00".to_string(),
                    'n' => "\n".to_string(),
                    't' => "\t".to_string(),
                    'z' | 'Z' => String::new(),
                    '%' => "%".to_string(),
                    _ => return Err(format!("the date format has an unknown `%{directive}`")),
                };
                out.push_str(&text);
                return Ok(());
            }
        };
        let width = if bare { 1 } else { width };
        let _ = write!(out, "{number:0width$}");
        Ok(())
    }

    fn is_leap(self) -> bool {
        self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400))
    }

    fn month_length(self) -> u32 {
        match self.month {
            2 => 28 + u32::from(self.is_leap()),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn day_of_year(self) -> u32 {
        let earlier = (1..self.month).map(|month| Date { month, ..self }.month_length());
        earlier.sum::<u32>() + self.day
    }

    /// Days since Monday.
    fn weekday(self) -> u32 {
        let years = self.year - 1;
        (years * 365 + years / 4 - years / 100 + years / 400 + self.day_of_year() - 1) % 7
    }
}
