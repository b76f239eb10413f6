//! An archive as a source: each archived partition again, record by record as it was read, with what lifted its watermark.
//!
//! A partition has the name, the number and the series that it had, so that late and quarantined records name the same
//! place and ties are broken alike. Its end is that of the archive at the job's first start.

use std::sync::Arc;

use event::{Decoded, Reason, Rejected, Watermark};
use ingest::{
    Caution, CsvHeader, DecodeSpec, Decoder, IngestError, Lag, Messages, Partition, PartitionInfo, Piece,
    Poll, Position, Waker,
};

use crate::block::Origin;
use crate::catalog::{Catalog, Place};
use crate::file::{self, Records};
use crate::{ArchiveError, Outcome};

/// Bytes of records that are decoded together, about.
const PIECE_BYTES: usize = 1 << 20;

/// The partitions of a source of an archive, in the order of their numbers. `source` says which, where the archive is of
/// a job with several; else there is no need.
///
/// With `since` each is read from its first event on that happened then or later, in microseconds since 1970, or from where
/// its watermark came to then, if that is earlier. So each watermark that is later is what it was in the live run. A partition that
/// never came to then is passed over.
///
/// # Errors
/// If the archive cannot be read, is empty, or has other sources.
pub fn partitions(
    address: &str,
    source: Option<&str>,
    since: Option<i64>,
) -> Result<Vec<PartitionInfo>, IngestError> {
    let catalog = Catalog::read(address).map_err(|error| failed(address, error))?;
    let chosen = choose(&catalog, address, source)?;
    let infos = catalog.partitions.iter().filter(|(origin, _)| origin.source == chosen);
    let infos = infos.map(|(origin, places)| {
        let end = places.iter().map(|place| place.last + 1).max().unwrap_or_default();
        let first = match since {
            Some(since) => catalog.first_since(places, since).map_err(|error| failed(address, error))?,
            None => places.first().map(|place| place.first),
        };
        Ok(PartitionInfo {
            id: origin.partition.clone(),
            number: origin.number,
            series: origin.series,
            start: Position::archived(first.unwrap_or(end), end),
            parents: Vec::new(),
        })
    });
    infos.collect()
}

/// The source that is meant.
fn choose(catalog: &Catalog, address: &str, source: Option<&str>) -> Result<String, IngestError> {
    let mut sources: Vec<&str> = catalog.partitions.keys().map(|origin| origin.source.as_str()).collect();
    sources.dedup();
    let wrong = |words: String| Err(IngestError::Archive { place: address.to_owned(), words });
    match (source, sources.as_slice()) {
        (_, []) => wrong("it has no records".to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, several) => {
            wrong(format!("it has the sources {}; say with `of` which one", several.join(", ")))
        }
        (Some(source), all) if all.contains(&source) => Ok(source.to_owned()),
        (Some(source), all) => wrong(format!("it has no source `{source}`, but {}", all.join(", "))),
    }
}

fn failed(address: &str, error: ArchiveError) -> IngestError {
    match error {
        ArchiveError::Place(checkpoint::StoreError::Io { path, source, .. }) => {
            IngestError::Read { name: path.display().to_string(), source }
        }
        error => IngestError::Archive { place: address.to_owned(), words: error.to_string() },
    }
}

/// Opens a partition of an archive, to be read from a position on.
///
/// # Errors
/// If the archive cannot be read, or does not have the partition any more.
pub fn open(
    address: &str,
    source: Option<&str>,
    decode: &DecodeSpec,
    partition: &PartitionInfo,
    position: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    let Some(end) = position.archive_end() else {
        return Err(IngestError::Kind { name: address.to_owned() });
    };
    let catalog = Catalog::shared(address).map_err(|error| failed(address, error))?;
    let chosen = choose(&catalog, address, source)?;
    let is_meant = |origin: &&Origin| {
        origin.source == chosen && origin.number == partition.number && origin.partition == partition.id
    };
    let places =
        catalog.partitions.iter().find(|(origin, _)| is_meant(origin)).map(|(_, places)| places.clone());
    let mut places = places.unwrap_or_default();
    if end > places.iter().map(|place| place.last + 1).max().unwrap_or_default() {
        let words = format!("records of {} that it had are gone", partition.id);
        return Err(IngestError::Archive { place: address.to_owned(), words });
    }
    let from = position.offset;
    places.retain(|place| place.last >= from && place.first < end);
    // The next one last.
    places.reverse();
    let decoder = Decoder::new(decode.clone());
    let (header, caution) = (None, Caution::default());
    let (next, piece, lifted) = (Vec::new(), None, None);
    let address = address.to_owned();
    Ok(Box::new(ArchivedPartition {
        address,
        catalog,
        places,
        from,
        end,
        loaded: Vec::new(),
        next,
        piece,
        lifted,
        decoder,
        header,
        caution,
    }))
}

/// A partition of an archive.
struct ArchivedPartition {
    address: String,
    catalog: Arc<Catalog>,
    /// Row groups that are not loaded yet, the next one last.
    places: Vec<Place>,
    /// The first offset that is wanted.
    from: u64,
    /// The first offset that is not.
    end: u64,
    loaded: Vec<Records>,
    /// Records that are loaded and not decoded, the next one last: row group and row.
    next: Vec<(u32, u32)>,
    piece: Option<Piece>,
    lifted: Option<Watermark>,
    decoder: Decoder,
    /// What stood before the records that the decoder is for, if they are CSV.
    header: Option<String>,
    caution: Caution,
}

