//! Everything that happens to a record before it is routed: derived columns, filters, the key, and the
//! columns that the aggregates read.
//!
//! A record for which an expression fails is in nothing else, and no other record is touched by it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, UInt32Array};
use arrow_buffer::BooleanBuffer;
use event::{Batch, Expression, Field, KeyShape, Own, RowFailure, Schema, key_hash};

use crate::bind::{Binder, Bound, InputName, Place};
use crate::compiled::{Compiled, compile_over};
use crate::features::{Features, compile_features_with};
use crate::gap::{Gap, compile_gap};
use crate::kernel::logic;
use crate::nearest::suggestion;
use crate::source::Source;
use crate::value::{Failures, Scope, select_columns, take_rows};
use crate::{ExpressionError, NamedError};

/// What is to be done with the records of a job, as text: names and expressions.
#[derive(Debug, Clone, Copy, Default)]
pub struct TransformSpec<'a> {
    /// Columns that are added, in order; each may use those before it, and hides a column of its name.
    pub derived: &'a [(String, String)],
    /// Conditions that a record must meet, by name; they are tried in this order.
    pub filters: &'a [(String, String)],
    /// Columns of the key, in order.
    pub key: &'a [String],
    /// Whether NULL is a key as any other, as GROUP BY has it. If not, such a record fails.
    pub null_keys: bool,
    /// Features of a window, in order.
    pub features: &'a [(String, String)],
    /// How many seconds after a record its session ends, where each record says so.
    pub gap: Option<&'a str>,
    /// The longest that may be, in microseconds, if it is less than 366 days.
    pub gap_max: Option<i64>,
    /// Aggregates of the program's own that features may use.
    pub own: &'a [Own],
}

/// The compiled form, shared by all workers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transform {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    derived: Vec<Compiled>,
    /// All filters as one condition that is never NULL.
    filter: Option<Compiled>,
    features: Features,
    key: Vec<usize>,
    null_keys: bool,
    key_shape: KeyShape,
    key_fields: Vec<Field>,
    gap: Option<Gap>,
    /// Columns that are read of the rows that passed.
    read_of_passed: Vec<usize>,
    input_columns: Vec<usize>,
}

/// A batch of records after the transformation.
#[derive(Debug, Clone)]
pub struct Transformed {
    /// Rows of the input for which an expression failed, ascending. They are in nothing else.
    pub failures: Vec<RowFailure>,
    /// Rows of the input that passed, ascending; `None` if all did.
    pub kept: Option<Vec<u32>>,
    /// How many rows a filter left out.
    pub filtered: u64,
    /// Keys of the rows that passed.
    pub keys: BinaryArray,
    /// Their hashes ([`event::key_hash`]).
    pub hashes: Vec<u64>,
    /// Of the rows that passed, for each aggregate in order its filter column (booleans without NULL) if it has
    /// one, then its argument column if it has one.
    pub inputs: Vec<ArrayRef>,
    /// Of the rows that passed, where the job asks for it: after how many microseconds its session ends.
    pub gaps: Option<Vec<i64>>,
}

