//! What happens to whom, and when: a function of the settings, the key and the period.
//!
//! Time begins with a lead in which nothing happens, so that a detector can learn what is usual. Then come periods.
//! In each a key has one incident, or something harmless, or neither, and in each one cohort has an outage. At the end of a
//! period all is quiet for a while: two incidents of a key are never near one another.

use super::super::random::Random;
use super::super::{GenerateSpec, Incident, IncidentKind};
use super::{COHORTS, Scene, cohort, cohort_name, key_name};

/// What happens begins and ends with slices, which have nothing to do with anybody's windows.
pub(super) const SLICE_MS: i64 = 17_000;
/// 75 minutes.
const LEAD_SLICES: i64 = 265;
/// 150 minutes.
const PERIOD_SLICES: i64 = 529;
/// 40 minutes.
const QUIET_SLICES: u64 = 141;
/// Sizes are hundredths.
const SIZES: u64 = 100;
/// Seed of what happens, beside that of the settings.
const FATE: u64 = 0xFA7E;

/// What looks odd and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Harmless {
    /// Much more of the same.
    Busy,
    /// Something short that many would take for an incident if it went on.
    Burst,
    /// A device starts anew.
    Restart,
    /// One, or a few, that are much larger than the others.
    Large,
    /// A run of luck.
    Streak,
}

/// What happens to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum What {
    Incident(IncidentKind),
    Harmless(Harmless),
    Outage,
}

/// Something that may happen.
pub(in super::super) struct Trouble {
    pub(super) what: What,
    /// How long, in slices.
    pub(super) slices: (u64, u64),
    /// The least size, in hundredths.
    pub(super) least: u64,
}

impl Trouble {
    pub(super) const fn incident(kind: IncidentKind, slices: (u64, u64), least: u64) -> Self {
        Trouble { what: What::Incident(kind), slices, least }
    }

    pub(super) const fn harmless(kind: Harmless, slices: (u64, u64), least: u64) -> Self {
        Trouble { what: What::Harmless(kind), slices, least }
    }
}

