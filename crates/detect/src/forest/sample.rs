//! Which points a tree holds: a random sample of all that it was offered, in which newer ones are likelier.
//!
//! A point that is n points old counts `exp(-n / decay)` times as much as the newest. Each gets a rank, an
//! exponential variate over its weight, and the least ranks stay: a sample without replacement, kept in one pass.
//!
//! Source: Efraimidis & Spirakis (2006), Weighted random sampling with a reservoir; Guha et al. (2016).

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// The sample of one tree: a heap whose first entry is the next to go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    capacity: usize,
    ranks: Vec<f64>,
    leaves: Vec<u16>,
}

impl Sample {
    pub(super) fn new(capacity: usize) -> Self {
        Sample { capacity, ranks: Vec::with_capacity(capacity), leaves: Vec::with_capacity(capacity) }
    }

    pub(super) fn is_full(&self) -> bool {
        self.ranks.len() == self.capacity
    }

    /// The rank of a new point if it is to be taken in. `shrink` is one over the weight of the newest point.
    pub(super) fn admit(&self, shrink: f64, random: &mut Random) -> Option<f64> {
        let draw = random.unit();
        if !self.is_full() {
            return Some(exponential(draw) * shrink);
        }
        // The variate is at least the draw: most points are turned away without a logarithm.
        if draw * shrink >= self.ranks[0] {
            return None;
        }
        let rank = exponential(draw) * shrink;
        (rank < self.ranks[0]).then_some(rank)
    }

    /// Adds a point that was admitted. There must be room.
    pub(super) fn push(&mut self, rank: f64, leaf: u16) {
        self.ranks.push(rank);
        self.leaves.push(leaf);
        let mut place = self.ranks.len() - 1;
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.ranks[parent] >= self.ranks[place] {
                break;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    /// Takes out the point with the greatest rank.
    pub(super) fn pop(&mut self) -> Option<u16> {
        let last = self.ranks.len().checked_sub(1)?;
        self.swap(0, last);
        self.ranks.pop();
        let popped = self.leaves.pop();
        let mut place = 0;
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let mut greatest = place;
            for child in [left, right] {
                if child < last && self.ranks[child] > self.ranks[greatest] {
                    greatest = child;
                }
            }
            if greatest == place {
                return popped;
            }
            self.swap(greatest, place);
            place = greatest;
        }
    }

    /// Multiplies all ranks, which leaves their order as it is.
    pub(super) fn rescale(&mut self, factor: f64) {
        self.ranks.iter_mut().for_each(|rank| *rank *= factor);
    }

    pub(super) fn bytes(&self) -> usize {
        self.ranks.capacity() * size_of::<f64>() + self.leaves.capacity() * size_of::<u16>()
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.ranks.swap(a, b);
        self.leaves.swap(a, b);
    }
}

/// An exponential variate with mean 1 from a draw of [0, 1).
fn exponential(draw: f64) -> f64 {
    // Not the standard library's logarithm, which differs between platforms.
    -libm::log1p(-draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of `offered` points ends in a sample of `capacity`, over many runs.
    fn inclusion(offered: usize, capacity: usize, decay: f64, runs: u64) -> Vec<f64> {
        let mut counts = vec![0.0; offered];
        for run in 0..runs {
            let mut random = Random::new(11, run);
            let mut sample = Sample::new(capacity);
            for point in 0..offered {
                if let Some(rank) = sample.admit((-(point as f64) / decay).exp(), &mut random) {
                    if sample.is_full() {
                        sample.pop();
                    }
                    sample.push(rank, point as u16);
                }
            }
            assert_eq!(sample.leaves.len(), capacity);
            sample.leaves.iter().for_each(|point| counts[usize::from(*point)] += 1.0 / runs as f64);
        }
        counts
    }

    #[test]
    fn without_decay_every_point_is_as_likely_in_the_sample() {
        // 20 of 100: the standard error over 4000 runs is 0.0063.
        let off = inclusion(100, 20, f64::INFINITY, 4000).into_iter().map(|share| (share - 0.2).abs());
        assert!(off.fold(0.0, f64::max) < 0.03);
    }

    #[test]
    fn a_sample_of_one_holds_a_point_in_proportion_to_its_weight() {
        let decay = 10.0;
        let weights: Vec<f64> = (0..50).map(|point| (f64::from(point) / decay).exp()).collect();
        let total: f64 = weights.iter().sum();
        let shares = inclusion(50, 1, decay, 40_000);
        for (share, weight) in shares.iter().zip(&weights) {
            assert!((share - weight / total).abs() < 0.01, "{share} {}", weight / total);
        }
    }

    #[test]
    fn points_leave_by_rank_whatever_the_order_in_which_they_came() {
        let mut random = Random::new(3, 0);
        let ranks: Vec<f64> = (0..200).map(|_| random.unit()).collect();
        let mut sample = Sample::new(200);
        ranks.iter().enumerate().for_each(|(leaf, rank)| sample.push(*rank, leaf as u16));
        let mut expected: Vec<usize> = (0..200).collect();
        expected.sort_by(|a, b| ranks[*b].total_cmp(&ranks[*a]));
        let left: Vec<usize> = std::iter::from_fn(|| sample.pop()).map(usize::from).collect();
        assert_eq!(left, expected);
    }
}
