//! onnxruntime, through `scripts/onnxruntime.sh`: the library that runs models of ONNX.

use std::path::PathBuf;

use crate::process::Invocation;
use crate::workload::repository;

/// Exit code of the script where it cannot be had.
const MISSING: i32 = 3;

/// Where the library is; `None`, with words, where it cannot be had.
///
/// # Panics
/// If the script fails; with `CI=true` also if the library cannot be had.
pub fn onnxruntime() -> Option<PathBuf> {
    let installed = Invocation::new(repository().join("scripts/onnxruntime.sh")).run();
    let must_be = std::env::var("CI").is_ok_and(|value| value == "true");
    if installed.code() == Some(MISSING) && !must_be {
        crate::left_out::announce("tests with onnxruntime, which cannot be had here");
        return None;
    }
    let installed = installed.expect_code(0);
    Some(PathBuf::from(String::from_utf8_lossy(&installed.stdout).trim()))
}
