//! The forest against oracles that share no code with it: trees grown from scratch by the definition, boxes and
//! scores computed anew from the points, and cases that can be solved by hand.

use super::score::ScoreTable;
use super::tree::{Link, Tree};
use super::*;

/// A generator of its own: xorshift64*.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    fn point(&mut self, dimensions: usize) -> Vec<f64> {
        (0..dimensions).map(|_| self.normal()).collect()
    }
}

/// A tree as the paper defines it, grown from all of its points at once.
enum Naive {
    Leaf(Vec<f64>),
    Cut { points: Vec<Vec<f64>>, dimension: usize, place: f64, sides: Box<(Naive, Naive)> },
}

fn bounds(points: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let range = |i: usize| {
        let along = || points.iter().map(|point| point[i]);
        (along().fold(f64::INFINITY, f64::min), along().fold(f64::NEG_INFINITY, f64::max))
    };
    (0..points[0].len()).map(range).collect()
}

impl Naive {
    fn grow(points: Vec<Vec<f64>>, dice: &mut Dice) -> Naive {
        if points.len() == 1 {
            return Naive::Leaf(points[0].clone());
        }
        let bounds = bounds(&points);
        let mut rest = dice.unit() * bounds.iter().map(|(low, high)| high - low).sum::<f64>();
        let mut dimension = 0;
        while rest > bounds[dimension].1 - bounds[dimension].0 {
            rest -= bounds[dimension].1 - bounds[dimension].0;
            dimension += 1;
        }
        let place = bounds[dimension].0 + rest;
        let (left, right) = points.iter().cloned().partition(|point: &Vec<f64>| point[dimension] <= place);
        let sides = Box::new((Naive::grow(left, dice), Naive::grow(right, dice)));
        Naive::Cut { points, dimension, place, sides }
    }

    /// From the leaves up, as Amazon's implementations do it; the points all differ.
    fn score(&self, point: &[f64], depth: usize) -> f64 {
        match self {
            Naive::Leaf(own) => {
                assert_ne!(own, point);
                1.0 / (depth as f64 + 1.0)
            }
            Naive::Cut { points, dimension, place, sides } => {
                let separated = separation(points, point);
                let side = if point[*dimension] <= *place { &sides.0 } else { &sides.1 };
                separated / (depth as f64 + 1.0) + (1.0 - separated) * side.score(point, depth + 1)
            }
        }
    }
}

/// How likely a random cut of the box of all of them separates the point from the others.
fn separation(others: &[Vec<f64>], point: &[f64]) -> f64 {
    let size = |points: &[Vec<f64>]| bounds(points).iter().map(|(low, high)| high - low).sum::<f64>();
    let with: Vec<Vec<f64>> = others.iter().cloned().chain([point.to_vec()]).collect();
    1.0 - size(others) / size(&with)
}

fn single(point: &[f64]) -> Vec<f32> {
    let padded = point.iter().copied().chain(std::iter::repeat(0.0));
    padded.take(point.len().next_multiple_of(LANES)).map(|x| x as f32).collect()
}

/// Points of a subtree, each as often as it is there. Checks all that a node says about them.
fn check(tree: &Tree, link: Link) -> Vec<Vec<f64>> {
    let double = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    if link.is_leaf() {
        return vec![double(tree.point(link)); usize::from(tree.copies(link))];
    }
    let node = tree.cut(link);
    let (left, right) = (check(tree, node.left), check(tree, node.right));
    let dimension = usize::from(node.dimension);
    assert!(left.iter().all(|point| point[dimension] <= f64::from(node.cut)), "left of the cut");
    assert!(right.iter().all(|point| point[dimension] > f64::from(node.cut)), "right of the cut");
    let points = [left, right].concat();
    assert_eq!(usize::from(node.mass), points.len());
    let (low, high) = tree.bounds(link);
    let expected: (Vec<f64>, Vec<f64>) = bounds(&points).into_iter().unzip();
    assert_eq!((double(low), double(high)), expected, "box");
    let extent: f64 = expected.0.iter().zip(&expected.1).map(|(low, high)| high - low).sum();
    assert!((f64::from(node.extent) - extent).abs() <= 1e-5 * extent, "{} {extent}", node.extent);
    points
}

