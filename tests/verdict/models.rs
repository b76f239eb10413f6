//! Verdicts that rest on a model: a file on this machine is asked, an endpoint is not waited for.

use serde_json::json;
use testkit::onnxruntime::onnxruntime;
use testkit::receiver::{Receiver, Reply};
use testkit::workload::repository;

use super::Payments;

/// `1 / (1 + exp(-(spent / 100 - 2 payments + 0.5 payments - 0.25)))`, see `tests/models/make.py`.
const RISK: &str = "\"model(spent / 100, payments, payments, of => 'fraud', otherwise => 'usual')\"";
const USUAL: &str = "\"baseline(spent)\"";

#[test]
fn a_model_in_a_file_judges_the_open_window() {
    let Some(library) = onnxruntime() else { return };
    let model = repository().join("tests/models/logistic.onnx");
    let (model, library) = (model.display().to_string(), library.display().to_string());
    for workers in [1, 3] {
        let mut payments = Payments::start(
            1,
            workers,
            &[
                ("models.fraud.type", "onnx"),
                ("models.fraud.path", &model),
                ("models.fraud.library", &library),
                ("score.usual", USUAL),
                ("score.risk", RISK),
                ("rules.risky.when", "\"risk > 1\""),
            ],
        );
        // 1.5 a payment and 0.25 are to be exceeded by the hundreds that were spent.
        payments.pay("small", 0, &[100.0, 200.0]);
        payments.pay("large", 0, &[100.0, 250.0]);
        assert_eq!(payments.verdict_of("small", 2)["verdict"], "clear");
        let large = payments.verdict_of("large", 2);
        assert_eq!(large["alerts"][0]["data"]["rule"], "risky", "{large}");
        let score = large["alerts"][0]["data"]["score"].as_f64().expect("a score");
        let expected = 2.0 / (1.0 + (-0.25_f64).exp());
        assert!((score - expected).abs() < 1e-6, "{score} is not {expected}");
    }
}

#[test]
fn an_endpoint_is_not_waited_for_and_the_named_score_takes_its_place() {
    let receiver = Receiver::start(|_| Reply::status(500));
    let url = receiver.url("/");
    let mut payments = Payments::start(
        1,
        2,
        &[
            ("models.fraud.type", "http"),
            ("models.fraud.url", &url),
            ("score.usual", "\"spent / 300.0\""),
            ("score.risk", RISK),
            ("rules.risky.when", "\"risk > 1 AND risk_fallback = 1\""),
        ],
    );
    payments.pay("small", 0, &[100.0, 200.0]);
    payments.pay("large", 0, &[100.0, 250.0]);
    assert_eq!(payments.verdict_of("small", 2)["verdict"], "clear");
    assert_eq!(payments.verdict_of("large", 2)["alerts"][0]["data"]["rule"], json!("risky"));
    assert_eq!(receiver.requests().len(), 0);
}
