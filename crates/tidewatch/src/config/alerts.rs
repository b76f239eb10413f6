//! `[alerts]`: what rules find is put out as episodes, a few words each, rather than row by row.

use std::time::Duration;

use super::cap::{Cap, read_cap};
use super::diagnostic::{Code, Diagnostic};
use super::duration::parse_duration;
use super::mute::{Mute, read_mutes};
use super::place::{Place, Sources};
use super::section::{Read, Reader, Section};
use super::tree::{Node, Value};
use super::value::{bad_value, boolean, duration, string};

/// When episodes open and when they are over: `[alerts]` for all rules, the same keys in `[rules.ID]` for one.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    /// Bad windows that it takes: `"3 of 4"` windows that follow one another, `"3 in 10m"` of event time, or a number of
    /// windows one after the other. Default: `"3 of 4"`; `1` for windows that do not slide.
    pub open_after: Option<(Evidence, Place)>,
    /// After how much event time without a bad window it is over. Default: three slides; `3m` for windows without one.
    /// Range: `1ms` to `30d`.
    pub resolve_after: Option<Duration>,
    /// For how long it opens again, with the same name, rather than a new one. Default: `30m`. Range: `0s` to `30d`.
    pub cooldown: Duration,
    /// How long it lasts at most; if windows are bad even then, it opens again. Default: `60m`. Range: `1s` to `366d`.
    pub longest: Duration,
    /// For how long after a key was first seen nothing is opened for it. Default: `0s`. Range: `0s` to `366d`.
    pub grace: Duration,
}

/// `[alerts]`: how what rules find is told.
#[derive(Debug, Clone)]
pub struct Telling {
    /// Where the section stands.
    pub place: Place,
    /// When episodes open and when they are over; `None` if each row is put out.
    pub episodes: Option<Alerts>,
    /// `[alerts.mute.NAME]`: when nobody is told, in the order of the file.
    pub mutes: Vec<Mute>,
    /// `[alerts.cap]`: how many alerts go out in a minute.
    pub cap: Option<Cap>,
}

/// Bad windows that it takes to open an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// How many.
    pub windows: u32,
    /// Within what.
    pub within: Within,
}

/// Within what windows are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// So many windows that follow one another.
    Windows(u32),
    /// So much event time.
    Time(Duration),
}

const DAY: Duration = Duration::from_secs(86_400);
const WINDOWS_MAX: u32 = 1000;

/// Reads `[alerts]`, if there is one.
pub(super) fn read_alerts(root: &mut Section, reader: &mut Reader) -> Option<Telling> {
    let mut section = root.section(reader, "alerts")?;
    let groups = section.or(reader, "group_windows", (true, "true"), boolean);
    let open_after = section.optional(reader, "open_after", evidence);
    let (resolve_after, longest) = read_times(&mut section, reader);
    let half_an_hour = (Duration::from_secs(1800), "\"30m\"");
    let cooldown = section.or(reader, "cooldown", half_an_hour, duration(Duration::ZERO..=30 * DAY));
    let longest = longest.unwrap_or(Duration::from_secs(3600));
    let grace = section.or(reader, "grace", (Duration::ZERO, "\"0s\""), duration(Duration::ZERO..=366 * DAY));
    let mutes = read_mutes(&mut section, reader);
    let cap = read_cap(&mut section, reader);
    let place = section.place().clone();
    if !groups {
        refuse_without_episodes(&mut section, reader);
    }
    section.finish(reader);
    let episodes = groups.then_some(Alerts { open_after, resolve_after, cooldown, longest, grace });
    Some(Telling { place, episodes, mutes, cap })
}

/// Who has no episodes has none that could be muted, capped or waited for.
fn refuse_without_episodes(section: &mut Section, reader: &mut Reader) {
    for key in ["grace", "mute", "cap"] {
        if let Some(entry) = section.entry(key) {
            let message = format!("`{key}` is about episodes, and the job puts out rows");
            let diagnostic = Diagnostic::new(Code::Conflict, entry.key.clone(), message);
            reader.report(diagnostic.with_help("take `group_windows = false` out"));
        }
    }
}

