//! Compiles the expressions of a config one by one, and notes each mistake at its word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alert::{AlertRule, Summary, SummaryError};
use detect::{Inference, Scoring, Witnesses};
use event::{DataType, Expression, Field, KeyShape, Own, RowSchema, Schema};
use transform::{
    ExpressionError, compile, compile_comparison, compile_detector, compile_features_with,
    compile_gap_expression,
};

use super::detectors::{Around, check_windows, detector, is_detector};
use super::micros;
use super::windows::{are_in_order, corrected_for};
use crate::config::event::Event;
use crate::config::{self, Branch, Code, Diagnostic, Named, Place, Reading, Rule, Sql, Window};

/// Notes mistakes while the parts of a job are compiled.
pub(super) struct Compiler<'a> {
    reading: &'a Reading,
    /// Aggregates of the program's own.
    pub(super) own: &'a [Own],
    /// Models that scores may ask, by their names.
    models: BTreeMap<String, Arc<dyn Inference>>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Names whose own expression or declaration is wrong: those who use them are not blamed.
    pub(super) broken: BTreeSet<String>,
}

/// What is known of the scores so far.
#[derive(Default)]
struct Placed<'n> {
    /// The first that waits for the rows of other keys or for a model, and how many columns stand in front of it.
    waits: Option<(&'n str, usize)>,
    /// Columns that detectors have besides their scores.
    further: Vec<String>,
}

/// A column of a sink or a feature with its compiled expression.
pub(super) type Compiled = (String, Arc<dyn Expression>);

impl<'a> Compiler<'a> {
    pub(super) fn new(reading: &'a Reading, own: &'a [Own], models: &[config::model::Model]) -> Self {
        let model = |model: &config::model::Model| {
            let inference: Arc<dyn Inference> = Arc::new(inference::Model::new(model.spec.clone()));
            (model.spec.name.clone(), inference)
        };
        let models = models.iter().map(model).collect();
        Compiler { reading, own, models, diagnostics: Vec::new(), broken: BTreeSet::new() }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn reading_is_good(&self) -> bool {
        self.reading.findings.diagnostics.is_empty()
    }

    /// The schema with the derived columns, each of which sees those before it.
    pub(super) fn derive(&mut self, derived: &[Named], mut schema: Schema) -> Schema {
        for named in derived {
            match self.compile(named.sql.as_ref(), &schema) {
                Some(expression) => schema.push(Field::new(named.name.clone(), expression.data_type())),
                None => {
                    self.broken.insert(named.name.clone());
                }
            }
        }
        schema
    }

    pub(super) fn filters(&mut self, filters: &[Named], schema: &Schema) {
        for named in filters {
            self.condition(named.sql.as_ref(), schema);
        }
    }

    /// Names and types of the features.
    pub(super) fn features(&mut self, features: &[Named], schema: &Schema) -> Vec<Field> {
        let mut good: Vec<(String, String)> = Vec::new();
        let mut fields = Vec::new();
        for named in features {
            let Some(sql) = &named.sql else {
                self.broken.insert(named.name.clone());
                continue;
            };
            good.push((named.name.clone(), sql.text.clone()));
            match compile_features_with(&good, schema, self.own) {
                Ok(compiled) => {
                    if let Some((_, expression)) = compiled.expressions.last() {
                        fields.push(Field::new(named.name.clone(), expression.data_type()));
                    }
                }
                Err(error) => {
                    good.pop();
                    self.expression_error(sql, error.error);
                    self.broken.insert(named.name.clone());
                }
            }
        }
        fields
    }

    /// The gap of a session that each event brings along.
    pub(super) fn gap(&mut self, gap: &Sql, schema: &Schema) {
        if let Err(error) = compile_gap_expression(&gap.text, schema) {
            self.expression_error(gap, error);
        }
    }

    /// Names and types of the key, as far as they are known.
    pub(super) fn key_fields(&mut self, event: &Event, schema: &Schema) -> Vec<Field> {
        let fields = event.key.iter().filter_map(|name| schema.index_of(name));
        let fields: Vec<Field> = fields.map(|index| schema.fields()[index].clone()).collect();
        let types = fields.iter().map(|field| field.data_type).collect();
        if !fields.is_empty()
            && let Err(error) = KeyShape::new(types)
        {
            self.report(Diagnostic::new(Code::ExpressionType, event.key_place.clone(), error.to_string()));
        }
        fields
    }

    /// The scores, and the row that rules and sinks see.
    pub(super) fn scores(
        &mut self,
        key: &[Field],
        features: &[Field],
        scores: &[Named],
        window: Option<&Window>,
    ) -> (RowSchema, Vec<(String, Scoring)>) {
        let keys = KeyShape::new(key.iter().map(|field| field.data_type).collect()).ok();
        let period = window.and_then(Window::slide).map(micros);
        let models = self.models.clone();
        let around = Around {
            keys: keys.as_ref(),
            period,
            in_order: window.is_none_or(are_in_order),
            corrected: window.map_or(Some(0), corrected_for),
            models: &models,
        };
        let mut fields: Vec<Field> = Vec::new();
        let mut compiled = Vec::new();
        let mut placed = Placed::default();
        for named in scores {
            let row = RowSchema::new(key, features, &fields);
            match self.scoring(named.sql.as_ref(), row.schema(), &around) {
                Some(scoring) => {
                    self.check_place(named, &scoring, row.schema(), &mut placed);
                    fields.extend(scoring.fields(&named.name));
                    compiled.push((named.name.clone(), scoring));
                }
                None => {
                    self.broken.insert(named.name.clone());
                }
            }
        }
        (RowSchema::new(key, features, &fields), compiled)
    }

    /// The columns of a score must have names of their own; and where a score waits for the rows of other keys, or for a model, so that it
    /// is known later, what remembers keys stands in front of it.
    fn check_place<'n>(
        &mut self,
        named: &'n Named,
        scoring: &Scoring,
        row: &Schema,
        placed: &mut Placed<'n>,
    ) {
        // What the config names twice is reported elsewhere: this is about further columns of detectors.
        if placed.further.contains(&named.name) {
            self.name_is_taken(named, &named.name);
        }
        let Scoring::Detector(detector) = scoring else { return };
        for field in scoring.fields(&named.name).into_iter().skip(1) {
            if row.index_of(&field.name).is_some() {
                self.name_is_taken(named, &field.name);
            }
            placed.further.push(field.name);
        }
        match placed.waits {
            None if detector.waits() => placed.waits = Some((&named.name, row.fields().len())),
            Some((first, width))
                if !detector.waits() || detector.looks_at().iter().any(|column| *column >= width) =>
            {
                let message = format!(
                    "`{}` stands behind `{first}`, which waits for the rows of other keys or for a model",
                    named.name
                );
                let diagnostic = Diagnostic::new(Code::Conflict, named.key.clone(), message);
                self.report(
                    diagnostic
                        .with_help("put it before that score, and let it look at nothing that rests on it"),
                );
            }
            _ => {}
        }
    }

