//! What a job looks for in its rows: the features, scores and rules, and the columns that they see.
//!
//! How rows are judged by it is in [`crate::judging`].

mod suppose;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::TimestampMicrosecondBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, NullArray};
use event::{Batch, DataType, Expression, Field, KeyShape, RowSchema, Rows, Span, Spans};

use crate::cohort::{Answer, Cohorts, Group, Member};
use crate::detector::{Detector, Detectors, Method, Raw};
use crate::episode::Episodes;
use crate::explain::Basis;
use crate::models::Models;
use crate::scoring::{Scores, Scoring};
use crate::{Asked, DetectError, Inference, Mute, Rule, Witnesses};

pub use suppose::Supposed;

/// The features, scores and rules of a job.
#[derive(Debug, Clone)]
pub struct Detection {
    pub(crate) schema: RowSchema,
    pub(crate) key_shape: KeyShape,
    pub(crate) features: Vec<Arc<dyn Expression>>,
    pub(crate) scores: Scores,
    pub(crate) rules: Vec<Rule>,
    /// When nobody is to be told.
    pub(crate) mutes: Vec<Mute>,
    /// Who is asked about the hits of each rule.
    pub(crate) asked: Vec<Asked>,
    /// Whether a score or a condition reads a field of the key. They are only decoded for hits otherwise.
    pub(crate) reads_keys: bool,
    /// Whether one reads the window's times.
    pub(crate) reads_window: bool,
    /// The features that later ones ask for in the key's previous row.
    lags: Vec<usize>,
    /// The last column that a feature reads. The window's stand behind the aggregates.
    last_read: Option<usize>,
    /// What each rule rests on.
    pub(crate) bases: Vec<Basis>,
    /// How long after its last row detectors remember a key.
    forget_after: i64,
    /// From which window end to the next, where all keys share windows.
    slide: Option<i64>,
    /// How long after it is due a window may be corrected.
    pub(crate) lateness: i64,
}

/// The schema of rows with these key fields and these columns behind them: what the next score, or the
/// rules, are compiled against.
pub fn row_schema_prefix(key_fields: &[Field], features: &[Field]) -> event::Schema {
    RowSchema::new(key_fields, features, &[]).schema().as_ref().clone()
}

impl Detection {
    /// A detection for rows of keys with `key_fields`, encoded with `key_shape`.
    ///
    /// `features` are compiled against the schema of the aggregates with [`RowSchema::window_fields`] behind it, each of
    /// `scores` against
    /// [`row_schema_prefix`] with all features and the scores before it, the rules' expressions against
    /// all of them. Without rules every row is a hit. Rules are ranked by name, whatever their order here.
    ///
    /// # Errors
    /// If a condition is not a boolean, a rule compares something that is not a number, or a setting of a detector is out of
    /// its range.
    pub fn new(
        key_fields: Vec<Field>,
        key_shape: KeyShape,
        features: Vec<(String, Arc<dyn Expression>)>,
        scores: Vec<(String, Scoring)>,
        mut rules: Vec<Rule>,
    ) -> Result<Self, DetectError> {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        rules.iter().try_for_each(Rule::check)?;
        if rules.len() > usize::from(u16::MAX) + 1 {
            return Err(DetectError::TooManyRules(rules.len()));
        }
        let (feature_fields, features) = named(features);
        let witnesses = Witnesses::of(key_fields.len() + 2 + feature_fields.len(), &scores);
        let asked = rules.iter().map(|rule| witnesses.asked(rule.when.as_ref())).collect();
        let scores = comparing(&key_fields, &feature_fields, scores, &rules);
        let scores = Scores::new(&key_fields, &feature_fields, scores)?;
        let schema = RowSchema::new(&key_fields, &feature_fields, &scores.fields);
        let conditions = rules.iter().flat_map(|rule| rule.when.columns());
        let read: Vec<usize> = scores.read().into_iter().chain(conditions).collect();
        let reads_keys = read.iter().any(|column| schema.keys().contains(column));
        let reads_window = read.iter().any(|column| schema.window().contains(column));
        let last_read = features.iter().flat_map(|feature| feature.columns()).max();
        let bases = rules.iter().map(|rule| Basis::of(rule, &scores, &schema)).collect();
        Ok(Detection {
            schema,
            key_shape,
            features,
            scores,
            rules,
            bases,
            mutes: Vec::new(),
            asked,
            reads_keys,
            reads_window,
            lags: Vec::new(),
            last_read,
            forget_after: i64::MAX,
            slide: None,
            lateness: 0,
        })
    }

