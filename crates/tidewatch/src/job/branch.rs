//! The branches of a job: what each computes of its windows, and how its rows look in each sink.

use alert::{AlertRule, CapSpec, Format, Output, Renderer};
use dataflow::Branch;
use detect::{Detection, Mute, Scoring, Witnesses};
use event::{Field, RowSchema, Schema, SinkId};
use transform::{BranchInputs, Transform};

use super::expressions::{Compiled, Compiler};
use super::micros;
use super::windows::{are_in_order, corrected_for, windowing};
use crate::config::{self, Code, Config, Diagnostic, Named, Place, Sql, WindowShape, sink};

/// The expressions of a branch, compiled one by one.
pub(super) struct Draft {
    scores: Vec<(String, Scoring)>,
    rules: Vec<(detect::Rule, AlertRule)>,
    /// When nobody is told of episodes.
    mutes: Vec<Mute>,
    /// How many alerts go out in a minute.
    cap: Option<CapSpec>,
    /// What a row looks like in each sink.
    formats: Vec<Format>,
}

/// What the branches of a job have in common.
pub(super) struct Shared<'a> {
    pub(super) config: &'a Config,
    pub(super) transform: &'a Transform,
    pub(super) quarantine: Option<SinkId>,
}

impl Compiler<'_> {
    /// Compiles the branches over these columns of events, each by itself.
    pub(super) fn branches(&mut self, config: &Config, key: &[Field], columns: &Schema) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for branch in &config.branches {
            // Others may have a good expression of the same name.
            let broken = self.broken.clone();
            drafts.push(self.branch(config, branch, key, columns));
            self.broken = broken;
        }
        if let [first, others @ ..] = drafts.as_slice()
            && self.diagnostics.is_empty()
        {
            for (draft, branch) in others.iter().zip(&config.branches[1..]) {
                self.same_columns(config, first, branch, draft);
            }
        }
        drafts
    }

    fn branch(&mut self, config: &Config, branch: &config::Branch, key: &[Field], columns: &Schema) -> Draft {
        let condition = branch.condition.clone();
        let named =
            condition.map(|sql| Named { name: String::new(), key: sql.place.clone(), sql: Some(sql) });
        self.filters(named.as_slice(), columns);
        let features = self.features(&branch.features, columns);
        if let Some((window, _)) = &branch.window
            && let WindowShape::SessionBy { gap } = &window.shape
        {
            self.gap(gap, columns);
        }
        let (row, scores) =
            self.scores(key, &features, &branch.scores, branch.window.as_ref().map(|(window, _)| window));
        let rules = self.rules(branch, &row, &Witnesses::of(row.scores().start, &scores));
        let formats = self.formats(config, branch, &row);
        let (mutes, cap) = (self.mutes(config, &row), self.cap(config, branch, &row));
        Draft { scores, rules, mutes, cap, formats }
    }

    /// Rows of all branches go to the same sinks, so they have the same columns.
    fn same_columns(&mut self, config: &Config, first: &Draft, branch: &config::Branch, draft: &Draft) {
        for ((sink, first), format) in config.sinks.iter().zip(&first.formats).zip(&draft.formats) {
            let (Format::Plain { columns: first }, Format::Plain { columns }) = (first, format) else {
                continue;
            };
            let own = match &sink.format {
                sink::Format::Plain { columns: None } => branch.columns.as_deref(),
                _ => None,
            };
            let section = branch.place.clone().unwrap_or_else(|| sink.place.clone());
            if columns.len() != first.len() {
                let message =
                    format!("{} columns, where the first branch has {}", columns.len(), first.len());
                self.report(Diagnostic::new(Code::Conflict, section, message));
                continue;
            }
            for (number, (first, column)) in first.iter().zip(columns).enumerate() {
                let place = own.and_then(|own| own.get(number)).map_or(&section, |sql: &Sql| &sql.place);
                if let Some(message) = difference(first, column) {
                    let diagnostic = Diagnostic::new(Code::ExpressionType, place.clone(), message);
                    self.report(diagnostic.with_help("the rows of all branches have the same columns"));
                }
            }
        }
    }
}

/// What tells two columns of rows apart, if anything does.
fn difference(first: &Compiled, other: &Compiled) -> Option<String> {
    if first.0 != other.0 {
        return Some(format!("a column `{}`, where the first branch has `{}`", other.0, first.0));
    }
    let types = (first.1.data_type(), other.1.data_type());
    (types.0 != types.1)
        .then(|| format!("`{}` is a {} here, and a {} in the first branch", other.0, types.1, types.0))
}

