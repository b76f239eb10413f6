//! Looks for partitions that come while a job runs: a thread for each source that grows and does not end.
//!
//! Only worker 0 has it; what it finds all workers hear of ([`crate::nursery`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use ingest::{Discovery, End, IngestError, PartitionInfo, discovery};

use crate::job::{Job, RunError};
use crate::member::{Member, Members, of_source};
use crate::world::World;

/// How often a source is asked for its partitions.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For how long a source may say that there is no such thing while a job reads it.
const REFUSED: Duration = Duration::from_secs(60);
/// How often at most, while somebody waits.
const HURRY: Duration = Duration::from_millis(200);

/// What came of a look at the partitions of a source.
struct Answer {
    /// The place of the source in the config.
    place: usize,
    found: Result<Vec<PartitionInfo>, IngestError>,
    /// What was met at one of them that is not among those found.
    left_out: Option<IngestError>,
}

/// Looks for new partitions until it is dropped.
pub(crate) struct Scout {
    answers: Receiver<Answer>,
    hurries: Vec<SyncSender<()>>,
    known: BTreeSet<u32>,
    /// What went wrong when a source was last asked, by its place, not to be said again and again.
    trouble: BTreeMap<usize, String>,
    refused_since: Option<Instant>,
}

impl Scout {
    /// Begins to look; `None` if none can come.
    ///
    /// # Errors
    /// If a setting makes no sense, or the system refuses a thread.
    pub(crate) fn start(job: &Job, members: &Members, world: &World) -> Result<Option<Self>, RunError> {
        let (sender, answers) = channel();
        let mut hurries = Vec::new();
        for (place, spec) in job.sources.iter().enumerate().filter(|(_, spec)| spec.end == End::Never) {
            if let Some(discovery) = discovery(spec, &of_source(members, place))? {
                let (hurry, hurried) = sync_channel(1);
                if spec.kind.can_be_watched() {
                    // What came while the job did not run need not wait.
                    let _ = hurry.try_send(());
                }
                spawn(place, discovery, sender.clone(), hurried).map_err(|error| {
                    RunError::Died(format!("a thread that looks for partitions: {error}"))
                })?;
                hurries.push(hurry);
            }
        }
        let known = members.keys().copied().collect();
        let looks = !hurries.is_empty() || job.sources.iter().any(|spec| world.awaits_more(spec));
        Ok(looks.then_some(Scout { answers, hurries, known, trouble: BTreeMap::new(), refused_since: None }))
    }

    /// Has the sources asked soon.
    pub(crate) fn hurry(&self) {
        // One that is asked already is not asked twice.
        for hurry in &self.hurries {
            let _ = hurry.try_send(());
        }
    }

    /// Whether a source has said for a while that there is no such thing.
    fn is_refused_for_long(&mut self, world: &World) -> bool {
        let now = world.now();
        now.saturating_duration_since(*self.refused_since.get_or_insert(now)) >= REFUSED
    }

    /// Those that came since the last call.
    ///
    /// # Errors
    /// If a source no longer is what it was. One that is away is asked again.
    pub(crate) fn found(&mut self, world: &World) -> Result<Vec<Member>, RunError> {
        let mut found = Vec::new();
        let of_world = world.found().into_iter();
        let of_world = of_world.map(|(place, found)| Answer { place, found, left_out: None });
        let answers: Vec<Answer> = self.answers.try_iter().chain(of_world).collect();
        for Answer { place, found: answer, left_out } in answers {
            match answer {
                Ok(infos) => {
                    self.refused_since = None;
                    self.tell(place, left_out.as_ref(), world);
                    for info in infos {
                        let member = Member::new(place, info)?;
                        if self.known.insert(member.ordinal()) {
                            found.push(member);
                        }
                    }
                }
                // Who has just come back may not know yet what there is.
                Err(error) if error.is_refusal() && self.is_refused_for_long(world) => {
                    return Err(error.into());
                }
                Err(error) => self.tell(place, Some(&error), world),
            }
        }
        Ok(found)
    }

    /// Says what goes wrong with the source at that place, once as long as it is the same.
    fn tell(&mut self, place: usize, error: Option<&IngestError>, world: &World) {
        let Some(error) = error else {
            self.trouble.remove(&place);
            return;
        };
        let words = format!("look for new partitions: {error}; trying again");
        if self.trouble.get(&place) != Some(&words) {
            world.say(&words);
            self.trouble.insert(place, words);
        }
    }
}

fn spawn(
    place: usize,
    mut discovery: Box<dyn Discovery>,
    answers: Sender<Answer>,
    hurried: Receiver<()>,
) -> io::Result<()> {
    let work = move || {
        loop {
            match hurried.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            }
            let found = discovery.look();
            let left_out = discovery.left_out();
            if answers.send(Answer { place, found, left_out }).is_err() {
                return;
            }
            std::thread::sleep(HURRY);
        }
    };
    std::thread::Builder::new().name("discovery".to_owned()).spawn(work).map(drop)
}
