//! `--sweep PATH=VALUES`: the settings that a job is tried with.
//!
//! VALUES are values with commas between them, or one value with braces in which stand alternatives: `{0.2,0.3}`, or a range
//! `{0.1..0.5/0.05}` from, to and by, both ends being meant. Numbers of a range are written with the decimals of its parts, so
//! that no rounding shows. Braces that hold neither, as in a summary, stay what they are.

/// The most settings that are tried.
pub(super) const SETTINGS_MAX: usize = 256;

/// A value for each path that is swept.
pub(super) type Setting = Vec<(String, String)>;

/// All combinations of what these arguments say, the last of them changing fastest.
///
/// # Errors
/// In words, if one cannot be read, or there are too many.
pub(super) fn settings(arguments: &[String]) -> Result<Vec<Setting>, String> {
    let mut settings: Vec<Setting> = vec![Vec::new()];
    for argument in arguments {
        let (path, text) = split(argument)
            .ok_or_else(|| format!("`{argument}` is not PATH=VALUES, as in `rules.low.min_events=1,5`"))?;
        let bare = path.replace(['"', '\''], "");
        if bare == "source" || bare.starts_with("source.") {
            return Err(format!("`{path}` would change the data, which is the same for all settings"));
        }
        let values = values(text)?;
        settings = settings
            .iter()
            .flat_map(|setting| {
                let with =
                    |value: &String| [setting.clone(), vec![(path.to_owned(), value.clone())]].concat();
                values.iter().map(with).collect::<Vec<_>>()
            })
            .collect();
        if settings.len() > SETTINGS_MAX {
            return Err(format!("there are more than {SETTINGS_MAX} settings to try; take larger steps"));
        }
    }
    Ok(settings)
}

/// Path and values: what stands before and behind the first `=` outside of quotes.
fn split(argument: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in argument.char_indices() {
        match (c, quote) {
            ('=', None) if at > 0 => return Some((&argument[..at], &argument[at + 1..])),
            ('"' | '\'', None) => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            _ => {}
        }
    }
    None
}

/// All values that a text stands for.
fn values(text: &str) -> Result<Vec<String>, String> {
    let mut values = vec![String::new()];
    let mut rest = text;
    let mut has_braces = false;
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else { break };
        let (before, behind) = (&rest[..open], &rest[open + length + 1..]);
        let inner = &rest[open + 1..open + length];
        values.iter_mut().for_each(|value| value.push_str(before));
        let alternatives = match alternatives(inner)? {
            Some(alternatives) => {
                has_braces = true;
                alternatives
            }
            None => vec![format!("{{{inner}}}")],
        };
        if values.len().saturating_mul(alternatives.len()) > SETTINGS_MAX {
            return Err(format!("`{text}` stands for more than {SETTINGS_MAX} values; take larger steps"));
        }
        values = values
            .iter()
            .flat_map(|value| alternatives.iter().map(move |alternative| format!("{value}{alternative}")))
            .collect();
        rest = behind;
    }
    if !has_braces {
        return Ok(at_commas(text));
    }
    values.iter_mut().for_each(|value| value.push_str(rest));
    Ok(values)
}

/// The values between commas that stand in no quotes, parentheses, brackets or braces.
fn at_commas(text: &str) -> Vec<String> {
    let (mut values, mut depth, mut quote) = (vec![String::new()], 0u32, None);
    for c in text.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            ('(' | '[' | '{', None) => depth += 1,
            (')' | ']' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                values.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = values.last_mut() {
            last.push(c);
        }
    }
    values
}

/// What stands in braces, if it is a range or a list of bare words.
fn alternatives(inner: &str) -> Result<Option<Vec<String>>, String> {
    if let Some((from, rest)) = inner.split_once("..") {
        let (to, by) = rest.split_once('/').unwrap_or((rest, "1"));
        return match (Decimal::parse(from), Decimal::parse(to), Decimal::parse(by)) {
            (Some(from), Some(to), Some(by)) => range(inner, from, to, by).map(Some),
            _ => Ok(None),
        };
    }
    // A table of TOML has `=`.
    let is_list = inner.contains(',') && !inner.contains(['=', '"', '\'']);
    Ok(is_list.then(|| inner.split(',').map(|value| value.trim().to_owned()).collect()))
}

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decimal {
    /// All of its digits.
    digits: i64,
    /// How many of them stand behind the point.
    scale: u32,
}

impl Decimal {
    /// At most nine digits behind the point, and as many before it.
    fn parse(text: &str) -> Option<Decimal> {
        let text = text.trim();
        let (number, sign) = text.strip_prefix('-').map_or((text, 1), |number| (number, -1));
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let is_good = |part: &str| part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_good(whole) || !is_good(part) || whole.len() + part.len() == 0 {
            return None;
        }
        let digits: i64 = format!("{whole}{part}").parse().ok()?;
        Some(Decimal { digits: sign * digits, scale: part.len() as u32 })
    }

