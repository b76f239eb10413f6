//! A row of features: computed of the records that were found, or of what an alert says, or made up; and what the rules say of it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, new_null_array};
use event::{Batch, DataType, Field, Rows, Schema, Severity, Spans, Watermark};
use window::{Arrivals, WindowSpec, Windows};

use super::{Asked, Evidence, Fate, json, nothing};
use crate::branch::Branch;
use crate::job::Job;
use crate::route::pick;

/// A row of features.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    branch: &'a Branch,
    asked: &'a Asked,
    /// How many records it is of.
    pub records: u64,
    features: Vec<ArrayRef>,
}

/// What the rules make of a row.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The scores, as JSON, by name.
    pub scores: Vec<(String, String)>,
    /// Which rules find it.
    pub found: Vec<RuleFound>,
    /// Why no rule can judge it, if that is so.
    pub failure: Option<String>,
}

/// A rule that finds a row.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleFound {
    /// Its name; `None` in a job without rules.
    pub rule: Option<String>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// What it compares, if that is one comparison.
    pub score: Option<f64>,
    /// With what.
    pub threshold: Option<f64>,
}

impl<'a> Row<'a> {
    /// The row of the events that the window held, by the aggregates and features of the job. What features recall of earlier rows of the key is
    /// NULL: [`Row::recalls`].
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn of_events(job: &'a Job, asked: &'a Asked, evidence: &Evidence) -> Result<Row<'a>, String> {
        let branch = &job.branches[asked.branch];
        let mut rows = aggregated(job, asked, evidence)?;
        let recalled = branch.detection.remembered();
        rows.previous = recalled.iter().map(|kind| new_null_array(&kind.arrow(), 1)).collect();
        let (features, failures) = branch.detection.features_of(&rows);
        match failures.into_iter().next() {
            Some(failure) => Err(failure.detail),
            None => Ok(Row { branch, asked, records: rows.records[0], features }),
        }
    }

    /// The row that an alert says: the value of a feature as a text, by its name; `None` is NULL. `records` is how many it is of.
    ///
    /// # Errors
    /// Which feature the alert does not say, or not as the job has it.
    pub fn of_texts(
        job: &'a Job,
        asked: &'a Asked,
        records: u64,
        text_of: &dyn Fn(&str) -> Option<Option<String>>,
    ) -> Result<Row<'a>, String> {
        let branch = &job.branches[asked.branch];
        let mut features = Vec::new();
        for Field { name, data_type } in fields(branch) {
            let text = text_of(name).ok_or_else(|| format!("the alert has no feature `{name}`"))?;
            features
                .push(value(text.as_deref(), *data_type).map_err(|why| format!("feature `{name}`: {why}"))?);
        }
        Ok(Row { branch, asked, records, features })
    }

    /// The same, with another value of one feature: an expression over `row`, which may be this one.
    ///
    /// # Errors
    /// If there is no such feature, or the expression is none, or has no value.
    pub fn taking(&self, name: &str, row: &Row<'_>, sql: &str) -> Result<Row<'a>, String> {
        let fields = fields(self.branch);
        let place = fields.iter().position(|field| field.name == name).ok_or_else(|| {
            let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            format!("there is no feature `{name}`; there are {}", known.join(", "))
        })?;
        // What stands behind the features follows from them.
        let seen = self.branch.detection.row_schema().features().end;
        let batch = row.supposed().batch;
        let schema = Schema::new(batch.schema().fields()[..seen].to_vec());
        transform::compile(sql, &schema).map_err(|error| format!("`{sql}`: {}", error.message))?;
        let cast = format!("CAST(({sql}) AS {})", fields[place].data_type);
        let compiled =
            transform::compile(&cast, &schema).map_err(|error| format!("`{sql}`: {}", error.message))?;
        let value = compiled.evaluate(&Batch::new(Arc::new(schema), batch.columns()[..seen].to_vec(), 1));
        if let Some(failure) = value.failures.into_iter().next() {
            return Err(format!("`{sql}`: {}", failure.detail));
        }
        let mut row = self.clone();
        row.features[place] = value.column;
        Ok(row)
    }

    /// The features as JSON, by name.
    pub fn features(&self) -> Vec<(String, String)> {
        let names = fields(self.branch).iter().map(|field| field.name.clone());
        names.zip(self.features.iter().map(json)).collect()
    }

    /// Whether some features rest on earlier rows of the key, which are not read again.
    pub fn recalls(&self) -> bool {
        !self.branch.detection.remembered().is_empty()
    }

    /// Whether some scores rest on what detectors remembered of the key, which is not known any more.
    pub fn remembers(&self) -> bool {
        self.branch.detection.has_detectors()
    }

    /// Records that a rule asks for.
    pub fn min_events(&self, rule: &str) -> Option<u64> {
        let rules = self.branch.detection.rules();
        rules.iter().find(|known| known.id == rule).map(|rule| rule.min_events)
    }

    /// What the rules make of it.
    pub fn judge(&self) -> Judged {
        let supposed = self.supposed();
        let schema = self.branch.detection.row_schema();
        let scores = schema
            .scores()
            .map(|place| (schema.schema().fields()[place].name.clone(), json(supposed.batch.column(place))));
        let rules = self.branch.detection.rules();
        let found = supposed.hits.iter().map(|hit| RuleFound {
            rule: hit.verdict.map(|verdict| rules[usize::from(verdict.rule)].id.clone()),
            severity: hit.verdict.map(|verdict| verdict.severity),
            score: hit.verdict.and_then(|verdict| verdict.score),
            threshold: hit.verdict.and_then(|verdict| verdict.threshold),
        });
        let failure = supposed.failures.first().map(|failure| failure.detail.clone());
        Judged { scores: scores.collect(), found: found.collect(), failure }
    }

    fn supposed(&self) -> detect::Supposed {
        let spans = Spans::Shared(self.asked.window);
        let (keys, records) = (&self.asked.key, [self.records]);
        self.branch.detection.suppose(keys, &spans, &records, self.features.clone())
    }
}

