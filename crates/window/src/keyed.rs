//! The windows of a worker's keys, of either make: slices that keys share, or records taken in order.

use event::{Aggregate, Place, Rows, Watermark};

use crate::{
    Assigner, ChunkHead, Coverage, Judged, Restoration, Sequence, SequenceRestoration, SequenceSpec,
    SnapshotError, StateChunk, WindowSpec, Windows,
};

/// Which windows a job has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Windowing {
    /// Windows that all keys share.
    Sliced(WindowSpec),
    /// Windows in which the order of records matters.
    InOrder(SequenceSpec),
}

impl Windowing {
    /// Which times are covered, unless all are. Records of other times are not to be fed to windows.
    pub fn coverage(&self) -> Option<Coverage> {
        match self {
            Windowing::Sliced(spec) => spec.coverage(),
            Windowing::InOrder(SequenceSpec::Triggered(spec)) => match &spec.windows {
                Assigner::Shared(spec) => spec.coverage(),
                _ => None,
            },
            Windowing::InOrder(_) => None,
        }
    }

    /// Whether each record must come with its `seen` and its offset.
    pub fn needs_order(&self) -> bool {
        matches!(self, Windowing::InOrder(_))
    }
}

/// The state of a worker's windows.
#[derive(Debug)]
pub enum Keyed {
    /// Windows that all keys share.
    Sliced(Box<Windows>),
    /// Windows in which the order of records matters.
    InOrder(Box<Sequence>),
}

impl Keyed {
    /// Empty windows that compute these aggregates.
    pub fn new(windowing: Windowing, aggregates: Vec<Aggregate>) -> Self {
        match windowing {
            Windowing::Sliced(spec) => Keyed::Sliced(Box::new(Windows::new(spec, aggregates))),
            Windowing::InOrder(spec) => Keyed::InOrder(Box::new(Sequence::new(spec, aggregates))),
        }
    }

    /// The same, which say of records that they might not hold, and that bring their first bytes along, which they hold:
    /// [`Judged::held`].
    #[must_use]
    pub fn telling_held(self) -> Self {
        match self {
            Keyed::InOrder(sequence) => Keyed::InOrder(Box::new(sequence.telling_held())),
            sliced @ Keyed::Sliced(_) => sliced,
        }
    }

    /// Closes what is due where the least of the partitions goes on at `place`, and hands the rows to `emit`.
    /// Stops after about `rows_max`; returns whether it is done. Until then it is to be called again with the same
    /// place.
    pub fn advance_some(&mut self, place: Place, rows_max: usize, emit: &mut dyn FnMut(Rows)) -> bool {
        match self {
            Keyed::Sliced(windows) => windows.advance_some(place.seen, rows_max, emit),
            Keyed::InOrder(sequence) => sequence.advance_some(place, rows_max, emit),
        }
    }

    /// The row of a key as it is by now: [`Windows::peek`], [`Sequence::peek`].
    pub fn peek(&self, key: &[u8], hash: u64) -> Option<Rows> {
        match self {
            Keyed::Sliced(windows) => windows.peek(key, hash),
            Keyed::InOrder(sequence) => sequence.peek(key, hash),
        }
    }

    /// Number of keys of which some window is open.
    pub fn keys(&self) -> usize {
        match self {
            Keyed::Sliced(windows) => windows.keys(),
            Keyed::InOrder(sequence) => sequence.keys(),
        }
    }

    /// Bytes of memory that the state holds, texts, sketches and records that wait not counted.
    pub fn bytes(&self) -> usize {
        match self {
            Keyed::Sliced(windows) => windows.bytes(),
            Keyed::InOrder(sequence) => sequence.bytes(),
        }
    }

    /// Says how far event time has come by what was read: [`Windows::set_reached`].
    pub fn set_reached(&mut self, reached: Watermark) {
        if let Keyed::Sliced(windows) = self {
            windows.set_reached(reached);
        }
    }

    /// What became of records that waited for their turn, since the last call.
    pub fn take_judged(&mut self) -> Judged {
        match self {
            Keyed::Sliced(_) => Judged::default(),
            Keyed::InOrder(sequence) => sequence.take_judged(),
        }
    }

    /// Labels of the chunks of older snapshots that may still be needed, ascending; keys aside.
    pub fn labels(&self) -> Vec<i64> {
        match self {
            Keyed::Sliced(windows) => windows.slices().collect(),
            Keyed::InOrder(sequence) => sequence.labels().collect(),
        }
    }

    /// Begins the snapshot of a cut: [`Windows::begin_snapshot`].
    pub fn begin_snapshot(&mut self, cut: u32, whole: bool) -> Vec<u32> {
        match self {
            Keyed::Sliced(windows) => windows.begin_snapshot(cut, whole),
            Keyed::InOrder(sequence) => sequence.begin_snapshot(cut, whole),
        }
    }

    /// The next chunk of the snapshot, keys before the rows that name them.
    pub fn next_chunk(&mut self) -> Option<StateChunk> {
        match self {
            Keyed::Sliced(windows) => windows.next_chunk(),
            Keyed::InOrder(sequence) => sequence.next_chunk(),
        }
    }

    /// Sets the watermark by which windows are closed, before chunks are restored.
    pub fn restore_closed(&mut self, closed: Watermark) {
        if let Keyed::Sliced(windows) = self {
            windows.restore_closed(closed);
        }
    }

    /// Begins to take in the chunks of one chain. `owns` says of a key's hash whether it belongs here.
    pub fn restore<'a>(&'a mut self, owns: &'a dyn Fn(u64) -> bool) -> KeyedRestoration<'a> {
        match self {
            Keyed::Sliced(windows) => KeyedRestoration::Sliced(windows.restore(owns)),
            Keyed::InOrder(sequence) => KeyedRestoration::InOrder(sequence.restore(owns)),
        }
    }
}

/// Takes in the chunks of one chain: first all of keys, then the others in the order in which they were written.
pub enum KeyedRestoration<'a> {
    /// Into windows that all keys share.
    Sliced(Restoration<'a>),
    /// Into windows in which the order of records matters.
    InOrder(SequenceRestoration<'a>),
}

impl KeyedRestoration<'_> {
    /// Takes in a chunk.
    ///
    /// # Errors
    /// If it was written for other aggregates or other windows, or refers to what it does not have.
    pub fn take(&mut self, head: ChunkHead, parts: &[bytes::Bytes]) -> Result<(), SnapshotError> {
        match self {
            KeyedRestoration::Sliced(restoration) => restoration.take(head, parts),
            KeyedRestoration::InOrder(restoration) => restoration.take(head, parts),
        }
    }

    /// Ends it, after the last chunk of the chain.
    ///
    /// # Errors
    /// If the chunks do not fit together.
    pub fn finish(self) -> Result<(), SnapshotError> {
        match self {
            KeyedRestoration::Sliced(_) => Ok(()),
            KeyedRestoration::InOrder(restoration) => restoration.finish(),
        }
    }
}
