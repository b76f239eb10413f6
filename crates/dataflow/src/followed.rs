//! What is known of a worker's keys where rows are judged, in one branch, as snapshots see it: what detectors remember, what is
//! known of all keys together, and the episodes.

use std::collections::BTreeMap;

use checkpoint::{CodecError, Frame, Kind, Operator};
use detect::cohort::{Change, Cohorts, SavedRows};
use detect::{
    Begun, Corrected, Detectors, Episodes, Models, Said, SavedDetectors, SavedEpisodes, SavedModels, Share,
};
use event::{Detected, Rows};

use crate::asking::Responders;
use crate::branch::Branch;
use crate::job::Job;
use crate::operators::cohorts::Answered;
use crate::snapshot::{Saved, SavedChunk};

/// Keys that one chunk of a snapshot holds at most.
const CHUNK_KEYS: usize = 1 << 14;

/// What a branch follows of its keys.
pub(crate) struct Followed {
    /// `None` where no score is a detector.
    known: Option<Detectors>,
    /// What is known of the keys of all workers together; `None` where no detector asks for that.
    models: Option<Models>,
    /// What was told of rows, by when they are due, that the models have not learned yet.
    told: BTreeMap<i64, Vec<Share>>,
    /// What this worker has told of rows that are judged beside others; `None` where no detector asks for that.
    cohorts: Option<Cohorts>,
    /// What was counted, by when rows are due, that the models do not say yet.
    answered: BTreeMap<i64, Vec<Answered>>,
    /// `None` where it puts out rows, and no episodes.
    episodes: Option<Episodes>,
    /// Whether this worker writes what all of them know.
    writes_models: bool,
    /// Of which the snapshot that is being taken says all.
    whole: Whole,
}

/// Whether a snapshot says all, of each part: until that is said.
#[derive(Default)]
struct Whole {
    known: bool,
    episodes: bool,
}

/// What is known of some keys, or of all.
pub(crate) enum SavedKeys {
    Episodes(SavedEpisodes),
    Known(SavedDetectors),
    Models(SavedModels),
    Rows(SavedRows),
}

/// A part of a snapshot.
pub(crate) struct Chunk {
    saved: SavedKeys,
    supersedes: bool,
}

impl Followed {
    /// Of each branch of a job, about no key yet, on a worker.
    pub(crate) fn of(job: &Job, worker: usize) -> Vec<Followed> {
        let followed = |branch: &Branch| Followed {
            known: branch.detection.detectors(),
            models: branch.detection.models(),
            told: BTreeMap::new(),
            cohorts: branch.detection.cohorts(),
            answered: BTreeMap::new(),
            episodes: branch.detection.episodes(),
            writes_models: worker == 0,
            whole: Whole::default(),
        };
        job.branches.iter().map(followed).collect()
    }

    /// Judges rows, where neither the rows of other keys nor models matter.
    pub(crate) fn judge(&mut self, branch: &Branch, rows: &Rows, models: &mut Responders) -> Detected {
        let detected = branch.detection.judge(rows, self.known.as_mut());
        let corrected = branch.detection.corrected(&rows.keys, &rows.spans);
        let mut detected = self.follow(branch, detected, &corrected);
        explain(branch, &mut detected, models);
        detected
    }

    /// Judges rows as far as that does not take the rows of other keys. Says what all workers are to know of these, and what is to be
    /// counted.
    pub(crate) fn begin(&mut self, branch: &Branch, rows: &Rows) -> (Begun, Vec<Share>, Vec<Change>) {
        let mut said = Said::default();
        let begun = branch.detection.begin(rows, self.known.as_mut(), &mut said);
        let members = said.members.into_iter();
        let changes =
            self.cohorts.as_mut().map(|cohorts| members.flat_map(|members| cohorts.tell(members)).collect());
        (begun, said.shares, changes.unwrap_or_default())
    }

    /// All rows that are due before `before` were begun: what is to be counted no more.
    pub(crate) fn pass(&mut self, before: i64) -> Vec<Change> {
        self.cohorts.as_mut().map(|cohorts| cohorts.advance(before)).unwrap_or_default()
    }

    /// What is to be counted of what was restored.
    pub(crate) fn tell_again(&mut self) -> Vec<Change> {
        self.cohorts.as_mut().map(Cohorts::tell_again).unwrap_or_default()
    }

    /// Takes in what was counted.
    pub(crate) fn hear(&mut self, answered: Answered) {
        self.answered.entry(answered.due).or_default().push(answered);
    }

    /// Takes in what a worker has told.
    pub(crate) fn tell(&mut self, share: Share) {
        self.told.entry(share.due).or_default().push(share);
    }

