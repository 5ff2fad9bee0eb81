//! How much of a base is trained.

use std::collections::BTreeSet;

use models::Graph;
use models::graph::NodeId;
use models::ops::Op;
use serde::{Deserialize, Serialize};

/// How much of the base is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "snake_case"))]
pub enum FinetuneStrategy {
    /// Only the new head, on features computed once for each view of an image.
    #[default]
    Head,
    /// The last stages and the head, on feature maps computed once for each view of an image.
    LastStage,
    /// The head first, then the last stages with it on augmented images, earlier layers more slowly.
    Staged,
    /// Every layer, from the first epoch on.
    Full,
    /// `head` or `staged`, by the number of images and the speed of this machine; an event says why.
    Auto,
}

impl FinetuneStrategy {
    /// Its name in options and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FinetuneStrategy::Head => "head",
            FinetuneStrategy::LastStage => "last_stage",
            FinetuneStrategy::Staged => "staged",
            FinetuneStrategy::Full => "full",
            FinetuneStrategy::Auto => "auto",
        }
    }
}

/// The names of the parameters that a strategy trains, of a base with a new head: weights of convolutions and linear layers
/// behind the boundary of its stages. Batch normalisation keeps its statistics, and so its weights, since few images tell
/// little about them; only when everything is trained it is too. `None` when there are fewer stages.
#[must_use]
pub fn trained(graph: &Graph, head: NodeId, strategy: FinetuneStrategy, stages: usize) -> Option<BTreeSet<String>> {
    let names = |trained: &dyn Fn(NodeId, &Op) -> bool| {
        let nodes = graph.iter().filter(|(id, node)| trained(*id, &node.op));
        nodes.flat_map(|(_, node)| node.params.iter().cloned()).collect()
    };
    Some(match strategy {
        FinetuneStrategy::Head => names(&|id, _| id == head),
        FinetuneStrategy::Full => names(&|_, _| true),
        FinetuneStrategy::LastStage | FinetuneStrategy::Staged | FinetuneStrategy::Auto => {
            let at = stage_boundary(graph, head, stages)?;
            names(&|id, op| id > at && !matches!(op, Op::BatchNorm(_)))
        }
    })
}

/// The node behind which the last stages begin: the last before them that everything behind goes through. A stage is what
/// computes images of one size and has weights of its own, the head's not counted. `None` when there are fewer stages.
#[must_use]
pub fn stage_boundary(graph: &Graph, head: NodeId, stages: usize) -> Option<NodeId> {
    let trained = |id: NodeId| matches!(graph.node(id).op, Op::Conv2d(_) | Op::Linear(_)) && id != head;
    let (mut found, mut size, mut layers) = (0, None, 0);
    let mut reached = 0;
    for (id, _) in graph.iter().rev() {
        let [_, height, width] = graph.shape(id).dims() else {
            layers += usize::from(trained(id));
            continue;
        };
        let here = (*height, *width);
        if size != Some(here) && graph.cut(id).is_ok() {
            if size.is_some() || layers > 0 {
                // Everything behind this node is a stage, if it has weights that the last one had not.
                if layers > reached {
                    reached = layers;
                    found += 1;
                    if found == stages {
                        return Some(id);
                    }
                }
            }
            size = Some(here);
        }
        layers += usize::from(trained(id));
    }
    None
}

#[cfg(test)]
mod tests {
    use models::zoo;

    use super::*;

    fn boundary(name: &str, stages: usize) -> Option<String> {
        let graph = zoo::find(name).unwrap().graph([224, 224], 1000).unwrap();
        let grafted = graph.graft("graft.head", 17).unwrap();
        let at = stage_boundary(&grafted.graph, grafted.head, stages)?;
        Some(format!("{} {}", grafted.graph.node(at).name, grafted.graph.shape(at)))
    }

    #[test]
    fn stages_are_those_of_the_papers() {
        let resnet = [1, 2, 3].map(|stages| boundary("resnet50", stages).unwrap());
        assert!(resnet[0].starts_with("layer3.5"), "{resnet:?}");
        assert!(resnet[1].starts_with("layer2.3"), "{resnet:?}");
        assert!(resnet[2].starts_with("layer1.2"), "{resnet:?}");
        assert_eq!(boundary("resnet50", 9), None);
        // The fully connected layers are VGG's last stage, the fifth block the one before.
        let vgg = [1, 2].map(|stages| boundary("vgg16", stages).unwrap());
        assert_eq!(vgg, ["features.30 [n, 512, 7, 7]", "features.22 [n, 512, 28, 28]"]);
    }
}
