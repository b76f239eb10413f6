//! What was detected in, lines out: alert objects, plain rows, quarantine rows.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::sync::Arc;

use alert::{AlertRule, Format, Output, Rendered, Renderer, Summary, plain_schema};
use arrow_array::{ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use event::{
    Batch, DataType, Detected, Evaluation, Expression, FailedRows, Field, Hit, KeyShape, RowFailure,
    RowSchema, Severity, SinkId, Verdict, Window,
};
use serde_json::{Value, json};

const WINDOW: Window = Window { start: 1_699_999_620_000_000, end: 1_700_000_220_000_000 };
const ALERTS: SinkId = SinkId(0);
const PLAIN: SinkId = SinkId(1);
const QUARANTINE: SinkId = SinkId(2);

/// A column of the row as it is; fails where the user has the name.
#[derive(Debug)]
struct Column {
    place: usize,
    data_type: DataType,
    fails_for: &'static str,
}

impl Expression for Column {
    fn data_type(&self) -> DataType {
        self.data_type
    }

    fn columns(&self) -> Vec<usize> {
        vec![self.place]
    }

    fn evaluate(&self, batch: &Batch) -> Evaluation {
        let users = arrow_array::cast::AsArray::as_string::<i32>(batch.column(0));
        let failures = (0..batch.rows())
            .filter(|row| users.value(*row) == self.fails_for)
            .map(|row| RowFailure { row, detail: format!("row {row} is wrong") })
            .collect();
        Evaluation { column: Arc::clone(batch.column(self.place)), failures }
    }
}

fn row() -> RowSchema {
    RowSchema::new(
        &[Field::new("user_id", DataType::Varchar)],
        &[Field::new("events", DataType::Bigint), Field::new("listen_s", DataType::Double)],
        &[Field::new("engagement", DataType::Double)],
    )
}

/// Columns of the plain rows: all but `window_start`, and the rule's two.
fn plain(fails_for: &'static str) -> Format {
    let schema = plain_schema(row().schema());
    let columns =
        schema.fields().iter().enumerate().filter(|(place, _)| *place != 1).map(|(place, field)| {
            let column = Column { place, data_type: field.data_type, fails_for };
            (field.name.clone(), Arc::new(column) as Arc<dyn Expression>)
        });
    Format::Plain { columns: columns.collect() }
}

fn renderer(fails_for: &'static str) -> Renderer {
    let summary = Summary::parse("{key}: engagement {engagement:.2f}", &row()).unwrap();
    // Out of order by name: the ranks are 0 for `bored` and 1 for `low "engagement"`.
    let rules = vec![
        AlertRule { id: "low \"engagement\"".into(), summary: Some(summary) },
        AlertRule { id: "bored".into(), summary: None },
    ];
    let outputs = vec![
        Output { sink: ALERTS, format: Format::Alert },
        Output { sink: PLAIN, format: plain(fails_for) },
    ];
    Renderer::new("pod/cast", row(), rules, outputs, Some(QUARANTINE))
}

fn batch(users: &[&str]) -> (BinaryArray, Batch) {
    let rows = users.len();
    let instant = |micros| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![micros; rows]).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(users.to_vec())),
        instant(WINDOW.start),
        instant(WINDOW.end),
        Arc::new(Int64Array::from_iter_values(0..rows as i64)),
        Arc::new(Float64Array::from(vec![12.5; rows])),
        Arc::new(Float64Array::from(vec![0.2982; rows])),
    ];
    (BinaryArray::from_iter_values(users), Batch::new(row().schema().clone(), columns, rows))
}

fn hit(row: u32, rule: Option<u16>) -> Hit {
    let verdict =
        |rule| Verdict { rule, severity: Severity::Warning, score: Some(0.2982), threshold: Some(0.3) };
    Hit { row, verdict: rule.map(verdict) }
}

fn detected(users: &[&str], failed: &[&str], hits: Vec<Hit>) -> Detected {
    let (keys, rows) = batch(users);
    let (failed_keys, failed_rows) = batch(failed);
    let details = failed.iter().map(|user| format!("{user} failed")).collect();
    let failed = FailedRows { keys: failed_keys, batch: failed_rows, details };
    Detected { window: WINDOW, keys, batch: rows, hits, failed }
}

