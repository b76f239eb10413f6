//! Times as text by a format and back: `strftime` and `strptime`, with DuckDB's specifiers.

use std::fmt::Write;

use crate::calendar::{Civil, DAY_US, Part, iso_week, iso_weekday};
use crate::kernel::zone::Zone;

pub(crate) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
pub(crate) const MONTHS: [&str; 12] = [
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

/// A format, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(String),
    /// A specifier, and whether a `-` before it takes away leading zeros.
    Field(char, bool),
}

impl Format {
    /// Reads a format.
    pub(crate) fn read(text: &str) -> Result<Format, String> {
        if text.is_empty() {
            return Err("the format is empty".to_owned());
        }
        let mut items = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let item = match c {
                '%' => {
                    let next = chars.next();
                    let bare = next == Some('-');
                    let letter = if bare { chars.next() } else { next };
                    field(letter, bare)?
                }
                c => vec![Item::Text(c.to_string())],
            };
            items.extend(item);
        }
        Ok(Format(items))
    }

    /// Whether it reads a zone or an offset, so that what is read is an instant.
    pub(crate) fn has_zone(&self) -> bool {
        self.0.iter().any(|item| matches!(item, Item::Field('z' | 'Z', _)))
    }

    /// Appends a time; `zoned` if it is an instant, in UTC.
    pub(crate) fn write(&self, micros: i64, zoned: bool, out: &mut String) {
        for item in &self.0 {
            match item {
                Item::Text(text) => out.push_str(text),
                Item::Field(letter, bare) => write_field(*letter, *bare, micros, zoned, out),
            }
        }
    }

    /// Reads a time: the whole text, blanks around it aside.
    pub(crate) fn parse(&self, text: &str) -> Option<Result<i64, String>> {
        let mut parsed = Parsed::default();
        let mut rest = text.trim_ascii();
        for item in &self.0 {
            rest = match item {
                Item::Text(text) if text == " " => rest.trim_ascii_start(),
                Item::Text(text) => rest.strip_prefix(text.as_str())?,
                Item::Field(letter, _) => parsed.read(*letter, rest)?,
            };
        }
        rest.trim_ascii().is_empty().then(|| parsed.finish())
    }
}

/// The items of a specifier; some stand for several.
fn field(letter: Option<char>, bare: bool) -> Result<Vec<Item>, String> {
    let fields = |letters: &[(char, &str)]| {
        let items = letters.iter().flat_map(|(letter, behind)| {
            let text = (!behind.is_empty()).then(|| Item::Text((*behind).to_owned()));
            std::iter::once(Item::Field(*letter, false)).chain(text)
        });
        items.collect::<Vec<_>>()
    };
    let date = [('Y', "-"), ('m', "-"), ('d', "")];
    let time = [('H', ":"), ('M', ":"), ('S', "")];
    match (letter, bare) {
        (None, _) => Err("the format ends in `%`".to_owned()),
        (Some('%'), false) => Ok(vec![Item::Text("%".to_owned())]),
        (Some('h'), false) => Ok(vec![Item::Field('b', false)]),
        (Some('x'), false) => Ok(fields(&date)),
        (Some('X' | 'T'), false) => Ok(fields(&time)),
        (Some('c'), false) => {
            let mut items = fields(&date);
            items.push(Item::Text(" ".to_owned()));
            items.extend(fields(&time));
            Ok(items)
        }
        (Some(letter), false) if "aAwudbBmyYGHIpMSfgnzZjUWVu".contains(letter) => {
            Ok(vec![Item::Field(letter, false)])
        }
        (Some(letter), true) if "dmyHIMSj".contains(letter) => Ok(vec![Item::Field(letter, true)]),
        (Some(letter), bare) => {
            Err(format!("`%{}{letter}` is not supported in a format", if bare { "-" } else { "" }))
        }
    }
}

