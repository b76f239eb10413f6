//! Detectors as scores of a job: each looks at a few numbers of a row, beside what it remembers of the row's key.
//!
//! [`Detector`] says what is looked at and how, [`Detectors`] is what a worker remembers of its keys, which a checkpoint
//! holds. The methods themselves are pure columns of state by slot ([`crate::baseline`] and its neighbours); here they meet
//! keys, and what they say is brought to one scale and explained.
//!
//! Promises that what is said of a row depends on the earlier rows of its key alone, in the order in which they are due, and on
//! nothing that a worker, a batch or a restart decides.

mod instead;
mod kept;
mod keyed;
mod method;
mod state;
mod width;
mod words;

use std::sync::Arc;

pub use event::Evidence;
use event::Expression;

use crate::unit::unit_of;
use crate::{DetectError, Family, NearExpected};

pub(crate) use instead::{Instead, all_near, kept as kept_instead};
pub(crate) use kept::Run;
pub use kept::{Detectors, SavedDetectors};
pub use method::{Chosen, Method};
pub(crate) use state::known as known_threshold;
pub(crate) use width::{deviations, single, width};
pub(crate) use words::in_words;

/// A score that is a detector.
#[derive(Debug, Clone)]
pub struct Detector {
    /// What it looks at: numbers, of the row as the score sees it. NULL is a missing value.
    pub inputs: Vec<Arc<dyn Expression>>,
    /// What these are called.
    pub names: Vec<String>,
    /// How it judges.
    pub method: Method,
    /// Values that are no anomaly because they lie near what was expected.
    pub near: NearExpected,
    /// Records that a row must hold: one with fewer is neither judged nor learned.
    pub records_min: u64,
    /// Whether a forest says in a column of its own what each input contributed, and if so, whether also which way.
    pub explains: Option<bool>,
    /// Whether rules compare the score of a forest as it gives it: what is above is explained then, whether it is an anomaly or not.
    pub raw: Option<Raw>,
}

/// How rules compare the score of a forest as it gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Raw {
    /// With what, the least, above 0: they hold of what is above.
    pub limit: f64,
    /// Whether nobody asks for anything else that it says.
    pub alone: bool,
}

/// What the states of detectors are of, each by a name of its own: two of one shape are told apart by which comes first.
pub(crate) fn shapes(detectors: &[Detector], shape: impl Fn(&Detector) -> String) -> Vec<String> {
    let all: Vec<String> = detectors.iter().map(shape).collect();
    let before = |place: usize| all[..place].iter().filter(|other| **other == all[place]).count();
    all.iter().enumerate().map(|(place, shape)| format!("{shape} #{}", before(place))).collect()
}

impl Detector {
    /// Which of the columns of a model says, by 1, that something took the place of its answer.
    pub(crate) const FALLBACK: usize = 2;

    /// A detector of these inputs that judges in this way, all else by default.
    pub fn new(method: Method, inputs: Vec<(String, Arc<dyn Expression>)>) -> Self {
        let (names, inputs) = inputs.into_iter().unzip();
        Detector {
            inputs,
            names,
            method,
            near: NearExpected::default(),
            records_min: 0,
            explains: None,
            raw: None,
        }
    }

    /// What it looks at alike: detectors of one family agree easily.
    pub fn family(&self) -> Family {
        self.method.family()
    }

    /// What is put behind the name of the score for each of its columns. The first is the score itself: above 1 is an anomaly. Of
    /// [`Method::Top`] it is a rank instead.
    pub fn outputs(&self) -> &'static [&'static str] {
        match self.method {
            Method::Forest { .. } | Method::Shared { .. } => &["", "_score", "_threshold", "_grade"],
            Method::Cohort { .. } => &["", "_percentile", "_members"],
            Method::Model(_) => &["", "_output", "_fallback"],
            _ => &[""],
        }
    }

    /// Whether its score is a rank, 1 for the worst, and not on the common scale.
    pub fn ranks(&self) -> bool {
        matches!(self.method, Method::Top { .. })
    }

    /// Whether values near what was expected are no anomaly.
    pub(crate) fn spares(&self) -> bool {
        self.near != NearExpected::default()
    }

    /// Whether a score that a forest gives is more than what rules compare it with.
    pub(crate) fn is_beyond(&self, score: f64) -> bool {
        self.raw.is_some_and(|raw| score > raw.limit)
    }

    /// How much of an anomaly a row is to whoever asks, above 1 if it is one: by the calibrated score, or by the forest's own where nobody
    /// asks for another, or the row is none by that.
    pub(crate) fn asked_for(&self, (calibrated, score): (f64, f64), is_anomaly: bool) -> f64 {
        match self.raw {
            // What does not stand out by itself has none.
            Some(Raw { limit, alone }) if alone || !is_anomaly => (score / limit).max(0.0),
            _ => calibrated,
        }
    }

    /// Whether it asks what the rows of other keys are.
    pub fn asks_others(&self) -> bool {
        matches!(self.method, Method::Shared { .. }) || self.method.grouping().is_some()
    }

    /// Whether a row can be judged once more by what is known by then, in which it is counted already. Sums that go on from row to row, and
    /// forests of a key, would take it for something else.
    pub fn can_correct(&self) -> bool {
        !matches!(
            self.method,
            Method::Cusum(..) | Method::PageHinkley(..) | Method::Forest { .. } | Method::Series { .. }
        )
    }

    /// Whether it asks a model that was trained elsewhere.
    pub fn asks_model(&self) -> bool {
        matches!(self.method, Method::Model(_))
    }

    /// Whether it can only say something once others have said theirs.
    pub fn waits(&self) -> bool {
        self.asks_others() || self.asks_model()
    }

    /// What the values of each input are multiples of, if of anything.
    pub(crate) fn units(&self) -> Vec<Option<f64>> {
        self.inputs.iter().map(|input| unit_of(input.data_type())).collect()
    }

    /// The columns of the row that it looks at.
    pub fn looks_at(&self) -> Vec<usize> {
        let alike = self.method.grouping().into_iter().flat_map(|grouping| &grouping.columns);
        self.inputs.iter().chain(alike).flat_map(|expression| expression.columns()).collect()
    }

    /// The columns of the row that it reads: those that it looks at, and what takes the place of an answer.
    pub fn reads(&self) -> Vec<usize> {
        let mut columns = self.looks_at();
        if let Method::Model(spec) = &self.method {
            columns.extend(spec.otherwise.columns());
        }
        columns
    }

    /// Which keys it looks at, if not all.
    pub(crate) fn chosen(&self) -> Option<&Chosen> {
        Some(self.method.chosen()).filter(|chosen| **chosen != Chosen::All)
    }

    /// What its state is of: where that differs after a restart, what was remembered is of no use.
    pub(crate) fn shape(&self) -> String {
        format!("{} of {}", self.method.shape(), self.names.join(", "))
    }

    /// Whether it can be.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn check(&self) -> Result<(), DetectError> {
        self.state().map(drop)
    }

    /// What is remembered where nothing is yet.
    pub(crate) fn state(&self) -> Result<state::State, DetectError> {
        state::State::new(&self.method, self.inputs.len())
    }
}
