//! Accumulators of aggregates as words in a row of state.
//!
//! A row holds, for one key and one slice, the words of all aggregates of the job. Word 0 counts the
//! records. First come the *additive* words, which a window can add and take away again; then the
//! *ordered* ones (least, greatest, first, last), which can only be combined. What fits no words is *spilled*: it
//! lies beside the rows, and is additive too, but for the states of a program's own aggregates.
//!
//! `update` folds a batch into rows, `result` reads rows out as a column; both are one loop per
//! aggregate over a whole batch.

mod bag;
mod column;
mod distinct;
mod exact;
mod layout;
mod ordered;
mod result;
mod sketch;
mod spill;
mod update;

pub(crate) use layout::{Layout, Widths};
pub(crate) use ordered::{combine, text_words};
pub(crate) use result::{Totals, results};
pub(crate) use spill::{Spill, Spills, merge_spill, rows_of_chunk, spills_of, subtractable};
pub(crate) use update::{Folding, Progress, Target, fold};
