//! What a backtest has found, for people: a table for the job and its rules, and one for the settings that were tried.

use crate::backtest::{FittedOn, Measures, Naive, Report};

use super::choice::{Chosen, Tried};

/// What stands over the columns of measures.
const HEADS: [&str; 9] = [
    "precision",
    "recall",
    "F1",
    "found",
    "episodes",
    "alerts",
    "per incident",
    "per 1,000 key-h",
    "delay p50, p95",
];

/// The report, and what was tried if there is more than the job itself.
pub(super) fn text(report: &Report, tried: &[Tried], chosen: &Chosen) -> String {
    let mut text = head(report);
    let mut lines = vec![line("", &HEADS.map(str::to_owned)), measures("total", &report.total)];
    lines.extend(report.rules.iter().map(|(rule, of_rule)| measures(&format!("  {rule}"), of_rule)));
    if let Some(naive) = &report.naive {
        lines.push(measures(&format!("naive: {}", naive.threshold), &naive.measures));
    }
    text.push_str(&aligned(&lines, 1));
    text.push_str(&remarks(report));
    if tried.len() > 1 {
        text.push('\n');
        text.push_str(&sweep(tried, chosen));
    }
    text
}

fn head(report: &Report) -> String {
    let data = &report.data;
    let [events, keys, incidents] = [data.events, data.keys, report.total.incidents].map(grouped);
    format!(
        "{}: {events} events, {keys} keys, {} of event time, {incidents} incidents\n\n",
        report.job,
        duration(data.hours * 3600.0)
    )
}

fn remarks(report: &Report) -> String {
    let kinds = report.kinds.iter().map(|(kind, of)| format!("{kind} {} of {}", of.found, of.incidents));
    let kinds: Vec<String> = kinds.collect();
    let mut text = match kinds.len() {
        0 | 1 => String::new(),
        _ => format!("found: {}\n", kinds.join(", ")),
    };
    match &report.naive {
        None => text.push_str("naive: no single threshold finds anything\n"),
        Some(Naive { fitted_on, share_of_keys, .. }) => {
            text.push_str(match fitted_on {
                FittedOn::SameData => {
                    "naive: the best single threshold on these very data, which flatters it; --train-data and --train-seed find it elsewhere\n"
                }
                FittedOn::TrainingData => "naive: the best single threshold on the training data\n",
            });
            if *share_of_keys < 1.0 {
                text.push_str(&format!(
                    "naive: measured on {:.1} % of the keys, since all rows are too many to be kept\n",
                    share_of_keys * 100.0
                ));
            }
        }
    }
    text
}

/// A line for each setting, the job's own first.
fn sweep(tried: &[Tried], chosen: &Chosen) -> String {
    let paths: Vec<&str> = tried.iter().flat_map(|tried| &tried.set).map(|(path, _)| path.as_str()).fold(
        Vec::new(),
        |mut paths, path| {
            if !paths.contains(&path) {
                paths.push(path);
            }
            paths
        },
    );
    let mut head: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    head.extend(HEADS.map(str::to_owned));
    head.push(String::new());
    let mut lines = vec![head];
    for (number, tried) in tried.iter().enumerate() {
        let value = |path: &&str| {
            let set = tried.set.iter().find(|(of, _)| of == path);
            set.map_or("as it is".to_owned(), |(_, value)| value.clone())
        };
        let mut cells: Vec<String> = paths.iter().map(value).collect();
        cells.extend(shown(&tried.total));
        cells.push(if chosen.number == Some(number) {
            format!("<- {}", chosen.why())
        } else {
            String::new()
        });
        lines.push(cells);
    }
    aligned(&lines, paths.len())
}

fn line(name: &str, cells: &[String]) -> Vec<String> {
    [&[name.to_owned()], cells].concat()
}

fn measures(name: &str, of: &Measures) -> Vec<String> {
    line(name, &shown(of))
}

fn shown(of: &Measures) -> [String; 9] {
    let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    let delay = match (of.delay_s.p50, of.delay_s.p95) {
        (Some(p50), Some(p95)) => format!("{}, {}", duration(p50), duration(p95)),
        _ => "-".to_owned(),
    };
    [
        share(of.precision),
        share(of.recall),
        share(of.f1),
        grouped(of.found),
        grouped(of.episodes),
        grouped(of.alerts),
        number(of.alerts_per_incident),
        number(of.alerts_per_1000_key_hours),
        delay,
    ]
}

/// Seconds in the unit that suits them.
fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds < 120.0 => format!("{seconds:.0} s"),
        _ if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns under one another: the first `left` of them and what stands behind the measures begin where their column does.
fn aligned(lines: &[Vec<String>], left: usize) -> String {
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            match column < left || column >= left + HEADS.len() {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            }
        });
        let cells: Vec<String> = cells.collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_shown_as_people_read_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 119.0, 780.0, 9000.0].map(duration), ["0 s", "119 s", "13 min", "2.5 h"]);
    }

    #[test]
    fn columns_stand_under_one_another() {
        let lines = [
            line("a", &["1".to_owned(), "22".to_owned()]),
            line("long", &["333".to_owned(), "4".to_owned()]),
        ];
        assert_eq!(aligned(&lines, 1), "a       1  22\nlong  333   4\n");
    }
}
