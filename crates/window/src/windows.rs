//! The keyed state of a job's windows: records go in, rows of features come out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use event::{Aggregate, Batch, Field, Rows, Schema, Spans, Watermark, Window};

use keys::{Keys, random_seed};

use crate::WindowSpec;
use crate::aggregate::{Folding, Layout, Progress, Target, Totals, fold, results, text_words};
use crate::aside::{Arrival, Aside};
use crate::quiet::Quiet;
use crate::slice::Slice;
use crate::slicing::Slicing;
use crate::snapshot::Saving;
use crate::text::Texts;
use crate::totals::Running;
use crate::turn::Turn;

/// Records that are folded in one go: their rows of state stay in the nearest caches.
const FOLD_ROWS: usize = 1024;
/// Rows of a closed window that are handed on in one go.
const EMIT_ROWS: usize = 4096;
/// Bytes of keys that are handed on in one go.
const EMIT_KEY_BYTES: usize = 16 << 20;

/// Records of one partition on their way into windows.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals<'a> {
    /// Encoded keys.
    pub keys: &'a BinaryArray,
    /// Their hashes, by [`event::key_hash`].
    pub hashes: &'a [u64],
    /// Event times, in ticks.
    pub times: &'a [i64],
    /// Inputs of the aggregates, as [`event::Aggregate`] orders them.
    pub inputs: &'a [ArrayRef],
    /// Ordinal of the partition.
    pub partition: u32,
    /// Offsets; needed only where an aggregate is `first` or `last`, else it may be empty.
    pub offsets: &'a [u64],
}

/// The state of all windows of the keys of one worker.
///
/// # Panics
/// If the inputs do not have the aggregates' types: `transform` made both.
#[derive(Debug)]
pub struct Windows {
    pub(crate) slicing: Slicing,
    pub(crate) layout: Layout,
    pub(crate) keys: Keys,
    pub(crate) texts: Texts,
    pub(crate) slices: BTreeMap<i64, Slice>,
    /// Records that wait for their turn, by (`seen`, partition, offset).
    pub(crate) asides: BTreeMap<(i64, u32, u64), Aside>,
    /// Closed windows that records came for in the time allowed for that: by number, then for each slot how many.
    pub(crate) corrections: BTreeMap<i64, BTreeMap<u32, u64>>,
    pub(crate) running: Running,
    /// Slices from this number on and below `merged_to` are in the running totals.
    pub(crate) left: i64,
    pub(crate) merged_to: i64,
    /// Windows that are due by this are closed.
    pub(crate) closed: Watermark,
    /// Windows below this number are closed too.
    pub(crate) floor: i64,
    /// The window whose rows are being emitted.
    closing: Option<Closing>,
    /// No window that is to close needs slices below this number any more; they go with the next call that emits
    /// nothing, so that rows do not wait for that, or at the latest before the next window closes. Where late
    /// records are allowed for, they stay until that time is over.
    pub(crate) expired: i64,
    /// Keys that have gone quiet, where they have rows.
    pub(crate) quiet: Option<Quiet>,
    /// The snapshot that is being taken.
    pub(crate) saving: Option<Saving>,
    result_schema: Arc<Schema>,
    pub(crate) scratch: Scratch,
}

/// A window whose rows are emitted up to a slot.
#[derive(Debug, Clone, Copy)]
struct Closing {
    number: i64,
    slot: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) slots: Vec<u32>,
    rows: Vec<u32>,
    numbers: Vec<i64>,
    order: Vec<u32>,
    combined: Vec<u64>,
}

