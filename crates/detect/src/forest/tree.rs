//! One random cut tree: points in, points out, with the box around each subtree kept as it changes.
//!
//! A tree over points is made by cuts: the dimension is drawn in proportion to the extent of the points' box, the
//! place evenly within it. [`Tree::insert`] and [`Tree::remove`] keep that distribution exactly, whatever came
//! before, so a tree that saw a stream is as one that was grown from its sample alone.
//!
//! Flat: nodes, boxes and points lie in one array each, of the size that the sample needs, and refer to one
//! another by 16-bit numbers. No change allocates.
//!
//! Source: Guha, Mishra, Roy, Schrijvers (2016), Robust random cut forest based anomaly detection on streams.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Coordinates are handled in groups of this many: points and boxes are padded with zeros to whole groups.
pub(super) const LANES: usize = 4;

/// A child: an internal node, or a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link(u16);

const LEAF: u16 = 0x8000;

impl Link {
    /// Of a tree without points.
    const NONE: Link = Link(u16::MAX);

    pub(super) fn node(number: u16) -> Link {
        Link(number)
    }

    pub(super) fn leaf(number: u16) -> Link {
        Link(number | LEAF)
    }

    pub(super) fn is_leaf(self) -> bool {
        self.0 & LEAF != 0
    }

    /// Number of the node or leaf.
    pub(super) fn number(self) -> usize {
        usize::from(self.0 & !LEAF)
    }
}

/// A cut, with what lies on either side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    /// Points up to here lie on the left.
    pub(super) cut: f32,
    /// Sum of the extents of the box over all dimensions.
    pub(super) extent: f32,
    pub(super) dimension: u16,
    /// Points below, each as often as it is in the sample.
    pub(super) mass: u16,
    pub(super) left: Link,
    pub(super) right: Link,
}

/// A random cut tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tree {
    /// Coordinates of a point, with padding.
    width: usize,
    root: Link,
    nodes: Vec<Node>,
    /// Of each node the least coordinates and then the greatest.
    boxes: Vec<f32>,
    points: Vec<f32>,
    /// How often the sample holds the point of each leaf.
    copies: Vec<u16>,
    free_nodes: Vec<u16>,
    free_leaves: Vec<u16>,
}

impl Tree {
    /// A tree for up to `capacity` points with `width` coordinates each, a multiple of [`LANES`].
    pub(super) fn new(capacity: usize, width: usize) -> Self {
        let unused =
            Node { cut: 0.0, extent: 0.0, dimension: 0, mass: 0, left: Link::NONE, right: Link::NONE };
        let inner = capacity.saturating_sub(1);
        Tree {
            width,
            root: Link::NONE,
            nodes: vec![unused; inner],
            boxes: vec![0.0; inner * 2 * width],
            points: vec![0.0; capacity * width],
            copies: vec![0; capacity],
            free_nodes: (0..inner as u16).rev().collect(),
            free_leaves: (0..capacity as u16).rev().collect(),
        }
    }

    /// The root, unless there are no points.
    pub(super) fn root(&self) -> Option<Link> {
        (self.root != Link::NONE).then_some(self.root)
    }

    /// The cut of a link that is no leaf.
    pub(super) fn cut(&self, link: Link) -> &Node {
        &self.nodes[link.number()]
    }

    /// Least and greatest coordinates of what lies below a cut.
    pub(super) fn bounds(&self, link: Link) -> (&[f32], &[f32]) {
        self.boxes[link.number() * 2 * self.width..][..2 * self.width].split_at(self.width)
    }

    pub(super) fn point(&self, leaf: Link) -> &[f32] {
        &self.points[leaf.number() * self.width..][..self.width]
    }

    pub(super) fn copies(&self, leaf: Link) -> u16 {
        self.copies[leaf.number()]
    }

    /// Points in the tree, each as often as it is in the sample.
    pub(super) fn mass(&self) -> u16 {
        self.root().map_or(0, |root| self.mass_of(root))
    }

    fn mass_of(&self, link: Link) -> u16 {
        if link.is_leaf() { self.copies(link) } else { self.cut(link).mass }
    }

