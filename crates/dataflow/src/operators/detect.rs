//! Judges the rows of closed windows, and turns what was found into lines, on the worker of the key.
//!
//! Where a job puts out episodes it follows them, and takes snapshots at cuts as the windows do: what comes behind a cut waits
//! until the snapshot is taken.

use std::collections::VecDeque;

use checkpoint::Store;
use event::{Counts, Detected, Reason};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;
use timely::scheduling::Activator;

use super::{Output, wake};
use crate::branch::Branch;
use crate::followed::Followed;
use crate::job::RunError;
use crate::message::{Emitted, Features, Given, Item, Part};
use crate::snapshot::SnapshotWriter;
use crate::worker::Here;

/// What the operator starts with.
pub(crate) struct Judging {
    /// What is known of the keys of each branch.
    pub(crate) followed: Vec<Followed>,
    /// Where snapshots go, if there is something to be saved.
    pub(crate) store: Option<Store>,
}

/// Its outputs.
pub(crate) struct Outputs<'scope> {
    pub(crate) items: StreamVec<'scope, u64, Item>,
    pub(crate) parts: StreamVec<'scope, u64, Part>,
}

const ITEMS: usize = 0;
const PARTS: usize = 1;

pub(crate) fn detect<'scope>(
    here: &Here,
    emitted: StreamVec<'scope, u64, Emitted>,
    cuts: StreamVec<'scope, u64, Given>,
    judging: Judging,
) -> Outputs<'scope> {
    let scope = emitted.scope();
    let mut builder = OperatorBuilder::new("Detect".to_owned(), scope);
    let address = builder.operator_info().address;
    let activator = scope.worker().sync_activator_for(address.to_vec());
    let (items, item_stream) = builder.new_output::<Vec<Item>>();
    let (parts, part_stream) = builder.new_output::<Vec<Part>>();
    // A cut holds back the checkpoint, not what is put out meanwhile.
    let to = |port| [(port, Antichain::from_elem(0))];
    let mut input = builder.new_input_connection(emitted, Pipeline, to(ITEMS));
    let mut cut_input = builder.new_input_connection(cuts, Pipeline, to(PARTS));
    let mut operator = Detecting {
        followed: judging.followed,
        waiting: VecDeque::new(),
        judged: 0,
        cuts: VecDeque::new(),
        saving: false,
        interval: here.first_interval,
        snapshots: judging.store.map(|store| {
            let activate = move || wake(&activator);
            SnapshotWriter::spawn(store, here, Box::new(activate))
        }),
        activator: scope.activator_for(address),
        items: OutputBuilder::from(items),
        parts: OutputBuilder::from(parts),
        here: here.clone(),
    };
    builder.build(move |capabilities| {
        drop(capabilities);
        move |_frontiers| {
            // Where an interval ends is known before anything comes that is behind it: both come from one operator.
            cut_input.for_each(|capability, cuts| {
                let Some(epoch) = capability.least().copied() else { return };
                let right = || capability.delayed(&epoch, PARTS);
                operator.cuts.extend(cuts.drain(..).map(|Given(given)| (given, right())));
            });
            input.for_each(|capability, emitted| {
                let Some(epoch) = capability.least().copied() else { return };
                let right = capability.delayed(&epoch, ITEMS);
                operator.waiting.push_back((right, std::mem::take(emitted).into()));
            });
            if let Err(error) = operator.proceed() {
                operator.here.outcome.fail(error);
                operator.waiting.clear();
                operator.cuts.clear();
            }
        }
    });
    Outputs { items: item_stream, parts: part_stream }
}

/// What the windows gave, in their order, and the right to put out what comes of it.
type Waiting = VecDeque<(Capability<u64>, VecDeque<Emitted>)>;

