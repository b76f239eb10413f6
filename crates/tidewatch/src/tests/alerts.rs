//! Jobs that put out episodes.

use detect::LifeCycle;

use super::{SMALL, compile};

const SECOND: i64 = 1_000_000;

/// The life cycle of the only rule.
fn life_cycle(sets: &[&str]) -> Result<Option<LifeCycle>, String> {
    compile(SMALL, sets, &[]).map(|job| job.branches[0].detection.rules()[0].life_cycle)
}

#[test]
fn without_the_section_each_row_is_put_out() {
    assert_eq!(life_cycle(&[]), Ok(None));
    assert_eq!(life_cycle(&["alerts.group_windows=false"]), Ok(None));
    let refused = life_cycle(&["rules.quiet.cooldown=1h"]).unwrap_err();
    assert!(refused.contains("`cooldown` is about episodes"), "{refused}");
}

#[test]
fn what_is_not_said_follows_from_the_windows_and_a_rule_has_the_last_word() {
    let usual = LifeCycle {
        bad_windows: 1,
        within: 600 * SECOND,
        resolve_after: 1800 * SECOND,
        longest: 3600 * SECOND,
        cooldown: 1800 * SECOND,
    };
    assert_eq!(life_cycle(&["alerts.group_windows=true"]), Ok(Some(usual)));
    let sliding = ["window.type=sliding", "window.slide=1m", "alerts.cooldown=1h", "rules.quiet.cooldown=5m"];
    let expected = LifeCycle {
        bad_windows: 3,
        within: 240 * SECOND,
        resolve_after: 180 * SECOND,
        cooldown: 300 * SECOND,
        ..usual
    };
    assert_eq!(life_cycle(&sliding), Ok(Some(expected)));
    let timed = ["alerts.open_after=2 in 45m", "alerts.resolve_after=20m", "alerts.longest=2h"];
    let expected = LifeCycle {
        bad_windows: 2,
        within: 2700 * SECOND,
        resolve_after: 1200 * SECOND,
        longest: 7200 * SECOND,
        ..usual
    };
    assert_eq!(life_cycle(&timed), Ok(Some(expected)));
}

#[test]
fn windows_that_are_put_out_again_and_tables_of_plain_rows_are_refused() {
    let refused = |sets: &[&str]| life_cycle(sets).unwrap_err();
    let early = refused(&["alerts.cooldown=1h", "window.early=1m"]);
    assert!(early.contains("put out once, and in order"), "{early}");
    assert!(life_cycle(&["alerts.cooldown=1h", "window.allowed_lateness=1m"]).is_ok());
    let session = "window={ type = \"session\", gap = \"5m\", allowed_lateness = \"1m\" }";
    let session = refused(&["alerts.open_after=1", session]);
    assert!(session.contains("put out once, and in order"), "{session}");
    let session = ["window={ type = \"session\", gap = \"5m\" }", "alerts.open_after=3 of 4"];
    assert!(refused(&session).contains("at equal distances"));
    assert!(
        life_cycle(&["window={ type = \"session\", gap = \"5m\" }", "alerts.open_after=3 in 1h"]).is_ok()
    );
    let columns = r#"sink.alerts.columns=["user_id", "window_start", "window_end", "rule"]"#;
    let table =
        ["sink.alerts.type=sqlite", "sink.alerts.path=a.db", "sink.alerts.table=t", "state.dir=state"];
    let plain = [&table[..], &["sink.alerts.format=plain", columns]].concat();
    assert!(life_cycle(&plain).is_ok(), "{:?}", life_cycle(&plain));
    assert!(refused(&[&plain[..], &["alerts.cooldown=1h"]].concat()).contains("what is said of an episode"));
    assert!(life_cycle(&[&table[..], &["alerts.cooldown=1h"]].concat()).is_ok());
}

#[test]
fn what_is_told_of_episodes_needs_episodes_and_rules() {
    let refused = |sets: &[&str]| compile(SMALL, sets, &[]).map(|_| ()).unwrap_err();
    for setting in
        ["alerts.grace=1m", "alerts.cap.per_minute=3", "alerts.mute.a={ from = \"22:00\", to = \"06:00\" }"]
    {
        assert!(compile(SMALL, &[setting], &[]).is_ok(), "{setting}");
        let refused = refused(&["alerts.group_windows=false", setting]);
        assert!(refused.contains("is about episodes"), "{setting}: {refused}");
    }
    assert!(refused(&["rules.quiet.grace=1m"]).contains("`grace` is about episodes"));
}

#[test]
fn a_mute_is_from_one_instant_to_another_or_on_days_of_the_week() {
    let muted = |mute: &str| compile(SMALL, &[&format!("alerts.mute.m={mute}")], &[]).map(|_| ());
    for good in [
        r#"{ from = "2026-01-02", to = "2026-01-03T04:00:00Z" }"#,
        r#"{ from = "22:00", to = "06:00", days = ["sat", "sun"], zone = "Europe/Berlin" }"#,
        r#"{ from = "22:00", to = "06:00", rules = ["quiet"], when = "window_end > window_start" }"#,
    ] {
        assert_eq!(muted(good), Ok(()), "{good}");
    }
    for (bad, words) in [
        (r#"{ from = "2026-01-02", to = "06:00" }"#, "an instant and a time of the day"),
        (r#"{ from = "2026-01-02", to = "2026-01-02" }"#, "ends before it starts"),
        (r#"{ from = "2026-01-02", to = "2026-01-03", zone = "UTC" }"#, "neither `days` nor a `zone`"),
        (r#"{ from = "22:00", to = "06:00", days = ["caturday"] }"#, "`caturday` is no day"),
        (r#"{ from = "22:00", to = "06:00", zone = "Mars/Olympus" }"#, "`Mars/Olympus` is no time zone"),
        (r#"{ from = "22:00", to = "06:00", rules = ["loud"] }"#, "a rule `loud`, which there is not"),
        (r#"{ from = "22:00", to = "06:00", when = "nothing > 1" }"#, "nothing"),
        (r#"{ from = "25:00", to = "06:00" }"#, "25:00"),
        (r#"{ from = "22:00" }"#, "has no `to`"),
    ] {
        let refused = muted(bad).unwrap_err();
        assert!(refused.contains(words), "{bad}: {refused}");
    }
}

#[test]
fn a_cap_counts_by_columns_that_there_are() {
    let capped = |cap: &str| compile(SMALL, &[&format!("alerts.cap={cap}")], &[]).map(|_| ());
    assert_eq!(capped("{ per_minute = 3, by = \"user_id\" }"), Ok(()));
    assert!(capped("{ per_minute = 3, by = [\"user_ix\"] }").unwrap_err().contains("did you mean `user_id`"));
    assert!(capped("{ per_minute = -1 }").is_err() && capped("{ by = [\"user_id\"] }").is_err());
    assert_eq!(capped("{ per_minute = 0, rules = [\"quiet\"] }"), Ok(()));
    let refused = capped("{ per_minute = 0, rules = [\"loud\"] }").unwrap_err();
    assert!(refused.contains("the cap is about a rule `loud`, which there is not"), "{refused}");
}

#[test]
fn no_more_families_can_agree_than_there_are() {
    let asked =
        |sets: &[&str]| compile(SMALL, &[&["rules.quiet.agreement=2"], sets].concat(), &[]).map(|_| ());
    assert!(asked(&[]).unwrap_err().contains("2 families of detectors cannot agree: the rule asks 1"));
}
