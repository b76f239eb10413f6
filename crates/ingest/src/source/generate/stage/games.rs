//! Players of a shooting game: cheats who act, aim or gain as no person can, beside people who are very good.

use super::super::IncidentKind::{Aim, Farm, Speed};
use super::super::random::Random;
use super::super::text::append_number;
use super::plan::{Happening, Harmless, Trouble, What};
use super::{Moment, Scene, append_id, append_name, append_word, choose};

const TRAITS: u64 = 4;
const ACTIONS: [&str; 4] = ["shot", "move", "loot", "chat"];
const SHOT: usize = 0;
const LOOT: usize = 2;

const INCIDENTS: [Trouble; 3] = [
    Trouble::incident(Speed, (58, 120), 18),
    Trouble::incident(Aim, (70, 150), 18),
    Trouble::incident(Farm, (70, 150), 18),
];
const HARMLESS: [Trouble; 3] = [
    // A tournament: more of the same.
    Trouble::harmless(Harmless::Busy, (60, 140), 20),
    // The network stutters, and what was kept comes at once.
    Trouble::harmless(Harmless::Burst, (2, 4), 30),
    // A good day: more hits, and a little faster.
    Trouble::harmless(Harmless::Streak, (50, 120), 30),
];

/// See the module.
pub(in super::super) struct Games;

impl Scene for Games {
    fn key_prefix(&self) -> &'static str {
        "player-"
    }

    fn cohort_prefix(&self) -> &'static str {
        "region-"
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
            What::Incident(Speed) => 1.3 + 4.8 * size * size.sqrt(),
            What::Incident(Farm) => 1.0 + 0.3 * size,
            What::Harmless(Harmless::Busy) => 1.2 + 0.35 * size,
            What::Harmless(Harmless::Burst) => 2.0 + 2.0 * size,
            _ => 1.0,
        }
    }

    fn write(&self, moment: &Moment, random: &mut Random, out: &mut Vec<u8>) {
        let mut traits = moment.traits(TRAITS);
        // A few are so good that they pass for cheats.
        let skill = traits.unit() * traits.unit();
        let shots = traits.between(0.35, 0.6);
        let loots = traits.between(0.06, 0.16);
        let aim = moment.wrong(Aim);
        let streak = moment.harmless(Harmless::Streak);
        let farm = moment.wrong(Farm);
        let action = choose(random, [shots, 0.3, loots * (1.0 + 4.0 * farm * farm.sqrt()), 0.04]);
        let hits = 0.2 + 0.4 * skill + 0.03 * moment.mood(1) + 0.06 * streak;
        let hits = hits + (0.98 - hits) * 0.85 * aim * aim.sqrt();
        let reaction = (340.0 - 130.0 * skill) * (1.0 + 0.04 * moment.mood(2) - 0.06 * streak);
        let reaction = reaction * (1.0 - 0.72 * aim * aim.sqrt()) * (1.0 + 0.24 * random.normal()).max(0.25);
        let is_hit = action == SHOT && random.unit() < hits;
        // Points count double for everybody now and then.
        let double = if random.unit() < moment.common { 2 } else { 1 };
        let points = match action {
            SHOT if is_hit => 8 + random.below(9),
            LOOT => 2 + random.below(5) + (farm * farm.sqrt() * random.between(4.0, 22.0)) as u64,
            _ => 0,
        };
        append_id(out, "player_id", "player-", moment.key, 6);
        append_id(out, "region", "region-", moment.cohort, 2);
        append_word(out, "action", ACTIONS[action]);
        if action == SHOT {
            append_name(out, "hit");
            out.extend_from_slice(if is_hit { b"true" } else { b"false" });
            append_name(out, "reaction_ms");
            append_number(out, reaction.max(12.0) as u64, 1);
        }
        append_name(out, "points");
        append_number(out, points * double, 1);
    }
}
