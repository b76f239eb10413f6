//! Reads a worker's partitions: poll, decode, transform, mark time, route.
//!
//! One partition at a time, a tick after each round; stops while the sinks are too far behind. What a
//! record means is decided in `ingest` and `transform`; this decides when to read.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alert::Mode;
use archive::Archive;
use checkpoint::{SourceState, Stage};
use event::{Counts, Epoch, Watermark};
use ingest::Waker;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::Activator;

use super::{Output, wake};
use crate::archiving::Archiver;
use crate::indexing;
use crate::intake::{Intake, Turn};
use crate::job::RunError;
use crate::message::{Item, Mark, Parcel, Part};
use crate::nursery::Nursery;
use crate::pace::{Pace, Share};
use crate::plant::Plant;
use crate::question::Question;
use crate::standing::{Births, Heard, Standing};
use crate::vitals::Pulse;
use crate::worker::{Here, Probes};

/// How long to wait before looking again while the sinks are behind; doubles with each look.
const BEHIND: Duration = Duration::from_micros(100);
/// How long a worker with nothing to read sleeps; a waker may end it.
const IDLE: Duration = Duration::from_millis(5);
/// How often it is said how the partitions are.
const MEASURED_EVERY: Duration = Duration::from_secs(1);
/// Bytes of records that are carried along to be shown (see [`Turn`]) beyond which no more is read before the
/// sinks have taken some: they weigh ten times as much as records in columns.
const SHOWN_BYTES: usize = 16 << 20;
/// Parcels for other processes that are sent together at most.
const FAR_PARCELS: usize = 32;

/// What the reading operator starts with.
pub(crate) struct Reader {
    pub(crate) intakes: Vec<Intake>,
    /// Partitions that are to be read later.
    pub(crate) nursery: Nursery,
    /// The rate of each source, as far as this process reads it.
    pub(crate) paces: Vec<Option<Arc<Pace>>>,
    /// The greatest watermark of partitions of this worker that were finished before.
    pub(crate) finished: Watermark,
    /// What this worker has heard of all.
    pub(crate) heard: Rc<Heard>,
    /// Where what is read is archived.
    pub(crate) archive: Option<Archive>,
}

/// Its outputs.
pub(crate) struct Read<'scope> {
    pub(crate) parcels: StreamVec<'scope, u64, Parcel>,
    pub(crate) marks: StreamVec<'scope, u64, Mark>,
    pub(crate) items: StreamVec<'scope, u64, Item>,
    pub(crate) parts: StreamVec<'scope, u64, Part>,
}

pub(crate) fn read<'scope>(
    scope: Scope<'scope, u64>,
    here: &Here,
    reader: Reader,
    probes: &Probes,
) -> Read<'scope> {
    let mut builder = OperatorBuilder::new("Read".to_owned(), scope);
    let (parcels, parcel_stream) = builder.new_output::<Vec<Parcel>>();
    let (marks, mark_stream) = builder.new_output::<Vec<Mark>>();
    let (items, item_stream) = builder.new_output::<Vec<Item>>();
    let (parts, part_stream) = builder.new_output::<Vec<Part>>();
    let address = builder.operator_info().address;
    let activator = Rc::new(scope.activator_for(Rc::clone(&address)));
    let waker = Arc::new(scope.worker().sync_activator_for(address.to_vec()));

    let waker: Waker = Arc::new(move || wake(&waker));
    let staged = Arc::clone(&waker);
    let archiver = reader.archive.map(|archive| Archiver::start(archive, here, move || staged())).transpose();
    let mut intakes = reader.intakes;
    intakes.iter_mut().for_each(|intake| intake.set_waker(Arc::clone(&waker)));
    let reading = Reading {
        turn: 0,
        polled: false,
        moved: !intakes.is_empty(),
        intakes,
        nursery: reader.nursery,
        said: Births::default(),
        paces: reader.paces,
        finished: reader.finished,
        waker,
        parcels: OutputBuilder::from(parcels),
        marks: OutputBuilder::from(marks),
        items: OutputBuilder::from(items),
        parts: OutputBuilder::from(parts),
        counts: Counts::default(),
        rejected: Vec::new(),
        far: Vec::new(),
        epoch: Epoch::first_of(here.first_interval),
        shown_bytes: 0,
        ahead: VecDeque::new(),
        heard: reader.heard,
        archiver: archiver.unwrap_or_else(|error| {
            here.outcome.fail(error);
            None
        }),
        last_tick: here.world.now(),
        last_cut: here.world.now(),
        measured: None,
        behind: BEHIND,
        taken: 0,
        pulse: here.control.vitals().pulse(),
        probes: probes.clone(),
        here: here.clone(),
        activator,
    };
    builder.build(move |mut capabilities| {
        let first = reading.epoch.0;
        capabilities.iter_mut().for_each(|capability| capability.downgrade(&first));
        // Where nobody reads anything, since all that there was is at its end and nothing more is to come by now, somebody
        // has to say so: windows may still be open.
        let speaks = reading.here.worker == 0 && reading.here.partitions.are_all_over();
        if reading.is_over() && !speaks {
            capabilities.clear();
        }
        reading.here.control.vitals().begins_to_read(reading.here.first_interval);
        let mut reading = (!capabilities.is_empty()).then_some(reading);
        move |_| {
            if let Some(active) = &mut reading {
                active.activate(&mut capabilities);
            }
            if capabilities.is_empty() && reading.as_ref().is_none_or(|reading| !reading.is_archiving()) {
                // Its pulse goes with it: nobody waits for it any more.
                reading = None;
            }
        }
    });
    Read { parcels: parcel_stream, marks: mark_stream, items: item_stream, parts: part_stream }
}

