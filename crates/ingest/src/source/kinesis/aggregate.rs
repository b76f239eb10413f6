//! Aggregates of the Kinesis Producer Library: several user records packed in one.
//!
//! Such a record is four magic bytes, a message of Protocol Buffers, and its MD5. What only looks like one, with another
//! sum or a message that cannot be read, is a plain record. So is one that holds a record of another shard, as after a
//! split: its producer sends it again where it belongs, and the client library of Amazon drops it as a whole; here it
//! ends in quarantine, so that it is seen.

use md5::{Digest, Md5};
use prost::Message;

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const DIGEST_BYTES: usize = 16;

/// The message in an aggregate.
#[derive(Clone, PartialEq, Message)]
struct Aggregate {
    #[prost(string, repeated, tag = "1")]
    partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Packed>,
}

/// A user record in it; its tags are not read.
#[derive(Clone, PartialEq, Message)]
struct Packed {
    #[prost(uint64, required, tag = "1")]
    partition_key: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key: Option<u64>,
    #[prost(bytes = "vec", required, tag = "3")]
    data: Vec<u8>,
}

/// The user records in a record of a shard with these hash keys, in their order; `None` if it is a plain one.
pub(super) fn unpack(data: &[u8], hash_keys: (u128, u128)) -> Option<Vec<Vec<u8>>> {
    let sealed = data.strip_prefix(&MAGIC)?;
    let (message, digest) = sealed.split_at_checked(sealed.len().checked_sub(DIGEST_BYTES)?)?;
    if Md5::digest(message).as_slice() != digest {
        return None;
    }
    let aggregate = Aggregate::decode(message).ok()?;
    let is_here = |packed| {
        let key = aggregate.hash_key(packed)?;
        Some((hash_keys.0..=hash_keys.1).contains(&key))
    };
    let all_here = aggregate.records.iter().all(|packed| is_here(packed) == Some(true));
    all_here.then(|| aggregate.records.into_iter().map(|packed| packed.data).collect())
}

impl Aggregate {
    /// Where a record belongs: to its explicit hash key, or else to the MD5 of its partition key.
    fn hash_key(&self, packed: &Packed) -> Option<u128> {
        let of = |keys: &'_ [String], index: u64| keys.get(usize::try_from(index).ok()?).cloned();
        let partition_key = of(&self.partition_keys, packed.partition_key)?;
        match packed.explicit_hash_key {
            Some(index) => of(&self.explicit_hash_keys, index)?.parse().ok(),
            None => Some(u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())),
        }
    }
}

/// An aggregate of these records.
#[cfg(test)]
pub(super) fn packed(records: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let records = records.map(|data| Packed { partition_key: 0, explicit_hash_key: None, data }).collect();
    let aggregate =
        Aggregate { partition_keys: vec!["any".to_owned()], explicit_hash_keys: Vec::new(), records };
    let message = aggregate.encode_to_vec();
    [&MAGIC, message.as_slice(), Md5::digest(&message).as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: (u128, u128) = (0, u128::MAX);

    fn packed(data: &[u8], explicit_hash_key: Option<u64>) -> Packed {
        Packed { partition_key: 0, explicit_hash_key, data: data.to_vec() }
    }

    fn sealed(records: Vec<Packed>, explicit_hash_keys: &[&str]) -> Vec<u8> {
        let explicit_hash_keys = explicit_hash_keys.iter().map(|key| (*key).to_owned()).collect();
        let aggregate = Aggregate { partition_keys: vec!["a".to_owned()], explicit_hash_keys, records };
        seal(&aggregate.encode_to_vec())
    }

    fn seal(message: &[u8]) -> Vec<u8> {
        [&MAGIC, message, Md5::digest(message).as_slice()].concat()
    }

    #[test]
    fn what_is_no_aggregate_is_a_plain_record() {
        let good = sealed(vec![packed(b"{}", None)], &[]);
        assert_eq!(unpack(&good, WHOLE), Some(vec![b"{}".to_vec()]));
        for length in 0..good.len() {
            assert_eq!(unpack(&good[..length], WHOLE), None, "{length} bytes of it");
        }
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            assert_eq!(unpack(&flipped, WHOLE), None, "byte {at} flipped");
        }
        assert_eq!(unpack(&seal(b"\xff\xff\xff"), WHOLE), None, "no message");
        let stray = Packed { partition_key: 7, ..packed(b"{}", None) };
        assert_eq!(unpack(&sealed(vec![stray], &[]), WHOLE), None, "a key that is not there");
        assert_eq!(
            unpack(&sealed(vec![packed(b"{}", Some(0))], &["x"]), WHOLE),
            None,
            "a hash key that is none"
        );
        assert_eq!(unpack(b"", WHOLE), None);
    }

    #[test]
    fn what_aws_kinesis_agg_has_packed_is_unpacked() {
        // Version 1.2.3 of the package, given `{"a":1}` three times with explicit hash keys from 2^127 on.
        let packed = b"\xf3\x89\x9a\xc2\n\x06user-0\n\x06user-1\n\x06user-2\
            \x12'170141183460469231731687303715884105728\
            \x12'170141183460469231731687303715884105729\
            \x12'170141183460469231731687303715884105730\
            \x1a\r\x08\x00\x10\x00\x1a\x07{\"a\":1}\x1a\r\x08\x01\x10\x01\x1a\x07{\"a\":1}\
            \x1a\r\x08\x02\x10\x02\x1a\x07{\"a\":1}\
            \xe8\x13\xa1\xb8\xe8\xebT\xba\x10\x05\x8f\x98.}\xc8\xe3";
        let three = Some(vec![b"{\"a\":1}".to_vec(); 3]);
        assert_eq!(unpack(packed, (1 << 127, u128::MAX)), three);
        assert_eq!(unpack(packed, (0, (1 << 127) + 1)), None, "the last one is beyond this shard");
    }

    #[test]
    fn an_aggregate_of_nothing_holds_nothing() {
        assert_eq!(unpack(&sealed(Vec::new(), &[]), WHOLE), Some(Vec::new()));
    }

    #[test]
    fn an_aggregate_with_a_record_of_another_shard_is_not_unpacked() {
        let aggregate = |keys: &[&str]| sealed(vec![packed(b"1", Some(0)), packed(b"2", Some(1))], keys);
        let shard = (100, 200);
        assert_eq!(unpack(&aggregate(&["100", "200"]), shard).map(|records| records.len()), Some(2));
        for keys in [["99", "150"], ["150", "201"]] {
            assert_eq!(unpack(&aggregate(&keys), shard), None, "{keys:?}");
        }
        // The MD5 of `a` is 0cc175b9c0f1b6a831c399e269772661.
        let key = 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661;
        let plain = sealed(vec![packed(b"1", None)], &[]);
        assert!(unpack(&plain, (key, key)).is_some() && unpack(&plain, (key + 1, u128::MAX)).is_none());
    }
}
