//! From a key's bytes to a small number, by which columns of state are indexed.
//!
//! `window` has a table of them for its slices, `detect` one for what detectors know of keys. Pure: no IO, no clock, no threads.
//! No answer depends on the order of a table.
//!
//! ```
//! use event::key_hash;
//! use keys::Keys;
//!
//! let mut keys = Keys::new(42);
//! let slot = keys.insert_one(b"ann", key_hash(b"ann"));
//! assert_eq!(keys.find(b"ann", key_hash(b"ann")), Some(slot));
//! assert_eq!(keys.find(b"bob", key_hash(b"bob")), None);
//! ```

mod seed;
mod table;

pub use seed::random_seed;
pub use table::Keys;
