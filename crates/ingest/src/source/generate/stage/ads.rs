//! Publishers of ads: clicks without people, and clicks after which nobody buys.

use super::super::IncidentKind::{Flood, LowConversion};
use super::super::random::Random;
use super::super::text::append_number;
use super::plan::{Happening, Harmless, Trouble, What};
use super::{Moment, Scene, append_id, append_name, append_word, choose};

const TRAITS: u64 = 5;
const TYPES: [&str; 3] = ["impression", "click", "conversion"];
const IMPRESSION: usize = 0;
const CLICK: usize = 1;
/// Addresses that people come from.
const VISITORS: u64 = 60_000;

const INCIDENTS: [Trouble; 2] =
    [Trouble::incident(Flood, (70, 150), 16), Trouble::incident(LowConversion, (180, 320), 28)];
const HARMLESS: [Trouble; 4] = [
    // Something goes around: more of everything.
    Trouble::harmless(Harmless::Busy, (60, 150), 20),
    // A crawler passes by.
    Trouble::harmless(Harmless::Burst, (2, 4), 30),
    // A page with many ads that few look at.
    Trouble::harmless(Harmless::Large, (50, 120), 20),
    // An ad that people like.
    Trouble::harmless(Harmless::Streak, (60, 150), 20),
];

/// See the module.
pub(in super::super) struct Ads;

impl Scene for Ads {
    fn key_prefix(&self) -> &'static str {
        "publisher-"
    }

    fn cohort_prefix(&self) -> &'static str {
        "network-"
    }

    fn incidents(&self) -> &'static [Trouble] {
        &INCIDENTS
    }

    fn harmless(&self) -> &'static [Trouble] {
        &HARMLESS
    }

    fn pace(&self, happening: &Happening, _time: i64) -> f64 {
        let size = happening.size;
        match happening.what {
            // What comes on top are clicks: see below.
            What::Incident(Flood) => 1.0 + flood(size),
            What::Incident(LowConversion) => 1.0 + low_clicks(size),
            What::Harmless(Harmless::Busy) => 1.3 + 1.6 * size,
            What::Harmless(Harmless::Burst) => 1.4 + 0.8 * size,
            What::Harmless(Harmless::Large) => 1.3 + size,
            What::Harmless(Harmless::Streak) => 1.1,
            _ => 1.0,
        }
    }

    fn write(&self, moment: &Moment, random: &mut Random, out: &mut Vec<u8>) {
        let mut traits = moment.traits(TRAITS);
        let ratio = traits.between(0.18, 0.5) * (1.0 + 0.1 * moment.mood(1));
        let buying = traits.between(0.12, 0.75) * (1.0 + 0.1 * moment.mood(2)) * (1.0 + 0.2 * moment.common);
        let own = ratio * (1.0 + 0.25 * moment.harmless(Harmless::Streak));
        let (flood, low) = (flood(moment.wrong(Flood)), low_clicks(moment.wrong(LowConversion)));
        let crawler = 0.8 * moment.harmless(Harmless::Burst);
        let pages = moment.harmless(Harmless::Large);
        let robots = flood + low + crawler;
        let kind =
            choose(random, [1.0 + pages, own, own * buying * (1.0 - missing(moment.wrong(LowConversion)))]);
        // What robots do comes on top of what people do.
        let is_robot = robots > 0.0 && random.unit() < robots / (1.0 + robots);
        let kind = if is_robot { CLICK } else { kind };
        let visitor = match is_robot {
            true => {
                let from = Random::of([moment.seed, 0xB07, moment.key, random.below(40)]).below(VISITORS);
                if crawler > 0.0 { moment.key % VISITORS } else { from }
            }
            false => random.below(VISITORS),
        };
        let price = if kind == IMPRESSION { 1 + random.below(4) } else { 20 + random.below(70) };
        append_id(out, "publisher_id", "publisher-", moment.key, 6);
        append_id(out, "network", "network-", moment.cohort, 2);
        append_word(out, "event_type", TYPES[kind]);
        append_name(out, "visitor");
        append_number(out, visitor, 1);
        append_name(out, "price_cents");
        append_number(out, price, 1);
    }
}

/// Clicks of robots in a flood, beside the usual events.
fn flood(size: f64) -> f64 {
    1.9 * size * size.sqrt()
}

/// Clicks of those who buy nothing, beside the usual events.
fn low_clicks(size: f64) -> f64 {
    0.12 * size
}

/// Share of the usual purchases that are missing.
fn missing(size: f64) -> f64 {
    1.5 * size - 0.55 * size * size
}
