//! Judges the rows of closed windows, and turns what was found into lines, on the worker of the key.

use event::{Counts, Reason};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use crate::message::{Features, Item};
use crate::worker::Here;

pub(crate) fn detect<'scope>(
    here: &Here,
    rows: StreamVec<'scope, u64, Features>,
) -> StreamVec<'scope, u64, Item> {
    let job = here.job.clone();
    rows.unary::<CapacityContainerBuilder<Vec<Item>>, _, _, _>(Pipeline, "Detect", move |_, _| {
        move |input, output| {
            input.for_each(|capability, rows| {
                let mut session = output.session(&capability);
                let mut counts = Counts::default();
                for Features { branch, rows } in rows.drain(..) {
                    counts.windows += rows.records.len() as u64;
                    let branch = &job.branches[branch];
                    let rendered = branch.renderer.render(&branch.detection.evaluate(&rows));
                    counts.alerts += rendered.alerts;
                    counts.rows_quarantined += rendered.rows_quarantined;
                    counts.by_reason.add(Reason::Expression, rendered.rows_quarantined);
                    session.give_iterator(rendered.rows.into_iter().map(Item::Row));
                }
                session.give(Item::Counts(counts));
            });
        }
    })
}
