//! The timely operators: thin shells that move data between the pure crates and decide nothing about it.

pub(crate) mod cohorts;
pub(crate) mod deliver;
pub(crate) mod detect;
pub(crate) mod gather;
pub(crate) mod read;
pub(crate) mod window;

use event::Epoch;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::SyncActivator;

/// An output of an operator, and the buffer before it.
type Output<D> = OutputBuilder<u64, CapacityContainerBuilder<Vec<D>>>;

/// The epoch that a frontier has come to; `None` once nothing more can come.
fn reached(frontier: &MutableAntichain<u64>) -> Option<Epoch> {
    frontier.frontier().first().copied().map(Epoch)
}

/// The epoch that all of several frontiers have come to.
fn all_reached<'a>(frontiers: impl IntoIterator<Item = &'a MutableAntichain<u64>>) -> Option<Epoch> {
    frontiers.into_iter().filter_map(reached).min()
}

/// Whether an epoch lies behind what was reached.
fn is_past(epoch: Epoch, reached: Option<Epoch>) -> bool {
    reached.is_none_or(|reached| epoch < reached)
}

/// Has an operator run again, from another thread. It fails only once the worker is gone, and with it the
/// need.
fn wake(activator: &SyncActivator) {
    let _ = activator.activate();
}
