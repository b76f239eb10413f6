//! Strings that cells refer to by number: a cell is a word, a string is not.

use std::collections::HashMap;
use std::sync::Arc;

/// Every string once. Numbers are stable until [`Texts::retain`].
#[derive(Debug, Default)]
pub(crate) struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// Strings that were in use after the last sweep.
    live: usize,
}

impl Texts {
    pub(crate) fn number(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return u64::from(*number);
        }
        let text: Arc<str> = text.into();
        let number = self.texts.len() as u32;
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        u64::from(number)
    }

    pub(crate) fn text(&self, number: u64) -> &str {
        &self.texts[number as usize]
    }

    /// Whether so many strings came since the last sweep that another one pays.
    pub(crate) fn wants_sweep(&self) -> bool {
        self.texts.len() > 2 * self.live + 4096
    }

    /// Keeps the strings that `visit` passes to its argument, which gives their new numbers.
    pub(crate) fn retain(&mut self, visit: impl FnOnce(&mut dyn FnMut(u64) -> u64)) {
        let old = std::mem::take(self);
        visit(&mut |number| self.number(old.text(number)));
        self.live = self.texts.len();
    }
}
