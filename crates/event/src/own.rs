//! Aggregates that a program brings along: what it writes, and what the engine holds of one, whatever its types are.
//!
//! `transform` finds them in expressions by name, `window` keeps their states beside the rows of a key, in snapshots
//! as bytes.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::DataType;

/// An aggregate function of a person's own, which features use by its name beside those that are built in:
/// `median(duration_s) FILTER (WHERE event_type = 'listen')`.
///
/// The engine decides where states are kept, when they are merged, and in which order: values of a key lie in several
/// states, by time, which are merged into one where a window holds them. So the result of some values must not depend
/// on the order in which they are added, nor on how they are parted into states: `merge` is commutative and associative,
/// the default state merged with another is that other one, and so is `add`ing the same values in any order. Sums of
/// doubles are not like that, sorted lists, counts and sums of integers are. An aggregate that is not may give other rows
/// after a restart or with another number of workers.
///
/// No function may read a clock or anything else that changes; one that panics ends the run, and so does a state that
/// cannot be encoded.
///
/// ```
/// use event::{Own, OwnAggregate};
///
/// struct SumOfSquares;
///
/// impl OwnAggregate for SumOfSquares {
///     type Argument = i64;
///     type State = i64;
///     type Output = i64;
///
///     fn name(&self) -> &str {
///         "sum_of_squares"
///     }
///     fn add(&self, sum: &mut i64, value: i64) {
///         *sum = sum.wrapping_add(value.wrapping_mul(value));
///     }
///     fn merge(&self, sum: &mut i64, other: &i64) {
///         *sum = sum.wrapping_add(*other);
///     }
///     fn result(&self, sum: &i64) -> Option<i64> {
///         Some(*sum)
///     }
/// }
///
/// assert_eq!(Own::new(SumOfSquares).to_string(), "sum_of_squares(bigint) bigint, version 0");
/// ```
pub trait OwnAggregate: Send + Sync + 'static {
    /// What it is of: `f64` (a double), `i64` (a bigint), `bool` or `str` (a varchar). Other types are cast in the
    /// expression. Values that are NULL are not added.
    type Argument: Argument + ?Sized;
    /// What is kept of the values of a key, in memory and as bytes in checkpoints. Its default has no values.
    type State: Default + Serialize + DeserializeOwned + Send + 'static;
    /// What comes out: `f64`, `i64`, `bool` or `String`.
    type Output: Output;

    /// The name in expressions: lower case, and none that is built in. A state of the job is refused once it differs.
    fn name(&self) -> &str;

    /// A number that is to differ once `State` or what is in it changes, so that a state of the job is refused that
    /// was made before. Default: 0.
    fn version(&self) -> u32 {
        0
    }

    /// Adds a value to a state.
    fn add(&self, state: &mut Self::State, value: <Self::Argument as Argument>::Value<'_>);

    /// Adds the values of another state to a state.
    fn merge(&self, state: &mut Self::State, other: &Self::State);

    /// What the values of a state come to; NULL if `None`. The state of no values is the default one.
    fn result(&self, state: &Self::State) -> Option<Self::Output>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f64 {}
    impl Sealed for i64 {}
    impl Sealed for bool {}
    impl Sealed for str {}
    impl Sealed for String {}
}

/// Reads the value of a row that is not NULL.
type Read<'a, A> = Box<dyn Fn(usize) -> <A as Argument>::Value<'a> + 'a>;

/// A type that an aggregate of one's own can be of: `f64`, `i64`, `bool` and `str`.
pub trait Argument: sealed::Sealed {
    /// One value.
    type Value<'a>;
    /// The type in expressions.
    const DATA_TYPE: DataType;
    /// Reads values of a column of that type.
    #[doc(hidden)]
    fn reader(column: &ArrayRef) -> Read<'_, Self>;
}

impl Argument for f64 {
    type Value<'a> = f64;
    const DATA_TYPE: DataType = DataType::Double;
    fn reader(column: &ArrayRef) -> Read<'_, Self> {
        let values = column.as_primitive::<Float64Type>();
        Box::new(|row| values.value(row))
    }
}

impl Argument for i64 {
    type Value<'a> = i64;
    const DATA_TYPE: DataType = DataType::Bigint;
    fn reader(column: &ArrayRef) -> Read<'_, Self> {
        let values = column.as_primitive::<Int64Type>();
        Box::new(|row| values.value(row))
    }
}

impl Argument for bool {
    type Value<'a> = bool;
    const DATA_TYPE: DataType = DataType::Boolean;
    fn reader(column: &ArrayRef) -> Read<'_, Self> {
        let values = column.as_boolean();
        Box::new(|row| values.value(row))
    }
}

impl Argument for str {
    type Value<'a> = &'a str;
    const DATA_TYPE: DataType = DataType::Varchar;
    fn reader(column: &ArrayRef) -> Read<'_, Self> {
        let values = column.as_string::<i32>();
        Box::new(|row| values.value(row))
    }
}

