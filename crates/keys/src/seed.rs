//! A seed for a table of keys, so that nobody outside can choose keys that share a bucket.

/// A seed that others cannot guess, from the standard library's own.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
