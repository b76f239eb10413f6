//! Gathers what all workers tell of their rows, and what was counted of it, and knows how far they have come with it.
//!
//! Where rows are judged there is no input for it: that operator is who tells, and would wait for itself. It looks here instead
//! ([`Gathered`]), and is woken when an epoch is complete.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use detect::Share;
use event::Epoch;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::scheduling::Activator;

use super::cohorts::{Answered, Answering};
use super::{all_reached, is_past};
use crate::message::Telling;

/// What is to be learned.
pub(crate) enum Lesson {
    /// What a worker tells of a branch.
    Share(usize, Share),
    /// What was counted of what all workers told.
    Answer(Box<Answered>),
}

/// What was told, by epoch.
#[derive(Default)]
pub(crate) struct Gathered {
    told: RefCell<BTreeMap<Epoch, Vec<Lesson>>>,
    /// The epoch that all workers have come to; `None` once nothing more can come.
    reached: Cell<Option<Epoch>>,
    /// Who waits.
    judge: RefCell<Option<Activator>>,
}

impl Gathered {
    /// Nothing yet: all of the first epoch may still come.
    pub(crate) fn new(first: Epoch) -> Self {
        Gathered { reached: Cell::new(Some(first)), ..Gathered::default() }
    }

    /// Who is to be woken when more is known.
    pub(crate) fn wakes(&self, judge: Activator) {
        *self.judge.borrow_mut() = Some(judge);
    }

    /// The epoch that all workers have come to; `None` once nothing more can come.
    pub(crate) fn reached(&self) -> Option<Epoch> {
        self.reached.get()
    }

    /// Takes out what was told in complete epochs that `wanted` holds of.
    pub(crate) fn take(&self, wanted: impl Fn(Epoch) -> bool) -> Vec<Lesson> {
        let mut told = self.told.borrow_mut();
        let mut taken = Vec::new();
        while let Some(entry) = told.first_entry() {
            if !is_past(*entry.key(), self.reached.get()) || !wanted(*entry.key()) {
                break;
            }
            taken.extend(entry.remove());
        }
        taken
    }
}

/// Builds the operator.
pub(crate) fn gather<'scope>(
    told: StreamVec<'scope, u64, Telling>,
    answers: StreamVec<'scope, u64, Answering>,
    gathered: Rc<Gathered>,
) {
    let mut builder = OperatorBuilder::new("Gather".to_owned(), told.scope());
    let mut input = builder.new_input(told, Exchange::new(|telling: &Telling| u64::from(telling.to)));
    let mut answer_input =
        builder.new_input(answers, Exchange::new(|answering: &Answering| u64::from(answering.to)));
    builder.build(move |_capabilities| {
        move |frontiers| {
            input.for_each(|capability, tellings| {
                let Some(epoch) = capability.least().copied() else { return };
                let mut told = gathered.told.borrow_mut();
                let of_epoch = told.entry(Epoch(epoch)).or_default();
                let share = |telling: Telling| Lesson::Share(usize::from(telling.branch), telling.share);
                of_epoch.extend(tellings.drain(..).map(share));
            });
            answer_input.for_each(|_, answers| {
                let mut told = gathered.told.borrow_mut();
                // They may come before their epoch.
                for Answering { answered, .. } in answers.drain(..) {
                    told.entry(answered.epoch()).or_default().push(Lesson::Answer(Box::new(answered)));
                }
            });
            let now = all_reached(frontiers);
            if gathered.reached.replace(now) != now
                && let Some(judge) = &*gathered.judge.borrow()
            {
                judge.activate();
            }
        }
    });
}
