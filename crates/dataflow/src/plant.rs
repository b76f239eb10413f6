//! Mistakes that a simulation plants, to see that it would find them.
//!
//! Each is asked for at the one place where it would be made. Without the feature `simulation` the answer is
//! a constant, so that a program that ships holds none of them.

/// A mistake that a simulation plants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "simulation"), expect(unreachable_pub, reason = "only a simulation plants them"))]
#[cfg_attr(not(feature = "simulation"), expect(dead_code, reason = "some belong to the simulated disk"))]
pub enum Plant {
    /// A partition's saved position is one too far.
    OffsetOffByOne,
    /// Records of the next interval are folded before the snapshot of this one.
    FoldEarly,
    /// Sinks get their lines before the checkpoint is committed.
    OutputBeforeCommit,
    /// A checkpoint is committed without the segments of its workers.
    CommitWithoutPart,
    /// The watermarks of partitions start anew after a restart.
    ForgetWatermark,
    /// Records that wait for their window are forgotten at a restart.
    ForgetTimer,
    /// A restart also takes in segments of generations with another number of workers.
    StaleParts,
    /// Sinks get the lines of a checkpoint twice.
    DeliverTwice,
    /// A generation begins without a checkpoint of its own.
    SkipFence,
    /// A segment is not synced.
    SkipSync,
    /// The names in a directory are not synced.
    SkipSyncDir,
    /// The segment of a cut's keys goes at the next cut, though they are not written again.
    LoseKeys,
    /// A sync that failed is tried again and believed.
    BelieveFailedSync,
    /// Totals start anew after a restart.
    ForgetCounts,
    /// Rows whose turn has not come are forgotten at a restart.
    ForgetHeld,
    /// A snapshot begins before the one before it is written.
    OverlapSnapshots,
    /// What a process that died has left is believed to be durable.
    SkipSyncAtOpen,
    /// Segments are removed before it is sure that the manifests that name them stay removed.
    SkipSettle,
    /// Checkpoints that do not follow one another are taken to do so.
    TrustGaps,
    /// A number that is free again, since its checkpoint was removed, is taken for the next one.
    SkipLook,
    /// What was committed and not delivered is not delivered after a restart either.
    ForgetOutbox,
    /// Positions of partitions are asked for when the next interval has begun.
    LatePosition,
    /// An interval that puts out nothing is not committed.
    SkipEmpty,
    /// Checkpoints do not say which partitions sleep.
    ForgetSleep,
    /// A partition that wakes counts from where the others are known to be just then, not from where they were just
    /// before the epoch in which it woke.
    WakeEarly,
    /// What is put out at once does not wait for the commit of the decisions that it rests on.
    RunAhead,
    /// A partition that goes on from two is read once one of them is at its end.
    OpenChildEarly,
    /// A partition at its end no longer holds the watermark, although what goes on from it is not read.
    FreeParentEarly,
    /// A partition that is found joins before the others have come to the end that they had.
    JoinEarly,
    /// The archive does not know that a decision has lifted a watermark.
    ForgetLift,
    /// Files of the archive that a checkpoint names are not shown by the next start.
    ForgetToShow,
    /// Files of the archive are shown before their checkpoint is committed.
    ShowEarly,
    /// Episodes are forgotten at a restart.
    ForgetEpisodes,
    /// Rows of the next interval are judged before the snapshot of this one's episodes.
    JudgeEarly,
}

#[cfg(feature = "simulation")]
impl Plant {
    /// Those that only partitions that sleep bring to light.
    pub const OF_SLEEP: [Plant; 3] = [Plant::ForgetSleep, Plant::WakeEarly, Plant::RunAhead];

    /// Those that only partitions that come and go bring to light.
    pub const OF_BIRTHS: [Plant; 3] = [Plant::OpenChildEarly, Plant::FreeParentEarly, Plant::JoinEarly];

    /// Those that only an archive brings to light.
    pub const OF_ARCHIVE: [Plant; 3] = [Plant::ForgetLift, Plant::ForgetToShow, Plant::ShowEarly];

    /// All others.
    pub const ALL: [Plant; 25] = [
        Plant::OffsetOffByOne,
        Plant::FoldEarly,
        Plant::OutputBeforeCommit,
        Plant::CommitWithoutPart,
        Plant::ForgetWatermark,
        Plant::ForgetTimer,
        Plant::StaleParts,
        Plant::DeliverTwice,
        Plant::SkipFence,
        Plant::SkipSync,
        Plant::SkipSyncDir,
        Plant::LoseKeys,
        Plant::BelieveFailedSync,
        Plant::ForgetCounts,
        Plant::ForgetHeld,
        Plant::OverlapSnapshots,
        Plant::SkipSyncAtOpen,
        Plant::SkipSettle,
        Plant::TrustGaps,
        Plant::SkipLook,
        Plant::ForgetOutbox,
        Plant::LatePosition,
        Plant::SkipEmpty,
        Plant::ForgetEpisodes,
        Plant::JudgeEarly,
    ];
}
