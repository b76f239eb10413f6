//! Models in files of ONNX, run by onnxruntime on the thread that asks.
//!
//! The library is loaded when a job that names such a model begins, and only then. Rows are asked about in batches of one size, filled up
//! with zeros: what a row is told then does not depend on how many others stand beside it.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{RunOptions, Session};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, ValueType};
use xxhash_rust::xxh3::xxh3_128;

use crate::model::{Ask, Prepared, Words};
use crate::{ModelSpec, OnnxSpec};

/// The library that was loaded, and where it was.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);
/// What the system is asked for where nobody says where the library is.
const LIBRARY: &str = "libonnxruntime.so";
/// Where else it may be said.
const VARIABLE: &str = "ORT_DYLIB_PATH";

type Options = RunOptions;

/// Reads the file and looks whether it can be asked with so many inputs.
pub(crate) fn prepare(onnx: &OnnxSpec, spec: &ModelSpec, inputs: usize) -> Result<Prepared, Words> {
    let shown = onnx.path.display();
    let bytes = std::fs::read(&onnx.path).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let environment = load(onnx)?;
    let session = open(&environment, &bytes).map_err(|words| format!("`{shown}`: {words}"))?;
    let shape = Shape::of(&session, onnx, spec, inputs).map_err(|words| format!("`{shown}`: {words}"))?;
    // What the same file is asked in another way is another model.
    let settings = format!("{:?} {shape:?}", (&onnx.output, onnx.column));
    let identity = xxh3_128(&[xxh3_128(&bytes).to_le_bytes().as_slice(), settings.as_bytes()].concat());
    let timeout = spec.timeout;
    let opens = move || -> Result<Box<dyn Ask>, Words> {
        let session = open(&environment, &bytes)?;
        Ok(Box::new(Onnx { session, shape: shape.clone(), timeout, watch: Watch::start()? }))
    };
    Ok(Prepared { identity, opens: Box::new(opens) })
}

/// Loads the library, once for the process.
fn load(onnx: &OnnxSpec) -> Result<Environment, Words> {
    let said = onnx.library.clone().or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    let path = said.unwrap_or_else(|| PathBuf::from(LIBRARY));
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some((other, environment)) if *other == path => return Ok(environment.clone()),
        Some((other, _)) => {
            return Err(format!(
                "onnxruntime is `{}` here, and `{}` for another model; a process loads one library",
                path.display(),
                other.display()
            ));
        }
        None => {}
    }
    let hint = "install onnxruntime (1.17 or later), and say where with `library` or ORT_DYLIB_PATH";
    let failed =
        |error: String| format!("cannot load onnxruntime from `{}`: {error}; {hint}", path.display());
    let builder = ort::init_from(&path).map_err(|error| match &error {
        ort::LoadDynamicError::Dlopen { error, .. } => failed(causes(error)),
        other => failed(one_line(&other.to_string())),
    })?;
    let environment = builder
        .with_name("tidewatch")
        .with_telemetry(false)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    Ok(loaded.insert((path, environment)).1.clone())
}

fn open(environment: &Environment, bytes: &[u8]) -> Result<Session, Words> {
    let built = || -> ort::Result<Session> {
        Session::builder(environment)?
            // Workers are the threads here.
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            // What goes wrong comes back as an error, and is said once.
            .with_log_level(LogLevel::Fatal)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .commit_from_memory(bytes)
    };
    built().map_err(|error| format!("onnxruntime cannot run it: {}", one_line(&error.to_string())))
}

/// What is asked and answered.
#[derive(Debug, Clone)]
struct Shape {
    input: String,
    is_double: bool,
    /// Rows of a batch.
    rows: usize,
    inputs: usize,
    output: String,
    column: Option<usize>,
}

impl Shape {
    fn of(session: &Session, onnx: &OnnxSpec, spec: &ModelSpec, inputs: usize) -> Result<Shape, Words> {
        let [input] = session.inputs() else {
            let found = session.inputs().len();
            return Err(format!("it has {found} inputs; convert it so that it has one, a matrix"));
        };
        let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
            return Err(format!("its input `{}` is no tensor", input.name()));
        };
        let is_double = match ty {
            TensorElementType::Float32 => false,
            TensorElementType::Float64 => true,
            other => {
                return Err(format!("its input `{}` holds {other}, not floats or doubles", input.name()));
            }
        };
        let (rows, width) = match shape[..] {
            [rows, width] => (rows, width),
            _ => return Err(format!("its input `{}` is no matrix of rows and inputs", input.name())),
        };
        if width > 0 && width as usize != inputs {
            return Err(format!("it takes {width} inputs, and the score gives it {inputs}"));
        }
        let rows = if rows > 0 { rows as usize } else { spec.batch.max(1) };
        let output = output(session.outputs(), onnx)?;
        let width = output.dtype().tensor_shape().and_then(|shape| shape.get(1).copied()).unwrap_or(-1);
        if let Some(column) = onnx.column.filter(|column| width > 0 && *column as i64 >= width) {
            return Err(format!(
                "its output `{}` has {width} columns, and no column {column}",
                output.name()
            ));
        }
        Ok(Shape {
            input: input.name().to_owned(),
            is_double,
            rows,
            inputs,
            output: output.name().to_owned(),
            column: onnx.column,
        })
    }
}