    /// The point to which one comes that lacks some coordinates: a cut of these leads to the side with more points.
    pub(super) fn usual(&self, point: &[f32], missing: &[bool]) -> Option<&[f32]> {
        let mut link = self.root()?;
        while !link.is_leaf() {
            let node = self.cut(link);
            link = match missing[usize::from(node.dimension)] {
                false => node.towards(point),
                true if self.mass_of(node.left) >= self.mass_of(node.right) => node.left,
                true => node.right,
            };
        }
        Some(self.point(link))
    }

    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + (self.boxes.capacity() + self.points.capacity()) * size_of::<f32>()
            + (self.copies.capacity() + self.free_nodes.capacity() + self.free_leaves.capacity()) * 2
    }

    /// Adds a point and says which leaf it became, or fell upon. There must be room.
    pub(super) fn insert(&mut self, point: &[f32], random: &mut Random) -> u16 {
        let mut parent = None;
        let mut link = self.root;
        while link != Link::NONE {
            let separate = match link.is_leaf() {
                true => draw_cut(self.point(link), self.point(link), 0.0, point, random),
                false => {
                    let (low, high) = self.bounds(link);
                    draw_cut(low, high, self.cut(link).extent, point, random)
                }
            };
            match separate {
                Draw::Inside if link.is_leaf() => {
                    self.copies[link.number()] += 1;
                    return link.number() as u16;
                }
                Draw::Inside => self.nodes[link.number()].mass += 1,
                Draw::Below => {
                    self.widen(link, point);
                    self.nodes[link.number()].mass += 1;
                }
                Draw::Cut(cut) => return self.split(parent, link, cut, point),
            }
            parent = Some(link);
            link = self.cut(link).towards(point);
        }
        let leaf = self.new_leaf(point);
        self.root = leaf;
        leaf.number() as u16
    }

    /// Takes out one copy of the point of a leaf. `path` is scratch space.
    pub(super) fn remove(&mut self, leaf: u16, path: &mut Vec<u16>) {
        let leaf = Link::leaf(leaf);
        path.clear();
        let mut link = self.root;
        while link != leaf {
            path.push(link.0);
            self.nodes[link.number()].mass -= 1;
            link = self.cut(link).towards(self.point(leaf));
        }
        self.copies[leaf.number()] -= 1;
        if self.copies(leaf) > 0 {
            return;
        }
        self.free_leaves.push(leaf.number() as u16);
        let Some(parent) = path.pop() else {
            self.root = Link::NONE;
            return;
        };
        let sibling = self.nodes[usize::from(parent)].other(leaf);
        self.free_nodes.push(parent);
        self.replace(path.last().copied().map(Link::node), Link::node(parent), sibling);
        // An ancestor whose box stays the same leaves those above it the same as well.
        while let Some(node) = path.pop()
            && self.shrink(node, leaf)
        {}
        path.clear();
    }

    /// Puts a cut between `link` and its parent, with the point on the other side.
    fn split(&mut self, parent: Option<Link>, link: Link, cut: Cut, point: &[f32]) -> u16 {
        let leaf = self.new_leaf(point);
        let number = self.free_nodes.pop().unwrap_or_default();
        let below = if link.is_leaf() { self.copies(link) } else { self.cut(link).mass };
        let (left, right) = if cut.point_is_left { (leaf, link) } else { (link, leaf) };
        self.nodes[usize::from(number)] =
            Node { cut: cut.place, extent: 0.0, dimension: cut.dimension, mass: below + 1, left, right };
        let width = self.width;
        let start = usize::from(number) * 2 * width;
        if link.is_leaf() {
            let old = link.number() * width;
            self.boxes[start..start + width].copy_from_slice(&self.points[old..old + width]);
            self.boxes[start + width..start + 2 * width].copy_from_slice(&self.points[old..old + width]);
        } else {
            let old = link.number() * 2 * width;
            self.boxes.copy_within(old..old + 2 * width, start);
        }
        self.widen(Link::node(number), point);
        self.replace(parent, link, Link::node(number));
        leaf.number() as u16
    }

    /// Widens the box of a node so that it holds the point.
    fn widen(&mut self, link: Link, point: &[f32]) {
        let (low, high) =
            self.boxes[link.number() * 2 * self.width..][..2 * self.width].split_at_mut(self.width);
        low.iter_mut().zip(point).for_each(|(low, x)| *low = low.min(*x));
        high.iter_mut().zip(point).for_each(|(high, x)| *high = high.max(*x));
        self.nodes[link.number()].extent = extent(low, high);
    }

    /// Fits the box of a node to its children again, now that the leaf is gone; says whether it changed.
    fn shrink(&mut self, node: u16, gone: Link) -> bool {
        let (low, high) = self.bounds(Link::node(node));
        let point = self.point(gone);
        let touches = |((low, high), x): ((&f32, &f32), &f32)| x == low || x == high;
        // Padding is zero everywhere and must not count as touching.
        if !low.iter().zip(high).zip(point).filter(|((low, high), _)| low != high).any(touches) {
            return false;
        }
        let mut changed = false;
        let Node { left, right, .. } = self.nodes[usize::from(node)];
        let start = usize::from(node) * 2 * self.width;
        for i in 0..self.width {
            let (left_low, left_high) = self.bounds_at(left, i);
            let (right_low, right_high) = self.bounds_at(right, i);
            let (low, high) = (left_low.min(right_low), left_high.max(right_high));
            changed |= self.boxes[start + i] != low || self.boxes[start + self.width + i] != high;
            self.boxes[start + i] = low;
            self.boxes[start + self.width + i] = high;
        }
        let (low, high) = self.bounds(Link::node(node));
        self.nodes[usize::from(node)].extent = extent(low, high);
        changed
    }

    fn bounds_at(&self, link: Link, dimension: usize) -> (f32, f32) {
        if link.is_leaf() {
            let x = self.points[link.number() * self.width + dimension];
            return (x, x);
        }
        let start = link.number() * 2 * self.width + dimension;
        (self.boxes[start], self.boxes[start + self.width])
    }

    fn new_leaf(&mut self, point: &[f32]) -> Link {
        let leaf = self.free_leaves.pop().unwrap_or_default();
        let start = usize::from(leaf) * self.width;
        self.points[start..start + self.width].copy_from_slice(point);
        self.copies[usize::from(leaf)] = 1;
        Link::leaf(leaf)
    }

    fn replace(&mut self, parent: Option<Link>, old: Link, new: Link) {
        match parent {
            None => self.root = new,
            Some(parent) => {
                let node = &mut self.nodes[parent.number()];
                let side = if node.left == old { &mut node.left } else { &mut node.right };
                *side = new;
            }
        }
    }
}

