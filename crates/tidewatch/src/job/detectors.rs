//! A score that is a call of a detector: from its words to its settings.
//!
//! `odd = "baseline(engagement, pauses, direction => 'low', limit => 3)"`: inputs first, then options. An option that a detector
//! does not have, or a value out of its range, is pointed at.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use detect::baseline::{BaselineSpec, Season};
use detect::cohort::{CohortSpec, Grouping, TopSpec};
use detect::cusum::CusumSpec;
use detect::forest::{ForestSpec, SeriesSpec, SharedSpec, StreamSpec};
use detect::page_hinkley::PageHinkleySpec;
use detect::robust::RobustSpec;
use detect::scale::CalibrationSpec;
use detect::{Chosen, DetectError, Detector, Direction, Inference, Method, ModelSpec, NearExpected};
use event::{DataType, Expression, KeyShape, Schema};
use transform::{Constant, DetectorCall, DetectorOption, ExpressionError, compile};

use crate::config::nearest::nearest;

/// What a detector must know of its job.
pub(super) struct Around<'a> {
    /// How keys are encoded, if they can be.
    pub(super) keys: Option<&'a KeyShape>,
    /// Time between the windows of a key, where they slide or tumble.
    pub(super) period: Option<i64>,
    /// Whether the rows of a key come once for each window, in order.
    pub(super) in_order: bool,
    /// How long rows may be corrected, of windows that all keys share and that are put out when they are due.
    pub(super) corrected: Option<i64>,
    /// Models that there are, by their names.
    pub(super) models: &'a BTreeMap<String, Arc<dyn Inference>>,
}

/// Their names.
const DETECTORS: [&str; 10] = [
    "baseline",
    "robust",
    "cusum",
    "page_hinkley",
    "random_cut_forest",
    EXPLAINED,
    "series_forest",
    "cohort",
    "top_k",
    "model",
];
const EXPLAINED: &str = "random_cut_forest_with_explanation";

/// What constants behind the inputs stand for: the arguments that the functions of Kinesis Data Analytics had, in their order.
const POSITIONS: [&str; 5] = ["trees", "sample", "decay", "shingle", "directionality"];

/// What may stand behind the name of a score for the further columns of its detector.
pub(crate) const FURTHER: [&str; 8] =
    ["_score", "_threshold", "_grade", "_explanation", "_percentile", "_members", "_output", "_fallback"];
/// Those that judge a row beside others of its window.
const BESIDE: [&str; 2] = ["cohort", "top_k"];

/// Whether a function is a detector.
pub(crate) fn is_detector(name: &str) -> bool {
    DETECTORS.contains(&name)
}

/// Whether a detector may be asked about windows of this kind.
pub(super) fn check_windows(call: &DetectorCall, around: &Around<'_>) -> Result<(), ExpressionError> {
    let refuse = |message: String, help: &str| {
        Err(ExpressionError::new(message, call.span.clone()).help(help.to_owned()))
    };
    match BESIDE.contains(&call.name.as_str()) {
        true if around.corrected.is_none() => refuse(
            format!(
                "`{}` needs windows that all keys share, and that are put out when they are due",
                call.name
            ),
            "take tumbling or sliding windows without `late`, `early`, `at_end`, `purge` and `stagger`",
        ),
        false if !around.in_order && around.corrected.is_none() => refuse(
            format!("`{}` needs windows that are put out in order, and at most once more", call.name),
            "take `late`, `early`, `at_end`, `purge` and `stagger` out, and `allowed_lateness` of windows that events make, \
             or the detector",
        ),
        _ => Ok(()),
    }
}

