//! The one writer: puts lines in canonical order, gives them to the sinks, and turns cuts into checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use archive::{Archive, StagedFile};
use checkpoint::{Segment, SourceState, Store};
use event::{CapState, Counts, Due, Epoch, OutputRow, Reason, Watermark};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;
use timely::progress::frontier::MutableAntichain;

use super::{all_reached, is_past, reached, wake};
use crate::capping::Caps;
use crate::delivery::{Cut, Delivery, OpenSink, Plan};
use crate::held::Held;
use crate::job::{RunError, Summary};
use crate::member::Known;
use crate::message::{Item, Mark, Part};
use crate::plant::Plant;
use crate::standing::Global;
use crate::worker::Here;

/// The worker that delivers.
const WRITER: u64 = 0;

/// What the writer starts with; only the worker that delivers has one.
pub(crate) struct Writer {
    pub(crate) sinks: Vec<OpenSink>,
    pub(crate) store: Option<Store>,
    pub(crate) archive: Option<Archive>,
    pub(crate) plan: Plan,
    /// How far all workers are.
    pub(crate) global: Global,
    pub(crate) counts: Counts,
    pub(crate) held: Vec<OutputRow>,
    pub(crate) capped: Vec<CapState>,
    pub(crate) sources: BTreeMap<u32, SourceState>,
    /// Where the totals go at the end.
    pub(crate) summary: Arc<std::sync::Mutex<Option<Summary>>>,
}

pub(crate) fn deliver<'scope>(
    here: &Here,
    items: StreamVec<'scope, u64, Item>,
    marks: StreamVec<'scope, u64, Mark>,
    parts: StreamVec<'scope, u64, Part>,
    writer: Option<Writer>,
) -> (StreamVec<'scope, u64, ()>, StreamVec<'scope, u64, ()>) {
    let scope = items.scope();
    let mut builder = OperatorBuilder::new("Deliver".to_owned(), scope);
    let activator = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
    let (taken, taken_stream) = builder.new_output::<Vec<()>>();
    let (committed, committed_stream) = builder.new_output::<Vec<()>>();
    // A sink that is behind holds up the reading; a checkpoint that is being written does not.
    let to = |output: usize| [(output, Antichain::from_elem(0u64))];
    let mut item_input = builder.new_input_connection(items, Exchange::new(|_: &Item| WRITER), to(0));
    let mut mark_input = builder.new_input_connection(
        marks,
        Exchange::new(|mark: &Mark| u64::from(mark.to)),
        [(0, Antichain::from_elem(0u64)), (1, Antichain::from_elem(0u64))],
    );
    let mut part_input = builder.new_input_connection(parts, Exchange::new(|_: &Part| WRITER), to(1));
    // Kept so that the outputs have their type; nothing is ever sent on them.
    let outputs: [OutputBuilder<u64, Empty>; 2] = [taken, committed].map(OutputBuilder::from);

    let mut writing = writer.map(|writer| Writing::new(here, writer, Box::new(move || wake(&activator))));
    builder.build_reschedule(move |capabilities| {
        drop(capabilities);
        let _outputs = outputs;
        move |frontiers: &[MutableAntichain<u64>]| {
            let _ = &_outputs;
            let Some(writing) = &mut writing else {
                item_input.for_each(|_, items| items.clear());
                mark_input.for_each(|_, marks| marks.clear());
                part_input.for_each(|_, parts| parts.clear());
                return false;
            };
            item_input.for_each(|capability, items| {
                if let Some(epoch) = capability.least() {
                    writing.epochs.entry(Epoch(*epoch)).or_default().items.append(items);
                }
            });
            mark_input.for_each(|capability, marks| {
                let Some(epoch) = capability.least().map(|epoch| Epoch(*epoch)) else { return };
                let entry = writing.epochs.entry(epoch).or_default();
                entry.marks.append(marks);
                entry.taken.get_or_insert_with(|| capability.delayed(&epoch.0, 0));
                entry.committed.get_or_insert_with(|| capability.delayed(&epoch.0, 1));
            });
            part_input.for_each(|capability, parts| {
                if let Some(epoch) = capability.least() {
                    writing.parts.entry(Epoch(*epoch).interval()).or_default().append(parts);
                }
            });
            let (items, parts) = (all_reached(&frontiers[..2]), reached(&frontiers[2]));
            if let Err(error) = writing.proceed(items, parts) {
                writing.here.outcome.fail(error);
            }
            !writing.is_done(frontiers.iter().all(|frontier| frontier.is_empty()))
        }
    });
    (taken_stream, committed_stream)
}

type Empty = CapacityContainerBuilder<Vec<()>>;

/// What came at one epoch.
#[derive(Default)]
struct Arrived {
    items: Vec<Item>,
    marks: Vec<Mark>,
    /// Held until the sinks have taken what became due.
    taken: Option<Capability<u64>>,
    /// Held until the checkpoint of the epoch's interval is committed.
    committed: Option<Capability<u64>>,
}

