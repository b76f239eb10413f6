//! What the rules say of a key by now: of its open window that holds most of it, if nothing more came.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use axum::http::StatusCode;
use dataflow::{Control, Finding};
use event::{DataType, KeyShape, Watermark};
use serde_json::{Value, json};
use serve::Problem;
use tokio::sync::oneshot;

/// How long the job may take to answer.
const LIMIT: Duration = Duration::from_secs(2);
/// From the worst on.
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// Asks the job. The key is its text; one of several fields, or that is no text, is JSON.
pub(super) async fn of_key(control: &Arc<Control>, keys: &KeyShape, key: &str) -> Result<Value, Problem> {
    let (shown, encoded) = encode(keys, key)?;
    let (sender, answer) = oneshot::channel();
    // Whoever has gone hears nothing.
    let take = move |finding| drop(sender.send(finding));
    let busy = |_| Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many questions wait; come again later");
    let question = control.ask(&encoded, take).map_err(busy)?;
    match tokio::time::timeout(LIMIT, answer).await {
        Ok(Ok(finding)) => Ok(verdict(&shown, &finding, control.progress().watermark)),
        _ => {
            control.forget(question);
            let words = "the job does not go on just now: it starts, waits for a sink or a disk, or ends";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, words))
        }
    }
}

/// The key as JSON, and as the job encodes it.
fn encode(keys: &KeyShape, text: &str) -> Result<(Value, Vec<u8>), Problem> {
    let wrong = || Problem::bad(format!("`{text}` is no key: {}", form(keys)));
    let shown = match keys.fields() {
        [DataType::Varchar] => Value::from(text),
        _ => serde_json::from_str(text).map_err(|_| wrong())?,
    };
    let values = match (&shown, keys.fields().len()) {
        (Value::Array(values), fields) if fields > 1 && fields == values.len() => values.as_slice(),
        (_, 1) => std::slice::from_ref(&shown),
        _ => return Err(wrong()),
    };
    let columns = keys.fields().iter().zip(values).map(|(field, value)| column(*field, value));
    let columns = columns.collect::<Option<Vec<ArrayRef>>>().ok_or_else(wrong)?;
    let encoded = keys.encode(&columns).value(0).to_vec();
    Ok((shown, encoded))
}

/// A value of a key as a column of one row; `None` if it is of another type, or of one that cannot be asked for.
fn column(field: DataType, value: &Value) -> Option<ArrayRef> {
    Some(match (field, value) {
        (DataType::Varchar, Value::String(text)) => Arc::new(StringArray::from(vec![text.as_str()])),
        (DataType::Bigint, value) => Arc::new(Int64Array::from(vec![value.as_i64()?])),
        (DataType::Boolean, Value::Bool(truth)) => Arc::new(BooleanArray::from(vec![*truth])),
        _ => return None,
    })
}

/// How keys of the job are written.
fn form(keys: &KeyShape) -> String {
    let types: Vec<String> = keys.fields().iter().map(ToString::to_string).collect();
    match types.as_slice() {
        [single] => format!("it is a {single}; a date or a time cannot be asked for"),
        several => format!(
            "it is an array of JSON with a {}; dates and times cannot be asked for",
            several.join(", a ")
        ),
    }
}

/// What is told.
fn verdict(key: &Value, finding: &Finding, watermark: Option<Watermark>) -> Value {
    let alerts: Vec<Value> =
        finding.alerts.iter().filter_map(|alert| serde_json::from_slice(alert).ok()).collect();
    let has = |severity: &str| alerts.iter().any(|alert: &Value| alert["data"]["severity"] == severity);
    let severity = SEVERITIES.iter().copied().find(|severity| has(severity));
    let verdict = match (alerts.is_empty(), finding.windows.is_empty(), finding.failures.is_empty()) {
        (false, ..) => "alert",
        (true, true, _) | (true, _, false) => "unknown",
        (true, false, true) => "clear",
    };
    let windows = finding.windows.iter().map(|(window, records)| {
        json!({
            "start": alert::instant(window.start),
            "end": alert::instant(window.end),
            "records": records,
        })
    });
    json!({
        "key": key,
        "verdict": verdict,
        "severity": severity,
        "windows": windows.collect::<Vec<_>>(),
        "alerts": alerts,
        "failures": finding.failures,
        "watermark": watermark.and_then(crate::report::instant).map(alert::instant),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(fields: &[DataType]) -> KeyShape {
        KeyShape::new(fields.to_vec()).unwrap()
    }

    #[test]
    fn a_key_is_its_text_or_json_of_the_types_of_its_fields() {
        let text = keys(&[DataType::Varchar]);
        assert_eq!(encode(&text, "[\"u 1\"]").unwrap().1, b"[\"u 1\"]");
        let pair = keys(&[DataType::Varchar, DataType::Bigint]);
        let expected = pair.encode(&[
            Arc::new(StringArray::from(vec!["de"])) as ArrayRef,
            Arc::new(Int64Array::from(vec![7])) as ArrayRef,
        ]);
        assert_eq!(encode(&pair, "[\"de\", 7]").unwrap().1, expected.value(0));
        let number = keys(&[DataType::Bigint]);
        assert_eq!(encode(&number, "-3").unwrap().0, json!(-3));
        for (keys, text) in
            [(&pair, "[\"de\"]"), (&pair, "de"), (&number, "x"), (&number, "1.5"), (&pair, "[7, 7]")]
        {
            assert_eq!(encode(keys, text).unwrap_err().status, StatusCode::BAD_REQUEST, "{text}");
        }
    }

    #[test]
    fn a_key_of_which_nothing_is_known_is_neither_clear_nor_alarming() {
        let nothing = Finding { windows: vec![], alerts: vec![], failures: vec![] };
        assert_eq!(verdict(&json!("u"), &nothing, None)["verdict"], "unknown");
        let window = event::Window { start: 0, end: 60_000_000 };
        let clear = Finding { windows: vec![(window, 3)], ..nothing.clone() };
        let told = verdict(&json!("u"), &clear, None);
        assert_eq!((&told["verdict"], &told["windows"][0]["records"]), (&json!("clear"), &json!(3)));
        assert_eq!(told["windows"][0]["end"], "1970-01-01T00:01:00Z");
        // Not the date alone.
        assert_eq!(told["windows"][0]["start"], "1970-01-01T00:00:00Z");
        let failed = Finding { failures: vec!["division".into()], ..clear.clone() };
        assert_eq!(verdict(&json!("u"), &failed, None)["verdict"], "unknown");
        let alert =
            |severity| serde_json::to_vec(&json!({ "data": { "severity": severity } })).unwrap().into();
        let alarming = Finding { alerts: vec![alert("warning"), alert("critical")], ..clear };
        let told = verdict(&json!("u"), &alarming, None);
        assert_eq!((&told["verdict"], &told["severity"]), (&json!("alert"), &json!("critical")));
    }
}
