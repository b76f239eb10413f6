//! What goes wrong for some users, and when: a function of the settings, the user and the time.

use serde::{Deserialize, Serialize};

use super::GenerateSpec;
use super::random::Random;

/// In each period of event time a user has at most one incident.
const PERIOD_MS: i64 = 45 * MINUTE_MS;
const MINUTE_MS: i64 = 60_000;
const DURATION_MS_MIN: i64 = 10 * MINUTE_MS;
const DURATION_MS_MAX: i64 = 16 * MINUTE_MS;
/// So many users have an incident right at the start, so that there is something to see.
const FIRST_USERS: u64 = 3;
/// The first of them begins then; the others so much later.
const FIRST_AFTER_MS: i64 = 20_000;

/// What happens to a user's listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Episodes are left over and over.
    ExitStorm,
    /// Listening stops and goes.
    PauseStorm,
    /// Listening becomes short and listless.
    Decline,
}

/// A drop of engagement that was planted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The user.
    pub key: String,
    /// What happens.
    pub kind: IncidentKind,
    /// First millisecond of it.
    pub from: i64,
    /// Last millisecond of it.
    pub to: i64,
    /// Share of the user's events that it bends, from 0 to 1.
    pub size: f64,
}

/// The incident of a user that covers a time, if there is one.
pub(super) struct Bend {
    pub(super) kind: IncidentKind,
    pub(super) size: f64,
    from: i64,
    to: i64,
}

/// What bends a user's events at that time, in milliseconds.
pub(super) fn bend(spec: &GenerateSpec, user: u64, time: i64) -> Option<Bend> {
    let period = time.saturating_sub(spec.start).div_euclid(PERIOD_MS);
    in_period(spec, user, period).filter(|bend| bend.from <= time && time <= bend.to)
}

/// The incident of a user in that period.
fn in_period(spec: &GenerateSpec, user: u64, period: i64) -> Option<Bend> {
    let mut random = Random::of([spec.seed, 0x1AC1_DE57, user, period as u64]);
    let is_first = period == 0 && user < FIRST_USERS && spec.anomaly_fraction > 0.0;
    if random.unit() >= spec.anomaly_fraction && !is_first {
        return None;
    }
    let duration = DURATION_MS_MIN + random.below((DURATION_MS_MAX - DURATION_MS_MIN) as u64) as i64;
    let offset = match is_first {
        true => FIRST_AFTER_MS * (1 + user as i64),
        false => random.below((PERIOD_MS - duration) as u64) as i64,
    };
    let kind = match if is_first { user } else { random.below(3) } {
        0 => IncidentKind::ExitStorm,
        1 => IncidentKind::PauseStorm,
        _ => IncidentKind::Decline,
    };
    let size = (75 + random.below(26)) as f64 / 100.0;
    let from = spec.start.saturating_add(period.saturating_mul(PERIOD_MS)).saturating_add(offset);
    Some(Bend { kind, size, from, to: from.saturating_add(duration - 1) })
}

/// All incidents that are planted, by period and user. Without an end of the events there is none of the
/// incidents either.
pub fn truth(spec: &GenerateSpec) -> impl Iterator<Item = Incident> {
    let last = spec.time_last();
    let spec = spec.clone();
    let periods = match (spec.events, last) {
        (Some(0), _) => 0,
        (_, Some(last)) => last.saturating_sub(spec.start).div_euclid(PERIOD_MS) + 1,
        _ => i64::MAX,
    };
    let last = last.unwrap_or(i64::MAX);
    (0..periods).flat_map(move |period| {
        let spec = spec.clone();
        (0..spec.users).filter_map(move |user| {
            let bend = in_period(&spec, user, period).filter(|bend| bend.from <= last)?;
            let Bend { kind, size, from, to } = bend;
            Some(Incident { key: key(user), kind, from, to: to.min(last), size })
        })
    })
}

/// The user's id.
fn key(user: u64) -> String {
    format!("user-{user:06}")
}
