//! Finds an alert: in a file that is given, in the sinks of the job that can be read, or among what its checkpoints have put out.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use alert::{SinkError, TakeAlert, Wanted, find_alerts, find_alerts_in};
use anyhow::Context;
use checkpoint::{Kind, Operator, Store, StoreError};
use dataflow::Job;
use serde_json::Value;

/// The fewest characters of an id that say which is meant.
const PREFIX_MIN: usize = 8;
/// Ids that are named where several begin with what was given.
const NAMED_MAX: usize = 5;

/// An alert, and where it was.
pub(super) struct Found {
    pub(super) alert: Value,
    /// In words.
    pub(super) place: String,
    /// What is to be known of which alert it is, if it is not just the one that was asked for.
    pub(super) note: Option<String>,
}

/// Finds the alert that is meant, or says why there is none.
///
/// # Errors
/// If something cannot be read that must be.
pub(super) fn find(id: &str, file: Option<&Path>, job: &Job) -> anyhow::Result<Result<Found, String>> {
    let id = id.to_ascii_lowercase();
    let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let wanted = match id.as_str() {
        "last" => Wanted::Last,
        prefix if is_hex && (PREFIX_MIN..=32).contains(&prefix.len()) => Wanted::Named(prefix),
        _ => {
            let words = format!(
                "`{id}` is no id: give the `id` or the `episode` of an alert, {PREFIX_MIN} to 32 hexadecimal digits, or `last`"
            );
            return Ok(Err(words));
        }
    };
    let mut search = Search::default();
    search.everywhere(wanted, file, job)?;
    let found = match wanted {
        Wanted::Last => search.alerts.pop().ok_or_else(|| search.nothing("no alert")),
        Wanted::Named(prefix) => search.choose(prefix),
    };
    let Ok(found) = found else { return Ok(found) };
    // What is over has no features: the last alarm of the episode has.
    let episode = found.alert["data"]["episode"].as_str().unwrap_or_default().to_owned();
    if is_alarm(&found.alert) || episode.is_empty() {
        return Ok(Ok(found));
    }
    let mut others = Search::default();
    if file.is_none_or(|file| file.as_os_str() != "-") {
        others.everywhere(Wanted::Named(&episode), file, job)?;
    }
    others.alerts.extend(search.alerts);
    let of_episode =
        |other: &Found| is_alarm(&other.alert) && other.alert["data"]["episode"] == episode.as_str();
    Ok(Ok(match others.alerts.into_iter().rfind(of_episode) {
        Some(alarm) => {
            let said = found.alert["id"].as_str().unwrap_or_default();
            let note = format!("{said} says that the episode is over; this is its last alarm");
            Found { note: Some(note), ..alarm }
        }
        None => found,
    }))
}

fn is_alarm(alert: &Value) -> bool {
    alert["data"]["state"] != "resolved" && alert["data"]["state"] != "withdrawn"
}

/// What was searched, and what was found.
#[derive(Default)]
struct Search {
    alerts: Vec<Found>,
    searched: Vec<String>,
    unread: Vec<String>,
}

impl Search {
    /// Looks where the alert may be, until there is one.
    fn everywhere(&mut self, wanted: Wanted<'_>, file: Option<&Path>, job: &Job) -> anyhow::Result<()> {
        if let Some(file) = file {
            return self.in_file(file, wanted);
        }
        for (number, sink) in job.sinks.iter().enumerate() {
            let is_number = |id: &event::SinkId| usize::from(id.0) == number;
            if job.quarantine.as_ref().is_some_and(is_number) || job.late.as_ref().is_some_and(is_number) {
                continue;
            }
            let place = format!("sink `{}` ({})", sink.name, sink.kind.target());
            let mut found = Vec::new();
            match find_alerts(sink, &job.name, wanted, &mut |text| found.push(text.to_owned())) {
                Ok(true) => self.searched.push(place.clone()),
                Ok(false) => self.unread.push(format!("{place} holds no alerts that can be read")),
                Err(error @ (SinkError::NotBuilt { .. } | SinkError::Database { .. })) => {
                    self.unread.push(format!("{place}: {error}"));
                }
                Err(error) => return Err(error).context("look for the alert"),
            }
            found.iter().for_each(|text| self.add(text, &place));
        }
        if self.alerts.is_empty() {
            self.in_checkpoints(wanted, job).context("look for the alert in the checkpoints")?;
        }
        Ok(())
    }

    fn in_file(&mut self, file: &Path, wanted: Wanted<'_>) -> anyhow::Result<()> {
        let place = match file.as_os_str() == "-" {
            true => "standard input".to_owned(),
            false => file.display().to_string(),
        };
        let mut found = Vec::new();
        let take: &mut TakeAlert<'_> = &mut |text| found.push(text.to_owned());
        let read = match file.as_os_str() == "-" {
            true => find_alerts_in(std::io::stdin().lock(), wanted, take),
            false => File::open(file).and_then(|file| find_alerts_in(file, wanted, take)),
        };
        read.with_context(|| format!("read {place}"))?;
        found.iter().for_each(|text| self.add(text, &place));
        self.searched.push(place);
        Ok(())
    }

