//! The ids of alerts and episodes: stable hashes, the same on every replay, worker and machine.

use event::{Outcome, Span};
use xxhash_rust::xxh3::Xxh3;

/// Who found something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) job: &'a str,
    /// Where the job has several.
    pub(crate) branch: Option<&'a str>,
    pub(crate) rule: Option<&'a str>,
}

/// Appends the id of an alert: 32 hexadecimal digits of (origin, key, window, sequence), and of when it is due
/// where a record caused it: such rows are numbered among those that are due at the same time.
pub(crate) fn append_id(origin: Origin<'_>, key: &[u8], span: Span, out: &mut Vec<u8>) {
    let mut hash = hash_of("alert", origin, key);
    hash.update(&span.window.start.to_le_bytes());
    hash.update(&span.window.end.to_le_bytes());
    hash.update(&span.sequence.to_le_bytes());
    if span.by_record {
        hash.update(&span.due.to_le_bytes());
    }
    // Early results are counted apart from revisions.
    if span.outcome == Outcome::Early {
        hash.update(b"early");
    }
    append_hex(hash.digest128(), out);
}

/// Appends the id of an episode: 32 hexadecimal digits of (origin, key, end of its first window).
pub(crate) fn append_episode(origin: Origin<'_>, key: &[u8], first_window_end: i64, out: &mut Vec<u8>) {
    append_hex(episode(origin, key, first_window_end), out);
}

/// The id of an episode as a number.
pub(crate) fn episode(origin: Origin<'_>, key: &[u8], first_window_end: i64) -> u128 {
    let mut hash = hash_of("episode", origin, key);
    hash.update(&first_window_end.to_le_bytes());
    hash.digest128()
}

/// Appends the id of a roll-up: 32 hexadecimal digits of (origin, values of the group, first instant of the minute).
pub(crate) fn append_roll_up(origin: Origin<'_>, values: &[Vec<u8>], start: i64, out: &mut Vec<u8>) {
    let mut hash = hash_of("rollup", origin, &values.join(&b','));
    hash.update(&start.to_le_bytes());
    append_hex(hash.digest128(), out);
}

/// Appends the id of an episode that roll-ups are about: 32 hexadecimal digits of (origin, values of the group, first instant
/// of the minute of the first of them).
pub(crate) fn append_roll_up_episode(origin: Origin<'_>, values: &[Vec<u8>], first: i64, out: &mut Vec<u8>) {
    let mut hash = hash_of("rollup episode", origin, &values.join(&b','));
    hash.update(&first.to_le_bytes());
    append_hex(hash.digest128(), out);
}

/// Each part stands behind its length, so that no two tuples are the same bytes.
fn hash_of(kind: &str, origin: Origin<'_>, key: &[u8]) -> Xxh3 {
    let mut hash = Xxh3::new();
    for part in
        [kind.as_bytes(), origin.job.as_bytes(), key].into_iter().chain(origin.branch.map(str::as_bytes))
    {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    // No rule is not a rule without a name.
    hash.update(&[u8::from(origin.rule.is_some())]);
    hash.update(origin.rule.unwrap_or_default().as_bytes());
    hash
}

fn append_hex(hash: u128, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend(
        hash.to_be_bytes().iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
    );
}

#[cfg(test)]
mod tests {
    use event::Window;

    use super::*;

    fn id(job: &str, rule: Option<&str>, key: &[u8], start: i64, end: i64, sequence: u64) -> String {
        let mut out = Vec::new();
        let span = Span { sequence, ..Span::from(Window { start, end }) };
        append_id(Origin { job, branch: None, rule }, key, span, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_that_records_cause_at_different_times_differ_though_their_numbers_begin_anew() {
        let ids = [5, 6].map(|due| {
            let mut out = Vec::new();
            let span = Span { due, by_record: true, ..Span::from(Window { start: 3, end: 4 }) };
            append_id(Origin { job: "job", branch: None, rule: None }, b"key", span, &mut out);
            out
        });
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn each_part_of_the_identity_counts() {
        let ids = [
            id("job", Some("rule"), b"key", 0, 10, 0),
            id("jobr", Some("ule"), b"key", 0, 10, 0),
            id("job", Some(""), b"key", 0, 10, 0),
            id("job", None, b"key", 0, 10, 0),
            id("job", Some("rule"), b"", 0, 10, 0),
            id("job", Some("rule"), b"key", 1, 10, 0),
            id("job", Some("rule"), b"key", 0, 11, 0),
            id("job", Some("rule"), b"key", 0, 10, 1),
        ];
        for (place, id) in ids.iter().enumerate() {
            assert_eq!(id.len(), 32);
            assert!(!ids[..place].contains(id), "{place}");
        }
    }

    #[test]
    fn branches_have_ids_of_their_own() {
        let span = Span::from(Window { start: 0, end: 10 });
        let id = |branch| {
            let mut out = Vec::new();
            append_id(Origin { job: "job", branch, rule: Some("rule") }, b"key", span, &mut out);
            append_episode(Origin { job: "job", branch, rule: Some("rule") }, b"key", 10, &mut out);
            String::from_utf8(out).unwrap()
        };
        let ids = [id(None), id(Some("")), id(Some("1")), id(Some("2"))];
        for (place, id) in ids.iter().enumerate() {
            assert!(!ids[..place].iter().any(|other| other[..32] == id[..32] || other[32..] == id[32..]));
        }
    }

    #[test]
    fn an_id_never_changes_between_versions() {
        // Whoever stores alerts relies on it: the hash, and the bytes that go into it.
        let length = |n: u8| [n, 0, 0, 0, 0, 0, 0, 0];
        let mut bytes = Vec::new();
        for part in ["alert", "job", "key"] {
            bytes.extend(length(part.len() as u8));
            bytes.extend(part.as_bytes());
        }
        bytes.extend(b"\x01rule");
        for number in [0, 10, 0] {
            bytes.extend(length(number));
        }
        let expected = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes));
        assert_eq!(id("job", Some("rule"), b"key", 0, 10, 0), expected);
        assert_eq!(expected, "d8916028175ff9ab7f7db0c14242cd6f");
    }
}
