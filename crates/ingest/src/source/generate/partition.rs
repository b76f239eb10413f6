//! A lane of the generator, read like any other partition.

use super::super::position::{Origin, Position};
use super::super::{Partition, PartitionInfo, Poll, Waker};
use super::{GenerateSpec, Maker, Scenario};
use crate::{Caution, Decoder, IngestError, Piece};

/// Events that are made up at a time at most.
const EVENTS_MAX: usize = 4096;
/// Bytes that an event has at most, by far.
const EVENT_BYTES_MAX: usize = 1024;

/// All lanes of the generator.
pub(in crate::source) fn partitions(spec: &GenerateSpec) -> Result<Vec<PartitionInfo>, IngestError> {
    spec.check()?;
    let settings = spec.hash();
    let info = |lane| PartitionInfo {
        id: format!("generate#{lane}"),
        number: lane,
        series: lane,
        start: Position { offset: 0, origin: Origin::Generate { index: u64::from(lane), settings } },
        parents: Vec::new(),
    };
    Ok((0..spec.lanes).map(info).collect())
}

impl GenerateSpec {
    /// Hash of all that makes the events what they are.
    fn hash(&self) -> u64 {
        let numbers = [
            self.users,
            self.seed,
            self.rate.to_bits(),
            self.speed.to_bits(),
            u64::from(self.lanes),
            self.start as u64,
            self.out_of_order_ms,
            self.anomaly_fraction.to_bits(),
        ];
        let mut bytes = numbers.map(u64::to_be_bytes).concat();
        // States are older than scenarios.
        if self.scenario != Scenario::Alike {
            bytes.extend_from_slice(self.scenario.name().as_bytes());
        }
        event::key_hash(&bytes)
    }
}

/// Every `lanes`-th event.
pub(in crate::source) struct GeneratePartition {
    spec: GenerateSpec,
    maker: Maker,
    /// Number of the next event.
    index: u64,
    /// Bytes of this lane before it.
    offset: u64,
    decoder: Decoder,
}

impl GeneratePartition {
    /// Opens a lane at its start or at a position that it once had.
    pub(in crate::source) fn open(
        spec: &GenerateSpec,
        lane: u32,
        resume: Option<&Position>,
        decoder: Decoder,
    ) -> Result<Self, IngestError> {
        spec.check()?;
        let name = || "the generator".to_owned();
        if lane >= spec.lanes {
            return Err(IngestError::NoPartition { name: name(), partition: lane });
        }
        let (index, offset) = match resume {
            None => (u64::from(lane), 0),
            Some(Position { offset, origin: Origin::Generate { index, settings } }) => {
                if *settings != spec.hash() {
                    let (wanted, found) = ("other values".to_owned(), "changed".to_owned());
                    return Err(IngestError::Setting { setting: "a setting", name: name(), wanted, found });
                }
                (*index, *offset)
            }
            Some(_) => return Err(IngestError::Kind { name: name() }),
        };
        Ok(GeneratePartition { spec: spec.clone(), maker: Maker::new(spec), index, offset, decoder })
    }

    /// Number of events that this lane still has.
    fn remaining(&self) -> u64 {
        let lanes = u64::from(self.spec.lanes);
        self.spec.events.map_or(u64::MAX, |events| events.saturating_sub(self.index).div_ceil(lanes))
    }
}

impl Partition for GeneratePartition {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        let remaining = self.remaining();
        if remaining == 0 {
            return Ok(Poll::Finished);
        }
        // A piece is decoded by one call, so that where a record is to be read alone it is the only one.
        let near = self.offset..self.offset + (EVENTS_MAX * EVENT_BYTES_MAX) as u64;
        let records_max = if self.decoder.caution().has_suspects(&near) { 1 } else { records_max };
        let count = remaining.min(records_max.min(EVENTS_MAX) as u64);
        let mut bytes = Vec::with_capacity(count as usize * 192);
        for _ in 0..count {
            self.maker.append(self.index, &mut bytes);
            self.index += u64::from(self.spec.lanes);
        }
        let base = self.offset;
        self.offset += bytes.len() as u64;
        let (decoded, _) = self.decoder.decode(Piece::new(bytes, base), usize::MAX);
        Ok(Poll::Decoded(decoded))
    }

    fn position(&self) -> Position {
        let origin = Origin::Generate { index: self.index, settings: self.spec.hash() };
        Position { offset: self.offset, origin }
    }

    fn set_waker(&mut self, _waker: Waker) {}

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
    }
}
