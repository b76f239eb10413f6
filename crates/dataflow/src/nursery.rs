//! Partitions that are not read yet: those that go on from others, and those that are found while the job runs.
//!
//! A partition that goes on from others, as a shard of Kinesis after a split or a merge, is read once all of those are
//! at their end: their watermarks hold the global one until it is, and its own begins at the least of them. So the
//! answer is the same whenever that happens. One that goes on from none, as a new partition of Kafka or a new file, joins
//! like one that wakes ([`crate::sleep`]), once all others have come to the end that they had when it was found: by then
//! nothing that was put out before a crash can lie ahead of what it joins. Those that are found together join together:
//! the watermark stays where it is until the last of them is read.
//!
//! Worker 0 looks for new ones and says so to all ([`Births`]); each is read by its owner.

use std::collections::{BTreeMap, BTreeSet};

use event::{Epoch, Watermark};
use ingest::PartitionWatermark;

use crate::intake::{Beginning, Intake, Opened};
use crate::job::RunError;
use crate::member::Member;
use crate::plant::Plant;
use crate::scout::Scout;
use crate::standing::{Births, Heard};
use crate::worker::Here;

/// The partitions of a worker that it does not read yet.
pub(crate) struct Nursery {
    /// Those of this worker.
    waiting: BTreeMap<u32, Member>,
    /// Who looks for new ones, on the worker that does.
    scout: Option<Scout>,
    /// Those that this worker has found and has not heard that they are read.
    found: BTreeMap<u32, Member>,
    /// Found ones that this worker has heard of, since which its partitions were asked for their ends.
    asked: BTreeSet<u32>,
    /// Those of them since which all partitions of this worker have come to their ends; it stays so, whatever is read
    /// since, as those are that joined together with them.
    passed: BTreeSet<u32>,
}

impl Nursery {
    /// With those that wait from the beginning.
    pub(crate) fn new(waiting: Vec<Member>, scout: Option<Scout>) -> Self {
        let waiting = waiting.into_iter().map(|member| (member.ordinal(), member)).collect();
        let (asked, passed) = (BTreeSet::new(), BTreeSet::new());
        Nursery { waiting, scout, found: BTreeMap::new(), asked, passed }
    }

    /// Whether some wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes note of what was heard, and opens the partitions whose time has come, to be read from this epoch on.
    pub(crate) fn tend(
        &mut self,
        intakes: &mut [Intake],
        heard: &Heard,
        epoch: Epoch,
        here: &Here,
    ) -> Result<Vec<Opened>, RunError> {
        let births = heard.births();
        if let Some(scout) = &mut self.scout {
            self.found.extend(scout.found(&here.world)?.into_iter().map(|member| (member.ordinal(), member)));
            self.found.retain(|ordinal, _| !births.opened.contains(ordinal));
            if !births.closed.is_empty() {
                scout.hurry();
            }
        }
        self.learn(&births, intakes, here);
        if !self.asked.is_empty() && intakes.iter().all(Intake::has_passed_end) {
            self.passed.extend(&self.asked);
        }
        let is_ripe = |(ordinal, member): (&u32, &Member)| is_ripe(member, &births, here).then_some(*ordinal);
        let ripe: Vec<u32> = self.waiting.iter().filter_map(is_ripe).collect();
        let ripe = ripe.into_iter().filter_map(|ordinal| self.waiting.remove(&ordinal));
        ripe.map(|member| open(member, &births, epoch, here)).collect()
    }

    /// Takes in those that were found, and has the partitions of this worker asked for their ends as of now.
    fn learn(&mut self, births: &Births, intakes: &mut [Intake], here: &Here) {
        for (ordinal, member) in &births.found {
            let is_read = births.opened.contains(ordinal) || intakes.iter().any(|i| i.ordinal() == *ordinal);
            if member.owner(here.peers) == here.worker && !is_read {
                self.waiting.entry(*ordinal).or_insert_with(|| member.clone());
            }
            if self.asked.insert(*ordinal) {
                intakes.iter_mut().for_each(Intake::mark_end);
            }
        }
        self.asked.retain(|ordinal| births.found.contains_key(ordinal));
        self.passed.retain(|ordinal| births.found.contains_key(ordinal));
    }

    /// What this worker has to say.
    pub(crate) fn say(&self, intakes: &[Intake], heard: &Heard) -> Births {
        let heard = heard.births();
        let closed = intakes.iter().filter_map(|intake| Some((intake.ordinal(), intake.closed_at()?)));
        let is_awaited = |intake: &&Intake| {
            let ordinal = intake.ordinal();
            heard.found.contains_key(&ordinal)
                || intake.parents().iter().any(|parent| heard.closed.contains_key(parent))
        };
        let opened = intakes.iter().filter(is_awaited).map(Intake::ordinal);
        Births {
            closed: closed.collect(),
            opened: opened.collect(),
            found: self.found.clone(),
            passed: self.passed.clone(),
        }
    }
}

/// Whether the time of a partition has come.
fn is_ripe(member: &Member, births: &Births, here: &Here) -> bool {
    let mut parents = member.parents().filter(|parent| here.partitions.known(*parent).is_some()).peekable();
    match parents.peek() {
        Some(_) if here.world.has(Plant::OpenChildEarly) => {
            parents.any(|parent| births.closed.contains_key(&parent))
        }
        Some(_) => parents.all(|parent| births.closed.contains_key(&parent)),
        None => births.passed.contains(&member.ordinal()) || here.world.has(Plant::JoinEarly),
    }
}

/// Opens a partition whose time has come.
fn open(member: Member, births: &Births, epoch: Epoch, here: &Here) -> Result<Opened, RunError> {
    let spec = &here.job.sources[member.source as usize];
    let least = member.parents().filter_map(|parent| births.closed.get(&parent)).min().copied();
    let (decode, start) = (&here.job.decode, &member.info.start);
    let counts = least.unwrap_or(Watermark::NONE);
    let partition = here.world.open_partition(spec, decode, &member.info, start, counts)?;
    let watermark = PartitionWatermark::resume(here.job.watermark, counts);
    let beginning = if least.is_some() { Beginning::Awake } else { Beginning::Joins(epoch) };
    Ok(Opened { member, partition, watermark, beginning, index: None })
}
