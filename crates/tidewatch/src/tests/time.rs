//! How event time goes, as the config says it.

use std::time::Duration;

use ingest::{TimeUnit, WatermarkSpec};

use super::{SMALL, check, compile};

fn with_time(lines: &str) -> String {
    format!("{SMALL}\n[time]\n{lines}\n")
}

#[test]
fn the_watermark_is_bounded_monotonic_or_what_records_say() {
    let watermark = |lines: &str| compile(&with_time(lines), &[], &[]).unwrap().watermark;
    assert_eq!(watermark(""), WatermarkSpec::Bounded(5_000_000));
    assert_eq!(watermark("watermark = 'bounded'\nout_of_order = '2s'"), WatermarkSpec::Bounded(2_000_000));
    assert_eq!(watermark("watermark = 'monotonic'"), WatermarkSpec::Bounded(0));
    let job = compile(&with_time("watermark = { field = 'meta.wm', unit = 's' }"), &[], &[]).unwrap();
    assert_eq!(job.watermark, WatermarkSpec::Punctuated);
    let said = job.decode.punctuation.unwrap();
    assert_eq!((said.path, said.unit), (vec!["meta".to_owned(), "wm".to_owned()], TimeUnit::Seconds));
    let sets = ["time.watermark.field=wm", "time.watermark.unit=ms", "event.fields.wm=double"];
    let said = compile(SMALL, &sets, &[]).unwrap().decode.punctuation.unwrap();
    assert!(said.fractional, "it is declared a double");
}

#[test]
fn a_bound_beside_a_watermark_without_one_is_a_conflict() {
    check(
        &with_time("out_of_order = \"5s\"\nwatermark = \"monotonic\""),
        r#"
error[E0301]: `time.out_of_order` has no meaning where the watermark is times that never fall
  --> job.toml:33:1
   |
33 | out_of_order = "5s"
   | ^^^^^^^^^^^^ help: take out `out_of_order` or `watermark`"#,
    );
    check(
        &with_time("watermark = { field = \"wm\", unit = \"ms\" }\nout_of_order = \"5s\""),
        r#"
error[E0301]: `time.out_of_order` has no meaning where the watermark is what records say in a field
  --> job.toml:34:1
   |
34 | out_of_order = "5s"
   | ^^^^^^^^^^^^ help: take out `out_of_order` or `watermark`"#,
    );
}

#[test]
fn a_watermark_that_is_none_is_shown_what_there_is() {
    check(
        &with_time("watermark = \"monotone\""),
        r#"
error[E0105]: `monotone` is none of bounded, monotonic
  --> job.toml:33:13
   |
33 | watermark = "monotone"
   |             ^^^^^^^^^^ help: write `"bounded"`, `"monotonic"`, or `{ field = "FIELD", unit = "ms" }`"#,
    );
    check(
        &with_time("watermark = { field = \"wm\" }"),
        r#"
error[E0103]: `time.watermark` has no `unit`
  --> job.toml:33:13
   |
33 | watermark = { field = "wm" }
   |             ^^^^^^^^^^^^^^^^ help: add `unit = "s"`, `"ms"`, `"us"`, `"ns"` or `"rfc3339"`"#,
    );
    check(
        &with_time("watermark = { field = \"event_type\", unit = \"ms\" }"),
        r#"
error[E0301]: the time field `event_type` is a varchar; this unit needs a bigint or a double
  --> job.toml:33:13
   |
33 | watermark = { field = "event_type", unit = "ms" }
   |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
}

#[test]
fn partitions_sleep_and_wait_for_one_another_only_if_they_are_told_to() {
    let job = compile(SMALL, &[], &[]).unwrap();
    assert_eq!((job.idle_after, job.drift_max), (None, None));
    let lines = with_time("idle_partition_after = '200ms'\nmax_drift = '10m'");
    let told = compile(&lines, &[], &[]).unwrap();
    assert_eq!(told.idle_after, Some(Duration::from_millis(200)));
    assert_eq!(told.drift_max, Some(600_000_000));
    assert_eq!(told.identity, job.identity, "both may change under a state");
    check(
        &with_time("idle_partition_after = \"0s\""),
        r#"
error[E0105]: `0s` is out of range; the range is 1ms to 1d
  --> job.toml:33:24
   |
33 | idle_partition_after = "0s"
   |                        ^^^^"#,
    );
}

#[test]
fn what_moves_watermarks_is_what_a_state_rests_on() {
    let identity = |lines: &str| compile(&with_time(lines), &[], &[]).unwrap().identity;
    let said = "watermark = { field = 'wm', unit = 'ms' }";
    let different =
        ["", "out_of_order = '0s'", said, "watermark = { field = 'wm', unit = 's' }"].map(identity);
    for (number, one) in different.iter().enumerate() {
        assert!(different[..number].iter().all(|other| other != one), "{one:?}");
    }
    assert_eq!(identity("watermark = 'monotonic'"), identity("out_of_order = '0s'"));
    assert_eq!(identity("watermark = 'bounded'"), identity(""));
}
