//! Regular expressions with RE2's syntax, which is DuckDB's, run by an engine whose time is linear in the text.
//!
//! The engine's own syntax differs in what `\w`, `\d`, `\s` and `\b` know (all of Unicode) and in what stands in
//! brackets (sets may be nested and joined there); [`translate`] writes a pattern of the one as one of the other.

use std::fmt::Write;

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern, in bytes.
const SIZE_MAX: usize = 1 << 20;
/// Most repetitions that a pattern may count, as RE2.
const REPEAT_MAX: u32 = 1000;

/// What the options of a call say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    ignore_case: bool,
    literal: bool,
    dot_matches_new_line: bool,
    /// Every occurrence, for `regexp_replace`.
    pub(crate) global: bool,
}

impl Options {
    /// Reads `c`, `i`, `l`, `m`, `n`, `p`, `s`, `g`.
    pub(crate) fn read(text: &str) -> Result<Options, String> {
        let mut options = Options::default();
        for letter in text.chars() {
            match letter {
                'c' => options.ignore_case = false,
                'i' => options.ignore_case = true,
                'l' => options.literal = true,
                'm' | 'n' | 'p' => options.dot_matches_new_line = false,
                's' => options.dot_matches_new_line = true,
                'g' => options.global = true,
                ' ' | '\t' | '\n' => {}
                other => return Err(format!("`{other}` is no option of a regular expression")),
            }
        }
        Ok(options)
    }
}

/// Compiles a pattern; `whole` if it must match from the start of the text to its end.
pub(crate) fn compile(pattern: &str, options: Options, whole: bool) -> Result<Regex, String> {
    let inner = if options.literal { regex::escape(pattern) } else { translate(pattern)? };
    let anchored = if whole { format!(r"\A(?:{inner})\z") } else { inner };
    RegexBuilder::new(&anchored)
        .case_insensitive(options.ignore_case)
        .dot_matches_new_line(options.dot_matches_new_line)
        .size_limit(SIZE_MAX)
        .build()
        .map_err(|error| format!("not a regular expression: {}", reason(&error)))
}

