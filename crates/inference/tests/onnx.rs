//! Models in files of ONNX, run by the real onnxruntime: what they answer, by arithmetic done here, and what is refused.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use detect::Inference;
use inference::{BreakerSpec, Kind, Model, ModelSpec, OnnxSpec};
use testkit::onnxruntime::onnxruntime;
use testkit::workload::repository;

fn file(name: &str) -> PathBuf {
    repository().join("tests/models").join(name)
}

fn onnx(name: &str, library: &std::path::Path) -> OnnxSpec {
    OnnxSpec { path: file(name), library: Some(library.to_owned()), output: None, column: None }
}

fn model(onnx: OnnxSpec, batch: usize) -> Model {
    let breaker = BreakerSpec { failures: 2, pause: Duration::from_secs(600) };
    let timeout = Duration::from_millis(300);
    Model::new(ModelSpec { name: "it".into(), kind: Kind::Onnx(onnx), batch, timeout, breaker })
}

/// Three columns, and what `tests/models/make.py` says of them.
fn rows(count: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let column = |scale: f64| (0..count).map(|row| (row as f64 * scale).sin()).collect::<Vec<f64>>();
    let columns = vec![column(0.7), column(1.3), column(0.2)];
    let sums = (0..count).map(|row| columns[0][row] - 2.0 * columns[1][row] + 0.5 * columns[2][row] - 0.25);
    let sums = sums.collect();
    (columns, sums)
}

#[test]
fn each_row_gets_the_answer_of_the_model_whatever_stands_beside_it() {
    let Some(library) = onnxruntime() else { return };
    let (columns, sums) = rows(601);
    let model = model(onnx("logistic.onnx", &library), 256);
    model.prepare(3).expect("a model");
    let mut responder = model.open();
    let all = responder.ask(&columns).expect("answers");
    assert_eq!(all.len(), 601);
    for (answer, sum) in all.iter().zip(&sums) {
        let expected = 1.0 / (1.0 + (-sum).exp());
        assert!((answer - expected).abs() < 1e-6, "{answer} is not {expected}");
    }
    // Bit by bit: alone, and at every place of a batch.
    for row in (0..601).step_by(7) {
        let alone: Vec<Vec<f64>> = columns.iter().map(|column| vec![column[row]]).collect();
        assert_eq!(responder.ask(&alone).expect("an answer"), [all[row]], "row {row}");
        let behind: Vec<Vec<f64>> = columns.iter().map(|column| column[row..].to_vec()).collect();
        assert_eq!(model.open().ask(&behind).expect("answers"), all[row..], "from row {row} on");
    }
    assert_eq!(responder.ask(&[Vec::new(), Vec::new(), Vec::new()]), Ok(Vec::new()));
}

#[test]
fn batches_of_a_fixed_size_doubles_and_named_outputs_are_taken_as_they_are() {
    let Some(library) = onnxruntime() else { return };
    let (columns, sums) = rows(10);
    let fixed = model(onnx("fixed.onnx", &library), 256);
    fixed.prepare(3).expect("a model");
    assert_eq!(fixed.open().ask(&columns).expect("answers"), sums);

    let first_class = OnnxSpec { column: Some(0), ..onnx("logistic.onnx", &library) };
    let named = OnnxSpec { output: Some("probabilities".into()), ..first_class };
    let (one, other) = (model(named, 16), model(onnx("logistic.onnx", &library), 16));
    one.prepare(3).expect("a model");
    other.prepare(3).expect("a model");
    let (first, second) = (one.open().ask(&columns).expect("answers"), other.open().ask(&columns));
    for (first, second) in first.iter().zip(second.expect("answers")) {
        assert!((first + second - 1.0).abs() < 1e-6);
    }
    assert_ne!(one.identity(), other.identity(), "what is asked in another way is another model");
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_runs() {
    let Some(library) = onnxruntime() else { return };
    let refused = |onnx: OnnxSpec, inputs: usize| model(onnx, 8).prepare(inputs).expect_err("a refusal");
    let words = refused(onnx("logistic.onnx", &library), 2);
    assert!(words.contains("takes 3 inputs, and the score gives it 2"), "{words}");
    let words = refused(onnx("two_inputs.onnx", &library), 1);
    assert!(words.contains("2 inputs"), "{words}");
    let words = refused(onnx("missing.onnx", &library), 3);
    assert!(words.contains("missing.onnx"), "{words}");
    let words = refused(onnx("make.py", &library), 3);
    assert!(words.contains("onnxruntime cannot run it"), "{words}");
    let words = refused(OnnxSpec { output: Some("score".into()), ..onnx("logistic.onnx", &library) }, 3);
    assert!(words.contains("no output `score`") && words.contains("`probabilities`"), "{words}");
    let elsewhere = PathBuf::from("/nowhere/libonnxruntime.so");
    let words = refused(OnnxSpec { library: Some(elsewhere), ..onnx("logistic.onnx", &library) }, 3);
    assert!(words.contains("/nowhere/libonnxruntime.so"), "{words}");

    let model = model(onnx("logistic.onnx", &library), 8);
    model.prepare(3).expect("a model");
    let words = model.prepare(2).expect_err("two scores that ask differently");
    assert!(words.contains("one score gives it 3 inputs, and another one 2"), "{words}");
}

#[test]
fn a_model_that_takes_too_long_is_ended_and_then_spared() {
    let Some(library) = onnxruntime() else { return };
    let model = model(onnx("endless.onnx", &library), 4);
    model.prepare(3).expect("a model");
    let (mut responder, mut other) = (model.open(), model.open());
    let columns = [vec![1.0], vec![2.0], vec![3.0]];
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(responder.ask(&columns), Err("no answer in time".into()));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
    let begun = Instant::now();
    assert!(other.ask(&columns).is_err());
    assert!(begun.elapsed() < Duration::from_millis(200), "nobody was to be asked: {:?}", begun.elapsed());
}
