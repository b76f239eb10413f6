//! Feeds the windows of a worker's keys: records in, watermarks in, rows of features out, snapshots at cuts.
//!
//! Records are taken in as they come, but never those of an interval whose predecessor has not been
//! snapshotted; watermarks are applied in the order of epochs, once a frontier has passed them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use checkpoint::Store;
use event::{Counts, Epoch, Place};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::Activator;

use super::{Output, all_reached, is_past, wake};
use crate::branches::{Branches, Kept};
use crate::custody::Slot;
use crate::fault::Faults;
use crate::job::RunError;
use crate::message::{Emitted, Features, Given, Item, Mark, Parcel, Part};
use crate::plant::Plant;
use crate::question::Question;
use crate::snapshot::SnapshotWriter;
use crate::standing::{Global, Heard};
use crate::vitals::HeldState;
use crate::worker::Here;

/// What the window operator starts with.
pub(crate) struct Restored {
    pub(crate) branches: Branches,
    /// How far all workers are.
    pub(crate) global: Global,
    /// Where snapshots go, if the job keeps state.
    pub(crate) store: Option<Store>,
    /// Shared with the reading operator of this worker.
    pub(crate) heard: Rc<Heard>,
}

/// Its outputs.
pub(crate) struct Outputs<'scope> {
    pub(crate) emitted: StreamVec<'scope, u64, Emitted>,
    /// Where intervals end among them, in a job that follows episodes.
    pub(crate) cuts: StreamVec<'scope, u64, Given>,
    pub(crate) items: StreamVec<'scope, u64, Item>,
    pub(crate) parts: StreamVec<'scope, u64, Part>,
}

/// How often it is said what the windows hold: to measure takes its time.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

/// Rows that one activation emits.
const EMIT_ROWS: usize = 1 << 16;

const ROWS: usize = 0;
const ITEMS: usize = 1;
const PARTS: usize = 2;
const CUTS: usize = 3;

pub(crate) fn window<'scope>(
    here: &Here,
    parcels: StreamVec<'scope, u64, Parcel>,
    marks: StreamVec<'scope, u64, Mark>,
    keyed: Restored,
) -> Outputs<'scope> {
    let scope = parcels.scope();
    let mut builder = OperatorBuilder::new("Window".to_owned(), scope);
    let address = builder.operator_info().address;
    let activator = scope.worker().sync_activator_for(address.to_vec());
    let (rows, row_stream) = builder.new_output::<Vec<Emitted>>();
    let (items, item_stream) = builder.new_output::<Vec<Item>>();
    let (parts, part_stream) = builder.new_output::<Vec<Part>>();
    let (cuts, cut_stream) = builder.new_output::<Vec<Given>>();
    // What comes out is tied to marks: a tick has one from every worker, after its parcels.
    let none: [(usize, Antichain<u64>); 0] = [];
    let pact = Exchange::new(|parcel: &Parcel| u64::from(parcel.to));
    let mut parcel_input = builder.new_input_connection(parcels, pact, none);
    let mut mark_input = builder.new_input(marks, Exchange::new(|mark: &Mark| u64::from(mark.to)));

    let mut operator = Windowing {
        interval: here.first_interval,
        branches: keyed.branches,
        measured: None,
        global: keyed.global,
        heard: keyed.heard,
        activator: scope.activator_for(address),
        waiting: BTreeMap::new(),
        ticks: BTreeMap::new(),
        questions: Vec::new(),
        slot: here.control.custody().of_windows(),
        faults: Faults::of_environment(),
        cut: None,
        saving: false,
        snapshots: keyed.store.map(|store| {
            let activate = move || wake(&activator);
            SnapshotWriter::spawn(store, here, Box::new(activate))
        }),
        rows: OutputBuilder::from(rows),
        items: OutputBuilder::from(items),
        parts: OutputBuilder::from(parts),
        cuts: OutputBuilder::from(cuts),
        given: 0,
        here: here.clone(),
    };
    builder.build(move |capabilities| {
        drop(capabilities);
        move |frontiers: &[MutableAntichain<u64>]| {
            parcel_input.for_each(|capability, parcels| {
                if let Some(epoch) = capability.least() {
                    operator.take_in(Epoch(*epoch), std::mem::take(parcels));
                }
            });
            mark_input.for_each(|capability, marks| {
                let Some(epoch) = capability.least().map(|epoch| Epoch(*epoch)) else { return };
                operator.heard.hear_of(epoch);
                let tick = operator.ticks.entry(epoch).or_insert_with(|| {
                    let retain = |port| capability.delayed(&epoch.0, port);
                    Tick {
                        capabilities: [retain(ROWS), retain(ITEMS), retain(PARTS), retain(CUTS)],
                        marks: Vec::new(),
                    }
                });
                tick.marks.append(marks);
            });
            if let Err(error) = operator.proceed(all_reached(frontiers)) {
                operator.here.outcome.fail(error);
                operator.ticks.clear();
                operator.cut = None;
            }
        }
    });
    Outputs { emitted: row_stream, cuts: cut_stream, items: item_stream, parts: part_stream }
}

