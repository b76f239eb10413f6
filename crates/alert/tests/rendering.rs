//! What was detected in, lines out: alert objects, plain rows, quarantine rows.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::sync::Arc;

use alert::{AlertRule, Format, Output, Rendered, Renderer, Summary, plain_schema};
use arrow_array::{ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use event::{
    Batch, Change, ChangeKind, DataType, Detected, Driver, Due, Evaluation, Explanation, Expression,
    FailedRows, Field, Hit, KeyShape, NearestChange, Outcome, RowFailure, RowSchema, Severity, Side, SinkId,
    Span, Spans, Verdict, Window,
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
        Output { sink: ALERTS, format: Format::Alert { explain: true, muted: false } },
        Output { sink: PLAIN, format: plain(fails_for) },
    ];
    Renderer::new("pod/cast", row(), rules, outputs, Some(QUARANTINE))
}

fn batch(users: &[&str], spans: &Spans) -> (BinaryArray, Batch) {
    let rows = users.len();
    let instant = |of: fn(Window) -> i64| -> ArrayRef {
        let instants = (0..rows).map(|row| of(spans.of(row).window));
        Arc::new(TimestampMicrosecondArray::from_iter_values(instants).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(users.to_vec())),
        instant(|window| window.start),
        instant(|window| window.end),
        Arc::new(Int64Array::from_iter_values(0..rows as i64)),
        Arc::new(Float64Array::from(vec![12.5; rows])),
        Arc::new(Float64Array::from(vec![0.2982; rows])),
    ];
    (BinaryArray::from_iter_values(users), Batch::new(row().schema().clone(), columns, rows))
}

fn hit(row: u32, rule: Option<u16>) -> Hit {
    let verdict =
        |rule| Verdict { rule, severity: Severity::Warning, score: Some(0.2982), threshold: Some(0.3) };
    Hit { row, verdict: rule.map(verdict), change: None }
}

fn detected(users: &[&str], failed: &[&str], hits: Vec<Hit>) -> Detected {
    detected_in([users, failed], [Spans::Shared(WINDOW), Spans::Shared(WINDOW)], hits)
}

/// Rows that were judged, and rows that failed.
fn detected_in(users: [&[&str]; 2], spans: [Spans; 2], hits: Vec<Hit>) -> Detected {
    let [(keys, rows), (failed_keys, failed_rows)] = [0, 1].map(|part| batch(users[part], &spans[part]));
    let details = users[1].iter().map(|user| format!("{user} failed")).collect();
    let [spans, failed_spans] = spans;
    let failed = FailedRows { spans: failed_spans, keys: failed_keys, batch: failed_rows, details };
    Detected { spans, keys, batch: rows, hits, evidence: vec![], explanations: vec![], failed }
}

