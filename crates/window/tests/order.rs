//! Windows in order, case by case: those of Flink (`shared/fixtures/windowing.json`, where a record's `seen` is
//! the watermark before it) and the edges.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray};
use event::{Aggregate, AggregateFunction, DataType, Place, Rows, Watermark, key_hash};
use window::{Run, Sequence, SequenceSpec};

fn sum() -> Aggregate {
    Aggregate::of(AggregateFunction::Sum, Some(DataType::Bigint))
}

/// `key@time`, `key*value@time` or `key@time+gap`.
fn run_of(item: &str, seen: i64, offset: u64) -> Run {
    let (key, time) = item.split_once('@').expect("a record");
    let (time, gap) = time.split_once('+').unwrap_or((time, "1"));
    let (key, value) = key.split_once('*').unwrap_or((key, "1"));
    let keys = BinaryArray::from(vec![key.as_bytes()]);
    let values: Int64Array = vec![value.parse::<i64>().expect("a value")].into();
    Run {
        partition: 0,
        series: 0,
        hashes: vec![key_hash(key.as_bytes())],
        times: vec![time.parse().expect("a time")],
        seen: vec![seen],
        offsets: vec![offset],
        gaps: Some(vec![gap.parse().expect("a gap")]),
        inputs: vec![Arc::new(values) as ArrayRef],
        raw: vec![item.as_bytes().to_vec()],
        keys,
    }
}

fn write_rows(rows: &Rows, out: &mut Vec<String>) {
    let sums = rows.aggregates.column(0).as_primitive::<Int64Type>();
    for row in 0..rows.keys.len() {
        let span = rows.spans.of(row);
        let key = String::from_utf8_lossy(rows.keys.value(row));
        let mut text = format!("{key}[{},{})={}", span.window.start, span.window.end, sums.value(row));
        if span.by_record {
            write!(text, "#{}", span.sequence).expect("a text");
        }
        out.push(text);
    }
}

/// Records and watermarks (`!time`), then what each watermark gives, sorted, and what is late.
fn check(spec: SequenceSpec, items: &str, expected: &str) {
    let mut sequence = Sequence::new(spec, vec![sum()]);
    let (mut seen, mut found) = (i64::MIN, String::new());
    for (offset, item) in (0..).zip(items.split_whitespace().chain(["!end"])) {
        let Some(mark) = item.strip_prefix('!') else {
            sequence.hold(run_of(item, seen, offset));
            continue;
        };
        let to = match mark.parse() {
            Ok(mark) => Place::first_at(Watermark(mark)),
            Err(_) => Place::END,
        };
        seen = to.seen.0;
        let mut rows = Vec::new();
        sequence.advance(to, &mut |more| write_rows(&more, &mut rows));
        rows.sort();
        let late = sequence.take_judged().late.into_iter().map(|late| late.raw);
        rows.extend(late.map(|raw| format!("late:{}", String::from_utf8_lossy(&raw))));
        if !rows.is_empty() {
            write!(found, "!{mark} {} ", rows.join(" ")).expect("a text");
        }
    }
    assert_eq!(found.trim_end(), expected);
}

fn session(gap: i64) -> SequenceSpec {
    SequenceSpec::session(gap).expect("a gap")
}

#[test]
fn flinks_sessions_of_three_seconds() {
    check(
        session(3000),
        "key2*1@0 key2*2@1000 key2*3@2500 key1*1@10 key1*2@1000 key1*3@2500 key2*4@5501 key2*5@6000 \
         key2*5@6000 key2*6@6050 !12000 key2*10@15000 key2*20@15000 !17999",
        "!12000 key1[10,5500)=6 key2[0,5500)=6 key2[5501,9050)=20 !17999 key2[15000,18000)=30",
    );
}

#[test]
fn flinks_sessions_merge_and_drop_what_is_late() {
    check(
        session(3000),
        "key2@1000 !1999 key2@2000 !4998 key2@4500 key2@8500 !7400 key2@7000 !11501 key2@11600 !14600 \
         key2@10000 key2@14500 !20000 !100000",
        "!11501 key2[1000,11500)=5 !14600 key2[11600,14600)=1 !20000 key2[14500,17500)=1 late:key2@10000",
    );
}

#[test]
fn flinks_count_of_four() {
    check(
        SequenceSpec::count(4).expect("a size"),
        "key2@3000 key2@3999 key1@20 key1@0 key1@999 key2@1998 key2@1999 key2@1000 key1@10999 key2@1000 \
         key2@1000 key2@1000",
        "!end key1[0,11000)=4#0 key2[1000,1001)=4#1 key2[1998,4000)=4#0",
    );
}

#[test]
fn sessions_that_touch_are_one_and_those_a_tick_apart_are_two() {
    check(session(10), "a@0 a@10", "!end a[0,20)=2");
    check(session(10), "a@0 a@11", "!end a[0,10)=1 a[11,21)=1");
    check(session(10), "a@10 a@0", "!end a[0,20)=2");
    check(session(10), "a@-25 a@-15 a@-4 a@6 b@-1", "!end a[-25,-5)=2 a[-4,16)=2 b[-1,9)=1");
}

