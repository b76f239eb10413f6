//! Which names matter in which object, and which bytes usually follow which.
//!
//! The names form a tree, as the paths of the fields do. On the way every node learns *steps*: the exact
//! bytes between a value and the next one, `,"user_id":` for instance, what to do with the value behind
//! them, and which steps followed it last. Comparing these bytes is enough to know the next name. A step
//! is only ever learned from bytes that were parsed completely, so a match means the same.

use std::collections::HashMap;

use super::spec::{DecodeSpec, FieldSpec};
use super::swar;

/// What to do with the value of a member, or with the end of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The object ends here.
    End,
    /// Nobody needs the value.
    Skip,
    /// The value is that column's.
    Column(u32),
    /// The value is the event time.
    Time,
    /// Something else is to be done with the value of that name: see [`Name`].
    Other(u32),
}

/// Who wants the value of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The column at that place.
    Column(usize),
    /// Event time.
    Time,
    /// How far the partition has come.
    Punctuation,
}

/// A name that matters, in its object.
#[derive(Debug, Default)]
pub(super) struct Name {
    /// The names that lead to it, joined by dots.
    pub(super) path: String,
    /// Who wants its value.
    pub(super) targets: Vec<Target>,
    /// The node for the names in its value.
    pub(super) child: Option<usize>,
}

/// The tree of names.
#[derive(Debug)]
pub(super) struct Plan {
    /// One an object; the first is the record.
    pub(super) nodes: Vec<Node>,
    /// All names of all nodes.
    pub(super) names: Vec<Name>,
    /// Number of targets of all names that a record cannot do without, or that are NULL if it does.
    pub(super) targets: usize,
    /// The name of the event time.
    pub(super) time_name: usize,
    /// The name of the punctuation, if there is one.
    pub(super) punctuation_name: usize,
}

impl Plan {
    pub(super) fn new(spec: &DecodeSpec) -> Self {
        let nodes = vec![Node::default()];
        let mut plan = Plan { nodes, names: Vec::new(), targets: 0, time_name: 0, punctuation_name: 0 };
        for (column, field) in spec.fields.iter().enumerate() {
            plan.add(path_of(field), Target::Column(column));
        }
        plan.add(&spec.time.path, Target::Time);
        if let Some(punctuation) = &spec.punctuation {
            plan.add(&punctuation.path, Target::Punctuation);
        }
        plan
    }

    fn add(&mut self, path: &[String], target: Target) {
        let mut node = 0;
        for (level, text) in path.iter().enumerate() {
            let name = match self.nodes[node].names.get(text.as_bytes()) {
                Some(&name) => name,
                None => {
                    let name = self.names.len();
                    self.names.push(Name { path: path[..=level].join("."), ..Name::default() });
                    self.nodes[node].names.insert(text.as_bytes().into(), name);
                    name
                }
            };
            if level + 1 == path.len() {
                self.names[name].targets.push(target);
                match target {
                    Target::Column(_) => {}
                    Target::Time => self.time_name = name,
                    Target::Punctuation => self.punctuation_name = name,
                }
                self.targets += usize::from(target != Target::Punctuation);
            } else {
                let next = self.nodes.len();
                node = *self.names[name].child.get_or_insert(next);
                if node == next {
                    self.nodes.push(Node::default());
                }
            }
        }
    }

    /// What to do with the value of that name, escapes decoded, in an object of that node.
    pub(super) fn action(&self, node: usize, text: &[u8]) -> Action {
        let Some(&name) = self.nodes[node].names.get(text) else {
            return Action::Skip;
        };
        match (&self.names[name].targets[..], self.names[name].child) {
            (&[Target::Column(column)], None) => Action::Column(column as u32),
            ([Target::Time], None) => Action::Time,
            _ => Action::Other(name as u32),
        }
    }
}

/// A field whose path is empty is one at the top.
fn path_of(field: &FieldSpec) -> &[String] {
    if field.path.is_empty() { std::slice::from_ref(&field.name) } else { &field.path }
}

/// The names that matter in one object, and the steps learned there.
#[derive(Debug)]
pub(super) struct Node {
    names: HashMap<Box<[u8]>, usize>,
    steps: Vec<Step>,
    by_bytes: HashMap<Box<[u8]>, u16>,
    refused: u32,
}

impl Default for Node {
    fn default() -> Self {
        Node {
            names: HashMap::new(),
            steps: vec![Step::NEVER; Self::RESERVED],
            by_bytes: HashMap::new(),
            refused: 0,
        }
    }
}

/// Place of a step in its node.
pub(super) type StepId = u16;

impl Node {
    /// Before the first member of an object.
    pub(super) const START: StepId = 0;
    /// Behind a member that was not learned: nothing is known about what follows.
    pub(super) const LOST: StepId = 1;
    const RESERVED: usize = 2;
    /// Steps that are learned at most; names that are ever new do not fill the memory.
    const STEPS_MAX: usize = 256;
    /// Longest bytes of a step.
    const STEP_BYTES_MAX: usize = 80;
    /// Steps that were not learned for lack of room, until room is made.
    const REFUSED_MAX: u32 = 10_000;

