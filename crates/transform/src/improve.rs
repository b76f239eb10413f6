//! Passes over a finished tree that make it cheaper without changing what it gives.

use std::collections::HashMap;
use std::sync::Arc;

use crate::node::Node;
use crate::program::Program;
use crate::shared_text::SharedText;

/// The tree with parts over one text column shared, and arithmetic of doubles fused.
pub(crate) fn improve(node: &Node, is_text: &dyn Fn(usize) -> bool) -> Node {
    let shared = Pass { rewrite: &|node| share_text(node, is_text), done: HashMap::new() }.run(node);
    Pass { rewrite: &fuse, done: HashMap::new() }.run(&shared)
}

/// The tree over columns in other places. Before it is improved.
pub(crate) fn renumber(node: &Node, place: &dyn Fn(usize) -> usize) -> Node {
    let rewrite = |node: &Node| match node {
        Node::Column(column) => Some(Node::Column(place(*column))),
        _ => None,
    };
    Pass { rewrite: &rewrite, done: HashMap::new() }.run(node)
}

/// A rewriting from the top down. What stands in several places of a tree stays one node.
struct Pass<'a> {
    /// The replacement of a node with all below it, or `None` to go on below it.
    rewrite: &'a dyn Fn(&Node) -> Option<Node>,
    done: HashMap<usize, Node>,
}

impl Pass<'_> {
    fn run(&mut self, node: &Node) -> Node {
        let address = node.address();
        if let Some(done) = address.and_then(|address| self.done.get(&address)) {
            return done.clone();
        }
        let replaced = match (self.rewrite)(node) {
            Some(Node::Program(program)) => {
                Node::Program(Arc::new(program.map_leaves(&mut |leaf| self.run(leaf))))
            }
            Some(other) => other,
            None => node.map_children(&mut |child| self.run(child)),
        };
        if let Some(address) = address {
            self.done.insert(address, replaced.clone());
        }
        replaced
    }
}

/// The largest parts that read exactly one text column.
fn share_text(node: &Node, is_text: &dyn Fn(usize) -> bool) -> Option<Node> {
    if matches!(node, Node::Column(_) | Node::Constant(_) | Node::SharedText(_)) {
        return Some(node.clone());
    }
    match node.columns().as_slice() {
        [column] if is_text(*column) => Some(Node::SharedText(Arc::new(SharedText::new(*column, node)))),
        _ => None,
    }
}

fn fuse(node: &Node) -> Option<Node> {
    match node {
        Node::Call(call) => Program::of(call).map(|program| Node::Program(Arc::new(program))),
        _ => None,
    }
}
