//! Renders what was detected into the lines of every sink: alert objects or plain rows.
//!
//! Takes [`Detected`] from `detect`, gives [`OutputRow`]s to the one writer of each sink, which puts them in
//! order. A row for which a sink's expression fails goes to quarantine and to no sink.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, StringArray, UInt32Array};
use arrow_select::take::take;
use event::{
    Batch, DataType, Detected, Expression, Field, Hit, Outcome, OutputRow, RowFailure, RowSchema, Schema,
    SinkId, Span,
};

use crate::cap::{CapLimit, CapSpec, RollUp};
use crate::json::{Instants, JsonColumn, member};
use crate::object::{AlertObject, AlertRule, Page};
use crate::quarantine::{due, quarantine_row_of_features};

/// How a sink shows a hit.
#[derive(Debug, Clone)]
pub enum Format {
    /// As an alert object.
    Alert {
        /// Whether it says why it is one.
        explain: bool,
        /// Whether those are shown too of which nobody is to be told.
        muted: bool,
    },
    /// As a flat object of these columns, in this order; compiled against [`plain_schema`].
    Plain {
        /// Names and expressions.
        columns: Vec<(String, Arc<dyn Expression>)>,
    },
}

/// A sink that gets the hits, and how.
#[derive(Debug, Clone)]
pub struct Output {
    /// Which sink.
    pub sink: SinkId,
    /// How it shows them.
    pub format: Format,
}

/// The lines of what was detected.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// For all sinks, each sink's in the order of the hits.
    pub rows: Vec<OutputRow>,
    /// Hits of rules, counted once and not for each sink.
    pub alerts: u64,
    /// Those of them of which nobody is to be told.
    pub muted: u64,
    /// Rows of features for which an expression failed.
    pub rows_quarantined: u64,
}

/// Renders hits for all sinks of a job.
#[derive(Debug, Clone)]
pub struct Renderer {
    object: AlertObject,
    outputs: Vec<Output>,
    /// For each output the `"name":` of its columns.
    members: Vec<Vec<Vec<u8>>>,
    plain_schema: Arc<Schema>,
    quarantine: Option<SinkId>,
    /// The branch of the job whose rows these are.
    branch: u16,
    /// How many alerts of a group go out in a minute, if not all do.
    cap: Option<CapLimit>,
}

/// What the columns of a plain row are compiled against: the row, and then `rule` and `severity`, which are
/// NULL in a job without rules, `revision`, which is 0 unless the row corrects another, `early`, which is true of
/// what is known before a window's end, `state`, what happened to an episode, which is NULL in a job that puts out rows,
/// and `muted`, why nobody is to be told of that, which mostly is NULL. The last four are left out where the job has such a column.
pub fn plain_schema(row_schema: &Schema) -> Schema {
    let mut schema = row_schema.clone();
    schema.push(Field::new("rule", DataType::Varchar));
    schema.push(Field::new("severity", DataType::Varchar));
    let own = [
        (REVISION, DataType::Bigint),
        (EARLY, DataType::Boolean),
        (STATE, DataType::Varchar),
        (MUTED, DataType::Varchar),
    ];
    for (name, data_type) in own {
        if row_schema.index_of(name).is_none() {
            schema.push(Field::new(name, data_type));
        }
    }
    schema
}

const REVISION: &str = "revision";
const EARLY: &str = "early";
const STATE: &str = "state";
const MUTED: &str = "muted";

impl Renderer {
    /// A renderer of rows under `row`. `rules` are those of the detection, in any order; rows for which an
    /// expression failed are shown in `quarantine`.
    pub fn new(
        job: &str,
        row: RowSchema,
        rules: Vec<AlertRule>,
        outputs: Vec<Output>,
        quarantine: Option<SinkId>,
    ) -> Self {
        let members = outputs
            .iter()
            .map(|output| match &output.format {
                Format::Alert { .. } => Vec::new(),
                Format::Plain { columns } => columns.iter().map(|(name, _)| member(name)).collect(),
            })
            .collect();
        let plain_schema = Arc::new(plain_schema(row.schema()));
        let object = AlertObject::new(job, row, rules);
        Renderer { object, outputs, members, plain_schema, quarantine, branch: 0, cap: None }
    }

    /// The same where something mutes alerts, by these names.
    #[must_use]
    pub fn muted(self, mutes: Vec<String>) -> Self {
        Renderer { object: self.object.muted(mutes), ..self }
    }

    /// The same with a cap on its alerts.
    #[must_use]
    pub fn capped(self, cap: &CapSpec) -> Self {
        Renderer { object: self.object.capping(cap), cap: Some(cap.limit), ..self }
    }

    /// How many alerts of a group go out in a minute, if not all do.
    pub fn cap(&self) -> Option<CapLimit> {
        self.cap
    }

