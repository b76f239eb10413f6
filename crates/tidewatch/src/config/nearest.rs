//! The nearest of some names to a misspelt one.

/// The name among `names` that `word` was most likely meant to be; `None` if none is near.
///
/// Near means: at most a third of the word's length in edits (at least one), where swapping two
/// neighbours is one edit, and letter case, `-` and `_` count for nothing. Also a word that one of the
/// names starts with, or the other way round, if that leaves only one name.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let allowed = (folded.len() / 3).max(1);
    let names: Vec<&str> = names.into_iter().collect();
    let by_edits = names
        .iter()
        .map(|name| (edits(&folded, &fold(name)), *name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name);
    by_edits.or_else(|| only_prefix(&folded, &names))
}

/// ` help` for a diagnostic: `did you mean ..?` if a name is near, else the list of them.
pub fn suggestion(word: &str, names: &[&str]) -> Option<String> {
    match nearest(word, names.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if names.is_empty() => None,
        None => Some(format!("known here: {}", names.join(", "))),
    }
}

fn only_prefix<'a>(folded: &[char], names: &[&'a str]) -> Option<&'a str> {
    let mut matches = names.iter().filter(|name| {
        let name = fold(name);
        folded.len() >= 3 && name.len() >= 3 && (name.starts_with(folded) || folded.starts_with(&name))
    });
    let only = matches.next()?;
    matches.next().is_none().then_some(only)
}

fn fold(name: &str) -> Vec<char> {
    name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Edits between two words: insert, delete, replace, swap neighbours (optimal string alignment).
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_a_slip_and_another_dash_are_near() {
        let names = ["min_events", "severity", "when"];
        assert_eq!(nearest("min_event", names), Some("min_events"));
        assert_eq!(nearest("wehn", names), Some("when"));
        assert_eq!(nearest("Min-Events", names), Some("min_events"));
        assert_eq!(nearest("colour", names), None);
    }

    #[test]
    fn a_beginning_is_near_if_only_one_name_has_it() {
        assert_eq!(nearest("checkpoint", ["dir", "checkpoint_every"]), Some("checkpoint_every"));
        assert_eq!(nearest("out_of", ["out_of_order", "out_of_band"]), None);
    }
}
