//! Which records an archive has of each partition, and where: what the footers of its files say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::block::Origin;
use crate::file::{self, RowGroup, Since};
use crate::{Archive, ArchiveError};

/// What is visible of an archive.
pub(crate) struct Catalog {
    pub(crate) archive: Archive,
    /// The row groups of each partition, by their first offset.
    pub(crate) partitions: BTreeMap<Origin, Vec<Place>>,
    /// Files whose bytes are known to be what they were.
    sound: Mutex<BTreeSet<Arc<str>>>,
}

/// A row group and its file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) index: usize,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) rows: u64,
    /// The latest time of an event in it, or to which the watermark of its partition had come.
    pub(crate) latest: Option<i64>,
}

/// Catalogs that some partition still reads by: all partitions of a process are opened with one.
static KNOWN: Mutex<BTreeMap<String, Weak<Catalog>>> = Mutex::new(BTreeMap::new());

impl Catalog {
    /// What is visible now of the archive at an address.
    ///
    /// # Errors
    /// If it cannot be listed, or a file cannot be read.
    pub(crate) fn read(address: &str) -> Result<Arc<Self>, ArchiveError> {
        let archive = Archive::look_at(address)?;
        let mut partitions: BTreeMap<Origin, Vec<Place>> = BTreeMap::new();
        for name in archive.visible()? {
            let file: Arc<str> = name.as_str().into();
            for RowGroup { origin, index, first, last, rows, latest } in file::row_groups(&archive, &name)? {
                let place = Place { file: Arc::clone(&file), index, first, last, rows, latest };
                partitions.entry(origin).or_default().push(place);
            }
        }
        partitions.values_mut().for_each(|places| places.sort_by_key(|place| place.first));
        Ok(Arc::new(Catalog { archive, partitions, sound: Mutex::default() }))
    }

    /// Checks that a file is what it was, once for all partitions that it has records of.
    ///
    /// # Errors
    /// If it is not, or cannot be read.
    pub(crate) fn check(&self, file: &Arc<str>) -> Result<(), ArchiveError> {
        let sound = || self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        if !sound().contains(file) {
            file::check(&self.archive, file)?;
            sound().insert(Arc::clone(file));
        }
        Ok(())
    }

    /// The first offset in these row groups, which are in the order of theirs, of a record that happened at a time or later, or with
    /// which the watermark of its partition came to then: by itself, as the time of an event does, or since it says so, or by a
    /// decision before it.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what it was.
    pub(crate) fn first_since(&self, places: &[Place], since: i64) -> Result<Option<u64>, ArchiveError> {
        let mut reached = Since::default();
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        for place in places.iter().filter(|place| place.latest >= Some(since)) {
            // Row groups of several dates overlap.
            if least(reached.first, reached.seen).is_some_and(|first| first <= place.first) {
                break;
            }
            self.check(&place.file)?;
            let found = file::since(&self.archive, &place.file, place.index, since)?;
            if found.seen.is_some() && least(reached.seen, found.seen) == found.seen {
                (reached.seen, reached.before_seen) = (found.seen, found.before_seen);
            }
            reached.first = least(reached.first, found.first);
        }
        // What a record has seen the one before it has brought about, which may lie in an earlier row group.
        let Since { first, seen, before_seen } = reached;
        let ended =
            places.iter().map(|place| place.last).filter(|last| seen.is_some_and(|seen| *last < seen));
        Ok(least(first, ended.chain(before_seen).max().or(seen)))
    }

    /// The same, or what it was when a partition was opened that is still read.
    ///
    /// # Errors
    /// As [`Catalog::read`].
    pub(crate) fn shared(address: &str) -> Result<Arc<Self>, ArchiveError> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(catalog) = known.get(address).and_then(Weak::upgrade) {
            return Ok(catalog);
        }
        let catalog = Self::read(address)?;
        known.insert(address.to_owned(), Arc::downgrade(&catalog));
        Ok(catalog)
    }
}
