//! From newline-delimited JSON, or CSV, to columns of just the fields that the job needs.
//!
//! One pass over the bytes, made of two halves that give the same answer: a short way for what is usual
//! (the next name is the one that followed last time, numbers of a few digits, plain text), which works on
//! eight bytes at a time, and a complete way, to which every single name or value falls that is not.
//!
//! [`decoder`] walks over records, [`record`] over the members of an object, [`plan`] knows and learns names,
//! [`csv`] walks over the fields of a record of CSV, [`column`] turns values into columns, [`cell`] those of CSV.

mod calendar;
mod caution;
mod cell;
mod column;
mod csv;
mod decoder;
mod dictionary;
mod fault;
mod misfit;
mod number;
mod piece;
mod plan;
mod record;
mod skip;
mod spec;
mod swar;
mod text;
mod time;

pub use caution::{Caution, Witness};
pub(crate) use csv::Scan;
pub use csv::{CsvHeader, HeaderFault};
pub use decoder::Decoder;
pub use piece::{Messages, Piece};
pub use spec::{DecodeSpec, FieldSpec, TimeSpec, TimeUnit};
