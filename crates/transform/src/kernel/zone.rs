//! Time zones, from the data that is built in: an answer depends on the program and not on the machine.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

/// The zones of the IANA database, as of the version of the crate.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A zone by its IANA name.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// The zone of that name, in any case.
    pub(crate) fn find(name: &str) -> Result<Zone, String> {
        ZONES.get(name).map(Zone).map_err(|_| format!("there is no time zone `{name}`"))
    }

    /// The clock of the zone at an instant.
    pub(crate) fn local(&self, instant: i64) -> Result<i64, String> {
        let offset = self.0.to_offset(nearest(instant));
        shifted(instant, i64::from(offset.seconds()))
    }

    /// The instant at which the clock of the zone shows a time: of two the later. A time that the clock leaves
    /// out is counted on from before the gap.
    pub(crate) fn instant(&self, local: i64) -> Result<i64, String> {
        let civil = Offset::UTC.to_datetime(nearest(local));
        let offset = match self.0.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        shifted(local, -i64::from(offset.seconds()))
    }
}

/// Zones are known for the years from -9999 to 9999; beyond, what holds at that end goes on.
fn nearest(micros: i64) -> Timestamp {
    let end = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(micros).unwrap_or(end)
}

fn shifted(micros: i64, seconds: i64) -> Result<i64, String> {
    micros
        .checked_add(seconds * 1_000_000)
        .ok_or_else(|| "the time is out of range in another zone".to_owned())
}
