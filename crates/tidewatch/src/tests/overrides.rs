//! Where a value comes from: `--set`, else the environment, else the file, else the default.

use super::{SMALL, changed, compile, read};
use crate::config::print;

/// Value and origin of a setting, as `check --print` shows them.
fn setting(path: &str, sets: &[&str], environment: &[(&str, &str)]) -> String {
    let reading = read(SMALL, sets, environment);
    let shown = print(&reading.findings.settings, &reading.sources);
    let line = shown.lines().find(|line| line.starts_with(&format!("{path} =")));
    let line = line.unwrap_or_else(|| panic!("no {path} in\n{shown}"));
    let (value, origin) = line.split_once('#').expect("an origin");
    format!("{} #{origin}", value.trim_end())
}

#[test]
fn set_wins_over_environment_over_file_over_default() {
    let variable = ("TIDEWATCH__WINDOW__SIZE", "20m");
    assert_eq!(setting("window.size", &[], &[]), "window.size = \"10m\" # job.toml:17");
    assert_eq!(setting("window.size", &[], &[variable]), "window.size = \"20m\" # TIDEWATCH__WINDOW__SIZE");
    assert_eq!(setting("window.size", &["window.size=30m"], &[variable]), "window.size = \"30m\" # --set");
    assert_eq!(setting("limits.depth", &[], &[]), "limits.depth = 100 # default");
}

#[test]
fn of_two_sets_the_later_wins() {
    assert_eq!(
        setting("window.size", &["window.size=30m", "window.size=40m"], &[]),
        "window.size = \"40m\" # --set"
    );
}

#[test]
fn a_value_is_toml_or_else_a_string() {
    let job = |sets: &[&str]| compile(SMALL, sets, &[]).unwrap();
    assert_eq!(job(&["name=2024"]).name, "2024");
    assert_eq!(job(&["name=\"a b\""]).name, "a b");
    assert_eq!(job(&["name=a b # c"]).name, "a b # c");
    assert_eq!(job(&["source.events.rate=2.5"]).sources[0].rate, Some(2.5));
    assert_eq!(job(&["source.events.rate=1e3"]).sources[0].rate, Some(1000.0));
    assert_eq!(job(&["event.key=[\"user_id\", \"event_type\"]"]).transform.key_fields().len(), 2);
    assert_eq!(
        job(&["time.range=[2020-01-01, \"2021-01-01\"]"]).decode.time.range.start,
        1_577_836_800_000_000
    );
    // A second line is no second key.
    assert!(job(&["name=1\nversion = 2"]).name.contains('\n'));
}

#[test]
fn missing_tables_are_made_and_parts_may_be_quoted() {
    let job = compile(SMALL, &["sink.quarantine.path=bad.ndjson", "features.\"a.b\"=count(*)"], &[]).unwrap();
    assert_eq!(job.sinks.last().map(|sink| sink.name.as_str()), Some("quarantine"));
    assert_eq!(job.quarantine.map(|sink| sink.0), Some(1));
    assert_eq!(
        job.transform.branches()[0].features().expressions.last().map(|(name, _)| name.as_str()),
        Some("a.b")
    );
}

#[test]
fn an_override_through_a_value_is_refused_at_its_part() {
    let message = compile(SMALL, &["window.size.unit=m"], &[]).unwrap_err();
    assert_eq!(
        message,
        "error[E0106]: `size` is a string, not a table
 --> --set, argument 1
  |
  | window.size.unit=m
  |        ^^^^"
    );
}

#[test]
fn what_is_no_path_and_value_is_refused() {
    for (set, words) in [
        ("window.size", "no `=`"),
        ("=1", "a path has names with dots between them"),
        ("window..size=1", "a path has names with dots between them"),
        ("win dow=1", "a path has names with dots between them"),
        ("\"window=1", "a quote that is not closed"),
        ("", "no `=`"),
    ] {
        let message = compile(SMALL, &[set], &[]).unwrap_err();
        assert!(message.contains(words) && message.contains("E0106"), "{set}: {message}");
    }
}

#[test]
fn a_mistake_in_an_override_is_shown_in_the_override() {
    let message = compile(SMALL, &["name=x", "features.exits=count(*) FILTER (WHERE event_typ = 1)"], &[]);
    assert_eq!(
        message.unwrap_err(),
        "error[E0201]: unknown column `event_typ`
 --> --set, argument 2
  |
  | features.exits=count(*) FILTER (WHERE event_typ = 1)
  |                                       ^^^^^^^^^ help: did you mean `event_type`?"
    );
    let message = compile(SMALL, &[], &[("TIDEWATCH__WINDOW__SISE", "1m")]).unwrap_err();
    assert_eq!(
        message,
        "error[E0102]: unknown key `SISE` in `[window]`
 --> the environment
  |
  | TIDEWATCH__WINDOW__SISE=1m
  |                    ^^^^ help: did you mean `size`?"
            .replace("`SISE`", "`sise`")
    );
}

#[test]
fn a_variable_meets_names_without_regard_to_case_and_dashes() {
    let text = changed("[rules.quiet]", "[rules.Very-Quiet]");
    let reading = read(&text, &[], &[("TIDEWATCH__RULES__VERY_QUIET__MIN_EVENTS", "5")]);
    let config = reading.config.unwrap();
    assert_eq!(
        (config.branches[0].rules[0].id.as_str(), config.branches[0].rules[0].min_events),
        ("Very-Quiet", 5)
    );
    let other = [("TIDEWATCH_BIN", "x"), ("TIDEWATCH", "y")];
    assert!(compile(SMALL, &[], &other).is_ok(), "only names with two underscores are ours");
    assert!(compile(SMALL, &[], &[("TIDEWATCH__", "x")]).unwrap_err().contains("empty part"));
}

#[test]
fn variables_in_strings_of_the_file_are_put_in() {
    let text = changed("events.ndjson", "${DATA:-/tmp}/${DAY}.ndjson");
    let reading = read(&text, &[], &[("DAY", "monday")]);
    assert!(reading.findings.diagnostics.is_empty());
    let path = &reading.findings.settings.iter().find(|s| s.path == "source.events.path").unwrap().value;
    assert_eq!(path, "\"/tmp/monday.ndjson\"");
}
