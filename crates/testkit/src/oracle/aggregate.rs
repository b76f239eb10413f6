//! One aggregate over the records of one window, which stand by (time, partition, index).

use std::cmp::Ordering;

use event::AggregateFunction as Function;

use super::{Aggregate, Overflow, Placed, Value, exact};

pub(super) fn compute(aggregate: &Aggregate, records: &[Placed<'_>]) -> Result<Value, Overflow> {
    let passing =
        records.iter().map(|placed| &placed.record.values).filter(|values| match aggregate.filter {
            Some(filter) => values[filter] == Value::Bool(true),
            None => true,
        });
    let Some(argument) = aggregate.argument else {
        return Ok(Value::Int(passing.count() as i64));
    };
    let all: Vec<&Value> = passing.map(|values| &values[argument]).collect();
    let mut values: Vec<&Value> = all.iter().copied().filter(|value| **value != Value::Null).collect();
    if aggregate.distinct {
        values = different(values);
    }
    Ok(match aggregate.function {
        Function::Count => Value::Int(values.len() as i64),
        Function::First => all.first().map_or(Value::Null, |value| (*value).clone()),
        Function::Last => all.last().map_or(Value::Null, |value| (*value).clone()),
        Function::ApproxDistinct => Value::Int(different(values).len() as i64),
        _ if values.is_empty() => Value::Null,
        Function::ApproxPercentile => percentile(values, aggregate.fraction),
        Function::Sum => return sum(&values),
        Function::Min => values.into_iter().min_by(|a, b| order(a, b)).map_or(Value::Null, Value::clone),
        Function::Max => values.into_iter().max_by(|a, b| order(a, b)).map_or(Value::Null, Value::clone),
        Function::Avg => mean(&values),
        Function::Variance => variance(&values),
        Function::Stddev => match variance(&values) {
            Value::Double(variance) => Value::Double(variance.sqrt()),
            other => other,
        },
        Function::BoolAnd => Value::Bool(values.iter().all(|value| **value == Value::Bool(true))),
        Function::BoolOr => Value::Bool(values.iter().any(|value| **value == Value::Bool(true))),
        // What a program's own aggregate computes, only the program knows.
        Function::Own => Value::Null,
    })
}

fn sum(values: &[&Value]) -> Result<Value, Overflow> {
    let Some(Value::Int(_)) = values.first() else {
        return Ok(Value::Double(exact::sum(&doubles(values))));
    };
    let total: i128 =
        values.iter().map(|value| if let Value::Int(i) = value { i128::from(*i) } else { 0 }).sum();
    i64::try_from(total).map(Value::Int).map_err(|_| Overflow)
}

fn mean(values: &[&Value]) -> Value {
    let whole = |value: &&Value| if let Value::Int(int) = value { Some(i128::from(*int)) } else { None };
    Value::Double(match values.iter().map(whole).collect::<Option<Vec<i128>>>() {
        Some(values) => exact::mean_of_digits(&values, 0),
        None => exact::mean(&doubles(values)),
    })
}

fn variance(values: &[&Value]) -> Value {
    if values.len() < 2 { Value::Null } else { Value::Double(exact::variance(&doubles(values))) }
}

fn doubles(values: &[&Value]) -> Vec<f64> {
    let double = |value: &&Value| match value {
        Value::Double(double) => *double,
        Value::Int(int) => *int as f64,
        other => panic!("{other:?} is not a number"),
    };
    values.iter().map(double).collect()
}

/// Each value once; both zeros are one.
fn different(mut values: Vec<&Value>) -> Vec<&Value> {
    let zero = |value: &Value| *value == Value::Double(0.0);
    values.sort_by(|a, b| order(a, b));
    values.dedup_by(|a, b| order(a, b).is_eq() || zero(a) && zero(b));
    values
}

/// The exact value of the rank that the sketch has an approximation of.
fn percentile(values: Vec<&Value>, fraction: f64) -> Value {
    let mut doubles = doubles(&values);
    doubles.sort_by(f64::total_cmp);
    Value::Double(doubles[(fraction * (doubles.len() - 1) as f64).floor() as usize])
}

/// The total order of doubles, with one NaN that is the greatest; bytes of text; false before true.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) if a.is_nan() || b.is_nan() => a.is_nan().cmp(&b.is_nan()),
        (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) => panic!("{a:?} and {b:?} are not of one type"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Job, Record, Windows};
    use super::*;

    const T: Value = Value::Bool(true);
    const F: Value = Value::Bool(false);
    const NULL: Value = Value::Null;

    /// Each record is (time, argument, filter); the function is computed with and without the filter.
    fn check(function: Function, records: &[(i64, Value, Value)], plain: Value, filtered: Value) {
        let aggregate = Aggregate::of(function, 0);
        let job = Job {
            bound: 0,
            windows: Windows::sliding(100, 100),
            lateness: 0,
            aggregates: vec![aggregate, aggregate.filtered(1)],
        };
        let records: Vec<Record> =
            records.iter().map(|(time, v, f)| Record::new("a", *time, vec![v.clone(), f.clone()])).collect();
        let rows = job.run(&[records]).rows;
        assert_eq!(rows[0].values, [Ok(plain), Ok(filtered)], "{function}");
    }

    #[test]
    fn nulls_count_for_nothing_but_first_and_last() {
        let i = Value::Int;
        let records = [(5, i(7), T), (1, NULL, T), (3, i(-2), F), (9, NULL, F)];
        check(Function::Count, &records, i(2), i(1));
        check(Function::Sum, &records, i(5), i(7));
        check(Function::Min, &records, i(-2), i(7));
        check(Function::Max, &records, i(7), i(7));
        check(Function::Avg, &records, Value::Double(2.5), Value::Double(7.0));
        check(Function::Variance, &records, Value::Double(40.5), NULL);
        check(Function::First, &records, NULL, NULL);
        check(Function::Last, &records, NULL, i(7));
    }

    #[test]
    fn without_values_only_a_count_is_a_number() {
        let records = [(1, NULL, NULL)];
        check(Function::Count, &records, Value::Int(0), Value::Int(0));
        for function in [Function::Sum, Function::Min, Function::Avg, Function::Stddev, Function::BoolAnd] {
            check(function, &records, NULL, NULL);
        }
    }

    #[test]
    fn values_that_differ_count_once() {
        let d = Value::Double;
        let records = [(1, d(2.0), T), (2, d(-0.0), F), (3, d(0.0), T), (4, NULL, T), (5, d(2.0), T)];
        let records: Vec<Record> =
            records.iter().map(|(time, v, f)| Record::new("a", *time, vec![v.clone(), f.clone()])).collect();
        let of = |function| Aggregate::of(function, 0);
        let aggregates = vec![
            of(Function::Count).distinct(),
            of(Function::Sum).distinct(),
            of(Function::Avg).distinct().filtered(1),
            of(Function::ApproxDistinct),
            of(Function::ApproxPercentile).at(0.9),
        ];
        let job = Job { bound: 0, windows: Windows::sliding(100, 100), lateness: 0, aggregates };
        let expected = [Value::Int(2), d(2.0), d(1.0), Value::Int(2), d(2.0)].map(Ok);
        assert_eq!(job.run(&[records]).rows[0].values, expected);
    }

    #[test]
    fn booleans_are_folded_with_and_and_or() {
        let records = [(1, T, T), (2, F, F)];
        check(Function::BoolAnd, &records, F, T);
        check(Function::BoolOr, &records, T, T);
    }

    #[test]
    fn a_bigint_sum_that_does_not_fit_is_an_overflow() {
        let job = Job {
            bound: 0,
            windows: Windows::sliding(10, 10),
            lateness: 0,
            aggregates: vec![Aggregate::of(Function::Sum, 0)],
        };
        let record = |value| Record::new("a", 1, vec![Value::Int(value)]);
        let run = |values: &[i64]| {
            job.run(&[values.iter().map(|v| record(*v)).collect()]).rows[0].values[0].clone()
        };
        assert_eq!(run(&[i64::MAX, 1]), Err(Overflow));
        assert_eq!(run(&[i64::MAX, 1, -1]), Ok(Value::Int(i64::MAX)));
    }
}
