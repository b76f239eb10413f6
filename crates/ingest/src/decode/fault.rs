//! Faults that tests plant: a record that ends the program, or holds it up for ever.
//!
//! Only in debug builds and with the feature `faults`: `TIDEWATCH_TEST_POISON=TEXT` aborts when a record
//! with that text is decoded, `TIDEWATCH_TEST_STUCK=TEXT` never returns from it. In a release build there is
//! no such thing.

#[cfg(any(debug_assertions, feature = "faults"))]
#[derive(Debug)]
pub(super) struct Faults {
    poison: Option<String>,
    stuck: Option<String>,
}

#[cfg(any(debug_assertions, feature = "faults"))]
impl Faults {
    /// The faults that the environment asks for.
    pub(super) fn of_environment() -> Self {
        let asked = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Faults { poison: asked("TIDEWATCH_TEST_POISON"), stuck: asked("TIDEWATCH_TEST_STUCK") }
    }

    /// Called with the bytes from a record on, before it is read.
    pub(super) fn meet(&self, bytes: &[u8]) {
        if self.poison.is_none() && self.stuck.is_none() {
            return;
        }
        let line = &bytes[..memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())];
        let holds = |text: &Option<String>| {
            text.as_ref().is_some_and(|text| memchr::memmem::find(line, text.as_bytes()).is_some())
        };
        if holds(&self.poison) {
            std::process::abort();
        }
        while holds(&self.stuck) {
            std::thread::park();
        }
    }
}

#[cfg(not(any(debug_assertions, feature = "faults")))]
#[derive(Debug)]
pub(super) struct Faults;

#[cfg(not(any(debug_assertions, feature = "faults")))]
impl Faults {
    pub(super) fn of_environment() -> Self {
        Faults
    }

    #[inline]
    pub(super) fn meet(&self, _bytes: &[u8]) {}
}
