//! A simulated file as a sink: its reader has seen whatever was ever written to it.
//!
//! It is completed after a crash as `alert`'s file is, and written to at the place where its writer believes
//! it ends, so that two writers of the same lines do no harm and of other lines are found out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use alert::{Deliverer, Delivery, Mode, Sink, SinkError, SinkSpec};

use super::disk::Operation;
use super::host::{Host, lock};
use crate::plant::Plant;

/// What the reader of a sink has seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) seen: Vec<u8>,
    /// The first place where what it had seen was changed.
    pub(crate) changed_at: Option<usize>,
}

impl Reader {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let common = self.seen.len().saturating_sub(at).min(bytes.len());
        let gap = at > self.seen.len();
        if gap || self.seen[at..at + common] != bytes[..common] {
            self.changed_at.get_or_insert(at);
            return;
        }
        self.seen.extend_from_slice(&bytes[common..]);
    }
}

pub(crate) struct SimulatedSink {
    host: Arc<Host>,
    name: String,
    index: usize,
    length: u64,
    /// Lines are appended as they come, whole, and nobody counts them.
    at_once: bool,
}

impl SimulatedSink {
    pub(crate) fn open(
        host: &Arc<Host>,
        spec: &SinkSpec,
        _deliverer: &Deliverer,
        deliveries: &[Delivery],
    ) -> Result<Self, SinkError> {
        let (sink, path) = (spec.name.clone(), spec.kind.target().into());
        let index = {
            let mut readers = lock(&host.outside.readers);
            let known = readers.iter().position(|reader| reader.name == spec.name || reader.name.is_empty());
            let index = known.unwrap_or(0);
            readers[index].name = spec.name.clone();
            index
        };
        let seen = lock(&host.outside.readers)[index].seen.clone();
        let length = seen.len() as u64;
        let at_once = spec.mode == Mode::AtOnce;
        if at_once {
            return Ok(SimulatedSink { host: Arc::clone(host), name: sink, index, length, at_once });
        }
        let (Some(first), Some(last)) = (deliveries.first(), deliveries.last()) else {
            if length > 0 {
                return Err(SinkError::NotEmpty { sink, path, length });
            }
            return Ok(SimulatedSink { host: Arc::clone(host), name: sink, index, length, at_once });
        };
        for pair in deliveries.windows(2) {
            let end = pair[0].start + pair[0].bytes.len() as u64;
            if end != pair[1].start {
                return Err(SinkError::Gap { sink, end, start: pair[1].start });
            }
        }
        let end = last.start + last.bytes.len() as u64;
        if length < first.start {
            return Err(SinkError::Shorter { sink, path, length, wanted: first.start });
        }
        if length > end {
            return Err(SinkError::Longer { sink, path, length, wanted: end });
        }
        let mut opened =
            SimulatedSink { host: Arc::clone(host), name: sink.clone(), index, length: first.start, at_once };
        for delivery in deliveries {
            let at = delivery.start as usize;
            let common = seen.len().saturating_sub(at).min(delivery.bytes.len());
            if seen.get(at..at + common).unwrap_or_default() != &delivery.bytes[..common] {
                return Err(SinkError::Different { sink, path, at: delivery.start });
            }
            if common < delivery.bytes.len() && !host.has(Plant::ForgetOutbox) {
                opened.length = delivery.start;
                opened.write(&delivery.bytes)?;
            }
            opened.length = delivery.start + delivery.bytes.len() as u64;
        }
        Ok(opened)
    }

    fn failed(&self, source: io::Error) -> SinkError {
        SinkError::Io { sink: self.name.clone(), action: "write to", path: self.name.clone().into(), source }
    }
}

impl Sink for SimulatedSink {
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let torn = self.host.operate(Operation::Deliver);
        if self.at_once {
            torn.map_err(|source| self.failed(source))?;
            lock(&self.host.outside.readers)[self.index].seen.extend_from_slice(lines);
            return Ok(());
        }
        let count = match &torn {
            Ok(()) => lines.len(),
            Err(_) if self.host.is_dead() && !self.host.dies_now() => 0,
            Err(_) => self.host.outside.random().below(lines.len() as u64 + 1) as usize,
        };
        lock(&self.host.outside.readers)[self.index].write(self.length as usize, &lines[..count]);
        torn.map_err(|source| self.failed(source))?;
        self.length += lines.len() as u64;
        if self.host.outside.full.load(Ordering::Relaxed) {
            self.length -= lines.len() as u64;
            return Err(self.failed(io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn deliver(&mut self, number: u32, lines: &[u8]) -> Result<(), SinkError> {
        lock(&self.host.outside.delivered).push((self.host.number, u64::from(number)));
        if lines.is_empty() { Ok(()) } else { self.write(lines) }
    }
}