impl ArchivedPartition {
    /// Loads the next row groups, of which no other one holds offsets in between. As a rule that is one; where records of
    /// several dates were read together there is one for each date.
    fn load(&mut self) -> Result<(), IngestError> {
        let (mut last, mut rows) = (None, Vec::new());
        self.loaded.clear();
        while let Some(place) = self.places.pop_if(|place| last.is_none_or(|last| place.first <= last)) {
            last = last.max(Some(place.last));
            let checked = self.catalog.check(&place.file);
            let read = checked.and_then(|()| file::read(&self.catalog.archive, &place.file, place.index));
            let records = read.map_err(|error| failed(&self.address, error))?;
            let group = self.loaded.len() as u32;
            let wanted = self.from..self.end;
            let of_group = (0..records.len()).filter(|row| wanted.contains(&records.offset(*row)));
            rows.extend(of_group.map(|row| (records.offset(row), (group, row as u32))));
            self.loaded.push(records);
        }
        // A sort of runs that are sorted; backwards, since the next one is to be last.
        rows.sort_by_key(|(offset, _)| *offset);
        self.next = rows.into_iter().rev().map(|(_, place)| place).collect();
        Ok(())
    }

    fn records(&self, (group, row): (u32, u32)) -> (&Records, usize) {
        (&self.loaded[group as usize], row as usize)
    }

    /// Makes the decoder one of records behind that header.
    fn turn_to(&mut self, header: Option<String>) -> Result<(), IngestError> {
        let spec = self.decoder.spec().clone();
        let parsed = header.as_deref().map(|header| CsvHeader::parse(header.as_bytes())).transpose();
        let failed = |fault| IngestError::Header { name: self.address.clone(), fault };
        self.decoder = match parsed.map_err(failed)? {
            Some(header) => Decoder::csv(spec, &header),
            None => Decoder::new(spec),
        };
        self.decoder.set_caution(self.caution.clone());
        self.header = header;
        Ok(())
    }

    /// Gathers the next records, up to one whose watermark was lifted, one that ended the program, or one behind another
    /// header.
    fn gather(&mut self) -> Result<Gathered, IngestError> {
        let mut messages = Messages::default();
        while let Some(place) = self.next.last().copied() {
            let (records, row) = self.records(place);
            if records.header() != self.header.as_deref() {
                if !messages.is_empty() {
                    break;
                }
                let header = records.header().map(str::to_owned);
                self.turn_to(header)?;
                continue;
            }
            let (lifted, offset) = (records.lifted(row), records.offset(row));
            if !messages.is_empty() && (lifted.is_some() || messages.bytes() >= PIECE_BYTES) {
                break;
            }
            let unread = [Reason::Poison, Reason::TooLong]
                .into_iter()
                .find(|reason| records.outcome(row) == Outcome::Quarantined(*reason).word());
            if let Some(reason) = unread {
                if !messages.is_empty() {
                    break;
                }
                let record = records.record(row).to_vec();
                self.next.pop();
                self.lifted = lifted;
                return Ok(Gathered::Unread(offset, record, reason));
            }
            messages.push_again(records.record(row), offset);
            self.next.pop();
            self.lifted = lifted.or(self.lifted);
        }
        Ok(Gathered::Piece(messages.into()))
    }
}

/// What is next.
enum Gathered {
    Piece(Piece),
    /// One record, which is not to be read again.
    Unread(u64, Vec<u8>, Reason),
}

/// A record that went to quarantine unread in the live run, and does so again: it ended the program, or was too long, of
/// which perhaps no more than the first bytes were kept.
fn reject(decoder: &mut Decoder, offset: u64, record: &[u8], reason: Reason) -> Decoded {
    let mut decoded = decoder.too_long(offset, record);
    for rejected in &mut decoded.rejected {
        rejected.raw = Rejected::head(record.strip_suffix(b"\r").unwrap_or(record)).to_vec();
        if reason == Reason::Poison {
            (rejected.reason, rejected.detail) = (reason, Rejected::POISON.to_owned());
        }
    }
    decoded
}

impl Partition for ArchivedPartition {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        let piece = match self.piece.take() {
            Some(piece) => piece,
            None => {
                while self.next.is_empty() {
                    if self.places.is_empty() {
                        return Ok(Poll::Finished);
                    }
                    self.load()?;
                }
                match self.gather()? {
                    Gathered::Piece(piece) => piece,
                    Gathered::Unread(offset, record, reason) => {
                        return Ok(Poll::Decoded(reject(&mut self.decoder, offset, &record, reason)));
                    }
                }
            }
        };
        let (decoded, rest) = self.decoder.decode(piece, records_max);
        self.piece = rest;
        Ok(Poll::Decoded(decoded))
    }

    fn position(&self) -> Position {
        let next = || {
            let (records, row) = self.records(*self.next.last()?);
            Some(records.offset(row))
        };
        let of_group = || self.places.last().map(|place| place.first.max(self.from));
        let offset =
            self.piece.as_ref().map(Piece::offset).or_else(next).or_else(of_group).unwrap_or(self.end);
        Position::archived(offset, self.end)
    }

    fn lifted(&mut self) -> Option<Watermark> {
        self.lifted.take()
    }

    fn lag(&self) -> Option<Lag> {
        let waiting: u64 = self.places.iter().map(|place| place.rows).sum();
        Some(Lag { records: Some(waiting + self.next.len() as u64), ..Lag::default() })
    }

    fn set_waker(&mut self, _waker: Waker) {}

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution.clone());
        self.caution = caution;
    }
}