    /// What the checkpoints that are kept have put out, newest first, until one has it.
    fn in_checkpoints(&mut self, wanted: Wanted<'_>, job: &Job) -> Result<(), StoreError> {
        let Some(state) = &job.state else { return Ok(()) };
        let Some(store) = state.location.open_existing()? else { return Ok(()) };
        let numbers = store.numbers()?;
        for number in numbers.iter().rev() {
            let place = format!("the outbox of checkpoint {number}");
            let mut found = Vec::new();
            match in_outbox(&store, *number, wanted, &mut |text| found.push(text.to_owned())) {
                // A job that runs may take one away meanwhile.
                Err(_) if !store.numbers()?.contains(number) => continue,
                looked => looked?,
            }
            found.iter().for_each(|text| self.add(text, &place));
            if !self.alerts.is_empty() {
                return Ok(());
            }
        }
        if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
            self.searched.push(format!(
                "the outboxes of checkpoints {first} to {last}, which are the ones that are kept"
            ));
        }
        Ok(())
    }

    fn add(&mut self, text: &str, place: &str) {
        let Ok(alert) = serde_json::from_str::<Value>(text) else { return };
        // A sink that delivers at once may have it twice.
        if alert["id"].is_string() && self.alerts.iter().all(|known| known.alert["id"] != alert["id"]) {
            self.alerts.push(Found { alert, place: place.to_owned(), note: None });
        }
    }

    /// The alert of which what is given begins the id; or the last alarm of the episode of which it does.
    fn choose(&mut self, prefix: &str) -> Result<Found, String> {
        let begins = |value: &Value| value.as_str().is_some_and(|id| id.starts_with(prefix));
        let by_id: Vec<usize> =
            (0..self.alerts.len()).filter(|place| begins(&self.alerts[*place].alert["id"])).collect();
        match by_id.as_slice() {
            [place] => return Ok(self.alerts.swap_remove(*place)),
            [] => {}
            several => {
                let ids = several.iter().map(|place| self.alerts[*place].alert["id"].to_string());
                return Err(ambiguous(prefix, "alerts", ids.collect()));
            }
        }
        let mut episodes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, found) in self.alerts.iter().enumerate() {
            let episode = &found.alert["data"]["episode"];
            if begins(episode) {
                episodes.entry(episode.to_string()).or_default().push(place);
            }
        }
        if episodes.len() > 1 {
            return Err(ambiguous(prefix, "episodes", episodes.into_keys().collect()));
        }
        let Some((episode, places)) = episodes.pop_first() else {
            return Err(self.nothing(&format!("no alert or episode `{prefix}`")));
        };
        let alarm = places.iter().rev().find(|place| is_alarm(&self.alerts[**place].alert));
        let place = alarm.or(places.last()).copied().unwrap_or_default();
        let count = places.len();
        let found = self.alerts.swap_remove(place);
        let note = (count > 1)
            .then(|| format!("the last alarm of episode {} of {count} alerts", episode.trim_matches('"')));
        Ok(Found { note, ..found })
    }

    /// That nothing was found, and where.
    fn nothing(&self, what: &str) -> String {
        let mut words = match self.searched.as_slice() {
            [] => format!("{what} was found: there is nothing that could be searched"),
            searched => format!("{what} in {}", searched.join(", in ")),
        };
        self.unread.iter().for_each(|unread| words.push_str(&format!("\nnote: {unread}")));
        words.push_str(
            "\nhint: `--alerts FILE` looks in a file of alert objects, one a line; `-` is standard input",
        );
        words
    }
}

fn ambiguous(prefix: &str, what: &str, ids: Vec<String>) -> String {
    let named: Vec<&str> = ids.iter().take(NAMED_MAX).map(String::as_str).collect();
    format!(
        "`{prefix}` begins {} {what}: {}; give more of the one that is meant",
        ids.len(),
        named.join(", ")
    )
}

/// The alerts that a checkpoint put out.
fn in_outbox(
    store: &Store,
    number: u32,
    wanted: Wanted<'_>,
    take: &mut TakeAlert<'_>,
) -> Result<(), StoreError> {
    let manifest = store.manifest(number)?;
    for segment in manifest.segments.iter().filter(|segment| segment.operator == Operator::Outbox) {
        for (offset, chunk) in segment.live() {
            let ((), parts) = store.read_chunk(number, segment, offset, &chunk, Kind::Outbox)?;
            for lines in parts {
                // To read from memory does not fail.
                let _ = find_alerts_in(&lines[..], wanted, take);
            }
        }
    }
    Ok(())
}