#[test]
fn boxes_cuts_and_masses_hold_after_any_inserts_and_removals() {
    for (dimensions, distinct) in [(1, 5.0), (3, 3.0), (8, 1e6), (13, 1e6)] {
        let mut dice = Dice(dimensions as u64);
        let mut random = Random::new(5, 0);
        let (mut tree, mut leaves, mut path) = (Tree::new(64, 16), Vec::new(), Vec::new());
        for round in 0..2000 {
            if leaves.len() == 64 || (dice.unit() < 0.45 && !leaves.is_empty()) {
                let gone: u16 = leaves.swap_remove((dice.unit() * leaves.len() as f64) as usize);
                tree.remove(gone, &mut path);
            } else {
                // Few distinct values: the same point comes again and again.
                let point = dice.point(dimensions).iter().map(|x| (x * distinct).round()).collect::<Vec<_>>();
                let point: Vec<f32> = single(&point).into_iter().chain([0.0; 16]).take(16).collect();
                leaves.push(tree.insert(&point, &mut random));
            }
            let points = tree.root().map_or(0, |root| check(&tree, root).len());
            assert_eq!(points, leaves.len(), "{dimensions} dimensions, round {round}");
            assert_eq!(usize::from(tree.mass()), leaves.len());
        }
    }
}

#[test]
fn a_tree_that_was_changed_scores_as_one_that_was_grown_from_what_it_holds() {
    const TREES: u64 = 4000;
    let mut dice = Dice(17);
    // Those that leave lie elsewhere, so that their traces would be seen.
    let stay: Vec<Vec<f64>> = (0..24).map(|_| dice.point(3)).collect();
    let leave: Vec<Vec<f64>> =
        (0..24).map(|_| dice.point(3).iter().map(|x| 3.0 * x + 4.0).collect()).collect();
    let probes = [vec![0.1, 0.2, -0.3], vec![3.0, 0.0, 0.0], vec![-4.0, 5.0, 6.0], vec![1.0, -1.0, 1.5]];
    let (table, mut path) = (ScoreTable::new(64), Vec::new());
    let (mut kept, mut grown) = (vec![0.0; probes.len()], vec![0.0; probes.len()]);
    for number in 0..TREES {
        let mut random = Random::new(1, number);
        let mut tree = Tree::new(64, LANES);
        let mut gone = Vec::new();
        for (stays, leaves) in stay.iter().zip(&leave) {
            gone.push(tree.insert(&single(leaves), &mut random));
            tree.insert(&single(stays), &mut random);
        }
        gone.iter().for_each(|leaf| tree.remove(*leaf, &mut path));
        let naive = Naive::grow(stay.clone(), &mut dice);
        for (i, probe) in probes.iter().enumerate() {
            kept[i] += f64::from(table.score(&tree, &single(probe))) / TREES as f64;
            grown[i] += naive.score(probe, 0) * (stay.len() as f64).log2() / TREES as f64;
        }
    }
    for (kept, grown) in kept.iter().zip(&grown) {
        assert!((kept / grown - 1.0).abs() < 0.02, "{kept} {grown}");
    }
}

/// The score of a tree, computed from the leaves up in double precision.
fn score_by_hand(tree: &Tree, link: Link, point: &[f64], depth: usize) -> f64 {
    let padded: Vec<f64> = single(point).iter().map(|x| f64::from(*x)).collect();
    if link.is_leaf() {
        let own = check(tree, link);
        let copies = own.len() as f64;
        return match own[0] == padded {
            false => 1.0 / (depth as f64 + 1.0),
            true => (1.0 - copies / (2.0 * f64::from(tree.mass()))) / (depth as f64 + (copies + 1.0).log2()),
        };
    }
    let separated = separation(&check(tree, link), &padded);
    let side = tree.cut(link).towards(&single(point));
    separated / (depth as f64 + 1.0) + (1.0 - separated) * score_by_hand(tree, side, point, depth + 1)
}

fn forest(dimensions: usize, trees: usize, sample: usize, decay: u64) -> RandomCutForest {
    RandomCutForest::new(ForestSpec { trees, sample, decay, seed: 9, ..ForestSpec::new(dimensions) })
        .expect("a forest")
}

#[test]
fn scores_are_what_the_definition_gives_for_the_same_trees() {
    let mut dice = Dice(23);
    let mut forest = forest(5, 10, 64, 200);
    forest.learn(&[0.0; 5]);
    for _ in 0..500 {
        forest.learn(&dice.point(5).iter().map(|x| x.round()).collect::<Vec<_>>());
    }
    for scale in [0.3, 1.0, 4.0, 100.0] {
        for _ in 0..50 {
            let point: Vec<f64> = dice.point(5).iter().map(|x| (x * scale).round()).collect();
            let trees = forest.state.trees.iter().map(|sampled| &sampled.tree);
            let by_hand = trees.map(|tree| {
                let root = tree.root().expect("points");
                score_by_hand(tree, root, &point, 0) * f64::from(tree.mass()).log2() / 10.0
            });
            let (by_hand, score) = (by_hand.sum::<f64>(), forest.score(&point));
            assert!((score - by_hand).abs() < 1e-4 * by_hand, "{point:?}: {score} {by_hand}");
        }
    }
}

