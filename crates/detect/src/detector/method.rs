//! The ways in which a detector may judge.

use event::Before;

use crate::baseline::BaselineSpec;
use crate::cohort::{CohortSpec, Grouping, TopSpec};
use crate::cusum::CusumSpec;
use crate::forest::{SeriesSpec, SharedSpec, StreamSpec};
use crate::inference::ModelSpec;
use crate::page_hinkley::PageHinkleySpec;
use crate::robust::RobustSpec;
use crate::{Direction, Family};

/// Which keys a detector that is costly looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Chosen {
    /// All of them.
    #[default]
    All,
    /// Those whose encoded form is one of these, ascending.
    Listed(Vec<Vec<u8>>),
}

impl Chosen {
    /// Whether a key, encoded, is looked at.
    pub fn has(&self, key: &[u8]) -> bool {
        match self {
            Chosen::All => true,
            Chosen::Listed(keys) => keys.binary_search_by(|listed| listed.as_slice().cmp(key)).is_ok(),
        }
    }
}

/// How a detector judges a row.
#[derive(Debug, Clone)]
pub enum Method {
    /// Each input beside the mean and the deviation of the key's own past.
    Baseline(BaselineSpec),
    /// Each input beside the median of the key's last values.
    Robust(RobustSpec),
    /// Small shifts of an input's deviations that add up.
    Cusum(BaselineSpec, CusumSpec),
    /// A change of the mean of an input's deviations.
    PageHinkley(BaselineSpec, PageHinkleySpec),
    /// All inputs together, beside the key's own last rows: a forest for each key of a list.
    Forest {
        /// The forest of a key.
        spec: Box<StreamSpec>,
        /// Which keys have one.
        keys: Chosen,
    },
    /// All inputs together, by how they deviate from what is usual for the key: one forest for all keys.
    Shared {
        /// What is usual for a key.
        baseline: BaselineSpec,
        /// The forest.
        spec: Box<SharedSpec>,
    },
    /// One input as a series, by three forests for each key of a list.
    Series {
        /// The forests of a key.
        spec: SeriesSpec,
        /// Which keys have them.
        keys: Chosen,
    },
    /// One input beside those of the keys that are alike, in the same window end.
    Cohort {
        /// What is an anomaly.
        spec: CohortSpec,
        /// Which keys are alike.
        grouping: Grouping,
    },
    /// The keys with the worst values of one input, among those that are alike, in the same window end.
    Top {
        /// How many of them.
        spec: TopSpec,
        /// Which keys are alike.
        grouping: Grouping,
    },
    /// All inputs together, by a model that was trained elsewhere.
    Model(Box<ModelSpec>),
}

impl Method {
    /// Which keys are alike, where a key is judged beside others of the same window end.
    pub(crate) fn grouping(&self) -> Option<&Grouping> {
        match self {
            Method::Cohort { grouping, .. } | Method::Top { grouping, .. } => Some(grouping),
            _ => None,
        }
    }

    pub(super) fn family(&self) -> Family {
        match self {
            Method::Baseline(_) | Method::Robust(_) => Family::Baseline,
            Method::Cusum(..) | Method::PageHinkley(..) => Family::Change,
            Method::Forest { .. } | Method::Shared { .. } | Method::Series { .. } => Family::Forest,
            Method::Cohort { .. } | Method::Top { .. } => Family::Cohort,
            Method::Model(_) => Family::Model,
        }
    }

    /// Which side is bad.
    pub(super) fn direction(&self) -> Direction {
        match self {
            Method::Baseline(spec) => spec.direction,
            Method::Robust(spec) => spec.direction,
            Method::Cusum(_, spec) => spec.direction,
            Method::PageHinkley(_, spec) => spec.direction,
            Method::Cohort { spec, .. } => spec.direction,
            Method::Top { spec, .. } => spec.direction,
            Method::Model(spec) => spec.direction,
            Method::Forest { .. } | Method::Shared { .. } | Method::Series { .. } => Direction::Both,
        }
    }

