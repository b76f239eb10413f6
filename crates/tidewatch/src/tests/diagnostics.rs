//! One message of every class, to the letter.

use super::{SMALL, changed, check, compile, read};
use crate::config::Code;
use crate::job;

#[test]
fn a_good_config_gets_no_message() {
    check(SMALL, "");
}

#[test]
fn what_is_not_toml_is_shown_where_it_stops_being_it() {
    check(
        &changed("size = \"10m\"", "size = 10m"),
        r#"
error[E0101]: not TOML: string values must be quoted, expected literal string
  --> job.toml:17:8
   |
17 | size = 10m
   |        ^^^"#,
    );
}

#[test]
fn an_unknown_key_is_underlined_and_gets_the_nearest_one() {
    check(
        &changed("when = \"engagement < 0.3\"", "when = \"engagement < 0.3\"\nmin_event = 5"),
        r#"
error[E0102]: unknown key `min_event` in rule `quiet`
  --> job.toml:28:1
   |
28 | min_event = 5
   | ^^^^^^^^^ help: did you mean `min_events`?"#,
    );
}

#[test]
fn an_unknown_section_is_blamed_alone_and_not_the_names_that_are_missing_for_it() {
    check(
        &changed("[features]", "[feature]"),
        r#"
error[E0102]: unknown section `feature`
  --> job.toml:19:2
   |
19 | [feature]
   |  ^^^^^^^ help: did you mean `features`?"#,
    );
}

#[test]
fn a_key_like_none_gets_those_that_are_known() {
    check(
        &changed("size = \"10m\"", "size = \"10m\"\ncolour = 1"),
        r#"
error[E0102]: unknown key `colour` in `[window]`
  --> job.toml:18:1
   |
18 | colour = 1
   | ^^^^^^ help: known here: slide, step, offset, zone, stagger, quiet, allowed_lateness, late, early, at_end, purge, lag_within"#,
    );
}

#[test]
fn a_missing_key_is_named_at_its_section() {
    check(
        &changed("key = \"user_id\"\n", ""),
        r#"
error[E0103]: `[event]` has no `key`
 --> job.toml:7:2
  |
7 | [event]
  |  ^^^^^ help: add `key = "FIELD"`"#,
    );
}

#[test]
fn a_missing_section_is_named_without_a_place() {
    check(
        &changed("[window]\ntype = \"tumbling\"\nsize = \"10m\"\n", ""),
        r#"
error[E0103]: the job has no `[window]`
  help: add `[window]` with `type = "tumbling"` and `size = "10m"`"#,
    );
}

#[test]
fn a_value_of_another_type_says_both() {
    check(
        &changed("events = \"count(*)\"", "events = 1"),
        r#"
error[E0104]: expected a SQL expression in quotes, found a whole number
  --> job.toml:20:10
   |
20 | events = 1
   |          ^"#,
    );
    check(
        &changed("[window]\ntype = \"tumbling\"\nsize = \"10m\"", "window = \"10m\"")
            .replacen("name = \"small\"", "", 1)
            .replacen("window = \"10m\"", "", 1)
            .replacen("[source.events]", "window = \"10m\"\n[source.events]", 1),
        r#"
error[E0104]: `window` is a string, where a table is needed
 --> job.toml:3:10
  |
3 | window = "10m"
  |          ^^^^^"#,
    );
}

#[test]
fn a_duration_without_a_unit_is_shown_with_one() {
    check(
        &changed("size = \"10m\"", "size = 10"),
        r#"
error[E0105]: `10` has no unit
  --> job.toml:17:8
   |
17 | size = 10
   |        ^^ help: write `"10s"` for seconds"#,
    );
}

#[test]
fn a_value_out_of_range_gets_the_range() {
    check(
        &changed("path = \"events.ndjson\"", "path = \"events.ndjson\"\nlanes = 5000"),
        r#"
error[E0105]: 5000 is out of range; the range is 1 to 1024
 --> job.toml:6:9
  |
6 | lanes = 5000
  |         ^^^^"#,
    );
}

#[test]
fn a_misspelt_word_gets_the_nearest_one() {
    check(
        &changed("type = \"tumbling\"", "type = \"tumblin\""),
        r#"
error[E0105]: `tumblin` is none of sliding, tumbling, cumulate, session, count, each, global
  --> job.toml:16:8
   |
16 | type = "tumblin"
   |        ^^^^^^^^^ help: did you mean `tumbling`?"#,
    );
    check(
        &changed("duration_s = \"double\"", "duration_s = \"doubel\""),
        r#"
error[E0105]: unknown type `doubel`
  --> job.toml:13:14
   |
13 | duration_s = "doubel"
   |              ^^^^^^^^ help: did you mean `double`?"#,
    );
}

