//! The segments in which one worker has saved its state, and which of their chunks are still needed.
//!
//! A snapshot writes what has changed into new segments. Older segments stay as long as one of their
//! chunks holds something that no later one does; then the store lets them go.

use crate::Segment;

/// Segments beyond which a worker had better write all of its state again.
const SEGMENTS_MAX: usize = 64;

/// One worker's segments, oldest first, each with the number of its cut.
#[derive(Debug, Default)]
pub struct Chain {
    segments: Vec<(u32, Segment)>,
}

impl Chain {
    /// Whether so many segments are needed that a whole snapshot is worth its cost.
    pub fn is_long(&self) -> bool {
        self.segments.len() >= SEGMENTS_MAX
    }

    /// Lets chunks go of labels of which there is no more, and then the segments without any.
    pub fn retire(&mut self, exists: impl Fn(i64) -> bool) {
        self.kill(|_, label| !exists(label));
        self.segments.retain(|(_, segment)| segment.live().next().is_some());
    }

    /// Lets the chunks of a label that these cuts wrote go: the next segment holds what is left of them.
    pub fn release(&mut self, label: i64, cuts: &[u32]) {
        self.kill(|cut, found| found == label && cuts.contains(&cut));
    }

    /// Lets all chunks of the labels go: the next segment holds all that they say.
    pub fn supersede(&mut self, labels: &[i64]) {
        self.kill(|_, label| labels.contains(&label));
    }

    /// Lets everything go: the next segment holds all there is.
    pub fn clear(&mut self) {
        self.segments.clear();
    }

    fn kill(&mut self, is_dead: impl Fn(u32, i64) -> bool) {
        for (cut, segment) in &mut self.segments {
            segment.chunks.iter_mut().for_each(|chunk| chunk.live &= !is_dead(*cut, chunk.label));
        }
    }

    /// Adds the segment of a cut.
    pub fn push(&mut self, cut: u32, segment: Segment) {
        self.segments.push((cut, segment));
    }

    /// The segments that are needed, oldest first.
    pub fn segments(&self) -> Vec<Segment> {
        let needed = self.segments.iter().filter(|(_, segment)| segment.live().next().is_some());
        needed.map(|(_, segment)| segment.clone()).collect()
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
    fn a_segment_goes_with_its_last_chunk() {
        let mut chain = Chain::default();
        chain.push(4, segment(&[KEYS]));
        chain.push(4, segment(&[10, 11]));
        chain.push(5, segment(&[11, 12]));
        chain.retire(|label| label == KEYS || label > 10);
        assert_eq!(live(&chain), [vec![KEYS], vec![11], vec![11, 12]]);
        chain.retire(|label| label == KEYS || label > 11);
        assert_eq!(live(&chain), [vec![KEYS], vec![12]]);
    }

    #[test]
    fn what_is_written_again_goes_from_the_cuts_that_had_it() {
        let mut chain = Chain::default();
        chain.push(4, segment(&[KEYS]));
        chain.push(4, segment(&[7]));
        chain.push(5, segment(&[KEYS]));
        chain.release(KEYS, &[4]);
        chain.retire(|_| true);
        assert_eq!(live(&chain), [vec![7], vec![KEYS]]);
    }

    #[test]
    fn what_is_written_whole_replaces_older_chunks() {
        let mut chain = Chain::default();
        chain.push(1, segment(&[7]));
        chain.push(2, segment(&[7, 8]));
        chain.supersede(&[7]);
        chain.push(3, segment(&[7]));
        chain.retire(|_| true);
        assert_eq!(live(&chain), [vec![8], vec![7]]);
    }
}
