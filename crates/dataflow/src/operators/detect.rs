//! Judges the rows of closed windows, and turns what was found into lines, on the worker of the key.
//!
//! Where a job puts out episodes it follows them, and takes snapshots at cuts as the windows do: what comes behind a cut waits
//! until the snapshot is taken.
//!
//! Where detectors ask what the rows of other keys are, rows are judged in two steps. The first needs nobody else, and tells all
//! workers what they are to know of these rows. The second waits until all of an epoch was told, which [`gather`] knows; what is said
//! of cohorts is counted in between, by [`cohorts`]. Where models are asked, the second step waits for their answers ([`asking`]), and what
//! was found waits once more where they are asked why it was.
//!
//! [`gather`]: super::gather
//! [`cohorts`]: super::cohorts
//! [`asking`]: crate::asking

use std::collections::VecDeque;
use std::rc::Rc;

use checkpoint::Store;
use detect::cohort::Change;
use detect::{Begun, Inquiry, Share};
use event::{Counts, Detected, Epoch, Reason};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;
use timely::scheduling::Activator;

use super::cohorts::{Told, Update};
use super::gather::{Gathered, Lesson};
use super::{Output, is_past, wake};
use crate::asking::{Asking, Order, Record, Responders};
use crate::branch::Branch;
use crate::followed::{Followed, explain};
use crate::job::{Job, RunError};
use crate::message::{Emitted, Features, Given, Item, Part, Telling};
use crate::question::{Answer, Asked};
use crate::snapshot::SnapshotWriter;
use crate::worker::Here;

/// What the operator starts with.
pub(crate) struct Judging {
    /// What is known of the keys of each branch.
    pub(crate) followed: Vec<Followed>,
    /// Where snapshots go, if there is something to be saved.
    pub(crate) store: Option<Store>,
    /// What all workers tell.
    pub(crate) gathered: Rc<Gathered>,
    /// Where what models answer is recorded, if the job keeps state.
    pub(crate) record: Option<Record>,
}

/// Its outputs.
pub(crate) struct Outputs<'scope> {
    pub(crate) items: StreamVec<'scope, u64, Item>,
    pub(crate) parts: StreamVec<'scope, u64, Part>,
    /// For all workers.
    pub(crate) told: StreamVec<'scope, u64, Telling>,
    /// To be counted.
    pub(crate) counted: StreamVec<'scope, u64, Update>,
}

const ITEMS: usize = 0;
const PARTS: usize = 1;
const TOLD: usize = 2;
const COUNTED: usize = 3;

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
    let (told, told_stream) = builder.new_output::<Vec<Telling>>();
    let (counted, counted_stream) = builder.new_output::<Vec<Update>>();
    // A cut holds back the checkpoint, not what is put out meanwhile.
    let to = |port| (port, Antichain::from_elem(0));
    let mut input = builder.new_input_connection(emitted, Pipeline, [to(ITEMS), to(TOLD), to(COUNTED)]);
    let mut cut_input = builder.new_input_connection(cuts, Pipeline, [to(PARTS)]);
    judging.gathered.wakes(scope.activator_for(Rc::clone(&address)));
    let asking = here.job.asks_models().then(|| {
        let activator = activator.clone();
        Asking::spawn(judging.record, here, Box::new(move || wake(&activator)))
    });
    let asking = asking.transpose().unwrap_or_else(|error| {
        here.outcome.fail(error);
        None
    });
    let mut operator = Detecting {
        followed: judging.followed,
        waiting: VecDeque::new(),
        begun: 0,
        halves: VecDeque::new(),
        unexplained: VecDeque::new(),
        explains_from_afar: here.job.explains_from_afar(),
        gathered: judging.gathered,
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
        told: OutputBuilder::from(told),
        counted: OutputBuilder::from(counted),
        asks_others: here.job.asks_others(),
        asking,
        responders: Responders::default(),
        here: here.clone(),
    };
    builder.build(move |capabilities| {
        // What was told before the start and may still change is told again, before anything else.
        let first = Epoch::first_of(operator.here.first_interval).0;
        let asks = operator.here.job.asks_cohorts();
        let mut again = capabilities.get(COUNTED).filter(|_| asks).map(|right| right.delayed(&first));
        drop(capabilities);
        operator.activator.activate();
        move |_frontiers| {
            if let Some(right) = again.take() {
                operator.tell_again(&right);
            }
            // Where an interval ends is known before anything comes that is behind it: both come from one operator.
            cut_input.for_each(|capability, cuts| {
                let Some(epoch) = capability.least().copied() else { return };
                let right = || capability.delayed(&epoch, PARTS);
                operator.cuts.extend(cuts.drain(..).map(|Given(given)| (given, right())));
            });
            input.for_each(|capability, emitted| {
                let Some(epoch) = capability.least().copied() else { return };
                let right = capability.delayed(&epoch, ITEMS);
                let telling = operator
                    .asks_others
                    .then(|| [TOLD, COUNTED].map(|port| capability.delayed(&epoch, port)));
                operator.waiting.push_back(Waiting {
                    right,
                    telling,
                    emitted: std::mem::take(emitted).into(),
                });
            });
            if let Err(error) = operator.proceed() {
                operator.here.outcome.fail(error);
                operator.waiting.clear();
                operator.halves.clear();
                operator.unexplained.clear();
                operator.cuts.clear();
            }
        }
    });
    Outputs { items: item_stream, parts: part_stream, told: told_stream, counted: counted_stream }
}

