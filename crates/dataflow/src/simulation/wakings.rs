//! When partitions woke, as far as that counts: what a generation did behind the checkpoint from which the next one
//! goes on has not happened.

use event::Watermark;

/// The wakings of a partition, and who may add to them.
#[derive(Debug, Clone, Default)]
struct OfPartition {
    host: u64,
    /// Offset of the first record, and from which watermark on the partition counts.
    wakings: Vec<(u64, Watermark)>,
}

/// The wakings of all partitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wakings {
    partitions: Vec<OfPartition>,
}

impl Wakings {
    pub(crate) fn new(partitions: usize) -> Self {
        Wakings { partitions: vec![OfPartition::default(); partitions] }
    }

    /// A host goes on with a partition: nobody who is older adds anything that counts. What happened at the very offset
    /// did if the partition counts from there on with at least that watermark.
    pub(crate) fn opened(&mut self, host: u64, partition: usize, offset: u64, counts: Watermark) {
        let of_partition = &mut self.partitions[partition];
        if host >= of_partition.host {
            of_partition.host = host;
            of_partition.wakings.retain(|(at, to)| *at < offset || (*at == offset && *to <= counts));
        }
    }

    pub(crate) fn note(&mut self, host: u64, partition: usize, offset: u64, watermark: Watermark) {
        let of_partition = &mut self.partitions[partition];
        if host == of_partition.host {
            of_partition.wakings.push((offset, watermark));
        }
    }

    /// Of each partition, in order.
    pub(crate) fn all(&self) -> Vec<Vec<(u64, i64)>> {
        let plain = |(offset, watermark): &(u64, Watermark)| (*offset, watermark.0);
        self.partitions.iter().map(|of| of.wakings.iter().map(plain).collect()).collect()
    }
}
