//! Types and compiles SQL expressions once, evaluates them over batches.
//!
//! Sits between `ingest` and the routing of records: [`Transform`] is everything that happens to a record
//! before it goes to the worker of its key. `detect` and `alert` evaluate what [`compile`] gives. The meaning
//! is DuckDB's, except that no value is cast in silence between kinds (text, number, time), a literal with a
//! point is a double, and a bigint that overflows fails its row and no other. Pure: no IO, no clock.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_array::{Array, Float64Array, Int64Array, cast::AsArray, types::Float64Type};
//! use event::{Batch, DataType, Field, Schema};
//!
//! let schema = Arc::new(Schema::new(vec![
//!     Field::new("listen_s", DataType::Double),
//!     Field::new("exits", DataType::Bigint),
//! ]));
//! let score = transform::compile("(listen_s + 30) / (listen_s + 30 + 60 * exits)", &schema).unwrap();
//!
//! let columns: Vec<arrow_array::ArrayRef> =
//!     vec![Arc::new(Float64Array::from(vec![30.0, 0.0])), Arc::new(Int64Array::from(vec![0, 1]))];
//! let scores = score.evaluate(&Batch::new(Arc::clone(&schema), columns, 2));
//! assert_eq!(scores.column.as_primitive::<Float64Type>().values(), &[1.0, 30.0 / 90.0]);
//!
//! let error = transform::compile("listen > 5", &schema).unwrap_err();
//! assert_eq!((error.message.as_str(), error.span), ("unknown column `listen`", 0..6));
//! assert_eq!(error.help.as_deref(), Some("did you mean `listen_s`?"));
//! ```

mod bind;
mod branch;
mod branch_inputs;
mod calendar;
mod compiled;
mod detector;
mod dialect;
mod error;
mod features;
mod functions;
mod gap;
mod improve;
mod kernel;
mod nearest;
mod node;
mod program;
mod shared_text;
mod source;
mod statement;
mod transform;
mod value;

pub use branch_inputs::{BranchInputs, BranchSpec};
pub use compiled::{Comparison, compile, compile_column, compile_comparison};
pub use detector::{Constant, DetectorCall, DetectorOption, compile_detector};
pub use error::{ExpressionError, NamedError};
pub use features::{AggregateCall, Features, compile_features, compile_features_with, own_name_error};
pub use gap::compile_gap_expression;
pub use statement::{
    AggregateWords, ArgumentValue, Name, Part, SelectItem, Statement, WindowArgument, WindowCall,
    WindowFunction, parse_statement,
};
pub use transform::{Transform, TransformSpec, Transformed};
