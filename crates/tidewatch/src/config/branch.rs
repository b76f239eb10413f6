//! `[branch.NAME]`: several kinds of windows over the events of one job.

use std::time::Duration;

use super::alerts::Alerts;
use super::detection::{Named, Rule, read_expressions, read_rules};
use super::diagnostic::{Code, Diagnostic};
use super::place::Place;
use super::section::{Reader, Section};
use super::sink::read_columns;
use super::value::{Sql, sql};
use super::window::{Window, read_window};

/// `[branch.NAME]`: windows over the events of the job, and what becomes of their rows. A job without such a section is
/// one branch, whose sections stand by themselves.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its name, a part of its alerts; `None` of the branch of a job without sections.
    pub name: Option<String>,
    /// Where the section stands.
    pub place: Option<Place>,
    /// `where`: which events it takes in. Default: all.
    pub condition: Option<Sql>,
    /// `[window]`, and where it stands.
    pub window: Option<(Window, Place)>,
    /// `[features] NAME = "aggregates"`: one row for each key and window.
    pub features: Vec<Named>,
    /// `[score] NAME = "expression"` over the key, the window and features, in order; each may use those before.
    pub scores: Vec<Named>,
    /// `[rules.ID]`, by id.
    pub rules: Vec<Rule>,
    /// The columns of sinks with `format = "plain"` that have none of their own.
    pub columns: Option<Vec<Sql>>,
}

impl Branch {
    /// How long a row of a key is recalled; of no use without windows.
    pub fn lag_within(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(86_400);
        let Some((window, _)) = &self.window else { return DAY };
        window.lag_within.unwrap_or_else(|| window.slide().map_or(DAY, |slide| DAY.max(2 * slide)))
    }
}

/// The sections that each branch has for itself.
const OWN: [&str; 4] = ["window", "features", "score", "rules"];
/// The most branches: each takes memory of its own for every key.
const MOST: usize = 64;

/// The branches, in the order of the file; one at least.
pub(super) fn read_branches(root: &mut Section, reader: &mut Reader, alerts: Option<&Alerts>) -> Vec<Branch> {
    let named = root.sections(reader, "branch", "branch");
    if named.is_empty() {
        return vec![read_branch(root, None, reader, alerts)];
    }
    for section in OWN {
        if let Some(entry) = root.entry(section) {
            let message = format!("a job with `[branch]` has its `[{section}]` in each branch");
            let help = format!("write `[branch.{}.{section}]`", named[0].0.name);
            reader.report(Diagnostic::new(Code::Conflict, entry.key.clone(), message).with_help(help));
        }
    }
    if let Some((entry, _)) = named.get(MOST) {
        let message = format!("there are more than {MOST} branches");
        reader.report(Diagnostic::new(Code::BadValue, entry.key.clone(), message));
    }
    let mut branches = Vec::new();
    for (entry, mut section) in named {
        let condition = section.optional(reader, "where", sql);
        let columns = section.optional(reader, "columns", |_, node| Ok(node.clone()));
        let columns = columns.and_then(|list| read_columns(&list, reader));
        let branch = read_branch(&mut section, Some(entry.name.clone()), reader, alerts);
        section.finish(reader);
        branches.push(Branch { place: Some(entry.key.clone()), condition, columns, ..branch });
    }
    branches
}

fn read_branch(
    section: &mut Section,
    name: Option<String>,
    reader: &mut Reader,
    alerts: Option<&Alerts>,
) -> Branch {
    Branch {
        name,
        place: None,
        condition: None,
        window: read_window(section, reader),
        features: read_expressions(section, reader, "features"),
        scores: read_expressions(section, reader, "score"),
        rules: read_rules(section, reader, alerts),
        columns: None,
    }
}
