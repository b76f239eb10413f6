//! How many messages may wait in the connection of a process to a topic, in the words of the client library.
//!
//! The library has a queue for each partition, and asks for more of a partition as long as its queue is below a bound. So
//! what waits is at most the bound and what one answer brings, of each partition: a batch of a producer at least. An
//! answer stays in memory until all of its messages are taken.

/// Memory that a message takes in a queue beside its bytes, about.
const MESSAGE_BYTES: u64 = 512;
/// What an answer brings of one partition, at least and at most: with less, much is asked for little.
const ANSWER_BYTES: (u64, u64) = (16 << 10, 1 << 20);
/// What an answer brings of all partitions, at most: the library's own bound.
const ANSWERS_BYTES_MAX: u64 = 50 << 20;
const KIB: u64 = 1 << 10;

/// The settings of the queues of a connection to so many partitions, which together hold about so many bytes.
pub(super) fn settings(queue_bytes: u64, partitions: usize) -> [(&'static str, String); 4] {
    let share = queue_bytes / (partitions.max(1) as u64);
    let answer = (share / 2).clamp(ANSWER_BYTES.0, ANSWER_BYTES.1);
    let queue = share.saturating_sub(answer).max(KIB);
    [
        ("queued.max.messages.kbytes", (queue / KIB).to_string()),
        // Many small messages take more memory than their bytes.
        ("queued.min.messages", (queue / MESSAGE_BYTES).max(1).to_string()),
        ("fetch.message.max.bytes", answer.to_string()),
        ("fetch.max.bytes", (queue_bytes / 4).clamp(ANSWER_BYTES.1, ANSWERS_BYTES_MAX).to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(settings: &[(&str, String)], name: &str) -> u64 {
        settings.iter().find(|(found, _)| *found == name).unwrap().1.parse().unwrap()
    }

    #[test]
    fn what_waits_for_all_partitions_together_stays_within_the_bound_however_many_there_are() {
        const BOUND: u64 = 64 << 20;
        for partitions in [1, 3, 16, 100, 200, 1_000, 2_000] {
            let settings = settings(BOUND, partitions);
            let of_one = number(&settings, "queued.max.messages.kbytes") * KIB
                + number(&settings, "fetch.message.max.bytes");
            assert!(of_one * partitions as u64 <= BOUND, "{partitions}: {settings:?}");
            let messages = number(&settings, "queued.min.messages") * partitions as u64;
            assert!(messages * MESSAGE_BYTES <= BOUND, "{partitions}: {settings:?}");
        }
    }

    #[test]
    fn every_partition_goes_on_with_the_smallest_bound_as_well() {
        for partitions in [1, 100_000] {
            assert!(settings(1 << 20, partitions).iter().all(|(_, value)| value.parse::<u64>().unwrap() > 0));
        }
    }
}
