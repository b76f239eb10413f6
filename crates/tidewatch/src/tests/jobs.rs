//! What a config becomes: fields, defaults, modes, and what is free to change under a state.

use std::time::Duration;

use alert::{Mode, SinkKind};
use event::DataType;
use ingest::{SourceKind, TimeUnit};

use super::{SMALL, changed, compile};

/// The decoded fields as `name:type` with `!` for required and `#` for dictionary-coded.
fn fields(text: &str) -> String {
    let job = compile(text, &[], &[]).unwrap_or_else(|messages| panic!("{messages}"));
    let fields = job.decode.fields.iter().map(|field| {
        let marks = [(field.required, "!"), (field.dictionary, "#")];
        let marks: String = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
        format!("{}@{}:{}{marks}", field.name, field.path.join("/"), field.data_type)
    });
    fields.collect::<Vec<_>>().join(" ")
}

#[test]
fn only_the_fields_that_the_job_uses_are_decoded() {
    assert_eq!(
        fields(SMALL),
        "event_type@event_type:varchar# duration_s@duration_s:double user_id@user_id:varchar!"
    );
    let text =
        changed("listen_s = \"sum(duration_s) FILTER (WHERE event_type = 'listen')\"", "listen_s = \"1\"");
    let text = text.replacen("listen_s = \"1\"", "listen_s = \"count(*)\"", 1);
    assert_eq!(fields(&text), "user_id@user_id:varchar!");
}

#[test]
fn a_key_and_a_time_that_are_not_declared_have_their_usual_types() {
    let text = changed("key = \"user_id\"", "key = [\"payload.user\", \"event_type\"]").replacen(
        "field = \"ts\", unit = \"ms\"",
        "field = \"meta.at\", unit = \"rfc3339\"",
        1,
    );
    assert_eq!(
        fields(&text),
        "event_type@event_type:varchar! duration_s@duration_s:double payload.user@payload/user:varchar!"
    );
    let job = compile(&text, &[], &[]).unwrap();
    assert_eq!(
        (job.decode.time.path.join("/"), job.decode.time.unit),
        ("meta/at".to_owned(), TimeUnit::Rfc3339)
    );
    let types: Vec<DataType> = job.transform.key_fields().iter().map(|field| field.data_type).collect();
    assert_eq!(types, [DataType::Varchar, DataType::Varchar]);
}

#[test]
fn a_time_that_is_declared_a_double_may_have_a_fraction() {
    let text = changed("event_type = \"varchar\"", "event_type = \"varchar\"\nts = \"double\"");
    assert!(compile(&text, &[], &[]).unwrap().decode.time.fractional);
    assert!(!compile(SMALL, &[], &[]).unwrap().decode.time.fractional);
}

#[test]
fn a_time_that_is_declared_a_timestamptz_is_a_column_too_and_an_instant_only() {
    let with = |declared: &str, unit: &str| {
        let text =
            changed("event_type = \"varchar\"", &format!("event_type = \"varchar\"\nts = \"{declared}\""));
        let text = text.replacen("count(*)", "count(*) FILTER (WHERE ts <= event_time AND hour(ts) < 12)", 1);
        text.replacen("unit = \"ms\"", &format!("unit = \"{unit}\""), 1)
    };
    assert!(fields(&with("timestamptz", "rfc3339")).contains("ts@ts:timestamptz"));
    let refused = |declared, unit| compile(&with(declared, unit), &[], &[]).unwrap_err();
    let message = refused("timestamp", "rfc3339");
    assert!(message.contains("needs a timestamptz or a varchar") && message.contains("no zone"), "{message}");
    let message = refused("timestamptz", "ms");
    assert!(message.contains("a bigint or a double") && message.contains("`event_time`"), "{message}");
}

#[test]
fn a_path_leads_into_objects_and_a_quoted_name_is_one_name() {
    let text = changed(
        "duration_s = \"double\"",
        "duration_s = { path = \"payload.\\\"a.b\\\"\", type = \"double\" }",
    );
    assert!(fields(&text).contains("duration_s@payload/a.b:double"), "{}", fields(&text));
    let text = changed("duration_s = \"double\"", "\"duration.s\" = \"double\"").replacen(
        "(duration_s",
        "(\\\"duration.s\\\"",
        1,
    );
    assert!(fields(&text).contains("duration.s@duration.s:double"), "{}", fields(&text));
}

#[test]
fn a_plain_column_that_is_only_a_name_is_that_column_whatever_sql_thinks_of_the_name() {
    let text = changed("key = \"user_id\"", "key = [\"user\", \"payload.device\"]").replacen(
        "type = \"stdout\"",
        "type = \"stdout\"\nformat = \"plain\"\ncolumns = [\"user\", \"payload.device\", \"events + 1 AS more\"]",
        1,
    );
    assert!(compile(&text, &[], &[]).is_ok(), "{:?}", compile(&text, &[], &[]).err());
}

#[test]
fn event_time_is_a_column_if_it_is_used() {
    assert!(!compile(SMALL, &[], &[]).unwrap().decode.event_time);
    let text = changed("events = \"count(*)\"", "events = \"count(*)\"\nlatest = \"max(event_time)\"");
    let job = compile(&text, &[], &[]).unwrap();
    assert!(job.decode.event_time);
    assert_eq!(job.decode.schema().fields().last().map(|field| field.data_type), Some(DataType::TimestampTz));
}