    /// Judges the rest of rows, once all workers have told what is due before them. Nothing is said yet of why anything was found:
    /// see [`explain`].
    pub(crate) fn finish(&mut self, branch: &Branch, begun: Begun) -> Detected {
        let due = begun.due().unwrap_or(i64::MIN);
        self.learn_before(due);
        self.learn_answers(branch, due);
        let corrected = begun.corrected(&branch.detection);
        let detected = branch.detection.finish(begun, self.models.as_ref(), self.known.as_mut());
        self.follow(branch, detected, &corrected)
    }

    /// Learns all that was told and counted.
    pub(crate) fn learn_all(&mut self, branch: &Branch) {
        self.learn_before(i64::MAX);
        self.learn_answers(branch, i64::MAX);
    }

    /// Learns what was counted of rows that are due no later than `due`.
    fn learn_answers(&mut self, branch: &Branch, due: i64) {
        while let Some(entry) = self.answered.first_entry().filter(|entry| *entry.key() <= due) {
            let mut answers = entry.remove();
            // A cohort is not any more what it was before it is something else.
            answers.sort_by_key(|answered| answered.is_new);
            for Answered { group, answer, is_new, .. } in answers {
                if let Some(models) = &mut self.models {
                    branch.detection.learn_answer(models, group, answer, is_new);
                }
            }
        }
    }

    /// Learns what was told of all that is due before `before`.
    fn learn_before(&mut self, before: i64) {
        while let Some(entry) = self.told.first_entry().filter(|entry| *entry.key() < before) {
            let shares = entry.remove();
            if let Some(models) = &mut self.models {
                models.learn(shares);
            }
        }
    }

    fn follow(&mut self, branch: &Branch, detected: Detected, corrected: &[Corrected]) -> Detected {
        match &mut self.episodes {
            Some(episodes) => branch.detection.follow(detected, corrected, episodes),
            None => detected,
        }
    }

    /// What the rules would say of rows if they were the result of their windows. Changes nothing.
    pub(crate) fn consider(&self, branch: &Branch, rows: &Rows, models: &mut Responders) -> Detected {
        let mut known = self.known.as_ref().and_then(|known| known.of_keys(&rows.keys).ok());
        let mut begun = branch.detection.begin(rows, known.as_mut(), &mut Said::default());
        for inquiry in begun.inquiries(&branch.detection, 0) {
            if let Some(answers) = models.ask_at_once(&inquiry) {
                begun.answer(&inquiry, answers);
            }
        }
        let mut detected = branch.detection.finish(begun, self.models.as_ref(), known.as_mut());
        branch.detection.explain(0, &mut detected, &mut |probe| models.ask_here(probe));
        detected
    }

    /// All rows that are due before `before` were judged.
    pub(crate) fn advance(&mut self, branch: &Branch, before: i64) -> Option<Detected> {
        if let Some(known) = &mut self.known {
            known.advance(before);
        }
        if let Some(models) = &mut self.models {
            branch.detection.advance_models(models, before);
        }
        branch.detection.advance(before.saturating_sub(1), self.episodes.as_mut()?)
    }

    /// Takes in what a checkpoint says. `owns` says whether a key belongs to this worker.
    pub(crate) fn restore(&mut self, saved: SavedKeys, owns: &dyn Fn(&[u8]) -> bool) {
        match (saved, &mut self.known, &mut self.episodes) {
            (SavedKeys::Known(saved), Some(known), _) => known.restore(&saved, owns),
            (SavedKeys::Episodes(saved), _, Some(episodes)) => episodes.restore(saved, owns),
            (SavedKeys::Rows(saved), ..) => {
                if let Some(cohorts) = &mut self.cohorts {
                    cohorts.restore(saved, owns);
                }
            }
            (SavedKeys::Models(saved), ..) => {
                if let Some(models) = &mut self.models {
                    models.restore(saved);
                }
            }
            // A job that puts out no episodes any more, or whose scores are no detectors any more, needs none of it.
            _ => {}
        }
    }
}

/// Says of what was found why it was, if a sink shows that, by what models on this machine say.
pub(crate) fn explain(branch: &Branch, detected: &mut Detected, models: &mut Responders) {
    // Of what was found, only what is put out: why takes longer to say than that.
    if branch.renderer.explains() {
        branch.detection.explain(0, detected, &mut |probe| models.ask_here(probe));
    }
}

