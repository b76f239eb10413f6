//! Trees that read one text column: evaluated once for each distinct text, then spread by the codes.
//!
//! `event_type = 'pause'` over a column of six distinct texts is six comparisons and a look-up per row.
//! Where the column is not coded the tree is evaluated as any other.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, DictionaryArray, StringArray, UInt32Array, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType as ArrowType;
use arrow_select::concat::concat;
use arrow_select::zip::zip;

use crate::node::{Node, coded};
use crate::value::{Failures, Scope, Value, plain, take_rows};

/// A tree over one text column.
#[derive(Debug)]
pub(crate) struct SharedText {
    column: usize,
    /// The tree, which reads its column at place 0.
    inner: Node,
    fallible: bool,
    /// Its value for a NULL, an array of length one, and why it has none.
    absent: ArrayRef,
    absent_failure: Option<String>,
    /// The text, if the tree is no more than a comparison for equality with it.
    equals: Option<String>,
}

fn at_place_0(node: &Node) -> Node {
    match node {
        Node::Column(_) => Node::Column(0),
        node => node.map_children(&mut at_place_0),
    }
}

impl SharedText {
    pub(crate) fn new(column: usize, node: &Node) -> Self {
        let inner = at_place_0(node);
        let mut failures = Failures::default();
        let columns = [new_null_array(&ArrowType::Utf8, 1)];
        let absent = inner.evaluate(Scope { columns: &columns, rows: 1 }, &mut failures).into_column(1);
        let absent_failure = failures.first().map(|failure| failure.detail.clone());
        let equals = inner.equal_text();
        SharedText { column, fallible: inner.fallible(), inner, absent, absent_failure, equals }
    }

    pub(crate) fn column(&self) -> usize {
        self.column
    }

    pub(crate) fn fallible(&self) -> bool {
        self.fallible
    }

    pub(crate) fn evaluate(&self, scope: Scope, failures: &mut Failures) -> Value {
        let column = &scope.columns[self.column];
        let Some((codes, texts)) = coded(column) else {
            let columns = [plain(column)];
            return self.inner.evaluate(Scope { columns: &columns, rows: scope.rows }, failures);
        };
        if let Some(wanted) = &self.equals {
            return Value::Column(Arc::new(equal_codes(codes, texts.as_string(), wanted)));
        }
        let value = self.evaluate_texts(codes, texts, failures);
        match value.as_boolean_opt() {
            Some(mask) => Value::Column(Arc::new(self.spread_mask(mask, codes))),
            None => Value::Column(self.fill_absent(take_rows(&value, codes), codes)),
        }
    }

    /// The same, where a text stays coded: over the same codes, with other texts.
    pub(crate) fn evaluate_coded(&self, scope: Scope, failures: &mut Failures) -> Option<ArrayRef> {
        let (codes, texts) = coded(&scope.columns[self.column])?;
        if codes.null_count() > 0 && !self.absent.is_null(0) || *self.absent.data_type() != ArrowType::Utf8 {
            return None;
        }
        let value = self.evaluate_texts(codes, texts, failures);
        let array = DictionaryArray::<UInt32Type>::try_new(codes.clone(), value).ok()?;
        Some(Arc::new(array))
    }

    /// The value for each distinct text; failures are those of the rows that have the text.
    fn evaluate_texts(&self, codes: &UInt32Array, texts: &ArrayRef, failures: &mut Failures) -> ArrayRef {
        let columns = [Arc::clone(texts)];
        let mut inner = Failures::default();
        let scope = Scope { columns: &columns, rows: texts.len() };
        let value = self.inner.evaluate(scope, &mut inner).into_column(texts.len());
        if !inner.is_empty() {
            let mut details = vec![None; texts.len()];
            inner.iter().for_each(|failure| {
                details[failure.row].get_or_insert(failure.detail.as_str());
            });
            for (row, code) in codes.iter().enumerate() {
                if let Some(detail) = code.and_then(|code| details[code as usize]) {
                    failures.push(row, detail.to_owned());
                }
            }
        }
        if let Some(detail) = &self.absent_failure {
            let absent = (0..codes.len()).filter(|&row| codes.is_null(row));
            absent.for_each(|row| failures.push(row, detail.clone()));
        }
        value
    }

    fn fill_absent(&self, column: ArrayRef, codes: &UInt32Array) -> ArrayRef {
        if codes.null_count() == 0 || self.absent.is_null(0) {
            return column;
        }
        let present =
            BooleanArray::new(BooleanBuffer::collect_bool(codes.len(), |row| codes.is_valid(row)), None);
        let absent = Value::Constant(Arc::clone(&self.absent));
        zip(&present, &Value::Column(column), &absent).expect("one type and length")
    }

    fn spread_mask(&self, mask: &BooleanArray, codes: &UInt32Array) -> BooleanArray {
        if codes.null_count() == 0 && mask.null_count() == 0 {
            return BooleanArray::new(spread_bits(mask.values(), codes.values()), None);
        }
        // One more text stands for NULL.
        let all = concat(&[mask, self.absent.as_ref()]).expect("both boolean");
        let all = all.as_boolean();
        let place = |row: usize| if codes.is_valid(row) { codes.value(row) as usize } else { mask.len() };
        let values = BooleanBuffer::collect_bool(codes.len(), |row| all.value(place(row)));
        let nulls = BooleanBuffer::collect_bool(codes.len(), |row| all.is_valid(place(row)));
        BooleanArray::new(values, Some(NullBuffer::new(nulls)).filter(|nulls| nulls.null_count() > 0))
    }
}

/// Where the text of a code is the wanted one: of the distinct texts at most one.
fn equal_codes(codes: &UInt32Array, texts: &StringArray, wanted: &str) -> BooleanArray {
    let mut places = (0..texts.len()).filter(|&place| texts.is_valid(place) && texts.value(place) == wanted);
    let (place, more) = (places.next(), places.next().is_some());
    if more || texts.null_count() > 0 {
        let equal = |row: usize| texts.is_valid(row).then(|| texts.value(row) == wanted);
        let masks = codes.iter().map(|code| code.and_then(|code| equal(code as usize)));
        return masks.collect();
    }
    let values = codes.values();
    let bits = match place.map(|place| place as u32) {
        Some(place) => BooleanBuffer::collect_bool(values.len(), |row| values[row] == place),
        None => BooleanBuffer::new_unset(values.len()),
    };
    BooleanArray::new(bits, codes.nulls().cloned())
}

/// The bit of each code.
fn spread_bits(bits: &BooleanBuffer, codes: &[u32]) -> BooleanBuffer {
    if bits.len() > 64 {
        return BooleanBuffer::collect_bool(codes.len(), |row| bits.value(codes[row] as usize));
    }
    let word = bits.iter().enumerate().fold(0u64, |word, (at, bit)| word | u64::from(bit) << at);
    if word.count_ones() == 1 {
        let wanted = word.trailing_zeros();
        return BooleanBuffer::collect_bool(codes.len(), |row| codes[row] == wanted);
    }
    BooleanBuffer::collect_bool(codes.len(), |row| word >> (codes[row] & 63) & 1 == 1)
}
