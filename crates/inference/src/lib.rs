//! Models that were trained elsewhere, as `detect` asks them: files of ONNX, run by onnxruntime, and endpoints that answer over HTTP.
//!
//! Lies beside the pure core: this is where a call is made, has its time-out, and is spared while nothing comes of it
//! ([`BreakerSpec`]). Promises that whoever asks gets one number a row or an error, in time, whatever the other side does; and that a
//! model on this machine gives a row the same answer whatever rows are asked about with it.
//!
//! ```
//! use std::time::Duration;
//!
//! use detect::Inference;
//! use inference::{BreakerSpec, Kind, Model, ModelSpec, OnnxSpec};
//!
//! let onnx = OnnxSpec { path: "no-such-file.onnx".into(), library: None, output: None, column: None };
//! let model = Model::new(ModelSpec {
//!     name: "churn".into(),
//!     kind: Kind::Onnx(onnx),
//!     batch: 256,
//!     timeout: Duration::from_secs(1),
//!     breaker: BreakerSpec { failures: 5, pause: Duration::from_secs(30) },
//! });
//! // Whoever runs a job asks this first, and does not begin.
//! assert!(model.prepare(3).is_err());
//! ```
//!
//! Features: `onnx`, `http`. A job that names a model of a kind that is left out is refused, with the feature that brings it.

mod breaker;
#[cfg(feature = "http")]
mod http;
mod model;
#[cfg(feature = "onnx")]
mod onnx;
mod spec;
#[cfg(feature = "http")]
mod wire;

pub use breaker::BreakerSpec;
pub use model::Model;
pub use spec::{EndpointSpec, Kind, ModelSpec, OnnxSpec, Wire};
