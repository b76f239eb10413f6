//! Lines on their way into the journal.

/// Lines, each with its id if it has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    pub(crate) bytes: Vec<u8>,
    /// Where each line ends, its newline included, and its id.
    pub(crate) ends: Vec<(usize, Option<u128>)>,
}

impl Lines {
    /// Adds a line, without its newline. A newline inside of it would make two of it when it is read.
    pub fn push(&mut self, line: &[u8], id: Option<u128>) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.ends.push((self.bytes.len(), id));
    }

    /// All lines, each with its newline.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each line with its newline and its id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<u128>)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, id))| (&self.bytes[start..*end], *id))
    }
}