/// The detector that a call is about, in a row of these columns.
pub(super) fn detector(
    call: DetectorCall,
    around: &Around<'_>,
    row: &Schema,
) -> Result<Detector, ExpressionError> {
    if call.inputs.is_empty() {
        let message = format!("`{}` looks at one number or more", call.name);
        return Err(ExpressionError::new(message, call.span.clone()));
    }
    let mut options = Options { call: &call, named: options(&call)?, known: Vec::new() };
    let method = method(&mut options, around, row)?;
    let near = match method {
        // A rank expects nothing, nor does a model.
        Method::Top { .. } | Method::Model(_) => NearExpected::default(),
        _ => NearExpected {
            amount: options.number("ignore_within", 0.0, 0.0..=f64::MAX)?,
            ratio: options.number("ignore_ratio", 0.0, 0.0..=f64::MAX)?,
        },
    };
    let records_min = options.whole("min_events", 0, 0..=u64::MAX)?;
    let explains = match call.name == EXPLAINED {
        true => Some(options.boolean("directionality", true)?),
        false => None,
    };
    options.finish()?;
    let spans: Vec<(String, Range<usize>)> =
        options.named.iter().map(|option| (option.name.clone(), option.span.clone())).collect();
    let span = call.span.clone();
    let inputs = call.texts.into_iter().zip(call.inputs).collect();
    let detector = Detector { near, records_min, explains, ..Detector::new(method, inputs) };
    if around.corrected.is_some_and(|lateness| lateness > 0) && !detector.can_correct() {
        let message = format!("`{}` needs windows that are put out once", call.name);
        let help = "take `allowed_lateness` out: what it knows of a key goes on from row to row, so that none can be judged \
                    again; `baseline`, `robust`, `cohort`, `top_k`, `model` and the forest of all keys can";
        return Err(ExpressionError::new(message, span).help(help.to_owned()));
    }
    match detector.check() {
        Ok(()) => Ok(detector),
        Err(DetectError::Setting { setting, found, wanted }) => {
            let setting = match setting {
                "capacity" => "values",
                "dimensions" => "shingle",
                other => other,
            };
            let named = spans.into_iter().find(|(name, _)| name == setting);
            let message = format!("`{setting}` is {found}, which is not {wanted}");
            Err(ExpressionError::new(message, named.map_or(span, |(_, span)| span)))
        }
        Err(error) => Err(ExpressionError::new(error.to_string(), span)),
    }
}

fn method(options: &mut Options<'_>, around: &Around<'_>, row: &Schema) -> Result<Method, ExpressionError> {
    Ok(match options.call.name.as_str() {
        "baseline" => Method::Baseline(BaselineSpec {
            direction: options.direction()?,
            limit: options.number("limit", 3.0, 0.0..=1000.0)? as f32,
            release: options.number("release", 1.5, 0.0..=1000.0)? as f32,
            ..baseline(options, around)?
        }),
        "robust" => {
            let usual = RobustSpec::default();
            Method::Robust(RobustSpec {
                direction: options.direction()?,
                capacity: options.whole("values", usual.capacity.into(), 2..=255)? as u8,
                warmup: options.whole("warmup", usual.warmup.into(), 2..=255)? as u8,
                limit: options.number("limit", usual.limit.into(), 0.0..=1000.0)? as f32,
                deviation_min: options.number("deviation_min", 0.0, 0.0..=f64::MAX)? as f32,
            })
        }
        "cusum" => {
            let usual = CusumSpec::default();
            let spec = CusumSpec {
                direction: options.direction()?,
                slack: options.number("slack", usual.slack.into(), 0.0..=1000.0)? as f32,
                limit: options.number("limit", usual.limit.into(), 0.0..=1e6)? as f32,
            };
            Method::Cusum(unlatched(options, around)?, spec)
        }
        "page_hinkley" => {
            let usual = PageHinkleySpec::default();
            let spec = PageHinkleySpec {
                direction: options.direction()?,
                slack: options.number("slack", usual.slack, 0.0..=1000.0)?,
                limit: options.number("limit", usual.limit, 0.0..=1e6)?,
                warmup: options.whole("changes_warmup", usual.warmup.into(), 0..=1_000_000)? as u32,
            };
            Method::PageHinkley(unlatched(options, around)?, spec)
        }
        "series_forest" => {
            let usual = SeriesSpec::default();
            let spec = SeriesSpec {
                sample: options.whole("sample", usual.sample as u64, 2..=4096)? as usize,
                trees: options.whole("trees", usual.trees as u64, 1..=1000)? as usize,
                limit: options.number("limit", usual.limit, 0.0..=100.0)?,
                quiet: options.whole("quiet", usual.quiet, 0..=1_000_000)?,
                shape: options.whole("shape", usual.shape as u64, 1..=512)? as usize,
                warmup: options.whole("warmup", usual.warmup, 0..=1_000_000)?,
                seed: options.whole("seed", usual.seed, 0..=u64::MAX)?,
            };
            Method::Series { spec, keys: options.keys(around)? }
        }
        "cohort" => {
            Method::Cohort { spec: cohort(options, around)?, grouping: options.grouping(around, row)? }
        }
        "top_k" => {
            let sides = [("low", Direction::Low), ("high", Direction::High)];
            let spec = TopSpec {
                direction: options.one_of("direction", Direction::Low, &sides)?,
                k: options.whole("k", 10, 1..=1000)? as u32,
            };
            Method::Top { spec, grouping: options.grouping(around, row)? }
        }
        "model" => Method::Model(Box::new(model(options, around, row)?)),
        _ if options.has("keys") => {
            let spec = Box::new(stream(options)?);
            Method::Forest { spec, keys: options.keys(around)? }
        }
        _ => {
            let spec = Box::new(shared(options)?);
            if around.period.is_none() {
                let message = "one forest for all keys needs windows that all keys share";
                let help = "take tumbling or sliding windows, or name the keys: `keys => 'alice, bob'`";
                return Err(ExpressionError::new(message, options.call.span.clone()).help(help));
            }
            Method::Shared { baseline: baseline(options, around)?, spec }
        }
    })
}

