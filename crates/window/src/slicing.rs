//! Where windows and slices begin and end: arithmetic over numbers of windows and slices.
//!
//! A slice is what lies between two neighbouring window edges. Where the slide divides the size there is
//! one slice a slide; elsewhere two, cut where windows end.

use event::Window;

use crate::WindowSpec;

/// The edges of a job's windows and slices. Windows and slices are numbered by their start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slicing {
    spec: WindowSpec,
    /// Where windows end within a slide; zero where they end at the edges of slides.
    cut: i64,
}

impl Slicing {
    pub(crate) fn new(spec: WindowSpec) -> Self {
        Slicing { spec, cut: spec.size % spec.slide }
    }

    /// Number of the slice that holds `time`.
    pub(crate) fn slice_of(&self, time: i64) -> i64 {
        let since = time.saturating_sub(self.spec.offset);
        let slide = since.div_euclid(self.spec.slide);
        if self.cut == 0 {
            return slide;
        }
        let behind_the_cut = since.rem_euclid(self.spec.slide) >= self.cut;
        slide.saturating_mul(2).saturating_add(i64::from(behind_the_cut))
    }

    /// Start of a slice.
    pub(crate) fn start_of_slice(&self, slice: i64) -> i64 {
        if self.cut == 0 {
            return self.start_of_window(slice);
        }
        let cut = if slice.rem_euclid(2) == 1 { self.cut } else { 0 };
        self.start_of_window(slice.div_euclid(2)).saturating_add(cut)
    }

    fn start_of_window(&self, window: i64) -> i64 {
        window.saturating_mul(self.spec.slide).saturating_add(self.spec.offset)
    }

    /// The interval of a window.
    pub(crate) fn window(&self, window: i64) -> Window {
        let start = self.start_of_window(window);
        Window { start, end: start.saturating_add(self.spec.size) }
    }

    /// Numbers of the slices of a window: from the first to one behind the last.
    pub(crate) fn slices_of(&self, window: i64) -> std::ops::Range<i64> {
        let Window { start, end } = self.window(window);
        self.slice_of(start)..self.slice_of(end)
    }

    /// Number of the first window that covers `time`.
    pub(crate) fn first_window_of(&self, time: i64) -> i64 {
        let since = time.saturating_sub(self.spec.offset).saturating_sub(self.spec.size);
        since.div_euclid(self.spec.slide).saturating_add(1)
    }

    /// Number of the last window that covers `time`.
    pub(crate) fn last_window_of(&self, time: i64) -> i64 {
        time.saturating_sub(self.spec.offset).div_euclid(self.spec.slide)
    }

    /// Number of the first window that is due after `tick`.
    pub(crate) fn first_window_due_after(&self, tick: i64) -> i64 {
        // due = end - 1 > tick, so the window's end is at least tick + 2: it covers tick + 1.
        self.first_window_of(tick.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slicing(size: i64, slide: i64, offset: i64) -> Slicing {
        Slicing::new(WindowSpec { offset, ..WindowSpec::sliding(size, slide).unwrap() })
    }

    proptest! {
        #[test]
        fn slices_tile_each_window_and_windows_cover_what_they_say(
            slide in 1i64..50, extra in 0i64..200, offset in -60i64..60, time in -1000i64..1000
        ) {
            let slicing = slicing(slide + extra, slide, offset);
            let slice = slicing.slice_of(time);
            prop_assert!(slicing.start_of_slice(slice) <= time && time < slicing.start_of_slice(slice + 1));
            let (first, last) = (slicing.first_window_of(time), slicing.last_window_of(time));
            for window in first - 2..=last + 2 {
                let covers = slicing.window(window).covers(time);
                prop_assert_eq!(covers, (first..=last).contains(&window));
                prop_assert_eq!(covers, slicing.slices_of(window).contains(&slice));
            }
            let due = slicing.first_window_due_after(time);
            prop_assert!(slicing.window(due).due() > time && slicing.window(due - 1).due() <= time);
        }
    }

    #[test]
    fn a_slide_that_does_not_divide_the_size_makes_two_slices_a_slide() {
        let slicing = slicing(10, 4, 0);
        let starts: Vec<i64> = (0..5).map(|s| slicing.start_of_slice(s)).collect();
        assert_eq!(starts, [0, 2, 4, 6, 8]);
        assert_eq!(slicing.slices_of(0), 0..5);
    }
}