impl Transform {
    /// Compiles what is to be done with records of that schema.
    ///
    /// # Errors
    /// Names the derived column, filter, key column or feature that is wrong.
    pub fn compile(input: &Schema, spec: &TransformSpec) -> Result<Self, NamedError> {
        let mut schema = input.clone();
        let mut derived = Vec::with_capacity(spec.derived.len());
        for (name, sql) in spec.derived {
            let source = Source::new(sql);
            let compiled = source.parse().and_then(|tree| compile_over(&source, &tree, &schema));
            let compiled = compiled.map_err(|error| NamedError { name: name.clone(), error })?;
            schema.push(Field::new(name.clone(), compiled.data_type()));
            derived.push(compiled);
        }
        let filter = compile_filters(spec.filters, &schema)?;
        let key = spec.key.iter().map(|name| key_column(name, &schema)).collect::<Result<Vec<_>, _>>()?;
        let key_fields: Vec<Field> = key.iter().map(|&index| schema.fields()[index].clone()).collect();
        let key_shape = KeyShape::new(key_fields.iter().map(|field| field.data_type).collect());
        let key_shape = key_shape.map_err(|error| key_error(&spec.key.join(", "), error.to_string()))?;
        let features = compile_features_with(spec.features, &schema, spec.own)?;

        let gap = spec.gap.map(|sql| compile_gap(sql, spec.gap_max, &schema)).transpose();
        let gap = gap.map_err(|error| NamedError { name: "gap".to_owned(), error })?;

        let inputs = features.inputs.iter().flat_map(|(_, input)| input.columns());
        let inputs = inputs.chain(gap.iter().flat_map(Gap::columns));
        let read_of_passed = ascending(key.iter().copied().chain(inputs));
        let before = derived.iter().chain(&filter).flat_map(Compiled::columns);
        let all = before.chain(read_of_passed.iter().copied());
        let input_columns = ascending(all.filter(|&index| index < input.fields().len()));
        let inner = Inner {
            derived,
            filter,
            features,
            key,
            null_keys: spec.null_keys,
            key_shape,
            key_fields,
            gap,
            read_of_passed,
            input_columns,
        };
        Ok(Transform { inner: Arc::new(inner) })
    }

    /// The features, with their aggregates.
    pub fn features(&self) -> &Features {
        &self.inner.features
    }

    /// Types and encoding of the key.
    pub fn key_shape(&self) -> &KeyShape {
        &self.inner.key_shape
    }

    /// Names and types of the key's columns.
    pub fn key_fields(&self) -> &[Field] {
        &self.inner.key_fields
    }

    /// Places of the fields of the input that are read at all, ascending.
    pub fn input_columns(&self) -> Vec<usize> {
        self.inner.input_columns.clone()
    }

    /// Transforms a batch of the input schema.
    pub fn apply(&self, batch: &Batch) -> Transformed {
        let inner = self.inner.as_ref();
        let rows = batch.rows();
        let mut failures = Failures::default();
        let mut columns = batch.columns().to_vec();
        for derived in &inner.derived {
            let column = derived.coded_column(Scope { columns: &columns, rows }, &mut failures);
            columns.push(column);
        }
        let (passed, filtered) =
            inner.filter(Scope { columns: &columns, rows }, &failures_of(rows, &failures), &mut failures);
        let mut kept = match passed {
            None => None,
            Some(passed) => {
                let kept: Vec<u32> = passed.set_indices_u32().collect();
                columns = select_columns(&columns, &inner.read_of_passed, &UInt32Array::from(kept.clone()));
                Some(kept)
            }
        };

        let scope = Scope { columns: &columns, rows: kept.as_ref().map_or(rows, Vec::len) };
        let mut later = Failures::default();
        if !inner.null_keys {
            inner.refuse_null_keys(scope, &mut later);
        }
        let mut inputs = inner.inputs(scope, &mut later);
        let mut gaps = inner.gap.as_ref().map(|gap| gap.micros(scope, &mut later));
        let mut keys: Vec<ArrayRef> = inner.key.iter().map(|&index| Arc::clone(&columns[index])).collect();
        if !later.is_empty() {
            let survivors = !&failures_of(scope.rows, &later);
            let survivors: Vec<u32> = survivors.set_indices_u32().collect();
            let selected = UInt32Array::from(survivors.clone());
            let all: Vec<u32> = kept.unwrap_or_else(|| (0..rows as u32).collect());
            inputs.iter_mut().chain(&mut keys).for_each(|column| *column = take_rows(column, &selected));
            gaps = gaps.map(|gaps| survivors.iter().map(|&row| gaps[row as usize]).collect());
            kept = Some(survivors.iter().map(|&row| all[row as usize]).collect());
            failures.extend_selected(later, &all);
        }
        let keys = inner.key_shape.encode(&keys);
        let hashes = (0..keys.len()).map(|row| key_hash(keys.value(row))).collect();
        Transformed { failures: failures.finish(), kept, filtered, keys, hashes, inputs, gaps }
    }
}

