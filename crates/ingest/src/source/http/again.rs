//! What was posted, read once more from the journal, as long as it is not trimmed. Whoever listens goes on doing so.

use journal::Look;

use super::partition::unusable;
use super::spec::HttpSpec;
use crate::IngestError;
use crate::source::SourceSpec;
use crate::source::again::{NOTHING_THERE, Wanted};

/// Reads the lines that are wanted.
///
/// # Errors
/// If the journal cannot be read.
pub(in crate::source) fn read_again(
    source: &SourceSpec,
    spec: &HttpSpec,
    wanted: &mut Wanted<'_, '_>,
) -> Result<(), IngestError> {
    let mut look = Look::at(&spec.dir).map_err(|error| unusable(source, error))?;
    let place = spec.dir.display();
    let trimmed =
        format!("the journal in {place} was trimmed behind a checkpoint and does not have it any more");
    wanted.give_up_before(look.first().unwrap_or(u64::MAX), &trimmed);
    while let Some(offset) = wanted.first() {
        match look.line(offset) {
            Ok(line) => wanted.give_first(line.ok_or_else(|| NOTHING_THERE.to_owned())),
            Err(error) => {
                // A job that runs may have trimmed it a moment ago.
                let now = Look::at(&spec.dir).map_err(|error| unusable(source, error))?;
                match now.first() {
                    Some(first) if first <= offset => return Err(unusable(source, error)),
                    first => wanted.give_up_before(first.unwrap_or(u64::MAX), &trimmed),
                }
                look = now;
            }
        }
    }
    Ok(())
}