/// The marks of an epoch, and the right to put out what they cause.
struct Tick {
    capabilities: [Capability<u64>; 4],
    marks: Vec<Mark>,
}

struct Windowing {
    /// The interval whose records are taken in.
    interval: u32,
    branches: Branches,
    /// When it was last said what they hold.
    measured: Option<Instant>,
    global: Global,
    heard: Rc<Heard>,
    activator: Activator,
    /// Parcels of later intervals.
    waiting: BTreeMap<Epoch, Vec<Parcel>>,
    ticks: BTreeMap<Epoch, Tick>,
    /// What somebody wants to know of keys, once the windows that are due are closed.
    questions: Vec<Question>,
    /// Where they note which records are in hand.
    slot: Option<Arc<Slot>>,
    faults: Faults,
    /// The rights to put out the part of the cut that comes next, and where it is.
    cut: Option<[Capability<u64>; 2]>,
    /// Whether a snapshot is being taken; the windows stay as they are until it is.
    saving: bool,
    snapshots: Option<SnapshotWriter<Kept>>,
    rows: Output<Emitted>,
    items: Output<Item>,
    parts: Output<Part>,
    cuts: Output<Given>,
    /// Messages that were given.
    given: u64,
    here: Here,
}

impl Windowing {
    fn take_in(&mut self, epoch: Epoch, parcels: Vec<Parcel>) {
        let early = u32::from(self.here.world.has(Plant::FoldEarly));
        if self.here.interval(epoch) > self.interval + early {
            self.waiting.entry(epoch).or_default().extend(parcels);
        } else {
            parcels.into_iter().for_each(|parcel| self.insert(parcel));
        }
    }

    fn insert(&mut self, parcel: Parcel) {
        let partition = parcel.partition;
        // Until they are in, they are to blame for whatever happens.
        let slot = self.slot.clone();
        let _watch = slot.as_ref().map(|slot| {
            slot.in_hand(partition, parcel.block);
            slot.watch()
        });
        let Some(columns) = parcel.content.into_columns() else {
            return self.here.outcome.fail(RunError::Died("a parcel from another process is damaged".into()));
        };
        self.faults.meet(&columns.keys, &columns.times);
        let series = self.here.partitions.series(partition);
        self.branches.insert(partition, series, columns);
    }

    /// Applies what the frontiers allow: marks, then cuts, interval by interval.
    fn proceed(&mut self, reached: Option<Epoch>) -> Result<(), RunError> {
        self.hand_on_snapshots()?;
        loop {
            if self.saving && !self.take_snapshot() {
                self.activator.activate();
                return self.hand_on_snapshots();
            }
            while let Some(epoch) = self.ticks.first_key_value().map(|(epoch, _)| *epoch) {
                if !is_past(epoch, reached) || self.here.interval(epoch) > self.interval {
                    break;
                }
                if !self.apply(epoch) {
                    self.activator.activate();
                    return self.hand_on_snapshots();
                }
                self.measure()?;
            }
            let over = reached.is_none_or(|reached| self.here.interval(reached) > self.interval);
            // A snapshot says what has changed since the one before it, which must be durable first. Only the
            // cut of a job that is told to stop comes so soon.
            let overlap = self.here.world.has(Plant::OverlapSnapshots);
            let is_busy = self.snapshots.as_ref().is_some_and(|snapshots| snapshots.is_busy() && !overlap);
            let Some([cut, given]) = self.cut.take_if(|_| over && !is_busy) else { break };
            if self.here.job.follows_keys() {
                let early = self.here.world.has(Plant::JudgeEarly) && self.global.place() != Place::END;
                self.cuts.activate().session(&given).give(Given(self.given + u64::from(early)));
            }
            if let Some(snapshots) = &mut self.snapshots {
                snapshots.begin(self.interval, self.branches.kept(), cut);
            }
            self.saving = true;
        }
        self.hand_on_snapshots()
    }

