//! Verdicts on every kind of windows, against an oracle that looks through all payments of a card for each question.

use testkit::random::{Random, seed};

use super::*;

/// How far event time may go back.
const BOUND: i64 = 1_000;
const MINUTE: i64 = 60_000;

/// A payment: when, and how much.
type Payment = (i64, f64);

/// Which payments the verdict on a card rests on, and from when on the window is, if it has an interval of its own; given
/// all payments of the card in the order in which they came, and the latest time of any card.
type Oracle = fn(&[Payment], i64) -> (Option<i64>, Vec<Payment>);

/// Whether a window with that end is still open.
fn is_open(end: i64, latest: i64) -> bool {
    end > latest - BOUND
}

/// The first of these windows that is open and holds the newest payment.
fn first_open(
    windows: impl IntoIterator<Item = (i64, i64)>,
    paid: &[Payment],
    latest: i64,
) -> (Option<i64>, Vec<Payment>) {
    let newest = paid.iter().map(|(at, _)| *at).max().expect("a payment");
    let holds = |(start, end): &(i64, i64)| *start <= newest && newest < *end && is_open(*end, latest);
    match windows.into_iter().find(holds) {
        Some((start, end)) => {
            (Some(start), paid.iter().filter(|(at, _)| (start..end).contains(at)).copied().collect())
        }
        None => (None, Vec::new()),
    }
}

fn tumbling(paid: &[Payment], latest: i64) -> (Option<i64>, Vec<Payment>) {
    first_open((-10..200).map(|n| (n * 10 * MINUTE, (n + 1) * 10 * MINUTE)), paid, latest)
}

fn sliding(paid: &[Payment], latest: i64) -> (Option<i64>, Vec<Payment>) {
    first_open((-10..2_000).map(|n| (n * MINUTE, (n + 10) * MINUTE)), paid, latest)
}

fn growing(paid: &[Payment], latest: i64) -> (Option<i64>, Vec<Payment>) {
    let windows =
        (-2..200).flat_map(|n| (1..=5).map(move |step| (n * 10 * MINUTE, (n * 10 + 2 * step) * MINUTE)));
    first_open(windows, paid, latest)
}

fn session(paid: &[Payment], latest: i64) -> (Option<i64>, Vec<Payment>) {
    let mut last: Vec<Payment> = Vec::new();
    for payment in paid {
        if last.last().is_some_and(|(at, _)| payment.0 > at + 5 * MINUTE) {
            last.clear();
        }
        last.push(*payment);
    }
    let end = last.last().expect("a payment").0 + 5 * MINUTE;
    if is_open(end, latest) { (Some(last[0].0), last) } else { (None, Vec::new()) }
}

/// The last payments of a card that belong to the window which is full next, of `size` payments after every `slide`.
fn counted(paid: &[Payment], size: usize, slide: usize) -> (Option<i64>, Vec<Payment>) {
    let full = (paid.len() / slide + 1) * slide;
    let held = paid.iter().enumerate().filter(|(number, _)| number + size >= full);
    let held: Vec<Payment> = held.map(|(_, payment)| *payment).collect();
    (held.first().map(|(at, _)| *at), held)
}

fn check(name: &str, window: &str, processes: usize, workers: usize, oracle: Oracle) {
    let rules = "[rules.any]\nwhen = \"payments > 0\"\n[sink.alerts]";
    let config = CONFIG.split("[rules.velocity]").next().expect("a part");
    let config = format!("{config}{rules}\npath = \"set by the test\"\n");
    let mut payments = Payments::start_as(&config, processes, workers, &[("window", window)]);
    let mut random = Random::new(seed(95));
    let mut paid: Vec<Vec<Payment>> = vec![Vec::new(); 4];
    let (mut latest, mut unknown) = (0, 0);
    for number in 0..70 {
        latest += match random.below(6) {
            0 => random.below(9 * MINUTE as u64) as i64,
            _ => random.below(MINUTE as u64) as i64,
        };
        let card = random.below(4) as usize;
        let amount = random.below(1_000) as f64;
        payments.pay(&format!("card-{card}"), latest, &[amount]);
        paid[card].push((latest, amount));
        // That of the card is known once it is told with this payment, and then so is what the payment means to others.
        for card in [card, (card + 1) % 4] {
            let what = format!("{name}, payment {number}, card {card} after {:?}", paid[card]);
            let expected = match paid[card].is_empty() {
                true => (None, Vec::new()),
                false => oracle(&paid[card], latest),
            };
            unknown += usize::from(expected.1.is_empty());
            agree(&payments, &format!("card-{card}"), &expected, &what);
        }
    }
    assert!(unknown > 0, "{name}: a verdict was always known");
    drop(payments.running.stdin.take());
    payments.running.wait(SOON).expect_code(0);
}