fn write_field(letter: char, bare: bool, micros: i64, zoned: bool, out: &mut String) {
    let (days, time) = (micros.div_euclid(DAY_US), micros.rem_euclid(DAY_US));
    let civil = Civil::of_days(days);
    let (hour, fraction) = (time / 3_600_000_000, time % 1_000_000);
    let day_of_year = Part::DayOfYear.of(micros);
    let number = |value: i64, width: usize| match bare {
        true => value.to_string(),
        false => format!("{value:0>width$}"),
    };
    let year = |year: i64| if year < 0 { year.to_string() } else { format!("{year:04}") };
    let text = match letter {
        'a' => DAYS[iso_weekday(days) as usize - 1][..3].to_owned(),
        'A' => DAYS[iso_weekday(days) as usize - 1].to_owned(),
        'b' => MONTHS[civil.month as usize - 1][..3].to_owned(),
        'B' => MONTHS[civil.month as usize - 1].to_owned(),
        'w' => number(iso_weekday(days) % 7, 1),
        'u' => number(iso_weekday(days), 1),
        'd' => number(civil.day, 2),
        'm' => number(civil.month, 2),
        'y' => number(civil.year.abs() % 100, 2),
        'Y' => year(civil.year),
        'G' => year(iso_week(days).0),
        'H' => number(hour, 2),
        'I' => number((hour + 11) % 12 + 1, 2),
        'p' => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
        'M' => number(time / 60_000_000 % 60, 2),
        'S' => number(time / 1_000_000 % 60, 2),
        'f' => number(fraction, 6),
        'g' => number(fraction / 1_000, 3),
        'n' => number(fraction * 1_000, 9),
        'j' => number(day_of_year, 3),
        'U' => number((day_of_year + 6 - iso_weekday(days) % 7) / 7, 2),
        'W' => number((day_of_year + 7 - iso_weekday(days)) / 7, 2),
        'V' => number(iso_week(days).1, 2),
        'z' => "+00".to_owned(),
        _ => (if zoned { "UTC" } else { "" }).to_owned(),
    };
    out.push_str(&text);
}

/// What was read so far.
#[derive(Debug, Default)]
struct Parsed {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso: (Option<i64>, Option<i64>, Option<i64>),
    hour: i64,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    offset_minutes: i64,
    zone: Option<Zone>,
}

