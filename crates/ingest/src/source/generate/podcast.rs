//! One event, from its number.

use super::GenerateSpec;
use super::incident::{IncidentKind, bend};
use super::random::Random;

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
        Some(IncidentKind::Decline) => &DECLINE,
    }
}

/// Appends a number with at least `width` digits.
fn append_number(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

/// Appends half of a number: sums of such numbers are exact in any order.
fn append_halves(out: &mut Vec<u8>, halves: u64) {
    append_number(out, halves / 2, 1);
    out.extend_from_slice(if halves % 2 == 1 { b".5" } else { b".0" });
}
