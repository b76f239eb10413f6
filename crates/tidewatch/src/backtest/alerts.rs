//! Alerts of a run, gathered into episodes.
//!
//! Where the job follows episodes, alerts say themselves which they are about. Where it does not, bad windows of a rule and
//! key that overlap or follow one another are one: ten alerts about one thing are no ten findings.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

use super::keys::{KeyForm, Keys};
use super::measure::{Bout, Episode};
use super::times::parse_time;

/// What is read of an alert.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    branch: Option<Cow<'a, str>>,
    #[serde(borrow)]
    rule: Cow<'a, str>,
    key: Value,
    #[serde(borrow)]
    window: Window<'a>,
    #[serde(borrow, default)]
    state: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    episode: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Window<'a> {
    #[serde(borrow)]
    start: Cow<'a, str>,
    #[serde(borrow)]
    end: Cow<'a, str>,
}

/// Gathers alerts, in the order in which they come.
pub(super) struct Gathering<'a> {
    form: &'a KeyForm,
    keys: &'a mut Keys,
    /// Numbers of the rules, by their names and those of their branches.
    rules: HashMap<(String, String), u16>,
    /// Alerts that stand for their own window alone.
    windows: Vec<(u16, u32, Bout)>,
    /// Episodes that the job has followed, and where each is by its name.
    followed: Vec<Episode>,
    by_name: HashMap<u128, usize>,
}

impl<'a> Gathering<'a> {
    /// `rules` are the branch and the id of each, the branch of a job without branches being empty.
    pub(super) fn new(form: &'a KeyForm, keys: &'a mut Keys, rules: &[(String, String)]) -> Self {
        let rules = rules.iter().cloned().zip(0..).collect();
        Gathering { form, keys, rules, windows: Vec::new(), followed: Vec::new(), by_name: HashMap::new() }
    }

    /// Takes an alert as a sink gets it. A roll-up is one about a whole group, whose value is its key.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn take(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let Line { kind, data } = serde_json::from_slice(line).context("read an alert")?;
        let rule = (data.branch.unwrap_or_default().into_owned(), data.rule.into_owned());
        let Some(rule) = self.rules.get(&rule).copied() else { bail!("an alert of no rule: {}", rule.1) };
        let key = self.keys.number(self.form.text_of(&data.key));
        let time = |text: &str| parse_time(text).with_context(|| format!("an alert's time is {text}"));
        let (start, end) = (time(&data.window.start)?, time(&data.window.end)?);
        let bout = Bout { start, known: end, end, opens: true };
        match data.state.as_deref() {
            None => self.windows.push((rule, key, bout)),
            Some(state) => {
                let name = u128::from_str_radix(&data.episode, 16).context("read the name of an episode")?;
                let is_roll_up = kind == "tidewatch.rollup";
                self.follow((rule, key), bout, (state, is_roll_up), name);
            }
        }
        Ok(())
    }

    /// What is said of an episode of that name.
    fn follow(&mut self, (rule, key): (u16, u32), bout: Bout, (state, is_roll_up): (&str, bool), name: u128) {
        let number = *self.by_name.entry(name).or_insert(self.followed.len());
        match self.followed.get_mut(number) {
            None => self.followed.push(Episode { rule, key, bouts: vec![bout] }),
            Some(episode) if state == "reopened" => episode.bouts.push(bout),
            // The window that it names is good.
            Some(_) if state == "withdrawn" => {}
            // What a cap has kept back since is about its own minute, and says nothing of those in between.
            Some(episode) if is_roll_up && episode.bouts.last().is_some_and(|last| last.end < bout.start) => {
                episode.bouts.push(Bout { opens: false, ..bout });
            }
            // That it changed, or is over, names the last bad window.
            Some(episode) => {
                if let Some(last) = episode.bouts.last_mut() {
                    last.end = last.end.max(bout.end);
                }
            }
        }
    }

    /// The episodes, in no order that means anything.
    pub(super) fn finish(mut self) -> Vec<Episode> {
        self.windows.sort_unstable_by_key(|(rule, key, bout)| (*rule, *key, bout.start, bout.end));
        let mut episodes = self.followed;
        let mut until = i64::MIN;
        let mut of = None;
        for (rule, key, bout) in self.windows {
            match episodes.last_mut().filter(|_| of == Some((rule, key)) && bout.start <= until) {
                Some(episode) => episode.bouts.push(bout),
                None => {
                    episodes.push(Episode { rule, key, bouts: vec![bout] });
                    (of, until) = (Some((rule, key)), i64::MIN);
                }
            }
            until = until.max(bout.end);
        }
        episodes
    }
}