/// What the windows gave, in their order.
struct Waiting {
    /// To put out what comes of it.
    right: Capability<u64>,
    /// To tell others of it, and to have it counted, where somebody asks.
    telling: Option<[Capability<u64>; 2]>,
    emitted: VecDeque<Emitted>,
}

/// What waits for others, with the right to put out what comes of it.
struct Halves {
    right: Capability<u64>,
    halves: VecDeque<Half>,
    /// Whether models are asked about it.
    is_asked: bool,
}

/// What the windows gave, as far as it is judged.
enum Half {
    /// Rows of a branch.
    Rows(usize, Box<Begun>),
    Before(i64),
    Asked(Box<Asked>),
}

/// What was found, and waits for what models say why, or behind what does.
struct Unexplained {
    right: Capability<u64>,
    /// In each branch; `None` while it is beside the worker.
    found: Vec<(usize, Option<Detected>)>,
    counts: Counts,
}

/// What comes of a step.
enum Judged {
    /// In each branch.
    Found(Vec<(usize, Detected)>),
    Answer(Answer),
}

/// What is to be done.
enum Step {
    /// Both steps at once, with rows that need nobody else.
    All(Box<Features>),
    /// What is left.
    Rest(Half),
}

struct Detecting {
    followed: Vec<Followed>,
    waiting: VecDeque<Waiting>,
    /// Messages that were judged, in the first step.
    begun: u64,
    halves: VecDeque<Halves>,
    unexplained: VecDeque<Unexplained>,
    /// Whether models that are not on this machine may be asked why something was found.
    explains_from_afar: bool,
    /// What all workers have told.
    gathered: Rc<Gathered>,
    /// Whether anybody asks what others have told.
    asks_others: bool,
    /// Where models are asked, if any are.
    asking: Option<Asking>,
    /// Who answers where somebody waits for a verdict.
    responders: Responders,
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
    told: Output<Telling>,
    counted: Output<Update>,
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
            self.finish()?;
            if self.is_at_cut() {
                if self.is_finished() && self.begin_snapshot() {
                    continue;
                }
                // What others tell, or the snapshot before it once it is written, wakes this.
                return Ok(());
            }
            let Some(mut waiting) = self.waiting.pop_front() else { return Ok(()) };
            self.begin(&mut waiting);
            if !waiting.emitted.is_empty() {
                self.waiting.push_front(waiting);
            }
        }
    }

    fn is_at_cut(&self) -> bool {
        self.cuts.front().is_some_and(|(given, _)| self.begun >= *given)
    }

    /// Takes the first step with what was given with one right, up to the next cut.
    fn begin(&mut self, waiting: &mut Waiting) {
        let next_cut = self.cuts.front().map_or(u64::MAX, |(given, _)| *given);
        let room = usize::try_from(next_cut - self.begun).unwrap_or(usize::MAX);
        let taken: Vec<Emitted> = waiting.emitted.drain(..room.min(waiting.emitted.len())).collect();
        self.begun += taken.len() as u64;
        if !self.waits() {
            let all = taken.into_iter().map(|emitted| match emitted {
                Emitted::Rows(features) => Step::All(features),
                Emitted::Before(before) => Step::Rest(Half::Before(before)),
                Emitted::Asked(asked) => Step::Rest(Half::Asked(asked)),
            });
            return self.put_out(&waiting.right, all);
        }
        let (mut halves, mut tellings, mut changes) = (VecDeque::new(), Vec::new(), Vec::new());
        for emitted in taken {
            halves.push_back(match emitted {
                Emitted::Rows(features) => {
                    let Features { branch, rows } = *features;
                    let (begun, shares, changed) =
                        self.followed[branch].begin(&self.here.job.branches[branch], &rows);
                    tellings.extend(shares.into_iter().map(|share| (branch as u16, share)));
                    changes.extend(changed.into_iter().map(|change| (branch, change)));
                    Half::Rows(branch, Box::new(begun))
                }
                Emitted::Before(before) => {
                    for (branch, followed) in self.followed.iter_mut().enumerate() {
                        let passed = followed.pass(before);
                        changes.extend(passed.into_iter().map(|change| (branch, change)));
                    }
                    Half::Before(before)
                }
                // Whoever asks waits for no model; for the rows of other keys he does, which are told soon.
                Emitted::Asked(asked) if !self.asks_others => {
                    self.put_out(&waiting.right, std::iter::once(Step::Rest(Half::Asked(asked))));
                    continue;
                }
                Emitted::Asked(asked) => Half::Asked(asked),
            });
        }
        if let Some([telling, counting]) = &waiting.telling {
            self.tell(telling, tellings);
            self.count(counting, changes);
        }
        let inquiries = self.inquiries(&halves);
        let is_asked = !inquiries.is_empty();
        if let Some(asking) = self.asking.as_mut().filter(|_| is_asked) {
            asking.send(self.interval, inquiries);
        }
        self.halves.push_back(Halves { right: waiting.right.clone(), halves, is_asked });
    }

    /// Whether rows are judged in two steps.
    fn waits(&self) -> bool {
        self.asks_others || self.asking.is_some()
    }

    /// What models are to be asked about rows, by which of the halves they are.
    fn inquiries(&self, halves: &VecDeque<Half>) -> Vec<(usize, Inquiry)> {
        let of = |half: &Half| match half {
            Half::Rows(branch, begun) => begun.inquiries(&self.here.job.branches[*branch].detection, *branch),
            Half::Before(_) | Half::Asked(_) => Vec::new(),
        };
        let numbered = halves.iter().enumerate();
        numbered.flat_map(|(number, half)| of(half).into_iter().map(move |asked| (number, asked))).collect()
    }

    /// Gives what comes next the answers of models, if it waits for any. Returns whether there is nothing left to wait for.
    fn take_answers(&mut self) -> Result<bool, RunError> {
        let Some(asking) = &mut self.asking else { return Ok(true) };
        let Some(Halves { halves, is_asked, .. }) = self.halves.front_mut() else { return Ok(false) };
        if !*is_asked {
            return Ok(true);
        }
        let Some(Order { inquiries, answers, .. }) = asking.answered()? else { return Ok(false) };
        for ((number, inquiry), answers) in inquiries.iter().zip(answers) {
            if let Some(Half::Rows(_, begun)) = halves.get_mut(*number) {
                begun.answer(inquiry, answers);
            }
        }
        *is_asked = false;
        Ok(true)
    }

    /// Tells all workers.
    fn tell(&mut self, right: &Capability<u64>, tellings: Vec<(u16, Share)>) {
        let mut output = self.told.activate();
        let mut session = output.session(right);
        for (branch, share) in tellings {
            let to = |to| Telling { to, branch, share: share.clone() };
            session.give_iterator((0..self.here.peers as u32).map(to));
        }
    }

    /// Has what was told counted.
    fn count(&mut self, right: &Capability<u64>, changes: Vec<(usize, Change)>) {
        if changes.is_empty() {
            return;
        }
        let epoch = *right.time();
        let mut output = self.counted.activate();
        let updates = changes.into_iter().map(|(branch, change)| Told::update(branch, change, epoch));
        output.session(right).give_iterator(updates);
    }

    /// Has counted again what a checkpoint says that was told, and that may still change.
    fn tell_again(&mut self, right: &Capability<u64>) {
        let mut changes = Vec::new();
        for (branch, followed) in self.followed.iter_mut().enumerate() {
            changes.extend(followed.tell_again().into_iter().map(|change| (branch, change)));
        }
        self.count(right, changes);
    }

    /// Takes the second step with all that others have told enough for.
    fn finish(&mut self) -> Result<(), RunError> {
        if !self.waits() {
            return Ok(());
        }
        self.give_explained()?;
        let (reached, asks) = (self.gathered.reached(), self.asks_others);
        let is_told = |halves: &Halves| !asks || is_past(Epoch(*halves.right.time()), reached);
        while self.halves.front().is_some_and(is_told) && self.take_answers()? {
            let Some(Halves { right, halves, .. }) = self.halves.pop_front() else { break };
            // What later epochs tell would be too much for these rows.
            let epoch = Epoch(*right.time());
            self.take_in(|told| told <= epoch);
            self.put_out(&right, halves.into_iter().map(Step::Rest));
            self.give_explained()?;
        }
        Ok(())
    }

    /// Takes in what all have told in complete epochs that `wanted` holds of.
    fn take_in(&mut self, wanted: impl Fn(Epoch) -> bool) {
        for lesson in self.gathered.take(wanted) {
            match lesson {
                Lesson::Share(branch, share) => self.followed[branch].tell(share),
                Lesson::Answer(answered) => self.followed[usize::from(answered.branch)].hear(*answered),
            }
        }
    }

    /// Whether all of the interval is judged, by what everybody has told of it: it then is learned.
    fn is_finished(&mut self) -> bool {
        if !self.asks_others {
            return self.halves.is_empty();
        }
        let is_told =
            self.gathered.reached().is_none_or(|reached| self.here.interval(reached) > self.interval);
        if !is_told || !self.halves.is_empty() {
            return false;
        }
        let (interval, here) = (self.interval, self.here.clone());
        self.take_in(|epoch| here.interval(epoch) <= interval);
        let branches = self.here.job.branches.iter();
        self.followed.iter_mut().zip(branches).for_each(|(followed, branch)| followed.learn_all(branch));
        true
    }

    /// Judges what is left to be judged, and puts out what comes of it, or has said first why it was found.
    fn put_out(&mut self, right: &Capability<u64>, steps: impl Iterator<Item = Step>) {
        let here = self.here.clone();
        let job = &here.job;
        let (mut counts, mut held) = (Counts::default(), Vec::new());
        let mut output = self.items.activate();
        let mut session = output.session(right);
        for step in steps {
            match judge(job, &mut self.followed, &mut self.responders, step, &mut counts) {
                // Whoever asks waits for nothing that is far.
                Judged::Answer(answer) => session.give(Item::Answer(answer)),
                Judged::Found(found) if self.explains_from_afar => held.extend(found),
                Judged::Found(found) => {
                    for (branch, detected) in found {
                        session.give_iterator(lines(&job.branches[branch], &detected, &mut counts));
                    }
                }
            }
        }
        if !self.explains_from_afar && counts != Counts::default() {
            session.give(Item::Counts(counts));
        }
        drop(session);
        drop(output);
        if self.explains_from_afar {
            self.hold(right, held, counts);
        }
    }

    /// Keeps what was found until it is said why.
    fn hold(&mut self, right: &Capability<u64>, held: Vec<(usize, Detected)>, counts: Counts) {
        let is_afar = |branch: usize, detected: &Detected| {
            let branch = &self.here.job.branches[branch];
            branch.renderer.explains() && branch.detection.explains_from_afar(detected)
        };
        let (mut found, mut sent) = (Vec::with_capacity(held.len()), Vec::new());
        for (branch, detected) in held {
            match is_afar(branch, &detected) {
                true => {
                    sent.push((branch, detected));
                    found.push((branch, None));
                }
                false => found.push((branch, Some(detected))),
            }
        }
        if let Some(asking) = self.asking.as_mut().filter(|_| !sent.is_empty()) {
            asking.explain(self.interval, sent);
        }
        self.unexplained.push_back(Unexplained { right: right.clone(), found, counts });
    }

    /// Puts out what was found of which it is said why, in its order.
    fn give_explained(&mut self) -> Result<(), RunError> {
        while let Some(Unexplained { found, .. }) = self.unexplained.front_mut() {
            if found.iter().any(|(_, detected)| detected.is_none()) {
                let Some(asking) = &mut self.asking else { return Ok(()) };
                let Some(explained) = asking.explained()? else { return Ok(()) };
                let open = found.iter_mut().filter(|(_, detected)| detected.is_none());
                open.zip(explained).for_each(|((_, open), (_, detected))| *open = Some(detected));
            }
            let Some(Unexplained { right, found, mut counts }) = self.unexplained.pop_front() else { break };
            let mut output = self.items.activate();
            let mut session = output.session(&right);
            for (branch, detected) in found {
                let Some(detected) = detected else { continue };
                session.give_iterator(lines(&self.here.job.branches[branch], &detected, &mut counts));
            }
            if counts != Counts::default() {
                session.give(Item::Counts(counts));
            }
        }
        Ok(())
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

/// Judges what is left to be judged, and says why what was found was, unless that is for models that are not on this machine.
fn judge(
    job: &Job,
    followed: &mut [Followed],
    models: &mut Responders,
    step: Step,
    counts: &mut Counts,
) -> Judged {
    match step {
        Step::All(features) => {
            let Features { branch, rows } = *features;
            counts.windows += rows.records.len() as u64;
            Judged::Found(vec![(branch, followed[branch].judge(&job.branches[branch], &rows, models))])
        }
        Step::Rest(Half::Rows(number, begun)) => {
            counts.windows += begun.rows() as u64;
            let branch = &job.branches[number];
            let mut detected = followed[number].finish(branch, *begun);
            if !branch.detection.explains_from_afar(&detected) {
                explain(branch, &mut detected, models);
            }
            Judged::Found(vec![(number, detected)])
        }
        Step::Rest(Half::Asked(asked)) => Judged::Answer(asked.answer(job, followed, models)),
        Step::Rest(Half::Before(before)) => {
            let branches = job.branches.iter().zip(followed).enumerate();
            let over = branches
                .filter_map(|(number, (branch, followed))| Some((number, followed.advance(branch, before)?)));
            Judged::Found(over.collect())
        }
    }
}

/// The lines of what was detected.
fn lines(branch: &Branch, detected: &Detected, counts: &mut Counts) -> impl Iterator<Item = Item> + use<> {
    let rendered = branch.renderer.render(detected);
    counts.alerts += rendered.alerts;
    counts.muted += rendered.muted;
    counts.rows_quarantined += rendered.rows_quarantined;
    counts.by_reason.add(Reason::Expression, rendered.rows_quarantined);
    rendered.rows.into_iter().map(Item::Row)
}
