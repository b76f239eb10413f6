//! Where windows and slices begin and end: arithmetic over numbers of windows and slices.
//!
//! A slice is what lies between two neighbouring window edges. Where the slide divides the size there is
//! one slice a slide; elsewhere two, cut where windows end. Edges are even on the clock of the job's zone;
//! numbers are found there and then moved to where the instant really lies, if the clock jumped.

use event::Window;

use crate::WindowSpec;
use crate::clock::Clock;

/// The edges of a job's windows and slices. Windows are numbered by their start and then by their end.
#[derive(Debug, Clone)]
pub(crate) struct Slicing {
    spec: WindowSpec,
    clock: Clock,
    /// Where windows end within a slide; zero where they end at the edges of slides.
    cut: i64,
    /// How many windows have the same start.
    steps: i64,
}

impl Slicing {
    pub(crate) fn new(spec: WindowSpec) -> Self {
        let steps = if spec.grows { spec.size / spec.slide } else { 1 };
        Slicing { cut: spec.size % spec.slide, clock: Clock::new(spec.zone.clone()), steps, spec }
    }

    /// Number of the slice that holds `time`.
    pub(crate) fn slice_of(&self, time: i64) -> i64 {
        let number = self.slice_shown(self.clock.shown_at(time));
        self.settle(time, number, |number| self.start_of_slice(number) <= time)
    }

    /// Start of a slice.
    pub(crate) fn start_of_slice(&self, slice: i64) -> i64 {
        let shown = if self.cut == 0 {
            self.edge(slice)
        } else {
            let cut = if slice.rem_euclid(2) == 1 { self.cut } else { 0 };
            self.edge(slice.div_euclid(2)).saturating_add(cut)
        };
        self.clock.first_instant(shown)
    }

    /// The interval of a window.
    pub(crate) fn window(&self, window: i64) -> Window {
        let (start, end) = self.shown(window);
        Window { start: self.clock.first_instant(start), end: self.clock.first_instant(end) }
    }

    /// Numbers of the slices of a window: from the first to one behind the last.
    pub(crate) fn slices_of(&self, window: i64) -> std::ops::Range<i64> {
        let (start, end) = self.shown(window);
        self.slice_shown(start)..self.slice_shown(end)
    }

    /// Number of the first window that ends behind `time`: of the first that covers it, if one does.
    pub(crate) fn first_window_of(&self, time: i64) -> i64 {
        let since = self.clock.shown_at(time).saturating_sub(self.spec.offset);
        let behind = if self.spec.grows { self.spec.slide } else { self.spec.size };
        let number = since.saturating_sub(behind).div_euclid(self.spec.slide).saturating_add(1);
        // The window before it is the last that does not end behind `time`.
        self.settle(time, number.saturating_sub(1), |number| self.window(number).end <= time)
            .saturating_add(1)
    }

    /// Number of the last window that starts at or before `time`: of the last that covers it, if one does.
    pub(crate) fn last_window_of(&self, time: i64) -> i64 {
        let since = self.clock.shown_at(time).saturating_sub(self.spec.offset);
        let start = since.div_euclid(self.spec.slide.saturating_mul(self.steps));
        let number = start.saturating_mul(self.steps).saturating_add(self.steps - 1);
        self.settle(time, number, |number| self.window(number).start <= time)
    }

    /// How long after a window is due late records are allowed for.
    pub(crate) fn lateness(&self) -> i64 {
        self.spec.lateness
    }

    /// The tick at which the time for late records of a window is over, and it is put out once more if any came.
    pub(crate) fn corrected_at(&self, window: Window) -> i64 {
        window.due().saturating_add(self.spec.lateness)
    }

    /// Whether a window is the one before it once more: where the clock skips ends of windows that grow, they all
    /// end at the jump.
    pub(crate) fn repeats(&self, window: i64) -> bool {
        let this = self.window(window);
        self.steps > 1 && self.clock.jumps_near(this.end) && this == self.window(window.saturating_sub(1))
    }

    /// Whether a window covers `time`.
    pub(crate) fn is_covered(&self, time: i64) -> bool {
        self.first_window_of(time) <= self.last_window_of(time)
    }

    /// Number of the first window that is due after `tick`.
    pub(crate) fn first_window_due_after(&self, tick: i64) -> i64 {
        // due = end - 1 > tick, so the window's end is at least tick + 2: behind tick + 1.
        self.first_window_of(tick.saturating_add(1))
    }

    /// What the clock shows at the edge between two slides.
    fn edge(&self, number: i64) -> i64 {
        number.saturating_mul(self.spec.slide).saturating_add(self.spec.offset)
    }

    /// What the clock shows where a window starts and where it ends.
    fn shown(&self, window: i64) -> (i64, i64) {
        if self.steps == 1 {
            let start = self.edge(window);
            return (start, start.saturating_add(self.spec.size));
        }
        let first = window.div_euclid(self.steps).saturating_mul(self.steps);
        (self.edge(first), self.edge(window.saturating_add(1)))
    }

    /// Number of the slice that holds what the clock shows.
    fn slice_shown(&self, shown: i64) -> i64 {
        let since = shown.saturating_sub(self.spec.offset);
        let slide = since.div_euclid(self.spec.slide);
        if self.cut == 0 {
            return slide;
        }
        let behind_the_cut = since.rem_euclid(self.spec.slide) >= self.cut;
        slide.saturating_mul(2).saturating_add(i64::from(behind_the_cut))
    }