#[cfg(test)]
mod tests {
    use event::{DataType, Field};

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn gathered(lines: &[String]) -> Vec<Episode> {
        let form = KeyForm::new(&[Field::new("user", DataType::Varchar)]);
        let mut keys = Keys::default();
        let rules = [(String::new(), "low".to_owned()), (String::new(), "high".to_owned())];
        let mut gathering = Gathering::new(&form, &mut keys, &rules);
        lines.iter().for_each(|line| gathering.take(line.as_bytes()).unwrap());
        gathering.finish()
    }

    /// An alert of a window of seconds.
    fn line(rule: &str, key: &str, start: i64, end: i64, more: &str) -> String {
        let [start, end] = [start, end].map(|second| alert::instant(second * SECOND));
        format!(
            r#"{{"specversion":"1.0","data":{{"job":"j","rule":"{rule}","key":"{key}","window":{{"start":"{start}","end":"{end}"}},"features":{{}},{more}}}}}"#
        )
    }

    fn row(rule: &str, key: &str, start: i64, end: i64) -> String {
        line(rule, key, start, end, &format!(r#""episode":"{start:032x}""#))
    }

    fn said(state: &str, episode: u8, start: i64, end: i64) -> String {
        line("low", "a", start, end, &format!(r#""state":"{state}","windows":2,"episode":"{episode:032x}""#))
    }

    fn bout(start: i64, known: i64, end: i64) -> Bout {
        Bout { start: start * SECOND, known: known * SECOND, end: end * SECOND, opens: true }
    }

    #[test]
    fn windows_of_a_rule_and_key_that_overlap_or_touch_are_one_episode() {
        let episodes = gathered(&[
            row("low", "a", 0, 10),
            row("high", "a", 4, 12),
            row("low", "b", 5, 15),
            row("low", "a", 5, 15),
            // It touches the one before, the next does not.
            row("low", "a", 15, 25),
            row("low", "a", 26, 30),
        ]);
        let of = |rule, key, bouts: &[(i64, i64)]| Episode {
            rule,
            key,
            bouts: bouts.iter().map(|(start, end)| bout(*start, *end, *end)).collect(),
        };
        let expected = [
            of(0, 0, &[(0, 10), (5, 15), (15, 25)]),
            of(0, 0, &[(26, 30)]),
            of(0, 1, &[(5, 15)]),
            of(1, 0, &[(4, 12)]),
        ];
        assert_eq!(episodes, expected);
    }

    #[test]
    fn a_window_inside_of_a_longer_one_does_not_end_the_episode() {
        let episodes = gathered(&[row("low", "a", 0, 100), row("low", "a", 10, 20), row("low", "a", 50, 60)]);
        assert_eq!(episodes.len(), 1);
        assert_eq!(episodes[0].bouts.len(), 3);
    }

    #[test]
    fn what_a_job_says_of_an_episode_is_one_alert_each_time_it_opens() {
        let episodes = gathered(&[
            said("opened", 1, 0, 10),
            said("updated", 1, 5, 15),
            said("opened", 2, 12, 22),
            said("resolved", 1, 8, 18),
            said("reopened", 1, 40, 50),
            said("resolved", 1, 44, 54),
        ]);
        assert_eq!(episodes.len(), 2, "another name is another episode, even if it overlaps");
        assert_eq!(episodes[0].bouts, [bout(0, 10, 18), bout(40, 50, 54)]);
        assert_eq!(episodes[1].bouts, [bout(12, 22, 22)]);
    }

    #[test]
    fn a_line_that_is_no_alert_of_the_job_is_an_error() {
        let form = KeyForm::new(&[Field::new("user", DataType::Varchar)]);
        let mut keys = Keys::default();
        let mut gathering = Gathering::new(&form, &mut keys, &[]);
        assert!(gathering.take(b"{}").is_err());
        let unknown = gathering.take(row("low", "a", 0, 1).as_bytes()).unwrap_err();
        assert!(unknown.to_string().contains("no rule: low"), "{unknown}");
    }
}