    fn name_is_taken(&mut self, named: &Named, name: &str) {
        let message = format!("`{name}` is already a column of the row");
        self.report(Diagnostic::new(Code::NameTaken, named.key.clone(), message));
    }

    /// A score: a detector or any other expression; `None` if a mistake was noted.
    fn scoring(&mut self, sql: Option<&Sql>, row: &Schema, around: &Around<'_>) -> Option<Scoring> {
        let text = sql?;
        let call = match compile_detector(&text.text, row, &is_detector) {
            Ok(None) => return self.compile(sql, row).map(Scoring::Expression),
            Ok(Some(call)) => call,
            Err(error) => {
                self.expression_error(text, error);
                return None;
            }
        };
        match check_windows(&call, around).and_then(|()| detector(call, around, row)) {
            Ok(detector) => Some(Scoring::Detector(Box::new(detector))),
            Err(error) => {
                self.expression_error(text, error);
                None
            }
        }
    }

    pub(super) fn rules(
        &mut self,
        branch: &Branch,
        row: &RowSchema,
        witnesses: &Witnesses,
    ) -> Vec<(detect::Rule, AlertRule)> {
        branch.rules.iter().filter_map(|rule| self.rule(rule, branch, row, witnesses)).collect()
    }

    fn rule(
        &mut self,
        rule: &Rule,
        branch: &Branch,
        row: &RowSchema,
        witnesses: &Witnesses,
    ) -> Option<(detect::Rule, AlertRule)> {
        let life_cycle = rule.alerts.as_ref().zip(branch.window.as_ref());
        let life_cycle = life_cycle.map(|(alerts, (window, place))| self.life_cycle(alerts, window, place));
        let escalate = match &rule.escalate {
            Some((sql, severity)) => {
                self.condition(Some(sql), row.schema()).map(|expression| (expression, *severity))
            }
            None => None,
        };
        let summary = rule.summary.as_ref().and_then(|template| self.summary(template, row));
        let when = self.condition(rule.when.as_ref(), row.schema())?;
        if let Some((enough, place)) = &rule.agreement {
            self.agreement(*enough, witnesses.asked(when.as_ref()).families(), place);
        }
        // It has just been compiled, so there is no other error than "not a comparison".
        let comparison =
            rule.when.as_ref().and_then(|sql| compile_comparison(&sql.text, row.schema()).ok()?);
        let (score, threshold) = match comparison {
            Some(comparison) => (Some(comparison.left), Some(comparison.threshold)),
            None => (None, None),
        };
        let detected = detect::Rule {
            id: rule.id.clone(),
            when,
            score,
            threshold,
            min_events: rule.min_events,
            severity: rule.severity,
            escalate,
            agreement: rule.agreement.as_ref().map(|(enough, _)| *enough),
            grace: rule.alerts.as_ref().map_or(0, |alerts| micros(alerts.grace)),
            life_cycle,
        };
        Some((detected, AlertRule { id: rule.id.clone(), summary }))
    }