fn lines(rendered: &Rendered, sink: SinkId) -> Vec<String> {
    let rows = rendered.rows.iter().filter(|row| row.sink == sink);
    rows.map(|row| String::from_utf8(row.line.clone()).unwrap()).collect()
}

fn parsed(rendered: &Rendered, sink: SinkId) -> Vec<Value> {
    lines(rendered, sink).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_alert_is_a_whole_cloud_event() {
    let rendered = renderer("nobody").render(&detected(&["ann \"a\""], &[], vec![hit(0, Some(1))]));
    let mut alert = parsed(&rendered, ALERTS).remove(0);
    let id = alert["id"].take();
    let episode = alert["data"]["episode"].take();
    let expected = json!({
        "specversion": "1.0",
        "id": null,
        "source": "tidewatch/pod%2Fcast",
        "type": "tidewatch.alert",
        "subject": "ann \"a\"",
        "time": "2023-11-14T22:17:00Z",
        "datacontenttype": "application/json",
        "data": {
            "job": "pod/cast",
            "rule": "low \"engagement\"",
            "severity": "warning",
            "key": "ann \"a\"",
            "window": { "start": "2023-11-14T22:07:00Z", "end": "2023-11-14T22:17:00Z" },
            "features": { "events": 0, "listen_s": 12.5 },
            "score": 0.2982,
            "scores": { "engagement": 0.2982 },
            "threshold": 0.3,
            "summary": "ann \"a\": engagement 0.30",
            "episode": null,
        },
    });
    assert_eq!(alert, expected);
    for id in [&id, &episode] {
        assert_eq!(id.as_str().unwrap().len(), 32);
    }
    assert_ne!(id, episode);
    assert_eq!((rendered.alerts, rendered.rows_quarantined), (1, 0));
}

#[test]
fn the_fields_of_an_alert_always_stand_in_one_order() {
    let rendered = renderer("nobody").render(&detected(&["ann"], &[], vec![hit(0, Some(0))]));
    let line = lines(&rendered, ALERTS).remove(0);
    let names = [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "data",
        "job",
        "rule",
        "severity",
        "key",
        "window",
        "features",
        "score",
        "scores",
        "threshold",
        "summary",
        "episode",
    ];
    let places: Vec<usize> = names.iter().map(|name| line.find(&format!("\"{name}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{line}");
}

#[test]
fn a_plain_row_has_its_columns_in_order_and_times_in_milliseconds() {
    let hits = vec![hit(1, Some(0)), hit(1, Some(1))];
    let rendered = renderer("nobody").render(&detected(&["ann", "bob"], &[], hits));
    let head = r#"{"user_id":"bob","window_end":1700000220000,"events":1,"listen_s":12.5,"engagement":0.2982,"rule":"#;
    assert_eq!(
        lines(&rendered, PLAIN),
        [
            format!(r#"{head}"bored","severity":"warning"}}"#),
            format!(r#"{head}"low \"engagement\"","severity":"warning"}}"#)
        ]
    );
}

#[test]
fn without_rules_a_row_is_written_and_is_no_alert() {
    let rendered = renderer("nobody").render(&detected(&["ann"], &[], vec![hit(0, None)]));
    assert_eq!(parsed(&rendered, PLAIN)[0]["rule"], Value::Null);
    let alert = &parsed(&rendered, ALERTS)[0]["data"];
    for name in ["rule", "severity", "score", "threshold", "summary"] {
        assert_eq!(alert[name], Value::Null, "{name}");
    }
    assert_eq!(rendered.alerts, 0);
}

#[test]
fn rows_stand_by_window_then_key_then_rule() {
    let hits = vec![hit(0, Some(1)), hit(1, Some(0)), hit(1, Some(1))];
    let rendered = renderer("nobody").render(&detected(&["b", "a"], &[], hits));
    let mut rows: Vec<_> = rendered.rows.into_iter().filter(|row| row.sink == PLAIN).collect();
    rows.sort();
    let places: Vec<_> = rows.iter().map(|row| (row.due.key.as_slice(), row.due.rule)).collect();
    assert_eq!(places, [(&b"a"[..], 0), (b"a", 1), (b"b", 1)]);
    let due = &rows[0].due;
    assert_eq!((due.due, due.class, due.operator, due.sequence), (WINDOW.end - 1, 0, 0, 0));
    assert_eq!((due.window_start, due.window_end), (WINDOW.start, WINDOW.end));
}

#[test]
fn a_row_for_which_a_column_fails_goes_to_quarantine_and_to_no_sink() {
    let hits = vec![hit(0, Some(0)), hit(1, Some(0)), hit(1, Some(1)), hit(2, Some(0))];
    let rendered = renderer("bob").render(&detected(&["ann", "bob", "cy"], &["dan"], hits));
    assert_eq!((rendered.alerts, rendered.rows_quarantined), (2, 2));
    for sink in [ALERTS, PLAIN] {
        assert_eq!(lines(&rendered, sink).len(), 2);
        assert!(lines(&rendered, sink).iter().all(|line| !line.contains("bob")));
    }
    let rows = parsed(&rendered, QUARANTINE);
    let shown = |row: &Value| -> Value { serde_json::from_str(row["raw"].as_str().unwrap()).unwrap() };
    assert_eq!((&rows[0]["reason"], &rows[0]["detail"]), (&json!("expression"), &json!("dan failed")));
    assert_eq!(rows[1]["detail"], "row 1 is wrong");
    assert_eq!((&rows[1]["partition"], &rows[1]["offset"]), (&Value::Null, &Value::Null));
    assert_eq!(
        shown(&rows[1]),
        json!({
            "key": "bob",
            "window": { "start": "2023-11-14T22:07:00Z", "end": "2023-11-14T22:17:00Z" },
            "features": { "events": 1, "listen_s": 12.5 },
        })
    );
}

#[test]
fn an_id_is_the_same_whatever_stands_beside_it() {
    let alone = renderer("nobody").render(&detected(&["bob"], &[], vec![hit(0, Some(0))]));
    let among =
        renderer("nobody").render(&detected(&["ann", "bob"], &[], vec![hit(0, Some(1)), hit(1, Some(0))]));
    let ids = |rendered: &Rendered| -> Vec<Value> {
        parsed(rendered, ALERTS).iter().map(|alert| alert["id"].clone()).collect()
    };
    assert_eq!(ids(&alone)[0], ids(&among)[1]);
    assert_ne!(ids(&among)[0], ids(&among)[1]);
}

#[test]
fn an_empty_key_is_a_key_without_a_subject() {
    let rendered = renderer("nobody").render(&detected(&[""], &[], vec![hit(0, Some(0))]));
    let alert = parsed(&rendered, ALERTS).remove(0);
    assert_eq!(alert["data"]["key"], "");
    assert_eq!(alert.get("subject"), None);
}

#[test]
fn a_composite_key_is_an_array() {
    let fields = [Field::new("show", DataType::Bigint), Field::new("user", DataType::Varchar)];
    let row = RowSchema::new(&fields, &[], &[]);
    let shape = KeyShape::new(vec![DataType::Bigint, DataType::Varchar]).unwrap();
    let instant = || -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC")) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![-5])),
        Arc::new(StringArray::from(vec!["x"])),
        instant(),
        instant(),
    ];
    let keys = shape.encode(&columns[..2]);
    let rows = Batch::new(row.schema().clone(), columns, 1);
    let failed = FailedRows { keys: keys.slice(0, 0), batch: rows.slice(0, 0), details: vec![] };
    let detected = Detected { window: WINDOW, keys, batch: rows, hits: vec![hit(0, None)], failed };
    let outputs = vec![Output { sink: ALERTS, format: Format::Alert }];
    let rendered = Renderer::new("job", row, vec![], outputs, None).render(&detected);
    let alert = parsed(&rendered, ALERTS).remove(0);
    assert_eq!(alert["data"]["key"], json!([-5, "x"]));
    assert_eq!(alert["subject"], r#"[-5,"x"]"#);
    assert_eq!(alert["data"]["features"], json!({}));
}
