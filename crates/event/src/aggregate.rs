//! The SQL aggregates that a feature may use: their names and types.
//!
//! `transform` finds them in expressions and prepares their arguments, `window` accumulates them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DataType, Own};

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AggregateFunction {
    /// Number of rows (without an argument) or of values that are not NULL.
    Count,
    /// Exact, correctly rounded sum; NULL without values.
    Sum,
    /// Least value; NULL without values. Doubles in total order with one NaN, which is the greatest.
    Min,
    /// Greatest value; NULL without values.
    Max,
    /// Exact sum over count, as a double; NULL without values.
    Avg,
    /// Sample standard deviation; NULL with fewer than two values.
    Stddev,
    /// Sample variance; NULL with fewer than two values.
    Variance,
    /// Value of the first row by (time, partition, offset), which may be NULL.
    First,
    /// Value of the last row by (time, partition, offset), which may be NULL.
    Last,
    /// Whether all values are true; NULL without values.
    BoolAnd,
    /// Whether any value is true; NULL without values.
    BoolOr,
    /// About how many different values there are.
    ApproxDistinct,
    /// About the value below which a [`Fraction`] of the values lies, as a double; NULL without values.
    ApproxPercentile,
    /// An aggregate of the program's own: [`Aggregate::own`].
    Own,
}

impl AggregateFunction {
    /// The function of that SQL name (lower case), other usual names included.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "min" => Self::Min,
            "max" => Self::Max,
            "avg" | "mean" => Self::Avg,
            "stddev" | "stddev_samp" => Self::Stddev,
            "variance" | "var_samp" => Self::Variance,
            "first" => Self::First,
            "last" => Self::Last,
            "bool_and" => Self::BoolAnd,
            "bool_or" => Self::BoolOr,
            "approx_distinct" | "approx_count_distinct" => Self::ApproxDistinct,
            "approx_percentile" | "approx_quantile" => Self::ApproxPercentile,
            _ => return None,
        })
    }

    /// The SQL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Stddev => "stddev",
            Self::Variance => "variance",
            Self::First => "first",
            Self::Last => "last",
            Self::BoolAnd => "bool_and",
            Self::BoolOr => "bool_or",
            Self::ApproxDistinct => "approx_distinct",
            Self::ApproxPercentile => "approx_percentile",
            Self::Own => "own",
        }
    }

    /// Whether its result depends on the order of records, so that it needs their offsets.
    pub fn needs_order(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }

    /// Type of the result for an argument of that type; `None` where the function is not defined on it.
    pub fn result_type(self, argument: DataType) -> Option<DataType> {
        match self {
            Self::Count | Self::ApproxDistinct => Some(DataType::Bigint),
            Self::Sum => match argument {
                DataType::Bigint | DataType::Double => Some(argument),
                DataType::Decimal { scale, .. } => Some(DataType::Decimal { precision: 38, scale }),
                _ => None,
            },
            Self::Avg | Self::Stddev | Self::Variance | Self::ApproxPercentile => {
                argument.is_numeric().then_some(DataType::Double)
            }
            Self::Min | Self::Max | Self::First | Self::Last => Some(argument),
            Self::Own => None,
            Self::BoolAnd | Self::BoolOr => (argument == DataType::Boolean).then_some(DataType::Boolean),
        }
    }
}

impl fmt::Display for AggregateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fraction(u64);

impl Fraction {
    /// The fraction of that value; `None` if it is not from 0 to 1.
    pub fn new(value: f64) -> Option<Fraction> {
        // Without the sign of -0.0, so that equal fractions have equal bits.
        (0.0..=1.0).contains(&value).then(|| Fraction(value.abs().to_bits()))
    }

    /// Its value.
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// One aggregate of a job, over columns that `transform` prepares.
///
/// The batch that goes to `window` has, for each aggregate in order, first its filter column (if
/// `filtered`; a boolean, a row counts where it is true) and then its argument column (if `argument`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// What to compute.
    pub function: AggregateFunction,
    /// Type of the argument; `None` only for `count(*)`.
    pub argument: Option<DataType>,
    /// Whether a `FILTER` column precedes the argument.
    pub filtered: bool,
    /// Whether equal values count once: `count`, `sum` and `avg` of `DISTINCT` ones.
    pub distinct: bool,
    /// Which part of the values lies below the one that `approx_percentile` looks for. Of it alone.
    pub fraction: Option<Fraction>,
    /// The program's own aggregate, if it is one.
    pub own: Option<Own>,
}

impl Aggregate {
    /// A function of an argument of that type, over all records.
    pub fn of(function: AggregateFunction, argument: Option<DataType>) -> Self {
        Aggregate { function, argument, filtered: false, distinct: false, fraction: None, own: None }
    }

    /// An aggregate of the program's own, over all records.
    pub fn own(own: Own) -> Self {
        let argument = Some(own.argument());
        Aggregate { own: Some(own), ..Aggregate::of(AggregateFunction::Own, argument) }
    }

    /// What it is called in expressions.
    pub fn name(&self) -> &str {
        self.own.as_ref().map_or(self.function.name(), Own::name)
    }

    /// The same, over records that pass a filter.
    pub fn filtered(self) -> Self {
        Aggregate { filtered: true, ..self }
    }

    /// The same, over values that differ.
    pub fn distinct(self) -> Self {
        Aggregate { distinct: true, ..self }
    }

    /// The same, of the value that such a part of the values lies below.
    pub fn at(self, fraction: Fraction) -> Self {
        Aggregate { fraction: Some(fraction), ..self }
    }

    /// Type of its result.
    ///
    /// # Panics
    /// If the function is not defined on the argument: `transform` refuses that with a message.
    pub fn data_type(&self) -> DataType {
        match (&self.own, self.argument) {
            (Some(own), _) => own.result_type(),
            (None, Some(argument)) => self.function.result_type(argument).expect("typed by transform"),
            (None, None) => DataType::Bigint,
        }
    }
}
