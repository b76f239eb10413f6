//! Parcels come back as they went; damaged ones are refused.

use arrow_array::{BooleanArray, Float64Array, Int64Array, StringArray};
use proptest::prelude::*;
use std::sync::Arc;

use super::*;

/// What records bring along.
#[derive(Debug, Clone, Copy, PartialEq)]
enum With {
    /// Nothing but what is folded.
    Nothing,
    /// Their places, since their order matters.
    Places,
    /// Their places and first bytes, since they are behind their partition's watermark.
    Raw,
}

const ALL: [With; 3] = [With::Nothing, With::Places, With::Raw];

/// Records with one input of each shape that bytes can have.
fn records(rows: usize, with: With) -> Columns {
    let keys = BinaryArray::from_iter_values((0..rows).map(|row| format!("user-{}", row * row)));
    let numbers = (0..rows as i64).map(|row| (row % 3 != 0).then_some(row << row.min(40)));
    let inputs: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>()),
        Arc::new(numbers.collect::<Int64Array>()),
        Arc::new((0..rows).map(|row| Some(row as f64 / 2.0)).collect::<Float64Array>()),
        Arc::new((0..rows).map(|row| Some("é".repeat(row))).collect::<StringArray>()),
    ];
    let raw = |row| ByteBuf::from(vec![b'x'; row]);
    let placed = if with == With::Nothing { 0 } else { rows as u64 };
    Columns {
        hashes: (0..rows).map(|row| key_hash(keys.value(row))).collect(),
        keys,
        times: (0..rows as i64).map(|row| 1_700_000_000_000_000 - row * 1000).collect(),
        offsets: (0..placed).map(|row| u64::MAX - row * 7).collect(),
        inputs,
        seen: (0..placed as i64).map(|row| i64::MIN + row).collect(),
        raw: (with == With::Raw).then(|| (0..rows).map(raw).collect()),
    }
}

/// All that records consist of, to be compared.
fn parts(columns: &Columns) -> impl PartialEq + std::fmt::Debug + '_ {
    let Columns { keys, hashes, times, offsets, inputs, seen, raw } = columns;
    (keys, hashes, times, offsets, inputs, seen, raw)
}

fn parcel(content: Content) -> Vec<u8> {
    let parcel = Parcel { to: 1, partition: 2, block: 70..80, content };
    checkpoint::encode(checkpoint::Kind::Outbox, &parcel).unwrap()
}

fn unpacked(bytes: &[u8]) -> Parcel {
    checkpoint::decode(checkpoint::Kind::Outbox, bytes).unwrap()
}

#[test]
fn a_parcel_comes_back_the_same_whether_made_into_bytes_before_or_as_it_is_sent() {
    for (rows, with) in [0, 1, 19].into_iter().flat_map(|rows| ALL.map(|with| (rows, with))) {
        let columns = records(rows, with);
        let content = || Content::Columns(Box::new(columns.clone()));
        let bytes = parcel(content().into_bytes());
        assert_eq!(bytes, parcel(content()));
        let Parcel { to, partition, block, content } = unpacked(&bytes);
        assert_eq!((to, partition, block), (1, 2, 70..80));
        assert!(
            matches!(content, Content::Columns(_)),
            "made into columns straight from the network's buffer"
        );
        assert_eq!(parts(&content.into_columns().unwrap()), parts(&columns));
    }
}

#[test]
fn a_record_of_the_reference_job_takes_half_of_what_its_columns_take_in_memory() {
    let rows = 1000;
    let flags = |every| Arc::new((0..rows).map(|row| Some(row % every == 0)).collect::<BooleanArray>()) as _;
    let durations = (0..rows).map(|row| Some((row % 97) as f64 / 2.0)).collect::<Float64Array>();
    let columns = Columns {
        keys: BinaryArray::from_iter_values((0..rows).map(|row| format!("user-{row:06}"))),
        hashes: vec![0; rows],
        times: (0..rows as i64).map(|row| 1_700_000_000_000_000 + row * 1000).collect(),
        inputs: vec![Arc::new(durations), flags(2), flags(3), flags(4)],
        ..records(0, With::Nothing)
    };
    let a_record = columns.write().len() / rows;
    // Its key with one byte of length, 4 bytes of time, 4 of duration, 3 bits.
    assert_eq!(a_record, 11 + 1 + 4 + 4);
}

#[test]
fn a_damaged_parcel_arrives_and_has_no_columns() {
    let mut bytes = records(19, With::Raw).write();
    bytes.truncate(bytes.len() - 1);
    let arrived = unpacked(&parcel(Content::Bytes(ByteBuf::from(bytes))));
    assert!(arrived.content.into_columns().is_none());
}

#[test]
fn bytes_that_are_cut_off_or_go_on_are_no_records() {
    for with in ALL {
        let bytes = records(19, with).write();
        for cut in 0..bytes.len() {
            assert!(Columns::read(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        assert!(Columns::read(&[&bytes[..], &[0]].concat()).is_none());
    }
}

#[test]
fn records_behind_the_watermark_without_their_offsets_are_refused() {
    let columns = Columns { offsets: vec![], ..records(19, With::Raw) };
    assert!(Columns::read(&columns.write()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn flipped_bytes_give_none_or_records_that_hang_together(
        with in prop::sample::select(ALL.to_vec()),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        let mut bytes = records(19, with).write();
        for (place, flip) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
        }
        if let Some(columns) = Columns::read(&bytes) {
            let rows = columns.times.len();
            prop_assert_eq!((columns.keys.len(), columns.hashes.len()), (rows, rows));
            prop_assert!(columns.inputs.iter().all(|column| column.len() == rows));
            prop_assert!(columns.offsets.is_empty() || columns.offsets.len() == rows);
            prop_assert!(columns.seen.is_empty() || (columns.seen.len(), columns.offsets.len()) == (rows, rows));
            if let Some(raw) = &columns.raw {
                prop_assert_eq!((raw.len(), columns.seen.len()), (rows, rows));
            }
            let hashes = columns.keys.iter().flatten().map(key_hash).collect::<Vec<_>>();
            prop_assert_eq!(columns.hashes, hashes);
        }
    }

    #[test]
    fn any_bytes_are_records_or_none_and_never_a_panic(bytes: Vec<u8>, rows in 0u64..100) {
        let _ = Columns::read(&bytes);
        let _ = Columns::read(&[&rows.to_le_bytes(), &bytes[..]].concat());
    }
}