    /// The same, where features ask what some of them, `lags`, were in the key's previous row: see
    /// [`Detection::remember`].
    #[must_use]
    pub fn recalling(self, lags: Vec<usize>) -> Self {
        Detection { lags, ..self }
    }

    /// Types of what is to be remembered of each row; empty if nothing is.
    pub fn remembered(&self) -> Vec<DataType> {
        let fields = &self.schema.schema().fields()[self.schema.features()];
        self.lags.iter().map(|lag| fields[*lag].data_type).collect()
    }

    /// The columns of the rows that come out, which the rules and the sinks see.
    pub fn row_schema(&self) -> &RowSchema {
        &self.schema
    }

    /// The rules, by rank.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How keys are encoded.
    pub(crate) fn key_shape(&self) -> &KeyShape {
        &self.key_shape
    }

    /// Episodes of no key yet, in a job that puts them out: where all rules have a life cycle.
    pub fn episodes(&self) -> Option<Episodes> {
        let rule = |rule: &Rule| Some((rule.id.clone(), rule.life_cycle?));
        let rules: Option<Vec<_>> = self.rules.iter().map(rule).collect();
        let mutes = || self.mutes.iter().map(|mute| mute.name.clone()).collect();
        rules
            .filter(|rules| !rules.is_empty())
            .map(|rules| Episodes::new(rules).mutable(mutes()).correctable(self.lateness))
    }

    /// The same, where nobody is told of episodes at some times. Conditions of these see the whole row.
    #[must_use]
    pub fn muted(self, mutes: Vec<Mute>) -> Self {
        Detection { mutes, ..self }
    }

    /// Whether what is found is put out as episodes.
    pub fn follows_episodes(&self) -> bool {
        !self.rules.is_empty() && self.rules.iter().all(|rule| rule.life_cycle.is_some())
    }

    /// The same, whose detectors remember a key for so long after its last row, by when rows are due.
    #[must_use]
    pub fn forgetting(self, forget_after: i64) -> Self {
        Detection { forget_after, ..self }
    }

    /// The same, where a window ends so long after the one before it: a key is first seen at most that long before its first
    /// window ends.
    #[must_use]
    pub fn sliding(self, slide: Option<i64>) -> Self {
        Detection { slide, ..self }
    }

    /// The same, where a window may be corrected, once, so long after it is due: what was told of episodes is corrected then.
    #[must_use]
    pub fn correcting(self, lateness: i64) -> Self {
        Detection { lateness, ..self }
    }

    /// What is known of keys: of none yet. `None` where no score is a detector, and no rule waits for a key to be known.
    pub fn detectors(&self) -> Option<Detectors> {
        let detectors = &self.scores.detectors;
        if detectors.is_empty() && !self.asks_newcomers() {
            return None;
        }
        // The settings were looked at when this was made.
        let detectors = Detectors::new(Arc::clone(detectors), self.forget_after).ok()?;
        Some(detectors.sliding(self.slide).correctable(self.lateness > 0))
    }

    /// Whether some score is a detector.
    pub fn has_detectors(&self) -> bool {
        !self.scores.detectors.is_empty()
    }

    /// Whether a rule has a grace for keys that are new.
    fn asks_newcomers(&self) -> bool {
        self.rules.iter().any(|rule| rule.grace > 0)
    }

    /// What detectors know of all keys together: nothing yet. `None` where no detector asks for that.
    pub fn models(&self) -> Option<Models> {
        self.scores.asks_others().then(|| Models::new(&self.scores.detectors).ok())?
    }

