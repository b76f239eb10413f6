//! Values that must not be shown: read from the environment, a file, or, where there is no other way, the
//! config itself; and hidden wherever a line of the config is shown.

use std::ops::Range;
use std::path::PathBuf;

use alert::Secret;

use super::diagnostic::{Code, Diagnostic};
use super::section::{Reader, Section};
use super::tree::Value;
use super::value::{bad_value, filled_string, wrong_type};

/// Why a value cannot be, in words that do not say it.
type Check = fn(&str) -> Result<(), String>;

/// The secret of [`whole_secret`], if it is there.
pub(super) fn optional_secret(
    section: &mut Section,
    reader: &mut Reader,
    key: &'static str,
    help: &str,
    check: Check,
) -> Option<Secret> {
    section.entries().iter().any(|entry| entry.name == key).then_some(())?;
    whole_secret(section, reader, key, help, check)
}

/// Reads what [`secret`] reads, where no part of the value may be shown by `check --print`.
pub(super) fn whole_secret(
    section: &mut Section,
    reader: &mut Reader,
    key: &'static str,
    help: &str,
    check: Check,
) -> Option<Secret> {
    let recorded = reader.findings.settings.len();
    let secret = secret(section, reader, key, help, check);
    // Good or bad; where it comes from has a name of its own there.
    let path = section.path_of(key);
    let of_key = reader.findings.settings[recorded..].iter_mut().filter(|setting| setting.path == path);
    of_key.for_each(|setting| setting.value = "\"********\"".to_owned());
    secret
}

/// Reads `KEY = { env = "VARIABLE" }`, `KEY = { file = "FILE" }` or `KEY = "VALUE"`. A file is not read here.
pub(super) fn secret(
    section: &mut Section,
    reader: &mut Reader,
    key: &'static str,
    help: &str,
    check: Check,
) -> Option<Secret> {
    let entry = section.entries().iter().find(|entry| entry.name == key);
    let Some(Value::Table(_)) = entry.map(|entry| &entry.node.value) else {
        return section.required(reader, key, help, |sources, node| {
            let text = filled_string(sources, node)?;
            check(&text).map_err(|words| bad_value(node, words))?;
            Ok(Secret::Text(text))
        });
    };
    let from = section.section(reader, key)?;
    secret_of_table(from, reader, key, help, check)
}

/// Reads `KEY = [{ env = "VARIABLE" }, { file = "FILE" }]`: secrets, none of which stands in the config.
pub(super) fn secrets(
    section: &mut Section,
    reader: &mut Reader,
    key: &'static str,
    help: &str,
    check: Check,
) -> Vec<Secret> {
    let path = section.path_of(key);
    let Some(entry) = section.entry(key) else { return Vec::new() };
    let nodes = match &entry.node.value {
        Value::Array(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(&entry.node),
    };
    let mut secrets = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Value::Table(table) = &node.value else {
            reader.report(wrong_type(node, "a list of `{ env = .. }` or `{ file = .. }`").with_help(help));
            continue;
        };
        let from = Section::new(table, path.clone(), format!("`{path}`"), node.place.clone());
        secrets.extend(secret_of_table(from, reader, key, help, check));
    }
    secrets
}

/// Reads the table `{ env = "VARIABLE" }` or `{ file = "FILE" }` under `key`.
pub(super) fn secret_of_table(
    mut from: Section,
    reader: &mut Reader,
    key: &str,
    help: &str,
    check: Check,
) -> Option<Secret> {
    let place = from.place().clone();
    let environment = reader.environment;
    let variable = from.optional(reader, "env", |sources, node| {
        let name = filled_string(sources, node)?;
        let Some((_, value)) = environment.iter().find(|(found, _)| *found == name) else {
            let message = format!("the environment variable `{name}` is not set");
            return Err(Diagnostic::new(Code::UnsetVariable, node.place.clone(), message));
        };
        check(value).map_err(|words| bad_value(node, format!("`{name}`: {words}")))?;
        Ok(value.clone())
    });
    let file = from.optional(reader, "file", filled_string);
    let named = from.entries().iter().filter(|entry| entry.name == "env" || entry.name == "file").count();
    from.finish(reader);
    if named != 1 {
        let message = format!("`{key}` needs one of `env` and `file`");
        reader.report(Diagnostic::new(Code::Conflict, place, message).with_help(help));
        return None;
    }
    variable.map(Secret::Text).or(file.map(|path| Secret::File(PathBuf::from(path))))
}

