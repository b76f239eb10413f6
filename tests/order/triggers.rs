//! Windows with triggers as whole jobs, against the naive model.

use serde_json::{Value, json};
use testkit::oracle::triggers::{Arrived, Fired, Holding, Triggers};

use super::{Event, Place, by_user, idle, in_order, row, setup};

/// The rows of all users, and how many events are late. A gap of zero stands for that of each event.
fn rows(events: &[Event], gap: i64, triggers: &Triggers) -> (Vec<Value>, u64) {
    let (mut rows, mut late) = (Vec::new(), 0);
    for (user, events) in by_user(events) {
        let arrived = |event: &&Event| {
            let gap = if gap > 0 { gap } else { idle(event.n) };
            Arrived { time: event.time, seen: event.seen, gap }
        };
        let arrived: Vec<Arrived> = events.iter().map(arrived).collect();
        let (fired, of_user) = triggers.run(&arrived);
        late += of_user.len() as u64;
        for mut fired in fired {
            if triggers.windows == Holding::Global && fired.by_record {
                // It ends a tick behind its last event, which is less than a millisecond.
                fired.window.1 -= 1;
            }
            let held: Vec<&Event> = fired.held.iter().map(|number| events[*number]).collect();
            let mut value = row(user, fired.window, &held);
            value["revision"] = json!(if fired.revised { fired.sequence } else { 0 });
            value["early"] = json!(fired.early);
            rows.push((place(user, &fired), value));
        }
    }
    (in_order(rows), late)
}

/// What the watermark causes is due a tick before a whole millisecond, what a record causes at its `seen`, which is
/// too.
fn place(user: &str, fired: &Fired) -> Place {
    let (start, end) = fired.window;
    (fired.due, u8::from(fired.by_record), end, start, user.to_owned(), fired.sequence)
}

const SESSIONS: Triggers = Triggers {
    windows: Holding::Session,
    lateness: 0,
    at_end: true,
    every: None,
    count: None,
    late_each: false,
    purges: false,
    expires: None,
};

fn check(window: &str, random: u64, gap: i64, triggers: Triggers) {
    let setup = setup(window, random);
    let (rows, late) = rows(&setup.events, gap, &triggers);
    assert!(rows.len() > 1_000, "{} rows", rows.len());
    setup.check(&rows, late);
}

#[test]
fn sessions_with_a_gap_of_each_event_are_those_of_the_rules_for_any_workers_and_kills() {
    check("type = 'session'\ngap_by = 'idle_s'", 41, 0, SESSIONS);
}

#[test]
fn sessions_that_take_late_events_are_corrected_for_any_workers_and_kills() {
    let triggers = Triggers { lateness: 40_000, ..SESSIONS };
    check("type = 'session'\ngap = '8s'\nallowed_lateness = '40s'", 42, 8_000, triggers);
}

#[test]
fn sessions_that_are_active_give_a_row_every_so_often_for_any_workers_and_kills() {
    let triggers = Triggers { every: Some(3_000), ..SESSIONS };
    check("type = 'session'\ngap_by = 'idle_s'\nearly = '3s'", 43, 0, triggers);
}

#[test]
fn windows_put_out_for_each_late_event_are_those_of_the_rules_for_any_workers_and_kills() {
    let triggers = Triggers {
        windows: Holding::Sliding { size: 60_000, slide: 20_000, offset: 0 },
        lateness: 30_000,
        late_each: true,
        every: Some(10_000),
        purges: true,
        ..SESSIONS
    };
    let window = "type = 'sliding'\nsize = '60s'\nslide = '20s'\nallowed_lateness = '30s'\nlate = 'each'\n\
                  early = '10s'\npurge = true";
    check(window, 44, 1, triggers);
}

#[test]
fn one_window_for_all_time_gives_a_row_for_every_few_events_for_any_workers_and_kills() {
    let triggers = Triggers { windows: Holding::Global, at_end: false, count: Some(5), ..SESSIONS };
    check("type = 'global'\nearly = 5", 45, 1, triggers);
}

#[test]
fn a_key_of_the_one_window_expires_by_event_time_for_any_workers_and_kills() {
    let triggers = Triggers {
        windows: Holding::Global,
        at_end: false,
        every: Some(5_000),
        expires: Some(60_000),
        ..SESSIONS
    };
    check("type = 'global'\nearly = '5s'\nexpire_after = '60s'", 46, 1, triggers);
}