impl Inner {
    /// Rows that pass all filters and did not fail, `None` if all do; and how many a filter left out.
    fn filter(
        &self,
        scope: Scope,
        failed: &BooleanBuffer,
        failures: &mut Failures,
    ) -> (Option<BooleanBuffer>, u64) {
        let rows = scope.rows;
        let Some(filter) = &self.filter else {
            return ((failed.count_set_bits() > 0).then(|| !failed), 0);
        };
        let mut own = Failures::default();
        let mask = filter.column(scope, &mut own);
        let failed = failed | &failures_of(rows, &own);
        own.iter().for_each(|failure| failures.push(failure.row, failure.detail.clone()));
        // A row that failed holds NULL, whose bit is not to be read.
        let passed = &logic::truths(mask.as_boolean()) & &!&failed;
        let left_out = rows - passed.count_set_bits() - failed.count_set_bits();
        ((passed.count_set_bits() < rows).then_some(passed), left_out as u64)
    }

    fn refuse_null_keys(&self, scope: Scope, failures: &mut Failures) {
        for (&index, field) in self.key.iter().zip(&self.key_fields) {
            let Some(nulls) = scope.columns[index].logical_nulls().filter(|nulls| nulls.null_count() > 0)
            else {
                continue;
            };
            let absent = (0..scope.rows).filter(|&row| nulls.is_null(row));
            absent.for_each(|row| failures.push(row, format!("the key `{}` is NULL", field.name)));
        }
    }

    /// The columns that the aggregates read, in their order; a column that several read is made once.
    fn inputs(&self, scope: Scope, failures: &mut Failures) -> Vec<ArrayRef> {
        let made = self.features.inputs.iter().map(|(name, input)| {
            let column = input.column(scope, failures);
            match name {
                InputName::Filter(_) if column.null_count() > 0 => {
                    Arc::new(BooleanArray::new(logic::truths(column.as_boolean()), None))
                }
                _ => column,
            }
        });
        let made: Vec<ArrayRef> = made.collect();
        self.features.input_places.iter().map(|&place| Arc::clone(&made[place])).collect()
    }
}

fn failures_of(rows: usize, failures: &Failures) -> BooleanBuffer {
    if failures.is_empty() {
        return BooleanBuffer::new_unset(rows);
    }
    let mut failed = vec![false; rows];
    failures.iter().for_each(|failure| failed[failure.row] = true);
    BooleanBuffer::from(failed)
}

fn ascending(columns: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut columns: Vec<usize> = columns.collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// All filters joined: each is taken as false where it is NULL, and a later one is not evaluated, and so cannot
/// fail, where an earlier one is false.
fn compile_filters(filters: &[(String, String)], schema: &Schema) -> Result<Option<Compiled>, NamedError> {
    let mut terms = Vec::with_capacity(filters.len());
    for (name, sql) in filters {
        let source = Source::new(sql);
        let bound =
            source.parse().and_then(|tree| Binder::new(&source, schema, Place::Row).bind_filter(&tree));
        terms.push(bound.map_err(|error| NamedError { name: name.clone(), error })?);
    }
    let compiled = match terms.len() {
        0 => return Ok(None),
        1 => Compiled::new(terms.remove(0), schema),
        _ => Bound::junction(true, terms, 0..0).and_then(|bound| Compiled::new(bound, schema)),
    };
    let name = || filters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    compiled.map(Some).map_err(|error| NamedError { name: name(), error })
}

fn key_column(name: &str, schema: &Schema) -> Result<usize, NamedError> {
    schema.index_of(name).ok_or_else(|| {
        let known: Vec<&str> = schema.fields().iter().map(|field| field.name.as_str()).collect();
        let mut error = key_error(name, format!("unknown column `{name}`"));
        error.error.help = suggestion(name, known);
        error
    })
}

fn key_error(name: &str, message: String) -> NamedError {
    NamedError { name: format!("key {name}"), error: ExpressionError::new(message, 0..name.len()) }
}