#[test]
fn an_unset_variable_is_named_where_it_stands() {
    check(
        &changed("events.ndjson", "data/${DAY}.ndjson"),
        r#"
error[E0107]: the environment variable `DAY` is not set
 --> job.toml:5:14
  |
5 | path = "data/${DAY}.ndjson"
  |              ^^^^^^ help: set it, or give a default: `${DAY:-default}`"#,
    );
}

#[test]
fn a_word_of_an_expression_is_underlined_in_the_file() {
    check(
        &changed("sum(duration_s)", "sum(duration)"),
        r#"
error[E0201]: unknown column `duration`
  --> job.toml:21:17
   |
21 | listen_s = "sum(duration) FILTER (WHERE event_type = 'listen')"
   |                 ^^^^^^^^ help: did you mean `duration_s`?"#,
    );
}

#[test]
fn an_expression_over_several_lines_is_underlined_on_the_right_one() {
    check(
        &changed("\"listen_s / events\"", "\"\"\"\n  listen_s\n  / event\n\"\"\""),
        r#"
error[E0201]: unknown column `event`
  --> job.toml:26:5
   |
26 |   / event
   |     ^^^^^ help: did you mean `events`?"#,
    );
}

#[test]
fn an_expression_with_escapes_is_underlined_as_a_whole() {
    check(
        &changed("\"listen_s / events\"", "\"listen_s /\\tevent\""),
        r#"
error[E0201]: unknown column `event`
  --> job.toml:24:14
   |
24 | engagement = "listen_s /\tevent"
   |              ^^^^^^^^^^^^^^^^^^^ help: did you mean `events`?"#,
    );
}

#[test]
fn a_condition_must_be_true_or_false() {
    check(
        &changed("engagement < 0.3", "engagement"),
        r#"
error[E0202]: expected a condition, found a double
  --> job.toml:27:9
   |
27 | when = "engagement"
   |         ^^^^^^^^^^ help: compare it with something, as in `score < 0.3`"#,
    );
}

#[test]
fn a_number_is_no_key() {
    check(
        &changed("key = \"user_id\"", "key = \"duration_s\""),
        r#"
error[E0202]: a double cannot be a key; varchar, bigint, boolean, date, timestamp and timestamptz can
 --> job.toml:8:7
  |
8 | key = "duration_s"
  |       ^^^^^^^^^^^^"#,
    );
}

#[test]
fn a_summary_names_only_what_is_there() {
    check(
        &changed("0.3\"", "0.3\"\nsummary = \"{key}: {engagment:.2f}\""),
        r#"
error[E0201]: unknown name `engagment` in the summary
  --> job.toml:28:20
   |
28 | summary = "{key}: {engagment:.2f}"
   |                    ^^^^^^^^^ help: did you mean `engagement`?"#,
    );
}

#[test]
fn standard_input_and_a_state_exclude_each_other() {
    let text = changed("type = \"file\"\npath = \"events.ndjson\"", "type = \"stdin\"");
    check(
        &format!("{text}[state]\ndir = \"state\"\n"),
        r#"
error[E0301]: standard input cannot be read again, so a job with `[state]` cannot read it
 --> job.toml:3:9
  |
3 | [source.events]
  |         ^^^^^^ help: take `[state]` out, or write the events to a file first"#,
    );
}

#[test]
fn exactly_once_needs_a_state_and_is_not_for_standard_output() {
    check(
        &changed("type = \"stdout\"", "path = \"out\"\nmode = \"exactly_once\""),
        r#"
error[E0301]: `exactly_once` needs a state
  --> job.toml:31:8
   |
31 | mode = "exactly_once"
   |        ^^^^^^^^^^^^^^ help: add `[state]` with `dir = "DIR"`"#,
    );
    let text = changed("type = \"stdout\"", "type = \"stdout\"\nmode = \"exactly_once\"");
    check(
        &format!("{text}[state]\ndir = \"state\"\n"),
        r#"
error[E0301]: standard output cannot be `exactly_once`
  --> job.toml:31:8
   |
31 | mode = "exactly_once"
   |        ^^^^^^^^^^^^^^ help: write to a file instead"#,
    );
}

#[test]
fn plain_rows_need_columns_and_alerts_need_rules() {
    check(
        &changed("type = \"stdout\"", "type = \"stdout\"\nformat = \"plain\""),
        r#"
error[E0103]: sink `alerts` has no `columns`
  --> job.toml:29:7
   |
29 | [sink.alerts]
   |       ^^^^^^ help: add `columns = ["user_id", "round(score, 4) AS score"]`"#,
    );
    check(
        &changed("[rules.quiet]\nwhen = \"engagement < 0.3\"\n", ""),
        r#"
error[E0301]: sink `alerts` writes alerts, but the job has no rules
  --> job.toml:27:7
   |
27 | [sink.alerts]
   |       ^^^^^^ help: add `[rules.ID]`, or set `format = "plain"` for every row of features"#,
    );
}