/// The features of a branch.
fn fields(branch: &Branch) -> &[Field] {
    let schema = branch.detection.row_schema();
    &schema.schema().fields()[schema.features()]
}

/// The aggregates of the events that the window held: of one window that is just that long.
fn aggregated(job: &Job, asked: &Asked, evidence: &Evidence) -> Result<Rows, String> {
    let (start, end) = (asked.window.start, asked.window.end);
    let length = end.checked_sub(start).ok_or("its window is of all time")?;
    let spec =
        WindowSpec::sliding(length, length).and_then(|spec| spec.starting_at(start.rem_euclid(length)));
    let spec = spec.map_err(|error| error.to_string())?;
    let calls = &job.transform.branches()[asked.branch].features().calls;
    let mut windows = Windows::new(spec, calls.iter().map(|call| call.aggregate.clone()).collect());
    for (number, (ordinal, columns)) in evidence.pieces.iter().enumerate() {
        let held = evidence.events.iter().filter(|it| it.place.0 == number && it.fate == Fate::Held);
        let mut rows: Vec<u32> = held.map(|event| event.place.1).collect();
        rows.sort_unstable();
        let columns = pick(columns, rows);
        windows.insert(&Arrivals {
            keys: &columns.keys,
            hashes: &columns.hashes,
            times: &columns.times,
            inputs: &columns.inputs,
            partition: *ordinal,
            offsets: &columns.offsets,
        });
    }
    let mut found = None;
    windows.advance(Watermark::FINISHED, &mut |rows: Rows| found = Some(rows));
    found.ok_or_else(|| "no event was found that it held".to_owned())
}

/// The only value of a column of that type, written as a text; `None` is NULL.
pub(super) fn value(text: Option<&str>, data_type: DataType) -> Result<ArrayRef, String> {
    let literal = text.map_or("NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")));
    let sql = format!("CAST({literal} AS {data_type})");
    let compiled = transform::compile(&sql, &Schema::default()).map_err(|error| error.message)?;
    let value = compiled.evaluate(&nothing());
    match value.failures.into_iter().next() {
        Some(failure) => Err(failure.detail),
        None => Ok(value.column),
    }
}

/// The microseconds since 1970 of an instant.
pub(super) fn instant(text: &str) -> Result<i64, String> {
    let column = value(Some(text), DataType::TimestampTz)?;
    let column = column.as_primitive::<TimestampMicrosecondType>();
    if column.is_valid(0) { Ok(column.value(0)) } else { Err(format!("`{text}` is no instant")) }
}