/// The same text with a star for each character of a password: of `://user:PASSWORD@`, of `https://host/PATH`, and of
/// the values of settings that are secrets. Nothing moves, so that what is underlined stays under its word.
pub(super) fn hidden(text: &str) -> String {
    let mut out: Vec<char> = text.chars().collect();
    let find = |out: &[char], from: usize, pattern: &str| {
        let pattern: Vec<char> = pattern.chars().collect();
        out[from..]
            .windows(pattern.len())
            .position(|window| window == pattern)
            .map(|at| from + at + pattern.len())
    };
    let end_of = |out: &[char], from: usize, stops: &[char]| {
        let ends = |c: &char| c.is_whitespace() || stops.contains(c);
        out[from..].iter().position(ends).map_or(out.len(), |at| from + at)
    };
    let mut at = 0;
    while let Some(start) = find(&out, at, "://") {
        let end = end_of(&out, start, &['"', '\'', '`']);
        // A password may hold an `@` itself, and more.
        let host = out[start..end].iter().rposition(|c| *c == '@').map(|host| start + host);
        if let Some(host) = host
            && let Some(colon) = out[start..host].iter().position(|c| *c == ':')
        {
            out[start + colon + 1..host].fill('*');
        }
        // Who knows the path of a webhook may post to it.
        let is_web = ["http://", "https://"].iter().any(|scheme| ends_with(&out[..start], scheme));
        if let Some(path) = out[start..end].iter().position(|c| *c == '/').filter(|_| is_web) {
            out[start + path + 1..end].fill('*');
        }
        at = start;
    }
    for name in SECRETS {
        at = 0;
        while let Some(end) = find(&out, at, name) {
            at = end;
            if let Some(value) = value_after(&out, end) {
                out[value].fill('*');
            }
        }
    }
    out.into_iter().collect()
}

fn ends_with(text: &[char], end: &str) -> bool {
    text.iter().rev().copied().take(end.len()).eq(end.chars().rev())
}

/// Where the value stands that follows a name: `NAME=VALUE`, `"..NAME" = "VALUE"`. A table says only where the value is.
fn value_after(text: &[char], name: usize) -> Option<Range<usize>> {
    let is_quote = |at: usize| text.get(at).is_some_and(|c| matches!(c, '"' | '\'' | '`'));
    let blank_end = |at: usize| at + text[at..].iter().take_while(|c| **c == ' ').count();
    let equals = blank_end(if is_quote(name) { name + 1 } else { name });
    if text.get(equals) != Some(&'=') {
        return None;
    }
    let start = blank_end(equals + 1);
    let (start, length) = match text.get(start)? {
        '{' => return None,
        quote if is_quote(start) => {
            let inside = &text[start + 1..];
            (start + 1, inside.iter().position(|c| c == quote || *c == '\n'))
        }
        _ => {
            let ends = |c: &char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '&');
            (start, text[start..].iter().position(ends))
        }
    };
    Some(start..length.map_or(text.len(), |length| start + length))
}

/// How the names of settings end whose values are secrets.
const SECRETS: [&str; 5] = ["password", "secret", "token", "key.pem", "jaas.config"];

/// Whether the value of a setting of that name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn passwords_of_addresses_are_starred_and_nothing_moves() {
        let check = |text: &str, expected: &str| assert_eq!(hidden(text), expected);
        check(r#"url = "postgres://u:hunter2@h/d" # x"#, r#"url = "postgres://u:*******@h/d" # x"#);
        check("postgres://u:a@b/c:é@h,i/d", "postgres://u:*******@h,i/d");
        check("postgres://h/d?user=u&password=pw&x=1", "postgres://h/d?user=u&password=**&x=1");
        check("x://u@h and y://v:p@h", "x://u@h and y://v:*@h");
        check(r#"{ "sasl.password" = "a b&", x = "y" }"#, r#"{ "sasl.password" = "****", x = "y" }"#);
        check(r#"a."ssl.key.password"=pw"#, r#"a."ssl.key.password"=**"#);
        check(r#""sasl.password" = { env = "PW" }"#, r#""sasl.password" = { env = "PW" }"#);
        check("password = 'open", "password = '****");
        check("size = \"10m\"", "size = \"10m\"");
        check(r#"secret = "whsec_a b" # x"#, r#"secret = "*********" # x"#);
        check("--set sink.hook.token=t0ken next", "--set sink.hook.token=***** next");
        check(r#"secret = { env = "NAME" }"#, r#"secret = { env = "NAME" }"#);
        check("https://h:8/a/b?c 'http://h' 'http://i/'", "https://h:8/***** 'http://h' 'http://i/'");
        check("s3://bucket/path", "s3://bucket/path");
        check("a secret of the token", "a secret of the token");
    }
}