const OUTAGE: Trouble = Trouble { what: What::Outage, slices: (43, 88), least: 94 };

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Happening {
    pub(super) what: What,
    /// From 0 to 1.
    pub(super) size: f64,
    /// First and last millisecond.
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Happening {
    /// Draws one that lies in a period.
    fn draw(spec: &GenerateSpec, trouble: &Trouble, period: i64, random: &mut Random) -> Self {
        let slices = trouble.slices.0 + random.below(trouble.slices.1 - trouble.slices.0 + 1);
        let room = (PERIOD_SLICES as u64).saturating_sub(QUIET_SLICES + slices);
        let size = trouble.least + random.below(SIZES + 1 - trouble.least);
        let offset = period_start(spec, period).saturating_add(random.below(room) as i64 * SLICE_MS);
        Happening {
            what: trouble.what,
            size: size as f64 / SIZES as f64,
            from: offset,
            to: offset.saturating_add(slices as i64 * SLICE_MS - 1),
        }
    }

    /// Whether it goes on at a time.
    pub(super) fn holds(&self, time: i64) -> bool {
        self.from <= time && time <= self.to
    }

    /// How much of it is over, from 0 to 1.
    pub(super) fn progress(&self, time: i64) -> f64 {
        let past = time.saturating_sub(self.from) as f64 / self.to.saturating_sub(self.from).max(1) as f64;
        past.clamp(0.0, 1.0)
    }
}

/// What happens in a period, for all keys.
#[derive(Debug, Default)]
pub(super) struct Period {
    /// Keys to which something happens, in their order. An outage lies before what else happens to a key.
    pub(super) happenings: Vec<(u64, Happening)>,
    /// What all keys share, from and to.
    common: (i64, i64),
}

impl Period {
    pub(super) fn of(spec: &GenerateSpec, scene: &dyn Scene, period: i64) -> Self {
        if period < 0 {
            return Period::default();
        }
        let outage = outage(spec, period);
        let of_key = |key: u64| {
            let outage = outage.as_ref().filter(|(hit, _)| *hit == cohort(spec.seed, key));
            let outage = outage.map(|(_, outage)| (key, outage.clone()));
            outage.into_iter().chain(of_key(spec, scene, key, period).map(|own| (key, own)))
        };
        Period { happenings: (0..spec.users).flat_map(of_key).collect(), common: common(spec, period) }
    }

    /// How much of what all share goes on, from 0 to 1: it comes and goes slowly.
    pub(super) fn common(&self, time: i64) -> f64 {
        let (from, to) = self.common;
        if time < from || time > to {
            return 0.0;
        }
        let at = (time - from) as f64 / (to - from).max(1) as f64;
        (6.0 * at * (1.0 - at)).min(1.0)
    }
}

/// The period that a time belongs to, below 0 in the lead.
pub(super) fn period(spec: &GenerateSpec, time: i64) -> i64 {
    let lead = LEAD_SLICES * SLICE_MS;
    time.saturating_sub(spec.start).saturating_sub(lead).div_euclid(PERIOD_SLICES * SLICE_MS)
}

fn period_start(spec: &GenerateSpec, period: i64) -> i64 {
    let slices = period.saturating_mul(PERIOD_SLICES).saturating_add(LEAD_SLICES);
    spec.start.saturating_add(slices.saturating_mul(SLICE_MS))
}

/// What happens to a key alone in a period.
fn of_key(spec: &GenerateSpec, scene: &dyn Scene, key: u64, period: i64) -> Option<Happening> {
    let mut random = Random::of([spec.seed, FATE, spec.scenario as u64, key, period as u64]);
    let draw = random.unit();
    let troubles = match spec.anomaly_fraction {
        wrong if draw < wrong => scene.incidents(),
        wrong if draw < 2.0 * wrong => scene.harmless(),
        _ => return None,
    };
    let trouble = &troubles[random.below(troubles.len() as u64) as usize];
    Some(Happening::draw(spec, trouble, period, &mut random))
}

/// The cohort that has an outage in a period, and the outage.
fn outage(spec: &GenerateSpec, period: i64) -> Option<(u64, Happening)> {
    let mut random = Random::of([spec.seed, FATE + 1, spec.scenario as u64, period as u64]);
    (spec.anomaly_fraction > 0.0)
        .then(|| (random.below(COHORTS), Happening::draw(spec, &OUTAGE, period, &mut random)))
}

/// When in a period something happens that all keys share.
fn common(spec: &GenerateSpec, period: i64) -> (i64, i64) {
    if spec.anomaly_fraction <= 0.0 {
        return (i64::MAX, i64::MIN);
    }
    let mut random = Random::of([spec.seed, FATE + 2, spec.scenario as u64, period as u64]);
    let slices = 120 + random.below(90);
    let from = period_start(spec, period)
        .saturating_add(random.below(PERIOD_SLICES as u64 - slices) as i64 * SLICE_MS);
    (from, from.saturating_add(slices as i64 * SLICE_MS))
}

/// All incidents, by period, those of keys before the outage.
pub(in super::super) fn truth(
    spec: &GenerateSpec,
    scene: &'static dyn Scene,
) -> impl Iterator<Item = Incident> + use<> {
    let last = spec.time_last();
    let periods = match (spec.events, last) {
        (Some(0), _) => 0,
        (_, Some(last)) => period(spec, last) + 1,
        _ => i64::MAX,
    };
    let last = last.unwrap_or(i64::MAX);
    let spec = spec.clone();
    (0..periods).flat_map(move |period| {
        let of_keys = spec.clone();
        let incident = move |key: String, happening: Happening, kind: IncidentKind| {
            let Happening { size, from, to, .. } = happening;
            (from <= last).then_some(Incident { key, kind, from, to: to.min(last), size })
        };
        let outage = outage(&spec, period)
            .and_then(|(cohort, outage)| incident(cohort_name(scene, cohort), outage, IncidentKind::Outage));
        (0..spec.users)
            .filter_map(move |key| {
                let happening = of_key(&of_keys, scene, key, period)?;
                let What::Incident(kind) = happening.what else { return None };
                incident(key_name(scene, key), happening, kind)
            })
            .chain(outage)
    })
}