struct Writing {
    delivery: Delivery,
    global: Global,
    /// Every row that stands before it is here.
    reached: Due,
    /// Every row that stands before it is in a checkpoint, put out or held.
    committed: Due,
    /// The same at the cuts that are not committed.
    reached_at: BTreeMap<u32, Due>,
    counts: Counts,
    /// Rows that are not due yet, for sinks that deliver with checkpoints.
    held: Held,
    /// Those for sinks that deliver at once. What rests on decisions that no checkpoint holds waits here as well.
    held_at_once: Held,
    /// What keeps alerts back of which there are too many.
    caps: Caps,
    sources: BTreeMap<u32, SourceState>,
    summary: Arc<std::sync::Mutex<Option<Summary>>>,
    epochs: BTreeMap<Epoch, Arrived>,
    parts: BTreeMap<u32, Vec<Part>>,
    /// The interval whose epochs are being applied.
    interval: u32,
    /// Whether a mark of this interval announced its cut.
    cut: bool,
    /// The right to say that the current interval is committed.
    uncommitted: Option<Capability<u64>>,
    /// Intervals that are over, whose parts are not all there.
    pending: BTreeMap<u32, (Cut, Option<Capability<u64>>)>,
    /// The same, handed over to be committed.
    committing: BTreeMap<u32, Option<Capability<u64>>>,
    here: Here,
}

impl Writing {
    fn new(here: &Here, writer: Writer, activate: Box<dyn Fn() + Send + Sync>) -> Self {
        let delivery = Delivery::start(
            here,
            writer.plan,
            writer.store.map(|store| (store, writer.archive)),
            writer.sinks,
            Arc::from(activate),
        );
        let mut writing = Writing {
            delivery,
            reached: writer.global.place().into(),
            committed: writer.global.place().into(),
            reached_at: BTreeMap::new(),
            global: writer.global,
            counts: writer.counts,
            held: Held::default(),
            held_at_once: Held::default(),
            caps: Caps::new(&here.job, writer.capped),
            sources: writer.sources,
            summary: writer.summary,
            epochs: BTreeMap::new(),
            parts: BTreeMap::new(),
            interval: here.first_interval,
            cut: false,
            uncommitted: None,
            pending: BTreeMap::new(),
            committing: BTreeMap::new(),
            here: here.clone(),
        };
        writer.held.into_iter().for_each(|row| writing.hold(row));
        writing
    }

    /// Applies the epochs that are whole, and commits the intervals whose parts are all there.
    fn proceed(&mut self, items: Option<Epoch>, parts: Option<Epoch>) -> Result<(), RunError> {
        self.delivery.check()?;
        loop {
            while let Some(epoch) = self.epochs.first_key_value().map(|(epoch, _)| *epoch) {
                if !is_past(epoch, items) || self.here.interval(epoch) > self.interval {
                    break;
                }
                if let Some(arrived) = self.epochs.remove(&epoch) {
                    self.apply(epoch, arrived);
                }
            }
            let over = items.is_none_or(|reached| self.here.interval(reached) > self.interval);
            if !over || !std::mem::take(&mut self.cut) {
                break;
            }
            let cut = self.freeze();
            self.pending.insert(self.interval, (cut, self.uncommitted.take()));
            self.interval += 1;
        }
        if items.is_none() && !self.here.keeps_state() {
            self.give_rest();
        }
        self.here.control.set_totals(&self.counts, self.watermark());
        for number in self.delivery.committed() {
            self.here.control.vitals().committed_up_to(number);
            self.committing.remove(&number);
            if let Some(reached) = self.reached_at.remove(&number) {
                self.committed = reached;
            }
        }
        self.give_at_once();
        // First the lines, so that a checkpoint makes those durable that it counts as put out.
        self.delivery.flush();
        self.commit(parts);
        self.here.control.vitals().set_sinks_idle(self.delivery.is_idle());
        Ok(())
    }

    /// Takes in the items of an epoch, moves the watermark, and gives the sinks what became due.
    fn apply(&mut self, epoch: Epoch, arrived: Arrived) {
        for item in arrived.items {
            match item {
                Item::Row(row) => self.hold(row),
                Item::Counts(counts) => self.counts += counts,
                Item::Answer(answer) => self.here.control.desk().answer(answer),
                Item::Rejected(rejected) => {
                    let is_late = rejected.reason == Reason::Late;
                    let job = &self.here.job;
                    if let Some(sink) = if is_late { job.late } else { job.quarantine } {
                        // Whoever sends a record was heard to begin to read its partition before.
                        if let Some(Known { name, series, .. }) =
                            self.here.partitions.known(rejected.partition)
                        {
                            self.hold(alert::quarantine_row(&rejected, &name, series, sink));
                        }
                    }
                }
            }
        }
        self.cut |= arrived.marks.iter().any(|mark| mark.cut);
        self.global.apply(epoch, arrived.marks.into_iter().map(|mark| (mark.from, mark.standing)));
        self.global.births().found.values().for_each(|member| self.here.partitions.learn(member));
        self.reached = Due::from(self.global.place());
        self.give_at_once();
        while let Some(row) = self.held.next_before(&self.reached) {
            self.give(row);
        }
        self.roll_up(false, self.reached.due);
        // Without a state nothing is ever committed, and nothing waits for it.
        if let Some(committed) = arrived.committed.filter(|_| self.here.keeps_state()) {
            self.uncommitted.get_or_insert(committed);
        }
        if let Some(taken) = arrived.taken {
            self.delivery.hold(taken);
        }
    }

