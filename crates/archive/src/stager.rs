//! Collects what a worker reads and stages it: a file for each date, whenever enough has come, and at a cut.
//!
//! Bytes wait in memory until a file is full ([`Stager::BYTES`]) or the interval ends, so no file is ever open, whatever
//! the dates are. In a file each partition has row groups of its own, so that whoever reads one reads nothing else.

use std::collections::BTreeMap;

use event::Watermark;

use crate::block::{Block, Line, Origin};
use crate::date::{self, Day};
use crate::seal::Seal;
use crate::{Archive, ArchiveError, StagedFile};

/// Records that belong into one row group: of one partition, behind one header if they have any, in offset order.
#[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "nobody writes one"))]
pub(crate) struct Group<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) header: Option<&'a str>,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// A record on its way into a file.
#[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "nobody writes one"))]
pub(crate) struct Entry<'a> {
    pub(crate) block: &'a Block,
    pub(crate) line: &'a Line,
    /// To what the watermark was lifted just before it.
    pub(crate) lifted: Option<Watermark>,
}

/// What one worker has read, on its way into files.
#[derive(Debug)]
pub struct Stager {
    archive: Archive,
    worker: u32,
    nonce: u64,
    /// Files so far, those that could not be written included.
    count: u64,
    blocks: Vec<Block>,
    bytes: usize,
    staged: Vec<StagedFile>,
}

impl Stager {
    /// Bytes of records after which files are written.
    pub const BYTES: usize = 32 << 20;

    /// Stages the records of one worker. `nonce` differs from run to run: names of a dead run are never used again.
    ///
    /// # Errors
    /// If the program was built without archives.
    pub fn new(archive: Archive, worker: u32, nonce: u64) -> Result<Self, ArchiveError> {
        if cfg!(not(feature = "parquet")) {
            return Err(ArchiveError::NotBuilt);
        }
        let (blocks, staged) = (Vec::new(), Vec::new());
        Ok(Stager { archive, worker, nonce, count: 0, blocks, bytes: 0, staged })
    }

    /// Takes what was read.
    pub fn take(&mut self, block: Block) {
        self.bytes += block.bytes.len();
        self.blocks.push(block);
    }

    /// Whether files should be written without waiting for the cut.
    pub fn is_full(&self) -> bool {
        self.bytes >= Self::BYTES
    }

    /// Writes what was taken since the last time, durably. Called again after a failure it writes all of it again, under
    /// other names.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn stage(&mut self, interval: u32) -> Result<(), ArchiveError> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let mut written: Vec<StagedFile> = Vec::new();
        for (day, groups) in by_day(&self.blocks) {
            let count = self.count;
            self.count += 1;
            let staged = write(&groups).and_then(|(bytes, rows)| {
                let name = StagedFile::name(interval, self.worker, self.nonce, count, Seal::of(&bytes));
                let file = StagedFile::new(name, date::text(day), rows, &bytes);
                self.archive.stage(&file, &bytes.into())?;
                Ok(file)
            });
            match staged {
                Ok(file) => written.push(file),
                Err(error) => {
                    written.iter().for_each(|file| self.archive.discard(file));
                    return Err(error);
                }
            }
        }
        self.staged.append(&mut written);
        self.blocks.clear();
        self.bytes = 0;
        Ok(())
    }

    /// The files that were staged since the last call.
    pub fn staged(&mut self) -> Vec<StagedFile> {
        std::mem::take(&mut self.staged)
    }
}

/// Sorts records by day and partition; those of a partition keep their order.
fn by_day(blocks: &[Block]) -> BTreeMap<Day, Vec<Group<'_>>> {
    let mut days: BTreeMap<Day, BTreeMap<(&Origin, Option<&str>), Vec<_>>> = BTreeMap::new();
    for block in blocks {
        let mut lifted = block.lifted;
        for line in &block.lines {
            let of = (&*block.origin, block.header.as_deref());
            let group = days.entry(date::day(line)).or_default().entry(of).or_default();
            group.push(Entry { block, line, lifted: lifted.take() });
        }
    }
    let days = days.into_iter().map(|(day, of_day)| {
        let groups = of_day.into_iter();
        (day, groups.map(|((origin, header), entries)| Group { origin, header, entries }).collect())
    });
    days.collect()
}

#[cfg(feature = "parquet")]
fn write(groups: &[Group<'_>]) -> Result<(Vec<u8>, u64), ArchiveError> {
    crate::file::write(groups)
}

#[cfg(not(feature = "parquet"))]
fn write(_groups: &[Group<'_>]) -> Result<(Vec<u8>, u64), ArchiveError> {
    Err(ArchiveError::NotBuilt)
}
