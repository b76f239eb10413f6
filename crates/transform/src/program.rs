//! Arithmetic of doubles, fused: a whole tree is run in blocks that stay in the nearest cache.
//!
//! Without it every `+` of a score writes and reads a column. Equal parts, such as a feature that stands
//! twice, are computed once.

use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType as ArrowType;

use crate::kernel::arithmetic::Arithmetic;
use crate::node::{Call, Node, Shape};
use crate::value::{Failures, Scope, Value};

/// Rows of a block.
const BLOCK: usize = 128;
/// Most steps of one program, so that its registers stay in the cache.
const STEPS_MAX: usize = 64;

/// Steps in an order in which each reads only those before it; the last one is the result.
pub(crate) struct Program {
    pub(crate) leaves: Vec<Node>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A column of doubles.
    Double(usize),
    /// A column of integers, as doubles.
    Integer(usize),
    Constant(f64),
    Negate(usize),
    Binary(Arithmetic, usize, usize),
}

impl Step {
    fn same(self, other: Step) -> bool {
        match (self, other) {
            (Step::Double(a), Step::Double(b)) | (Step::Integer(a), Step::Integer(b)) => a == b,
            (Step::Constant(a), Step::Constant(b)) => a.to_bits() == b.to_bits(),
            (Step::Negate(a), Step::Negate(b)) => a == b,
            (Step::Binary(f, a, b), Step::Binary(g, c, d)) => (f, a, b) == (g, c, d),
            _ => false,
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program{:?} over {:?}", self.steps, self.leaves)
    }
}

impl Program {
    /// A program for the tree of that call, if it is arithmetic of more than one step.
    pub(crate) fn of(call: &Call) -> Option<Program> {
        let mut program = Program { leaves: Vec::new(), steps: Vec::new() };
        program.add_call(call)?;
        let operations =
            program.steps.iter().filter(|step| matches!(step, Step::Binary(..) | Step::Negate(_)));
        (operations.count() > 1).then_some(program)
    }

    fn add_call(&mut self, call: &Call) -> Option<usize> {
        let step = match (call.shape, call.arguments.as_slice()) {
            (Shape::Double(operator), [left, right]) => {
                Step::Binary(operator, self.add(left)?, self.add(right)?)
            }
            (Shape::NegateDouble, [operand]) => Step::Negate(self.add(operand)?),
            (Shape::IntegerToDouble, [operand]) => Step::Integer(self.leaf(operand)),
            _ => return None,
        };
        self.push(step)
    }

    fn add(&mut self, node: &Node) -> Option<usize> {
        match node {
            Node::Call(call) if call.shape.is_arithmetic() => self.add_call(call),
            Node::Constant(one) if one.is_valid(0) => {
                self.push(Step::Constant(one.as_primitive::<Float64Type>().value(0)))
            }
            other => {
                let leaf = self.leaf(other);
                self.push(Step::Double(leaf))
            }
        }
    }

    fn push(&mut self, step: Step) -> Option<usize> {
        if let Some(place) = self.steps.iter().position(|known| known.same(step)) {
            return Some(place);
        }
        self.steps.push(step);
        (self.steps.len() <= STEPS_MAX).then_some(self.steps.len() - 1)
    }

    fn leaf(&mut self, node: &Node) -> usize {
        self.leaves.iter().position(|leaf| leaf.is_same(node)).unwrap_or_else(|| {
            self.leaves.push(node.clone());
            self.leaves.len() - 1
        })
    }

    /// The same program over other leaves.
    pub(crate) fn map_leaves(&self, map: &mut dyn FnMut(&Node) -> Node) -> Program {
        Program { leaves: self.leaves.iter().map(map).collect(), steps: self.steps.clone() }
    }

    pub(crate) fn evaluate(&self, scope: Scope, failures: &mut Failures) -> Value {
        let leaves: Vec<ArrayRef> =
            self.leaves.iter().map(|leaf| leaf.evaluate(scope, failures).into_column(scope.rows)).collect();
        if leaves.iter().any(|leaf| leaf.null_count() == scope.rows && scope.rows > 0) {
            return Value::Column(new_null_array(&ArrowType::Float64, scope.rows));
        }
        let nulls = NullBuffer::union_many(leaves.iter().map(|leaf| leaf.nulls()));
        let result = self.run(&leaves, scope.rows);
        Value::Column(Arc::new(Float64Array::new(result.into(), nulls)))
    }

    fn run(&self, leaves: &[ArrayRef], rows: usize) -> Vec<f64> {
        let mut result = Vec::with_capacity(rows);
        let block = BLOCK.min(rows);
        let mut registers = vec![0.0; self.steps.len() * block];
        for (step, register) in self.steps.iter().zip(registers.chunks_exact_mut(block.max(1))) {
            if let Step::Constant(value) = step {
                register.fill(*value);
            }
        }
        for start in (0..rows).step_by(BLOCK) {
            let length = block.min(rows - start);
            for (place, step) in self.steps.iter().enumerate() {
                let (before, here) = registers.split_at_mut(place * block);
                let out = &mut here[..length];
                let operand = |place: usize| match self.steps[place] {
                    Step::Double(leaf) => {
                        &leaves[leaf].as_primitive::<Float64Type>().values()[start..start + length]
                    }
                    _ => &before[place * block..place * block + length],
                };
                match *step {
                    Step::Double(_) | Step::Constant(_) => {}
                    Step::Integer(leaf) => {
                        let integers =
                            &leaves[leaf].as_primitive::<Int64Type>().values()[start..start + length];
                        out.iter_mut().zip(integers).for_each(|(out, value)| *out = *value as f64);
                    }
                    Step::Negate(place) => out.iter_mut().zip(operand(place)).for_each(|(out, a)| *out = -a),
                    Step::Binary(operator, left, right) => {
                        combine(operator, operand(left), operand(right), out)
                    }
                }
            }
            let last = (self.steps.len() - 1) * block;
            result.extend_from_slice(&registers[last..last + length]);
        }
        result
    }
}

fn combine(operator: Arithmetic, left: &[f64], right: &[f64], out: &mut [f64]) {
    fn each(left: &[f64], right: &[f64], out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
        for ((out, a), b) in out.iter_mut().zip(left).zip(right) {
            *out = f(*a, *b);
        }
    }
    match operator {
        Arithmetic::Add => each(left, right, out, |a, b| a + b),
        Arithmetic::Subtract => each(left, right, out, |a, b| a - b),
        Arithmetic::Multiply => each(left, right, out, |a, b| a * b),
        Arithmetic::Divide | Arithmetic::DivideWhole => each(left, right, out, |a, b| a / b),
        Arithmetic::Remainder => each(left, right, out, |a, b| a % b),
    }
}
