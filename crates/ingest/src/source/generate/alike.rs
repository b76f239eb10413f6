//! Podcast events of users who are alike, but for what goes wrong: each event is a function of its number alone.

use super::random::Random;
use super::text::{append_halves, append_number};
use super::{GenerateSpec, Incident, IncidentKind};

/// In each period of event time a user has at most one incident.
const PERIOD_MS: i64 = 45 * MINUTE_MS;
const MINUTE_MS: i64 = 60_000;
const DURATION_MS_MIN: i64 = 10 * MINUTE_MS;
const DURATION_MS_MAX: i64 = 16 * MINUTE_MS;
/// So many users have an incident right at the start, so that there is something to see.
const FIRST_USERS: u64 = 3;
/// The first of them begins then; the others so much later.
const FIRST_AFTER_MS: i64 = 20_000;

const TYPES: [&[u8]; 6] = [b"listen", b"pause", b"resume", b"seek", b"skip", b"exit"];
const LISTEN: usize = 0;
const DEVICES: [&[u8]; 5] = [b"ios", b"android", b"web", b"car", b"speaker"];
const EPISODES: u64 = 5000;

/// How often a type occurs, per thousand, summed up; and how long one listens, in half seconds.
struct Habit {
    up_to: [u64; 6],
    listen_min: u64,
    listen_more: u64,
}

const ORDINARY: Habit = Habit { up_to: [850, 895, 940, 975, 995, 1000], listen_min: 10, listen_more: 41 };
const EXIT_STORM: Habit = Habit { up_to: [0, 150, 150, 150, 150, 1000], listen_min: 2, listen_more: 6 };
const PAUSE_STORM: Habit = Habit { up_to: [0, 750, 780, 780, 780, 1000], listen_min: 2, listen_more: 6 };
const DECLINE: Habit = Habit { up_to: [300, 600, 640, 640, 680, 1000], listen_min: 1, listen_more: 4 };

/// Appends the event of that number among those of all lanes, with its newline.
pub(super) fn append(spec: &GenerateSpec, index: u64, out: &mut Vec<u8>) {
    let mut random = Random::of([spec.seed, index]);
    let user = random.skewed_below(spec.users);
    let late_ms = if random.below(10) < 3 { random.below(spec.out_of_order_ms.saturating_add(1)) } else { 0 };
    let late_ms = i64::try_from(late_ms).unwrap_or(i64::MAX);
    let time = spec.time_on_time(index).saturating_sub(late_ms).max(spec.start);
    let habit = habit(spec, user, time, random.unit());
    let draw = random.below(1000);
    let kind = habit.up_to.iter().position(|&up_to| draw < up_to).unwrap_or(LISTEN);
    let mut of_user = Random::of([spec.seed, 0x05E2, user]);
    let device = DEVICES[of_user.below(DEVICES.len() as u64) as usize];
    let episode = (of_user.below(EPISODES) + random.below(3)) % EPISODES;
    let position = random.below(7200);
    let duration = if kind == LISTEN { habit.listen_min + random.below(habit.listen_more) } else { 0 };

    out.extend_from_slice(b"{\"event_id\":\"e-");
    append_number(out, index, 8);
    out.extend_from_slice(b"\",\"user_id\":\"user-");
    append_number(out, user, 6);
    out.extend_from_slice(b"\",\"episode_id\":\"ep-");
    append_number(out, episode, 4);
    out.extend_from_slice(b"\",\"event_type\":\"");
    out.extend_from_slice(TYPES[kind]);
    out.extend_from_slice(b"\",\"ts\":");
    if time < 0 {
        out.push(b'-');
    }
    append_number(out, time.unsigned_abs(), 1);
    out.extend_from_slice(b",\"position_s\":");
    append_halves(out, position);
    out.extend_from_slice(b",\"duration_s\":");
    append_halves(out, duration);
    out.extend_from_slice(b",\"device\":\"");
    out.extend_from_slice(device);
    out.extend_from_slice(b"\"}\n");
}

/// How a user behaves at that time; `draw` says whether an incident bends this very event.
fn habit(spec: &GenerateSpec, user: u64, time: i64, draw: f64) -> &'static Habit {
    match bend(spec, user, time).filter(|bend| draw < bend.size).map(|bend| bend.kind) {
        None => &ORDINARY,
        Some(IncidentKind::ExitStorm) => &EXIT_STORM,
        Some(IncidentKind::PauseStorm) => &PAUSE_STORM,
        // There are no others here.
        Some(_) => &DECLINE,
    }
}

/// The incident of a user that covers a time, if there is one.
struct Bend {
    kind: IncidentKind,
    size: f64,
    from: i64,
    to: i64,
}

/// What bends a user's events at that time, in milliseconds.
fn bend(spec: &GenerateSpec, user: u64, time: i64) -> Option<Bend> {
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

/// All incidents that are planted, by period and user.
pub(super) fn truth(spec: &GenerateSpec) -> impl Iterator<Item = Incident> + use<> {
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