/// The settings of a forest of one key. Those that the function of Kinesis Data Analytics had have its names too.
fn stream(options: &mut Options<'_>) -> Result<StreamSpec, ExpressionError> {
    let usual = StreamSpec::new(options.call.inputs.len());
    let sample = options.whole("sample", usual.sample as u64, 2..=4096)?;
    let calibration = CalibrationSpec::default();
    Ok(StreamSpec {
        shingle: options.whole("shingle", usual.shingle as u64, 1..=512)? as usize,
        trees: options.whole("trees", usual.trees as u64, 1..=1000)? as usize,
        sample: sample as usize,
        decay: options.whole("decay", usual.decay, 1..=u64::MAX)?,
        seed: options.whole("seed", usual.seed, 0..=u64::MAX)?,
        warmup: options.whole("warmup", sample, 0..=1_000_000)?,
        calibration: CalibrationSpec {
            rate: options.number("rate", calibration.rate, 0.0..=1.0)?,
            floor: options.number("threshold_min", calibration.floor, 0.0..=100.0)?,
            warmup: options.whole("threshold_after", calibration.warmup, 20..=1_000_000)?,
            ..calibration
        },
        ..usual
    })
}

/// The settings of a forest that all keys share.
fn shared(options: &mut Options<'_>) -> Result<SharedSpec, ExpressionError> {
    let usual = SharedSpec::new(options.call.inputs.len());
    // The function of Kinesis Data Analytics had it, and mostly 1.
    if options.whole("shingle", 1, 1..=512)? > 1 {
        let message = "one forest for all keys looks at one row at a time: its `shingle` is 1";
        let help = "name the keys, each of which then has a forest of its own: `keys => 'each'`, or `keys => 'alice, bob'`";
        return Err(ExpressionError::new(message, options.call.span.clone()).help(help.to_owned()));
    }
    Ok(SharedSpec {
        forest: ForestSpec {
            trees: options.whole("trees", usual.forest.trees as u64, 1..=1000)? as usize,
            sample: options.whole("sample", usual.forest.sample as u64, 2..=4096)? as usize,
            decay: options.whole("decay", usual.forest.decay, 1..=u64::MAX)?,
            seed: options.whole("seed", usual.forest.seed, 0..=u64::MAX)?,
            ..usual.forest
        },
        learned: options.whole("learned", usual.learned as u64, 1..=4096)? as usize,
        deviation_min: options.number("worth", usual.deviation_min.into(), 0.0..=1000.0)? as f32,
        deviation_max: options.number("deviation_max", usual.deviation_max.into(), 0.0..=1000.0)? as f32,
        calibration: CalibrationSpec {
            rate: options.number("rate", usual.calibration.rate, 0.0..=1.0)?,
            floor: options.number("threshold_min", usual.calibration.floor, 0.0..=100.0)?,
            warmup: options.whole("threshold_after", usual.calibration.warmup, 20..=1_000_000)?,
            ..usual.calibration
        },
    })
}

