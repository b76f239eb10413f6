//! Gathers what all workers tell of their rows, and knows how far they have come with it.
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

use super::{is_past, reached};
use crate::message::Telling;

/// What was told, by epoch, of branches by their numbers.
#[derive(Default)]
pub(crate) struct Gathered {
    told: RefCell<BTreeMap<Epoch, Vec<(usize, Share)>>>,
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
    pub(crate) fn take(&self, wanted: impl Fn(Epoch) -> bool) -> Vec<(usize, Share)> {
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
pub(crate) fn gather(told: StreamVec<'_, u64, Telling>, gathered: Rc<Gathered>) {
    let mut builder = OperatorBuilder::new("Gather".to_owned(), told.scope());
    let mut input = builder.new_input(told, Exchange::new(|telling: &Telling| u64::from(telling.to)));
    builder.build(move |_capabilities| {
        move |frontiers| {
            input.for_each(|capability, tellings| {
                let Some(epoch) = capability.least().copied() else { return };
                let mut told = gathered.told.borrow_mut();
                let of_epoch = told.entry(Epoch(epoch)).or_default();
                of_epoch
                    .extend(tellings.drain(..).map(|telling| (usize::from(telling.branch), telling.share)));
            });
            let now = reached(&frontiers[0]);
            if gathered.reached.replace(now) != now
                && let Some(judge) = &*gathered.judge.borrow()
            {
                judge.activate();
            }
        }
    });
}
