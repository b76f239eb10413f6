//! Records that are behind their partition's watermark: which windows still hold them, and the rows of closed windows that
//! they correct.

use arrow_array::{ArrayRef, BinaryArray};
use event::{Outcome, Rows, Span, Spans, key_hash};

use crate::aside::{Arrival, Aside, Held, input_types};
use crate::totals::Running;
use crate::windows::binary;
use crate::{Arrivals, Windows};

impl Windows {
    pub(crate) fn judge(&self, time: i64, seen: i64) -> Arrival {
        let first = self.slicing.window(self.slicing.first_window_of(time));
        let last = self.slicing.window(self.slicing.last_window_of(time));
        if first.due() > seen {
            Arrival::InTime
        } else if self.slicing.corrected_at(last) <= seen {
            Arrival::Late
        } else {
            Arrival::SetAside
        }
    }

    pub(crate) fn set_aside(&mut self, arrivals: &Arrivals<'_>, row: usize, seen: i64) {
        let types = input_types(self.layout.aggregates());
        let inputs = arrivals.inputs.iter().zip(types);
        let aside = Aside {
            key: arrivals.keys.value(row).to_vec(),
            time: arrivals.times[row],
            partition: arrivals.partition,
            offset: arrivals.offsets[row],
            inputs: inputs.map(|(column, data_type)| Held::take(column, data_type, row)).collect(),
        };
        self.asides.insert((seen, aside.partition, aside.offset), aside);
    }

    fn insert_aside(&mut self, seen: i64, aside: &Aside) {
        let keys = BinaryArray::from(vec![aside.key.as_slice()]);
        let types = input_types(self.layout.aggregates());
        let inputs: Vec<ArrayRef> = aside.inputs.iter().zip(types).map(|(held, t)| held.column(t)).collect();
        let arrivals = Arrivals {
            keys: &keys,
            hashes: &[key_hash(&aside.key)],
            times: &[aside.time],
            inputs: &inputs,
            partition: aside.partition,
            offsets: &[aside.offset],
        };
        let folding = self.folding(&arrivals);
        self.insert_rows(&arrivals, &folding, 0, 1);
        self.note_corrections(seen, aside.time, self.scratch.slots[0]);
    }

    /// Notes which closed windows a record changes that came while that was still allowed.
    fn note_corrections(&mut self, seen: i64, time: i64, slot: u32) {
        for number in self.slicing.first_window_of(time)..=self.slicing.last_window_of(time) {
            let window = self.slicing.window(number);
            if window.due() > seen {
                break;
            }
            if self.slicing.corrected_at(window) > seen && !self.slicing.repeats(number) {
                *self.corrections.entry(number).or_default().entry(slot).or_default() += 1;
            }
        }
    }

    /// Takes in the records that had seen just that.
    pub(crate) fn take_aside(&mut self, seen: i64) {
        // Those that are due by then are closed, even if nothing was in them.
        self.floor = self.floor.max(self.slicing.first_window_due_after(seen));
        while let Some(aside) = self.asides.first_entry().filter(|aside| aside.key().0 == seen) {
            let aside = aside.remove();
            self.insert_aside(seen, &aside);
        }
    }

    /// Emits the rows of a closed window once more, of those keys of which a record came since.
    pub(crate) fn correct(&mut self, number: i64, rest: &mut usize, emit: &mut dyn FnMut(Rows)) {
        let Some(changed) = self.corrections.remove(&number) else { return };
        let window = self.slicing.window(number);
        let slots: Vec<u32> = changed.keys().copied().collect();
        let mut totals = Running::new();
        totals.reserve(&self.layout, slots.len());
        for (_, slice) in self.slices.range(self.slicing.slices_of(number)) {
            let chosen = slice.chosen(&self.layout, &slots);
            totals.merge(&self.layout, &self.texts, &chosen);
            totals.merge_own(&chosen);
        }
        let width = self.layout.additive();
        let due = self.slicing.corrected_at(window);
        let spans = changed.values().zip(totals.additive.chunks_exact(width)).map(|(late, total)| {
            let span = Span { due, ..Span::from(window) };
            // Where there were none but late records, nothing was put out before.
            if total[0] > *late { Span { sequence: 1, outcome: Outcome::Revised, ..span } } else { span }
        });
        let spans = Spans::Own(spans.collect());
        let (mut bytes, mut offsets) = (Vec::new(), vec![0i32]);
        for slot in &slots {
            self.keys.append_key(*slot, &mut bytes);
            offsets.push(bytes.len() as i32);
        }
        let dense: Vec<u32> = (0..slots.len() as u32).collect();
        *rest = rest.saturating_sub(slots.len());
        emit(self.rows_of(&totals, spans, binary(offsets, bytes), &dense, &mut Vec::new()));
    }
}