    /// Goes on with the snapshot of the interval that is over. Once it is taken, the next one begins, with
    /// the parcels that have come in the meantime.
    fn take_snapshot(&mut self) -> bool {
        if self.snapshots.as_mut().is_some_and(|snapshots| !snapshots.take(self.branches.kept())) {
            return false;
        }
        self.saving = false;
        self.interval += 1;
        let next = Epoch::first_of(self.interval + 1);
        let later = self.waiting.split_off(&next);
        let now = std::mem::replace(&mut self.waiting, later);
        now.into_values().flatten().for_each(|parcel| self.insert(parcel));
        true
    }

    /// Applies the marks of an epoch: the global watermark moves, windows close. Returns whether it is
    /// done: many rows are emitted in several activations, so that those who take them keep up.
    fn apply(&mut self, epoch: Epoch) -> bool {
        let Some(tick) = self.ticks.get_mut(&epoch) else { return true };
        let mut marks = std::mem::take(&mut tick.marks);
        let questions = marks.iter_mut().flat_map(|mark| std::mem::take(&mut mark.questions));
        self.questions.extend(questions);
        let cut = marks.iter().any(|mark| mark.cut);
        if marks.iter().any(|mark| mark.drain) {
            self.here.control.drain();
        }
        if !marks.is_empty() {
            self.global.apply(epoch, marks.into_iter().map(|mark| (mark.from, mark.standing)));
            self.global.births().found.values().for_each(|member| self.here.partitions.learn(member));
            self.heard.learn(&self.global);
        }
        let [rows, items, parts, cuts] = &tick.capabilities;
        if cut {
            self.cut.get_or_insert_with(|| [parts.clone(), cuts.clone()]);
        }
        let place = self.global.place();
        self.branches.set_reached(self.global.reached());
        let mut output = self.rows.activate();
        let mut session = output.session(rows);
        let mut give = |branch, rows| {
            self.given += 1;
            session.give(Emitted::Rows(Box::new(Features { branch, rows })));
        };
        if !self.branches.advance_some(place, EMIT_ROWS, &mut give) {
            return false;
        }
        if self.here.job.follows_keys() {
            self.given += 1;
            session.give(Emitted::Before(place.seen.0));
        }
        let kept = self.branches.kept();
        for question in self.questions.drain(..) {
            self.given += 1;
            session.give(Emitted::Asked(Box::new(question.look(kept))));
        }
        drop(session);
        let (counts, late) = self.branches.take_counts();
        if counts != Counts::default() {
            let late = late.into_iter().map(Item::Rejected);
            self.items.activate().session(items).give_iterator(late.chain([Item::Counts(counts)]));
        }
        self.ticks.remove(&epoch);
        true
    }

    /// Says now and then what the windows hold.
    ///
    /// # Errors
    /// If those are more keys than there may be.
    fn measure(&mut self) -> Result<(), RunError> {
        let (keys, max) = (self.branches.keys() as u64, self.here.job.keys_max);
        if let Some(max) = max.filter(|max| keys > *max) {
            return Err(RunError::TooManyKeys { worker: self.here.worker, keys, max });
        }
        let now = self.here.world.now();
        if self.measured.is_none_or(|before| now.saturating_duration_since(before) >= MEASURED_EVERY) {
            self.measured = Some(now);
            let held = HeldState { keys, bytes: self.branches.bytes() as u64 };
            self.here.control.vitals().holds(self.here.worker, held);
        }
        Ok(())
    }

    fn hand_on_snapshots(&mut self) -> Result<(), RunError> {
        let Some(snapshots) = &mut self.snapshots else { return Ok(()) };
        while let Some((segments, cut)) = snapshots.written()? {
            let parts = segments.into_iter().map(Part::Segment);
            self.parts.activate().session(&cut).give_iterator(parts);
        }
        Ok(())
    }
}
