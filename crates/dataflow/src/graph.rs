//! The graph: the way of an event, from a partition to a sink, in eight steps.
//!
//! The first file to open. Each worker builds the same graph; records change the worker once, by the hash
//! of their key, and everything that is put out goes to the one writer.

use std::rc::Rc;

use timely::dataflow::Scope;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::{Concatenate, Probe};

use crate::operators::cohorts::cohorts;
use crate::operators::deliver::{Writer, deliver};
use crate::operators::detect::{Judging, detect};
use crate::operators::gather::gather;
use crate::operators::read::{Reader, read};
use crate::operators::window::{Restored, window};
use crate::worker::{Here, Probes};

/// Builds a worker's part of the graph. `writer` is there on the worker that delivers.
pub(crate) fn build(
    scope: Scope<'_, u64>,
    here: &Here,
    reader: Reader,
    (keyed, judging): (Restored, Judging),
    writer: Option<Writer>,
) -> Probes {
    let probes = Probes::default();

    // 1 poll, 2 decode, 3 transform, 4 mark time, and 5 route: one partition at a time. Time is marked
    // after the transformation, since a record whose expression fails must not move the watermark.
    let read = read(scope, here, reader, &probes);

    // 6 window: records and watermarks become rows of features, one per key and closed window.
    let windows = window(here, read.parcels, read.marks.clone(), keyed);

    // 7 detect: rows become scores, and what the rules find becomes episodes, and lines.
    // What a detector has to know of the keys of other workers, all tell one another; cohorts are counted on the way.
    let gathered = Rc::clone(&judging.gathered);
    let found = detect(here, windows.emitted, windows.cuts, judging);
    let answers = if here.job.asks_cohorts() { cohorts(here, found.counted) } else { empty(scope) };
    gather(found.told, answers, gathered);

    // 8 deliver: lines go to sinks in canonical order; a cut becomes a checkpoint.
    let items = scope.concatenate([read.items, windows.items, found.items]);
    let parts = scope.concatenate([read.parts, windows.parts, found.parts]);
    let (taken, committed) = deliver(here, items, read.marks, parts, writer);

    taken.probe_with(&probes.taken);
    committed.probe_with(&probes.committed);
    probes
}
