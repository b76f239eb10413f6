//! Windows that all keys share, as whole jobs through kills: each kind, and with each option that moves them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use event::{DataType, KeyShape, key_hash};
use serde_json::Value;

use super::{Event, in_order, row, setup};

/// The rows of windows that cover a time, as (start, end), and how many events are late.
fn rows(events: &[Event], windows: impl Fn(&Event) -> Vec<(i64, i64)>) -> (Vec<Value>, u64) {
    let mut held: BTreeMap<(i64, i64, &str), Vec<&Event>> = BTreeMap::new();
    let mut late = 0;
    for event in events {
        let open: Vec<_> = windows(event).into_iter().filter(|(_, end)| end - 1 > event.seen).collect();
        late += u64::from(open.is_empty());
        for (start, end) in open {
            held.entry((start, end, &event.user)).or_default().push(event);
        }
    }
    let rows = held.into_iter().map(|((start, end, user), events)| {
        ((end, 0, end, start, user.to_owned(), 0), row(user, (start, end), &events))
    });
    (in_order(rows.collect()), late)
}

/// Windows of `size` that start every `slide`, one of them at `offset`.
fn sliding(time: i64, size: i64, slide: i64, offset: i64) -> Vec<(i64, i64)> {
    let last = (time - offset).div_euclid(slide) * slide + offset;
    let starts = (0..).map(|back| last - back * slide).take_while(|start| start + size > time);
    starts.map(|start| (start, start + size)).collect()
}

fn check(window: &str, random: u64, windows: impl Fn(&Event) -> Vec<(i64, i64)>) {
    let setup = setup(window, random);
    let (rows, late) = rows(&setup.events, windows);
    assert!(rows.len() > 1_000 && late > 100, "{} rows, {late} late", rows.len());
    setup.check(&rows, late);
}

#[test]
fn tumbling_windows_with_an_offset_are_those_of_the_rules_through_kills() {
    check("type = 'tumbling'\nsize = '20s'\noffset = '-7s'", 61, |event| {
        sliding(event.time, 20_000, 20_000, -7_000)
    });
}

#[test]
fn sliding_windows_whose_slide_does_not_divide_them_are_those_of_the_rules_through_kills() {
    check("type = 'sliding'\nsize = '25s'\nslide = '10s'", 62, |event| {
        sliding(event.time, 25_000, 10_000, 0)
    });
}

#[test]
fn windows_that_grow_are_those_of_the_rules_through_kills() {
    check("type = 'cumulate'\nsize = '60s'\nstep = '15s'", 63, |event| {
        let start = event.time.div_euclid(60_000) * 60_000;
        let ends = (1..=4).map(|step| start + step * 15_000).filter(|end| *end > event.time);
        ends.map(|end| (start, end)).collect()
    });
}

#[test]
fn windows_on_the_clock_of_a_zone_are_those_of_the_rules_through_kills() {
    // Kathmandu is 5 h 45 min ahead: 20700 s, which is 17 s less than a multiple of 41 s.
    const AHEAD: i64 = (5 * 60 + 45) * 60_000;
    check("type = 'tumbling'\nsize = '41s'\nzone = 'Asia/Kathmandu'", 64, |event| {
        sliding(event.time, 41_000, 41_000, -AHEAD)
    });
}

#[test]
fn staggered_windows_start_for_each_key_by_a_part_of_a_slide_later_through_kills() {
    let shape = KeyShape::new(vec![DataType::Varchar]).expect("a key");
    let shift = |user: &str| {
        let users: ArrayRef = Arc::new(StringArray::from(vec![user]));
        (key_hash(shape.encode(&[users]).value(0)) % 20_000_000) as i64
    };
    let setup = setup("type = 'tumbling'\nsize = '20s'\nstagger = true", 65);
    // In microseconds, since the windows of a key start at any.
    let micros = |event: &Event| {
        let (time, shift) = (event.time * 1_000, shift(&event.user));
        let start = (time - shift).div_euclid(20_000_000) * 20_000_000 + shift;
        vec![(start, start + 20_000_000)]
    };
    let mut events = setup.events.clone();
    events.iter_mut().for_each(|event| event.seen = (event.seen + 1).saturating_mul(1_000) - 1);
    let (rows, late) = rows(&events, micros);
    let millis = |row: Value| {
        let mut row = row;
        for edge in ["window_start", "window_end"] {
            row[edge] = row[edge].as_i64().map(|micros| micros.div_euclid(1_000)).into();
        }
        row
    };
    let rows: Vec<Value> = rows.into_iter().map(millis).collect();
    let starts: std::collections::BTreeSet<i64> =
        rows.iter().filter_map(|row| row["window_start"].as_i64()).map(|start| start % 20_000).collect();
    assert!(starts.len() > 100 && late > 100, "{} starts, {late} late", starts.len());
    setup.check(&rows, late);
}