#[test]
fn a_record_makes_three_sessions_one() {
    check(session(10), "a@0 a@30 a@15 !5 a@8 a@23 !60", "!60 a[0,40)=5");
    check(
        SequenceSpec::SessionByRecord,
        "a*1@0+5 a*2@20+5 a*4@40+5 b@20+5 a*8@1+60 !100",
        "!100 a[0,61)=15 b[20,25)=1",
    );
}

#[test]
fn a_session_is_open_until_its_last_tick_is_seen() {
    // Due at 9: seen 8 still merges, seen 9 finds it closed.
    check(session(10), "a@0 !8 a@9 !30", "!30 a[0,19)=2");
    check(session(10), "a@0 !9 a@9 a@-2 !30", "!9 a[0,10)=1 !30 a[9,19)=1 late:a@-2");
    check(session(10), "a@0 !9 a@0 !30", "!9 a[0,10)=1 !30 late:a@0");
}

#[test]
fn a_late_record_that_an_open_session_touches_is_not_late() {
    check(session(10), "a@20 !15 a@1 a@11 !100", "!100 a[11,30)=2 late:a@1");
}

#[test]
fn sums_of_sessions_that_become_one_outgrow_their_cells() {
    const SESSIONS: i64 = 40_000;
    let sum = Aggregate::of(AggregateFunction::Sum, Some(DataType::Double));
    let mut sequence = Sequence::new(SequenceSpec::SessionByRecord, vec![sum]);
    // Just what a narrow cell holds; so many of them are more than 64 bits of it.
    let value = f64::from((1 << 28) - 1);
    for number in 0..=SESSIONS {
        let (time, gap, value) =
            if number < SESSIONS { (number * 3, 1, value) } else { (0, SESSIONS * 3, 0.0) };
        let inputs = vec![Arc::new(Float64Array::from(vec![value])) as ArrayRef];
        sequence.hold(Run { inputs, ..run_of(&format!("a@{time}+{gap}"), i64::MIN, number as u64) });
    }
    let mut sums: Vec<f64> = Vec::new();
    sequence.advance(Place::END, &mut |rows| {
        sums.extend(rows.aggregates.column(0).as_primitive::<Float64Type>().values());
    });
    assert_eq!(sums, vec![value * SESSIONS as f64]);
}

#[test]
fn a_count_window_slides_by_whole_steps_whether_or_not_they_divide_it() {
    let spec = SequenceSpec::count_sliding(5, 2).expect("a size");
    let items = "a*1@1 a*2@2 a*4@3 a*8@4 a*16@5 a*32@6 a*64@7 a*128@8 a*256@9";
    check(spec, items, "!end a[1,3)=3#0 a[1,5)=15#1 a[2,7)=62#2 a[4,9)=248#3");
    // Of three only the last two count.
    let spec = SequenceSpec::count_sliding(2, 3).expect("a size");
    check(spec, items, "!end a[2,4)=6#0 a[5,7)=48#1 a[8,10)=384#2");
}

#[test]
fn each_record_is_a_row_and_equal_ones_are_told_apart() {
    check(
        SequenceSpec::each(),
        "a@5 a@5 b@5 !9 a@5 !10",
        "!9 a[5,6)=1#0 a[5,6)=1#1 b[5,6)=1#0 !10 a[5,6)=1#0",
    );
}

#[test]
fn texts_that_no_session_holds_any_more_are_let_go_and_the_others_stay() {
    let max = Aggregate::of(AggregateFunction::Max, Some(DataType::Varchar));
    let mut sequence = Sequence::new(session(10), vec![max]);
    let mut ends = Vec::new();
    for step in 0..9000i64 {
        let mut run = run_of(&format!("long@{}", step * 20), step * 20 - 10, step as u64 * 4);
        run.gaps = None;
        let text = format!("{}-{step}", if step == 7 { "z" } else { "a" });
        run.inputs = vec![Arc::new(StringArray::from(vec![text])) as ArrayRef];
        // One key is never quiet for long, the other one always is.
        for (key, time) in [("long", step * 20), ("long", step * 20 + 10), ("short", step * 20)] {
            let offset = run.offsets[0] + 1;
            run = Run {
                keys: BinaryArray::from(vec![key.as_bytes()]),
                hashes: vec![key_hash(key.as_bytes())],
                times: vec![time],
                offsets: vec![offset],
                ..run
            };
            sequence.hold(run.clone());
        }
        let to = Place::first_at(Watermark(step * 20 - 5));
        sequence.advance(to, &mut |rows| {
            let texts = rows.aggregates.column(0).as_string::<i32>();
            ends.extend(texts.iter().flatten().map(str::to_owned));
        });
    }
    sequence.advance(Place::END, &mut |rows| {
        let texts = rows.aggregates.column(0).as_string::<i32>();
        ends.extend(texts.iter().flatten().map(str::to_owned));
    });
    assert_eq!(ends.iter().filter(|text| *text == "z-7").count(), 2, "of either key");
    assert_eq!(ends.len(), 9000 + 1);
}

#[test]
fn windows_that_cannot_be_are_refused() {
    assert!(SequenceSpec::session(0).is_err() && SequenceSpec::count(0).is_err());
    assert!(SequenceSpec::count_sliding(1, 0).is_err() && SequenceSpec::count_sliding(1 << 20, 1).is_err());
    assert!(SequenceSpec::count_sliding(1 << 20, 1 << 10).is_ok());
}