/// The last line of the engine's message, which says what is wrong.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => format!("it needs more than {SIZE_MAX} bytes"),
        other => {
            let text = other.to_string();
            let line = text.lines().last().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

/// The pattern in the engine's syntax.
fn translate(pattern: &str) -> Result<String, String> {
    let mut translation = Translation { rest: pattern, out: String::with_capacity(pattern.len() + 16) };
    while let Some(c) = translation.next() {
        match c {
            '\\' => translation.escape(false)?,
            '[' => translation.brackets()?,
            '{' => translation.repetition()?,
            '(' => translation.group()?,
            '*' | '+' | '?' => {
                translation.out.push(c);
                translation.after_repetition()?;
            }
            // Plain in RE2 where it closes nothing.
            '}' => translation.out.push_str(r"\}"),
            ']' => translation.out.push_str(r"\]"),
            c => translation.out.push(c),
        }
    }
    Ok(translation.out)
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
}

impl Translation<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What stands behind a backslash, in or out of brackets.
    fn escape(&mut self, in_brackets: bool) -> Result<(), String> {
        let Some(c) = self.next() else {
            return Err("not a regular expression: it ends in a backslash".to_owned());
        };
        let refused = || Err(format!("not a regular expression: `\\{c}` is not supported"));
        let open = |inner: &str, negated: bool| match (in_brackets, negated) {
            (true, false) => inner.to_owned(),
            (_, negated) => format!("[{}{inner}]", if negated { "^" } else { "" }),
        };
        match c {
            'd' | 'D' => self.out.push_str(&open("0-9", c == 'D')),
            'w' | 'W' => self.out.push_str(&open("0-9A-Za-z_", c == 'W')),
            's' | 'S' => self.out.push_str(&open(r"\t\n\x0C\r ", c == 'S')),
            'b' if !in_brackets => self.out.push_str(r"(?-u:\b)"),
            'A' | 'z' if !in_brackets => {
                self.out.push('\\');
                self.out.push(c);
            }
            'Q' if !in_brackets => {
                let end = self.rest.find(r"\E").unwrap_or(self.rest.len());
                self.out.push_str(&regex::escape(&self.rest[..end]));
                self.rest = self.rest[end..].strip_prefix(r"\E").unwrap_or_default();
            }
            'a' | 'f' | 'n' | 'r' | 't' | 'v' => {
                self.out.push('\\');
                self.out.push(c);
            }
            'p' | 'P' | 'x' => {
                self.out.push('\\');
                self.out.push(c);
                let end =
                    if self.rest.starts_with('{') { self.rest.find('}').map_or(0, |end| end + 1) } else { 0 };
                self.out.push_str(&self.rest[..end]);
                self.rest = &self.rest[end..];
            }
            '0'..='7' => return self.octal(c),
            c if c.is_ascii_alphanumeric() => return refused(),
            c => self.literal(c),
        }
        Ok(())
    }

    /// `\0`, `\012`, `\141`; a single digit other than 0 would be a back reference, which has no linear time.
    fn octal(&mut self, first: char) -> Result<(), String> {
        let mut digits = String::from(first);
        while digits.len() < 3
            && let Some(digit) = self.rest.chars().next().filter(|c| ('0'..='7').contains(c))
        {
            digits.push(digit);
            self.next();
        }
        if first != '0' && digits.len() < 2 {
            return Err(format!("not a regular expression: `\\{first}` (a back reference) is not supported"));
        }
        let code = u32::from_str_radix(&digits, 8).unwrap_or_default();
        let _ = write!(self.out, r"\x{{{code:X}}}");
        Ok(())
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_punctuation() {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    /// `[..]`: brackets inside are plain, and so are `&&`, `--` and `~~`.
    fn brackets(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut first = true;
        while let Some(c) = self.next() {
            match c {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => {
                    let end = self.rest.find(":]").unwrap_or_default() + 2;
                    let _ = write!(self.out, "[{}", &self.rest[..end]);
                    self.rest = &self.rest[end..];
                }
                '\\' => self.escape(true)?,
                // A range only between two characters.
                '-' if !first && !self.rest.starts_with(']') => self.out.push('-'),
                c => self.literal(c),
            }
            first = false;
        }
        Err("not a regular expression: a bracket is not closed".to_owned())
    }

    /// `{2}`, `{2,}`, `{2,5}`; any other brace is plain.
    fn repetition(&mut self) -> Result<(), String> {
        let inner = self.rest.split_once('}').map(|(inner, _)| inner);
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let counts = inner.filter(|inner| match inner.split_once(',') {
            None => number(inner),
            Some((low, high)) => number(low) && (high.is_empty() || number(high)),
        });
        let Some(counts) = counts else {
            self.out.push_str(r"\{");
            return Ok(());
        };
        let large = |count: &str| !count.is_empty() && count.parse::<u32>().map_or(true, |n| n > REPEAT_MAX);
        if counts.split(',').any(large) {
            return Err(format!("not a regular expression: more than {REPEAT_MAX} repetitions"));
        }
        let _ = write!(self.out, "{{{counts}}}");
        self.rest = &self.rest[counts.len() + 1..];
        self.after_repetition()
    }

    /// Behind a repetition only `?`, which makes it a lazy one.
    fn after_repetition(&mut self) -> Result<(), String> {
        if self.eat("?") {
            self.out.push('?');
        }
        match self.rest.chars().next() {
            Some(c @ ('*' | '+' | '?')) => {
                Err(format!("not a regular expression: `{c}` repeats what is repeated already"))
            }
            _ => Ok(()),
        }
    }

    /// `(?:`, `(?P<name>` and flags as RE2 has them; looking ahead or back has no linear time.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if !self.rest.starts_with('?') {
            return Ok(());
        }
        let flags = self.rest[1..].find([':', ')']).map(|end| &self.rest[1..=end]);
        let known = flags.is_some_and(|flags| flags.chars().all(|c| "imsU-".contains(c)));
        if self.rest.starts_with("?P<") || known {
            self.next();
            self.out.push('?');
            return Ok(());
        }
        Err(format!(
            "not a regular expression: `(?{}` is not supported",
            self.rest.chars().nth(1).unwrap_or(' ')
        ))
    }
}

/// A replacement: pieces of text and numbers of groups, as `[\1]` writes them.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pieces: Vec<Result<usize, String>>,
}

impl Rewrite {
    /// Reads a replacement for a pattern with that many groups.
    pub(crate) fn read(text: &str, groups: usize) -> Result<Rewrite, String> {
        let mut pieces: Vec<Result<usize, String>> = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let plain = match c {
                '\\' => match chars.next() {
                    Some(digit @ '0'..='9') => {
                        let group = digit as usize - '0' as usize;
                        if group > groups {
                            return Err(format!("`\\{digit}`: the pattern has only {groups} groups"));
                        }
                        pieces.push(Ok(group));
                        continue;
                    }
                    Some('\\') => '\\',
                    _ => return Err("in a replacement a digit or a backslash follows a backslash".to_owned()),
                },
                c => c,
            };
            match pieces.last_mut() {
                Some(Err(text)) => text.push(plain),
                _ => pieces.push(Err(plain.to_string())),
            }
        }
        Ok(Rewrite { pieces })
    }

    /// Appends `text` with the first, or every, match replaced.
    pub(crate) fn apply(&self, regex: &Regex, text: &str, global: bool, out: &mut String) {
        let mut done = 0;
        for found in regex.captures_iter(text).take(if global { usize::MAX } else { 1 }) {
            let whole = found.get_match();
            out.push_str(&text[done..whole.start()]);
            for piece in &self.pieces {
                match piece {
                    Err(plain) => out.push_str(plain),
                    Ok(group) => out.push_str(found.get(*group).map_or("", |group| group.as_str())),
                }
            }
            done = whole.end();
        }
        out.push_str(&text[done..]);
    }
}