    /// There must be as many families as are to agree. With a score that is wrong some may be missing.
    fn agreement(&mut self, enough: usize, families: usize, place: &Place) {
        if families >= enough || !self.broken.is_empty() {
            return;
        }
        let message = format!("{enough} families of detectors cannot agree: the rule asks {families}");
        let help = "asked are the detectors that `when` rests on, or if that is none, `when` itself and all detectors of \
                    `[score]`; baseline and robust are one family, cusum and page_hinkley one, forests one";
        self.report(Diagnostic::new(Code::Conflict, place.clone(), message).with_help(help));
    }

    fn summary(&mut self, template: &Sql, row: &RowSchema) -> Option<Summary> {
        match Summary::parse(&template.text, row) {
            Ok(summary) => Some(summary),
            Err(SummaryError::UnknownName { name, .. }) if self.broken.contains(&name) => None,
            Err(SummaryError::UnknownName { name, nearest }) => {
                let start = template.text.find(&format!("{{{name}")).map_or(0, |brace| brace + 1);
                let place = template.within(start..start + name.len());
                let message = format!("unknown name `{name}` in the summary");
                self.report(
                    Diagnostic::new(Code::Expression, place, message)
                        .with_help(format!("did you mean `{nearest}`?")),
                );
                None
            }
            Err(error) => {
                let whole = template.within(0..template.text.len());
                self.report(Diagnostic::new(Code::Expression, whole, error.to_string()));
                None
            }
        }
    }

    /// An expression; `None` if a mistake was noted.
    fn compile(&mut self, sql: Option<&Sql>, schema: &Schema) -> Option<Arc<dyn Expression>> {
        let sql = sql?;
        match compile(&sql.text, schema) {
            Ok(expression) => Some(expression),
            Err(error) => {
                self.expression_error(sql, error);
                None
            }
        }
    }

    /// An expression that is true or not; `None` if a mistake was noted.
    pub(super) fn condition(&mut self, sql: Option<&Sql>, schema: &Schema) -> Option<Arc<dyn Expression>> {
        let expression = self.compile(sql, schema)?;
        if expression.data_type() == DataType::Boolean {
            return Some(expression);
        }
        let sql = sql?;
        let message = format!("expected a condition, found a {}", expression.data_type());
        let place = sql.within(0..sql.text.len());
        let help = "compare it with something, as in `score < 0.3`";
        self.report(Diagnostic::new(Code::ExpressionType, place, message).with_help(help));
        None
    }

    pub(super) fn expression_error(&mut self, sql: &Sql, error: ExpressionError) {
        let word = sql.text.get(error.span.clone()).unwrap_or_default().trim_matches(['"', '`']);
        if self.broken.contains(word) {
            return;
        }
        let place = sql.within(error.span);
        self.report(Diagnostic {
            code: Code::Expression,
            message: error.message,
            place: Some(place),
            help: error.help,
        });
    }
}

impl Sql {
    /// The place of a part of the expression; of all of it where its characters do not stand as they are.
    pub(super) fn within(&self, span: std::ops::Range<usize>) -> Place {
        match self.verbatim {
            Some(start) => Place { source: self.place.source, span: start + span.start..start + span.end },
            None => self.place.clone(),
        }
    }
}

/// Names and texts of the expressions that could be read.
pub(super) fn texts(named: &[Named]) -> Vec<(String, String)> {
    let texts = named.iter().filter_map(|named| Some((named.name.clone(), named.sql.as_ref()?.text.clone())));
    texts.collect()
}
