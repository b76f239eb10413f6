//! `LIKE` and `ILIKE`: patterns with `%` for any text and `_` for one character.

use std::sync::Arc;

use crate::kernel::kernel;
use crate::kernel::text::{Texts, collect_masks, text_predicate};
use crate::node::Kernel;

/// A pattern, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// `%`
    Any,
    /// `_`
    One,
    /// A character that stands for itself.
    Char(char),
}

/// Matches against a constant pattern, read once.
pub(crate) fn constant(pattern: &str, escape: Option<char>, fold: bool) -> Result<Kernel, String> {
    let pieces = read(pattern, escape, fold)?;
    let literal = |pieces: &[Piece]| -> Option<String> {
        pieces.iter().map(|piece| if let Piece::Char(c) = piece { Some(*c) } else { None }).collect()
    };
    let test: Arc<dyn Fn(&str) -> bool + Send + Sync> = match pieces.as_slice() {
        [Piece::Any, inner @ .., Piece::Any] if literal(inner).is_some() => {
            let inner = literal(inner).unwrap_or_default();
            Arc::new(move |text| text.contains(&inner))
        }
        [start @ .., Piece::Any] if literal(start).is_some() => {
            let start = literal(start).unwrap_or_default();
            Arc::new(move |text| text.starts_with(&start))
        }
        [Piece::Any, end @ ..] if literal(end).is_some() => {
            let end = literal(end).unwrap_or_default();
            Arc::new(move |text| text.ends_with(&end))
        }
        all => match literal(all) {
            Some(whole) => Arc::new(move |text| text == whole),
            None => Arc::new(move |text| matches(&pieces, text)),
        },
    };
    Ok(if fold {
        text_predicate(move |text| test(&fold_case(text)))
    } else {
        text_predicate(move |text| test(text))
    })
}

/// Matches against a pattern of each row, which fails where it ends in the escape character.
pub(crate) fn of_rows(escape: Option<char>, fold: bool) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let (texts, patterns) = (Texts::of(&arguments[0]), Texts::of(&arguments[1]));
        collect_masks(rows, failures, |row| {
            let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)) else { return Ok(None) };
            let pieces = read(pattern, escape, fold)?;
            Ok(Some(if fold { matches(&pieces, &fold_case(text)) } else { matches(&pieces, text) }))
        })
    })
}

/// Lower case, character by character.
fn fold_case(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    lower(text, &mut folded);
    folded
}

/// Lower case as DuckDB has it: one character stays one character.
pub(crate) fn lower(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| match c {
        // Its full lower case is two characters, its simple one is `i`.
        'İ' => 'i',
        c => single(c, c.to_lowercase()),
    }));
}

/// Upper case as DuckDB has it: one character stays one character.
pub(crate) fn upper(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| match c {
        'ß' => 'ẞ',
        c => single(c, c.to_uppercase()),
    }));
}

fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn read(pattern: &str, escape: Option<char>, fold: bool) -> Result<Vec<Piece>, String> {
    let pattern = if fold { fold_case(pattern) } else { pattern.to_owned() };
    let mut pieces = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let piece = match c {
            c if Some(c) == escape => Piece::Char(
                chars.next().ok_or_else(|| "the pattern ends in its escape character".to_owned())?,
            ),
            '%' => Piece::Any,
            '_' => Piece::One,
            c => Piece::Char(c),
        };
        if piece != Piece::Any || pieces.last() != Some(&Piece::Any) {
            pieces.push(piece);
        }
    }
    Ok(pieces)
}

/// Tries each `%` as short as possible; only the last one is ever widened, so the time is bounded by the product.
fn matches(pieces: &[Piece], text: &str) -> bool {
    let (mut rest, mut at) = (text.chars(), 0);
    let mut retry: Option<(usize, std::str::Chars)> = None;
    loop {
        match pieces.get(at) {
            Some(Piece::Any) => {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            None if rest.as_str().is_empty() => return true,
            None => {}
            Some(piece) => {
                let mut ahead = rest.clone();
                if ahead.next().is_some_and(|c| *piece == Piece::One || *piece == Piece::Char(c)) {
                    rest = ahead;
                    at += 1;
                    continue;
                }
            }
        }
        let Some((place, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (at, rest) = (*place, from.clone());
    }
}