#[test]
fn a_key_may_be_a_derived_column() {
    let text = changed("key = \"user_id\"", "key = \"kind\"").replacen(
        "[window]",
        "[transform]\nkind = \"upper(event_type)\"\n[window]",
        1,
    );
    assert_eq!(fields(&text), "event_type@event_type:varchar# duration_s@duration_s:double");
}

#[test]
fn without_a_state_every_sink_is_at_once_and_with_it_files_are_exactly_once() {
    let text = changed("type = \"stdout\"", "path = \"alerts\"") + "[sink.copy]\ntype = \"stdout\"\n";
    let modes = |sets: &[&str]| {
        let job = compile(&text, sets, &[]).unwrap();
        job.sinks.iter().map(|sink| sink.mode).collect::<Vec<_>>()
    };
    assert_eq!(modes(&[]), [Mode::AtOnce, Mode::AtOnce]);
    assert_eq!(modes(&["state.dir=s"]), [Mode::ExactlyOnce, Mode::AtOnce]);
    assert_eq!(modes(&["state.dir=s", "sink.alerts.mode=at_once"]), [Mode::AtOnce, Mode::AtOnce]);
    assert_eq!(
        modes(&["state.dir=s", "sink.quarantine.path=q"]),
        [Mode::ExactlyOnce, Mode::AtOnce, Mode::ExactlyOnce]
    );
}

#[test]
fn a_state_has_its_defaults() {
    let job = compile(SMALL, &["state.dir=s"], &[]).unwrap();
    let state = job.state.unwrap();
    assert_eq!((state.checkpoint_every, state.shards), (Duration::from_secs(5), 1024));
    assert_eq!(job.watermark, ingest::WatermarkSpec::Bounded(5_000_000));
}

#[test]
fn the_quarantine_may_go_to_standard_output() {
    let job = compile(SMALL, &["sink.quarantine.type=stdout"], &[]).unwrap();
    assert_eq!(job.sinks.last().map(|sink| sink.kind.clone()), Some(SinkKind::Stdout));
}

#[test]
fn the_pace_of_a_generator_does_not_change_its_events() {
    let generated = |rate: &str| {
        let text = changed(
            "type = \"file\"\npath = \"events.ndjson\"",
            &format!("type = \"generate\"\nrate = {rate}"),
        );
        match compile(&text, &[], &[]).unwrap().sources.remove(0) {
            ingest::SourceSpec { kind: SourceKind::Generate(spec), rate, .. } => (spec, rate),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(generated("100").0, generated("20000").0);
    assert_eq!((generated("100").1, generated("0").1), (Some(100.0), None));
}

#[test]
fn what_a_state_rests_on_is_in_the_identity_and_nothing_else() {
    let identity = |from: &str, to: &str| compile(&changed(from, to), &[], &[]).unwrap().identity;
    let same = compile(SMALL, &[], &[]).unwrap().identity;
    for (from, to) in [
        ("engagement < 0.3", "engagement < 0.5"),
        ("listen_s / events", "listen_s / (events + 1)"),
        ("[rules.quiet]", "[rules.loud]"),
        ("[sink.alerts]", "[sink.copy]\npath = \"copy\"\n[sink.alerts]"),
        ("path = \"events.ndjson\"", "path = \"moved.ndjson\"\nrate = 5"),
        ("event_type = \"varchar\"", "event_type = \"varchar\"\nunused = \"bigint\""),
    ] {
        assert_eq!(identity(from, to), same, "{to}");
    }
    for (from, to) in [
        ("key = \"user_id\"", "key = \"event_type\""),
        ("key = \"user_id\"", "key = \"user_id\"\nnull_key = \"group\""),
        ("size = \"10m\"", "size = \"11m\""),
        ("sum(duration_s)", "max(duration_s)"),
        ("sum(duration_s)", "sum(DISTINCT duration_s)"),
        ("unit = \"ms\"", "unit = \"s\""),
        ("path = \"events.ndjson\"", "path = \"events.ndjson\"\nlanes = 4"),
    ] {
        assert_ne!(identity(from, to), same, "{to}");
    }
}

#[test]
fn every_config_of_the_repository_is_good() {
    for name in ["podcast", "podcast-reference"] {
        let path = format!("{}/../../configs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(compile(&text, &[], &[]).is_ok(), "{name}: {:?}", compile(&text, &[], &[]).err());
    }
}

#[test]
fn a_new_file_of_a_watched_directory_is_named_only_where_no_other_can_have_had_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("source.events.path={}/", folder.path().display());
    let job = compile(SMALL, &[&path, "source.events.end=never"], &[]).unwrap();
    let names = || dataflow::partition_names(&job).unwrap().into_values().collect::<Vec<String>>();
    assert_eq!(names(), Vec::<String>::new());
    let put = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, "{}\n").unwrap();
        path.to_str().unwrap().to_owned()
    };
    let first = put("m");
    assert_eq!(names(), [first]);
    put("a");
    assert_eq!(names(), Vec::<String>::new(), "`a` would have the number that `m` had");
}
