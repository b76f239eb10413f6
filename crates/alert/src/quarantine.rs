//! Quarantine rows: what did not fit, why, and where it stood, as one JSON object a line.
//!
//! A record has its partition, offset and first bytes; a row of features has none of them, and shows itself
//! instead. The reasons are the codes of [`event::Reason`].

use event::{Due, OutputRow, Place, Reason, Rejected, SinkId, Span, Watermark};

use crate::json::append_string;

/// The quarantine row of a record of that partition, whose offsets belong to that series, in its place.
pub fn quarantine_row(rejected: &Rejected, partition: &str, series: u32, sink: SinkId) -> OutputRow {
    let mut line = Vec::with_capacity(rejected.raw.len() + rejected.detail.len() + 96);
    append_head(rejected.reason, &rejected.detail, &mut line);
    append_string(partition, &mut line);
    line.extend_from_slice(format!(r#","offset":{},"raw":"#, rejected.offset).as_bytes());
    append_raw(&rejected.raw, &mut line);
    let place = Place { seen: Watermark(rejected.seen), series, offset: rejected.offset };
    OutputRow { due: place.into(), sink, line, capped: None }
}

/// The quarantine row of a row of features, which is `raw`, in the place of its result.
pub(crate) fn quarantine_row_of_features(due: Due, detail: &str, raw: &[u8], sink: SinkId) -> OutputRow {
    let mut line = Vec::with_capacity(raw.len() + detail.len() + 96);
    append_head(Reason::Expression, detail, &mut line);
    line.extend_from_slice(br#"null,"offset":null,"raw":"#);
    append_raw(raw, &mut line);
    OutputRow { due, sink, line, capped: None }
}

/// The place of the result of a row of that branch.
pub(crate) fn due(span: Span, key: &[u8], rule: u16, branch: u16) -> Due {
    Due {
        due: span.due,
        class: u8::from(span.by_record),
        // Behind the place that records have by themselves, up to which the writer may put out what has their `seen`.
        operator: branch.saturating_add(u16::from(span.by_record)),
        window_end: span.window.end,
        window_start: span.window.start,
        key: key.to_vec(),
        rule,
        sequence: span.sequence,
    }
}

fn append_head(reason: Reason, detail: &str, line: &mut Vec<u8>) {
    line.extend_from_slice(br#"{"reason":"#);
    append_string(reason.code(), line);
    line.extend_from_slice(br#","detail":"#);
    append_string(detail, line);
    line.extend_from_slice(br#","partition":"#);
}

/// Appends the first bytes of what did not fit, and the end of the object.
fn append_raw(raw: &[u8], line: &mut Vec<u8>) {
    append_string(&String::from_utf8_lossy(Rejected::head(raw)), line);
    line.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(seen: i64, offset: u64, raw: &[u8]) -> Rejected {
        let detail = "no `\"` here".to_owned();
        Rejected { seen, partition: 1, offset, reason: Reason::Malformed, detail, raw: raw.to_vec() }
    }

    #[test]
    fn a_record_is_shown_with_its_place_and_bad_utf_8_replaced() {
        let row = quarantine_row(&rejected(0, 42, b"{\"a\": \xFF\0"), "f#1", 0, SinkId(3));
        assert_eq!(
            String::from_utf8(row.line).unwrap(),
            r#"{"reason":"malformed","detail":"no `\"` here","partition":"f#1","offset":42,"raw":"{\"a\": \ufffd\u0000"}"#
                .replace("\\ufffd", "\u{FFFD}")
        );
        assert_eq!(row.sink, SinkId(3));
    }

    #[test]
    fn records_stand_in_the_order_of_what_their_partition_had_seen() {
        let sorted = [(i64::MIN, 9, 9), (-5, 0, 7), (3, 0, 256), (3, 1, 2), (3, 256, 0), (4, 0, 0)];
        let rows: Vec<Due> = sorted
            .map(|(seen, series, offset)| {
                quarantine_row(&rejected(seen, offset, b""), "f", series, SinkId(0)).due
            })
            .into();
        assert!(rows.is_sorted());
    }

    #[test]
    fn no_more_than_the_first_kibibyte_is_shown() {
        let row = quarantine_row(&rejected(0, 0, &[b'x'; 5000]), "f", 0, SinkId(0));
        let value: serde_json::Value = serde_json::from_slice(&row.line).unwrap();
        assert_eq!(value["raw"].as_str().unwrap().len(), 1024);
        assert_eq!(value["partition"], "f");
        let row = quarantine_row(&rejected(0, 0, "\u{E4}x".repeat(500).as_bytes()), "f", 0, SinkId(0));
        let value: serde_json::Value = serde_json::from_slice(&row.line).unwrap();
        assert_eq!(value["raw"].as_str().unwrap(), "\u{E4}x".repeat(341), "1023 bytes and a half character");
    }
}
