//! The order of a file's nodes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use thiserror::Error;

use crate::edit::captured;
use crate::proto::{GraphProto, NodeProto};

/// Nodes that take each other's outputs.
#[derive(Debug, Error)]
#[error("the nodes {nodes} take each other's outputs in a circle, so none can be computed; export the model again")]
pub struct NodeCycle {
    /// The names of the nodes, in order.
    nodes: String,
}

/// Puts every node behind those whose outputs it takes, as ONNX wants it. Converters that append nodes leave that undone, and
/// ONNX Runtime does not mind. Nodes that are in order stay where they are.
pub(crate) fn sort(graph: &mut GraphProto) -> Result<(), NodeCycle> {
    let producers = producers(&graph.node);
    let needs: Vec<HashSet<usize>> = graph.node.iter().map(|node| needed(node, &producers)).collect();
    if needs.iter().enumerate().all(|(index, needs)| needs.iter().all(|&earlier| earlier < index)) {
        return Ok(());
    }
    let mut users = vec![Vec::new(); needs.len()];
    let mut missing: Vec<usize> = needs.iter().map(HashSet::len).collect();
    for (index, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|&earlier| users[earlier].push(index));
    }
    let free = missing.iter().enumerate().filter(|&(_, &missing)| missing == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(|(index, _)| Reverse(index)).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &user in &users[index] {
            missing[user] -= 1;
            if missing[user] == 0 {
                ready.push(Reverse(user));
            }
        }
    }
    if order.len() < needs.len() {
        return Err(NodeCycle { nodes: cycle(&graph.node, &needs, &missing) });
    }
    let mut nodes: Vec<Option<NodeProto>> = std::mem::take(&mut graph.node).into_iter().map(Some).collect();
    graph.node = order.into_iter().filter_map(|index| nodes[index].take()).collect();
    Ok(())
}

/// The node that makes each tensor.
fn producers(nodes: &[NodeProto]) -> HashMap<String, usize> {
    let outputs = nodes.iter().enumerate().flat_map(|(index, node)| node.output.iter().map(move |name| (name, index)));
    outputs.filter(|(name, _)| !name.is_empty()).map(|(name, index)| (name.clone(), index)).collect()
}

/// The nodes that must come before this one.
fn needed(node: &NodeProto, producers: &HashMap<String, usize>) -> HashSet<usize> {
    node.input.iter().chain(&captured(node)).filter_map(|name| producers.get(name).copied()).collect()
}

/// The nodes of one circle, as `a` -> `b` -> `a`.
fn cycle(nodes: &[NodeProto], needs: &[HashSet<usize>], missing: &[usize]) -> String {
    const SHOWN: usize = 8;
    let mut path: Vec<usize> = Vec::new();
    let mut at = missing.iter().position(|&missing| missing > 0);
    while let Some(index) = at.filter(|index| !path.contains(index)) {
        path.push(index);
        // What is left over waits for something that is left over too.
        at = needs[index].iter().copied().filter(|&earlier| missing[earlier] > 0).min();
    }
    let start = at.and_then(|at| path.iter().position(|&index| index == at)).unwrap_or(0);
    let named = |index: usize| match &nodes[index].name {
        name if name.is_empty() => format!("`{}`", nodes[index].output.first().map_or("", String::as_str)),
        name => format!("`{name}`"),
    };
    let circle = path[start..].iter().rev().chain(path.last()).map(|&index| named(index)).collect::<Vec<_>>();
    match circle.len() {
        ..=SHOWN => circle.join(" -> "),
        nodes => format!("{} -> … ({} nodes)", circle[..SHOWN].join(" -> "), nodes - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(nodes: &[(&str, &str, &str)]) -> GraphProto {
        let node = |&(name, input, output): &(&str, &str, &str)| NodeProto {
            name: name.to_owned(),
            input: input.split(' ').map(str::to_owned).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        };
        GraphProto { node: nodes.iter().map(node).collect(), ..GraphProto::default() }
    }

    fn names(graph: &GraphProto) -> Vec<&str> {
        graph.node.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn a_node_moves_behind_those_whose_outputs_it_takes_and_the_rest_stays() {
        let mut graph =
            graph(&[("conv", "cast w", "c"), ("relu", "c", "r"), ("cast", "x", "cast"), ("other", "x", "o")]);
        sort(&mut graph).unwrap();
        assert_eq!(names(&graph), ["cast", "conv", "relu", "other"]);
    }

    #[test]
    fn nodes_in_order_stay_where_they_are() {
        let mut graph = graph(&[("b", "x", "1"), ("a", "1 x", "2"), ("c", "1 2", "3")]);
        sort(&mut graph).unwrap();
        assert_eq!(names(&graph), ["b", "a", "c"]);
    }

    #[test]
    fn a_circle_is_an_error_that_names_its_nodes() {
        let table = [
            (vec![("a", "a", "a")], "`a` -> `a`"),
            (vec![("in", "b", "x"), ("a", "c", "b"), ("", "b", "c")], "`c` -> `a` -> `c`"),
        ];
        for (nodes, expected) in table {
            let error = sort(&mut graph(&nodes)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