/// Parcel, mark, item and part: the order of the outputs.
type Capabilities = Vec<Capability<u64>>;

struct Reading {
    intakes: Vec<Intake>,
    nursery: Nursery,
    /// What was said last of partitions that come and go.
    said: Births,
    paces: Vec<Option<Arc<Pace>>>,
    /// The greatest watermark of partitions that are finished and not among the intakes any more.
    finished: Watermark,
    /// Has this operator run again.
    waker: Waker,
    /// Which partition is next in this round.
    turn: usize,
    /// Whether this round read anything.
    polled: bool,
    /// Whether anything was read since the last tick.
    moved: bool,
    parcels: Output<Parcel>,
    marks: Output<Mark>,
    items: Output<Item>,
    parts: Output<Part>,
    counts: Counts,
    rejected: Vec<Item>,
    /// Parcels for other processes; empty between rounds.
    far: Vec<Parcel>,
    epoch: Epoch,
    /// Bytes of records to be shown since the last tick.
    shown_bytes: usize,
    /// Ticks that the sinks have not taken yet, with the bytes of records to be shown in each.
    ahead: VecDeque<(Epoch, usize)>,
    heard: Rc<Heard>,
    /// Has what is read archived.
    archiver: Option<Archiver>,
    last_tick: Instant,
    last_cut: Instant,
    /// When it was last said how the partitions are.
    measured: Option<Instant>,
    /// How long to wait for the sinks next.
    behind: Duration,
    /// Ticks that the sinks have taken.
    taken: u64,
    pulse: Pulse,
    probes: Probes,
    here: Here,
    activator: Rc<Activator>,
}

/// When the operator is to run again.
enum Next {
    Now,
    After(Duration),
    Never,
}

impl Reading {
    fn activate(&mut self, capabilities: &mut Capabilities) {
        self.pulse.beat();
        let next = self.hand_on_archived().and_then(|()| match capabilities.is_empty() {
            // All is read, and not all of it archived.
            true => Ok(if self.is_archiving() { Next::After(IDLE) } else { Next::Never }),
            false => self.run(capabilities),
        });
        match next {
            Ok(Next::Now) => self.activator.activate(),
            Ok(Next::After(delay)) => self.here.world.activate_after(&self.activator, delay),
            Ok(Next::Never) => {
                capabilities.clear();
                if self.is_archiving() {
                    // Its pulse goes on until that is done.
                    self.here.world.activate_after(&self.activator, IDLE);
                }
            }
            Err(error) => {
                self.here.outcome.fail(error);
                capabilities.clear();
                self.archiver = None;
            }
        }
    }

    /// Whether files of the archive are not durable yet that a cut waits for.
    fn is_archiving(&self) -> bool {
        self.archiver.as_ref().is_some_and(Archiver::is_busy)
    }

    /// Hands on which files of the archive have become durable.
    fn hand_on_archived(&mut self) -> Result<(), RunError> {
        let Some(archiver) = &mut self.archiver else { return Ok(()) };
        while let Some((files, capability)) = archiver.staged()? {
            self.parts.activate().session(&capability).give(Part::Archived(files));
        }
        Ok(())
    }

