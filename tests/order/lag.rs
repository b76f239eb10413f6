//! Features that ask what others were in the key's previous row, as whole jobs.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Setup, counts_by_user, in_order, sessions, setup};

/// Adds to rows, which are in the order in which they are due, what two features were in the user's last one; rows due
/// more than `within` milliseconds after that do not recall it. `due` says when a row is.
fn add_previous<'r>(
    rows: impl IntoIterator<Item = &'r mut Value>,
    within: i64,
    due: impl Fn(&Value) -> i64,
) -> usize {
    let mut last: HashMap<String, (i64, Value, Value)> = HashMap::new();
    let mut found = 0;
    for row in rows {
        let user = row["user"].as_str().expect("a user").to_owned();
        let at = due(row);
        let before = last.get(&user).filter(|(due, ..)| at - due <= within);
        found += usize::from(before.is_some());
        let (events, growth) = match before {
            Some((_, events, text)) => {
                let grown = row["events"].as_i64().expect("a count") - events.as_i64().expect("a count");
                (text.clone(), json!(grown))
            }
            None => (Value::Null, Value::Null),
        };
        last.insert(user, (at, row["events"].clone(), row["most"].clone()));
        row["before"] = events;
        row["growth"] = growth;
    }
    found
}

fn lagging(window: &str, random: u64, within: &'static str) -> Setup {
    let columns = "[\"user\", \"window_start\", \"window_end\", \"events\", \"v\", \"first\", \"last\", \"most\", \"kinds\", \
                   \"different\", \"revision\", \"early\", \"before\", \"growth\"]";
    let more = vec![
        ("features.before", "\"lag(most)\""),
        ("features.growth", "\"events - lag(events)\""),
        ("window.lag_within", within),
        ("sink.alerts.columns", columns),
    ];
    Setup { more, ..setup(window, random) }
}

#[test]
fn sessions_know_what_the_one_before_them_was_for_any_workers_and_kills() {
    let setup = lagging("type = 'session'\ngap = '8s'", 51, "\"120s\"");
    let (mut rows, late) = sessions(&setup.events, 8_000);
    let found = add_previous(&mut rows, 120_000, |row| row["window_end"].as_i64().expect("a time"));
    assert!(found > 500 && found < rows.len() - 500, "{found} of {}", rows.len());
    setup.check(&rows, late);
}

#[test]
fn count_windows_know_what_the_one_before_them_was_for_any_workers_and_kills() {
    let setup = lagging("type = 'count'\nsize = 4", 52, "\"366d\"");
    let mut rows = counts_by_user(&setup.events, 4, 4);
    let found = add_previous(rows.iter_mut().map(|(_, row)| row), i64::MAX, |_| 0);
    assert!(found > 500, "{found} of {}", rows.len());
    setup.check(&in_order(rows), 0);
}