    fn watermark(&self) -> Watermark {
        self.global.place().seen
    }

    fn hold(&mut self, row: OutputRow) {
        let held = if self.delivery.is_at_once(row.sink) { &mut self.held_at_once } else { &mut self.held };
        held.push(row);
    }

    /// Gives the sinks that deliver at once what is due and would be put out after any restart: what rests on no
    /// decision that is in no checkpoint, or is in one itself.
    fn give_at_once(&mut self) {
        let waits = self.here.keeps_state() && !self.here.world.has(Plant::RunAhead);
        let due = match waits {
            true => Due::from(self.global.decided()).max(self.committed.clone()),
            false => self.reached.clone(),
        };
        while let Some(row) = self.held_at_once.next_before(&due) {
            self.give(row);
        }
        self.roll_up(true, due.due);
    }

    /// Gives a sink a row that is due, unless there are too many of its kind; before it what speaks for those of minutes that are
    /// over.
    fn give(&mut self, row: OutputRow) {
        for line in self.caps.before(row.sink, row.due.due) {
            self.hand_over(line);
        }
        match self.caps.admits(&row) {
            true => self.hand_over(row),
            false => self.counts.capped += u64::from(self.caps.counts(row.sink)),
        }
    }

    /// Gives sinks, those that deliver at once or the others, what speaks for the rows that were kept back, as far as event time
    /// has come for them.
    fn roll_up(&mut self, at_once: bool, reached: i64) {
        for sink in self.caps.sinks() {
            if self.delivery.is_at_once(sink) == at_once {
                for line in self.caps.before(sink, reached) {
                    self.hand_over(line);
                }
            }
        }
    }

    fn hand_over(&mut self, row: OutputRow) {
        if self.delivery.give(row) {
            self.here.control.ask_for_cut();
        }
    }

    /// At the end of a drained job that keeps no state: nothing can come before what still waits for its
    /// turn, and nobody will put it out later.
    fn give_rest(&mut self) {
        while let Some(row) = self.held.next().or_else(|| self.held_at_once.next()) {
            self.give(row);
        }
        self.roll_up(false, i64::MAX);
        self.roll_up(true, i64::MAX);
    }

    /// What the checkpoint of the interval that is over says of this operator.
    fn freeze(&mut self) -> Cut {
        self.reached_at.insert(self.interval, self.reached.clone());
        let (mut held, at_once) = (self.held.rows(), self.held_at_once.rows());
        held.extend(at_once);
        // What waits for this very commit is still to be put out.
        let finished = self.watermark() == Watermark::FINISHED && held.is_empty() && self.caps.are_settled();
        Cut {
            number: self.interval,
            watermark: self.watermark(),
            counts: self.counts,
            held,
            capped: self.caps.states(),
            archived: Vec::new(),
            outbox: self.delivery.take_outbox(),
            finished,
        }
    }

    fn commit(&mut self, parts: Option<Epoch>) {
        while let Some(entry) = self.pending.first_entry() {
            let number = *entry.key();
            let early = self.here.world.has(Plant::CommitWithoutPart);
            if parts.is_some_and(|reached| reached.interval() <= number) && !early {
                return;
            }
            let (mut cut, committed) = entry.remove();
            let (segments, archived) = self.collect(number);
            cut.archived = archived;
            self.committing.insert(number, committed);
            self.delivery.commit(cut, segments, self.sources.values().cloned().collect());
        }
    }

    /// The segments of an interval, and the files that its records are in; notes where its partitions are.
    fn collect(&mut self, number: u32) -> (Vec<Segment>, Vec<StagedFile>) {
        let (mut segments, mut archived) = (Vec::new(), Vec::new());
        for part in self.parts.remove(&number).unwrap_or_default() {
            match part {
                Part::Segment(segment) => segments.push(segment),
                Part::Archived(files) => archived.extend(files),
                Part::Sources(states) => {
                    for (ordinal, state) in states {
                        self.sources.insert(ordinal, state);
                    }
                }
            }
        }
        segments.sort_by(|a, b| a.name.cmp(&b.name));
        archived.sort_by(|a, b| a.name.cmp(&b.name));
        (segments, archived)
    }

    /// Whether all is delivered and committed. Then the totals are final.
    fn is_done(&mut self, ended: bool) -> bool {
        let failed = self.here.outcome.has_failed();
        let idle = self.epochs.is_empty() && self.pending.is_empty() && self.committing.is_empty();
        let done = ended && idle && self.delivery.is_idle();
        if done
            && !failed
            && let Ok(mut summary) = self.summary.lock()
        {
            *summary = Some(Summary {
                counts: self.counts,
                finished: self.watermark() == Watermark::FINISHED,
                watermark: self.watermark(),
                already_finished: false,
            });
        }
        done || failed
    }
}