    fn run(&mut self, capabilities: &mut Capabilities) -> Result<Next, RunError> {
        if self.here.control.is_draining() {
            self.here.control.vitals().stops_to_read();
            self.end(capabilities, true)?;
            return Ok(Next::Never);
        }
        if self.turn == 0 && self.wants_cut() {
            if self.is_uncommitted() {
                // Until the disk has done its part, however long that takes.
                self.pulse.waits_at(None);
                return Ok(self.look_again());
            }
            self.here.control.vitals().committed_up_to(self.epoch.interval().saturating_sub(1));
            self.cut(capabilities, false)?;
        }
        if self.is_far_ahead() {
            // Before the first tick was taken others may still load their part of the state.
            self.pulse.waits_at((self.taken > 0).then_some(self.taken));
            return Ok(self.look_again());
        }
        self.pulse.waits_at(None);
        if self.archiver.as_ref().is_some_and(Archiver::is_behind) {
            return Ok(self.look_again());
        }
        self.behind = BEHIND;
        if self.turn < self.intakes.len() {
            self.poll(capabilities)?;
            self.turn += 1;
            if self.turn < self.intakes.len() {
                return Ok(Next::Now);
            }
        }
        self.round(capabilities)
    }

    /// Waits for the sinks, longer each time: they may be slow for hours.
    fn look_again(&mut self) -> Next {
        let delay = self.behind;
        self.behind = (2 * delay).min(IDLE);
        Next::After(delay)
    }

    /// Polls the partition whose turn it is, and sends what it gave.
    fn poll(&mut self, capabilities: &Capabilities) -> Result<(), RunError> {
        let Turn { parcels, counts, rejected, shown_bytes, polled, turned, waits, block } =
            self.intakes[self.turn].poll(&self.here, self.epoch, &self.heard)?;
        self.shown_bytes += shown_bytes;
        self.polled |= polled;
        self.moved |= polled | turned;
        if waits {
            self.heard.wait(&self.activator);
        }
        if let (Some(archiver), Some(block)) = (&self.archiver, block) {
            archiver.take(self.epoch.interval(), block);
        }
        self.counts += counts;
        self.rejected.extend(rejected.into_iter().map(Item::Rejected));
        self.here.control.add_read(counts.read);
        let (far, near): (Vec<Parcel>, Vec<Parcel>) =
            parcels.into_iter().partition(|parcel| self.here.is_remote(parcel.to as usize));
        if !near.is_empty() {
            let mut output = self.parcels.activate();
            output.session(&capabilities[0]).give_iterator(near.into_iter());
        }
        self.far.extend(far);
        if self.turn + 1 == self.intakes.len() || self.far.len() >= FAR_PARCELS {
            self.send_far(capabilities);
        }
        Ok(())
    }

    /// Sends on what goes to other processes: together, since each sending wakes two threads of the network.
    fn send_far(&mut self, capabilities: &Capabilities) {
        if !self.far.is_empty() {
            let mut output = self.parcels.activate();
            output.session(&capabilities[0]).give_iterator(self.far.drain(..));
        }
    }

    /// Ends a round over the partitions.
    fn round(&mut self, capabilities: &mut Capabilities) -> Result<Next, RunError> {
        let since = self.since(self.last_tick);
        let tick = self.here.job.flow.tick;
        let polled = std::mem::take(&mut self.polled);
        self.measure();
        self.tend_nursery()?;
        if self.is_over() {
            if self.is_undecided() {
                return self.settle(capabilities);
            }
            self.end(capabilities, false)?;
            return Ok(Next::Never);
        }
        self.turn = 0;
        self.moved |= self.here.worker == 0 && self.here.control.desk().is_asked();
        if self.moved && since < tick {
            return Ok(if polled { Next::Now } else { Next::After(tick - since) });
        }
        let heard = self.heard.newest();
        if self.moved || heard >= self.epoch {
            // What others have said at an epoch is applied once nobody is to say more at it: whoever has nothing to
            // say goes past it. Who has will have more, or nothing, the next time.
            let follows = if self.moved { heard } else { heard.next_tick() };
            self.tick(capabilities, false);
            let next = self.epoch.next_tick().max(follows);
            // A cut of another worker is followed by a cut of our own, never by a jump.
            let end = if self.here.keeps_state() { self.last_tick_of_interval() } else { next };
            self.advance(capabilities, next.min(end));
        }
        let pause = self.intakes.iter().filter_map(Intake::pause).min();
        Ok(match polled {
            true => Next::Now,
            false => Next::After(pause.unwrap_or(IDLE).clamp(BEHIND, IDLE)),
        })
    }

