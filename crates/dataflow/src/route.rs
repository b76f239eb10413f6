//! Which worker gets which record: key hash, then shard, then worker. The only exchange of the hot path.

use arrow_array::{ArrayRef, BinaryArray, UInt32Array};
use arrow_select::take::take;
use event::Shard;

use crate::message::Columns;

/// Bytes that a processor copies in one go.
const WORD: usize = 16;

/// Deals records to the workers of their shards.
#[derive(Debug)]
pub(crate) struct Router {
    shards: u32,
    /// Worker of each shard.
    workers: Vec<u32>,
    peers: usize,
    /// Rows of the batch for each worker.
    rows: Vec<Vec<u32>>,
}

impl Router {
    pub(crate) fn new(shards: u32, peers: usize) -> Self {
        let workers = (0..shards).map(|shard| Shard(shard).worker(shards, peers) as u32).collect();
        Router { shards, workers, peers, rows: vec![Vec::new(); peers] }
    }

    /// The parts of `columns` that go to each worker; workers that get nothing are left out.
    pub(crate) fn deal(&mut self, columns: Columns) -> Vec<(u32, Columns)> {
        if columns.times.is_empty() {
            return Vec::new();
        }
        if self.peers == 1 {
            return vec![(0, columns)];
        }
        // Hashes spread evenly, so each list seldom has to grow.
        let share = columns.times.len() / self.peers;
        self.rows.iter_mut().for_each(|rows| *rows = Vec::with_capacity(share + share / 8 + 16));
        for (row, hash) in columns.hashes.iter().enumerate() {
            let shard = Shard::of(*hash, self.shards);
            self.rows[self.workers[shard.0 as usize] as usize].push(row as u32);
        }
        let dealt = self.rows.iter_mut().enumerate().filter(|(_, rows)| !rows.is_empty());
        dealt.map(|(worker, rows)| (worker as u32, pick(&columns, std::mem::take(rows)))).collect()
    }
}

/// The rows of a batch that are asked for.
pub(crate) fn pick(columns: &Columns, rows: Vec<u32>) -> Columns {
    let of = |values: &[u64]| -> Vec<u64> {
        if values.is_empty() { Vec::new() } else { rows.iter().map(|row| values[*row as usize]).collect() }
    };
    let raw = columns.raw.as_ref().map(|raw| rows.iter().map(|row| raw[*row as usize].clone()).collect());
    let seen = match columns.seen.as_slice() {
        [] => Vec::new(),
        seen => rows.iter().map(|row| seen[*row as usize]).collect(),
    };
    let (hashes, offsets) = (of(&columns.hashes), of(&columns.offsets));
    let times = rows.iter().map(|row| columns.times[*row as usize]).collect();
    let keys = pick_keys(&columns.keys, &rows);
    let rows = UInt32Array::from(rows);
    let inputs = columns.inputs.iter().map(|column| pick_column(column, &rows)).collect();
    Columns { keys, hashes, times, offsets, inputs, seen, raw }
}

fn pick_column(column: &ArrayRef, rows: &UInt32Array) -> ArrayRef {
    // The rows were counted off this very batch.
    take(column.as_ref(), rows, None).expect("rows of the batch")
}

fn pick_keys(keys: &BinaryArray, rows: &[u32]) -> BinaryArray {
    let (from, data) = (keys.value_offsets(), keys.value_data());
    let bounds = |row: &u32| (from[*row as usize] as usize, from[*row as usize + 1] as usize);
    let mut end = 0;
    let mut offsets = Vec::with_capacity(rows.len() + 1);
    offsets.push(0i32);
    offsets.extend(rows.iter().map(|row| {
        let (start, stop) = bounds(row);
        end += stop - start;
        end as i32
    }));
    // Room for a whole word behind the last key.
    let mut bytes = vec![0; end + WORD];
    let mut at = 0;
    for row in rows {
        let (start, stop) = bounds(row);
        // A word at once is copied much faster than a string of any length. What is too much of it is
        // overwritten by the next key.
        match data[start..].first_chunk::<WORD>() {
            Some(word) if stop - start <= WORD => bytes[at..at + WORD].copy_from_slice(word),
            _ => bytes[at..at + stop - start].copy_from_slice(&data[start..stop]),
        }
        at += stop - start;
    }
    bytes.truncate(end);
    BinaryArray::new(arrow_buffer::OffsetBuffer::new(offsets.into()), bytes.into(), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Array, Int64Array};
    use proptest::prelude::*;
    use std::sync::Arc;

    proptest! {
        #[test]
        fn each_record_goes_whole_and_in_order_to_the_worker_of_its_shard(
            keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..60),
            peers in 1usize..5,
        ) {
            let rows = keys.len() as i64;
            let columns = Columns {
                keys: BinaryArray::from_iter_values(&keys),
                hashes: keys.iter().map(|key| event::key_hash(key)).collect(),
                times: (0..rows).collect(),
                offsets: Vec::new(),
                inputs: vec![Arc::new(Int64Array::from_iter_values(0..rows))],
                seen: Vec::new(),
                raw: None,
            };
            let mut dealt = vec![Vec::new(); peers];
            for (worker, part) in Router::new(1024, peers).deal(columns) {
                let times = Int64Array::from(part.times.clone());
                prop_assert_eq!(part.inputs[0].as_ref(), &times as &dyn Array);
                for (row, time) in part.times.iter().enumerate() {
                    prop_assert_eq!(part.hashes[row], event::key_hash(part.keys.value(row)));
                    dealt[worker as usize].push((*time, part.keys.value(row).to_vec()));
                }
            }
            let mut expected = vec![Vec::new(); peers];
            for (time, key) in (0..).zip(keys) {
                let worker = Shard::of(event::key_hash(&key), 1024).worker(1024, peers);
                expected[worker].push((time, key));
            }
            prop_assert_eq!(dealt, expected);
        }
    }
}
