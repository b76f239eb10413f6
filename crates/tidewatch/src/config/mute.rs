//! `[alerts.mute.NAME]`: when nobody is told of some alerts.

use detect::MuteTimes;

use super::diagnostic::{Code, Diagnostic};
use super::duration::parse_instant;
use super::place::{Place, Sources};
use super::section::{Read, Reader, Section};
use super::tree::{Node, Value};
use super::value::{Sql, bad_value, filled_string, sql, string, strings, wrong_type};

/// A time at which nobody is told of some alerts.
#[derive(Debug, Clone)]
pub struct Mute {
    /// Its name, which muted alerts carry.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// `from` and `to`: instants; or times of the day, then with `days` (default: all) and `zone` (default: `UTC`).
    pub times: MuteTimes,
    /// Of which rules. Default: of all.
    pub rules: Vec<String>,
    /// Of which rows, over all columns of a row. Default: of all.
    pub when: Option<Sql>,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const SECOND: i64 = event::MICROS_PER_SECOND;

/// One end of a mute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Instant(i64),
    /// Since midnight.
    Time(i64),
}

/// Reads all of them, in the order of the file.
pub(super) fn read_mutes(alerts: &mut Section, reader: &mut Reader) -> Vec<Mute> {
    let mut mutes = Vec::new();
    for (entry, mut section) in alerts.sections(reader, "mute", "mute") {
        let help = "add `from = \"22:00\"`, or an instant as `\"2026-01-02T22:00:00Z\"`";
        let from = section.required(reader, "from", help, end);
        let help = "add `to = \"06:00\"`, or an instant as `\"2026-01-03T06:00:00Z\"`";
        let to = section.required(reader, "to", help, end);
        let times = read_times(&mut section, reader, from.zip(to));
        let rules = section.optional(reader, "rules", strings).unwrap_or_default();
        let when = section.optional(reader, "when", sql);
        section.finish(reader);
        let (name, place) = (entry.name.clone(), entry.key.clone());
        mutes.extend(times.map(|times| Mute { name, place, times, rules, when }));
    }
    mutes
}

fn read_times(section: &mut Section, reader: &mut Reader, ends: Option<(End, End)>) -> Option<MuteTimes> {
    let days = section.optional(reader, "days", days);
    let zone = section
        .optional(reader, "zone", |sources, node| Ok((filled_string(sources, node)?, node.place.clone())));
    let place = section.place().clone();
    let refuse = |reader: &mut Reader, message: &str, help: &str| {
        reader.report(Diagnostic::new(Code::Conflict, place.clone(), message).with_help(help));
    };
    match ends? {
        (End::Instant(from), End::Instant(to)) if from >= to => {
            refuse(reader, "the mute ends before it starts", "`to` is the first instant behind it");
            None
        }
        (End::Instant(_), End::Instant(_)) if days.is_some() || zone.is_some() => {
            refuse(
                reader,
                "a mute from one instant to another has neither `days` nor a `zone`",
                "take them out",
            );
            None
        }
        (End::Instant(from), End::Instant(to)) => Some(MuteTimes::Once { from, to }),
        (End::Time(from), End::Time(to)) => {
            let name = zone.as_ref().map_or("UTC", |(name, _)| name);
            let times = MuteTimes::weekly(days.unwrap_or([true; 7]), from, to, name);
            if let (None, Some((name, place))) = (&times, &zone) {
                let message = format!("`{name}` is no time zone");
                let diagnostic = Diagnostic::new(Code::BadValue, place.clone(), message);
                reader.report(diagnostic.with_help("write one as `Asia/Seoul`"));
            }
            times
        }
        _ => {
            refuse(reader, "`from` and `to` are an instant and a time of the day", "write two of one kind");
            None
        }
    }
}

/// `"22:00"`, `"22:00:30"`, or an instant.
fn end(sources: &Sources, node: &Node) -> Read<End> {
    let text = match &node.value {
        Value::Datetime(text) => text.clone(),
        _ => string(sources, node)?,
    };
    if let Some(time) = parse_time(&text) {
        return Ok(End::Time(time));
    }
    let help = "write a time as `\"22:00\"`, or an instant as `\"2026-01-02T22:00:00Z\"`";
    parse_instant(&text).map(End::Instant).map_err(|message| bad_value(node, message).with_help(help))
}

/// A time of the day in microseconds since midnight.
fn parse_time(text: &str) -> Option<i64> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |text: &str, most: i64| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| is_number && *number <= most)
    };
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute] => (number(hour, 23)?, number(minute, 59)?, 0),
        [hour, minute, second] => (number(hour, 23)?, number(minute, 59)?, number(second, 59)?),
        _ => return None,
    };
    Some((hour * 3600 + minute * 60 + second) * SECOND)
}

/// `["sat", "sun"]`.
fn days(sources: &Sources, node: &Node) -> Read<[bool; 7]> {
    let needed = "a list of days: mon, tue, wed, thu, fri, sat, sun";
    let Value::Array(nodes) = &node.value else { return Err(wrong_type(node, needed)) };
    if nodes.is_empty() {
        return Err(bad_value(node, "a list without a day").with_help("leave `days` out for every day"));
    }
    let mut days = [false; 7];
    for node in nodes {
        let text = string(sources, node)?;
        let Some(day) = DAYS.iter().position(|day| *day == text) else {
            return Err(bad_value(node, format!("`{text}` is no day")).with_help(format!("write {needed}")));
        };
        days[day] = true;
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_day_have_two_digits_each() {
        assert_eq!(parse_time("06:00"), Some(6 * 3600 * SECOND));
        assert_eq!(parse_time("23:59:58"), Some((86_400 - 2) * SECOND));
        for wrong in ["24:00", "6:00", "06:60", "06", "06:00:60", "06:00:00:00", "+6:00", ""] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }
}
