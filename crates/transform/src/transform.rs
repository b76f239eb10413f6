//! Everything that happens to a record before it is routed: derived columns, filters, the key, and the
//! columns that the aggregates of all branches read.
//!
//! A record for which an expression fails is in nothing else, and no other record is touched by it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Int64Array, UInt32Array};
use arrow_buffer::BooleanBuffer;
use event::{Batch, Expression, Field, KeyShape, Own, RowFailure, Schema, key_hash};

use crate::bind::{Binder, Bound, Condition, InputName, Inputs, Place};
use crate::branch_inputs::{BranchInputs, BranchSpec};
use crate::compiled::{Compiled, compile_over};
use crate::features::compile_features_of;
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
    /// Who takes in the records that pass, and what of them. A record that the conditions of all leave out is filtered.
    pub branches: &'a [BranchSpec<'a>],
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
    branches: Vec<BranchInputs>,
    inputs: Inputs,
    /// Each with the place of the input that says of which records it is asked for, unless it is of all.
    gaps: Vec<(Gap, Option<usize>)>,
    key: Vec<usize>,
    null_keys: bool,
    key_shape: KeyShape,
    key_fields: Vec<Field>,
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
    /// Of the rows that passed, the columns that the branches read, each once: [`BranchInputs`] knows which.
    pub inputs: Vec<ArrayRef>,
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
        let conditions = conditions(spec.branches, &schema)?;
        let filter = compile_filters(spec.filters, &conditions, &schema)?;
        let key = spec.key.iter().map(|name| key_column(name, &schema)).collect::<Result<Vec<_>, _>>()?;
        let key_fields: Vec<Field> = key.iter().map(|&index| schema.fields()[index].clone()).collect();
        let key_shape = KeyShape::new(key_fields.iter().map(|field| field.data_type).collect());
        let key_shape = key_shape.map_err(|error| key_error(&spec.key.join(", "), error.to_string()))?;
        let (mut inputs, mut gaps, mut branches) = (Inputs::default(), Vec::new(), Vec::new());
        // What the only branch leaves out is filtered already.
        let alone = conditions.len() == 1;
        for (branch, condition) in spec.branches.iter().zip(conditions) {
            let condition = condition.filter(|_| !alone);
            let features =
                compile_features_of(branch.features, &schema, spec.own, condition.as_ref(), &mut inputs)?;
            let gap = branch.gap.map(|sql| compile_gap(sql, branch.gap_max, &schema, condition.as_ref()));
            let gap = gap.transpose();
            let gap = gap.map_err(|error| NamedError { name: "gap".to_owned(), error })?;
            let mask = condition.map(|Condition { bound, text }| {
                let compiled = Compiled::new(bound, &schema);
                let compiled = compiled.map_err(|error| NamedError { name: "where".to_owned(), error })?;
                Ok(inputs.place_of(InputName::Filter(text), Arc::new(compiled)))
            });
            let mask = mask.transpose()?;
            let gap = gap.map(|gap| {
                gaps.push((gap, mask));
                gaps.len() - 1
            });
            branches.push(BranchInputs { features, mask, gap });
        }
        for gap in branches.iter_mut().filter_map(|branch| branch.gap.as_mut()) {
            *gap += inputs.0.len();
        }
        let columns = inputs.0.iter().flat_map(|(_, input)| input.columns());
        let columns = columns.chain(gaps.iter().flat_map(|(gap, _)| gap.columns()));
        let read_of_passed = ascending(key.iter().copied().chain(columns));
        let before = derived.iter().chain(&filter).flat_map(Compiled::columns);
        let all = before.chain(read_of_passed.iter().copied());
        let input_columns = ascending(all.filter(|&index| index < input.fields().len()));
        let inner = Inner {
            derived,
            filter,
            branches,
            inputs,
            gaps,
            key,
            null_keys: spec.null_keys,
            key_shape,
            key_fields,
            read_of_passed,
            input_columns,
        };
        Ok(Transform { inner: Arc::new(inner) })
    }

    /// What each branch takes of the inputs, in the order of the branches.
    pub fn branches(&self) -> &[BranchInputs] {
        &self.inner.branches
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
        let mut keys: Vec<ArrayRef> = inner.key.iter().map(|&index| Arc::clone(&columns[index])).collect();
        if !later.is_empty() {
            let survivors = !&failures_of(scope.rows, &later);
            let survivors: Vec<u32> = survivors.set_indices_u32().collect();
            let selected = UInt32Array::from(survivors.clone());
            let all: Vec<u32> = kept.unwrap_or_else(|| (0..rows as u32).collect());
            inputs.iter_mut().chain(&mut keys).for_each(|column| *column = take_rows(column, &selected));
            kept = Some(survivors.iter().map(|&row| all[row as usize]).collect());
            failures.extend_selected(later, &all);
        }
        let keys = inner.key_shape.encode(&keys);
        let hashes = (0..keys.len()).map(|row| key_hash(keys.value(row))).collect();
        Transformed { failures: failures.finish(), kept, filtered, keys, hashes, inputs }
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

    /// The columns that the branches read: those of aggregates and conditions, and behind them gaps.
    fn inputs(&self, scope: Scope, failures: &mut Failures) -> Vec<ArrayRef> {
        let made = self.inputs.0.iter().map(|(name, input)| {
            let column = input.column(scope, failures);
            match name {
                InputName::Filter(_) if column.null_count() > 0 => {
                    Arc::new(BooleanArray::new(logic::truths(column.as_boolean()), None))
                }
                _ => column,
            }
        });
        let mut made: Vec<ArrayRef> = made.collect();
        for (gap, mask) in &self.gaps {
            let mask = mask.map(|place| made[place].as_boolean().values());
            let micros = gap.micros(scope, mask, failures);
            made.push(Arc::new(Int64Array::from(micros)));
        }
        made
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

/// The condition of each branch that has one.
fn conditions(branches: &[BranchSpec<'_>], schema: &Schema) -> Result<Vec<Option<Condition>>, NamedError> {
    let condition = |branch: &BranchSpec<'_>| {
        let Some(sql) = branch.condition else { return Ok(None) };
        let source = Source::new(sql);
        let bound = source.parse().and_then(|tree| {
            let bound = Binder::new(&source, schema, Place::Row).bind_filter(&tree)?;
            Ok(Condition { bound, text: tree.to_string() })
        });
        bound.map(Some).map_err(|error| NamedError { name: "where".to_owned(), error })
    };
    branches.iter().map(condition).collect()
}

/// All filters joined: each is taken as false where it is NULL, and a later one is not evaluated, and so cannot
/// fail, where an earlier one is false. The last one is that some branch takes the record in.
fn compile_filters(
    filters: &[(String, String)],
    conditions: &[Option<Condition>],
    schema: &Schema,
) -> Result<Option<Compiled>, NamedError> {
    let mut terms = Vec::with_capacity(filters.len() + 1);
    for (name, sql) in filters {
        let source = Source::new(sql);
        let bound =
            source.parse().and_then(|tree| Binder::new(&source, schema, Place::Row).bind_filter(&tree));
        terms.push(bound.map_err(|error| NamedError { name: name.clone(), error })?);
    }
    let names = filters.iter().map(|(name, _)| name.as_str()).chain(["where"]).collect::<Vec<_>>();
    let named = |error| NamedError { name: names.join(", "), error };
    let all: Option<Vec<Bound>> =
        conditions.iter().map(|condition| Some(condition.as_ref()?.bound.clone())).collect();
    if let Some(any) = all.filter(|all| !all.is_empty()) {
        terms.push(join(false, any).map_err(named)?);
    }
    if terms.is_empty() {
        return Ok(None);
    }
    join(true, terms).and_then(|bound| Compiled::new(bound, schema)).map(Some).map_err(named)
}

/// `AND` or `OR` of terms, of which there is one at least.
fn join(conjunction: bool, mut terms: Vec<Bound>) -> Result<Bound, ExpressionError> {
    if terms.len() > 1 { Bound::junction(conjunction, terms, 0..0) } else { Ok(terms.remove(0)) }
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