impl Windows {
    /// Empty windows that compute these aggregates.
    pub fn new(spec: WindowSpec, aggregates: Vec<Aggregate>) -> Self {
        let fields = aggregates.iter().enumerate();
        let fields = fields.map(|(i, a)| Field::new(format!("{} #{i}", a.name()), a.data_type())).collect();
        let quiet = spec.quiet;
        Windows {
            quiet: (quiet > 0).then(|| Quiet::new(quiet)),
            slicing: Slicing::new(spec),
            layout: Layout::narrow(aggregates),
            keys: Keys::new(random_seed()),
            texts: Texts::default(),
            slices: BTreeMap::new(),
            asides: BTreeMap::new(),
            corrections: BTreeMap::new(),
            running: Running::new(),
            left: i64::MIN,
            merged_to: i64::MIN,
            closed: Watermark::NONE,
            floor: i64::MIN,
            closing: None,
            expired: i64::MIN,
            saving: None,
            result_schema: Arc::new(Schema::new(fields)),
            scratch: Scratch::default(),
        }
    }

    /// Number of keys that have a record in some slice.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of memory that the state holds, texts, spills and records set aside not counted.
    pub fn bytes(&self) -> usize {
        let quiet = self.quiet.as_ref().map_or(0, Quiet::bytes);
        self.keys.bytes()
            + quiet
            + self.running.bytes()
            + self.slices.values().map(Slice::bytes).sum::<usize>()
    }

    /// Takes in records each of which is ahead of its partition's watermark just before it.
    pub fn insert(&mut self, arrivals: &Arrivals<'_>) {
        let folding = self.folding(arrivals);
        let mut start = 0;
        while start < arrivals.times.len() {
            let rows = FOLD_ROWS.min(arrivals.times.len() - start);
            self.insert_rows(arrivals, &folding, start, rows);
            start += rows;
        }
    }

    /// Takes in records that are at or behind their partition's watermark just before them, which is
    /// `seen`, and says what became of each (rule 2 of the determinism rules: a window holds a record if
    /// it covers its time and is due after `seen`).
    pub fn insert_behind(&mut self, arrivals: &Arrivals<'_>, seen: &[i64]) -> Vec<Arrival> {
        let judged: Vec<Arrival> =
            arrivals.times.iter().zip(seen).map(|(time, seen)| self.judge(*time, *seen)).collect();
        let folding = self.folding(arrivals);
        for (row, arrival) in judged.iter().enumerate() {
            match arrival {
                Arrival::InTime => self.insert_rows(arrivals, &folding, row, 1),
                Arrival::SetAside => self.set_aside(arrivals, row, seen[row]),
                Arrival::Late => {}
            }
        }
        judged
    }

