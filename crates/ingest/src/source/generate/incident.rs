//! What goes wrong for a key and when, as the truth has it.

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Episodes are left over and over.
    ExitStorm,
    /// Listening stops and goes.
    PauseStorm,
    /// Listening becomes short and listless; of listeners with a character, slowly.
    Decline,
    /// Listening becomes listless all at once.
    Drop,
    /// Somebody looks for a passage again and again, and finds none.
    SeekStorm,
    /// Episodes are left soon after they begin.
    EarlyExits,
    /// A key is heard of less than usual, or not at all.
    Silence,
    /// All keys of a cohort are hardly heard of. Its key is the cohort's name.
    Outage,
    /// A sensor's values leave those that they should have, slowly.
    Drift,
    /// Some of a sensor's values are far off.
    Spike,
    /// A sensor says the same value again and again.
    Stuck,
    /// Payments follow one another faster than usual.
    Velocity,
    /// Payments are larger than usual.
    Amount,
    /// Small payments try out whether a stolen number works.
    Testing,
    /// A player acts faster than people can.
    Speed,
    /// A player hits more often, and sooner, than people can.
    Aim,
    /// A player gathers points without playing.
    Farm,
    /// Clicks without people.
    Flood,
    /// Clicks after which nobody buys.
    LowConversion,
}

/// Something that was planted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The key, or the cohort of an outage.
    pub key: String,
    /// What happens.
    pub kind: IncidentKind,
    /// First millisecond of it.
    pub from: i64,
    /// Last millisecond of it.
    pub to: i64,
    /// How much of it there is, from 0 to 1: where users are alike, the share of the user's events that it bends;
    /// else 1 is what nobody can miss.
    pub size: f64,
}
