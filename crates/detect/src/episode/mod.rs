//! Episodes: windows that a rule finds bad, of one key and one after the other, as one thing with one name.
//!
//! Stands behind the rules: what they hit goes in, the few changes that are worth an alert come out, and, where windows may be corrected
//! for a while, what is to be taken back of them. Pure; the states of all keys are in the checkpoint.

mod correction;
mod follow;
mod kept;
mod life_cycle;

pub use follow::Corrected;
pub use kept::{EpisodeChange, Episodes, SavedEpisodes};
pub use life_cycle::{Change, Episode, Judged, LifeCycle};
