//! Payments of accounts: fraud by velocity, by amount, and small payments that try numbers out.

use super::super::IncidentKind::{Amount, Testing, Velocity};
use super::super::random::Random;
use super::super::text::append_number;
use super::character::grow;
use super::plan::{Happening, Harmless, Trouble, What};
use super::{Moment, Scene, append_id, append_name, append_word};

const TRAITS: u64 = 3;
const CATEGORIES: [&str; 6] = ["grocery", "fuel", "travel", "digital", "restaurant", "other"];
const COUNTRIES: [&str; 7] = ["KR", "US", "DE", "FR", "JP", "BR", "GB"];

const INCIDENTS: [Trouble; 3] = [
    Trouble::incident(Velocity, (40, 95), 15),
    Trouble::incident(Amount, (55, 130), 15),
    Trouble::incident(Testing, (30, 75), 15),
];
const HARMLESS: [Trouble; 4] = [
    // A shopping spree: more of the usual payments.
    Trouble::harmless(Harmless::Busy, (60, 140), 20),
    // A terminal fails: a payment is tried again and again, and then goes through.
    Trouble::harmless(Harmless::Burst, (3, 5), 40),
    // A rent among them.
    Trouble::harmless(Harmless::Large, (30, 90), 30),
    // Somebody travels.
    Trouble::harmless(Harmless::Streak, (60, 180), 40),
];

/// See the module.
pub(in super::super) struct Payments;

impl Scene for Payments {
    fn key_prefix(&self) -> &'static str {
        "account-"
    }

    fn cohort_prefix(&self) -> &'static str {
        "bank-"
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
            What::Incident(Velocity) => 1.4 + 8.0 * size * size,
            What::Incident(Amount) => 1.0 + 0.6 * size,
            What::Incident(Testing) => 1.3 + 6.0 * size * size,
            What::Harmless(Harmless::Busy) => 1.2 + 0.5 * size,
            What::Harmless(Harmless::Burst) => 2.5 * size,
            _ => 1.0,
        }
    }

    fn write(&self, moment: &Moment, random: &mut Random, out: &mut Vec<u8>) {
        let mut traits = moment.traits(TRAITS);
        let usual = 24.0 * grow(0.9 * traits.normal());
        let spread = traits.between(0.35, 0.75);
        let home = traits.below(COUNTRIES.len() as u64);
        let failing = traits.between(0.01, 0.05);
        let testing = moment.wrong(Testing);
        let is_test = testing > 0.0 && random.unit() < 0.35 + 0.6 * testing;
        let amount = match is_test {
            true => random.between(0.4, 3.0),
            false => usual * grow(spread * random.normal()) * larger(moment, random),
        };
        let declined = match is_test {
            true => 0.25 + 0.4 * testing,
            false => failing + 0.7 * moment.harmless(Harmless::Burst) + 0.1 * moment.wrong(Velocity),
        };
        let abroad = 0.02 + 0.75 * moment.harmless(Harmless::Streak);
        let country = match random.unit() < abroad {
            true => (home + 1 + random.below(COUNTRIES.len() as u64 - 1)) % COUNTRIES.len() as u64,
            false => home,
        };
        let cents = (amount * 100.0) as u64 + 1;
        append_id(out, "account_id", "account-", moment.key, 6);
        append_id(out, "bank", "bank-", moment.cohort, 2);
        append_id(out, "merchant_id", "merchant-", random.skewed_below(900), 4);
        append_word(out, "category", CATEGORIES[random.skewed_below(CATEGORIES.len() as u64) as usize]);
        append_name(out, "amount");
        append_number(out, cents / 100, 1);
        out.push(b'.');
        append_number(out, cents % 100, 2);
        append_word(out, "country", COUNTRIES[country as usize]);
        append_word(out, "status", if random.unit() < declined { "declined" } else { "approved" });
    }
}

/// How many times as large as usual a payment is.
fn larger(moment: &Moment, random: &mut Random) -> f64 {
    let amount = moment.wrong(Amount);
    // Prices are lower in a sale.
    let mut times = 1.0 - 0.2 * moment.common;
    if amount > 0.0 && random.unit() < 0.35 + 0.45 * amount {
        times *= 1.7 + 9.0 * amount * amount;
    }
    if moment.harmless(Harmless::Large) > 0.0 && random.below(24) == 0 {
        times *= 4.0 + 6.0 * moment.harmless(Harmless::Large);
    }
    times
}
