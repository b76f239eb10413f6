//! Parcels come back as they went; damaged ones are refused.

use arrow_array::{BooleanArray, Float64Array, Int64Array, StringArray};
use proptest::prelude::*;
use std::sync::Arc;

use super::*;

/// Records with one input of each shape that bytes can have, `behind` their partition's watermark or not.
fn records(rows: usize, behind: bool) -> Columns {
    let keys = BinaryArray::from_iter_values((0..rows).map(|row| format!("user-{}", row * row)));
    let numbers = (0..rows as i64).map(|row| (row % 3 != 0).then_some(row << row.min(40)));
    let inputs: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>()),
        Arc::new(numbers.collect::<Int64Array>()),
        Arc::new((0..rows).map(|row| Some(row as f64 / 2.0)).collect::<Float64Array>()),
        Arc::new((0..rows).map(|row| Some("é".repeat(row))).collect::<StringArray>()),
    ];
    let raw = |row| ByteBuf::from(vec![b'x'; row]);
    Columns {
        hashes: (0..rows).map(|row| key_hash(keys.value(row))).collect(),
        keys,
        times: (0..rows as i64).map(|row| 1_700_000_000_000_000 - row * 1000).collect(),
        offsets: if behind { (0..rows as u64).map(|row| u64::MAX - row * 7).collect() } else { vec![] },
        inputs,
        behind: behind.then(|| Behind {
            seen: (0..rows as i64).map(|row| i64::MIN + row).collect(),
            raw: (0..rows).map(raw).collect(),
        }),
    }
}

/// All that records consist of, to be compared.
fn parts(columns: &Columns) -> impl PartialEq + std::fmt::Debug + '_ {
    let Columns { keys, hashes, times, offsets, inputs, behind } = columns;
    (keys, hashes, times, offsets, inputs, behind.as_ref().map(|behind| (&behind.seen, &behind.raw)))
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
    for (rows, behind) in [(0, false), (1, false), (1, true), (19, false), (19, true)] {
        let columns = records(rows, behind);
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
        ..records(0, false)
    };
    let a_record = columns.write().len() / rows;
    // Its key with one byte of length, 4 bytes of time, 4 of duration, 3 bits.
    assert_eq!(a_record, 11 + 1 + 4 + 4);
}

#[test]
fn a_damaged_parcel_arrives_and_has_no_columns() {
    let mut bytes = records(19, true).write();
    bytes.truncate(bytes.len() - 1);
    let arrived = unpacked(&parcel(Content::Bytes(ByteBuf::from(bytes))));
    assert!(arrived.content.into_columns().is_none());
}

#[test]
fn bytes_that_are_cut_off_or_go_on_are_no_records() {
    for behind in [false, true] {
        let bytes = records(19, behind).write();
        for cut in 0..bytes.len() {
            assert!(Columns::read(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        assert!(Columns::read(&[&bytes[..], &[0]].concat()).is_none());
    }
}

#[test]
fn records_behind_the_watermark_without_their_offsets_are_refused() {
    let columns = Columns { offsets: vec![], ..records(19, true) };
    assert!(Columns::read(&columns.write()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn flipped_bytes_give_none_or_records_that_hang_together(
        behind: bool,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        let mut bytes = records(19, behind).write();
        for (place, flip) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
        }
        if let Some(columns) = Columns::read(&bytes) {
            let rows = columns.times.len();
            prop_assert_eq!((columns.keys.len(), columns.hashes.len()), (rows, rows));
            prop_assert!(columns.inputs.iter().all(|column| column.len() == rows));
            prop_assert!(columns.offsets.is_empty() || columns.offsets.len() == rows);
            if let Some(behind) = columns.behind {
                prop_assert_eq!((behind.seen.len(), behind.raw.len(), columns.offsets.len()), (rows, rows, rows));
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