    /// The first sink of alerts, where those are counted that a cap keeps back: it does so in all of them.
    pub fn counted_in(&self) -> Option<SinkId> {
        let of_alerts = |output: &&Output| matches!(output.format, Format::Alert { .. });
        self.outputs.iter().find(of_alerts).map(|output| output.sink)
    }

    /// The one alert for all that a cap kept back of a group in a minute.
    pub fn roll_up(&self, rolled: &RollUp) -> Vec<u8> {
        let mut line = Vec::new();
        self.object.append_roll_up(rolled, &mut line);
        line
    }

    /// The name of the branch whose rows these are, where a job has several.
    pub fn branch(&self) -> Option<&str> {
        self.object.branch()
    }

    /// The same for rows of one of several branches, which have the order in which they are counted. Its name is a part
    /// of alerts and of their ids.
    #[must_use]
    pub fn of_branch(self, branch: u16, name: &str) -> Self {
        Renderer { object: self.object.of_branch(name), branch, ..self }
    }

    /// Whether a sink shows why an alert is one.
    pub fn explains(&self) -> bool {
        self.outputs.iter().any(|output| matches!(output.format, Format::Alert { explain: true, .. }))
    }

    /// The lines of all sinks for what was detected.
    pub fn render(&self, detected: &Detected) -> Rendered {
        let mut rendered = Rendered::default();
        let (tables, failures) = self.evaluate(detected);
        let failed = |hit: &Hit| failures.binary_search_by_key(&(hit.row as usize), |f| f.row).is_ok();
        let shown: Vec<(usize, &Hit)> =
            detected.hits.iter().enumerate().filter(|(_, hit)| failures.is_empty() || !failed(hit)).collect();
        rendered.alerts = shown.iter().filter(|(_, hit)| hit.verdict.is_some()).count() as u64;
        let is_muted = |hit: &Hit| hit.change.is_some_and(|change| change.muted.is_some());
        rendered.muted = shown.iter().filter(|(_, hit)| is_muted(hit)).count() as u64;
        let told: Vec<(usize, &Hit)> = shown.iter().filter(|(_, hit)| !is_muted(hit)).copied().collect();
        rendered.rows.reserve(shown.len() * self.outputs.len());
        for ((output, members), table) in self.outputs.iter().zip(&self.members).zip(&tables) {
            match &output.format {
                Format::Alert { explain, muted } => {
                    let hits = if *muted { &shown } else { &told };
                    self.alerts(detected, hits, *explain, output.sink, &mut rendered.rows);
                }
                Format::Plain { .. } => {
                    self.plain(detected, &shown, (members, table), output.sink, &mut rendered.rows);
                }
            }
        }
        self.quarantine(detected, &failures, &mut rendered);
        rendered
    }

    /// What was detected as alert objects, one for each hit of a rule, in their order, for whoever asks before the window
    /// closes.
    pub fn objects(&self, detected: &Detected) -> Vec<Vec<u8>> {
        let columns = json_columns(detected.batch.columns(), Instants::Rfc3339);
        let page = Page::new(detected, &columns);
        let mut scratch = Vec::new();
        let ruled = detected.hits.iter().enumerate().filter(|(_, hit)| hit.verdict.is_some());
        let objects = ruled.map(|hit| {
            let mut object = Vec::new();
            self.object.append(&page, hit, true, &mut scratch, &mut object);
            object
        });
        objects.collect()
    }

