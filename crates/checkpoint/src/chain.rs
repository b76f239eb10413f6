//! The segments in which one worker has saved its state, and which of their chunks are still needed.
//!
//! A snapshot writes what has changed into a new segment. Older segments stay as long as one of their
//! chunks holds something that no later one does; then the store lets them go.

use crate::Segment;

/// Segments beyond which a worker had better write all of its state again.
const SEGMENTS_MAX: usize = 64;

/// One worker's segments, oldest first, each with the number of its cut.
#[derive(Debug)]
pub struct Chain {
    segments: Vec<(u32, Segment)>,
    /// The label of chunks that do not keep a segment: they are written again instead.
    movable: i64,
}

impl Chain {
    /// An empty chain. Chunks of the label `movable` alone do not keep a segment.
    pub fn new(movable: i64) -> Self {
        Chain { segments: Vec::new(), movable }
    }

    /// Whether so many segments are needed that a whole snapshot is worth its cost.
    pub fn is_long(&self) -> bool {
        self.segments.len() >= SEGMENTS_MAX
    }

    /// Lets chunks go of which there is no more, and then the segments without any. Returns the cuts whose
    /// movable chunks the next segment must hold again.
    pub fn retire(&mut self, exists: impl Fn(i64) -> bool) -> Vec<u32> {
        let movable = self.movable;
        self.kill(|label| label != movable && !exists(label));
        let is_kept = |segment: &Segment| segment.live().any(|(_, chunk)| chunk.label != movable);
        let mut again = Vec::new();
        self.segments.retain(|(cut, segment)| {
            let kept = is_kept(segment);
            if !kept {
                again.push(*cut);
            }
            kept
        });
        again
    }

    /// Lets all chunks of the labels go: the next segment holds all that they say.
    pub fn supersede(&mut self, labels: &[i64]) {
        self.kill(|label| labels.contains(&label));
    }

    /// Lets everything go: the next segment holds all there is.
    pub fn clear(&mut self) {
        self.segments.clear();
    }

    fn kill(&mut self, is_dead: impl Fn(i64) -> bool) {
        for chunk in self.segments.iter_mut().flat_map(|(_, segment)| &mut segment.chunks) {
            chunk.live &= !is_dead(chunk.label);
        }
    }

    /// Adds the segment of a cut.
    pub fn push(&mut self, cut: u32, segment: Segment) {
        self.segments.push((cut, segment));
    }

    /// The segments that are needed, oldest first.
    pub fn segments(&self) -> Vec<Segment> {
        self.segments.iter().map(|(_, segment)| segment.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chunk, Operator, Writer};

    const KEYS: i64 = -1;

    fn segment(labels: &[i64]) -> Segment {
        let chunk = |label: &i64| Chunk { label: *label, length: 1, checksum: 0, live: true };
        Segment {
            name: String::new(),
            operator: Operator::Window,
            writer: Writer { worker: 0, peers: 1 },
            chunks: labels.iter().map(chunk).collect(),
        }
    }

    fn live(chain: &Chain) -> Vec<Vec<i64>> {
        let segments = chain.segments();
        segments.iter().map(|segment| segment.live().map(|(_, chunk)| chunk.label).collect()).collect()
    }

    #[test]
    fn a_segment_goes_with_its_last_chunk_and_its_keys_are_written_again() {
        let mut chain = Chain::new(KEYS);
        chain.push(4, segment(&[KEYS, 10, 11]));
        chain.push(5, segment(&[11, 12]));
        assert_eq!(chain.retire(|label| label > 10), Vec::<u32>::new());
        assert_eq!(live(&chain), [vec![KEYS, 11], vec![11, 12]]);
        assert_eq!(chain.retire(|label| label > 11), [4]);
        assert_eq!(live(&chain), [vec![12]]);
    }

    #[test]
    fn what_is_written_whole_replaces_older_chunks() {
        let mut chain = Chain::new(KEYS);
        chain.push(1, segment(&[KEYS, 7]));
        chain.push(2, segment(&[7, 8]));
        chain.supersede(&[7]);
        chain.push(3, segment(&[7]));
        assert_eq!(chain.retire(|_| true), [1]);
        assert_eq!(live(&chain), [vec![8], vec![7]]);
    }
}
