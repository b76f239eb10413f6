//! Rows and answers as endpoints of hosted models have them. Pure.

use serde_json::Value;

use crate::Wire;

impl Wire {
    /// What the body of a request is called, and of its answer.
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Wire::Csv => "text/csv",
            Wire::Json { .. } => "application/json",
        }
    }

    /// Rows, of which there is a column for each input, all finite.
    pub(crate) fn write(&self, columns: &[Vec<f64>]) -> String {
        let rows = columns.first().map_or(0, Vec::len);
        let row = |row: usize| -> Vec<String> {
            // The shortest form that reads back.
            columns.iter().map(|column| Value::from(column[row]).to_string()).collect()
        };
        let mut body = String::new();
        match self {
            Wire::Csv => {
                let records = (0..rows).map(|it| row(it).join(",") + "\n");
                body.extend(records);
            }
            Wire::Json { rows: name, .. } => {
                let all: Vec<String> = (0..rows).map(|it| format!("[{}]", row(it).join(","))).collect();
                body = format!("{{{}:[{}]}}", Value::from(name.as_str()), all.join(","));
            }
        }
        body
    }

    /// The answers about so many rows; NaN where one has none, which is `null` in JSON and `NaN` in CSV.
    ///
    /// # Errors
    /// If that is not an answer for each.
    pub(crate) fn read(&self, body: &[u8], rows: usize) -> Result<Vec<f64>, String> {
        let answers = match self {
            Wire::Csv => read_csv(body, rows)?,
            Wire::Json { answers, .. } => read_json(body, answers)?,
        };
        match answers.len() == rows {
            true => Ok(answers),
            false => Err(format!("{} answers to {rows} rows", answers.len())),
        }
    }
}

fn read_csv(body: &[u8], rows: usize) -> Result<Vec<f64>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())?;
    let records: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let fields: Vec<&str> = match records.as_slice() {
        [one] if rows > 1 => one.split(',').collect(),
        records => records.iter().filter_map(|record| record.split(',').next()).collect(),
    };
    let number = |field: &&str| field.trim().parse().map_err(|_| format!("`{}` is no number", shown(field)));
    fields.iter().map(number).collect()
}

fn read_json(body: &[u8], way: &str) -> Result<Vec<f64>, String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let (mut steps, mut list) = (way.split('.').filter(|step| !step.is_empty()).peekable(), &answer);
    // The list of answers is the first that there is.
    while let Some(step) = steps.next_if(|_| !list.is_array()) {
        list = after(list, step).ok_or_else(|| format!("there is no `{way}` in the answer"))?;
    }
    let list = list.as_array().ok_or_else(|| format!("`{way}` of the answer is no list"))?;
    let rest: Vec<&str> = steps.collect();
    let number = |element: &Value| {
        let found = rest.iter().try_fold(element, |value, step| after(value, step));
        match found {
            // That there is no answer to one row says nothing about the others.
            Some(Value::Null) => Ok(f64::NAN),
            found => found
                .and_then(Value::as_f64)
                .ok_or_else(|| format!("`{way}` of the answer is no number everywhere")),
        }
    };
    list.iter().map(number).collect()
}

fn after<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        value => value.get(step),
    }
}

fn shown(field: &str) -> String {
    field.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(answers: &str) -> Wire {
        Wire::Json { rows: "instances".into(), answers: answers.into() }
    }

    #[test]
    fn rows_are_written_as_hosted_models_take_them() {
        let columns = [vec![1.0, 2.5], vec![-0.1, 1e300]];
        assert_eq!(Wire::Csv.write(&columns).lines().next(), Some("1.0,-0.1"));
        let body: Value = serde_json::from_str(&json("predictions").write(&columns)).expect("JSON");
        assert_eq!(body, serde_json::json!({"instances": [[1.0, -0.1], [2.5, 1e300]]}));
    }

    #[test]
    fn answers_are_found_where_the_endpoint_puts_them() {
        let read = |answers: &str, body: &str| json(answers).read(body.as_bytes(), 2);
        assert_eq!(read("predictions", r#"{"predictions": [0.25, 1]}"#), Ok(vec![0.25, 1.0]));
        assert_eq!(read("predictions.1", r#"{"predictions": [[0.75, 0.25], [0, 1]]}"#), Ok(vec![0.25, 1.0]));
        assert_eq!(
            read("predictions.score", r#"{"predictions": [{"score": 1}, {"score": 2}]}"#),
            Ok(vec![1.0, 2.0])
        );
        assert_eq!(read("", "[3, 4]"), Ok(vec![3.0, 4.0]));
        let without = read("", "[3, null]").expect("answers");
        assert!(without[0] == 3.0 && without[1].is_nan(), "of one row there is none");
        assert!(Wire::Csv.read(b"NaN\n1\n", 2).expect("answers")[0].is_nan());
        assert_eq!(read("a.b", r#"{"a": {"b": [3, 4]}}"#), Ok(vec![3.0, 4.0]));
        for csv in ["1\n2\n", "1,2", "1.0,ann\r\n2.0,bob\r\n\r\n"] {
            assert_eq!(Wire::Csv.read(csv.as_bytes(), 2), Ok(vec![1.0, 2.0]), "{csv}");
        }
    }

    #[test]
    fn what_is_not_one_number_a_row_is_no_answer() {
        for body in ["", "{", "[1]", "[1,2,3]", "[1,\"2\"]", "{\"predictions\":1}", "[1,[2]]"] {
            assert!(json("").read(body.as_bytes(), 2).is_err(), "{body}");
            assert!(json("predictions").read(body.as_bytes(), 2).is_err(), "{body}");
        }
        for body in ["", "1", "1\n", "1,2,3", "1\nx"] {
            assert!(Wire::Csv.read(body.as_bytes(), 2).is_err(), "{body}");
        }
        assert!(Wire::Csv.read(b"\xff\n1", 2).is_err());
    }
}