/// What a rule says of its own episodes; `all` is what is said of those of all rules, if there are any.
pub(super) fn read_rule_alerts(
    section: &mut Section,
    reader: &mut Reader,
    all: Option<&Alerts>,
) -> Option<Alerts> {
    let Some(all) = all else {
        for key in ["open_after", "resolve_after", "cooldown", "longest", "grace"] {
            if let Some(entry) = section.entry(key) {
                let message = format!("`{key}` is about episodes, and the job puts out rows");
                let diagnostic = Diagnostic::new(Code::Conflict, entry.key.clone(), message);
                reader.report(diagnostic.with_help("add a section `[alerts]`"));
            }
        }
        return None;
    };
    let open_after = section.optional(reader, "open_after", evidence).or_else(|| all.open_after.clone());
    let (resolve_after, longest) = read_times(section, reader);
    let cooldown = section.optional(reader, "cooldown", duration(Duration::ZERO..=30 * DAY));
    let grace = section.optional(reader, "grace", duration(Duration::ZERO..=366 * DAY));
    Some(Alerts {
        open_after,
        resolve_after: resolve_after.or(all.resolve_after),
        cooldown: cooldown.unwrap_or(all.cooldown),
        longest: longest.unwrap_or(all.longest),
        grace: grace.unwrap_or(all.grace),
    })
}

fn read_times(section: &mut Section, reader: &mut Reader) -> (Option<Duration>, Option<Duration>) {
    let shortest = Duration::from_millis(1);
    (
        section.optional(reader, "resolve_after", duration(shortest..=30 * DAY)),
        section.optional(reader, "longest", duration(Duration::from_secs(1)..=366 * DAY)),
    )
}

/// `3`, `"3 of 4"`, `"3 in 10m"`.
fn evidence(sources: &Sources, node: &Node) -> Read<(Evidence, Place)> {
    let text = match node.value {
        Value::Integer(windows) => windows.to_string(),
        _ => string(sources, node)?,
    };
    let parsed = parse_evidence(&text).ok_or_else(|| {
        let message = format!("`{text}` is no number of bad windows");
        bad_value(node, message)
            .with_help("write `\"3 of 4\"` windows, `\"3 in 10m\"`, or a number from 1 to 1000")
    })?;
    Ok((parsed, node.place.clone()))
}

fn parse_evidence(text: &str) -> Option<Evidence> {
    let number = |text: &str| text.trim().parse().ok().filter(|n| (1..=WINDOWS_MAX).contains(n));
    if let Some((windows, all)) = text.split_once(" of ") {
        let (windows, all) = (number(windows)?, number(all)?);
        return (windows <= all).then_some(Evidence { windows, within: Within::Windows(all) });
    }
    if let Some((windows, time)) = text.split_once(" in ") {
        let time = parse_duration(time.trim()).ok().filter(|time| !time.is_zero())?;
        return Some(Evidence { windows: number(windows)?, within: Within::Time(time) });
    }
    let windows = number(text)?;
    Some(Evidence { windows, within: Within::Windows(windows) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_a_number_of_windows_of_others_or_in_some_time() {
        let of = |windows, within| Some(Evidence { windows, within });
        assert_eq!(parse_evidence("3 of 4"), of(3, Within::Windows(4)));
        assert_eq!(parse_evidence("2"), of(2, Within::Windows(2)));
        assert_eq!(parse_evidence("2 in 10m"), of(2, Within::Time(Duration::from_secs(600))));
        for wrong in ["", "0", "0 of 3", "4 of 3", "3 of", "1001", "2 in 0s", "2 in ten", "-1", "1.5"] {
            assert_eq!(parse_evidence(wrong), None, "{wrong}");
        }
    }
}
