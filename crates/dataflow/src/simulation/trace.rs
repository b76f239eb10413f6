//! What a simulated run did: a hash to compare runs by, and lines for people.

/// A trace that grows.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    /// Lines, if anybody wants to read them.
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(keep_lines: bool) -> Self {
        Trace { hash: 0, lines: keep_lines.then(Vec::new) }
    }

    /// Notes that something happened, with two numbers that say more.
    pub(crate) fn note(&mut self, what: &'static str, first: u64, second: u64) {
        let number = event::key_hash(what.as_bytes()) ^ first.rotate_left(17) ^ second.rotate_left(43);
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{what} {first} {second}"));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
