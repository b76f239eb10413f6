//! Scores that are calls of detectors.

use detect::Method;

use super::{SMALL, compile};

fn score(sql: &str) -> Result<(), String> {
    scores(&[&format!("score.odd={sql}")])
}

fn scores(sets: &[&str]) -> Result<(), String> {
    compile(SMALL, sets, &[]).map(drop)
}

#[test]
fn a_call_is_a_score_with_the_columns_that_its_detector_has() {
    let sets = [
        "score.odd=baseline(events, listen_s, direction => 'low')",
        "score.own=random_cut_forest_with_explanation(events, 20, 64, 1000, 2, false, keys => 'ann, bob')",
        "score.crowd=random_cut_forest(events, engagement)",
        "score.worst=greatest(odd, crowd / 2, own_grade)",
        "rules.quiet.when=worst > 1 AND own_explanation IS NOT NULL",
    ];
    let job = compile(SMALL, &sets, &[]).unwrap();
    let schema = job.branches[0].detection.row_schema();
    let names: Vec<&str> =
        schema.scores().map(|place| schema.schema().fields()[place].name.as_str()).collect();
    let expected = [
        "engagement",
        "odd",
        "own",
        "own_score",
        "own_threshold",
        "own_grade",
        "own_explanation",
        "crowd",
        "crowd_score",
        "crowd_threshold",
        "crowd_grade",
        "worst",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_arguments_of_kinesis_data_analytics_are_known_by_their_places() {
    let sets = ["score.odd=random_cut_forest(events, 20, 64, 1000, 2, keys => 'each')"];
    let job = compile(SMALL, &sets, &[]).unwrap();
    let detectors = job.branches[0].detection.detectors().unwrap();
    let Method::Forest { spec, .. } = &detectors.of()[0].method else { panic!("no forest") };
    assert_eq!((spec.trees, spec.sample, spec.decay, spec.shingle), (20, 64, 1000, 2));
    let refused = score("random_cut_forest(events, 20, trees => 10, keys => 'each')").unwrap_err();
    assert!(refused.contains("`trees` stands twice"), "{refused}");
    let refused = score("baseline(events, 20)").unwrap_err();
    assert!(refused.contains("`baseline` has no such argument"), "{refused}");
}

#[test]
fn what_is_wrong_with_a_call_is_said_at_its_word() {
    let cases = [
        ("baseline(event_count)", "unknown column `event_count`"),
        ("baseline(user_id)", "`baseline` looks at numbers, and this is a varchar"),
        ("baseline()", "`baseline` looks at one number or more"),
        ("baseline(events, limt => 2)", "did you mean `limit`?"),
        ("baseline(events, direction => 'up')", "`direction` is one of 'low', 'high', 'both'"),
        ("baseline(events, warmup => 500)", "`warmup` is a whole number from 2 to 120"),
        ("baseline(events, warmup => 50)", "`memory` is 30, which is not between `warmup` and 120"),
        ("baseline(events, limit => 0)", "`limit` is 0, which is not above 0"),
        ("baseline(events, slack => 1)", "`baseline` has no option `slack`"),
        ("cusum(events, slack => -1)", "`slack` is 0 to 1000"),
        ("series_forest(events)", "keeps a model for each key that it watches"),
        ("series_forest(events, engagement, keys => 'each')", "`inputs` is 2, which is not 1"),
        ("random_cut_forest(events, trees => 0)", "`trees` is a whole number from 1 to 1000"),
        ("1 + baseline(events)", "baseline"),
    ];
    for (sql, expected) in cases {
        let refused = score(sql).unwrap_err();
        assert!(refused.contains(expected), "{sql}: {refused}");
    }
}

#[test]
fn a_detector_needs_rows_that_come_once_and_in_order() {
    let late = scores(&["score.odd=baseline(events)", "window.allowed_lateness=1m"]).unwrap_err();
    assert!(late.contains("put out once, and in order"), "{late}");
    let session = "window={ type = \"session\", gap = \"5m\" }";
    assert_eq!(scores(&["score.odd=baseline(events)", session]), Ok(()));
    let shared = scores(&["score.odd=random_cut_forest(events)", session]).unwrap_err();
    assert!(shared.contains("windows that all keys share"), "{shared}");
    let behind =
        scores(&["score.crowd=random_cut_forest(events)", "score.odd=baseline(events)"]).unwrap_err();
    assert!(behind.contains("put it before that score"), "{behind}");
    let by_later = ["score.crowd=random_cut_forest(events)", "score.low=cohort(events, by => 'engagement2')"];
    let by_later = scores(&[by_later[0], "score.engagement2=crowd > 1", by_later[1]]).unwrap_err();
    assert!(by_later.contains("put it before that score"), "{by_later}");
}

#[test]
fn names_of_the_further_columns_are_taken() {
    let twice = scores(&["score.odd_score=1", "score.odd=random_cut_forest(events)"]).unwrap_err();
    assert!(twice.contains("`odd_score` is already"), "{twice}");
}