    /// For each output the values of its columns, a row for each hit; and the rows of the detected batch for
    /// which one of them failed, ascending.
    fn evaluate(&self, detected: &Detected) -> (Vec<Vec<ArrayRef>>, Vec<RowFailure>) {
        let mut failures = Vec::new();
        let mut batch = None;
        let mut tables = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            let mut table = Vec::new();
            if let Format::Plain { columns } = &output.format
                && !detected.hits.is_empty()
            {
                let batch = batch.get_or_insert_with(|| self.plain_batch(detected));
                for (_, expression) in columns {
                    let value = expression.evaluate(batch);
                    table.push(value.column);
                    failures.extend(value.failures.into_iter().map(|failure| RowFailure {
                        row: detected.hits[failure.row].row as usize,
                        detail: failure.detail,
                    }));
                }
            }
            tables.push(table);
        }
        failures.sort_by_key(|failure| failure.row);
        failures.dedup_by_key(|failure| failure.row);
        (tables, failures)
    }

    /// The hits under [`plain_schema`]: a row that several rules hit stands there several times.
    fn plain_batch(&self, detected: &Detected) -> Batch {
        let hits = &detected.hits;
        let as_they_are = hits.len() == detected.batch.rows()
            && hits.iter().enumerate().all(|(i, hit)| i == hit.row as usize);
        let mut columns = detected.batch.columns().to_vec();
        if !as_they_are {
            let places = UInt32Array::from_iter_values(hits.iter().map(|hit| hit.row));
            for column in &mut columns {
                *column = take(column, &places, None).expect("a hit is a row, and hits fit in one column");
            }
        }
        let rules: StringArray =
            hits.iter().map(|hit| self.object.rule(hit).map(|rule| rule.id.as_str())).collect();
        let severities: StringArray =
            hits.iter().map(|hit| hit.verdict.map(|verdict| verdict.severity.name())).collect();
        columns.push(Arc::new(rules));
        columns.push(Arc::new(severities));
        let has = |name| self.object.row().schema().index_of(name).is_some();
        let spans = || hits.iter().map(|hit| detected.spans.of(hit.row as usize));
        if !has(REVISION) {
            let revision =
                |span: Span| if span.outcome == Outcome::Revised { span.sequence as i64 } else { 0 };
            columns.push(Arc::new(Int64Array::from_iter_values(spans().map(revision))));
        }
        if !has(EARLY) {
            let early = spans().map(|span| Some(span.outcome == Outcome::Early));
            columns.push(Arc::new(early.collect::<BooleanArray>()));
        }
        if !has(STATE) {
            let states = hits.iter().map(|hit| hit.change.map(|change| change.kind.name()));
            columns.push(Arc::new(states.collect::<StringArray>()));
        }
        if !has(MUTED) {
            let muted = hits.iter().map(|hit| self.object.mute(hit.change?.muted?));
            columns.push(Arc::new(muted.collect::<StringArray>()));
        }
        Batch::new(Arc::clone(&self.plain_schema), columns, hits.len())
    }

    fn alerts(
        &self,
        detected: &Detected,
        hits: &[(usize, &Hit)],
        explains: bool,
        sink: SinkId,
        rows: &mut Vec<OutputRow>,
    ) {
        if hits.is_empty() {
            return;
        }
        let columns = json_columns(detected.batch.columns(), Instants::Rfc3339);
        let page = Page::new(detected, &columns);
        let (mut scratch, mut line) = (Vec::new(), Vec::new());
        for (place, hit) in hits {
            line.clear();
            self.object.append(&page, (*place, hit), explains, &mut scratch, &mut line);
            let capped =
                self.cap.and_then(|_| self.object.capped(&page, (*place, hit), (self.branch, explains)));
            let row = self.output_row(detected, hit, sink, &line);
            rows.push(OutputRow { capped: capped.map(Box::new), ..row });
        }
    }

    /// Plain rows of the hits: the names of their columns as JSON has them, and the values of all hits.
    fn plain(
        &self,
        detected: &Detected,
        hits: &[(usize, &Hit)],
        (members, table): (&[Vec<u8>], &[ArrayRef]),
        sink: SinkId,
        rows: &mut Vec<OutputRow>,
    ) {
        let columns = json_columns(table, Instants::Millis);
        let mut line = Vec::new();
        for (place, hit) in hits {
            line.clear();
            line.push(b'{');
            for (number, (member, column)) in members.iter().zip(&columns).enumerate() {
                if number > 0 {
                    line.push(b',');
                }
                line.extend_from_slice(member);
                column.append(*place, &mut line);
            }
            line.push(b'}');
            rows.push(self.output_row(detected, hit, sink, &line));
        }
    }

    fn output_row(&self, detected: &Detected, hit: &Hit, sink: SinkId, line: &[u8]) -> OutputRow {
        let rule = hit.verdict.map_or(0, |verdict| verdict.rule);
        let row = hit.row as usize;
        let due = due(detected.spans.of(row), detected.keys.value(row), rule, self.branch);
        OutputRow { due, sink, line: line.to_vec(), capped: None }
    }

    /// Shows the rows that failed before, and those that failed here.
    fn quarantine(&self, detected: &Detected, failures: &[RowFailure], rendered: &mut Rendered) {
        let before = &detected.failed;
        rendered.rows_quarantined = (before.details.len() + failures.len()) as u64;
        let Some(sink) = self.quarantine else { return };
        let mut raw = Vec::new();
        let mut show = |columns: &[JsonColumn<'_>], row: usize, span: Span, key: &[u8], detail: &str| {
            raw.clear();
            self.object.append_row(columns, row, span.window, &mut raw);
            let due = due(span, key, 0, self.branch);
            rendered.rows.push(quarantine_row_of_features(due, detail, &raw, sink));
        };
        if !before.details.is_empty() {
            let columns = json_columns(before.batch.columns(), Instants::Rfc3339);
            for (row, detail) in before.details.iter().enumerate() {
                show(&columns, row, before.spans.of(row), before.keys.value(row), detail);
            }
        }
        if !failures.is_empty() {
            let columns = json_columns(detected.batch.columns(), Instants::Rfc3339);
            for failure in failures {
                let (row, detail) = (failure.row, &failure.detail);
                show(&columns, row, detected.spans.of(row), detected.keys.value(row), detail);
            }
        }
    }
}

fn json_columns(columns: &[ArrayRef], instants: Instants) -> Vec<JsonColumn<'_>> {
    columns.iter().map(|column| JsonColumn::new(column, instants)).collect()
}