#[test]
fn two_points_score_as_solved_by_hand() {
    let mut forest = forest(1, 20, 2, 100);
    assert_eq!(forest.score(&[1.0]), 0.0);
    forest.learn(&[10.0]);
    forest.learn(&[11.0]);
    // At 12 half of the widened box is new: 1/2 * 1 at the root, and 1/2 * 1/2 below it.
    assert!((forest.score(&[12.0]) - 0.75).abs() < 1e-6);
    assert!((forest.score(&[11.0 + 9.0]) - (0.9 + 0.05)).abs() < 1e-6);
    // Inside of the box only the leaves tell it apart.
    assert!((forest.score(&[10.5]) - 0.5).abs() < 1e-6);
    // One of them: (1 - 1/4) / (1 + log2(2)).
    assert!((forest.score(&[10.0]) - 0.375).abs() < 1e-6);
}

#[test]
fn a_score_lies_between_zero_and_the_logarithm_of_the_sample() {
    let mut dice = Dice(3);
    let mut forest = forest(2, 30, 256, 1000);
    (0..1000).for_each(|_| forest.learn(&dice.point(2)));
    let far = forest.score(&[1e300, f64::NEG_INFINITY]);
    assert!(far > 7.99 && far <= 8.0, "{far}");
    let near = (0..200).map(|_| forest.score(&dice.point(2))).sum::<f64>() / 200.0;
    assert!((0.5..1.2).contains(&near), "{near}");
}

#[test]
fn attribution_adds_up_to_the_score_and_names_dimension_and_direction() {
    let mut dice = Dice(31);
    let mut forest = forest(6, 40, 128, 1000);
    (0..600).for_each(|_| forest.learn(&dice.point(6)));
    let mut attribution = Attribution::default();
    for _ in 0..100 {
        let point: Vec<f64> = dice.point(6).iter().map(|x| 2.0 * x).collect();
        forest.attribute(&point, &mut attribution);
        let score = forest.score(&point);
        assert!((attribution.total() - score).abs() < 1e-4 * score, "{} {score}", attribution.total());
    }
    forest.attribute(&[0.0, 0.0, 9.0, 0.0, -4.5, 0.0], &mut attribution);
    assert!(attribution.high[2] > 0.6 * attribution.total(), "{attribution:?}");
    assert!(attribution.low[4] > 0.15 * attribution.total(), "{attribution:?}");
    // A point of the sample lies outside of nothing at the end: what is left is shared evenly.
    forest.attribute(forest.state.origin.clone().as_slice(), &mut attribution);
    let score = forest.score(&forest.state.origin);
    assert!((attribution.total() - score).abs() < 1e-4 * score);
}

#[test]
fn what_was_usual_is_forgotten_with_the_decay() {
    let mut dice = Dice(41);
    let mut forest = forest(1, 50, 128, 300);
    (0..2000).for_each(|_| forest.learn(&[dice.normal()]));
    let before = forest.score(&[50.0]);
    (0..2000).for_each(|_| forest.learn(&[50.0 + dice.normal()]));
    let (old, new) = (forest.score(&[0.0]), forest.score(&[50.0]));
    assert!(before > 4.0 && old > 4.0 && new < 1.5, "{before} {old} {new}");
}

#[test]
fn what_is_new_is_learned_however_long_a_short_memory_has_gone_on() {
    // Weights grow by e every second point: far out of the range of a double within these.
    let mut dice = Dice(42);
    let mut forest = forest(1, 50, 32, 2);
    (0..2000).for_each(|_| forest.learn(&[dice.normal()]));
    (0..100).for_each(|_| forest.learn(&[50.0 + dice.normal()]));
    let (old, new) = (forest.score(&[0.0]), forest.score(&[50.0]));
    assert!(old > 3.0 && new < 1.5, "{old} {new}");
}

