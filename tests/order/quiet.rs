//! Rows of keys that have gone quiet, as whole jobs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{BOUND, Event, in_order, row, setup};

const SIZE: i64 = 20_000;
const SLIDE: i64 = 10_000;

/// The rows of sliding windows, those of quiet users for `quiet` slides included, and how many events are late.
fn rows(events: &[Event], quiet: i64) -> (Vec<Value>, u64) {
    let mut held: BTreeMap<(i64, &str), Vec<&Event>> = BTreeMap::new();
    let mut late = 0;
    for event in events {
        let last = event.time.div_euclid(SLIDE) * SLIDE;
        let starts = [last - SLIDE, last].into_iter().filter(|start| start + SIZE - 1 > event.seen);
        let starts: Vec<i64> = starts.collect();
        late += u64::from(starts.is_empty());
        for start in starts {
            held.entry((start, &event.user)).or_default().push(event);
        }
    }
    let reached = events.iter().map(|event| event.time).max().expect("an event") - BOUND - 1;
    for (start, user) in held.keys().copied().collect::<Vec<_>>() {
        for start in (1..=quiet).map(|slides| start + slides * SLIDE) {
            if start + SIZE - 1 <= reached {
                held.entry((start, user)).or_default();
            }
        }
    }
    let rows = held.into_iter().map(|((start, user), events)| {
        let end = start + SIZE;
        let mut value = row(user, (start, end), &events);
        if events.is_empty() {
            value["v"] = json!(null);
            value["different"] = json!(null);
        }
        ((end, 0, end, start, user.to_owned(), 0), value)
    });
    (in_order(rows.collect()), late)
}

#[test]
fn a_key_that_has_gone_quiet_still_has_rows_for_a_while_for_any_workers_and_kills() {
    let setup = setup("type = 'sliding'\nsize = '20s'\nslide = '10s'\nquiet = '30s'", 47);
    let (rows, late) = rows(&setup.events, 3);
    let quiet = rows.iter().filter(|row| row["events"] == 0).count();
    assert!(quiet > 1_000 && late > 100, "{quiet} rows without an event, {late} late");
    setup.check(&rows, late);
}
