//! Jobs that put out episodes, in the simulated world: what the oracle's rows say, told by its walk through time.

use std::collections::BTreeMap;

use detect::LifeCycle;
use event::{ChangeKind, Severity};
use testkit::oracle::episodes::{Life, episodes};
use testkit::random::Random;

use super::Shown;

/// A life cycle that is a matter of slides.
pub(crate) fn life(random: &mut Random, slide: i64) -> LifeCycle {
    let bad_windows = 1 + random.below(3) as u32;
    LifeCycle {
        bad_windows,
        within: slide * (i64::from(bad_windows) + random.below(2) as i64),
        resolve_after: slide * (1 + random.below(3) as i64),
        longest: slide * (3 + random.below(5) as i64),
        cooldown: slide * random.below(4) as i64,
    }
}

/// What is put out of rows that are bad, in its order.
pub(crate) fn told(life: LifeCycle, rows: Vec<Shown>) -> Vec<Shown> {
    // The walk takes a step for each second, in which all windows of these jobs end.
    let second = |micros: i64| {
        assert_eq!(micros % 1_000_000, 0);
        micros / 1_000_000
    };
    let life = Life {
        bad_windows: life.bad_windows as usize,
        within: second(life.within),
        resolve_after: second(life.resolve_after),
        longest: second(life.longest),
        cooldown: second(life.cooldown),
    };
    let mut by_key: BTreeMap<String, BTreeMap<i64, Shown>> = BTreeMap::new();
    for row in rows {
        by_key.entry(row.key.clone()).or_default().insert(second(row.end), row);
    }
    let mut put = Vec::new();
    for (key, mut rows) in by_key {
        let severity = |row: &Shown| if row.worse { Severity::Critical } else { Severity::Warning };
        let bad: Vec<(i64, Severity)> = rows.iter().map(|(end, row)| (*end, severity(row))).collect();
        let until = bad.last().map_or(0, |(end, _)| end + 1_000);
        let spans: BTreeMap<i64, (i64, i64)> =
            rows.iter().map(|(end, row)| (*end, (row.start, row.end))).collect();
        for word in episodes(life, &bad, until) {
            let is_over = word.kind == ChangeKind::Resolved;
            let (start, end) = spans[&word.about];
            let row = match is_over {
                true => over(&key, start, end),
                false => rows.remove(&word.about).expect("a window is told of once"),
            };
            put.push(((word.due, is_over, row.end, row.start, row.key.clone()), row));
        }
    }
    put.sort_by(|(a, _), (b, _)| a.cmp(b));
    put.into_iter().map(|(_, row)| row).collect()
}

/// The row of an episode that is over, of which that window was the last.
fn over(key: &str, start: i64, end: i64) -> Shown {
    let text = format!(
        "{{\"user\":\"{key}\",\"window_start\":{},\"window_end\":{},\"rows\":null,\"total\":null,\
         \"most\":null,\"newest\":null,\"texts\":null,\"different\":null}}",
        start / 1_000,
        end / 1_000
    );
    Shown { key: key.to_owned(), start, end, worse: false, text }
}
