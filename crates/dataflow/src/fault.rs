//! A fault that tests plant: a record that the windows fall over.
//!
//! Only in debug builds. When the windows are given a record of that key and time,
//! `TIDEWATCH_TEST_PANIC_IN_WINDOWS=KEY@MICROSECONDS` panics. In a release build there is no such thing.

use arrow_array::BinaryArray;

#[derive(Debug)]
pub(crate) struct Faults {
    #[cfg(debug_assertions)]
    panic: Option<(Vec<u8>, i64)>,
}

#[cfg(debug_assertions)]
impl Faults {
    /// The fault that the environment asks for.
    pub(crate) fn of_environment() -> Self {
        let asked = std::env::var("TIDEWATCH_TEST_PANIC_IN_WINDOWS").ok();
        let panic = asked.and_then(|text| {
            let (key, time) = text.split_once('@')?;
            Some((key.as_bytes().to_vec(), time.parse().ok()?))
        });
        Faults { panic }
    }

    /// Called with records before the windows take them in.
    pub(crate) fn meet(&self, keys: &BinaryArray, times: &[i64]) {
        let Some((key, time)) = &self.panic else { return };
        let is_it = |(at, found): (&i64, Option<&[u8]>)| at == time && found == Some(key.as_slice());
        assert!(!times.iter().zip(keys).any(is_it), "a test asks for it");
    }
}

#[cfg(not(debug_assertions))]
impl Faults {
    pub(crate) fn of_environment() -> Self {
        Faults {}
    }

    #[inline]
    pub(crate) fn meet(&self, _keys: &BinaryArray, _times: &[i64]) {}
}