    /// Says now and then how the partitions are.
    fn measure(&mut self) {
        let now = self.here.world.now();
        if self.measured.is_none_or(|before| now.saturating_duration_since(before) >= MEASURED_EVERY) {
            self.measured = Some(now);
            let read = self.intakes.iter().filter(|intake| !intake.is_finished());
            self.here.control.vitals().reads(self.here.worker, read.map(Intake::vitals).collect());
        }
    }

    /// Whether nothing is to be read any more.
    fn is_over(&self) -> bool {
        // Whoever takes the questions along stays until all are at their end.
        let is_asked = self.here.worker == 0 && self.here.control.desk().is_manned();
        let others_read = is_asked && self.here.peers > 1 && self.heard.watermark() != Watermark::FINISHED;
        !others_read
            && !self.here.awaits_more()
            && self.nursery.is_empty()
            && self.intakes.iter().all(Intake::is_finished)
    }

    /// Begins to read the partitions whose time has come, and says what is new of those that come and go.
    fn tend_nursery(&mut self) -> Result<(), RunError> {
        self.forget_finished();
        let opened = self.nursery.tend(&mut self.intakes, &self.heard, self.epoch, &self.here)?;
        for opened in opened {
            let pace = self.paces[opened.member.source as usize].clone();
            let mut intake = Intake::new(opened, pace.map(Share::of_newcomer), &self.here);
            intake.set_waker(Arc::clone(&self.waker));
            self.intakes.push(intake);
        }
        let births = self.nursery.say(&self.intakes, &self.heard);
        self.moved |= births != self.said;
        self.said = births;
        Ok(())
    }

    /// Lets go of partitions of which nobody needs anything any more: where new ones come for ever, so do those that end.
    fn forget_finished(&mut self) {
        let Reading { intakes, finished, epoch, here, heard, .. } = self;
        let births = heard.births();
        intakes.retain(|intake| {
            let spec = &here.job.sources[intake.member().source as usize];
            // Whoever is still said to be found would be taken for one that is to be read, and parents wait to hear that
            // their children are.
            let is_talked_of = births.found.contains_key(&intake.ordinal())
                || intake.parents().iter().any(|parent| births.closed.contains_key(parent));
            let stays =
                is_talked_of || !here.world.takes_in_newcomers(spec) || !intake.is_done_with(*epoch, here);
            if !stays {
                *finished = intake.watermark_state().max(*finished);
            }
            stays
        });
    }

    /// Whether what is put out at once has to wait for the commit of what partitions have decided. The last
    /// checkpoint says that all is put out, so that must have happened before.
    fn is_undecided(&self) -> bool {
        let at_once = self.here.job.sinks.iter().any(|sink| sink.mode == Mode::AtOnce);
        let last = self.intakes.iter().filter_map(Intake::undecided_in).max();
        let is_committed = |interval| interval < self.epoch.interval() && !self.is_uncommitted();
        self.here.keeps_state() && at_once && last.is_some_and(|interval| !is_committed(interval))
    }

    /// Takes a checkpoint before the last one, or waits for it.
    fn settle(&mut self, capabilities: &mut Capabilities) -> Result<Next, RunError> {
        if !self.is_uncommitted() {
            self.cut(capabilities, false)?;
        }
        self.pulse.waits_at(None);
        Ok(self.look_again())
    }

    /// Says how far the partitions have come.
    fn tick(&mut self, capabilities: &Capabilities, cut: bool) {
        if !self.is_uncommitted() {
            let interval = self.epoch.interval();
            self.intakes.iter_mut().for_each(|intake| intake.committed_before(interval));
        }
        let mut standing = Standing::finished();
        self.intakes.iter().for_each(|intake| intake.stand(&self.here, &mut standing));
        standing.add_finished(self.finished);
        if self.here.awaits_more() {
            // Whatever comes may come with the `seen` that the others have, and the end is not reached.
            standing.add_asleep(Watermark::NONE);
        }
        standing.add_births(self.said.clone());
        let drain = self.here.control.is_draining();
        let from = self.here.worker as u32;
        let mut questions = self.questions();
        let marks = (0..self.here.peers as u32).map(|to| {
            let (standing, questions) = (standing.clone(), questions.remove(&to).unwrap_or_default());
            Mark { to, from, standing, cut, drain, questions }
        });
        self.marks.activate().session(&capabilities[1]).give_iterator(marks);
        let counts = std::mem::take(&mut self.counts);
        if counts != Counts::default() || !self.rejected.is_empty() {
            let items = self.rejected.drain(..).chain([Item::Counts(counts)]);
            self.items.activate().session(&capabilities[2]).give_iterator(items);
        }
        self.moved = false;
        self.last_tick = self.here.world.now();
        self.ahead.push_back((self.epoch, std::mem::take(&mut self.shown_bytes)));
    }