/// The settings of a key's percentile in its cohort.
fn cohort(options: &mut Options<'_>, around: &Around<'_>) -> Result<CohortSpec, ExpressionError> {
    let usual = CohortSpec::default();
    let sides = [("low", Direction::Low), ("high", Direction::High), ("both", Direction::Both)];
    let over = options.whole("over", 1, 1..=10_000)? as i64;
    Ok(CohortSpec {
        direction: options.one_of("direction", usual.direction, &sides)?,
        open: options.number("open", usual.open, 0.0..=50.0)?,
        close: options.number("close", usual.close, 0.0..=50.0)?,
        members: options.whole("members", usual.members, 1..=1_000_000_000)?,
        pooled: around.period.filter(|_| over > 1).map_or(0, |period| period.saturating_mul(over)),
    })
}

/// The settings of a model that is asked.
fn model(options: &mut Options<'_>, around: &Around<'_>, row: &Schema) -> Result<ModelSpec, ExpressionError> {
    let sides = [("low", Direction::Low), ("high", Direction::High)];
    Ok(ModelSpec {
        inference: options.model(around)?,
        limit: options.number("limit", 0.5, f64::MIN..=f64::MAX)?,
        direction: options.one_of("direction", Direction::High, &sides)?,
        otherwise: options.otherwise(row)?,
        baseline: baseline(options, around)?,
    })
}

/// What is usual for a key, as several detectors learn it.
fn baseline(options: &mut Options<'_>, around: &Around<'_>) -> Result<BaselineSpec, ExpressionError> {
    let usual = BaselineSpec::default();
    let seasons =
        [("none", Season::None), ("hour_of_day", Season::HourOfDay), ("hour_of_week", Season::HourOfWeek)];
    let gaps = options.boolean("decay_in_gaps", true)?;
    Ok(BaselineSpec {
        warmup: options.whole("warmup", usual.warmup.into(), 2..=120)? as u8,
        memory: options.whole("memory", usual.memory.into(), 2..=120)? as u8,
        clip: options.number("clip", usual.clip.into(), 0.0..=1000.0)? as f32,
        latched_max: options.whole("latched_max", usual.latched_max.into(), 1..=120)? as u8,
        deviation_min: options.number("deviation_min", 0.0, 0.0..=f64::MAX)? as f32,
        ratio_min: options.number("ratio_min", usual.ratio_min.into(), 0.0..=1000.0)? as f32,
        season: options.one_of("season", Season::None, &seasons)?,
        period: around.period.filter(|_| gaps),
        ..usual
    })
}

/// The same for what looks for changes of the mean: they must be allowed to add up, so nothing is frozen.
fn unlatched(options: &mut Options<'_>, around: &Around<'_>) -> Result<BaselineSpec, ExpressionError> {
    let spec = baseline(options, around)?;
    Ok(BaselineSpec { limit: f32::MAX, release: f32::MAX, ..spec })
}

/// The options of a call, and which of them were asked for.
struct Options<'a> {
    call: &'a DetectorCall,
    named: Vec<DetectorOption>,
    known: Vec<&'static str>,
}