impl Parsed {
    /// Reads a field at the start of a text and gives the rest.
    fn read<'t>(&mut self, letter: char, text: &'t str) -> Option<&'t str> {
        let number = |most: usize, values: std::ops::RangeInclusive<i64>| {
            let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
            let value: i64 = text[..length].parse().ok()?;
            values.contains(&value).then(|| (value, &text[length..]))
        };
        let named = |names: &[&str], length: Option<usize>| {
            names.iter().enumerate().find_map(|(at, name)| {
                let name = length.map_or(*name, |length| &name[..length]);
                let start = text.get(..name.len())?;
                start.eq_ignore_ascii_case(name).then(|| (at as i64 + 1, &text[name.len()..]))
            })
        };
        let (field, (value, rest)) = match letter {
            'a' => return named(&DAYS, Some(3)).map(|(_, rest)| rest),
            'A' => return named(&DAYS, None).map(|(_, rest)| rest),
            'b' => (&mut self.month, named(&MONTHS, Some(3))?),
            'B' => (&mut self.month, named(&MONTHS, None)?),
            'd' => (&mut self.day, number(2, 1..=31)?),
            'm' => (&mut self.month, number(2, 1..=12)?),
            'j' => (&mut self.day_of_year, number(3, 1..=366)?),
            'Y' => (&mut self.year, number(4, 0..=9999)?),
            'G' => (&mut self.iso.0, number(4, 0..=9999)?),
            'V' => (&mut self.iso.1, number(2, 1..=53)?),
            'u' => (&mut self.iso.2, number(1, 1..=7)?),
            'w' | 'U' | 'W' => return number(2, 0..=53).map(|(_, rest)| rest),
            'y' => {
                let (value, rest) = number(2, 0..=99)?;
                (&mut self.year, (if value < 69 { 2000 } else { 1900 } + value, rest))
            }
            letter => return self.read_time(letter, text, number),
        };
        *field = Some(value);
        Some(rest)
    }

    fn read_time<'t>(
        &mut self,
        letter: char,
        text: &'t str,
        number: impl Fn(usize, std::ops::RangeInclusive<i64>) -> Option<(i64, &'t str)>,
    ) -> Option<&'t str> {
        let rest;
        match letter {
            'H' => (self.hour, rest) = number(2, 0..=23)?,
            'I' => {
                let (hour, behind) = number(2, 1..=12)?;
                self.afternoon = self.afternoon.or(Some(false));
                (self.hour, rest) = (hour % 12, behind);
            }
            'M' => (self.minute, rest) = number(2, 0..=59)?,
            'S' => (self.second, rest) = number(2, 0..=59)?,
            'f' | 'g' | 'n' => {
                let most = match letter {
                    'f' => 6,
                    'g' => 3,
                    _ => 9,
                };
                let (_, behind) = number(most, 0..=999_999_999)?;
                let digits = &text[..text.len() - behind.len()];
                let padded = format!("{digits:0<6}");
                (self.micros, rest) = (padded[..6].parse().ok()?, behind);
            }
            'p' => {
                let word = text.get(..2)?.to_ascii_uppercase();
                self.afternoon = Some(match word.as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return None,
                });
                rest = &text[2..];
            }
            'z' => rest = self.read_offset(text)?,
            'Z' => {
                let length = text.find(|c: char| !c.is_ascii_alphanumeric() && !"/_+-".contains(c));
                let (name, behind) = text.split_at(length.unwrap_or(text.len()));
                self.zone = Some(Zone::find(name).ok()?);
                rest = behind;
            }
            _ => return None,
        }
        Some(rest)
    }

    /// `+HH[[:]MM]`.
    fn read_offset<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let sign = match text.bytes().next()? {
            b'+' => 1,
            b'-' => -1,
            b'Z' => return Some(&text[1..]),
            _ => return None,
        };
        let two =
            |text: &str| text.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
        let hours: i64 = two(&text[1..])?;
        let behind = &text[3..];
        let colon = behind.strip_prefix(':').unwrap_or(behind);
        let (minutes, rest) = match two(colon) {
            Some(minutes) => (minutes, &colon[2..]),
            None => (0i64, behind),
        };
        self.offset_minutes = sign * (hours * 60 + minutes);
        (minutes < 60).then_some(rest)
    }

    /// The time; what was not read is that of 1900-01-01 00:00:00.
    fn finish(self) -> Result<i64, String> {
        let hour = if self.afternoon == Some(true) { self.hour % 12 + 12 } else { self.hour };
        let time = ((hour * 60 + self.minute) * 60 + self.second) * 1_000_000 + self.micros;
        let year = self.year.unwrap_or(1900);
        let days = match (self.iso, self.day_of_year) {
            ((Some(year), week, day), _) => {
                let first = Civil { year, month: 1, day: 4 }.days();
                first - iso_weekday(first) + (week.unwrap_or(1) - 1) * 7 + day.unwrap_or(1)
            }
            (_, Some(day)) => Civil { year, month: 1, day: 1 }.days() + day - 1,
            _ => {
                let civil = Civil { year, month: self.month.unwrap_or(1), day: self.day.unwrap_or(1) };
                if civil.day > civil.month_days() {
                    return Err(format!("{year}-{}-{} is no date", civil.month, civil.day));
                }
                civil.days()
            }
        };
        let local = days * DAY_US + time - self.offset_minutes * 60_000_000;
        self.zone.map_or(Ok(local), |zone| zone.instant(local))
    }
}

/// A format's text for a message.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    let _ = write!(shown, "'{}'", text.chars().take(60).collect::<String>());
    shown
}