#[test]
fn a_shingle_is_explained_by_the_values_of_a_row() {
    let mut dice = Dice(44);
    let spec = StreamSpec { shingle: 4, sample: 64, warmup: 64, ..StreamSpec::new(3) };
    let mut stream = StreamForest::new(spec).expect("a forest");
    for _ in 0..500 {
        stream.observe(&dice.point(3), None);
    }
    let mut attribution = Attribution::default();
    // What is odd stays in the shingle for three rows more.
    for row in [[0.0, 9.0, 0.0], [0.0; 3], [0.0; 3], [0.0; 3]] {
        let verdict = stream.observe(&row, Some(&mut attribution)).expect("a verdict");
        assert_eq!((attribution.low.len(), attribution.high.len()), (3, 3));
        assert!((attribution.total() - verdict.score).abs() < 1e-4 * verdict.score, "{attribution:?}");
        assert!(attribution.high[1] > 0.4 * verdict.score, "{attribution:?}");
    }
}

#[test]
fn a_restored_forest_goes_on_as_the_one_that_was_stored() {
    let mut dice = Dice(43);
    let spec = StreamSpec { shingle: 3, trees: 10, sample: 32, decay: 2, warmup: 10, ..StreamSpec::new(2) };
    let mut stream = StreamForest::new(spec).expect("a forest");
    // So short a memory that ranks are rescaled again and again.
    for _ in 0..700 {
        stream.observe(&dice.point(2), None);
    }
    let bytes = bincode::serialize(&stream).expect("bytes");
    let mut restored: StreamForest = bincode::deserialize(&bytes).expect("a forest");
    assert!(restored == stream);
    for _ in 0..700 {
        let row = dice.point(2);
        let (a, b) = (stream.observe(&row, None), restored.observe(&row, None));
        assert!(a.is_some() && a == b);
    }
}

#[test]
fn one_seed_gives_one_forest_and_another_another() {
    let score = |seed: u64| {
        let mut dice = Dice(47);
        let spec = ForestSpec { seed, trees: 5, ..ForestSpec::new(2) };
        let mut forest = RandomCutForest::new(spec).expect("a forest");
        (0..400).for_each(|_| forest.learn(&dice.point(2)));
        forest.score(&[1.0, 2.0])
    };
    assert_eq!(score(1).to_bits(), score(1).to_bits());
    assert_ne!(score(1).to_bits(), score(2).to_bits());
}

#[test]
fn scores_do_not_depend_on_where_the_origin_lies() {
    // Times in us as a coordinate: single precision alone would see steps of two minutes.
    let mut dice = Dice(53);
    let (mut here, mut there) = (forest(1, 30, 64, 500), forest(1, 30, 64, 500));
    for _ in 0..300 {
        let x = (dice.normal() * 100.0).round();
        here.learn(&[x]);
        there.learn(&[1.7e15 + x]);
    }
    for x in [0.0, 250.0, 900.0] {
        let (here, there) = (here.score(&[x]), there.score(&[1.7e15 + x]));
        assert!((here / there - 1.0).abs() < 1e-3, "{here} {there}");
    }
}

#[test]
fn a_spike_is_an_anomaly_and_noise_is_not() {
    let mut dice = Dice(59);
    let mut stream = StreamForest::new(StreamSpec::new(2)).expect("a forest");
    let mut alarms = 0;
    for row in 0..6000 {
        let verdict = stream.observe(&dice.point(2), None);
        assert_eq!(verdict.is_some(), row >= 256, "row {row}");
        alarms += usize::from(verdict.is_some_and(|verdict| verdict.calibrated > 1.0));
    }
    assert!(alarms < 30, "{alarms} alarms in 5744 rows of noise");
    let mut attribution = Attribution::default();
    let verdict = stream.observe(&[0.0, -8.0], Some(&mut attribution)).expect("a verdict");
    assert!(verdict.calibrated > 1.5 && verdict.grade > 0.3, "{verdict:?}");
    assert!(attribution.low[1] > 0.7 * verdict.score, "{attribution:?}");
    assert!((attribution.total() - verdict.score).abs() < 1e-4 * verdict.score);
}

#[test]
fn a_setting_out_of_range_is_refused_by_name() {
    let refused = |change: fn(&mut StreamSpec)| {
        let mut spec = StreamSpec::new(4);
        change(&mut spec);
        StreamForest::new(spec).expect_err("refused").to_string()
    };
    assert_eq!(refused(|spec| spec.trees = 0), "`trees` of a detector is 0, which is not 1 to 1000");
    assert!(refused(|spec| spec.sample = 1).contains("`sample`"));
    assert!(refused(|spec| spec.decay = 0).contains("`decay`"));
    assert!(refused(|spec| spec.shingle = 0).contains("`shingle`"));
    assert!(refused(|spec| spec.shingle = 200).contains("`dimensions` of a detector is 800"));
    assert!(refused(|spec| spec.calibration.rate = f64::NAN).contains("`rate`"));
}
