//! Models behind an endpoint: what is sent, what is taken for an answer, and that nobody waits for one that does not come.

use std::time::{Duration, Instant};

use detect::Inference;
use event::Secret;
use inference::{BreakerSpec, EndpointSpec, Kind, Model, ModelSpec, Wire};
use testkit::receiver::{Receiver, Reply};

const PAUSE: Duration = Duration::from_millis(400);

fn json() -> Wire {
    Wire::Json { rows: "instances".into(), answers: "predictions.score".into() }
}

fn model(receiver: &Receiver, wire: Wire) -> Model {
    let endpoint = EndpointSpec {
        url: Secret::Text(receiver.url("/invocations")),
        token: Some(Secret::Text("hunter2".into())),
        ca: None,
        allow_http: false,
        wire,
        explain_within: Duration::from_secs(1),
    };
    let model = Model::new(ModelSpec {
        name: "it".into(),
        kind: Kind::Http(endpoint),
        batch: 100,
        timeout: Duration::from_millis(250),
        breaker: BreakerSpec { failures: 3, pause: PAUSE },
    });
    model.prepare(2).expect("a model");
    model
}

fn columns() -> [Vec<f64>; 2] {
    [vec![1.0, -2.5], vec![0.1, 3e7]]
}

#[test]
fn rows_are_posted_with_the_token_and_answers_come_back_in_their_order() {
    let receiver =
        Receiver::start(|_| Reply::Answer(r#"{"predictions":[{"score":0.25},{"score":0.75}]}"#.into()));
    let answers = model(&receiver, json()).open().ask(&columns());
    assert_eq!(answers, Ok(vec![0.25, 0.75]));
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "POST /invocations");
    assert_eq!(requests[0].header("authorization"), "Bearer hunter2");
    assert_eq!(requests[0].header("content-type"), "application/json");
    assert_eq!(requests[0].body, br#"{"instances":[[1.0,0.1],[-2.5,30000000.0]]}"#);

    receiver.answer(|_| Reply::Answer("0.5\n1\n".into()));
    assert_eq!(model(&receiver, Wire::Csv).open().ask(&columns()), Ok(vec![0.5, 1.0]));
    let requests = receiver.requests();
    assert_eq!(requests[1].header("content-type"), "text/csv");
    assert_eq!(requests[1].body, b"1.0,0.1\n-2.5,30000000.0\n");
}

#[test]
fn what_is_no_answer_is_said_in_words_that_show_no_secret() {
    let receiver = Receiver::start(|_| Reply::status(500));
    let bad: [(Reply, &str); 6] = [
        (Reply::Say(503, vec![], "warming up"), "HTTP 503 Service Unavailable: warming up"),
        (Reply::Say(302, vec![("location", "http://127.0.0.1:1/".into())], ""), "HTTP 302 Found"),
        (Reply::Answer("{}".into()), "there is no `predictions.score` in the answer"),
        (Reply::Answer(r#"{"predictions":[{"score":1}]}"#.into()), "1 answers to 2 rows"),
        (Reply::Hang(Duration::from_secs(5)), "no answer in time"),
        (Reply::Answer("x".repeat(1 << 20)), "the answer is longer than"),
    ];
    for (reply, expected) in bad {
        receiver.answer(move |_| reply.clone());
        // Each for the first time: nobody is spared yet.
        let words = model(&receiver, json()).open().ask(&columns()).expect_err("no answer");
        assert!(words.contains(expected), "{words}");
        assert!(!words.contains("hunter2") && !words.contains("invocations"), "{words}");
    }
}

#[test]
fn after_failures_in_a_row_nobody_is_asked_until_one_trial_is_answered() {
    let receiver = Receiver::start(|_| Reply::Break);
    let model = model(&receiver, json());
    let (mut one, mut other) = (model.open(), model.open());
    for _ in 0..3 {
        assert!(one.ask(&columns()).is_err());
    }
    let asked = receiver.requests().len();
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(one.ask(&columns()).is_err() && other.ask(&columns()).is_err());
    }
    if begun.elapsed() < PAUSE {
        assert_eq!(receiver.requests().len(), asked, "all who ask share the circuit");
    }
    receiver.answer(|_| Reply::Answer(r#"{"predictions":[{"score":1},{"score":2}]}"#.into()));
    std::thread::sleep(PAUSE + Duration::from_millis(50));
    assert_eq!(other.ask(&columns()), Ok(vec![1.0, 2.0]));
    assert_eq!(one.ask(&columns()), Ok(vec![1.0, 2.0]));
    assert_eq!(receiver.requests().len(), asked + 2);
}

#[test]
fn about_rows_that_there_were_not_nobody_waits_longer_than_he_wants_to_and_no_circuit_opens() {
    let receiver = Receiver::start(|_| Reply::Hang(Duration::from_secs(5)));
    let model = model(&receiver, json());
    let mut one = model.open();
    let begun = Instant::now();
    for _ in 0..6 {
        let words = one.suppose(&columns(), Duration::from_millis(20)).expect_err("no answer");
        assert_eq!(words, "no answer in time");
    }
    assert!(begun.elapsed() < Duration::from_millis(6 * 200), "{:?}", begun.elapsed());
    receiver.answer(|_| Reply::Answer(r#"{"predictions":[{"score":1},{"score":2}]}"#.into()));
    assert_eq!(one.ask(&columns()), Ok(vec![1.0, 2.0]), "not spared");
    receiver.answer(|_| Reply::Break);
    (0..3).for_each(|_| assert!(one.ask(&columns()).is_err()));
    let asked = receiver.requests().len();
    let spared = one.suppose(&columns(), Duration::from_secs(9)).expect_err("no answer");
    assert_eq!((spared.as_str(), receiver.requests().len()), ("it has not answered for a while", asked));
}

#[test]
fn an_endpoint_that_is_not_there_is_no_answer() {
    let receiver = Receiver::start(|_| Reply::Break);
    let model = model(&receiver, json());
    drop(receiver);
    let begun = Instant::now();
    assert!(model.open().ask(&columns()).is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(model.try_out(2).is_err());
}
