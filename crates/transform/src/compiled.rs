//! A compiled expression, and the functions that compile one from its text.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, new_empty_array};
use arrow_select::nullif::nullif;
use event::{Batch, DataType, Evaluation, Expression, RowFailure, Schema};
use sqlparser::ast::{Expr, UnaryOperator};

use crate::ExpressionError;
use crate::bind::{Binder, Bound, Place, comparison_of};
use crate::improve::improve;
use crate::node::Node;
use crate::source::Source;
use crate::value::{Failures, Scope};

/// A tree of steps with its type.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    node: Node,
    data_type: DataType,
    columns: Vec<usize>,
}

impl Compiled {
    /// Finishes a bound expression over that schema.
    pub(crate) fn new(bound: Bound, schema: &Schema) -> Result<Self, ExpressionError> {
        // A bare NULL is a bigint where nothing else is wanted, as the results of a CASE of NULL are.
        let data_type = bound.data_type.unwrap_or(DataType::Bigint);
        let bound = bound.widened(data_type)?;
        let is_text = |index: usize| schema.fields()[index].data_type == DataType::Varchar;
        let node = improve(&bound.node, &is_text);
        Ok(Compiled { columns: node.columns(), node, data_type })
    }

    /// Its value for each row; text is plain.
    pub(crate) fn column(&self, scope: Scope, failures: &mut Failures) -> ArrayRef {
        if scope.rows == 0 {
            return new_empty_array(&self.data_type.arrow());
        }
        self.node.evaluate(scope, failures).into_column(scope.rows)
    }

    /// The same; text that comes from one coded column stays coded.
    pub(crate) fn coded_column(&self, scope: Scope, failures: &mut Failures) -> ArrayRef {
        match &self.node {
            Node::Column(index) => Arc::clone(&scope.columns[*index]),
            Node::SharedText(shared) if scope.rows > 0 => match shared.evaluate_coded(scope, failures) {
                Some(column) => column,
                None => self.column(scope, failures),
            },
            _ => self.column(scope, failures),
        }
    }
}

impl Expression for Compiled {
    fn data_type(&self) -> DataType {
        self.data_type
    }

    fn columns(&self) -> Vec<usize> {
        self.columns.clone()
    }

    fn evaluate(&self, batch: &Batch) -> Evaluation {
        let mut failures = Failures::default();
        let column = self.column(Scope { columns: batch.columns(), rows: batch.rows() }, &mut failures);
        let failures = failures.finish();
        let column = if failures.is_empty() { column } else { without(&column, &failures) };
        Evaluation { column, failures }
    }
}

/// The column with NULL where a row failed: a step above the one that failed may have made something of it.
fn without(column: &ArrayRef, failures: &[RowFailure]) -> ArrayRef {
    let mut failed = vec![false; column.len()];
    failures.iter().for_each(|failure| failed[failure.row] = true);
    nullif(column.as_ref(), &BooleanArray::from(failed)).expect("a mask of the same length")
}

/// Binds and finishes an expression over the columns of a schema.
pub(crate) fn compile_over(
    source: &Source,
    tree: &Expr,
    schema: &Schema,
) -> Result<Compiled, ExpressionError> {
    Compiled::new(Binder::new(source, schema, Place::Row).bind(tree)?, schema)
}

/// Compiles an expression over the columns of a schema.
///
/// # Errors
/// If the text is no expression, a name is unknown, or types do not fit; the error points to the word.
pub fn compile(sql: &str, schema: &Schema) -> Result<Arc<dyn Expression>, ExpressionError> {
    let source = Source::new(sql);
    Ok(Arc::new(compile_over(&source, &source.parse()?, schema)?))
}

/// Compiles `expression AS name`, or a bare column, which is its own name.
///
/// # Errors
/// As [`compile`], and if an expression that is more than a column has no name.
pub fn compile_column(sql: &str, schema: &Schema) -> Result<(String, Arc<dyn Expression>), ExpressionError> {
    let source = Source::new(sql);
    let (tree, alias) = source.parse_aliased()?;
    let compiled = compile_over(&source, &tree, schema)?;
    let name = match (alias, &tree) {
        (Some((name, _)), _) => name,
        (None, Expr::Identifier(name)) => name.value.clone(),
        (None, _) => {
            return Err(ExpressionError::new("the column needs a name", source.whole())
                .help("write `.. AS name` behind the expression"));
        }
    };
    Ok((name, Arc::new(compiled)))
}

/// The parts of an expression that is one comparison with a number.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What is compared.
    pub left: Arc<dyn Expression>,
    /// The number it is compared with.
    pub threshold: f64,
}

/// If the expression is one comparison (`<`, `<=`, `>`, `>=`, `=`, `<>`) of something with a number: that, and the
/// number. `None` if it is anything else.
///
/// # Errors
/// As [`compile`].
pub fn compile_comparison(sql: &str, schema: &Schema) -> Result<Option<Comparison>, ExpressionError> {
    let source = Source::new(sql);
    let tree = source.parse()?;
    compile_over(&source, &tree, schema)?;
    let Expr::BinaryOp { left, op, right } = unnested(&tree) else { return Ok(None) };
    if comparison_of(op).is_none() {
        return Ok(None);
    }
    let (side, threshold) = match (number(left), number(right)) {
        (None, Some(threshold)) => (left, threshold),
        (Some(threshold), None) => (right, threshold),
        _ => return Ok(None),
    };
    let left = compile_over(&source, side, schema)?;
    Ok(left.data_type.is_numeric().then(|| Comparison { left: Arc::new(left), threshold }))
}

pub(crate) fn unnested(tree: &Expr) -> &Expr {
    match tree {
        Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

/// The value of a numeric literal, with signs and parentheses.
fn number(tree: &Expr) -> Option<f64> {
    match tree {
        Expr::Nested(inner) => number(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => number(expr).map(|value| -value),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => number(expr),
        Expr::Value(value) => match &value.value {
            sqlparser::ast::Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