/// A type that can come out of an aggregate of one's own: `f64`, `i64`, `bool` and `String`.
pub trait Output: sealed::Sealed + Sized {
    /// The type in expressions.
    const DATA_TYPE: DataType;
    /// A column of that type.
    #[doc(hidden)]
    fn column(values: impl Iterator<Item = Option<Self>>) -> ArrayRef;
}

impl Output for f64 {
    const DATA_TYPE: DataType = DataType::Double;
    fn column(values: impl Iterator<Item = Option<Self>>) -> ArrayRef {
        Arc::new(values.collect::<Float64Array>())
    }
}

impl Output for i64 {
    const DATA_TYPE: DataType = DataType::Bigint;
    fn column(values: impl Iterator<Item = Option<Self>>) -> ArrayRef {
        Arc::new(values.collect::<Int64Array>())
    }
}

impl Output for bool {
    const DATA_TYPE: DataType = DataType::Boolean;
    fn column(values: impl Iterator<Item = Option<Self>>) -> ArrayRef {
        Arc::new(values.collect::<BooleanArray>())
    }
}

impl Output for String {
    const DATA_TYPE: DataType = DataType::Varchar;
    fn column(values: impl Iterator<Item = Option<Self>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }
}

/// An aggregate of a person's own, whatever its types are. Cheap to clone.
#[derive(Clone)]
pub struct Own(Arc<dyn Erased>);

/// The values of a key, as such an aggregate keeps them.
pub struct OwnState {
    of: Own,
    state: Box<dyn Any + Send>,
}

/// Adds the value of a row to a state.
pub type Add<'a> = Box<dyn Fn(usize, &mut OwnState) + 'a>;

/// [`OwnAggregate`] without its types. States are always its own: an [`OwnState`] knows whose it is.
trait Erased: Send + Sync {
    fn name(&self) -> &str;
    fn version(&self) -> u32;
    fn types(&self) -> (DataType, DataType);
    fn empty(&self) -> Box<dyn Any + Send>;
    fn adder<'a>(&'a self, column: &'a ArrayRef) -> Add<'a>;
    fn merge(&self, state: &mut dyn Any, other: &dyn Any);
    fn results(&self, states: &[Option<&OwnState>]) -> ArrayRef;
    fn encode(&self, state: &dyn Any) -> bincode::Result<Vec<u8>>;
    fn size(&self, state: &dyn Any) -> u64;
    fn decode(&self, bytes: &[u8]) -> bincode::Result<Box<dyn Any + Send>>;
}

/// The encoding of states: that of other durable bytes, without a byte too many. Nothing longer than `bytes` is read.
fn encoding(bytes: usize) -> impl Options {
    bincode::DefaultOptions::new().with_limit(bytes as u64)
}

impl<A: OwnAggregate> Erased for A {
    fn name(&self) -> &str {
        OwnAggregate::name(self)
    }

    fn version(&self) -> u32 {
        OwnAggregate::version(self)
    }

    fn types(&self) -> (DataType, DataType) {
        (A::Argument::DATA_TYPE, A::Output::DATA_TYPE)
    }

    fn empty(&self) -> Box<dyn Any + Send> {
        Box::new(A::State::default())
    }

    fn adder<'a>(&'a self, column: &'a ArrayRef) -> Add<'a> {
        let read = A::Argument::reader(column);
        Box::new(move |row, state| {
            if let Some(state) = state.state.downcast_mut::<A::State>() {
                self.add(state, read(row));
            }
        })
    }

    fn merge(&self, state: &mut dyn Any, other: &dyn Any) {
        if let (Some(state), Some(other)) = (state.downcast_mut::<A::State>(), other.downcast_ref()) {
            OwnAggregate::merge(self, state, other);
        }
    }

    fn results(&self, states: &[Option<&OwnState>]) -> ArrayRef {
        let none = A::State::default();
        A::Output::column(states.iter().map(|state| {
            let state = state.and_then(|state| state.state.downcast_ref::<A::State>());
            self.result(state.unwrap_or(&none))
        }))
    }

    fn encode(&self, state: &dyn Any) -> bincode::Result<Vec<u8>> {
        state.downcast_ref::<A::State>().map_or(Ok(Vec::new()), |state| encoding(usize::MAX).serialize(state))
    }

    fn size(&self, state: &dyn Any) -> u64 {
        let state = state.downcast_ref::<A::State>();
        state.and_then(|state| encoding(usize::MAX).serialized_size(state).ok()).unwrap_or_default()
    }

    fn decode(&self, bytes: &[u8]) -> bincode::Result<Box<dyn Any + Send>> {
        Ok(Box::new(encoding(bytes.len()).deserialize::<A::State>(bytes)?))
    }
}

impl Own {
    /// That aggregate.
    pub fn new(aggregate: impl OwnAggregate) -> Self {
        Own(Arc::new(aggregate))
    }

    /// Its name in expressions.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Type of its argument.
    pub fn argument(&self) -> DataType {
        self.0.types().0
    }

