//! The windows of a config as the engine takes them, and as a state knows them.

use std::time::Duration;

use window::{Assigner, Early, Late, SequenceSpec, SpecError, TriggerSpec, WindowSpec, Windowing};

use super::micros;
use crate::config::{EarlyRows, Firing, LateRows, SharedWindow, Window, WindowShape};

/// The windows of a job. Those that are put out once, when they are due, or once more for late events, are of the
/// kinds that cost least.
pub(super) fn windowing(window: &Window) -> Result<Windowing, SpecError> {
    let firing = &window.firing;
    let is_late = !firing.allowed_lateness.is_zero();
    let simple = Firing { allowed_lateness: firing.allowed_lateness, ..Firing::AT_END } == *firing;
    let assigner = match &window.shape {
        WindowShape::Shared(shared) => {
            let spec = shared_windows(shared)?;
            if simple && !shared.stagger {
                let spec = spec.allowing(micros(firing.allowed_lateness))?.noticing(micros(shared.quiet))?;
                return Ok(Windowing::Sliced(spec));
            }
            if !shared.quiet.is_zero() {
                return Err(SpecError::Quiet);
            }
            Assigner::Shared(spec)
        }
        WindowShape::Session { gap } if simple && !is_late => {
            return SequenceSpec::session(micros(*gap)).map(Windowing::InOrder);
        }
        WindowShape::SessionBy { .. } if simple && !is_late => {
            return Ok(Windowing::InOrder(SequenceSpec::SessionByRecord));
        }
        WindowShape::Session { gap } => Assigner::Session(micros(*gap)),
        WindowShape::SessionBy { .. } => Assigner::SessionByRecord,
        WindowShape::Global { .. } => Assigner::Global,
        WindowShape::Count { size, slide, expire_after } => {
            return expiring(SequenceSpec::count_sliding(*size, *slide)?, *expire_after);
        }
        WindowShape::Each => return Ok(Windowing::InOrder(SequenceSpec::each())),
    };
    let spec = SequenceSpec::Triggered(Box::new(triggered(window, assigner)?));
    match &window.shape {
        WindowShape::Global { expire_after } => expiring(spec, *expire_after),
        _ => Ok(Windowing::InOrder(spec)),
    }
}

/// Whether the rows of a key come in the order in which they are due, each once.
pub(super) fn are_in_order(window: &Window) -> bool {
    match windowing(window) {
        Ok(Windowing::Sliced(spec)) => spec.lateness == 0,
        Ok(Windowing::InOrder(spec)) => !matches!(spec, SequenceSpec::Triggered(_)),
        Err(_) => true,
    }
}

/// How long rows may be corrected, of windows that all keys share and that are put out when they are due; `None` of others.
pub(super) fn corrected_for(window: &Window) -> Option<i64> {
    match windowing(window) {
        Ok(Windowing::Sliced(spec)) => Some(spec.lateness),
        Ok(Windowing::InOrder(_)) => None,
        // There is another mistake, which is said.
        Err(_) => Some(0),
    }
}

/// The longest gap that an event may have, so that its session is not put out early too often.
pub(super) fn longest_gap(window: &Window) -> Option<i64> {
    match window.firing.early {
        Some(EarlyRows::Every(every)) => Some(micros(every).saturating_mul(window::TICKS_MAX)),
        _ => None,
    }
}

fn expiring(spec: SequenceSpec, expire_after: Option<Duration>) -> Result<Windowing, SpecError> {
    let spec = match expire_after {
        Some(idle) => spec.expiring(micros(idle))?,
        None => spec,
    };
    Ok(Windowing::InOrder(spec))
}

fn shared_windows(shared: &SharedWindow) -> Result<WindowSpec, SpecError> {
    let (size, slide) = (micros(shared.size), micros(shared.slide));
    let spec =
        if shared.grows { WindowSpec::cumulate(size, slide) } else { WindowSpec::sliding(size, slide) }?;
    let spec = spec.starting_at(shared.offset)?;
    match &shared.zone {
        Some(zone) => spec.in_zone(zone),
        None => Ok(spec),
    }
}

fn triggered(window: &Window, assigner: Assigner) -> Result<TriggerSpec, SpecError> {
    let firing = &window.firing;
    let spec = TriggerSpec {
        windows: assigner,
        lateness: micros(firing.allowed_lateness),
        staggered: matches!(&window.shape, WindowShape::Shared(shared) if shared.stagger),
        at_end: firing.at_end,
        early: firing.early.map(|early| match early {
            EarlyRows::Every(every) => Early::Every(micros(every)),
            EarlyRows::Events(events) => Early::Count(events),
        }),
        late: match firing.late {
            LateRows::Once => Late::Once,
            LateRows::Each => Late::Each,
        },
        purges: firing.purge,
        expires: None,
    };
    spec.checked()
}

/// What makes windows what they are; of the simplest, no more than their size and slide.
pub(super) fn window_text(window: &Window) -> String {
    let mut text = match &window.shape {
        WindowShape::Shared(shared) => shared_text(shared),
        WindowShape::Session { gap } => format!("session, gap {}us", micros(*gap)),
        WindowShape::SessionBy { gap } => format!("session, gap {} s", gap.text),
        WindowShape::Count { size, slide, .. } => format!("count {size}, slide {slide}"),
        WindowShape::Each => "each".to_owned(),
        WindowShape::Global { .. } => "global".to_owned(),
    };
    if let WindowShape::Count { expire_after: Some(idle), .. }
    | WindowShape::Global { expire_after: Some(idle) } = &window.shape
    {
        text.push_str(&format!(", expires after {}us", micros(*idle)));
    }
    let firing = &window.firing;
    if !firing.allowed_lateness.is_zero() {
        text.push_str(&format!(", allowed lateness {}us", micros(firing.allowed_lateness)));
    }
    match firing.early {
        Some(EarlyRows::Every(every)) => text.push_str(&format!(", early every {}us", micros(every))),
        Some(EarlyRows::Events(events)) => text.push_str(&format!(", early every {events} events")),
        None => {}
    }
    let each = firing.late == LateRows::Each;
    let nothing_at_end = !firing.at_end && !matches!(window.shape, WindowShape::Global { .. });
    for (is, words) in
        [(each, ", late each"), (nothing_at_end, ", not at the end"), (firing.purge, ", purges")]
    {
        text.push_str(if is { words } else { "" });
    }
    text
}

fn shared_text(shared: &SharedWindow) -> String {
    let mut text = format!("size {}us, slide {}us", micros(shared.size), micros(shared.slide));
    if shared.grows {
        text.push_str(", grows");
    }
    if shared.offset != 0 {
        text.push_str(&format!(", offset {}us", shared.offset));
    }
    if !shared.quiet.is_zero() {
        text.push_str(&format!(", quiet {}us", micros(shared.quiet)));
    }
    if shared.stagger {
        text.push_str(", staggered");
    }
    if let Some(zone) = &shared.zone {
        text.push_str(&format!(", zone {zone}"));
    }
    text
}