impl Draft {
    /// The branch of that number; `None` if a mistake was noted. After each expression was compiled by itself only what
    /// they are together can be wrong.
    pub(super) fn finish(
        self,
        number: usize,
        branch: &config::Branch,
        inputs: &BranchInputs,
        shared: &Shared,
        compiler: &mut Compiler,
    ) -> Option<Branch> {
        let Shared { config, transform, quarantine } = *shared;
        let (window, window_place) = branch.window.as_ref()?;
        let (rules, alert_rules) = self.rules.into_iter().unzip();
        let features = inputs.features();
        let (key_fields, key_shape) = (transform.key_fields().to_vec(), transform.key_shape().clone());
        let expressions = features.expressions.clone();
        let detection = match Detection::new(key_fields, key_shape, expressions, self.scores, rules) {
            Ok(detection) => detection,
            Err(error) => {
                let place = branch.place.as_ref().unwrap_or(window_place);
                compiler.report(Diagnostic::new(Code::Conflict, place.clone(), error.to_string()));
                return None;
            }
        };
        let detection = detection.recalling(features.lags.clone());
        let detection = detection.forgetting(micros(config.detectors.forget_after));
        let names = self.mutes.iter().map(|mute| mute.name.clone()).collect();
        let detection = detection.sliding(window.slide().map(micros)).muted(self.mutes);
        let detection = detection.correcting(corrected_for(window).unwrap_or(0));
        let outputs = self.formats.into_iter().zip(0..);
        let outputs = outputs.map(|(format, sink)| Output { sink: SinkId(sink), format }).collect();
        let row = detection.row_schema().clone();
        let renderer = Renderer::new(&config.name, row, alert_rules, outputs, quarantine).muted(names);
        let renderer = match &self.cap {
            Some(cap) => renderer.capped(cap),
            None => renderer,
        };
        let renderer = match &branch.name {
            Some(name) => renderer.of_branch(u16::try_from(number).ok()?, name),
            None => renderer,
        };
        let window = windowing(window).ok()?;
        Some(Branch { window, detection, lag_within: micros(branch.lag_within()), renderer })
    }
}

/// Rows of a key must come in the order in which they are due where one asks what the one before it was.
pub(super) fn check_lags(config: &Config, transform: &Transform, compiler: &mut Compiler) -> Option<()> {
    let mut good = Some(());
    for (branch, inputs) in config.branches.iter().zip(transform.branches()) {
        let (window, place) = branch.window.as_ref()?;
        let lags = !inputs.features().lags.is_empty();
        let refusal = match window.lag_within {
            Some(_) if !lags => {
                Some(("no feature asks for an earlier row", "take `lag_within` out, or write `lag(feature)`"))
            }
            Some(within) if window.slide().is_some_and(|slide| within < slide) => {
                Some(("`lag_within` is shorter than a slide", "no row would recall the one before it"))
            }
            _ if lags && !are_in_order(window) => Some((
                "`lag` needs windows that are put out once, and in order",
                "take `allowed_lateness`, `late`, `early`, `at_end`, `purge` and `stagger` out, or `lag`",
            )),
            _ => None,
        };
        let Some((message, help)) = refusal else { continue };
        compiler.report(Diagnostic::new(Code::Conflict, place.clone(), message).with_help(help));
        good = None;
    }
    good
}

/// Windows that there cannot be.
pub(super) fn check_windows(config: &Config, compiler: &mut Compiler) {
    for (window, place) in config.branches.iter().filter_map(|branch| branch.window.as_ref()) {
        if let Err(error) = windowing(window) {
            compiler.report(Diagnostic::new(Code::BadValue, place.clone(), error.to_string()));
        }
    }
}

/// Names that stand beside each other in a row must differ.
pub(super) fn check_names(config: &Config, compiler: &mut Compiler) {
    for branch in &config.branches {
        let mut taken: Vec<(&str, &str)> = vec![
            (RowSchema::WINDOW_START, "a column of the window"),
            (RowSchema::WINDOW_END, "a column of the window"),
            (RowSchema::WINDOW_DURATION, "the length of the window"),
            (RowSchema::WINDOW_DURATION_S, "the length of the window"),
            ("rule", "a column of every row"),
            ("severity", "a column of every row"),
        ];
        let key = config.event.key.iter().map(|name| (name.as_str(), &config.event.key_place, "in the key"));
        let of = |named: &'static str| move |it: &'_ Named| (it.name.clone(), it.key.clone(), named);
        let features = branch.features.iter().map(of("a feature"));
        let scores = branch.scores.iter().map(of("a score"));
        let key = key.map(|(name, place, what)| (name.to_owned(), Place::clone(place), what));
        let names: Vec<(String, Place, &str)> = key.chain(features).chain(scores).collect();
        for (name, place, what) in &names {
            if let Some((_, other)) = taken.iter().find(|(other, _)| other == name) {
                let message = format!("`{name}` is already {other}");
                compiler.report(Diagnostic::new(Code::NameTaken, place.clone(), message));
            }
            taken.push((name, what));
        }
    }
}
