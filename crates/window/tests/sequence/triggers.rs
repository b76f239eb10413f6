//! Windows with triggers: random ones, and what the naive model says of them.

use event::{Outcome, Span, Window};
use proptest::prelude::*;
use testkit::oracle::triggers::{Arrived, Holding, Triggers};
use window::{Assigner, Early, Late, TriggerSpec, WindowSpec};

use super::{Answer, Placed, key};

pub(crate) fn naive(spec: &TriggerSpec, records: &[&Placed], answer: &mut Answer) {
    let Some(first) = records.first() else { return };
    let hash = event::key_hash(&key(&first.record));
    let arrived: Vec<Arrived> = records.iter().map(|placed| arrived(spec, placed)).collect();
    let (rows, late) = triggers(spec, hash).run(&arrived);
    for row in rows {
        let held: Vec<&Placed> = row.held.iter().map(|number| records[*number]).collect();
        let outcome = match (row.early, row.revised) {
            (true, _) => Outcome::Early,
            (false, true) => Outcome::Revised,
            (false, false) => Outcome::Result,
        };
        let span = Span {
            window: Window { start: row.window.0, end: row.window.1 },
            due: row.due,
            by_record: row.by_record,
            sequence: row.sequence,
            outcome,
            first_end: row.first_end,
        };
        answer.add(&held, span);
    }
    for number in late {
        assert!(answer.late.insert((records[number].partition, records[number].offset)));
    }
}

fn arrived(spec: &TriggerSpec, placed: &Placed) -> Arrived {
    let gap = if let Assigner::Session(gap) = spec.windows { gap } else { placed.record.gap };
    Arrived { time: placed.record.time, seen: placed.seen, gap }
}

fn triggers(spec: &TriggerSpec, hash: u64) -> Triggers {
    let windows = match &spec.windows {
        Assigner::Shared(shared) => {
            let shift = if spec.staggered { (hash % shared.slide as u64) as i64 } else { 0 };
            Holding::Sliding { size: shared.size, slide: shared.slide, offset: shared.offset + shift }
        }
        Assigner::Session(_) | Assigner::SessionByRecord => Holding::Session,
        Assigner::Global => Holding::Global,
    };
    Triggers {
        windows,
        lateness: spec.lateness,
        at_end: spec.at_end,
        every: spec.early.and_then(|early| if let Early::Every(every) = early { Some(every) } else { None }),
        count: spec.early.and_then(|early| if let Early::Count(count) = early { Some(count) } else { None }),
        late_each: spec.late == Late::Each,
        purges: spec.purges,
        expires: spec.expires,
    }
}

pub(crate) fn spec() -> impl Strategy<Value = TriggerSpec> {
    let shared = (1i64..25, 1i64..12, 0i64..12).prop_map(|(size, slide, offset)| {
        let spec = WindowSpec::sliding(size, slide.min(size)).expect("windows that can be");
        let offset = offset % spec.slide;
        Assigner::Shared(spec.starting_at(offset).expect("windows that can be"))
    });
    let assigner = prop_oneof![
        4 => shared,
        3 => (1i64..15).prop_map(Assigner::Session),
        3 => Just(Assigner::SessionByRecord),
        2 => Just(Assigner::Global),
    ];
    let early = prop_oneof![
        2 => Just(None),
        4 => (1i64..15).prop_map(|every| Some(Early::Every(every))),
        3 => (1u64..5).prop_map(|count| Some(Early::Count(count))),
    ];
    let late = prop_oneof![Just(Late::Once), Just(Late::Each)];
    (assigner, early, late, prop_oneof![Just(0), 1i64..40], any::<bool>(), any::<bool>(), any::<bool>())
        .prop_filter_map(
            "windows that are put out",
            |(windows, early, late, lateness, at_end, staggered, purges)| {
                let staggered = staggered && matches!(windows, Assigner::Shared(_));
                let at_end = at_end && windows != Assigner::Global;
                let expires = (windows == Assigner::Global && lateness > 0).then_some(lateness);
                TriggerSpec { windows, lateness, staggered, at_end, early, late, purges, expires }
                    .checked()
                    .ok()
            },
        )
}
