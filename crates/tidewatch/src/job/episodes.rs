//! The life cycle of each rule's episodes, in ticks, for the windows of its branch.

use std::time::Duration;

use detect::LifeCycle;

use super::expressions::Compiler;
use super::micros;
use super::windows::{are_in_order, corrected_for};
use crate::config::alerts::{Alerts, Evidence, Within};
use crate::config::{Code, Diagnostic, Place, Window, WindowShape};

/// Without a bad window for so many slides an episode is over.
const QUIET_SLIDES: u32 = 3;
const QUIET: Duration = Duration::from_secs(180);
/// Of windows that overlap, since one event is in several of them.
const OVERLAPPING: Evidence = Evidence { windows: 3, within: Within::Windows(4) };
const SINGLE: Evidence = Evidence { windows: 1, within: Within::Windows(1) };

impl Compiler<'_> {
    /// The life cycle that `alerts` describe for these windows, which stand at `place`.
    pub(super) fn life_cycle(&mut self, alerts: &Alerts, window: &Window, place: &Place) -> LifeCycle {
        if !are_in_order(window) && corrected_for(window).is_none() {
            let message =
                "`[alerts]` needs windows that are put out once, and in order, or once more for late events";
            let help = "take `late`, `early`, `at_end`, `purge` and `stagger` out, and `allowed_lateness` of windows that events \
                        make, or set `alerts.group_windows = false`";
            self.report(Diagnostic::new(Code::Conflict, place.clone(), message).with_help(help));
        }
        let slide = window.slide();
        let overlap = match &window.shape {
            WindowShape::Shared(shared) => shared.slide < shared.size,
            _ => false,
        };
        let evidence = match &alerts.open_after {
            Some((evidence, place)) => {
                if let (Within::Windows(2..), None) = (evidence.within, slide) {
                    let message = "these windows do not follow one another at equal distances";
                    let diagnostic = Diagnostic::new(Code::Conflict, place.clone(), message);
                    self.report(diagnostic.with_help("write how many in which time, as `\"3 in 10m\"`"));
                }
                *evidence
            }
            None if overlap => OVERLAPPING,
            None => SINGLE,
        };
        let within = match evidence.within {
            Within::Windows(windows) => slide.map_or(1, |slide| micros(slide).saturating_mul(windows.into())),
            Within::Time(time) => micros(time),
        };
        let quiet = slide.map_or(QUIET, |slide| slide.saturating_mul(QUIET_SLIDES));
        LifeCycle {
            bad_windows: evidence.windows,
            within,
            resolve_after: micros(alerts.resolve_after.unwrap_or(quiet)),
            longest: micros(alerts.longest),
            cooldown: micros(alerts.cooldown),
        }
    }
}