    fn at_scale(self, scale: u32) -> i64 {
        self.digits * 10i64.pow(scale - self.scale)
    }

    /// Without zeros at its end, but for one behind the point.
    fn text(digits: i64, scale: u32) -> String {
        let unit = 10i64.pow(scale);
        let sign = if digits < 0 { "-" } else { "" };
        let (whole, part) = (digits.abs() / unit, digits.abs() % unit);
        if scale == 0 {
            return format!("{sign}{whole}");
        }
        let part = format!("{part:0width$}", width = scale as usize);
        let shown = part.trim_end_matches('0');
        format!("{sign}{whole}.{}", if shown.is_empty() { "0" } else { shown })
    }
}

fn range(inner: &str, from: Decimal, to: Decimal, by: Decimal) -> Result<Vec<String>, String> {
    let scale = from.scale.max(to.scale).max(by.scale);
    let [first, last, step] = [from, to, by].map(|number| number.at_scale(scale));
    if step <= 0 || last < first {
        return Err(format!("`{{{inner}}}` is a range without a number; write {{FROM..TO/BY}}"));
    }
    let count = (last - first) / step + 1;
    if count > SETTINGS_MAX as i64 {
        return Err(format!("`{{{inner}}}` stands for {count} values; at most {SETTINGS_MAX} are tried"));
    }
    Ok((0..count).map(|number| Decimal::text(first + number * step, scale)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(argument: &str) -> Vec<String> {
        let settings = settings(&[argument.to_owned()]).unwrap();
        settings.into_iter().map(|setting| setting[0].1.clone()).collect()
    }

    #[test]
    fn a_range_in_braces_has_both_its_ends_and_numbers_without_rounding() {
        assert_eq!(
            texts("rules.low.when=engagement < {0.1..0.35/0.05}"),
            ["0.1", "0.15", "0.2", "0.25", "0.3", "0.35"].map(|number| format!("engagement < {number}"))
        );
        assert_eq!(texts("a={1..3}"), ["1", "2", "3"]);
        assert_eq!(texts("a=x > {-1..1.0/1}"), ["x > -1.0", "x > 0.0", "x > 1.0"]);
        assert_eq!(texts("a={0..10/4}"), ["0", "4", "8"]);
    }

    #[test]
    fn values_stand_between_commas_unless_the_commas_belong_to_them() {
        assert_eq!(texts("rules.low.min_events=1,5,10"), ["1", "5", "10"]);
        assert_eq!(texts("rules.low.when=least(a, b) < 1,c IN (1, 2)"), ["least(a, b) < 1", "c IN (1, 2)"]);
        assert_eq!(texts("a='x,y',z"), ["'x,y'", "z"]);
        assert_eq!(texts("rules.low.when=a < {0.2,0.3} OR b < {1,2}").len(), 4);
    }

    #[test]
    fn braces_that_hold_no_alternatives_stay() {
        assert_eq!(texts("rules.low.summary={key}: {score:.2f}"), ["{key}: {score:.2f}"]);
        let table = r#"rules.low.escalate={ when = "a < 0.1", severity = "critical" }"#;
        assert_eq!(texts(table), [r#"{ when = "a < 0.1", severity = "critical" }"#]);
        assert_eq!(texts("rules.low.summary={key} {1..2}"), ["{key} 1", "{key} 2"]);
    }

    #[test]
    fn several_sweeps_are_tried_in_all_combinations() {
        let settings = settings(&["a.b=1,2".to_owned(), "'c=d'.e=x,y".to_owned()]).unwrap();
        let of =
            |b: &str, e: &str| vec![("a.b".to_owned(), b.to_owned()), ("'c=d'.e".to_owned(), e.to_owned())];
        assert_eq!(settings, [of("1", "x"), of("1", "y"), of("2", "x"), of("2", "y")]);
        assert_eq!(super::settings(&[]).unwrap(), [Vec::new()]);
    }

    #[test]
    fn what_cannot_be_swept_is_refused_in_words() {
        let refused = |argument: &str| settings(&[argument.to_owned()]).unwrap_err();
        assert!(refused("no value").contains("PATH=VALUES"));
        assert!(refused("a={1..1000}").contains("1000 values"));
        assert!(refused("a={1..20} {1..20}").contains("more than 256"));
        assert!(
            refused("a={3..1}").contains("without a number") && refused("a={1..3/0}").contains("FROM..TO")
        );
        assert!(refused("source.events.seed=1,2").contains("the data"));
        assert!(settings(&["a={1..20}".to_owned(), "b={1..20}".to_owned()]).unwrap_err().contains("256"));
    }
}
