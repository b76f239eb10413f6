//! A compiled expression as a tree of steps, and how a tree is evaluated over a batch.
//!
//! Steps work on whole columns. A step that can fail, inside a branch that not every row takes, is
//! evaluated on just the rows that take it, so that no row fails because of a value it does not need.

use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, UInt32Array};

use crate::branch::{Branch, Case, Junction, coalesce};
use crate::kernel::arithmetic::Arithmetic;
use crate::program::Program;
use crate::shared_text::SharedText;
use crate::value::{Failures, Scope, Value, plain};

/// Computes a column of `rows` rows from the arguments, of which at least one is a column (or there is none
/// and `rows` is 1). Rows that fail are pushed and hold NULL.
pub(crate) type Kernel = Arc<dyn Fn(&[Value], usize, &mut Failures) -> ArrayRef + Send + Sync>;

/// One step. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// A column of the batch.
    Column(usize),
    /// An array of length one.
    Constant(ArrayRef),
    /// A kernel over the values of all its arguments.
    Call(Arc<Call>),
    /// `AND` or `OR` of several terms.
    Junction(Arc<Junction>),
    /// `CASE` with conditions.
    Case(Arc<Case>),
    /// The first value that is not NULL.
    Coalesce(Arc<[Branch]>),
    /// A tree that reads one text column, evaluated once per distinct text where the column is coded.
    SharedText(Arc<SharedText>),
    /// Arithmetic of doubles, fused.
    Program(Arc<Program>),
}

/// A kernel with its arguments.
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) kernel: Kernel,
    pub(crate) arguments: Vec<Node>,
    /// Whether the kernel itself can fail.
    pub(crate) fallible: bool,
    /// What `improve` may know about it.
    pub(crate) shape: Shape,
}

/// Calls for which there is a better way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// None of these.
    Other,
    /// Equality of two texts.
    TextEquals,
    /// Arithmetic of two doubles.
    Double(Arithmetic),
    /// Minus of a double.
    NegateDouble,
    /// An integer as a double.
    IntegerToDouble,
}

impl Shape {
    /// Whether it is a step of a program of doubles.
    pub(crate) fn is_arithmetic(self) -> bool {
        matches!(self, Shape::Double(_) | Shape::NegateDouble | Shape::IntegerToDouble)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.arguments)
    }
}

impl Node {
    /// The value for each row of the scope.
    pub(crate) fn evaluate(&self, scope: Scope, failures: &mut Failures) -> Value {
        match self {
            Node::Column(index) => Value::Column(plain(&scope.columns[*index])),
            Node::Constant(one) => Value::Constant(Arc::clone(one)),
            Node::Call(call) => call.evaluate(scope, failures),
            Node::Junction(junction) => junction.evaluate(scope, failures),
            Node::Case(case) => case.evaluate(scope, failures),
            Node::Coalesce(branches) => coalesce(branches, scope, failures),
            Node::SharedText(shared) => shared.evaluate(scope, failures),
            Node::Program(program) => program.evaluate(scope, failures),
        }
    }

    /// What tells it from other nodes of a tree, where it is worth asking.
    pub(crate) fn address(&self) -> Option<usize> {
        match self {
            Node::Column(_) | Node::Constant(_) => None,
            Node::Call(call) => Some(Arc::as_ptr(call) as usize),
            Node::Junction(junction) => Some(Arc::as_ptr(junction) as usize),
            Node::Case(case) => Some(Arc::as_ptr(case) as usize),
            Node::Coalesce(branches) => Some(branches.as_ptr() as usize),
            Node::SharedText(shared) => Some(Arc::as_ptr(shared) as usize),
            Node::Program(program) => Some(Arc::as_ptr(program) as usize),
        }
    }

    /// Whether both are one and the same node, or one and the same column.
    pub(crate) fn is_same(&self, other: &Node) -> bool {
        match (self, other) {
            (Node::Column(left), Node::Column(right)) => left == right,
            _ => self.address().is_some() && self.address() == other.address(),
        }
    }