#[test]
fn two_columns_of_a_row_cannot_have_one_name() {
    check(
        &changed("engagement = \"listen_s", "events = \"listen_s").replace("engagement <", "events <"),
        r#"
error[E0302]: `events` is already a feature
  --> job.toml:24:1
   |
24 | events = "listen_s / events"
   | ^^^^^^"#,
    );
}

#[test]
fn a_file_has_one_writer() {
    check(
        &changed("type = \"stdout\"", "path = \"events.ndjson\""),
        r#"
error[E0301]: sink `alerts` has the file of the source `events`
  --> job.toml:29:7
   |
29 | [sink.alerts]
   |       ^^^^^^ help: give each its own `path`"#,
    );
}

#[test]
fn a_window_that_does_not_end_with_a_step_is_refused() {
    check(
        &changed("type = \"tumbling\"\nsize = \"10m\"", "type = \"cumulate\"\nsize = \"10m\"\nstep = \"3m\""),
        r#"
error[E0105]: the steps of a window that grows must divide its size
  --> job.toml:15:2
   |
15 | [window]
   |  ^^^^^^"#,
    );
}

#[test]
fn an_offset_that_says_the_same_as_a_smaller_one_is_refused() {
    check(
        &changed("size = \"10m\"", "size = \"10m\"\noffset = \"-10m\""),
        r#"
error[E0105]: an offset must be shorter than the time from one start of a window to the next
  --> job.toml:15:2
   |
15 | [window]
   |  ^^^^^^"#,
    );
}

#[test]
fn a_zone_that_nobody_knows_is_refused() {
    check(
        &changed("size = \"10m\"", "size = \"10m\"\nzone = \"Asia/Soul\""),
        r#"
error[E0105]: `Asia/Soul` is no time zone; write one as `Asia/Seoul`
  --> job.toml:15:2
   |
15 | [window]
   |  ^^^^^^"#,
    );
}

#[test]
fn a_window_with_the_key_of_another_kind_is_refused() {
    check(
        &changed("size = \"10m\"", "size = \"10m\"\nstep = \"1m\""),
        r#"
error[E0301]: a tumbling window has no `step`: each follows the last
  --> job.toml:18:1
   |
18 | step = "1m"
   | ^^^^ help: set `type = "cumulate"`, or take `step` out"#,
    );
}

#[test]
fn a_time_field_fits_its_unit() {
    check(
        &changed("event_type = \"varchar\"", "event_type = \"varchar\"\nts = \"varchar\""),
        r#"
error[E0301]: the time field `ts` is a varchar; this unit needs a bigint or a double
 --> job.toml:9:8
  |
9 | time = { field = "ts", unit = "ms" }
  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
}

#[test]
fn one_run_names_every_mistake_and_none_that_follows_from_another() {
    let text = changed("sum(duration_s)", "sum(duration)")
        .replacen("size = \"10m\"", "sise = \"10m\"", 1)
        .replacen("type = \"stdout\"", "type = \"stdot\"", 1);
    let messages = compile(&text, &[], &[]).unwrap_err();
    let codes: Vec<&str> = messages.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(
        codes,
        [
            "error[E0102]: unknown key `sise` in `[window]`",
            // `engagement` and the rule use `listen_s`, which is not their mistake.
            "error[E0201]: unknown column `duration`",
            "error[E0105]: `stdot` is none of file, stdout, sqlite, postgres, kafka, kinesis, webhook",
        ],
        "{messages}"
    );
}

#[test]
fn a_message_for_programs_has_the_same_in_fields() {
    let reading = read(&changed("sum(duration_s)", "sum(duration)"), &[], &[]);
    let found = job::compile(&reading).unwrap_err();
    assert_eq!(found[0].code, Code::Expression);
    let json = found[0].to_json(&reading.sources);
    assert_eq!(json["message"], "unknown column `duration`");
    assert_eq!(json["code"], "E0201");
    assert_eq!((json["file"].as_str(), json["line"].as_u64()), (Some("job.toml"), Some(21)));
    assert_eq!(
        (json["column"].as_u64(), json["help"].as_str()),
        (Some(17), Some("did you mean `duration_s`?"))
    );
}

#[test]
fn colours_change_nothing_but_colours() {
    let reading = read(&changed("sum(duration_s)", "sum(duration)"), &[], &[]);
    let found = job::compile(&reading).unwrap_err();
    let coloured = found[0].render(&reading.sources, true);
    assert!(coloured.contains("\x1b[1;31m"));
    let mut bare = coloured;
    for code in ["\x1b[1;31m", "\x1b[1;34m", "\x1b[36m", "\x1b[1m", "\x1b[0m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, found[0].render(&reading.sources, false));
}
