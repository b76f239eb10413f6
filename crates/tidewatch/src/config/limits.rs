//! `[limits]` and `[flow]`: what one record may be, and how much may be under way.

use std::time::Duration;

use super::section::{Reader, Section};
use super::tree::Table;
use super::value::{bytes, duration, integer};

/// `[limits]`: what one record may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest record that is read, in bytes; a longer one goes to quarantine without being held in memory.
    /// Default: `1MiB`. Range: `256B` to `64MiB`.
    pub record_bytes: usize,
    /// Deepest nesting of objects and lists that is read; the record itself is level 1. Default: `100`.
    /// Range: `1` to `10000`.
    pub depth: usize,
    /// The most keys of which one worker may hold windows at a time. With more the job ends with an error, before memory
    /// does, at a checkpoint from which it goes on with a higher limit or more workers. Default: none. Range: from `1`.
    pub keys: Option<u64>,
}

/// `[flow]`: how much may be under way between sources and sinks. When a bound is reached, the sources wait.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Ticks that a source may be ahead of the sinks; a tick holds at most 1 MiB of each partition of a
    /// worker. Default: `8`. Range: `1` to `1024`.
    pub ticks: usize,
    /// Least time between two ticks of a worker: longer ticks cost less, shorter ones delay less. Default:
    /// `500us`. Range: `0s` to `1s`.
    pub tick: Duration,
    /// Bytes that wait for a sink before the sources do. Default: `8MiB`. Range: `64KiB` to `4GiB`.
    pub sink_bytes: u64,
}

pub(super) fn read_limits(root: &mut Section, reader: &mut Reader) -> Limits {
    let empty = Table::default();
    let place = root.place().clone();
    let section = root.section(reader, "limits");
    let mut section = section.unwrap_or_else(|| Section::new(&empty, "limits", "`[limits]`", place));
    let record_bytes = section.or(reader, "record_bytes", (1 << 20, "\"1MiB\""), bytes(256..=64 << 20));
    let depth = section.or(reader, "depth", (100, "100"), integer(1..=10_000u32));
    let keys = section.optional(reader, "keys", integer(1..=u64::MAX));
    section.finish(reader);
    Limits { record_bytes: record_bytes as usize, depth: depth as usize, keys }
}

pub(super) fn read_flow(root: &mut Section, reader: &mut Reader) -> Flow {
    let empty = Table::default();
    let place = root.place().clone();
    let section = root.section(reader, "flow");
    let mut section = section.unwrap_or_else(|| Section::new(&empty, "flow", "`[flow]`", place));
    let tick = (Duration::from_micros(500), "\"500us\"");
    let flow = Flow {
        ticks: section.or(reader, "ticks", (8, "8"), integer(1..=1024u32)) as usize,
        tick: section.or(reader, "tick", tick, duration(Duration::ZERO..=Duration::from_secs(1))),
        sink_bytes: section.or(reader, "sink_bytes", (8 << 20, "\"8MiB\""), bytes(64 << 10..=4 << 30)),
    };
    section.finish(reader);
    flow
}
