//! Whose events are made up.

use serde::{Deserialize, Serialize};

use super::stage::{Ads, Games, Iot, Payments, Podcast, Scene};

/// Whose events they are, and what can go wrong for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Podcast listeners who are alike, but for what goes wrong.
    #[default]
    Alike,
    /// Podcast listeners, each with habits of their own.
    Podcast,
    /// Sensors.
    Iot,
    /// Payments of accounts.
    Payments,
    /// Players of a shooting game.
    Games,
    /// Impressions, clicks and purchases of publishers of ads.
    Ads,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 6] = [
        Scenario::Alike,
        Scenario::Podcast,
        Scenario::Iot,
        Scenario::Payments,
        Scenario::Games,
        Scenario::Ads,
    ];

    /// Its name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Alike => "alike",
            Scenario::Podcast => "podcast",
            Scenario::Iot => "iot",
            Scenario::Payments => "payments",
            Scenario::Games => "games",
            Scenario::Ads => "ads",
        }
    }

    /// What is played, if its keys have a character.
    pub(super) fn scene(self) -> Option<&'static dyn Scene> {
        match self {
            Scenario::Alike => None,
            Scenario::Podcast => Some(&Podcast),
            Scenario::Iot => Some(&Iot),
            Scenario::Payments => Some(&Payments),
            Scenario::Games => Some(&Games),
            Scenario::Ads => Some(&Ads),
        }
    }
}
