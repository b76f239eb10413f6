//! `check --print`: each setting, its value, and where that comes from.

use std::fmt::Write as _;

use serde_json::json;

use super::place::{Origin, Sources};
use super::section::Setting;

/// The settings as lines of TOML with where they come from behind, aligned.
pub fn print(settings: &[Setting], sources: &Sources) -> String {
    let lines: Vec<String> =
        settings.iter().map(|setting| format!("{} = {}", setting.path, setting.value)).collect();
    // One long expression must not push every comment out of sight.
    let width = lines.iter().map(|line| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    let mut text = String::new();
    for (line, setting) in lines.iter().zip(settings) {
        let _ = writeln!(text, "{line:<width$}  # {}", origin(setting, sources));
    }
    text
}

/// The same for programs.
pub fn print_json(settings: &[Setting], sources: &Sources) -> serde_json::Value {
    let settings = settings.iter().map(
        |setting| json!({ "path": setting.path, "value": setting.value, "from": origin(setting, sources) }),
    );
    settings.collect()
}

fn origin(setting: &Setting, sources: &Sources) -> String {
    let Some(place) = &setting.place else {
        return "default".to_owned();
    };
    match &sources.get(place.source).origin {
        Origin::File(path) => format!("{}:{}", path.display(), sources.position(place).line),
        Origin::Set(_) => "--set".to_owned(),
        Origin::Environment(name) => name.clone(),
        Origin::Call(call) => call.to_string(),
    }
}