    /// The text, if this is a comparison for equality of column 0 with it.
    pub(crate) fn equal_text(&self) -> Option<String> {
        let Node::Call(call) = self else { return None };
        match (call.shape, call.arguments.as_slice()) {
            (
                Shape::TextEquals,
                [Node::Column(0), Node::Constant(one)] | [Node::Constant(one), Node::Column(0)],
            ) => one.is_valid(0).then(|| one.as_string::<i32>().value(0).to_owned()),
            _ => None,
        }
    }

    /// The trees directly below.
    fn children(&self) -> Vec<&Node> {
        match self {
            Node::Column(_) | Node::Constant(_) | Node::SharedText(_) => Vec::new(),
            Node::Call(call) => call.arguments.iter().collect(),
            Node::Junction(junction) => junction.terms.iter().map(|term| &term.node).collect(),
            Node::Coalesce(branches) => branches.iter().map(|branch| &branch.node).collect(),
            Node::Program(program) => program.leaves.iter().collect(),
            Node::Case(case) => {
                let both = case.branches.iter().flat_map(|(when, then)| [&when.node, &then.node]);
                both.chain([&case.otherwise.node]).collect()
            }
        }
    }

    /// Whether some row can have no value.
    pub(crate) fn fallible(&self) -> bool {
        match self {
            Node::Call(call) if call.fallible => true,
            Node::SharedText(shared) => shared.fallible(),
            node => node.children().into_iter().any(Node::fallible),
        }
    }

    /// The columns that it reads, ascending.
    pub(crate) fn columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        self.collect_columns(&mut columns);
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    fn collect_columns(&self, columns: &mut Vec<usize>) {
        match self {
            Node::Column(index) => columns.push(*index),
            Node::SharedText(shared) => columns.push(shared.column()),
            node => node.children().into_iter().for_each(|child| child.collect_columns(columns)),
        }
    }

    /// The same tree over other nodes below.
    pub(crate) fn map_children(&self, map: &mut dyn FnMut(&Node) -> Node) -> Node {
        let mut branch = |branch: &Branch| Branch::new(map(&branch.node));
        match self {
            Node::Column(_) | Node::Constant(_) | Node::SharedText(_) => self.clone(),
            Node::Call(call) => Node::Call(Arc::new(Call {
                name: call.name,
                kernel: Arc::clone(&call.kernel),
                arguments: call.arguments.iter().map(map).collect(),
                fallible: call.fallible,
                shape: call.shape,
            })),
            Node::Junction(junction) => Node::Junction(Arc::new(Junction {
                conjunction: junction.conjunction,
                terms: junction.terms.iter().map(branch).collect(),
            })),
            Node::Coalesce(branches) => Node::Coalesce(branches.iter().map(branch).collect()),
            Node::Program(program) => Node::Program(Arc::new(program.map_leaves(map))),
            Node::Case(case) => {
                let pairs = case.branches.iter().map(|(when, then)| (branch(when), branch(then))).collect();
                Node::Case(Arc::new(Case { branches: pairs, otherwise: branch(&case.otherwise) }))
            }
        }
    }
}

impl Call {
    fn evaluate(&self, scope: Scope, failures: &mut Failures) -> Value {
        let column = match self.arguments.as_slice() {
            [one] => (self.kernel)(&[one.evaluate(scope, failures)], scope.rows, failures),
            [left, right] => {
                let left = left.evaluate(scope, failures);
                let right = right.evaluate(scope, failures);
                (self.kernel)(&[left, right], scope.rows, failures)
            }
            all => {
                let values: Vec<Value> = all.iter().map(|node| node.evaluate(scope, failures)).collect();
                (self.kernel)(&values, scope.rows, failures)
            }
        };
        Value::Column(column)
    }
}

/// Whether a column is coded, and small enough in distinct texts that evaluating each once is cheaper.
pub(crate) fn coded(column: &ArrayRef) -> Option<(&UInt32Array, &ArrayRef)> {
    let codes = column.as_dictionary_opt::<UInt32Type>()?;
    (codes.values().len() <= codes.len()).then(|| (codes.keys(), codes.values()))
}
