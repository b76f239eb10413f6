//! Lines into requests: which rows go together, what the body is, and by which id the receiver knows it again.
//!
//! All of it follows from the lines and where they stand in the output, so that a request which is made again,
//! by this process or the next, is the same one but for its timestamp.

use std::borrow::Cow;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::sink::table::Shape;

/// A request has no more bytes of rows than this, unless it has one row.
const ROWS_BYTES_MAX: usize = 1 << 20;

/// How lines become requests.
#[derive(Debug)]
pub(super) struct Framing {
    pub(super) job: String,
    pub(super) sink: String,
    pub(super) shape: Shape,
    /// Rows of a request at most.
    pub(super) batch: usize,
}

/// A request to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The same for the same rows, and for no others.
    pub(super) id: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// Bytes of its lines.
    pub(super) length: usize,
    pub(super) rows: usize,
}

impl Framing {
    /// The request for the first of these lines, which are not empty: at most `rows_max` of them, and no more
    /// than a batch. `place` is where the first stands in the whole output, if that is the same in every run.
    ///
    /// # Errors
    /// If a line is no alert where it should be one.
    pub(super) fn first(
        &self,
        lines: &[u8],
        place: Option<u64>,
        rows_max: usize,
    ) -> Result<Request, serde_json::Error> {
        let mut rows: Vec<&[u8]> = Vec::new();
        let mut length = 0;
        while let Some(rest) = lines.get(length..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
            let is_full = rows.len() >= rows_max.min(self.batch) || length + end > ROWS_BYTES_MAX;
            if !rows.is_empty() && is_full {
                break;
            }
            rows.push(rest[..end].trim_ascii_end());
            length += end;
        }
        let mut ids = Vec::with_capacity(rows.len());
        let mut at = 0;
        for row in &rows {
            ids.push(self.id(row, place.map(|place| place + at))?);
            at += row.len() as u64 + 1;
        }
        let id = match ids.as_slice() {
            [id] => id.clone(),
            ids => format!("{:032x}", xxh3_128(ids.concat().as_bytes())),
        };
        Ok(Request {
            id,
            content_type: self.content_type(),
            body: self.body(&rows),
            length,
            rows: rows.len(),
        })
    }

    /// The id of a row: that of the alert; of another row a hash of job, sink, place and line.
    fn id(&self, row: &[u8], place: Option<u64>) -> Result<String, serde_json::Error> {
        #[derive(Deserialize)]
        struct Alert<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
        }
        if self.shape == Shape::Alerts {
            return serde_json::from_slice(row).map(|Alert { id }| id.into_owned());
        }
        let place = place.map_or(String::new(), |place| place.to_string());
        let text = [self.job.as_bytes(), self.sink.as_bytes(), place.as_bytes(), row].join(&b'\0');
        Ok(format!("{:032x}", xxh3_128(&text)))
    }

    /// Depends on the config alone: a receiver is not to be surprised by a batch of one.
    fn content_type(&self) -> &'static str {
        match (&self.shape, self.batch) {
            (Shape::Alerts, 1) => "application/cloudevents+json; charset=utf-8",
            (Shape::Alerts, _) => "application/cloudevents-batch+json; charset=utf-8",
            (_, 1) => "application/json",
            _ => "application/x-ndjson",
        }
    }

    fn body(&self, rows: &[&[u8]]) -> Vec<u8> {
        match (&self.shape, self.batch) {
            (_, 1) => rows.concat(),
            (Shape::Alerts, _) => [b"[", rows.join(&b',').as_slice(), b"]"].concat(),
            _ => {
                let mut body = rows.join(&b'\n');
                body.push(b'\n');
                body
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(shape: Shape, batch: usize) -> Framing {
        Framing { job: "job".into(), sink: "hook".into(), shape, batch }
    }

    const ALERTS: &[u8] = b"{\"id\":\"a1\",\"x\":1}\n{\"id\":\"b2\"}\n{\"id\":\"c3\"}\n";

    /// All requests for these lines, cut where a run may cut them.
    fn all(framing: &Framing, lines: &[u8], place: Option<u64>) -> Vec<Request> {
        let (mut at, mut requests) = (0, Vec::new());
        while at < lines.len() {
            let place = place.map(|place| place + at as u64);
            let request = framing.first(&lines[at..], place, usize::MAX).unwrap();
            at += request.length;
            requests.push(request);
        }
        requests
    }

    #[test]
    fn an_alert_is_one_cloud_event_with_its_own_id_and_its_very_bytes() {
        let requests = all(&framing(Shape::Alerts, 1), ALERTS, Some(0));
        let ids: Vec<&str> = requests.iter().map(|request| request.id.as_str()).collect();
        assert_eq!(ids, ["a1", "b2", "c3"]);
        assert_eq!(requests[0].body, b"{\"id\":\"a1\",\"x\":1}");
        assert_eq!(requests[0].content_type, "application/cloudevents+json; charset=utf-8");
    }

    #[test]
    fn a_batch_is_an_array_whose_id_follows_from_those_in_it() {
        let batches = all(&framing(Shape::Alerts, 2), ALERTS, Some(0));
        assert_eq!(batches.len(), 2);
        assert_eq!(batches[0].body, b"[{\"id\":\"a1\",\"x\":1},{\"id\":\"b2\"}]");
        assert_eq!(batches[1].body, b"[{\"id\":\"c3\"}]");
        assert_eq!((batches[0].id.len(), batches[1].id.as_str()), (32, "c3"));
        assert_eq!(batches[0], all(&framing(Shape::Alerts, 2), ALERTS, None)[0]);
        let alone = framing(Shape::Alerts, 2).first(ALERTS, None, 1).unwrap();
        assert_eq!((alone.rows, alone.body.as_slice()), (1, b"[{\"id\":\"a1\",\"x\":1}]".as_slice()));
    }

    #[test]
    fn rows_that_are_the_same_are_told_apart_by_their_places() {
        let rows = b"{\"a\":1}\n{\"a\":1}\n";
        let shape = || Shape::Rows { key: vec![], rule: false };
        let requests = all(&framing(shape(), 1), rows, Some(40));
        assert_ne!(requests[0].id, requests[1].id);
        assert_eq!(requests[1].id, framing(shape(), 1).first(&rows[8..], Some(48), 9).unwrap().id);
        let same = all(&framing(shape(), 1), rows, None);
        assert_eq!(same[0].id, same[1].id, "without a place there is nothing to tell them apart by");
        let batch = all(&framing(Shape::Quarantine, 5), rows, Some(0));
        assert_eq!((batch.len(), batch[0].body.as_slice()), (1, rows.as_slice()));
        assert_eq!(batch[0].content_type, "application/x-ndjson");
    }

    #[test]
    fn a_request_is_bounded_in_bytes_unless_it_is_one_row() {
        let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(ROWS_BYTES_MAX));
        let lines = format!("{{}}\n{long}{{}}\n");
        let requests = all(&framing(Shape::Quarantine, 100), lines.as_bytes(), Some(0));
        assert_eq!(requests.iter().map(|request| request.rows).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