/// The output with the answers.
fn output<'a>(outputs: &'a [Outlet], onnx: &OnnxSpec) -> Result<&'a Outlet, Words> {
    let names = || outputs.iter().map(|output| format!("`{}`", output.name())).collect::<Vec<_>>().join(", ");
    let holds_numbers = |output: &&Outlet| {
        let ty = output.dtype().tensor_type();
        matches!(ty, Some(TensorElementType::Float32 | TensorElementType::Float64))
    };
    match &onnx.output {
        Some(name) => match outputs.iter().find(|output| output.name() == name) {
            Some(output) if holds_numbers(&output) => Ok(output),
            Some(_) => Err(format!("its output `{name}` is no tensor of floats or doubles")),
            None => Err(format!("it has no output `{name}`; there are {}", names())),
        },
        None => outputs.iter().rev().find(holds_numbers).ok_or_else(|| {
            format!(
                "none of its outputs ({}) is a tensor of floats; convert it without maps (`zipmap=False`)",
                names()
            )
        }),
    }
}

struct Onnx {
    session: Session,
    shape: Shape,
    timeout: Duration,
    watch: Watch,
}

impl Ask for Onnx {
    fn ask(&mut self, columns: &[Vec<f64>], within: Option<Duration>) -> Result<Vec<f64>, Words> {
        let rows = columns.first().map_or(0, Vec::len);
        let (mut answers, mut failed) = (Vec::with_capacity(rows), None);
        let until = Instant::now() + within.map_or(self.timeout, |within| within.min(self.timeout));
        for start in (0..rows).step_by(self.shape.rows) {
            let end = rows.min(start + self.shape.rows);
            // What a batch has no answers to says nothing about the others.
            if let Err(words) = self.batch(columns, start..end, until, &mut answers) {
                answers.resize(end, f64::NAN);
                failed = Some(words);
            }
        }
        match failed {
            Some(words) if answers.iter().all(|answer| answer.is_nan()) => Err(words),
            _ => Ok(answers),
        }
    }
}

impl Onnx {
    fn batch(
        &mut self,
        columns: &[Vec<f64>],
        rows: std::ops::Range<usize>,
        until: Instant,
        answers: &mut Vec<f64>,
    ) -> Result<(), Words> {
        let words = |error: ort::Error| one_line(&error.to_string());
        let (shape, asked) = (&self.shape, rows.len());
        let mut values = vec![0.0; shape.rows * shape.inputs];
        for (place, row) in rows.enumerate() {
            for (input, column) in columns.iter().enumerate() {
                values[place * shape.inputs + input] = column[row];
            }
        }
        let dimensions = [shape.rows, shape.inputs];
        let input: DynValue = match shape.is_double {
            true => Tensor::from_array((dimensions, values)).map_err(words)?.into_dyn(),
            false => {
                let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                Tensor::from_array((dimensions, values)).map_err(words)?.into_dyn()
            }
        };
        let options = Arc::new(Options::new().map_err(words)?);
        self.watch.begin(until, Arc::clone(&options));
        let inputs = ort::inputs![shape.input.as_str() => input];
        let ran = self.session.run_with_options(inputs, &*options);
        let is_late = self.watch.end();
        let outputs =
            ran.map_err(|error| if is_late { "no answer in time".to_owned() } else { words(error) })?;
        let output = outputs.get(shape.output.as_str()).ok_or("its output is missing")?;
        answers.extend(read(output, shape, asked)?);
        Ok(())
    }
}

/// The answers about the first `asked` rows of a batch.
fn read(output: &DynValue, shape: &Shape, asked: usize) -> Result<Vec<f64>, Words> {
    let words = |error: ort::Error| one_line(&error.to_string());
    let (dimensions, values) = match output.dtype().tensor_type() {
        Some(TensorElementType::Float64) => {
            let (dimensions, values) = output.try_extract_tensor::<f64>().map_err(words)?;
            (dimensions, values.to_vec())
        }
        _ => {
            let (dimensions, values) = output.try_extract_tensor::<f32>().map_err(words)?;
            (dimensions, values.iter().map(|value| f64::from(*value)).collect())
        }
    };
    let rows = dimensions.first().copied().unwrap_or(0);
    let width = values.len() / shape.rows;
    if rows != shape.rows as i64 || width == 0 {
        return Err(format!("its output `{}` has {rows} rows for {}", shape.output, shape.rows));
    }
    let column = shape.column.unwrap_or(width - 1);
    if column >= width {
        return Err(format!("its output `{}` has {width} columns, and no column {column}", shape.output));
    }
    // What is no number is no answer to its row.
    Ok((0..asked).map(|row| values[row * width + column]).collect())
}

/// An error, and what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| std::error::Error::source(*cause));
    causes.fold(one_line(&error.to_string()), |words, cause| {
        format!("{words}: {}", one_line(&cause.to_string()))
    })
}

fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A thread that ends what takes too long: the run stops at its next node.
struct Watch {
    runs: Sender<Option<(Instant, Arc<Options>)>>,
    ended: std::sync::mpsc::Receiver<bool>,
}

impl Watch {
    fn start() -> Result<Watch, Words> {
        let (runs, incoming) = channel::<Option<(Instant, Arc<Options>)>>();
        let (say, ended) = channel();
        let work = move || {
            while let Ok(run) = incoming.recv() {
                let Some((until, options)) = run else { continue };
                let left = until.saturating_duration_since(Instant::now());
                let is_late = match incoming.recv_timeout(left) {
                    Ok(_) => false,
                    Err(RecvTimeoutError::Timeout) => {
                        let _ = options.terminate();
                        if incoming.recv().is_err() {
                            return;
                        }
                        true
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                if say.send(is_late).is_err() {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("model-watch".to_owned()).spawn(work);
        spawned.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Watch { runs, ended })
    }

    fn begin(&self, until: Instant, options: Arc<Options>) {
        let _ = self.runs.send(Some((until, options)));
    }

    /// Whether the time was over.
    fn end(&self) -> bool {
        let _ = self.runs.send(None);
        self.ended.recv().unwrap_or(false)
    }
}
