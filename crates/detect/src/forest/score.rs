//! How odd a point is to a tree: where random cuts would separate it from the tree's points, on average.
//!
//! Down the way that the point would take, each box gives the probability that a cut separates the point there,
//! the share of the widened box that is new. The score is the expectation over where that happens of one over the
//! depth, so that what is cut off at once scores high. All in single precision, by depth, without allocation.
//!
//! Source: Guha et al. (2016); the scoring functions are those of Amazon's implementations.

use crate::forest::tree::{Link, Tree, widening};

/// What scores are made of: functions of small whole numbers, computed once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScoreTable {
    /// One over the depth, from 1.
    inverse: Vec<f32>,
    /// Logarithm with base 2.
    log2: Vec<f32>,
}

/// A score by dimension: what would lie too low, and what too high.
pub(super) struct Shares<'a> {
    pub(super) low: &'a mut [f64],
    pub(super) high: &'a mut [f64],
}

impl ScoreTable {
    /// For trees of up to `capacity` points.
    pub(super) fn new(capacity: usize) -> Self {
        ScoreTable {
            inverse: (0..=capacity + 1).map(|n| 1.0 / n.max(1) as f32).collect(),
            log2: (0..=capacity + 1).map(|n| libm::log2(n.max(1) as f64) as f32).collect(),
        }
    }

    /// Score of a point that is cut off at a depth.
    fn unseen(&self, depth: usize) -> f32 {
        self.inverse[depth + 1]
    }

    /// Score of a point that is the same as one at a depth of which the sample has `copies`.
    fn seen(&self, depth: usize, copies: u16, mass: u16) -> f32 {
        let common = 1.0 - f32::from(copies) / (2.0 * f32::from(mass));
        common / (depth as f32 + self.log2[usize::from(copies) + 1])
    }

    /// Score of a point: from 0 to the logarithm of the tree's points with base 2.
    pub(super) fn score(&self, tree: &Tree, point: &[f32]) -> f32 {
        let Some(root) = tree.root() else { return 0.0 };
        let (mut link, mut depth) = (root, 0);
        let (mut together, mut score) = (1.0_f32, 0.0_f32);
        while !link.is_leaf() {
            let node = tree.cut(link);
            let (low, high) = tree.bounds(link);
            let outside = widening(low, high, point);
            let separated = together * (outside / (node.extent + outside));
            score += separated * self.unseen(depth);
            together -= separated;
            link = node.towards(point);
            depth += 1;
        }
        (score + together * self.leaf(tree, link, depth, point)) * self.log2[usize::from(tree.mass())]
    }

    fn leaf(&self, tree: &Tree, leaf: Link, depth: usize, point: &[f32]) -> f32 {
        match tree.point(leaf) == point {
            true => self.seen(depth, tree.copies(leaf), tree.mass()),
            false => self.unseen(depth),
        }
    }

    /// Adds the score of a point, times `weight`, to the dimensions in which it lies outside. What a point scores
    /// that is the same as one of the sample is shared evenly.
    pub(super) fn attribute(&self, tree: &Tree, point: &[f32], weight: f64, shares: &mut Shares<'_>) {
        let Some(root) = tree.root() else { return };
        let weight = weight * f64::from(self.log2[usize::from(tree.mass())]);
        let (mut link, mut depth, mut together) = (root, 0, 1.0);
        while !link.is_leaf() {
            let node = tree.cut(link);
            let (low, high) = tree.bounds(link);
            let outside = f64::from(widening(low, high, point));
            let separated = together * (outside / (f64::from(node.extent) + outside));
            shares.spread(low, high, point, separated * f64::from(self.unseen(depth)) * weight);
            together -= separated;
            link = node.towards(point);
            depth += 1;
        }
        let rest = together * f64::from(self.leaf(tree, link, depth, point)) * weight;
        shares.spread(tree.point(link), tree.point(link), point, rest);
    }
}

impl Shares<'_> {
    /// Spreads an amount over the dimensions in proportion to how far the point lies outside of the box.
    fn spread(&mut self, low: &[f32], high: &[f32], point: &[f32], amount: f64) {
        if amount == 0.0 {
            return;
        }
        let dimensions = self.low.len();
        let bounds = || low.iter().zip(high).zip(point).take(dimensions);
        let below = |low: f32, x: f32| f64::from(low - x).max(0.0);
        let outside: f64 = bounds().map(|((l, h), x)| below(*l, *x) + below(*x, *h)).sum();
        if outside <= 0.0 {
            let even = amount / (2 * dimensions) as f64;
            self.low.iter_mut().chain(self.high.iter_mut()).for_each(|share| *share += even);
            return;
        }
        let shares = self.low.iter_mut().zip(self.high.iter_mut());
        for (((l, h), x), (low, high)) in bounds().zip(shares) {
            *low += amount * below(*l, *x) / outside;
            *high += amount * below(*x, *h) / outside;
        }
    }
}
