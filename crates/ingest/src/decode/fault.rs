//! Faults that tests plant: a record that ends the program, or holds it up for ever.
//!
//! Only in debug builds and with the feature `faults`. When a record is decoded that holds TEXT,
//! `TIDEWATCH_TEST_POISON=TEXT` aborts, `TIDEWATCH_TEST_PANIC=TEXT` panics, and `TIDEWATCH_TEST_STUCK=TEXT`
//! never comes back. In a release build there is no such thing.

#[cfg(any(debug_assertions, feature = "faults"))]
#[derive(Debug)]
pub(super) struct Faults {
    poison: Option<String>,
    panic: Option<String>,
    stuck: Option<String>,
}

#[cfg(any(debug_assertions, feature = "faults"))]
impl Faults {
    /// The faults that the environment asks for.
    pub(super) fn of_environment() -> Self {
        let asked = |what| {
            let text = std::env::var(format!("TIDEWATCH_TEST_{what}")).ok();
            text.filter(|text| !text.is_empty())
        };
        Faults { poison: asked("POISON"), panic: asked("PANIC"), stuck: asked("STUCK") }
    }

    /// Called with the bytes from a record on, before it is read.
    pub(super) fn meet(&self, bytes: &[u8]) {
        if self.poison.is_none() && self.panic.is_none() && self.stuck.is_none() {
            return;
        }
        let line = &bytes[..memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())];
        let holds = |text: &Option<String>| {
            text.as_ref().is_some_and(|text| memchr::memmem::find(line, text.as_bytes()).is_some())
        };
        if holds(&self.poison) {
            std::process::abort();
        }
        assert!(!holds(&self.panic), "a test asks for it");
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
