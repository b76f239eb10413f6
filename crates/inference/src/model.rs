//! A model as those who ask see it, whoever answers: what it is is settled once, before anybody asks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use detect::{Inference, Responder};
use xxhash_rust::xxh3::xxh3_128;

use crate::breaker::{Breaker, Change};
use crate::{Kind, ModelSpec};

/// Why a model cannot be asked, or has not answered; in words that show no secret.
pub(crate) type Words = String;

/// A model of a job.
pub struct Model {
    spec: ModelSpec,
    breaker: Arc<Mutex<Breaker>>,
    /// With how many inputs it is asked, and what was settled with these.
    prepared: OnceLock<(usize, Result<Arc<Prepared>, Words>)>,
}

/// A model that can be asked.
pub(crate) struct Prepared {
    /// What tells it from all others.
    pub(crate) identity: u128,
    pub(crate) opens: Opens,
}

/// Makes whoever asks, for one thread.
pub(crate) type Opens = Box<dyn Fn() -> Result<Box<dyn Ask>, Words> + Send + Sync>;

/// Asks about rows, without being spared.
pub(crate) trait Ask: Send {
    /// A number for each row, within the time that the model has, or a shorter one.
    fn ask(&mut self, columns: &[Vec<f64>], within: Option<Duration>) -> Result<Vec<f64>, Words>;
}

impl Model {
    /// A model; nothing is read or asked yet.
    pub fn new(spec: ModelSpec) -> Self {
        let breaker = Arc::new(Mutex::new(Breaker::new(spec.breaker)));
        Model { spec, breaker, prepared: OnceLock::new() }
    }

    /// What was settled, if it was.
    fn prepared(&self) -> Result<Arc<Prepared>, Words> {
        match self.prepared.get() {
            Some((_, prepared)) => prepared.clone(),
            None => Err("nobody has prepared it".to_owned()),
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Model").field(&self.spec.name).finish()
    }
}

impl Inference for Model {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn prepare(&self, inputs: usize) -> Result<(), String> {
        match self.prepared.get_or_init(|| (inputs, prepare(&self.spec, inputs).map(Arc::new))) {
            (first, _) if *first != inputs => {
                Err(format!("one score gives it {first} inputs, and another one {inputs}"))
            }
            (_, prepared) => prepared.as_ref().map(drop).map_err(Clone::clone),
        }
    }

    fn try_out(&self, inputs: usize) -> Result<(), String> {
        self.prepare(inputs)?;
        // A row of zeros.
        (self.prepared()?.opens)()?.ask(&vec![vec![0.0]; inputs], None).map(drop)
    }

    fn identity(&self) -> u128 {
        // Nobody asks a model that is not prepared.
        let content = self.prepared().map_or(0, |prepared| prepared.identity);
        xxh3_128(&[content.to_le_bytes().as_slice(), self.spec.name.as_bytes()].concat())
    }

    fn rows_max(&self) -> usize {
        self.spec.batch.max(1)
    }

    fn is_local(&self) -> bool {
        matches!(self.spec.kind, Kind::Onnx(_))
    }

    fn explains_within(&self) -> Duration {
        match &self.spec.kind {
            // It answers at once.
            Kind::Onnx(_) => Duration::ZERO,
            Kind::Http(endpoint) => endpoint.explain_within,
        }
    }

    fn open(&self) -> Box<dyn Responder> {
        let (name, breaker) = (self.spec.name.clone(), Arc::clone(&self.breaker));
        Box::new(Spared { name, breaker, prepared: self.prepared(), ask: None })
    }
}

/// Asks as long as there is hope for an answer, and says so when that changes.
struct Spared {
    name: String,
    breaker: Arc<Mutex<Breaker>>,
    prepared: Result<Arc<Prepared>, Words>,
    /// Once it could be made.
    ask: Option<Box<dyn Ask>>,
}

impl Spared {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_once(&mut self, columns: &[Vec<f64>], within: Option<Duration>) -> Result<Vec<f64>, Words> {
        let ask = match self.ask.take() {
            Some(ask) => ask,
            None => (self.prepared.as_ref().map_err(Clone::clone)?.opens)()?,
        };
        self.ask.insert(ask).ask(columns, within)
    }
}

impl Responder for Spared {
    fn ask(&mut self, columns: &[Vec<f64>]) -> Result<Vec<f64>, String> {
        if !self.breaker().lets(Instant::now()) {
            return Err("it has not answered for a while".to_owned());
        }
        let answered = self.ask_once(columns, None);
        match &answered {
            Ok(_) if self.breaker().answered() => say(&format!("model `{}` answers again", self.name)),
            Ok(_) => {}
            Err(words) => {
                let change = self.breaker().failed(Instant::now());
                if change == Change::Once {
                    say(&format!("warning: model `{}` has not answered once: {words}", self.name));
                }
                if change == Change::Opened {
                    say(&format!(
                        "warning: model `{}` does not answer: {words}\n\
                         hint: the score named by `otherwise` takes its place; it is asked again from time to time",
                        self.name
                    ));
                }
            }
        }
        answered
    }

    fn suppose(&mut self, columns: &[Vec<f64>], within: Duration) -> Result<Vec<f64>, String> {
        if self.breaker().is_open() {
            return Err("it has not answered for a while".to_owned());
        }
        self.ask_once(columns, Some(within))
    }
}

/// Says something to whoever runs the program.
fn say(words: &str) {
    // Nobody may be there to read it, which is no reason to fall.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{words}\n").as_bytes());
}

#[cfg_attr(
    not(any(feature = "onnx", feature = "http")),
    expect(unused_variables, reason = "nobody can be asked")
)]
fn prepare(spec: &ModelSpec, inputs: usize) -> Result<Prepared, Words> {
    match &spec.kind {
        #[cfg(feature = "onnx")]
        Kind::Onnx(onnx) => crate::onnx::prepare(onnx, spec, inputs),
        #[cfg(not(feature = "onnx"))]
        Kind::Onnx(_) => Err(left_out("onnx")),
        #[cfg(feature = "http")]
        Kind::Http(endpoint) => crate::http::prepare(endpoint, spec, inputs),
        #[cfg(not(feature = "http"))]
        Kind::Http(_) => Err(left_out("inference")),
    }
}

/// What a program says that was built without a kind of models.
#[cfg(not(all(feature = "onnx", feature = "http")))]
fn left_out(feature: &str) -> Words {
    format!(
        "this program was built without `{feature}`; build it with `--features {feature}`, or with `--features full`"
    )
}
