//! Seeded misspellings of the keys and names of a config: each is found on its line.

use super::compile;

const JOB: &str = r#"version = 1
name = "podcast"

[source.events]
type = "generate"
events = 1000
rate = 20000
users = 50
density = 333

[event]
key = "user_id"
time = { field = "ts", unit = "ms" }

[event.fields]
event_type = "varchar"
duration_s = "double"
payload_s = { path = "payload.seconds", type = "double" }

[time]
out_of_order = "5s"
idle_partition_after = "30s"

[transform]
long = "duration_s > 60"
[transform.where]
plausible = "duration_s >= 0 OR payload_s > 0"

[window]
type = "sliding"
size = "10m"
slide = "1m"

[features]
events = "count(*)"
listen_s = "coalesce(sum(duration_s) FILTER (WHERE event_type = 'listen'), 0)"
longs = "count(*) FILTER (WHERE long)"

[score]
engagement = "(listen_s + 30) / (listen_s + 30 + 60 * longs)"

[rules.quiet]
when = "engagement < 0.3"
min_events = 5
severity = "warning"
escalate = { when = "engagement < 0.15", severity = "critical" }
summary = "{key}: {engagement:.2f}"

[sink.alerts]
type = "file"
path = "alerts.ndjson"
format = "plain"
mode = "at_once"
columns = ["user_id", "round(engagement, 4) AS score"]

[state]
dir = "state"
checkpoint_every = "5s"

[limits]
record_bytes = "256KiB"
"#;

/// A place in the job, with the word that stands there and where in its line it begins.
struct Word {
    line: usize,
    column: usize,
    word: &'static str,
}

/// The words whose misspelling must be a mistake: keys and values that the program knows, names that
/// another expression uses.
fn words() -> Vec<Word> {
    const KNOWN: [&str; 36] = [
        "version",
        "type",
        "events",
        "rate",
        "users",
        "density",
        "key",
        "time",
        "field",
        "unit",
        "path",
        "out_of_order",
        "idle_partition_after",
        "where",
        "size",
        "slide",
        "severity",
        "when",
        "min_events",
        "escalate",
        "summary",
        "format",
        "mode",
        "columns",
        "dir",
        "checkpoint_every",
        "record_bytes",
        "sliding",
        "generate",
        "warning",
        "critical",
        "plain",
        "at_once",
        "double",
        "varchar",
        "listen_s",
    ];
    let mut words = Vec::new();
    for (number, line) in (1..).zip(JOB.lines()) {
        for word in KNOWN {
            let boundary = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            for (at, _) in line.match_indices(word) {
                let before = line[..at].chars().next_back();
                let after = line[at + word.len()..].chars().next();
                // Not a name that only its own line has, a table's name, or text in an expression.
                let defined = line.starts_with(word) && ["events", "listen_s"].contains(&word) && number > 30;
                let in_header = line.starts_with('[') && word != "where";
                if boundary(before) && boundary(after) && !defined && !in_header {
                    words.push(Word { line: number, column: at, word });
                }
            }
        }
    }
    words
}

/// A slip of the fingers: two letters swapped, one left out, doubled, or replaced.
fn misspell(word: &str, kind: u64, at: usize) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = at % letters.len();
    match kind % 4 {
        0 if at + 1 < letters.len() && letters[at] != letters[at + 1] => letters.swap(at, at + 1),
        1 if letters.len() > 3 => {
            letters.remove(at);
        }
        2 => letters.insert(at, letters[at]),
        _ => letters[at] = if letters[at] == 'x' { 'q' } else { 'x' },
    }
    letters.into_iter().collect()
}

/// splitmix64: enough to choose places.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[test]
fn the_job_without_a_slip_is_good() {
    assert_eq!(compile(JOB, &[], &[]).map(|job| job.name), Ok("podcast".to_owned()));
}

#[test]
fn thirty_slips_are_found_on_their_lines_and_most_get_the_right_name() {
    let words = words();
    let mut seed = 8121;
    let (mut on_line, mut named) = (0, 0);
    let mut failures = String::new();
    for _ in 0..30 {
        let word = &words[next(&mut seed) as usize % words.len()];
        let slip = misspell(word.word, next(&mut seed), next(&mut seed) as usize);
        let mut lines: Vec<String> = JOB.lines().map(str::to_owned).collect();
        lines[word.line - 1].replace_range(word.column..word.column + word.word.len(), &slip);
        let messages =
            compile(&lines.join("\n"), &[], &[]).map(|_| String::new()).unwrap_or_else(|found| found);
        let found_on_line = messages.contains(&format!("--> job.toml:{}:", word.line));
        let found_name = messages.contains(&format!("did you mean `{}`?", word.word));
        on_line += usize::from(found_on_line);
        named += usize::from(found_name);
        if !found_on_line || !found_name {
            failures.push_str(&format!("line {}: {} -> {slip}\n{messages}\n\n", word.line, word.word));
        }
    }
    assert_eq!(on_line, 30, "seed 8121\n{failures}");
    assert!(named >= 25, "{named} of 30, seed 8121\n{failures}");
}