    /// The last number that `holds` is true of, for an instant near which that would be `number` if the clock
    /// did not jump. It is true of all below that one.
    fn settle(&self, time: i64, number: i64, holds: impl Fn(i64) -> bool) -> i64 {
        if !self.clock.jumps_near(time) {
            return number;
        }
        let (mut last, mut step) = (number, 1);
        while !holds(last) {
            last -= step;
            step *= 2;
        }
        let (mut beyond, mut step) = (last + 1, 1);
        while holds(beyond) {
            last = beyond;
            beyond += step;
            step *= 2;
        }
        while beyond - last > 1 {
            let middle = last + (beyond - last) / 2;
            *if holds(middle) { &mut last } else { &mut beyond } = middle;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(slicing: &Slicing, time: i64) -> Result<(), TestCaseError> {
        let slice = slicing.slice_of(time);
        prop_assert!(slicing.start_of_slice(slice) <= time && time < slicing.start_of_slice(slice + 1));
        let (first, last) = (slicing.first_window_of(time), slicing.last_window_of(time));
        for window in first.min(last) - 2..=last.max(first) + 2 {
            let covers = slicing.window(window).covers(time);
            prop_assert_eq!(covers, (first..=last).contains(&window));
            if covers {
                prop_assert!(slicing.slices_of(window).contains(&slice));
            }
            prop_assert!(slicing.window(window).end <= slicing.window(window + 1).end);
            prop_assert!(slicing.slices_of(window).start <= slicing.slices_of(window + 1).start);
            for slice in slicing.slices_of(window) {
                let middle =
                    Window { start: slicing.start_of_slice(slice), end: slicing.start_of_slice(slice + 1) };
                let outer = slicing.window(window);
                prop_assert!(outer.start <= middle.start && middle.end <= outer.end);
            }
        }
        let due = slicing.first_window_due_after(time);
        prop_assert!(slicing.window(due).due() > time && slicing.window(due - 1).due() <= time);
        Ok(())
    }

    proptest! {
        #[test]
        fn slices_tile_each_window_and_windows_cover_what_they_say(
            slide in 1i64..50, size in 1i64..250, offset in -60i64..60, time in -1000i64..1000
        ) {
            let spec = WindowSpec::sliding(size, slide).unwrap().starting_at(offset % slide).unwrap();
            check(&Slicing::new(spec), time)?;
        }

        #[test]
        fn so_do_windows_that_grow(step in 1i64..20, steps in 1i64..9, offset in -60i64..60, time in -1000i64..1000) {
            let size = step * steps;
            let spec = WindowSpec::cumulate(size, step).unwrap().starting_at(offset % size).unwrap();
            check(&Slicing::new(spec), time)?;
        }

        #[test]
        fn so_do_windows_on_a_clock_that_jumps(
            zone in prop::sample::select(vec!["America/Havana", "Australia/Lord_Howe", "Asia/Seoul", "Europe/Berlin"]),
            size in prop::sample::select(vec![20, 60, 90, 720, 1440, 2880]),
            slide in prop::sample::select(vec![20, 60, 1440]),
            grows in any::<bool>(),
            offset in -19i64..20,
            time in -2_000_000_000_000i64..4_000_000_000_000,
            jump in any::<prop::sample::Index>(),
        ) {
            const MINUTE: i64 = 60_000_000;
            let spec = match grows && size % slide == 0 {
                true => WindowSpec::cumulate(size * MINUTE, slide * MINUTE),
                false => WindowSpec::sliding(size * MINUTE, slide * MINUTE),
            };
            let spec = spec.unwrap().starting_at(offset * MINUTE).unwrap().in_zone(zone).unwrap();
            let slicing = Slicing::new(spec);
            check(&slicing, time * 1000)?;
            // Most times are not near a jump.
            let zone = jiff::tz::TimeZone::get(zone).unwrap();
            let from = jiff::Timestamp::from_millisecond(time).unwrap();
            let jumps: Vec<_> = zone.following(from).take(4).map(|jump| jump.timestamp().as_microsecond()).collect();
            if !jumps.is_empty() {
                let jump = jumps[jump.index(jumps.len())];
                for minutes in [-61, -31, 0, 29, 59, 60, 119] {
                    check(&slicing, jump + minutes * MINUTE + time % MINUTE)?;
                }
            }
        }
    }

    #[test]
    fn a_slide_that_does_not_divide_the_size_makes_two_slices_a_slide() {
        let slicing = Slicing::new(WindowSpec::sliding(10, 4).unwrap());
        let starts: Vec<i64> = (0..5).map(|s| slicing.start_of_slice(s)).collect();
        assert_eq!(starts, [0, 2, 4, 6, 8]);
        assert_eq!(slicing.slices_of(0), 0..5);
    }

    #[test]
    fn windows_that_grow_through_a_skipped_hour_are_each_there_once() {
        let hour = 3_600_000_000;
        let spec = WindowSpec::cumulate(24 * hour, hour / 2).unwrap().in_zone("Europe/Berlin").unwrap();
        let slicing = Slicing::new(spec);
        let morning: jiff::Timestamp = "2026-03-28T23:10:00Z".parse().unwrap();
        let time = morning.as_microsecond();
        let covering = slicing.first_window_of(time)..=slicing.last_window_of(time);
        let windows: Vec<Window> = covering
            .filter(|window| !slicing.repeats(*window))
            .map(|window| slicing.window(window))
            .collect();
        assert_eq!(windows.len(), 46, "a day of 23 hours");
        assert!(windows.windows(2).all(|pair| pair[0].start == pair[1].start && pair[0].end < pair[1].end));
    }

    #[test]
    fn the_ends_of_time_are_no_trouble_in_a_zone() {
        let day = 86_400_000_000;
        let slicing = Slicing::new(WindowSpec::tumbling(day).unwrap().in_zone("Asia/Seoul").unwrap());
        for edge in [i64::MIN, i64::MAX] {
            slicing.slice_of(edge);
            slicing.first_window_due_after(edge);
            slicing.last_window_of(edge);
        }
    }
}
