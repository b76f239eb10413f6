//! Reorders events: each arrives some event time after it happened.
//!
//! With a delay of at most the bound nothing is ever late; with a longer one some events are, and which
//! ones depends on the content of each partition alone.

use crate::random::Random;

/// `lines` in the order of their arrival: time plus, for a `share` of them, up to `delay` ticks.
///
/// `time_of` gives a line's event time; whatever it gives no time for keeps its place behind the line
/// before it.
pub fn delayed<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    time_of: impl Fn(&[u8]) -> Option<i64>,
    delay: i64,
    share: f64,
    seed: u64,
) -> Vec<&'a [u8]> {
    let mut random = Random::new(seed);
    let mut last = i64::MIN;
    let mut arrivals: Vec<(i64, &[u8])> = Vec::new();
    for line in lines {
        if let Some(time) = time_of(line) {
            let late = if random.chance(share) { random.below(delay as u64 + 1) as i64 } else { 0 };
            last = time + late;
        }
        arrivals.push((last, line));
    }
    arrivals.sort_by_key(|(arrival, _)| *arrival);
    arrivals.into_iter().map(|(_, line)| line).collect()
}

/// The number behind `"ts":` in a line of the workload's generator.
pub fn workload_time(line: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = text.split_once("\"ts\":")?.1;
    digits[..digits.find([',', '}'])?].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_overtakes_another_by_more_than_the_delay() {
        let lines: Vec<String> = (0..2000).map(|i| format!("{{\"ts\":{i},\"n\":{i}}}")).collect();
        let shuffled = delayed(lines.iter().map(|l| l.as_bytes()), workload_time, 50, 1.0, 7);
        let mut max = i64::MIN;
        let mut moved = 0;
        for line in shuffled {
            let time = workload_time(line).expect("a time");
            moved += usize::from(time < max);
            max = max.max(time);
            assert!(max - time <= 50);
        }
        assert!(moved > 1000, "{moved}");
    }
}
