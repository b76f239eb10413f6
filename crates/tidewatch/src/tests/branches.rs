//! Jobs with several kinds of windows.

use super::{SMALL, changed, check, compile};

/// `SMALL` with its sections in branches, and a second one.
fn branched() -> String {
    let head = SMALL.split("[window]").next().unwrap();
    format!(
        r#"{head}
[branch.minutes]
where = "duration_s > 0"
columns = ["user_id", "window_end", "events"]
[branch.minutes.window]
type = "tumbling"
size = "10m"
[branch.minutes.features]
events = "count(*)"
[branch.visits]
columns = ["user_id", "window_end", "seconds AS events"]
[branch.visits.window]
type = "session"
gap = "30m"
[branch.visits.features]
seconds = "count(DISTINCT event_type)"
[branch.visits.rules.long]
when = "seconds > 3"
[sink.rows]
type = "stdout"
format = "plain"
"#
    )
}

#[test]
fn what_a_branch_cannot_be_as_a_whole_is_said_with_the_cause() {
    let rules: String =
        (0..65_536).map(|number| format!("[rules.r{number}]\nwhen = \"events < 1\"\n")).collect();
    let refused = compile(&format!("{SMALL}{rules}"), &[], &[]).unwrap_err();
    assert!(refused.contains("65537 rules are too many; at most 65536 are possible"), "{refused}");
}

#[test]
fn branches_have_windows_of_their_own_and_stand_in_the_order_of_the_file() {
    let job = compile(&branched(), &[], &[]).unwrap();
    let lengths: Vec<usize> = job.branches.iter().map(|branch| branch.detection.rules().len()).collect();
    assert_eq!(lengths, [0, 1]);
    let identity: Vec<(&str, &str)> = job
        .identity
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .filter(|(name, _)| name.starts_with("branch"))
        .collect();
    assert_eq!(
        identity,
        [
            ("branches", "minutes; visits"),
            ("branch.minutes.where", "duration_s > 0"),
            ("branch.minutes.window", "size 600000000us, slide 600000000us"),
            ("branch.minutes.features", "count(*)"),
            ("branch.visits.where", ""),
            ("branch.visits.window", "session, gap 1800000000us"),
            ("branch.visits.features", "count(DISTINCT event_type)"),
        ]
    );
    assert!(!job.identity.iter().any(|(name, _)| name == "window" || name == "features"));
}

#[test]
fn a_job_without_branches_rests_on_what_it_always_did() {
    let job = compile(SMALL, &[], &[]).unwrap();
    let names: Vec<&str> = job.identity.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "sources",
            "event.key",
            "event.time",
            "event.fields",
            "time.out_of_order",
            "transform",
            "transform.where",
            "window",
            "features"
        ]
    );
}

#[test]
fn what_branches_have_for_themselves_a_job_has_not_beside_them() {
    let text = branched().replace("[sink.rows]", "[score]\nx = \"1\"\n[sink.rows]");
    check(
        &text,
        r#"
error[E0301]: a job with `[branch]` has its `[score]` in each branch
  --> job.toml:33:2
   |
33 | [score]
   |  ^^^^^ help: write `[branch.minutes.score]`"#,
    );
}

#[test]
fn mistakes_in_a_branch_are_named_there() {
    for (from, to, expected) in [
        ("gap = \"30m\"", "gab = \"30m\"", "unknown key `gab` in `[branch.visits.window]`"),
        ("where = \"duration_s > 0\"", "were = \"TRUE\"", "unknown key `were` in branch `minutes`"),
        ("where = \"duration_s > 0\"", "where = \"events > 0\"", "unknown column `events`"),
        ("where = \"duration_s > 0\"", "where = \"duration_s\"", "expected a condition, found a double"),
        ("seconds AS events", "seconds", "a column `seconds`, where the first branch has `events`"),
        ("seconds AS events", "1.5 * seconds AS events", "`events` is a double here, and a bigint"),
        (", \"seconds AS events\"", "", "2 columns, where the first branch has 3"),
        ("when = \"seconds > 3\"", "when = \"events > 3\"", "unknown column `events`"),
        (
            "[branch.visits.features]\nseconds",
            "[branch.visits.features]\nuser_id",
            "`user_id` is already in the key",
        ),
        ("format = \"plain\"", "", "sink `rows` writes alerts, but branch `minutes` has no rules"),
        ("[branch.visits.window]\ntype = \"session\"\ngap = \"30m\"", "", "the job has no `[window]`"),
        (
            "type = \"stdout\"",
            "type = \"sqlite\"\npath = \"a.db\"\ntable = \"t\"",
            "plain rows of a table are told apart by key and window",
        ),
    ] {
        let text = branched();
        assert!(text.contains(from), "{from}");
        let found = compile(&text.replace(from, to), &[], &[]).map(|_| ()).unwrap_err();
        assert!(found.contains(expected), "{from}\n{found}");
    }
}

#[test]
fn the_names_of_one_branch_say_nothing_in_another() {
    let text = branched().replace("count(DISTINCT event_type)", "count(DISTINCT evnt)");
    let text =
        text.replace("events = \"count(*)\"", "events = \"count(*)\"\nseconds = \"count(event_type)\"");
    let found = compile(&text, &[], &[]).map(|_| ()).unwrap_err();
    assert_eq!(found.matches("error[").count(), 1, "{found}");
    // A single one may have a name, too.
    let one = changed("[window]", "[branch.a.window]").replace("[features]", "[branch.a.features]");
    let one = one.replace("[score]", "[branch.a.score]").replace("[rules.quiet]", "[branch.a.rules.quiet]");
    assert_eq!(compile(&one, &[], &[]).unwrap().branches.len(), 1);
}
