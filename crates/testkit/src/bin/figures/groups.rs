//! The groups of figures: each runs what its figures need.

use crate::bench::{Bench, Failure};
use crate::figure::Figures;
use crate::{
    archive, checkpoint, files, http, kafka, kinesis, latency, limits, objects, outputs, recovery, reference,
    slices, start, tables, webhook,
};

/// What is asked for by its name.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    run: fn(&Bench, &mut Figures) -> Result<(), Failure>,
}

impl Group {
    const fn new(name: &'static str, run: fn(&Bench, &mut Figures) -> Result<(), Failure>) -> Group {
        Group { name, run }
    }

    pub(crate) fn run(&self, bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
        (self.run)(bench, figures)
    }
}

/// The groups, in the order in which they run.
pub(crate) const GROUPS: &[Group] = &[
    Group::new("reference", reference::reference),
    Group::new("session", limits::session),
    Group::new("count", limits::count),
    Group::new("features", limits::features),
    Group::new("scale", reference::scale),
    Group::new("keys", reference::keys),
    Group::new("windows", slices::windows),
    Group::new("sparse", slices::sparse),
    Group::new("latency", latency::latency),
    Group::new("checkpoint", checkpoint::checkpoint),
    Group::new("recovery", recovery::recovery),
    Group::new("start", start::start),
    // Connectors, each beside a bare client. The servers of some are started here, and stopped again.
    Group::new("files", files::files),
    Group::new("objects", objects::objects),
    Group::new("http", http::http),
    Group::new("kafka", kafka::kafka),
    Group::new("kinesis", kinesis::kinesis),
    Group::new("archive", archive::archive),
    Group::new("outputs", outputs::outputs),
    Group::new("tables", tables::tables),
    Group::new("webhook", webhook::webhook),
];
