//! What time it is at the server, from the `Date` of its answers. Where records of a stream end is a matter of the
//! clock that stamped them, never of ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};

/// The clock of a server, as far as it has said.
#[derive(Debug, Clone, Default)]
pub struct ServerClock(Arc<Mutex<Option<Heard>>>);

/// What time a server has said it is, in milliseconds since 1970, and when we heard it.
#[derive(Debug, Clone, Copy)]
struct Heard {
    millis: i64,
    at: Instant,
}

impl Heard {
    fn now(self) -> i64 {
        self.millis.saturating_add(i64::try_from(self.at.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

impl ServerClock {
    /// What time it is at the server at least, in milliseconds since 1970: less than a second and the time of an answer
    /// behind it. It never goes back. `None` before the first answer that has a date.
    pub fn millis(&self) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(Heard::now)
    }

    fn hear(&self, millis: i64) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.is_none_or(|heard| heard.now() < millis) {
            *heard = Some(Heard { millis, at: Instant::now() });
        }
    }
}

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "ServerClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(date) = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok()) {
            self.hear(date.secs().saturating_mul(1000));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_whose_clock_goes_back_is_taken_for_what_it_said_before() {
        let clock = ServerClock::default();
        assert_eq!(clock.millis(), None);
        for (said, least) in [(5_000, 5_000), (9_000, 9_000), (7_000, 9_000)] {
            clock.hear(said);
            assert!(clock.millis() >= Some(least), "{said}");
        }
        assert!(clock.millis() < Some(60_000));
    }
}