    /// What a worker has told of its rows that are judged beside others: nothing yet. `None` where no detector asks for that.
    pub fn cohorts(&self) -> Option<Cohorts> {
        Cohorts::new(&self.scores.detectors)
    }

    /// What a cohort is like, of its members and their numbers, ascending.
    pub fn combine<'a>(&self, group: &Group, members: impl Iterator<Item = (&'a Member, isize)>) -> Answer {
        let method = self.scores.detectors.get(usize::from(group.detector)).map(|detector| &detector.method);
        let worst = if let Some(Method::Top { spec, .. }) = method { spec.k as usize + 1 } else { 0 };
        Answer::of(members, worst)
    }

    /// Takes in what has changed of a cohort: what is no answer any more, or a new one. Of one window end what is no answer any more
    /// comes first.
    pub fn learn_answer(&self, models: &mut Models, group: Group, answer: Answer, is_new: bool) {
        if let Some(detector) = self.scores.detectors.get(usize::from(group.detector)) {
            models.answer(detector, group, answer, is_new);
        }
    }

    /// All rows that are due before `before` were judged: models let go of what no later row asks for.
    pub fn advance_models(&self, models: &mut Models, before: i64) {
        models.advance(&self.scores.detectors, before);
    }

    /// Whether a row can only be judged by what the rows of other keys are.
    pub fn asks_others(&self) -> bool {
        self.scores.asks_others()
    }

    /// The models that are asked about rows, each with how many inputs it is given.
    pub fn inferences(&self) -> impl Iterator<Item = (&Arc<dyn Inference>, usize)> {
        self.scores.detectors.iter().filter_map(|detector| match &detector.method {
            Method::Model(spec) => Some((&spec.inference, detector.inputs.len())),
            _ => None,
        })
    }

    /// Whether a row can only be judged by what a model answers.
    pub fn asks_models(&self) -> bool {
        self.scores.asks_models()
    }

    /// Whether rows are judged by what is known of their keys: with detectors, or where episodes are put out.
    pub fn follows_keys(&self) -> bool {
        self.follows_episodes() || !self.scores.detectors.is_empty() || self.asks_newcomers()
    }

    pub(crate) fn remembers_nothing(&self) -> bool {
        self.lags.is_empty()
    }

    /// The features that are to be remembered of rows.
    pub(crate) fn lagged(&self, rows: &Rows) -> Vec<ArrayRef> {
        let batch = self.aggregates(rows, 0, rows.keys.len());
        self.lags.iter().map(|lag| self.features[*lag].evaluate(&batch).column).collect()
    }

    /// What features read: the aggregates, and the window if one of them reads it.
    pub(crate) fn aggregates(&self, rows: &Rows, start: usize, len: usize) -> Batch {
        let aggregates = rows.aggregates.slice(start, len);
        if self.last_read.is_none_or(|column| column < aggregates.columns().len()) {
            return aggregates;
        }
        let fields = aggregates.schema().fields().iter().cloned().chain(RowSchema::window_fields());
        let windows = window_columns(&rows.spans, start..start + len);
        let features = &self.schema.schema().fields()[self.schema.features()];
        let lags = self.lags.iter().map(|lag| features[*lag].clone());
        let previous = rows.previous.iter().map(|column| column.slice(start, len));
        let columns = aggregates.columns().iter().cloned().chain(windows).chain(previous).collect();
        Batch::new(Arc::new(event::Schema::new(fields.chain(lags).collect())), columns, len)
    }
}

type Named = (String, Arc<dyn Expression>);