    pub(crate) fn folding<'a>(&self, arrivals: &Arrivals<'a>) -> Folding<'a> {
        Folding::new(&self.layout, arrivals.inputs, arrivals.times, arrivals.partition, arrivals.offsets)
    }

    /// Folds the rows `[start, start + rows)`, slice by slice.
    pub(crate) fn insert_rows(
        &mut self,
        arrivals: &Arrivals<'_>,
        folding: &Folding<'_>,
        start: usize,
        rows: usize,
    ) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.slots.resize(rows, 0);
        self.keys.find_or_insert(arrivals.keys, arrivals.hashes, start, &mut scratch.slots);
        let times = &arrivals.times[start..start + rows];
        let number = self.slicing.slice_of(times[0]);
        let bounds = self.slicing.start_of_slice(number)..self.slicing.start_of_slice(number + 1);
        if times.iter().all(|time| bounds.contains(time)) {
            self.fold_slice(folding, number, &scratch.slots, &mut scratch.rows, |position| start + position);
        } else {
            self.fold_slices(folding, times, start, &mut scratch);
        }
        self.scratch = scratch;
    }

    /// Folds rows that lie in several slices.
    fn fold_slices(&mut self, folding: &Folding<'_>, times: &[i64], start: usize, scratch: &mut Scratch) {
        scratch.numbers.clear();
        scratch.numbers.extend(times.iter().map(|time| self.slicing.slice_of(*time)));
        scratch.order.clear();
        scratch.order.extend(0..times.len() as u32);
        scratch.order.sort_by_key(|row| scratch.numbers[*row as usize]);
        let numbers = &scratch.numbers;
        for run in scratch.order.chunk_by(|a, b| numbers[*a as usize] == numbers[*b as usize]) {
            let slots: Vec<u32> = run.iter().map(|row| scratch.slots[*row as usize]).collect();
            let number = numbers[run[0] as usize];
            self.fold_slice(folding, number, &slots, &mut scratch.rows, |position| {
                start + run[position] as usize
            });
        }
    }

    fn fold_slice(
        &mut self,
        folding: &Folding<'_>,
        number: i64,
        slots: &[u32],
        rows: &mut Vec<u32>,
        select: impl Fn(usize) -> usize + Copy,
    ) {
        rows.clear();
        let slice = self.slices.entry(number).or_default();
        slice.find_or_insert(&self.layout, &mut self.keys, slots, rows);
        // Only a record that was behind can meet a slice that older windows have already used.
        let is_in = (self.left..self.merged_to).contains(&number);
        let counted = self.quiet.as_ref().is_some_and(|quiet| quiet.counts(number));
        let touched = if is_in || counted { unique(rows) } else { Vec::new() };
        self.change_totals(number, &touched, is_in, -1);
        let mut from = Progress::default();
        while let Err(progress) = self.fold_from(folding, number, rows, select, from) {
            self.widen(progress.aggregate);
            from = progress;
        }
        self.change_totals(number, &touched, is_in, 1);
    }

    fn change_totals(&mut self, number: i64, touched: &[u32], running: bool, sign: i64) {
        if touched.is_empty() {
            return;
        }
        let slice = &self.slices[&number];
        if let Some(quiet) = self.quiet.as_mut().filter(|quiet| quiet.counts(number)) {
            quiet.change(slice, touched.iter().map(|row| *row as usize), self.layout.stride(), sign);
        }
        if running {
            self.running.reserve(&self.layout, self.keys.slots());
            self.running.change(&self.layout, slice, touched, sign);
        }
    }

    fn fold_from(
        &mut self,
        folding: &Folding<'_>,
        number: i64,
        rows: &[u32],
        select: impl Fn(usize) -> usize + Copy,
        from: Progress,
    ) -> Result<(), Progress> {
        let slice = self.slices.entry(number).or_default();
        let mut target = Target {
            layout: &self.layout,
            texts: &mut self.texts,
            spills: &mut slice.spills,
            words: Arc::make_mut(&mut slice.words).as_mut_slice(),
            rows,
        };
        fold(&mut target, folding, select, from)
    }

    /// Gives one aggregate wide cells, everywhere.
    pub(crate) fn widen(&mut self, aggregate: usize) {
        let wide = self.layout.widened(aggregate);
        for slice in self.slices.values_mut() {
            slice.words = Arc::new(wide.convert(&self.layout, &slice.words));
        }
        self.running.additive = wide.convert_additive(&self.layout, &self.running.additive);
        self.move_spills(&wide);
        self.layout = wide;
    }

    /// Spills are named by word: a cell that widens moves those behind it.
    fn move_spills(&mut self, wide: &Layout) {
        let before = &self.layout;
        let spills = self.slices.values_mut().map(|slice| &mut slice.spills);
        for spills in spills.chain([&mut self.running.spills, &mut self.running.own]) {
            let old = std::mem::take(spills);
            spills.extend(old.into_iter().filter_map(|((row, word), spill)| {
                wide.moved_word(before, word).map(|word| ((row, word), spill))
            }));
        }
    }

    /// Closes all windows that are due by `watermark`, oldest first, and hands their rows to `emit`.
    ///
    /// All records that such a window holds must have been taken in.
    pub fn advance(&mut self, watermark: Watermark, emit: &mut dyn FnMut(Rows)) {
        while !self.advance_some(watermark, usize::MAX, emit) {}
    }

    /// The same, but stops after about `rows_max` rows; returns whether all of those windows are closed.
    /// Call it again with the same watermark until they are, so that what is under way stays small.
    pub fn advance_some(
        &mut self,
        watermark: Watermark,
        rows_max: usize,
        emit: &mut dyn FnMut(Rows),
    ) -> bool {
        if watermark <= self.closed {
            self.expire();
            return true;
        }
        let mut rest = rows_max;
        loop {
            if let Some(closing) = self.closing.take() {
                self.closing = self.emit(closing, &mut rest, emit);
                if self.closing.is_some() {
                    return false;
                }
                self.running.own.clear();
                self.expired = self.slicing.slices_of(closing.number + 1).start;
                self.floor = closing.number + 1;
            }
            match self.next_turn().filter(|turn| turn.is_up_at(watermark)) {
                None => break,
                Some(Turn::Window(_, number)) => self.begin_close(number),
                Some(Turn::Aside(seen)) => self.take_aside(seen),
                Some(Turn::Correction(_, number)) => self.correct(number, &mut rest, emit),
            }
        }
        // Not while rows of this call wait to be taken on.
        if rest == rows_max {
            self.expire();
        }
        self.seal(watermark);
        self.closed = watermark;
        self.sweep_texts();
        true
    }

    /// Begins with the windows that are due after a watermark.
    pub(crate) fn floor_at(&mut self, closed: Watermark) {
        let next = self.slicing.slices_of(self.slicing.first_window_due_after(closed.0)).start;
        (self.expired, self.left) = (next, next);
    }

    /// Brings the running totals to a window, whose rows are then to be emitted.
    fn begin_close(&mut self, number: i64) {
        let slices = self.slicing.slices_of(number);
        self.expired = self.expired.max(slices.start);
        // Windows before it have nothing to put out.
        self.floor = self.floor.max(number);
        self.expire();
        self.enter_quiet(slices.end);
        self.running.reserve(&self.layout, self.keys.slots());
        let merged_to = self.merged_to.max(slices.start);
        for (_, slice) in self.slices.range(merged_to.min(slices.end)..slices.end) {
            self.running.merge(&self.layout, &self.texts, slice);
        }
        self.merged_to = merged_to.max(slices.end);
        let in_totals = self.slices.range_mut(self.left..self.merged_to);
        self.running.refresh(&self.layout, &self.texts, in_totals, self.merged_to);
        if self.layout.has_own() {
            self.slices.range(slices).for_each(|(_, slice)| self.running.merge_own(slice));
        }
        self.closing = Some(Closing { number, slot: 0 });
    }

    /// Lets slices go that no window needs any more: out of the running totals, and then altogether.
    pub(crate) fn expire(&mut self) {
        let totals_end = self.expired.min(self.merged_to);
        if self.left < totals_end {
            for (number, slice) in self.slices.range(self.left..totals_end) {
                self.running.expire(&self.layout, *number, slice);
            }
        }
        self.left = self.left.max(self.expired);
        let kept = self.first_kept();
        self.leave_quiet(kept);
        while let Some(oldest) = self.slices.first_entry().filter(|oldest| *oldest.key() < kept) {
            for slot in oldest.remove().slots.iter() {
                self.keys.release(*slot);
            }
        }
    }

    /// The first slice that is still needed, by a window that is to close or may be corrected.
    pub(crate) fn first_kept(&self) -> i64 {
        if let Some(quiet) = &self.quiet {
            return self.first_quiet(quiet).min(self.expired);
        }
        let open_to_late = self.closed.0.saturating_sub(self.slicing.lateness());
        let correctable = self.slicing.first_window_due_after(open_to_late);
        if self.slicing.lateness() == 0 {
            self.expired
        } else {
            self.slicing.slices_of(correctable).start.min(self.expired)
        }
    }

    /// Emits rows of the window that closes, up to `rest`; returns where to go on, if not all were.
    ///
    /// Records that come in between do not touch them: such a record's partition has passed the window.
    fn emit(&mut self, closing: Closing, rest: &mut usize, emit: &mut dyn FnMut(Rows)) -> Option<Closing> {
        let window = self.slicing.window(closing.number);
        let width = self.layout.additive();
        let last = self.running.additive.len() / width;
        let mut next = closing.slot;
        while next < last && *rest > 0 {
            let mut slots = Vec::with_capacity(EMIT_ROWS.min(last - next));
            let mut key_bytes = Vec::with_capacity(slots.capacity() * 16);
            let mut key_offsets = Vec::with_capacity(slots.capacity() + 1);
            key_offsets.push(0i32);
            while next < last && slots.len() < EMIT_ROWS && key_bytes.len() < EMIT_KEY_BYTES {
                let quiet = || self.quiet.as_ref().is_some_and(|quiet| quiet.has(next, window.due()));
                if self.running.additive[next * width] > 0 || quiet() {
                    slots.push(next as u32);
                    self.keys.append_key(next as u32, &mut key_bytes);
                    key_offsets.push(key_bytes.len() as i32);
                }
                next += 1;
            }
            if !slots.is_empty() {
                *rest = rest.saturating_sub(slots.len());
                emit(self.rows(window, binary(key_offsets, key_bytes), &slots));
            }
        }
        (next < last).then_some(Closing { slot: next, ..closing })
    }

    fn rows(&mut self, window: Window, keys: BinaryArray, slots: &[u32]) -> Rows {
        let mut combined = std::mem::take(&mut self.scratch.combined);
        let rows = self.rows_of(&self.running, Spans::Shared(window), keys, slots, &mut combined);
        self.scratch.combined = combined;
        rows
    }

    pub(crate) fn rows_of(
        &self,
        running: &Running,
        spans: Spans,
        keys: BinaryArray,
        slots: &[u32],
        combined: &mut Vec<u64>,
    ) -> Rows {
        if self.layout.ordered() > 0 {
            running.combine_ordered(&self.layout, &self.texts, slots, combined);
        }
        let totals = Totals {
            layout: &self.layout,
            texts: &self.texts,
            additive: &running.additive,
            ordered: combined,
            spills: &running.spills,
            own: &running.own,
        };
        let (columns, failures) = results(&totals, slots);
        let width = self.layout.additive();
        Rows {
            spans,
            keys,
            records: slots.iter().map(|slot| running.additive[*slot as usize * width]).collect(),
            aggregates: Batch::new(Arc::clone(&self.result_schema), columns, slots.len()),
            previous: Vec::new(),
            failures,
        }
    }

    /// Drops the indexes of slices that only records behind the watermark could still change.
    fn seal(&mut self, watermark: Watermark) {
        if watermark == Watermark::FINISHED {
            return;
        }
        let open = self.slicing.slice_of(watermark.0.saturating_add(1));
        self.slices.range_mut(..open).for_each(|(_, slice)| slice.seal());
    }

    fn sweep_texts(&mut self) {
        if !self.texts.wants_sweep() {
            return;
        }
        let places = text_words(&self.layout);
        let (additive, stride, ordered) =
            (self.layout.additive(), self.layout.stride(), self.layout.ordered());
        let (slices, running) = (&mut self.slices, &mut self.running);
        self.texts.retain(|keep| {
            let mut renumber = |rows: &mut [u64]| {
                for row in rows.chunks_exact_mut(ordered) {
                    for (has, word) in &places {
                        if row[*has] == 1 {
                            row[*word] = keep(row[*word]);
                        }
                    }
                }
            };
            for slice in slices.values_mut() {
                let words = Arc::make_mut(&mut slice.words);
                words.chunks_exact_mut(stride).for_each(|row| renumber(&mut row[additive..]));
                renumber(&mut slice.suffix);
            }
            renumber(&mut running.front);
            renumber(&mut running.back);
        });
    }
}

fn unique(rows: &[u32]) -> Vec<u32> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.dedup();
    rows
}

pub(crate) fn binary(offsets: Vec<i32>, bytes: Vec<u8>) -> BinaryArray {
    BinaryArray::new(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes), None)
}