/// The options of a call by their names, those that stand in their places too.
fn options(call: &DetectorCall) -> Result<Vec<DetectorOption>, ExpressionError> {
    let mut named = call.options.clone();
    for (place, (value, span)) in call.positional.iter().enumerate() {
        let name = match POSITIONS.get(place).filter(|_| call.name.starts_with("random_cut_forest")) {
            Some(name) => (*name).to_owned(),
            None => {
                let message = format!("`{}` has no such argument", call.name);
                let help = "an option has a name: `limit => 3`";
                return Err(ExpressionError::new(message, span.clone()).help(help));
            }
        };
        if named.iter().any(|option| option.name == name) {
            return Err(ExpressionError::new(format!("`{name}` stands twice"), span.clone()));
        }
        named.push(DetectorOption { name, value: value.clone(), span: span.clone() });
    }
    Ok(named)
}

impl Options<'_> {
    fn take(&mut self, name: &'static str) -> Option<DetectorOption> {
        self.known.push(name);
        self.named.iter().find(|option| option.name == name).cloned()
    }

    fn has(&self, name: &str) -> bool {
        self.named.iter().any(|option| option.name == name)
    }

    fn number(
        &mut self,
        name: &'static str,
        usual: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, ExpressionError> {
        let Some(option) = self.take(name) else { return Ok(usual) };
        match option.value {
            Constant::Number(number) if range.contains(&number) => Ok(number),
            Constant::Number(_) if *range.end() >= f64::MAX => {
                Err(wrong(&option, &format!("{} or more", range.start())))
            }
            Constant::Number(_) => Err(wrong(&option, &format!("{} to {}", range.start(), range.end()))),
            _ => Err(wrong(&option, "a number")),
        }
    }

    fn whole(
        &mut self,
        name: &'static str,
        usual: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, ExpressionError> {
        let Some(option) = self.take(name) else { return Ok(usual) };
        match option.value {
            Constant::Number(number)
                if number.fract() == 0.0
                    && (0.0..=1e15).contains(&number)
                    && range.contains(&(number as u64)) =>
            {
                Ok(number as u64)
            }
            Constant::Number(_) if *range.end() == u64::MAX => {
                Err(wrong(&option, &format!("a whole number from {}", range.start())))
            }
            _ => Err(wrong(&option, &format!("a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    fn boolean(&mut self, name: &'static str, usual: bool) -> Result<bool, ExpressionError> {
        let Some(option) = self.take(name) else { return Ok(usual) };
        match option.value {
            Constant::Boolean(truth) => Ok(truth),
            _ => Err(wrong(&option, "true or false")),
        }
    }

    fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        usual: T,
        choices: &[(&str, T)],
    ) -> Result<T, ExpressionError> {
        let Some(option) = self.take(name) else { return Ok(usual) };
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("'{name}'")).collect();
        match &option.value {
            Constant::Text(text) => choices.iter().find(|(name, _)| name == text).map(|(_, value)| *value),
            _ => None,
        }
        .ok_or_else(|| wrong(&option, &format!("one of {}", names.join(", "))))
    }

    fn direction(&mut self) -> Result<Direction, ExpressionError> {
        let sides = [("low", Direction::Low), ("high", Direction::High), ("both", Direction::Both)];
        self.one_of("direction", Direction::Both, &sides)
    }

    /// Which keys are alike: those whose rows have the same in some columns.
    fn grouping(&mut self, around: &Around<'_>, row: &Schema) -> Result<Grouping, ExpressionError> {
        let lateness = around.corrected.unwrap_or(0);
        let Some(option) = self.take("by") else {
            return Ok(Grouping { columns: Vec::new(), names: Vec::new(), lateness });
        };
        let Constant::Text(text) = &option.value else {
            return Err(wrong(&option, "columns of the row in quotes, as `by => 'device, country'`"));
        };
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let column = |name: &String| {
            compile(name, row).map_err(|error| {
                let wrong = wrong(&option, &format!("a list of columns of the row: {}", error.message));
                error.help.into_iter().fold(wrong, ExpressionError::help)
            })
        };
        let columns = names.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        match KeyShape::new(columns.iter().map(|column| column.data_type()).collect()) {
            Ok(_) => Ok(Grouping { columns, names, lateness }),
            Err(_) => Err(wrong(&option, "a list of columns that are no doubles and no decimals")),
        }
    }

    /// The model that is asked.
    fn model(&mut self, around: &Around<'_>) -> Result<Arc<dyn Inference>, ExpressionError> {
        let known = || around.models.keys().map(String::as_str);
        let there_are = match known().map(|name| format!("`{name}`")).collect::<Vec<_>>() {
            none if none.is_empty() => "describe one in `[models.NAME]`".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        let Some(option) = self.take("of") else {
            let message = "`model` asks a model, and does not say which";
            let error = ExpressionError::new(message, self.call.span.clone());
            return Err(error.help(format!("write `of => 'NAME'`; {there_are}")));
        };
        let Constant::Text(name) = &option.value else {
            return Err(wrong(&option, "the name of a model in quotes"));
        };
        around.models.get(name).cloned().ok_or_else(|| {
            let help = match nearest(name, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => there_are,
            };
            ExpressionError::new(format!("there is no model `{name}`"), option.span.clone()).help(help)
        })
    }

    /// The score that takes the place of an answer that does not come.
    fn otherwise(&mut self, row: &Schema) -> Result<Arc<dyn Expression>, ExpressionError> {
        let Some(option) = self.take("otherwise") else {
            let message = "a model may not answer, and nothing takes its place";
            let help = "name a score that stands before it, a detector: `otherwise => 'NAME'`";
            return Err(ExpressionError::new(message, self.call.span.clone()).help(help));
        };
        let wanted = "the name of a score that stands before it and is a double";
        let Constant::Text(name) = &option.value else { return Err(wrong(&option, wanted)) };
        if row.index_of(name).is_none() {
            return Err(wrong(&option, wanted));
        }
        let column = compile(&format!("\"{}\"", name.replace('"', "\"\"")), row)
            .map_err(|error| wrong(&option, &format!("{wanted}: {}", error.message)))?;
        match column.data_type() {
            DataType::Double => Ok(column),
            _ => Err(wrong(&option, wanted)),
        }
    }

    /// The keys that are watched: a list in one text, or `each` of them.
    fn keys(&mut self, around: &Around<'_>) -> Result<Chosen, ExpressionError> {
        let Some(option) = self.take("keys") else {
            let message = format!("`{}` keeps a model for each key that it watches", self.call.name);
            let help = "say which: `keys => 'alice, bob'`, or `keys => 'each'` where there are few";
            return Err(ExpressionError::new(message, self.call.span.clone()).help(help));
        };
        let Constant::Text(text) = &option.value else {
            return Err(wrong(&option, "keys in quotes, or 'each'"));
        };
        if text == "each" {
            return Ok(Chosen::All);
        }
        let Some(keys) = around.keys else { return Ok(Chosen::All) };
        let encode = |key: &str| {
            keys.encode_text(&[key.trim()])
                .map_err(|error| wrong(&option, &format!("a list of keys: {error}")))
        };
        let mut keys = text.split(',').map(encode).collect::<Result<Vec<_>, _>>()?;
        keys.sort_unstable();
        keys.dedup();
        Ok(Chosen::Listed(keys))
    }

    /// Nothing may be left that nobody asked for.
    fn finish(&self) -> Result<(), ExpressionError> {
        let Some(option) = self.named.iter().find(|option| !self.known.contains(&option.name.as_str()))
        else {
            return Ok(());
        };
        let message = format!("`{}` has no option `{}`", self.call.name, option.name);
        let help = match nearest(&option.name, self.known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its options are {}", self.known.join(", ")),
        };
        Err(ExpressionError::new(message, option.span.clone()).help(help))
    }
}

fn wrong(option: &DetectorOption, wanted: &str) -> ExpressionError {
    ExpressionError::new(format!("`{}` is {wanted}", option.name), option.span.clone())
}
