//! Every type as the JSON that it stands for, positions that are gone on from, and files that are none.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array, RecordBatch, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array, cast::AsArray,
};
use arrow_schema::{DataType as ArrowType, Field};
use event::DataType;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::super::{
    Compression, End, Format, Partition, PartitionInfo, Poll, Position, SourceKind, SourceSpec, Start, open,
    partitions,
};
use super::*;
use crate::{FieldSpec, TimeSpec};

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, rows_of_group: usize) {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name.to_owned(), column, true)),
    )
    .unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows_of_group))
        .set_compression(parquet::basic::Compression::SNAPPY)
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn spec(path: &Path) -> SourceSpec {
    let (lanes, compression) = (1, Compression::Auto);
    SourceSpec {
        name: "s".into(),
        kind: SourceKind::File { paths: vec![path.to_owned()], lanes, compression },
        format: Format::Parquet,
        rate: None,
        start: Start::Earliest,
        end: End::Latest,
    }
}

/// The next records of a partition; `None` at its end.
fn next(partition: &mut dyn Partition, records_max: usize) -> Option<Decoded> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match partition.poll(records_max).unwrap() {
            Poll::Decoded(decoded) if decoded.records.times.is_empty() && decoded.rejected.is_empty() => {}
            Poll::Decoded(decoded) => return Some(decoded),
            Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
            Poll::Finished => return None,
            other => panic!("{other:?}"),
        }
        assert!(Instant::now() < until, "nothing comes");
    }
}

fn opened(path: &Path, decode: &DecodeSpec, resume: Option<&Position>) -> Box<dyn Partition> {
    let info: PartitionInfo = partitions(&spec(path)).unwrap().remove(0);
    open(&spec(path), decode, &info, resume).unwrap()
}

fn field(path: &[&str], data_type: DataType) -> FieldSpec {
    let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
    FieldSpec { path, ..FieldSpec::new("v", data_type) }
}

/// Whether a column of one value is read as the value that a decoder makes of this text of JSON.
fn check(column: ArrayRef, path: &[&str], data_type: DataType, json: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.parquet");
    let time: ArrayRef = Arc::new(Int64Array::from(vec![1_700_000_000_000]));
    write(&file, vec![("other", Arc::clone(&time)), ("v", column), ("ts", time)], 1);
    let decode = DecodeSpec::new(vec![field(path, data_type)], TimeSpec::new(&["ts"], TimeUnit::Millis));
    let read = next(&mut *opened(&file, &decode, None), usize::MAX).unwrap();
    let line = format!("{{\"v\":{json},\"ts\":1700000000000}}");
    let (expected, _) = Decoder::new(decode).decode(Piece::new(line.clone().into_bytes(), 0), 1);
    assert_eq!(read.records.batch.columns(), expected.records.batch.columns(), "{line}");
    let reasons = |decoded: &Decoded| decoded.rejected.iter().map(|row| row.reason).collect::<Vec<_>>();
    assert_eq!(reasons(&read), reasons(&expected), "{line}");
    assert_eq!(String::from_utf8_lossy(read.records.bytes.trim_ascii_end()), line);
}

#[test]
fn a_value_of_any_type_is_what_its_json_is() {
    let decimal = DataType::Decimal { precision: 20, scale: 3 };
    check(Arc::new(Int32Array::from(vec![-7])), &["v"], DataType::Bigint, "-7");
    check(Arc::new(Int32Array::from(vec![-7])), &["v"], DataType::Double, "-7");
    check(Arc::new(UInt64Array::from(vec![u64::MAX])), &["v"], DataType::Bigint, "18446744073709551615");
    check(Arc::new(Float64Array::from(vec![0.1])), &["v"], DataType::Double, "0.1");
    check(Arc::new(Float32Array::from(vec![0.1f32])), &["v"], DataType::Double, "0.10000000149011612");
    check(Arc::new(Float64Array::from(vec![f64::NAN])), &["v"], DataType::Double, "\"NaN\"");
    check(Arc::new(BooleanArray::from(vec![true])), &["v"], DataType::Boolean, "true");
    check(Arc::new(Int64Array::from(vec![None::<i64>])), &["v"], DataType::Bigint, "null");
    let texts = StringArray::from(vec!["a \"b\"\\\n\u{1}\u{e4}"]);
    check(Arc::new(texts), &["v"], DataType::Varchar, "\"a \\\"b\\\"\\\\\\u000a\\u0001\u{e4}\"");
    check(Arc::new(BinaryArray::from(vec![b"abc".as_slice()])), &["v"], DataType::Varchar, "\"abc\"");
    let decimals = Decimal128Array::from(vec![-123_456_789_012]).with_precision_and_scale(20, 3).unwrap();
    check(Arc::new(decimals), &["v"], decimal, "-123456789.012");
    check(Arc::new(Date32Array::from(vec![19_675])), &["v"], DataType::Date, "\"2023-11-14\"");
    let clock = Time64MicrosecondArray::from(vec![3_600_000_001]);
    check(Arc::new(clock), &["v"], DataType::Varchar, "\"01:00:00.000001\"");
    let instants = TimestampMillisecondArray::from(vec![1_700_000_000_250]);
    check(
        Arc::new(instants.clone().with_timezone("UTC")),
        &["v"],
        DataType::TimestampTz,
        "\"2023-11-14T22:13:20.250Z\"",
    );
    check(Arc::new(instants), &["v"], DataType::Timestamp, "\"2023-11-14 22:13:20.250\"");
}

