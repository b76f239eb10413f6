//! What sources and sinks of Apache Kafka have alike: `brokers`, `topic` and `options`.

use alert::Secret;
use event::Topic;

use super::diagnostic::{Code, Diagnostic};
use super::secret::{is_secret, secret_of_table};
use super::section::{Reader, Section, as_section};
use super::tree::{Entry, Value};
use super::value::{bad_value, filled_string, strings, wrong_type};

const BROKERS_HELP: &str = "add `brokers = \"HOST:PORT\"`, of one broker or several, divided by commas";
const OPTION_HELP: &str = "write `{ env = \"VARIABLE\" }` or `{ file = \"FILE\" }`";

/// Reads the topic of a section.
pub(super) fn read_topic(section: &mut Section, reader: &mut Reader) -> Option<Topic> {
    let brokers = section.required(reader, "brokers", BROKERS_HELP, |sources, node| {
        let brokers = strings(sources, node)?.join(",");
        let named = |broker: &str| !broker.trim().is_empty() && !broker.contains("://");
        match brokers.split(',').all(named) {
            true => Ok(brokers),
            false => Err(bad_value(node, "not a list of `HOST:PORT`")),
        }
    });
    let name = section.required(reader, "topic", "add `topic = \"NAME\"`", |sources, node| {
        let name = filled_string(sources, node)?;
        check_name(&name).map_err(|words| bad_value(node, words))?;
        Ok(name)
    });
    let options = read_options(section, reader);
    Some(Topic { brokers: brokers?, name: name?, options: options? })
}

/// Why a topic cannot have that name; the brokers' own rule.
fn check_name(name: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name.chars().all(fits) && name.len() <= 249 && name != "." && name != ".." {
        true => Ok(()),
        false => Err("a topic's name has letters, digits, `.`, `_` and `-`, and at most 249 of them"),
    }
}

/// Settings of the client library. `None` only if a mistake was noted.
fn read_options(section: &mut Section, reader: &mut Reader) -> Option<Vec<(String, Secret)>> {
    if !section.entries().iter().any(|entry| entry.name == "options") {
        return Some(Vec::new());
    }
    let table = section.section(reader, "options")?;
    let mut options = Vec::new();
    let mut is_good = true;
    for entry in table.entries() {
        let path = table.path_of(&entry.name);
        match read_option(entry, path, reader) {
            Some(secret) => options.push((entry.name.clone(), secret)),
            None => is_good = false,
        }
    }
    is_good.then_some(options)
}

fn read_option(entry: &Entry, path: String, reader: &mut Reader) -> Option<Secret> {
    if let Err(diagnostic) = check_option(entry) {
        reader.report(diagnostic);
        return None;
    }
    let text = match &entry.node.value {
        Value::Table(_) => {
            let from = as_section(entry, path.clone(), format!("`{path}`"));
            let from = from.map_err(|diagnostic| reader.report(diagnostic)).ok()?;
            return secret_of_table(from, reader, &entry.name, OPTION_HELP, |_| Ok(()));
        }
        Value::Text(text) => text.text.clone(),
        Value::Integer(integer) => integer.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        _ => {
            reader.report(wrong_type(&entry.node, "a string, a whole number, `true` or `false`"));
            return None;
        }
    };
    if is_secret(&entry.name) {
        let message = format!("the value of `{}` is a secret, which does not belong in a config", entry.name);
        reader.report(Diagnostic::new(Code::BadValue, entry.key.clone(), message).with_help(OPTION_HELP));
        return None;
    }
    reader.record(path, &entry.node);
    Some(Secret::Text(text))
}

/// Names of options have points; one that is not quoted is a table of tables.
fn check_option(entry: &Entry) -> Result<(), Diagnostic> {
    let is_nested = match &entry.node.value {
        Value::Table(table) => {
            table.entries.iter().any(|entry| !matches!(entry.name.as_str(), "env" | "file"))
        }
        _ => false,
    };
    if is_nested {
        let message = format!("the option `{}` has points in its name", entry.name);
        let diagnostic = Diagnostic::new(Code::BadValue, entry.key.clone(), message);
        return Err(diagnostic.with_help("quote it: `\"security.protocol\" = \"SASL_SSL\"`"));
    }
    ours(&entry.name).map_err(|instead| {
        let message = format!("the option `{}` is not to be set: {instead}", entry.name);
        Diagnostic::new(Code::Conflict, entry.key.clone(), message)
    })
}

#[cfg(feature = "kafka")]
fn ours(name: &str) -> Result<(), &'static str> {
    kafka::check_option(name)
}

/// Where it is not built it does not matter.
#[cfg(not(feature = "kafka"))]
#[expect(clippy::unnecessary_wraps, reason = "the other one does not")]
fn ours(_name: &str) -> Result<(), &'static str> {
    Ok(())
}
