//! Columns come back as they went, and damaged bytes never panic or allocate more than there is.

use super::*;
use proptest::prelude::*;

fn columns() -> Vec<ArrayRef> {
    let some = |n: i64| (n % 3 != 0).then_some(n);
    vec![
        Arc::new((0..19).map(|n| some(n).map(|n| n % 2 == 0)).collect::<BooleanArray>()),
        Arc::new((0..19).map(some).collect::<Int64Array>()),
        Arc::new((0..19).map(|n| n as f64 / 7.0).map(Some).collect::<Float64Array>()),
        Arc::new((0..19).map(|n| n as f64 / 8.0).map(Some).collect::<Float64Array>()),
        Arc::new((0..19).map(|n| some(n).map(|n| n as i32)).collect::<Date32Array>()),
        Arc::new((0..19).map(some).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Arc::new((0..19).map(some).collect::<TimestampMicrosecondArray>()),
        Arc::new((0..19).map(|n| some(n).map(i128::from)).collect::<Decimal128Array>()),
        Arc::new((0..19).map(|n| some(n).map(|n| "é".repeat(n as usize))).collect::<StringArray>()),
    ]
}

fn written(column: &ArrayRef) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.column(column);
    writer.bytes
}

#[test]
fn a_column_comes_back_whole_and_cut_out_of_another() {
    for column in columns() {
        for (start, rows) in [(0, 19), (3, 11), (18, 1), (5, 0)] {
            let column = column.slice(start, rows);
            let bytes = written(&column);
            let mut reader = Reader::new(&bytes);
            assert_eq!(&reader.column(rows).unwrap(), &column);
            assert!(reader.is_done());
        }
    }
}

#[test]
fn bytes_that_are_cut_off_are_no_column() {
    for column in columns() {
        let bytes = written(&column);
        for cut in 0..bytes.len() {
            assert!(Reader::new(&bytes[..cut]).column(19).is_none(), "{cut} of {column:?}");
        }
    }
}

#[test]
fn a_count_of_rows_that_the_bytes_cannot_hold_is_refused_before_memory_is_asked_for() {
    for column in columns() {
        let bytes = written(&column);
        for rows in [1 << 20, 1 << 40, usize::MAX / 16, usize::MAX] {
            assert!(Reader::new(&bytes).column(rows).is_none(), "{rows} of {column:?}");
        }
    }
}

#[test]
fn numbers_take_as_many_bytes_as_their_spread_asks_for() {
    let head = 1 + 8;
    for (numbers, bytes) in [
        ([0, 127, -128], 3),
        ([0, 128, 0], 3 * 2),
        ([1_700_000_000_000_000; 3], 3),
        ([1_700_000_000_000_000, 1_700_000_000_032_767, 1_700_000_000_000_000], 3 * 2),
        ([1_700_000_000_000_000, 1_700_000_000_032_768, 1_700_000_000_000_000], 3 * 4),
        ([0, i64::from(i32::MIN), i64::from(i32::MAX)], 3 * 4),
        ([0, i64::from(i32::MIN) - 1, 0], 3 * 8),
        ([i64::MAX, i64::MIN, 0], 3 * 8),
    ] {
        let mut writer = Writer::default();
        writer.numbers(&numbers);
        assert_eq!(writer.bytes.len(), head + bytes, "{numbers:?}");
        assert_eq!(Reader::new(&writer.bytes).numbers(3).unwrap(), numbers);
    }
}

#[test]
fn doubles_come_back_bit_by_bit() {
    let nan = f64::from_bits(0x7ff0_0000_dead_beef);
    for doubles in [
        vec![0.5, -0.0, f64::INFINITY, f64::NEG_INFINITY, 25.5],
        vec![0.1, -0.0, f64::MIN_POSITIVE, f64::MAX, f64::EPSILON],
        vec![0.5, nan, -nan],
        vec![16_777_217.0],
    ] {
        let column: ArrayRef = Arc::new(Float64Array::from(doubles.clone()));
        let back = Reader::new(&written(&column)).column(doubles.len()).unwrap();
        let bits = |doubles: &[f64]| doubles.iter().map(|double| double.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(back.as_primitive::<Float64Type>().values()), bits(&doubles));
    }
}

#[test]
fn texts_of_any_length_come_back() {
    for length in [0, 1, 255, 256, 65_535, 65_536] {
        let column: ArrayRef =
            Arc::new(StringArray::from(vec!["a".repeat(length), String::new(), "b".into()]));
        assert_eq!(&Reader::new(&written(&column)).column(3).unwrap(), &column);
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let column: ArrayRef = Arc::new(StringArray::from(vec!["héllo"]));
    let mut bytes = written(&column);
    let last = bytes.len() - 4;
    assert_eq!(bytes[last], 0xa9, "the second byte of é");
    bytes[last] = b'x';
    assert!(Reader::new(&bytes).column(1).is_none());
}

proptest! {
    #[test]
    fn any_numbers_come_back(numbers: Vec<i64>) {
        let mut writer = Writer::default();
        writer.numbers(&numbers);
        let mut reader = Reader::new(&writer.bytes);
        prop_assert_eq!(reader.numbers(numbers.len()), Some(numbers));
        prop_assert!(reader.is_done());
    }

    #[test]
    fn any_keys_come_back(keys in proptest::collection::vec(any::<Vec<u8>>(), 0..50), from in 0usize..50) {
        let keys = BinaryArray::from_iter_values(keys);
        let keys = keys.slice(from.min(keys.len()), keys.len().saturating_sub(from));
        let mut writer = Writer::default();
        writer.keys(&keys);
        let back = Reader::new(&writer.bytes).keys(keys.len());
        prop_assert_eq!(back, Some(keys));
    }

    #[test]
    fn any_bytes_are_a_column_or_none_and_never_a_panic(bytes: Vec<u8>, rows in 0usize..100) {
        for tag in 0..9 {
            let bytes = [&[tag], &bytes[..]].concat();
            if let Some(column) = Reader::new(&bytes).column(rows) {
                prop_assert_eq!(column.len(), rows);
                prop_assert!(column.to_data().validate_full().is_ok());
            }
        }
    }
}