    /// What somebody wants to know, by the worker that does: the first one takes it along.
    fn questions(&self) -> BTreeMap<u32, Vec<Question>> {
        if self.here.worker > 0 {
            return BTreeMap::new();
        }
        let shards = self.here.job.state.as_ref().map_or(crate::SHARDS, |state| state.shards);
        self.here.control.desk().take(shards, self.here.peers)
    }

    fn advance(&mut self, capabilities: &mut Capabilities, to: Epoch) {
        self.epoch = to;
        capabilities.iter_mut().for_each(|capability| capability.downgrade(&to.0));
    }

    fn since(&self, then: Instant) -> Duration {
        self.here.world.now().saturating_duration_since(then)
    }

    fn wants_cut(&self) -> bool {
        let Some(state) = &self.here.job.state else { return false };
        self.since(self.last_cut) >= state.checkpoint_every
            || self.heard.newest().interval() > self.epoch.interval()
            || self.epoch == self.last_tick_of_interval()
            || self.here.control.wants_cut()
    }

    fn last_tick_of_interval(&self) -> Epoch {
        Epoch(self.epoch.next_interval().0 - 1)
    }

    /// Whether the checkpoint before this interval is still being written: one at a time.
    fn is_uncommitted(&self) -> bool {
        self.probes.committed.less_than(&Epoch::first_of(self.epoch.interval()).0)
    }

    fn is_far_ahead(&mut self) -> bool {
        while self.ahead.front().is_some_and(|(epoch, _)| !self.probes.taken.less_equal(&epoch.0)) {
            self.ahead.pop_front();
            self.taken += 1;
        }
        let shown: usize = self.ahead.iter().map(|(_, bytes)| bytes).sum();
        self.ahead.len() >= self.here.job.flow.ticks || shown >= SHOWN_BYTES
    }

    /// Ends an interval: the positions here and now are those of the checkpoint.
    fn cut(&mut self, capabilities: &mut Capabilities, last: bool) -> Result<(), RunError> {
        self.tick(capabilities, true);
        self.here.control.cut_made();
        if self.here.world.has(Plant::LatePosition) && !last {
            let next = self.epoch.next_interval().0;
            let later: Capabilities = capabilities.iter().map(|held| held.delayed(&next)).collect();
            self.poll(&later)?;
        }
        let interval = self.epoch.interval();
        let mut states = Vec::with_capacity(self.intakes.len());
        let index_bytes = indexing::bytes_of_each(self.intakes.len() * self.here.peers);
        for intake in &mut self.intakes {
            states.push(source_state(intake, interval, index_bytes, &self.here)?);
        }
        self.parts.activate().session(&capabilities[3]).give(Part::Sources(states));
        if let Some(archiver) = &mut self.archiver {
            archiver.cut(interval, capabilities[3].clone());
        }
        self.last_cut = self.here.world.now();
        if !last {
            let next = self.epoch.next_interval();
            self.advance(capabilities, next);
        }
        Ok(())
    }

    fn end(&mut self, capabilities: &mut Capabilities, drained: bool) -> Result<(), RunError> {
        // Drained in the middle of a round: what was read belongs to this epoch.
        self.send_far(capabilities);
        if self.here.keeps_state() {
            return self.cut(capabilities, true);
        }
        if self.moved || drained {
            self.tick(capabilities, false);
        }
        Ok(())
    }
}

/// What the checkpoint of an interval says of a partition.
fn source_state(
    intake: &mut Intake,
    interval: u32,
    index_bytes: usize,
    here: &Here,
) -> Result<(u32, SourceState), RunError> {
    let mut position = intake.position();
    intake.cut(interval, position.clone());
    if here.world.has(Plant::OffsetOffByOne) {
        position.offset += 1;
    }
    let stage = match intake.stage() {
        Stage::Asleep if here.world.has(Plant::ForgetSleep) => Stage::Awake,
        stage => stage,
    };
    let state = intake.member().state(
        &here.job,
        &position,
        intake.watermark_state(),
        stage,
        indexing::encoded(intake.index(), index_bytes)?,
    )?;
    Ok((intake.ordinal(), state))
}
