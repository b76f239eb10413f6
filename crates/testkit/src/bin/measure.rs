//! Runs one command and says what it cost.
//!
//! `measure [--json FILE] [--] COMMAND ARGUMENT...` leaves the command's input and output alone, writes one
//! JSON object to FILE (without it, to standard error), and ends with the command's exit code.

use std::io::Write;
use std::process::{Command, ExitCode};

use testkit::usage::measure;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = (arguments.first().is_some_and(|a| a == "--json") && arguments.len() > 1)
        .then(|| arguments.drain(..2).nth(1))
        .flatten();
    if arguments.first().is_some_and(|a| a == "--") {
        arguments.remove(0);
    }
    let Some((program, rest)) = arguments.split_first() else {
        return fail("usage: measure [--json FILE] [--] COMMAND ARGUMENT...", 2);
    };
    let (status, usage) = match measure(Command::new(program).args(rest)) {
        Ok(measured) => measured,
        Err(e) => return fail(&format!("{program}: {e}"), 127),
    };
    let line = format!("{}\n", usage.to_json());
    let written = match &file {
        Some(file) => std::fs::write(file, &line),
        None => std::io::stderr().write_all(line.as_bytes()),
    };
    match written {
        // A command that a signal ended has no code; shells say 128 and the signal's number.
        Ok(()) => ExitCode::from(status.code().unwrap_or(128 + 9) as u8),
        Err(e) => fail(&format!("{}: {e}", file.unwrap_or_default()), 1),
    }
}

fn fail(words: &str, code: u8) -> ExitCode {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "measure: {words}");
    ExitCode::from(code)
}