impl Node {
    /// The child on whose side the point lies.
    pub(super) fn towards(&self, point: &[f32]) -> Link {
        if point[usize::from(self.dimension)] <= self.cut { self.left } else { self.right }
    }

    fn other(&self, child: Link) -> Link {
        if self.left == child { self.right } else { self.left }
    }
}

/// Where a random cut of the box around a subtree and a new point falls.
enum Draw {
    /// The point is inside of the box; for a leaf, the same point.
    Inside,
    /// It widens the box, but the cut does not separate it from the rest.
    Below,
    /// It separates them.
    Cut(Cut),
}

struct Cut {
    dimension: u16,
    place: f32,
    point_is_left: bool,
}

/// Draws a cut of the box from `low` to `high`, widened by the point.
fn draw_cut(low: &[f32], high: &[f32], extent: f32, point: &[f32], random: &mut Random) -> Draw {
    let widening = widening(low, high, point);
    if widening <= 0.0 {
        return Draw::Inside;
    }
    let mut rest = random.unit_f32() * (extent + widening);
    if rest >= widening {
        return Draw::Below;
    }
    let mut last = None;
    for (dimension, ((low, high), x)) in low.iter().zip(high).zip(point).enumerate() {
        let (from, to) = if x < low { (*x, *low) } else { (*high, *x) };
        if from < to {
            last = Some((dimension, from, to, x < low));
            if rest < to - from {
                break;
            }
            rest -= to - from;
        }
    }
    // Rounding may leave a rest behind the last dimension, or a place at its end: the cut is before that.
    match last {
        None => Draw::Inside,
        Some((dimension, from, to, point_is_left)) => {
            let place = (from + rest).min(to.next_down());
            Draw::Cut(Cut { dimension: dimension as u16, place, point_is_left })
        }
    }
}

/// Sum over all dimensions of how far the point lies outside of the box.
pub(super) fn widening(low: &[f32], high: &[f32], point: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let groups = |values| <[f32]>::as_chunks::<LANES>(values).0.iter();
    for ((low, high), x) in groups(low).zip(groups(high)).zip(groups(point)) {
        for lane in 0..LANES {
            lanes[lane] += larger(larger(low[lane] - x[lane], x[lane] - high[lane]), 0.0);
        }
    }
    total(lanes)
}

fn extent(low: &[f32], high: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for (low, high) in low.as_chunks::<LANES>().0.iter().zip(high.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            lanes[lane] += high[lane] - low[lane];
        }
    }
    total(lanes)
}

/// The larger of two numbers, as one instruction: neither is a NaN.
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// In a fixed order, so that it is the same on every machine.
fn total(lanes: [f32; LANES]) -> f32 {
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
}
