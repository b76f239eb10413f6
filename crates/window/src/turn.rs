//! What is next to happen in windows that keys share: the order in which they close, are corrected and take in records
//! that were set aside, which is that of event time.

use event::Watermark;

use crate::Windows;

/// What is next to happen, at a tick of event time: windows close and are corrected as the watermark reaches it,
/// a record that has seen it is taken in when the watermark is past it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    Window(i64, i64),
    Correction(i64, i64),
    Aside(i64),
}

impl Turn {
    fn place(&self) -> (i64, u8) {
        match *self {
            Turn::Window(at, _) => (at, 0),
            Turn::Correction(at, _) => (at, 1),
            Turn::Aside(seen) => (seen, 2),
        }
    }

    pub(crate) fn is_up_at(&self, watermark: Watermark) -> bool {
        match *self {
            Turn::Window(at, _) | Turn::Correction(at, _) => at <= watermark.0,
            Turn::Aside(seen) => seen < watermark.0,
        }
    }
}

impl Windows {
    /// What comes next, in event time.
    pub(crate) fn next_turn(&self) -> Option<Turn> {
        let window = self.next_window().map(|number| Turn::Window(self.slicing.window(number).due(), number));
        let aside = self.asides.first_key_value().map(|((seen, ..), _)| Turn::Aside(*seen));
        let correction = self.corrections.first_key_value().map(|(number, _)| {
            Turn::Correction(self.slicing.corrected_at(self.slicing.window(*number)), *number)
        });
        [window, correction, aside].into_iter().flatten().min_by_key(Turn::place)
    }

    /// The first window that is not closed and holds a record.
    fn next_window(&self) -> Option<i64> {
        let floor = self.floor.max(self.slicing.first_window_due_after(self.closed.0));
        let first = if self.quiet.is_some() { self.first_kept() } else { self.expired };
        let (slice, _) = self.slices.range(first..).next()?;
        let mut number = self.slicing.first_window_of(self.slicing.start_of_slice(*slice)).max(floor);
        while self.slicing.repeats(number) {
            number += 1;
        }
        self.is_of_use(number).then_some(number)
    }

    /// Whether a window may have rows: where the input has ended, none but quiet keys are left at last, and for those
    /// time has not gone on.
    fn is_of_use(&self, number: i64) -> bool {
        let Some(quiet) = &self.quiet else { return true };
        let slices = self.slicing.slices_of(number);
        self.slicing.window(number).due() <= quiet.reached().0
            || self.slices.range(slices.start..).next().is_some()
    }
}
