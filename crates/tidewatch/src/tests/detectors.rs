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
    let shared = ["score.odd=random_cut_forest_with_explanation(events, 20, 64, 1000, 1, true)"];
    assert!(compile(SMALL, &shared, &[]).is_ok(), "over all keys too");
    let refused = score("random_cut_forest(events, 20, 64, 1000, 2)").unwrap_err();
    assert!(refused.contains("its `shingle` is 1") && refused.contains("keys => 'each'"), "{refused}");
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

/// A model of a kind that this program was built with is asked by its name; nobody loads it yet.
#[cfg(feature = "inference")]
#[test]
fn a_score_asks_a_model_by_its_name_and_names_what_takes_its_place() {
    let model = "models.churn={ type = \"http\", url = \"https://models.example.com/churn\" }";
    let with = |score: &str| {
        scores(&[
            model,
            "score.usual=baseline(events)",
            "score.text=upper(user_id)",
            &format!("score.risk={score}"),
        ])
    };
    assert_eq!(
        with("model(events, listen_s, of => 'churn', otherwise => 'usual', limit => -1, direction => 'low')"),
        Ok(())
    );
    let cases = [
        ("model(events, otherwise => 'usual')", "`model` asks a model, and does not say which"),
        ("model(events, of => 'chrun', otherwise => 'usual')", "did you mean `churn`?"),
        ("model(events, of => 'churn')", "a model may not answer, and nothing takes its place"),
        ("model(events, of => 'churn', otherwise => 'risk')", "`otherwise` is the name of a score"),
        ("model(events, of => 'churn', otherwise => 'text')", "`otherwise` is the name of a score"),
        (
            "model(events, of => 'churn', otherwise => 'usual', ignore_ratio => 1)",
            "`model` has no option `ignore_ratio`",
        ),
        ("model(user_id, of => 'churn', otherwise => 'usual')", "`model` looks at numbers"),
    ];
    for (score, expected) in cases {
        let refused = with(score).unwrap_err();
        assert!(refused.contains(expected), "{score}: {refused}");
    }
    let risk = "score.risk=model(events, of => 'churn', otherwise => 'usual')";
    let behind =
        scores(&[model, "score.usual=baseline(events)", risk, "score.odd=baseline(risk)"]).unwrap_err();
    assert!(behind.contains("`odd` stands behind `risk`"), "{behind}");
    let by_cohort = [model, "score.usual=cohort(events)", risk, "score.both=greatest(risk, usual)"];
    assert_eq!(scores(&by_cohort), Ok(()));
    let unknown = scores(&["models.churn={ type = \"http\", uri = \"x\" }"]).unwrap_err();
    assert!(unknown.contains("did you mean `url`?"), "{unknown}");
}

#[cfg(not(feature = "onnx"))]
#[test]
fn a_model_of_a_kind_that_is_left_out_is_refused_with_the_feature_that_brings_it() {
    let refused = scores(&["models.churn={ type = \"onnx\", path = \"churn.onnx\" }"]).unwrap_err();
    assert!(refused.contains("--features onnx"), "{refused}");
}

#[test]
fn a_detector_needs_rows_that_come_in_order_and_at_most_once_more() {
    assert_eq!(scores(&["score.odd=baseline(events)", "window.allowed_lateness=1m"]), Ok(()));
    let again = scores(&["score.odd=cusum(events)", "window.allowed_lateness=1m"]).unwrap_err();
    assert!(again.contains("`cusum` needs windows that are put out once"), "{again}");
    let early = scores(&["score.odd=baseline(events)", "window.early=10s"]).unwrap_err();
    assert!(early.contains("put out in order, and at most once more"), "{early}");
    let late = "window={ type = \"session\", gap = \"5m\", allowed_lateness = \"1m\" }";
    let late = scores(&["score.odd=baseline(events)", late]).unwrap_err();
    assert!(late.contains("put out in order, and at most once more"), "{late}");
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
