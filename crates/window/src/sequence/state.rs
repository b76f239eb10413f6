//! What windows in order keep of their keys, of whatever kind they are: keys, texts, rows, and rows on their way
//! out.

use std::sync::Arc;

use event::{Aggregate, Field, Rows, Schema, Span};

use super::harvest::Harvest;
use super::runs::Run;
use super::table::Table;
use keys::{Keys, random_seed};

use crate::aggregate::{Folding, Layout, Progress, Target, fold};
use crate::text::Texts;

/// Takes rows that are on their way out.
pub(crate) type Emit<'a> = dyn FnMut(Rows) + 'a;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) layout: Layout,
    pub(crate) keys: Keys,
    pub(crate) texts: Texts,
    pub(crate) table: Table,
    pub(crate) harvest: Harvest,
}

impl State {
    pub(crate) fn new(aggregates: Vec<Aggregate>) -> Self {
        let fields = aggregates.iter().enumerate();
        let fields = fields.map(|(i, a)| Field::new(format!("{} #{i}", a.name()), a.data_type())).collect();
        State {
            layout: Layout::narrow(aggregates),
            keys: Keys::new(random_seed()),
            texts: Texts::default(),
            table: Table::default(),
            harvest: Harvest::new(Arc::new(Schema::new(fields))),
        }
    }

    /// A new row of a key.
    pub(crate) fn new_row(&mut self, slot: u32) -> u32 {
        self.keys.refer(slot);
        self.table.take(slot, self.layout.stride())
    }

    /// Number of records of a row.
    pub(crate) fn records(&self, row: u32) -> u64 {
        self.table.words(row, self.layout.stride())[0]
    }

    /// Empties a row.
    pub(crate) fn clear_row(&mut self, row: u32) {
        self.table.clear(row, self.layout.stride());
    }

    /// Gives a row up.
    pub(crate) fn free_row(&mut self, row: u32) {
        let slot = self.table.release(row);
        self.keys.release(slot);
    }

    /// Folds records of a run into rows.
    pub(crate) fn fold(&mut self, run: &Run, records: &[usize], rows: &[u32]) {
        let folding = Folding::new(&self.layout, &run.inputs, &run.times, run.partition, &run.offsets);
        rows.iter().for_each(|row| self.table.touch(*row));
        let mut from = Progress::default();
        while let Err(progress) = self.fold_from(&folding, records, rows, from) {
            self.widen(progress.aggregate);
            from = progress;
        }
    }

    fn fold_from(
        &mut self,
        folding: &Folding<'_>,
        records: &[usize],
        rows: &[u32],
        from: Progress,
    ) -> Result<(), Progress> {
        let mut target = Target {
            layout: &self.layout,
            texts: &mut self.texts,
            spills: &mut self.table.spills,
            words: &mut self.table.words,
            rows,
        };
        fold(&mut target, folding, |position| records[position], from)
    }

    /// Adds what a row holds to another. The sum of any number of rows may outgrow its cell, which then widens.
    pub(crate) fn absorb(&mut self, into: u32, from: u32) {
        self.merge(into, from);
        while let Some(aggregate) = self.layout.outgrown(self.table.words(into, self.layout.stride())) {
            self.widen(aggregate);
        }
    }

    /// The same where so few rows are added up that cells have room for them.
    pub(crate) fn merge(&mut self, into: u32, from: u32) {
        self.table.merge(&self.layout, &self.texts, into, from);
    }

    /// Gives one aggregate wide cells, everywhere.
    pub(crate) fn widen(&mut self, aggregate: usize) {
        let wide = self.layout.widened(aggregate);
        self.table.widen(&self.layout, &wide);
        self.harvest.widen(&self.layout, &wide);
        self.layout = wide;
    }

    /// Puts out what a row holds.
    pub(crate) fn put_out(&mut self, row: u32, span: Span, emit: &mut Emit<'_>) {
        if self.harvest.is_full() {
            self.flush(emit);
        }
        self.harvest.push(&self.layout, &self.keys, &self.table, row, span);
    }

    /// Adds what another row holds to what was put out last.
    pub(crate) fn put_out_more(&mut self, row: u32) {
        self.harvest.add(&self.layout, &self.texts, &self.table, row);
    }

    /// Hands on what was put out.
    pub(crate) fn flush(&mut self, emit: &mut Emit<'_>) {
        self.harvest.flush(&self.layout, &self.texts, emit);
    }

    /// What these rows hold together, all of the key of the first one; `None` if that is no record.
    pub(crate) fn peek(&self, rows: &[u32], span: Span) -> Option<Rows> {
        let (first, others) = rows.split_first()?;
        let mut harvest = self.harvest.empty();
        harvest.push(&self.layout, &self.keys, &self.table, *first, span);
        others.iter().for_each(|row| harvest.add(&self.layout, &self.texts, &self.table, *row));
        let mut found = None;
        harvest.flush(&self.layout, &self.texts, &mut |rows| found = Some(rows));
        found.filter(|rows| rows.records[0] > 0)
    }

    /// Lets texts go that no row refers to. Nothing may be on its way out.
    pub(crate) fn sweep_texts(&mut self) {
        if self.texts.wants_sweep() {
            let (table, layout) = (&mut self.table, &self.layout);
            self.texts.retain(|keep| table.renumber(layout, keep));
        }
    }

    /// Bytes of memory held, texts and spills not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.bytes() + self.table.bytes()
    }
}
