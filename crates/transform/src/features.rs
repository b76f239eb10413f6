//! Features: expressions over SQL aggregates, taken apart into the aggregates and what is computed of them.

use std::sync::Arc;

use event::{Aggregate, Expression, Field, Own, RowSchema, Schema};

use crate::bind::{Binder, Collector, Condition, Inputs, PREVIOUS, Place, WINDOW, is_built_in};
use crate::compiled::Compiled;
use crate::source::Source;
use crate::{ExpressionError, NamedError};

/// One aggregate of a job, with the expressions that prepare its columns.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    /// What is computed.
    pub aggregate: Aggregate,
    /// Its argument; `None` for `count(*)`. Does not fail on rows that the filter leaves out.
    pub argument: Option<Arc<dyn Expression>>,
    /// Its `FILTER`, a boolean.
    pub filter: Option<Arc<dyn Expression>>,
}

/// The features of a job.
#[derive(Debug, Clone)]
pub struct Features {
    /// The aggregates, each once.
    pub calls: Vec<AggregateCall>,
    /// What the expressions read: a field for each call, in order, named as it is written.
    pub aggregate_schema: Schema,
    /// Name and expression of each feature, over `aggregate_schema` and, behind its fields,
    /// [`RowSchema::window_fields`] and what `lags` were, if an expression names the window or one of them.
    pub expressions: Vec<(String, Arc<dyn Expression>)>,
    /// The features of which expressions ask what they were in the key's previous row, each once.
    pub lags: Vec<usize>,
    /// For each call in order the place of its filter, then of its argument, among the columns that were prepared.
    pub(crate) input_places: Vec<usize>,
}

/// Compiles features, each a name and an expression over aggregates of the columns of `schema`:
/// `sum(duration_s) FILTER (WHERE event_type = 'listen') / count(*)`. A feature may use earlier ones by name, and
/// `window_start`, `window_end`, `window_duration` (an interval), `window_duration_s`, and `lag(earlier)`, which is what
/// an earlier one was in the previous row of the key.
///
/// # Errors
/// If one is no such expression, or a column stands outside of an aggregate.
pub fn compile_features(features: &[(String, String)], schema: &Schema) -> Result<Features, NamedError> {
    compile_features_with(features, schema, &[])
}

/// The same with aggregates of the program's own, which features use by their names.
///
/// # Errors
/// As [`compile_features`].
pub fn compile_features_with(
    features: &[(String, String)],
    schema: &Schema,
    own: &[Own],
) -> Result<Features, NamedError> {
    compile_features_of(features, schema, own, None, &mut Inputs::default())
}

/// The same, of records for which a condition holds, where the columns that aggregates read are put to those that are
/// known, unless they are there.
pub(crate) fn compile_features_of(
    features: &[(String, String)],
    schema: &Schema,
    own: &[Own],
    only: Option<&Condition>,
    inputs: &mut Inputs,
) -> Result<Features, NamedError> {
    let known = std::mem::take(inputs);
    let only = only.cloned();
    let mut collector = Collector { own: own.to_vec(), inputs: known, only, ..Collector::default() };
    for (name, sql) in features {
        let source = Source::new(sql);
        let bound = source
            .parse()
            .and_then(|tree| Binder::new(&source, schema, Place::Features(&mut collector)).bind(&tree));
        let bound = bound.map_err(|error| NamedError { name: name.clone(), error })?;
        if collector.features.iter().any(|(earlier, _)| earlier == name) {
            let error = ExpressionError::new(format!("there are two features `{name}`"), source.whole());
            return Err(NamedError { name: name.clone(), error });
        }
        collector.features.push((name.clone(), bound));
    }
    let aggregate_schema = Schema::new(collector.fields);
    let calls = aggregate_schema.fields();
    let (window, lags) = (RowSchema::window_fields(), &collector.lags);
    let previous = lags.iter().filter_map(|place| {
        let (name, bound) = &collector.features[*place];
        Some(Field::new(format!("lag({name})"), bound.data_type?))
    });
    let behind = calls.len() + window.len();
    let row_schema = Schema::new(calls.iter().cloned().chain(window).chain(previous).collect());
    let place = |column: usize| match (column.checked_sub(WINDOW), column.checked_sub(PREVIOUS)) {
        (Some(column), _) => calls.len() + column,
        (None, Some(column)) => behind + column,
        (None, None) => column,
    };
    let mut expressions: Vec<(String, Arc<dyn Expression>)> = Vec::with_capacity(features.len());
    for (name, bound) in collector.features {
        let compiled = Compiled::new(bound.renumbered(&place), &row_schema)
            .map_err(|error| NamedError { name: name.clone(), error })?;
        expressions.push((name, Arc::new(compiled)));
    }
    *inputs = collector.inputs;
    Ok(Features {
        calls: collector.calls,
        aggregate_schema,
        expressions,
        lags: collector.lags,
        input_places: collector.input_places,
    })
}

/// Why expressions could not use a program's own aggregate by its name, if they could not.
pub fn own_name_error(name: &str) -> Option<String> {
    let mut letters = name.chars();
    let starts = letters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_');
    if !starts || letters.any(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_') {
        return Some(format!("`{name}` is no name of an aggregate: it has small letters, digits and `_`"));
    }
    is_built_in(name).then(|| format!("`{name}` is built in"))
}
