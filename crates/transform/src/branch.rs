//! Trees with branches that not every row takes: `AND`, `OR`, `CASE`, `COALESCE`.
//!
//! A branch that can fail is evaluated on just the rows that take it, one that cannot on all.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow_buffer::BooleanBuffer;
use arrow_select::zip::zip;

use crate::kernel::logic;
use crate::node::Node;
use crate::value::{Failures, Scope, Value, select_columns, take_rows};

/// `AND` or `OR`.
#[derive(Debug)]
pub(crate) struct Junction {
    pub(crate) conjunction: bool,
    pub(crate) terms: Vec<Branch>,
}

/// `CASE WHEN .. THEN .. ELSE .. END`.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) branches: Vec<(Branch, Branch)>,
    pub(crate) otherwise: Branch,
}

/// A tree that not every row needs.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) node: Node,
    /// Whether it can fail, and so is evaluated on just the rows that need it.
    fallible: bool,
    /// The columns that it reads.
    columns: Vec<usize>,
}

impl Branch {
    pub(crate) fn new(node: Node) -> Self {
        let (fallible, columns) = (node.fallible(), node.columns());
        Branch { node, fallible, columns }
    }

    /// Its value at least for the rows of `wanted`, which are not empty.
    fn evaluate(
        &self,
        wanted: impl FnOnce() -> BooleanBuffer,
        scope: Scope,
        failures: &mut Failures,
    ) -> Value {
        if !self.fallible {
            return self.node.evaluate(scope, failures);
        }
        let wanted = wanted();
        if wanted.count_set_bits() == scope.rows {
            return self.node.evaluate(scope, failures);
        }
        let rows: Vec<u32> = wanted.set_indices_u32().collect();
        let selected = UInt32Array::from(rows.clone());
        let columns = select_columns(scope.columns, &self.columns, &selected);
        let mut inner = Failures::default();
        let value = self.node.evaluate(Scope { columns: &columns, rows: rows.len() }, &mut inner);
        failures.extend_selected(inner, &rows);
        match value {
            Value::Column(array) => Value::Column(scatter(&array, &rows, scope.rows)),
            constant => constant,
        }
    }
}

/// The values of `array` at the places `rows` of a column of `total` rows, NULL elsewhere.
fn scatter(array: &ArrayRef, rows: &[u32], total: usize) -> ArrayRef {
    let mut from: Vec<Option<u32>> = vec![None; total];
    for (at, &row) in rows.iter().enumerate() {
        from[row as usize] = Some(at as u32);
    }
    take_rows(array, &UInt32Array::from(from))
}

impl Junction {
    pub(crate) fn evaluate(&self, scope: Scope, failures: &mut Failures) -> Value {
        let mut so_far: Option<BooleanArray> = None;
        for term in &self.terms {
            let value = match &so_far {
                None => term.node.evaluate(scope, failures),
                Some(so_far) => {
                    let open = || logic::open(so_far, self.conjunction);
                    if term.fallible && open().count_set_bits() == 0 {
                        break;
                    }
                    term.evaluate(open, scope, failures)
                }
            };
            let value = value.into_column(scope.rows);
            let value = value.as_boolean();
            so_far = Some(match so_far {
                None => value.clone(),
                Some(so_far) => logic::join(&so_far, value, self.conjunction),
            });
        }
        Value::Column(Arc::new(so_far.expect("a junction has terms")))
    }
}

impl Case {
    pub(crate) fn evaluate(&self, scope: Scope, failures: &mut Failures) -> Value {
        let mut undecided = BooleanBuffer::new_set(scope.rows);
        let mut pieces: Vec<(BooleanArray, Value)> = Vec::with_capacity(self.branches.len());
        for (when, then) in &self.branches {
            if undecided.count_set_bits() == 0 {
                break;
            }
            let condition = when.evaluate(|| undecided.clone(), scope, failures).into_column(scope.rows);
            let hit = &logic::truths(condition.as_boolean()) & &undecided;
            if hit.count_set_bits() == 0 {
                continue;
            }
            let value = then.evaluate(|| hit.clone(), scope, failures);
            undecided = &undecided & &!&hit;
            pieces.push((BooleanArray::new(hit, None), value));
        }
        let last = if undecided.count_set_bits() == 0 { pieces.pop() } else { None };
        let mut result = match last {
            Some((_, value)) => value,
            None => self.otherwise.evaluate(|| undecided, scope, failures),
        };
        for (hit, value) in pieces {
            result = Value::Column(choose(&hit, &value, &result));
        }
        Value::Column(result.into_column(scope.rows))
    }
}

/// The first value of each row that is not NULL.
pub(crate) fn coalesce(branches: &[Branch], scope: Scope, failures: &mut Failures) -> Value {
    let mut result = branches[0].node.evaluate(scope, failures).into_column(scope.rows);
    for branch in &branches[1..] {
        let Some(nulls) = result.nulls().filter(|nulls| nulls.null_count() > 0) else { break };
        let missing = !nulls.inner();
        let value = branch.evaluate(|| missing.clone(), scope, failures);
        result = choose(&BooleanArray::new(missing, None), &value, &Value::Column(Arc::clone(&result)));
    }
    Value::Column(result)
}

fn choose(mask: &BooleanArray, truthy: &Value, falsy: &Value) -> ArrayRef {
    zip(mask, truthy, falsy).expect("branches of one type and length")
}