/// A window of a whole number of minutes behind the start of the other one.
fn span(minutes: [i64; 2], due: i64, by_record: bool, sequence: u64) -> Span {
    let [start, end] = minutes.map(|minute| WINDOW.start + minute * 60_000_000);
    let outcome = if sequence > 0 && !by_record { Outcome::Revised } else { Outcome::Result };
    Span { due, by_record, sequence, outcome, ..Span::from(Window { start, end }) }
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
            "explanation": null,
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
fn why_a_row_is_an_alert_is_said_of_its_hit_alone_and_only_where_it_is_wanted() {
    let driver = |feature: &str, whole, value, expected, direction, share| Driver {
        feature: feature.into(),
        whole,
        value,
        expected,
        direction,
        share,
    };
    let drivers = vec![
        driver("events", true, 148.0, Some(3.2), Some(Side::High), 0.7),
        driver("a \"b\"", false, 2.0, None, None, 0.3),
    ];
    let change = NearestChange { feature: "listen_s".into(), whole: false, value: 12.5, to: 40.0 };
    let why = Explanation { drivers, nearest: Some(vec![change]) };
    let mut found = detected(&["ann"], &[], vec![hit(0, Some(0)), hit(0, Some(1))]);
    found.explanations = vec![Some(why), Some(Explanation::default())];
    let rendered = renderer("nobody").render(&found);
    let [first, second] = [0, 1].map(|hit| lines(&rendered, ALERTS).remove(hit));
    let said = r#""threshold":0.3,"explanation":{"drivers":[{"feature":"events","value":148,"expected":3.2,"direction":"high","share":0.7},{"feature":"a \"b\"","value":2.0,"expected":null,"direction":null,"share":0.3}],"nearest":[{"feature":"listen_s","value":12.5,"to":40.0}]},"summary":"#;
    assert!(first.contains(said), "{first}");
    assert!(second.contains(r#""explanation":{"drivers":[],"nearest":null},"#), "{second}");
    let outputs = vec![Output { sink: ALERTS, format: Format::Alert { explain: false, muted: false } }];
    let rules = ["bored", "low \"engagement\""].map(|id| AlertRule { id: id.into(), summary: None });
    let brief = Renderer::new("pod/cast", row(), rules.to_vec(), outputs, None);
    assert!(renderer("nobody").explains() && !brief.explains());
    assert!(lines(&brief.render(&found), ALERTS).iter().all(|line| !line.contains("explanation")));
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
        "explanation",
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
            format!(
                r#"{head}"bored","severity":"warning","revision":0,"early":false,"state":null,"muted":null}}"#
            ),
            format!(
                r#"{head}"low \"engagement\"","severity":"warning","revision":0,"early":false,"state":null,"muted":null}}"#
            )
        ]
    );
}

#[test]
fn what_happened_to_an_episode_is_said_under_the_name_of_its_first_window() {
    let of = |kind, first_end| Hit {
        change: Some(Change { kind, first_end, windows: 7, muted: None }),
        ..hit(0, Some(1))
    };
    let hits = [of(ChangeKind::Opened, 10), of(ChangeKind::Resolved, 10), of(ChangeKind::Updated, 20)];
    let [opened, resolved, other] = hits.map(|hit| {
        let rendered = renderer("nobody").render(&detected(&["ann"], &[], vec![hit]));
        let state = parsed(&rendered, PLAIN)[0]["state"].clone();
        let alert = parsed(&rendered, ALERTS)[0]["data"].take();
        assert_eq!((&alert["state"], &alert["windows"]), (&state, &json!(7)));
        alert
    });
    assert_eq!([&opened["state"], &resolved["state"], &other["state"]], ["opened", "resolved", "updated"]);
    assert_eq!(opened["episode"], resolved["episode"]);
    assert_ne!(opened["episode"], other["episode"]);
    assert!(opened["summary"].is_string() && resolved["summary"].is_null());
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
fn a_row_with_a_window_of_its_own_is_shown_with_it_and_stands_by_it() {
    let spans = [span([0, 1], 700, false, 0), span([2, 5], 500, true, 3)];
    let hits = vec![hit(0, Some(1)), hit(1, Some(0))];
    let users: &[&str] = &["ann", "bob"];
    let detected = detected_in([users, &[]], [Spans::Own(spans.to_vec()), Spans::Own(vec![])], hits);
    let rendered = renderer("nobody").render(&detected);
    let alerts = parsed(&rendered, ALERTS);
    let shown: Vec<_> = alerts.iter().map(|alert| (&alert["time"], &alert["data"]["window"])).collect();
    assert_eq!(
        shown,
        [
            (
                &json!("2023-11-14T22:08:00Z"),
                &json!({ "start": "2023-11-14T22:07:00Z", "end": "2023-11-14T22:08:00Z" })
            ),
            (
                &json!("2023-11-14T22:12:00Z"),
                &json!({ "start": "2023-11-14T22:09:00Z", "end": "2023-11-14T22:12:00Z" })
            ),
        ]
    );
    let ends: Vec<_> = parsed(&rendered, PLAIN).iter().map(|row| row["window_end"].as_i64()).collect();
    assert_eq!(ends, spans.map(|span| Some(span.window.end / 1000)));
    for sink in [ALERTS, PLAIN] {
        let rows: Vec<_> = rendered.rows.iter().filter(|row| row.sink == sink).collect();
        for ((row, span), (key, rule)) in rows.iter().zip(spans).zip([("ann", 1), ("bob", 0)]) {
            let due = Due {
                due: span.due,
                class: u8::from(span.by_record),
                operator: u16::from(span.by_record),
                window_end: span.window.end,
                window_start: span.window.start,
                key: key.into(),
                rule,
                sequence: span.sequence,
            };
            assert_eq!(row.due, due);
        }
        assert!(rows[1].due < rows[0].due, "the second is due first");
    }
}

#[test]
fn a_window_that_each_row_has_is_rendered_like_one_that_all_share() {
    let hits = || vec![hit(0, Some(0)), hit(0, Some(1)), hit(2, Some(0))];
    let users: [&[&str]; 2] = [&["ann", "bob", "cy"], &["dan"]];
    let own = [Spans::Own(vec![WINDOW.into(); 3]), Spans::Own(vec![WINDOW.into()])];
    let shared = renderer("cy").render(&detected(users[0], users[1], hits()));
    let own = renderer("cy").render(&detected_in(users, own, hits()));
    assert_eq!(shared.rows, own.rows);
    assert_eq!((own.alerts, own.rows_quarantined), (2, 2));
}

#[test]
fn a_failed_row_is_in_quarantine_with_its_own_window_and_in_its_place() {
    let judged = [span([0, 1], 700, false, 0), span([2, 5], 500, true, 3)];
    let failed = [span([1, 2], 900, true, 1)];
    let spans = [Spans::Own(judged.to_vec()), Spans::Own(failed.to_vec())];
    let users: [&[&str]; 2] = [&["ann", "bob"], &["dan"]];
    let rendered = renderer("bob").render(&detected_in(users, spans, vec![hit(0, None), hit(1, None)]));
    let rows: Vec<_> = rendered.rows.iter().filter(|row| row.sink == QUARANTINE).collect();
    let shown: Vec<Value> = parsed(&rendered, QUARANTINE)
        .iter()
        .map(|row| serde_json::from_str::<Value>(row["raw"].as_str().unwrap()).unwrap()["window"].take())
        .collect();
    assert_eq!(
        shown,
        [
            json!({ "start": "2023-11-14T22:08:00Z", "end": "2023-11-14T22:09:00Z" }),
            json!({ "start": "2023-11-14T22:09:00Z", "end": "2023-11-14T22:12:00Z" }),
        ]
    );
    for (row, (span, key)) in rows.iter().zip([(failed[0], "dan"), (judged[1], "bob")]) {
        let due = &row.due;
        assert_eq!((due.due, due.class, due.sequence), (span.due, 1, span.sequence));
        assert_eq!((due.window_start, due.window_end), (span.window.start, span.window.end));
        assert_eq!((due.key.as_slice(), due.rule), (key.as_bytes(), 0));
    }
}

#[test]
fn an_id_differs_by_window_and_by_sequence_and_where_a_record_caused_it_by_when_it_is_due() {
    let id = |span: Span| -> [Value; 2] {
        let spans = [Spans::Own(vec![span]), Spans::Own(vec![])];
        let rendered = renderer("nobody").render(&detected_in([&["ann"], &[]], spans, vec![hit(0, Some(0))]));
        let mut alert = parsed(&rendered, ALERTS).remove(0);
        [alert["id"].take(), alert["data"]["episode"].take()]
    };
    let [first, episode] = id(span([1, 2], 5, false, 0));
    assert_eq!(id(span([1, 2], 6, false, 0)), [first.clone(), episode.clone()]);
    assert_ne!(id(span([1, 2], 5, true, 0))[0], id(span([1, 2], 6, true, 0))[0]);
    for other in [span([0, 2], 5, false, 0), span([1, 2], 5, false, 1), span([1, 2], 5, true, 0)] {
        let [id, same] = id(other);
        assert_ne!(id, first);
        assert_eq!(same, episode, "an episode is named by the end of its first window");
    }
    assert_ne!(id(span([1, 3], 5, false, 0))[1], episode);
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
    let spans = Spans::Shared(WINDOW);
    let (no_keys, no_rows) = (keys.slice(0, 0), rows.slice(0, 0));
    let failed = FailedRows { spans: spans.clone(), keys: no_keys, batch: no_rows, details: vec![] };
    let detected = Detected {
        spans,
        keys,
        batch: rows,
        hits: vec![hit(0, None)],
        evidence: vec![],
        explanations: vec![],
        failed,
    };
    let outputs = vec![Output { sink: ALERTS, format: Format::Alert { explain: true, muted: false } }];
    let rendered = Renderer::new("job", row, vec![], outputs, None).render(&detected);
    let alert = parsed(&rendered, ALERTS).remove(0);
    assert_eq!(alert["data"]["key"], json!([-5, "x"]));
    assert_eq!(alert["subject"], r#"[-5,"x"]"#);
    assert_eq!(alert["data"]["features"], json!({}));
}