#[test]
fn structs_and_maps_are_entered_and_lists_are_not() {
    let inner: ArrayRef = Arc::new(Float64Array::from(vec![2.5]));
    let unused: ArrayRef = Arc::new(StringArray::from(vec!["not read"]));
    let nested = StructArray::from(vec![
        (Arc::new(Field::new("inner", ArrowType::Float64, true)), inner),
        (Arc::new(Field::new("unused", ArrowType::Utf8, true)), unused),
    ]);
    check(Arc::new(nested), &["v", "inner"], DataType::Double, "{\"inner\":2.5}");
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("inner");
    map.values().append_value(7);
    map.append(true).unwrap();
    check(Arc::new(map.finish()), &["v", "inner"], DataType::Bigint, "{\"inner\":7}");
    let mut list = ListBuilder::new(Int64Builder::new());
    list.append_value([Some(1), None]);
    check(Arc::new(list.finish()), &["v"], DataType::Bigint, "[1,null]");
}

#[test]
fn event_time_in_a_column_of_instants_loses_nothing_whatever_the_unit_of_numbers_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("times.parquet");
    let times = TimestampNanosecondArray::from(vec![1_700_000_000_123_456_789]).with_timezone("UTC");
    write(&file, vec![("ts", Arc::new(times))], 1);
    let decode = DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Seconds));
    let read = next(&mut *opened(&file, &decode, None), usize::MAX).unwrap();
    assert_eq!(read.records.times, [1_700_000_000_123_456]);
}

/// So many rows, of which every seventh has no event time.
fn rows(path: &Path, count: i64, rows_of_group: usize) {
    let time = |row: i64| (row % 7 != 3).then_some(1_700_000_000_000_000 + row);
    let times = arrow_array::TimestampMicrosecondArray::from_iter((0..count).map(time)).with_timezone("UTC");
    let values = Float64Array::from_iter_values((0..count).map(|row| row as f64 / 4.0));
    write(path, vec![("v", Arc::new(values)), ("ts", Arc::new(times))], rows_of_group);
}

#[test]
fn whoever_goes_on_at_a_position_reads_what_was_left_with_the_numbers_of_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.parquet");
    rows(&file, 10_000, 1_500);
    let mut decode = DecodeSpec::new(
        vec![FieldSpec::new("v", DataType::Double)],
        TimeSpec::new(&["ts"], TimeUnit::Millis),
    );
    decode.event_time = true;
    let (mut position, mut read, mut refused) = (None, Vec::new(), Vec::new());
    for records_max in [1, 499, 1_499, 3_000, 10, 4_000].into_iter().cycle() {
        let mut partition = opened(&file, &decode, position.as_ref());
        let Some(decoded) = next(&mut *partition, records_max) else { break };
        let values = decoded.records.batch.columns()[0].as_primitive::<Float64Type>().values();
        let times = decoded.records.batch.columns()[1].as_primitive::<TimestampMicrosecondType>().values();
        for ((offset, value), time) in decoded.records.offsets.iter().zip(values).zip(times) {
            assert_eq!((*value, *time), (*offset as f64 / 4.0, 1_700_000_000_000_000 + *offset as i64));
            read.push(*offset);
        }
        refused.extend(decoded.rejected.iter().map(|row| row.offset));
        position = Some(partition.position());
    }
    assert_eq!(read, (0..10_000).filter(|row| row % 7 != 3).collect::<Vec<u64>>());
    assert_eq!(refused, (0..10_000).filter(|row| row % 7 == 3).collect::<Vec<u64>>());
}

#[test]
fn a_file_that_is_none_or_cut_off_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.parquet");
    rows(&file, 5_000, 1_000);
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[8..2_000].fill(0xFF);
    for bytes in [&b"no Parquet, but long enough"[..], &b""[..], &whole[..whole.len() - 20], &damaged] {
        std::fs::write(&file, bytes).unwrap();
        let decode = DecodeSpec::new(
            vec![FieldSpec::new("v", DataType::Double)],
            TimeSpec::new(&["ts"], TimeUnit::Millis),
        );
        let mut partition = opened(&file, &decode, None);
        let error = loop {
            match partition.poll(usize::MAX) {
                Ok(Poll::Pending) => std::thread::sleep(Duration::from_millis(1)),
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        let words = error.to_string();
        assert!(words.contains("rows.parquet as Parquet: ") && error.is_refusal(), "{words}");
    }
}

#[test]
fn of_wide_rows_fewer_are_read_at_a_time() {
    use super::rows::rows_at_once;

    let mib = 1 << 20;
    assert_eq!(rows_at_once(100_000, 100_000 * 16), 4096, "narrow rows");
    assert_eq!(rows_at_once(1000, 1000 * 8192), 128, "a MiB of them");
    assert_eq!(rows_at_once(10, 10 * 64 * mib), 1, "rows of more than that");
    assert_eq!((rows_at_once(10, 0), rows_at_once(0, 0)), (4096, 4096), "no columns");
}