    /// Whether it gives a score of a forest beside the calibrated one.
    pub(crate) fn is_forest(&self) -> bool {
        matches!(self, Method::Forest { .. } | Method::Shared { .. })
    }

    /// The score that goes with a statistic of an input, where one does.
    pub(crate) fn calibrate(&self, statistic: f32) -> Option<f32> {
        match self {
            Method::Baseline(spec) => Some(spec.calibrate(statistic)),
            Method::Robust(spec) => Some(spec.calibrate(statistic)),
            Method::Cusum(..) | Method::PageHinkley(..) => Some(self.direction().towards(statistic).max(0.0)),
            _ => None,
        }
    }

    /// Whether it can be told afterwards what it would have said of another value.
    pub(crate) fn can_be_asked_again(&self) -> bool {
        self.model_asked_again().is_some() || self.calibrate(0.0).is_some()
    }

    /// The model that judges, if one does, and may be asked about rows that there were not.
    pub(crate) fn model_asked_again(&self) -> Option<&ModelSpec> {
        match self {
            Method::Model(spec) if spec.inference.is_local() => Some(spec),
            Method::Model(spec) if !spec.inference.explains_within().is_zero() => Some(spec),
            _ => None,
        }
    }

    /// The score of an input that deviates so much, if it is in proportion to that, however much it is.
    pub(crate) fn proportion(&self, deviation: f32) -> Option<f64> {
        let (direction, limit) = match self {
            Method::Baseline(spec) => (spec.direction, spec.limit),
            Method::Robust(spec) => (spec.direction, spec.limit),
            _ => return None,
        };
        Some(f64::from(direction.towards(deviation).max(0.0)) / f64::from(limit))
    }

    /// Whether the statistic of an input is in proportion to what the value lies off.
    pub(crate) fn is_proportional(&self) -> bool {
        matches!(self, Method::Baseline(_) | Method::Robust(_))
    }

    /// The statistic of a deviation that has another past before it than the mean and the width: `before`, whose first number is
    /// that width.
    pub(crate) fn statistic_after(&self, before: &Before, deviation: f32) -> Option<f32> {
        let [width, a, b, c, d] = *before;
        match self {
            _ if width.is_nan() => None,
            Method::Cusum(_, spec) => Some(spec.score([a as f32, b as f32], deviation)),
            Method::PageHinkley(_, spec) => Some(spec.score([a, b, c, d], deviation.into())),
            _ => None,
        }
    }

    /// Which keys are looked at.
    pub(super) fn chosen(&self) -> &Chosen {
        match self {
            Method::Forest { keys, .. } | Method::Series { keys, .. } => keys,
            _ => &Chosen::All,
        }
    }

    /// What of the settings decides what the state looks like, so that other settings make it useless.
    pub(super) fn shape(&self) -> String {
        let baseline =
            |spec: &BaselineSpec| format!("{:?}, gaps {}", spec.season, spec.period.is_some() as u8);
        match self {
            Method::Baseline(spec) => format!("baseline ({})", baseline(spec)),
            Method::Robust(spec) => format!("robust ({})", spec.capacity),
            Method::Cusum(spec, _) => format!("cusum ({})", baseline(spec)),
            Method::PageHinkley(spec, _) => format!("page_hinkley ({})", baseline(spec)),
            Method::Forest { spec, .. } => format!("random_cut_forest ({spec:?})"),
            Method::Shared { baseline: spec, .. } => format!("shared forest ({})", baseline(spec)),
            Method::Series { spec, .. } => format!("series_forest ({spec:?})"),
            Method::Cohort { grouping, .. } => format!("cohort ({grouping:?})"),
            Method::Top { spec, grouping } => format!("top_k ({spec:?}, {grouping:?})"),
            Method::Model(spec) => format!("model ({})", baseline(&spec.baseline)),
        }
    }
}