/// What chunks are about: a whole snapshot of one says all of it.
const EPISODES: i64 = 0;
const KNOWN: i64 = 1;
const MODELS: i64 = 2;
/// The letters of segments of what detectors remember, of what is known of all keys together, and of rows that may be corrected.
const DETECTORS: char = 'd';
const REPLICA: char = 'm';
const ROWS: char = 'r';

/// What chunks of the rows of a window end are about: each says what has changed. Beside the numbers above.
fn label_of(end: i64) -> i64 {
    if end > MODELS { end } else { end.saturating_sub(MODELS + 1) }
}

impl Saved for Followed {
    type Chunk = Chunk;
    const LETTERS: &'static [char] = &['e', DETECTORS, REPLICA, ROWS];

    fn operator(branch: usize, letter: char) -> Operator {
        match letter {
            DETECTORS => Operator::detectors_of(branch),
            REPLICA => Operator::models_of(branch),
            ROWS => Operator::rows_of(branch),
            _ => Operator::episodes_of(branch),
        }
    }

    fn labels(&self) -> Vec<i64> {
        let ends = self.cohorts.as_ref().map(Cohorts::ends).unwrap_or_default();
        let mut labels: Vec<i64> = ends.into_iter().map(label_of).chain([EPISODES, KNOWN, MODELS]).collect();
        labels.sort_unstable();
        labels
    }

    fn begin(&mut self, _cut: u32, whole: bool) -> (i64, Vec<u32>) {
        if let Some(models) = self.models.as_mut().filter(|_| whole) {
            models.save_again();
        }
        if let Some(cohorts) = &mut self.cohorts {
            cohorts.begin_save(whole);
        }
        self.whole = Whole {
            known: self.known.as_mut().is_some_and(|known| known.begin_save(whole)),
            episodes: self.episodes.as_mut().is_some_and(|episodes| episodes.begin_save(whole)),
        };
        (EPISODES, Vec::new())
    }

    fn next_chunk(&mut self) -> Option<Chunk> {
        let known = self.known.as_mut().and_then(|known| known.save(CHUNK_KEYS)).map(SavedKeys::Known);
        if let Some(chunk) =
            chunk(known, &mut self.whole.known, || SavedKeys::Known(SavedDetectors::default()))
        {
            return Some(chunk);
        }
        let episodes = self.episodes.as_mut().and_then(|episodes| episodes.save(CHUNK_KEYS));
        let nothing = || SavedKeys::Episodes(SavedEpisodes::default());
        let of_episodes = chunk(episodes.map(SavedKeys::Episodes), &mut self.whole.episodes, nothing);
        let mut models = || self.models.as_mut().filter(|_| self.writes_models)?.save();
        let mut rows = || self.cohorts.as_mut()?.save(CHUNK_KEYS);
        of_episodes
            .or_else(|| models().map(|saved| Chunk { saved: SavedKeys::Models(saved), supersedes: true }))
            .or_else(|| rows().map(|saved| Chunk { saved: SavedKeys::Rows(saved), supersedes: false }))
    }

    fn written_again() -> &'static [i64] {
        &[]
    }
}

/// The next chunk of a part. Where a snapshot says all, that there is nothing has to be said too.
fn chunk(saved: Option<SavedKeys>, whole: &mut bool, nothing: impl Fn() -> SavedKeys) -> Option<Chunk> {
    let supersedes = std::mem::take(whole);
    match saved {
        Some(saved) => Some(Chunk { saved, supersedes }),
        None => supersedes.then(|| Chunk { saved: nothing(), supersedes }),
    }
}

impl SavedChunk for Chunk {
    fn label(&self) -> i64 {
        match &self.saved {
            SavedKeys::Rows(saved) => label_of(saved.end),
            SavedKeys::Episodes(_) => EPISODES,
            SavedKeys::Known(_) => KNOWN,
            SavedKeys::Models(_) => MODELS,
        }
    }

    fn supersedes(&self) -> bool {
        self.supersedes
    }

    fn letter(&self) -> char {
        match self.saved {
            SavedKeys::Episodes(_) => 'e',
            SavedKeys::Known(_) => DETECTORS,
            SavedKeys::Models(_) => REPLICA,
            SavedKeys::Rows(_) => ROWS,
        }
    }

    fn frame(&self) -> Result<Frame, CodecError> {
        match &self.saved {
            SavedKeys::Episodes(saved) => Frame::new(Kind::State, saved, Vec::new()),
            SavedKeys::Known(saved) => Frame::new(Kind::State, saved, Vec::new()),
            SavedKeys::Models(saved) => Frame::new(Kind::State, saved, Vec::new()),
            SavedKeys::Rows(saved) => Frame::new(Kind::State, saved, Vec::new()),
        }
    }
}
