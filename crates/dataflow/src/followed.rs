//! The episodes of a worker's keys in one branch, as snapshots see them.

use checkpoint::{CodecError, Frame, Kind, Operator};
use detect::{Episodes, SavedEpisodes};
use event::{Detected, Rows};

use crate::branch::Branch;
use crate::job::Job;
use crate::snapshot::{Saved, SavedChunk};

/// Keys that one chunk of a snapshot holds at most.
const CHUNK_KEYS: usize = 1 << 14;

/// What a branch follows of its keys.
pub(crate) struct Followed {
    /// `None` where it puts out rows, and no episodes.
    episodes: Option<Episodes>,
    /// Whether the snapshot that is being taken says all.
    whole: bool,
}

/// Episodes of some keys.
pub(crate) struct Chunk {
    saved: SavedEpisodes,
    supersedes: bool,
}

impl Followed {
    /// Of each branch of a job, about no key yet.
    pub(crate) fn of(job: &Job) -> Vec<Followed> {
        let followed = |branch: &Branch| Followed { episodes: branch.detection.episodes(), whole: false };
        job.branches.iter().map(followed).collect()
    }

    /// Judges rows.
    pub(crate) fn judge(&mut self, branch: &Branch, rows: &Rows) -> Detected {
        match &mut self.episodes {
            Some(episodes) => branch.detection.follow(rows, episodes),
            None => branch.detection.evaluate(rows),
        }
    }

    /// All rows that are due before `before` were judged.
    pub(crate) fn advance(&mut self, branch: &Branch, before: i64) -> Option<Detected> {
        branch.detection.advance(before.saturating_sub(1), self.episodes.as_mut()?)
    }

    /// Takes in what a checkpoint says. `owns` says whether a key belongs to this worker.
    pub(crate) fn restore(&mut self, saved: SavedEpisodes, owns: &dyn Fn(&[u8]) -> bool) {
        if let Some(episodes) = &mut self.episodes {
            episodes.restore(saved, owns);
        }
    }
}

/// All chunks are about the same: a whole snapshot says all of it.
const LABEL: i64 = 0;

impl Saved for Followed {
    type Chunk = Chunk;
    const LETTERS: &'static [char] = &['e'];

    fn operator(branch: usize) -> Operator {
        Operator::episodes_of(branch)
    }

    fn labels(&self) -> Vec<i64> {
        vec![LABEL]
    }

    fn begin(&mut self, _cut: u32, whole: bool) -> (i64, Vec<u32>) {
        self.whole = self.episodes.as_mut().is_some_and(|episodes| episodes.begin_save(whole));
        (LABEL, Vec::new())
    }

    fn next_chunk(&mut self) -> Option<Chunk> {
        let episodes = self.episodes.as_mut()?;
        match episodes.save(CHUNK_KEYS) {
            Some(saved) => Some(Chunk { saved, supersedes: std::mem::take(&mut self.whole) }),
            // That there is nothing any more has to be said too.
            None if std::mem::take(&mut self.whole) => {
                Some(Chunk { saved: SavedEpisodes::default(), supersedes: true })
            }
            None => None,
        }
    }

    fn written_again() -> &'static [i64] {
        &[]
    }
}

impl SavedChunk for Chunk {
    fn label(&self) -> i64 {
        LABEL
    }

    fn supersedes(&self) -> bool {
        self.supersedes
    }

    fn letter(&self) -> char {
        'e'
    }

    fn frame(&self) -> Result<Frame, CodecError> {
        Frame::new(Kind::State, &self.saved, Vec::new())
    }
}