    /// The step that stands at `at` behind `step`, and where its bytes end; `None` if no usual one does.
    #[inline(always)]
    pub(super) fn follow(&self, bytes: &[u8], at: usize, step: StepId) -> Option<(StepId, Action, usize)> {
        let [likely, other] = self.steps[usize::from(step)].next;
        let (low, high) = swar::two_words(bytes, at)?;
        let next = &self.steps[usize::from(likely)];
        if next.matches(low, high, bytes, at) {
            return Some((likely, next.action, at + next.length));
        }
        let next = &self.steps[usize::from(other)];
        if next.matches(low, high, bytes, at) {
            return Some((other, next.action, at + next.length));
        }
        None
    }

    /// Learns that these bytes follow `step` and what they mean. Returns the step that they are.
    pub(super) fn learn(&mut self, step: StepId, bytes: &[u8], action: Action) -> StepId {
        let found = self.by_bytes.get(bytes).copied();
        let Some(next) = found.or_else(|| self.add(bytes, action)) else {
            return Self::LOST;
        };
        if step != Self::LOST
            && let Some(step) = self.steps.get_mut(usize::from(step))
        {
            step.next = [next, step.next[0]];
        }
        next
    }

    fn add(&mut self, bytes: &[u8], action: Action) -> Option<StepId> {
        if self.steps.len() == Self::STEPS_MAX {
            self.refused += 1;
            if self.refused == Self::REFUSED_MAX {
                self.steps.truncate(Self::RESERVED);
                self.steps.fill(Step::NEVER);
                self.by_bytes.clear();
                self.refused = 0;
            }
            return None;
        }
        if bytes.len() > Self::STEP_BYTES_MAX {
            return None;
        }
        let id = self.steps.len() as StepId;
        self.steps.push(Step::new(bytes, action));
        self.by_bytes.insert(bytes.into(), id);
        Some(id)
    }
}

/// The bytes between two values, and what follows them.
#[derive(Debug, Clone)]
struct Step {
    words: [u64; 2],
    masks: [u64; 2],
    /// What is longer than two words.
    rest: Vec<u8>,
    length: usize,
    action: Action,
    next: [StepId; 2],
}

impl Step {
    /// Matches nothing and is followed by nothing.
    const NEVER: Step = Step {
        words: [1, 0],
        masks: [0, 0],
        rest: Vec::new(),
        length: 0,
        action: Action::Skip,
        next: [Node::LOST; 2],
    };

    fn new(bytes: &[u8], action: Action) -> Self {
        let mut words = [[0u8; 8]; 2];
        let mut masks = [[0u8; 8]; 2];
        for (at, &byte) in bytes.iter().take(16).enumerate() {
            words[at / 8][at % 8] = byte;
            masks[at / 8][at % 8] = 0xff;
        }
        Step {
            words: words.map(u64::from_le_bytes),
            masks: masks.map(u64::from_le_bytes),
            rest: bytes.get(16..).unwrap_or_default().into(),
            length: bytes.len(),
            action,
            ..Self::NEVER
        }
    }

    #[inline(always)]
    fn matches(&self, low: u64, high: u64, bytes: &[u8], at: usize) -> bool {
        let differs = ((low & self.masks[0]) ^ self.words[0]) | ((high & self.masks[1]) ^ self.words[1]);
        differs == 0 && (self.rest.is_empty() || bytes[at + 16..].starts_with(&self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_followed_by_those_that_followed_it_last() {
        let mut node = Node::default();
        let text = b"\"a\":1,\"a name of some length\":2}                 ";
        assert_eq!(node.follow(text, 0, Node::START), None);
        let first = node.learn(Node::START, &text[..4], Action::Skip);
        let second = node.learn(first, &text[5..30], Action::Time);
        assert_eq!(node.follow(text, 0, Node::START), Some((first, Action::Skip, 4)));
        assert_eq!(node.follow(text, 5, first), Some((second, Action::Time, 30)));
        assert_eq!(node.follow(b",\"a name of some lengtH\":2}             ", 0, first), None);
        let end = node.learn(first, b"}", Action::End);
        assert_eq!(node.follow(text, 5, first), Some((second, Action::Time, 30)));
        assert_eq!(node.follow(text, 31, first), Some((end, Action::End, 32)));
    }

    #[test]
    fn names_that_are_ever_new_do_not_fill_the_memory() {
        let mut node = Node::default();
        let mut learned = 0;
        for name in 0..50_000 {
            let step = node.learn(Node::START, format!("\"{name}\":").as_bytes(), Action::Skip);
            learned += usize::from(step != Node::LOST);
            assert!(node.steps.len() <= Node::STEPS_MAX && node.by_bytes.len() <= Node::STEPS_MAX);
        }
        assert!(learned > 2 * Node::STEPS_MAX, "room is made after a while");
    }
}
