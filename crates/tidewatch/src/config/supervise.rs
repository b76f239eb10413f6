//! `[supervise]`: when a process that does not move counts as hung.

use std::time::Duration;

use super::section::{Reader, Section};
use super::tree::Table;
use super::value::duration;

/// `[supervise]`: what the supervisor of a job with `[state]` watches.
#[derive(Debug, Clone, Copy)]
pub struct Supervise {
    /// A process that gives no sign of life for this long, or of which a worker does not move, is killed and
    /// started again. To wait for input or for a slow sink is no hanging. Default: `30s`. Range: `500ms` to
    /// `1h`.
    pub hang_after: Duration,
}

pub(super) fn read_supervise(root: &mut Section, reader: &mut Reader) -> Supervise {
    let empty = Table::default();
    let place = root.place().clone();
    let section = root.section(reader, "supervise");
    let mut section = section.unwrap_or_else(|| Section::new(&empty, "supervise", "`[supervise]`", place));
    let range = Duration::from_millis(500)..=Duration::from_secs(3600);
    let hang_after = (Duration::from_secs(30), "\"30s\"");
    let supervise = Supervise { hang_after: section.or(reader, "hang_after", hang_after, duration(range)) };
    section.finish(reader);
    supervise
}
