//! Records that came behind their partition's watermark: late, set aside for windows still to come, or
//! in time after all.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use event::{Aggregate, DataType};
use serde::{Deserialize, Serialize};

/// What became of a record that was behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is in all windows that cover its time.
    InTime,
    /// It will be in the later windows that cover its time, and not in those that were already due.
    SetAside,
    /// No window holds it.
    Late,
}

/// A record that waits until the windows that must not hold it are closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Aside {
    pub(crate) key: Vec<u8>,
    pub(crate) time: i64,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) inputs: Vec<Held>,
}

/// One value of a record that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Held {
    Null,
    Truth(bool),
    Number(i64),
    Double(f64),
    Digits(i128),
    Text(String),
}

/// The types of the input columns of `aggregates`, in order.
pub(crate) fn input_types(aggregates: &[Aggregate]) -> Vec<DataType> {
    let types = aggregates.iter().flat_map(|aggregate| {
        let filter = aggregate.filtered.then_some(DataType::Boolean);
        filter.into_iter().chain(aggregate.argument)
    });
    types.collect()
}

impl Held {
    /// The value of a column at a row.
    pub(crate) fn take(column: &ArrayRef, data_type: DataType, row: usize) -> Held {
        if column.is_null(row) {
            return Held::Null;
        }
        match data_type {
            DataType::Varchar => Held::Text(column.as_string::<i32>().value(row).to_owned()),
            DataType::Bigint => Held::Number(column.as_primitive::<Int64Type>().value(row)),
            DataType::Double => Held::Double(column.as_primitive::<Float64Type>().value(row)),
            DataType::Boolean => Held::Truth(column.as_boolean().value(row)),
            DataType::Decimal { .. } => Held::Digits(column.as_primitive::<Decimal128Type>().value(row)),
            DataType::Date => Held::Number(i64::from(column.as_primitive::<Date32Type>().value(row))),
            DataType::Timestamp | DataType::TimestampTz => {
                Held::Number(column.as_primitive::<TimestampMicrosecondType>().value(row))
            }
        }
    }

    /// A column of this one value.
    pub(crate) fn column(&self, data_type: DataType) -> ArrayRef {
        Held::column_of(&[self], data_type)
    }

    /// A column of values.
    pub(crate) fn column_of(values: &[&Held], data_type: DataType) -> ArrayRef {
        let values = values.iter().copied();
        match data_type {
            DataType::Varchar => Arc::new(values.map(Held::text).collect::<StringArray>()),
            DataType::Bigint => Arc::new(values.map(Held::number).collect::<Int64Array>()),
            DataType::Double => Arc::new(values.map(Held::double).collect::<Float64Array>()),
            DataType::Boolean => Arc::new(values.map(Held::truth).collect::<BooleanArray>()),
            DataType::Decimal { .. } => {
                let digits: Decimal128Array = values.map(Held::digits).collect();
                Arc::new(digits.with_data_type(data_type.arrow()))
            }
            DataType::Date => {
                let days = values.map(|value| value.number().map(|days| days as i32));
                Arc::new(days.collect::<Date32Array>())
            }
            DataType::Timestamp | DataType::TimestampTz => {
                let instants: TimestampMicrosecondArray = values.map(Held::number).collect();
                Arc::new(instants.with_data_type(data_type.arrow()))
            }
        }
    }

    fn text(&self) -> Option<&str> {
        if let Held::Text(text) = self { Some(text) } else { None }
    }

    fn number(&self) -> Option<i64> {
        if let Held::Number(number) = self { Some(*number) } else { None }
    }

    fn double(&self) -> Option<f64> {
        if let Held::Double(double) = self { Some(*double) } else { None }
    }

    fn truth(&self) -> Option<bool> {
        if let Held::Truth(truth) = self { Some(*truth) } else { None }
    }

    fn digits(&self) -> Option<i128> {
        if let Held::Digits(digits) = self { Some(*digits) } else { None }
    }
}
