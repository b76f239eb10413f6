//! What time it is, for the times that frames are given.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Says what time it is, in microseconds since 1970. It may jump, also back: no time is taken from it that lies before
/// one that the journal has given already.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// That of this machine. Before 1970 it says 0.
pub(crate) fn wall() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}