    /// Type of its result.
    pub fn result_type(&self) -> DataType {
        self.0.types().1
    }

    /// The state of no values.
    pub fn empty(&self) -> OwnState {
        OwnState { of: self.clone(), state: self.0.empty() }
    }

    /// Adds values of a column, which has the type of the argument, to states of this aggregate. Rows that are NULL
    /// must not be asked for.
    pub fn adder<'a>(&'a self, column: &'a ArrayRef) -> Add<'a> {
        self.0.adder(column)
    }

    /// A column of results; `None` stands for the state of no values.
    pub fn results(&self, states: &[Option<&OwnState>]) -> ArrayRef {
        self.0.results(states)
    }

    /// A state from its bytes; `None` if they are not those of one.
    pub fn decode(&self, bytes: &[u8]) -> Option<OwnState> {
        Some(OwnState { of: self.clone(), state: self.0.decode(bytes).ok()? })
    }
}

impl OwnState {
    /// Adds the values of another state of the same aggregate.
    pub fn merge(&mut self, other: &OwnState) {
        self.of.0.merge(self.state.as_mut(), other.state.as_ref());
    }

    /// The state of no values, of the same aggregate.
    pub fn empty_like(&self) -> OwnState {
        self.of.empty()
    }

    /// Its bytes, which [`Own::decode`] reads.
    ///
    /// # Panics
    /// If the program's `Serialize` fails: a checkpoint without the state would lose it.
    pub fn encode(&self) -> Vec<u8> {
        let encoded = self.of.0.encode(self.state.as_ref());
        encoded.unwrap_or_else(|error| {
            panic!("the state of the aggregate `{}` cannot be encoded: {error}", self.of.name())
        })
    }

    /// How many bytes those are.
    pub fn size(&self) -> usize {
        usize::try_from(self.of.0.size(self.state.as_ref())).unwrap_or(usize::MAX)
    }
}

impl Clone for OwnState {
    fn clone(&self) -> Self {
        let mut copy = self.empty_like();
        copy.merge(self);
        copy
    }
}

impl PartialEq for OwnState {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of && self.encode() == other.encode()
    }
}

impl fmt::Debug for OwnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a state of {} bytes of {}", self.size(), self.of)
    }
}

/// All that a state of the job rests on.
impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (argument, result) = self.0.types();
        write!(f, "{}({argument}) {result}, version {}", self.name(), self.0.version())
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Equal if states of one are states of the other.
impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.to_string() == other.to_string()
    }
}

impl Eq for Own {}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    /// The texts of a key, in the order in which they came: what no aggregate should be.
    struct Texts(u32);

    impl OwnAggregate for Texts {
        type Argument = str;
        type State = Vec<String>;
        type Output = String;

        fn name(&self) -> &str {
            "texts"
        }

        fn version(&self) -> u32 {
            self.0
        }

        fn add(&self, texts: &mut Vec<String>, text: &str) {
            texts.push(text.to_owned());
        }

        fn merge(&self, texts: &mut Vec<String>, other: &Vec<String>) {
            texts.extend_from_slice(other);
        }

        fn result(&self, texts: &Vec<String>) -> Option<String> {
            (!texts.is_empty()).then(|| texts.join(" "))
        }
    }

    fn state(own: &Own, texts: &[&str]) -> OwnState {
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let mut state = own.empty();
        let add = own.adder(&column);
        (0..texts.len()).for_each(|row| add(row, &mut state));
        state
    }

    #[test]
    fn a_state_comes_back_from_its_bytes_and_nothing_else_is_taken_for_one() {
        let own = Own::new(Texts(0));
        let written = state(&own, &["a", "longer than that"]);
        let bytes = written.encode();
        assert_eq!(bytes.len(), written.size());
        assert_eq!(own.decode(&bytes), Some(written));
        for length in 0..bytes.len() {
            assert_eq!(own.decode(&bytes[..length]), None, "cut to {length} bytes");
        }
        assert_eq!(own.decode(&[&bytes[..], &[0]].concat()), None, "a byte too many");
        assert_eq!(own.decode(&[0xFD; 9]), None, "a length beyond all bytes");
    }

    #[test]
    fn results_of_no_values_are_those_of_the_default_and_a_copy_is_its_own() {
        let own = Own::new(Texts(0));
        let first = state(&own, &["a", "b"]);
        let mut copy = first.clone();
        copy.merge(&state(&own, &["c"]));
        let results = own.results(&[Some(&first), None, Some(&copy)]);
        let results = results.as_string::<i32>();
        assert_eq!((results.value(0), results.is_null(1), results.value(2)), ("a b", true, "a b c"));
    }

    #[test]
    fn aggregates_are_equal_if_one_reads_the_states_of_the_other() {
        assert_eq!(Own::new(Texts(0)), Own::new(Texts(0)));
        assert_ne!(Own::new(Texts(0)), Own::new(Texts(1)));
        assert_eq!(Own::new(Texts(1)).to_string(), "texts(varchar) varchar, version 1");
    }
}