struct Detecting {
    followed: Vec<Followed>,
    waiting: Waiting,
    /// Messages that were judged.
    judged: u64,
    /// Behind how many messages intervals end, and the right to put out the parts of those cuts.
    cuts: VecDeque<(u64, Capability<u64>)>,
    /// Whether a snapshot is being taken; what is known stays as it is until it is.
    saving: bool,
    /// The interval that is judged.
    interval: u32,
    snapshots: Option<SnapshotWriter<Followed>>,
    activator: Activator,
    items: Output<Item>,
    parts: Output<Part>,
    here: Here,
}

impl Detecting {
    /// Judges what has come, up to a cut whose snapshot cannot be taken yet.
    fn proceed(&mut self) -> Result<(), RunError> {
        loop {
            self.hand_on_snapshots()?;
            if self.saving && !self.take_snapshot() {
                self.activator.activate();
                return Ok(());
            }
            if self.is_at_cut() {
                if self.begin_snapshot() {
                    continue;
                }
                // The one before it is still being written, and wakes this once it is.
                return Ok(());
            }
            let Some((right, mut emitted)) = self.waiting.pop_front() else { return Ok(()) };
            self.judge(&right, &mut emitted);
            if !emitted.is_empty() {
                self.waiting.push_front((right, emitted));
            }
        }
    }

    fn is_at_cut(&self) -> bool {
        self.cuts.front().is_some_and(|(given, _)| self.judged >= *given)
    }

    /// Judges what was given with one right, up to the next cut.
    fn judge(&mut self, right: &Capability<u64>, emitted: &mut VecDeque<Emitted>) {
        let next_cut = self.cuts.front().map_or(u64::MAX, |(given, _)| *given);
        let job = &self.here.job;
        let mut output = self.items.activate();
        let mut session = output.session(right);
        let mut counts = Counts::default();
        while self.judged < next_cut {
            let Some(next) = emitted.pop_front() else { break };
            self.judged += 1;
            match next {
                Emitted::Rows(features) => {
                    let Features { branch: number, rows } = *features;
                    counts.windows += rows.records.len() as u64;
                    let branch = &job.branches[number];
                    let detected = self.followed[number].judge(branch, &rows);
                    session.give_iterator(lines(branch, &detected, &mut counts));
                }
                Emitted::Before(before) => {
                    for (branch, followed) in job.branches.iter().zip(&mut self.followed) {
                        if let Some(over) = followed.advance(branch, before) {
                            session.give_iterator(lines(branch, &over, &mut counts));
                        }
                    }
                }
            }
        }
        if counts != Counts::default() {
            session.give(Item::Counts(counts));
        }
    }

    /// Begins the snapshot of the interval that has ended; not while another one is being written.
    fn begin_snapshot(&mut self) -> bool {
        let Some(snapshots) = &mut self.snapshots else {
            self.cuts.pop_front();
            return true;
        };
        if snapshots.is_busy() {
            return false;
        }
        if let Some((_, cut)) = self.cuts.pop_front() {
            snapshots.begin(self.interval, &mut self.followed, cut);
            self.saving = true;
        }
        true
    }

    fn take_snapshot(&mut self) -> bool {
        if self.snapshots.as_mut().is_some_and(|snapshots| !snapshots.take(&mut self.followed)) {
            return false;
        }
        self.saving = false;
        self.interval += 1;
        true
    }

    /// Hands on the segments that have become durable.
    fn hand_on_snapshots(&mut self) -> Result<(), RunError> {
        let Some(snapshots) = &mut self.snapshots else { return Ok(()) };
        while let Some((segments, capability)) = snapshots.written()? {
            let mut output = self.parts.activate();
            output.session(&capability).give_iterator(segments.into_iter().map(Part::Segment));
        }
        Ok(())
    }
}

/// The lines of what was detected.
fn lines(branch: &Branch, detected: &Detected, counts: &mut Counts) -> impl Iterator<Item = Item> + use<> {
    let rendered = branch.renderer.render(detected);
    counts.alerts += rendered.alerts;
    counts.rows_quarantined += rendered.rows_quarantined;
    counts.by_reason.add(Reason::Expression, rendered.rows_quarantined);
    rendered.rows.into_iter().map(Item::Row)
}