/// Checks that a verdict becomes what it must be, and is never anything else once it has all payments.
fn agree(payments: &Payments, card: &str, (start, held): &(Option<i64>, Vec<Payment>), what: &str) {
    let spent: f64 = held.iter().map(|(_, amount)| amount).sum();
    let asked = Instant::now();
    loop {
        if TcpStream::connect(payments.address).is_err() {
            assert!(asked.elapsed() < SOON, "nobody listens");
            std::thread::sleep(Duration::from_millis(10));
            continue;
        }
        let verdict = payments.verdict(card);
        let is_right = match held.is_empty() {
            true => verdict["verdict"] == "unknown" && verdict["windows"] == json!([]),
            false => {
                let features = &verdict["alerts"][0]["data"]["features"];
                let window = &verdict["windows"][0];
                let begins = start.is_none_or(|start| window["start"] == instant(start));
                begins
                    && window["records"] == held.len()
                    && features["payments"] == held.len()
                    && features["spent"] == spent
            }
        };
        if is_right {
            return;
        }
        assert!(
            asked.elapsed() < SOON,
            "{what}: expected {} from {start:?} with {spent}, told {verdict}",
            held.len()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A time of the test as it is told.
fn instant(at: i64) -> Value {
    let millis = 1_700_000_000_000 + at;
    let time = jiff::Timestamp::from_millisecond(millis).expect("a time");
    json!(time.to_string())
}

#[test]
fn tumbling_windows() {
    check("tumbling", "{ type = \"tumbling\", size = \"10m\" }", 1, 2, |paid, latest| {
        shifted(tumbling, paid, latest)
    });
}

#[test]
fn sliding_windows_also_with_rows_before_their_end() {
    for (window, workers) in [
        ("{ type = \"sliding\", size = \"10m\", slide = \"1m\" }", 1),
        ("{ type = \"sliding\", size = \"10m\", slide = \"1m\", early = \"2m\" }", 3),
        ("{ type = \"sliding\", size = \"10m\", slide = \"1m\", early = 2 }", 1),
    ] {
        check(window, window, 1, workers, |paid, latest| shifted(sliding, paid, latest));
    }
}

#[test]
fn growing_windows_also_with_rows_before_their_end() {
    for window in [
        "{ type = \"cumulate\", size = \"10m\", step = \"2m\" }",
        "{ type = \"cumulate\", size = \"10m\", step = \"2m\", early = 3 }",
    ] {
        check(window, window, 1, 1, |paid, latest| shifted(growing, paid, latest));
    }
}

#[test]
fn sessions_also_of_several_processes_and_with_rows_before_their_end() {
    for (window, processes) in [
        ("{ type = \"session\", gap = \"5m\" }", 1),
        ("{ type = \"session\", gap = \"5m\" }", 2),
        ("{ type = \"session\", gap = \"5m\", early = \"1m\" }", 1),
        ("{ type = \"session\", gap_by = \"300.0\" }", 1),
    ] {
        check(window, window, processes, 2, session);
    }
}

#[test]
fn count_windows_that_follow_one_another() {
    check("count 4", "{ type = \"count\", size = 4 }", 1, 2, |paid, _| counted(paid, 4, 4));
}

#[test]
fn count_windows_that_overlap() {
    check("count 6 by 2", "{ type = \"count\", size = 6, slide = 2 }", 1, 2, |paid, _| counted(paid, 6, 2));
    check("count 7 by 3", "{ type = \"count\", size = 7, slide = 3 }", 1, 1, |paid, _| counted(paid, 7, 3));
}

#[test]
fn count_windows_that_leave_payments_out() {
    check("count 2 by 5", "{ type = \"count\", size = 2, slide = 5 }", 1, 1, |paid, _| counted(paid, 2, 5));
}

#[test]
fn the_window_for_all_time() {
    check("global", "{ type = \"global\", early = 3 }", 1, 2, |paid, _| {
        (paid.first().map(|(at, _)| *at), paid.to_vec())
    });
}

/// Windows that keys share start at whole multiples of their slide since 1970, the times of the test do not.
fn shifted(oracle: Oracle, paid: &[Payment], latest: i64) -> (Option<i64>, Vec<Payment>) {
    let shift = 1_700_000_000_000_i64.rem_euclid(10 * MINUTE);
    let moved: Vec<Payment> = paid.iter().map(|(at, amount)| (at + shift, *amount)).collect();
    let (start, held) = oracle(&moved, latest + shift);
    (start.map(|start| start - shift), held)
}
