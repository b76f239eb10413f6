//! Why a row became an alert: what drove it, and what would have had to be otherwise.
//!
//! `detect` makes it of the row, of what detectors said of it, and of the rule; `alert` writes it out.

/// Why a rule hit a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// What drove it, the largest share first. Their shares add up to 1, but for rounding. None where nothing is known.
    pub drivers: Vec<Driver>,
    /// The smallest change with which the rule would not have hit the row: all of these together. `None` where none is known.
    pub nearest: Option<Vec<NearestChange>>,
}

/// Something about a row that drove an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Driver {
    /// Name of the feature, or the text of what a detector looked at.
    pub feature: String,
    /// Whether its values are whole numbers.
    pub whole: bool,
    /// What it was.
    pub value: f64,
    /// What it usually is, to a detector; else where the rule would not have held any more, all else being as it is. `None`
    /// where neither is known.
    pub expected: Option<f64>,
    /// On which side of that it lies, where that is known.
    pub direction: Option<Side>,
    /// How much of the alert is its doing: above 0, up to 1.
    pub share: f64,
}

/// A side of what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Below.
    Low,
    /// Above.
    High,
}

impl Side {
    /// The name that alerts use.
    pub fn name(self) -> &'static str {
        match self {
            Side::Low => "low",
            Side::High => "high",
        }
    }
}

/// A feature that would have had another value.
#[derive(Debug, Clone, PartialEq)]
pub struct NearestChange {
    /// Its name.
    pub feature: String,
    /// Whether its values are whole numbers.
    pub whole: bool,
    /// What it was.
    pub value: f64,
    /// What it would have had to be.
    pub to: f64,
}

/// What is kept of an input to tell what would have been said of another value.
pub type Before = [f64; 5];
/// It knew nothing.
pub const NOTHING_BEFORE: Before = [f64::NAN; 5];

/// What a detector says of some rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// A column for each number that it puts out, NaN where nothing is known. The first is the score.
    pub outputs: Vec<Vec<f64>>,
    /// What was expected of each input, NaN where nothing was.
    pub expected: Vec<Vec<f32>>,
    /// What each input contributed to the score, as far as that is known: they add up to a measure of it.
    pub shares: Vec<Vec<f32>>,
    /// How far off each input is, in the measure of the detector's method: negative where it is too low, NaN where that is not
    /// known.
    pub statistics: Vec<Vec<f32>>,
    /// In numbers of the method's own, NaN where there are none, what it takes to tell what it would have said of another value of each
    /// input: what it knew before the row, or, where it cannot be asked again, what the input would have had to be and what it would
    /// have said then. Of methods to which that does not apply without rows.
    pub before: Vec<Vec<Before>>,
    /// What each input contributed, in words, where that is asked for: an object of JSON for each row, or nothing.
    pub words: Vec<String>,
}

impl Evidence {
    /// Nothing said yet, of so many outputs and inputs.
    pub fn of(outputs: usize, inputs: usize) -> Evidence {
        let columns = || vec![Vec::new(); inputs];
        Evidence {
            outputs: vec![Vec::new(); outputs],
            expected: columns(),
            shares: columns(),
            statistics: columns(),
            before: vec![Vec::new(); inputs],
            words: Vec::new(),
        }
    }

    /// Adds what was said of some of `len` rows, about inputs alone; where nothing was, that nothing is known.
    pub fn append_inputs(&mut self, said: &Evidence, len: usize, rows: &[u32]) {
        let is_known = said.outputs.first().is_some_and(|column| column.len() == len);
        let parts = [
            (&mut self.expected, &said.expected),
            (&mut self.shares, &said.shares),
            (&mut self.statistics, &said.statistics),
        ];
        for (into, from) in parts {
            for (input, column) in into.iter_mut().enumerate() {
                let from = from.get(input).filter(|_| is_known);
                let value = |row: &u32| from.and_then(|from| from.get(*row as usize)).copied();
                column.extend(rows.iter().map(|row| value(row).unwrap_or(f32::NAN)));
            }
        }
        for (input, column) in self.before.iter_mut().enumerate() {
            let from = said.before.get(input).filter(|_| is_known);
            let value = |row: &u32| from.and_then(|from| from.get(*row as usize)).copied();
            column.extend(rows.iter().map(|row| value(row).unwrap_or(NOTHING_BEFORE)));
        }
    }
}
