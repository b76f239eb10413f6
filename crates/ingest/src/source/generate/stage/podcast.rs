//! Podcast listeners: engagement that drops, declines slowly until they are gone, or storms of one kind.

use super::super::IncidentKind::{Decline, Drop, EarlyExits, PauseStorm, SeekStorm, Silence};
use super::super::random::Random;
use super::super::text::append_halves;
use super::plan::{Happening, Harmless, Trouble, What};
use super::{Moment, Scene, append_id, append_name, append_word, choose};

const TRAITS: u64 = 1;
const TYPES: [&str; 6] = ["listen", "pause", "resume", "seek", "skip", "exit"];
const LISTEN: usize = 0;
const SKIP: usize = 4;
const EXIT: usize = 5;
const DEVICES: [&str; 5] = ["ios", "android", "web", "car", "speaker"];
const EPISODES: u64 = 3000;
/// Half seconds of an episode.
const EPISODE: f64 = 6400.0;

const INCIDENTS: [Trouble; 6] = [
    Trouble::incident(Drop, (85, 190), 22),
    Trouble::incident(Decline, (230, 330), 30),
    Trouble::incident(PauseStorm, (85, 170), 22),
    Trouble::incident(SeekStorm, (85, 170), 22),
    Trouble::incident(EarlyExits, (90, 190), 22),
    Trouble::incident(Silence, (140, 240), 70),
];
const HARMLESS: [Trouble; 3] = [
    Trouble::harmless(Harmless::Busy, (70, 160), 30),
    Trouble::harmless(Harmless::Burst, (5, 9), 50),
    Trouble::harmless(Harmless::Restart, (12, 20), 50),
];

/// See the module.
pub(in super::super) struct Podcast;

impl Scene for Podcast {
    fn key_prefix(&self) -> &'static str {
        "user-"
    }

    fn cohort_prefix(&self) -> &'static str {
        "show-"
    }

    fn incidents(&self) -> &'static [Trouble] {
        &INCIDENTS
    }

    fn harmless(&self) -> &'static [Trouble] {
        &HARMLESS
    }

    fn pace(&self, happening: &Happening, time: i64) -> f64 {
        let size = happening.size;
        match happening.what {
            What::Incident(Drop) => 1.0 - 0.35 * size,
            What::Incident(Decline) => 1.0 - 0.75 * size * happening.progress(time),
            What::Incident(Silence) => 1.0 - 0.995 * size,
            What::Harmless(Harmless::Busy) => 1.2 + 1.7 * size,
            // A short rest.
            What::Harmless(Harmless::Restart) => 1.0 - 0.6 * size,
            _ => 1.0,
        }
    }

    fn write(&self, moment: &Moment, random: &mut Random, out: &mut Vec<u8>) {
        let mut traits = moment.traits(TRAITS);
        let device = DEVICES[traits.below(DEVICES.len() as u64) as usize];
        let episode = (traits.below(EPISODES) + random.below(3)) % EPISODES;
        let kind = choose(random, weights(moment, &mut traits));
        let usual = traits.between(21.0, 58.0);
        let position = match kind {
            EXIT if random.unit() < early_share(moment) => random.between(0.01, 0.14),
            EXIT => random.between(0.2, 1.0),
            _ => random.unit(),
        };
        let listless = 0.75 * steep(moment.wrong(Drop)) + 0.7 * moment.wrong(Decline) * moment.progress();
        let seconds = match kind {
            LISTEN => usual * (1.0 - listless) * random.between(0.3, 1.7),
            _ => 0.0,
        };
        append_id(out, "user_id", "user-", moment.key, 6);
        append_id(out, "show", "show-", moment.cohort, 2);
        append_id(out, "episode_id", "ep-", episode, 4);
        append_word(out, "event_type", TYPES[kind]);
        append_name(out, "position_s");
        append_halves(out, (position * EPISODE) as u64);
        append_name(out, "duration_s");
        append_halves(out, seconds as u64);
        append_word(out, "device", device);
    }
}

/// How often each type occurs, beside the others.
fn weights(moment: &Moment, traits: &mut Random) -> [f64; 6] {
    let size = |kind| steep(moment.wrong(kind));
    let moody = |number: u64| (1.0 + 0.18 * moment.mood(number)).max(0.4);
    let short = moment.harmless(Harmless::Burst);
    let decline = moment.wrong(Decline) * moment.progress();
    let pauses = traits.between(0.02, 0.09) * moody(1);
    // Some seek all the time, most hardly ever.
    let seeks = (0.01 + 0.15 * traits.unit().powi(3)) * moody(2);
    let skips = traits.between(0.01, 0.05) * (1.0 + moment.common);
    let exits = traits.between(0.012, 0.06) * moody(3);
    let pauses = pauses + 0.9 * size(PauseStorm) + 0.1 * size(Drop) + 0.06 * decline;
    let seeks = seeks + 0.95 * size(SeekStorm) + 0.6 * short;
    let exits = exits + 0.4 * size(EarlyExits) + 0.22 * size(Drop) + 0.16 * decline;
    let listens = 0.85 * (1.0 - 0.6 * size(Drop)) * (1.0 - 0.45 * decline);
    let mut weights = [listens, pauses, 0.9 * pauses, seeks, 0.0, exits];
    weights[SKIP] = skips;
    weights
}

/// Share of the exits that come soon after an episode began.
fn early_share(moment: &Moment) -> f64 {
    0.12 + 0.8 * moment.wrong(EarlyExits).min(1.0) + 0.4 * steep(moment.wrong(Drop))
}

/// Small sizes are hard to see.
fn steep(size: f64) -> f64 {
    size * size.sqrt()
}