/// Lets forests know with what rules compare their scores as they give them.
fn comparing(
    keys: &[Field],
    features: &[Field],
    scores: Vec<(String, Scoring)>,
    rules: &[Rule],
) -> Vec<(String, Scoring)> {
    let fields: Vec<Field> = scores.iter().flat_map(|(name, scoring)| scoring.fields(name)).collect();
    let row = RowSchema::new(keys, features, &fields);
    let limits: Vec<Option<(usize, f64)>> = rules.iter().map(|rule| limit_of(rule, row.schema())).collect();
    let of_score = |scoring: &Scoring| match scoring {
        Scoring::Expression(expression) => expression.columns(),
        Scoring::Detector(detector) => detector.reads(),
    };
    // By rules that do more than compare one, and by scores.
    let others = rules.iter().zip(&limits).filter(|(_, limit)| limit.is_none());
    let mut read: BTreeSet<usize> = others.flat_map(|(rule, _)| rule.when.columns()).collect();
    read.extend(scores.iter().flat_map(|(_, scoring)| of_score(scoring)));
    read.extend(rules.iter().filter_map(|rule| rule.escalate.as_ref()).flat_map(|(when, _)| when.columns()));
    let mut column = row.scores().start;
    let of = |(name, scoring): (String, Scoring)| {
        let (own, raw) = (column, column + 1);
        column += scoring.fields(&name).len();
        let Scoring::Detector(detector) = &scoring else { return (name, scoring) };
        let limits = || limits.iter().flatten();
        let limit = limits().filter(|(place, _)| *place == raw).map(|(_, limit)| *limit).reduce(f64::min);
        match limit {
            Some(limit) if detector.method.is_forest() => {
                let compared = |place: usize| place != raw && limits().any(|(other, _)| *other == place);
                let alone = !(own..column).any(|place| read.contains(&place) || compared(place));
                let raw = Some(Raw { limit, alone });
                (name, Scoring::Detector(Box::new(Detector { raw, ..Detector::clone(detector) })))
            }
            _ => (name, scoring),
        }
    };
    scores.into_iter().map(of).collect()
}

/// The column that alone decides a rule, and the number up to which it does not hold, if it holds of all above. Found by asking the rule
/// itself, whatever it is written like.
fn limit_of(rule: &Rule, row: &Arc<event::Schema>) -> Option<(usize, f64)> {
    let limit = rule.threshold.filter(|limit| *limit > 0.0 && limit.is_finite())?;
    let [column] = rule.when.columns()[..] else { return None };
    if row.fields()[column].data_type != DataType::Double {
        return None;
    }
    let below = f64::from_bits(limit.to_bits() - 1);
    let tried = [below, limit, f64::from_bits(limit.to_bits() + 1)];
    let unread: ArrayRef = Arc::new(NullArray::new(tried.len()));
    let mut columns = vec![unread; row.fields().len()];
    columns[column] = Arc::new(Float64Array::from(tried.to_vec()));
    let value = rule.when.evaluate(&Batch::new(Arc::clone(row), columns, tried.len()));
    let condition = value.column.as_boolean();
    let holds = [0, 1, 2].map(|place| condition.is_valid(place) && condition.value(place));
    match holds {
        [false, false, true] => Some((column, limit)),
        [false, true, true] => Some((column, below)),
        _ => None,
    }
}

fn named(expressions: Vec<Named>) -> (Vec<Field>, Vec<Arc<dyn Expression>>) {
    expressions.into_iter().map(|(name, e)| (Field::new(name, e.data_type()), e)).unzip()
}

/// The first instant of each row's window, and the first behind it.
pub(crate) fn window_columns(spans: &Spans, rows: Range<usize>) -> [ArrayRef; 2] {
    let builder = || {
        TimestampMicrosecondBuilder::with_capacity(rows.len()).with_data_type(DataType::TimestampTz.arrow())
    };
    let (mut starts, mut ends) = (builder(), builder());
    match spans {
        Spans::Shared(window) => {
            starts.append_value_n(window.start, rows.len());
            ends.append_value_n(window.end, rows.len());
        }
        Spans::Own(spans) => {
            for Span { window, .. } in &spans[rows.clone()] {
                starts.append_value(window.start);
                ends.append_value(window.end);
            }
        }
    }
    [Arc::new(starts.finish()), Arc::new(ends.finish())]
}
