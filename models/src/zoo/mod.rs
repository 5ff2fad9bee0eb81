//! The networks that graft builds, by name, and their published weights.

mod published;

pub use published::{PUBLISHED, PublishedWeights};

use crate::cifar::{ORIGINAL, Original, PREACTIVATION, Pooling, PreActivation, TFLEARN, TfLearn};
use crate::graph::{Folding, Graph, GraphError};
use crate::inverted::{self, InvertedResNet};
use crate::resnet::{self, ResNet};
use crate::vgg::{self, Vgg};

/// A row of one of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// A VGG for ImageNet.
    Vgg(&'static Vgg),
    /// A ResNet for ImageNet.
    ResNet(&'static ResNet),
    /// A CIFAR ResNet.
    Original(&'static Original),
    /// A CIFAR ResNet with pre-activation.
    PreActivation(&'static PreActivation),
    /// tflearn's example.
    TfLearn(&'static TfLearn),
    /// A network of inverted residuals.
    Inverted(&'static InvertedResNet),
}

/// Every network, family by family in the order of their tables.
pub fn all() -> impl Iterator<Item = Architecture> {
    vgg::TABLE
        .iter()
        .map(Architecture::Vgg)
        .chain(resnet::TABLE.iter().map(Architecture::ResNet))
        .chain(ORIGINAL.iter().map(Architecture::Original))
        .chain(PREACTIVATION.iter().map(Architecture::PreActivation))
        .chain(TFLEARN.iter().map(Architecture::TfLearn))
        .chain(inverted::TABLE.iter().map(Architecture::Inverted))
}

/// The network of this name. A VGG is also known by the paper's column, as `vgg_d` or `vgg_a_lrn`.
#[must_use]
pub fn find(name: &str) -> Option<Architecture> {
    let column = |row: &Vgg| format!("vgg_{}", row.column.to_lowercase().replace('-', "_"));
    all().find(|architecture| match architecture {
        Architecture::Vgg(row) if row.normalization != vgg::VggNormalization::Batch => {
            row.name == name || column(row) == name
        }
        architecture => architecture.name() == name,
    })
}

/// The networks of the tables with the structure of this graph, at its input size and number of classes. Several match if
/// they differ only in a batch normalization that the graph has folded.
#[must_use]
pub fn recognize(graph: &Graph) -> Vec<Architecture> {
    let Ok((3, height, width)) = graph.shape(graph.input()).chw() else { return vec![] };
    let classes = graph.shape(graph.output()).len();
    let built = all().filter_map(|row| row.graph([height, width], classes).ok().map(|built| (row, built)));
    let built: Vec<(Architecture, Graph)> = built.collect();
    [Folding::Keep, Folding::Fold]
        .into_iter()
        .map(|folding| {
            let fingerprint = graph.fingerprint(folding);
            let same = built.iter().filter(|(_, built)| built.fingerprint(folding) == fingerprint);
            same.map(|(row, _)| *row).collect::<Vec<_>>()
        })
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

impl Architecture {
    /// The name, as in commands and in a spec: `resnet50`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Vgg(row) => row.name,
            Architecture::ResNet(row) => row.name,
            Architecture::Original(row) => row.name,
            Architecture::PreActivation(row) => row.name,
            Architecture::TfLearn(row) => row.name,
            Architecture::Inverted(row) => row.name,
        }
    }

    /// The paper and the row of its table.
    #[must_use]
    pub fn source(self) -> String {
        match self {
            Architecture::Vgg(row) => {
                let norm = if row.normalization == vgg::VggNormalization::Batch { ", batch normalization" } else { "" };
                format!("Simonyan and Zisserman 2015, table 1, {}{norm}", row.column)
            }
            Architecture::ResNet(row) => match row.block {
                resnet::Block::Basic => "He et al. 2016, table 1".to_owned(),
                resnet::Block::Bottleneck(resnet::Stride::Middle) => {
                    "He et al. 2016, table 1, stride on the 3x3 (torchvision)".to_owned()
                }
                resnet::Block::Bottleneck(resnet::Stride::First) => {
                    "He et al. 2016, table 1, stride on the first 1x1 (the paper)".to_owned()
                }
            },
            Architecture::Original(row) => format!("He et al. 2016, table 6, n = {}", row.n),
            Architecture::PreActivation(row) => format!("He et al. 2016 (identity mappings), table 2, n = {}", row.n),
            Architecture::TfLearn(row) => {
                let pooling = if row.pooling == Pooling::Mean { ", shortcuts averaged (2017)" } else { "" };
                format!("tflearn's residual_network_cifar10 example, n = {}{pooling}", row.n)
            }
            Architecture::Inverted(_) => "graft's own, of inverted residuals (Sandler et al. 2018)".to_owned(),
        }
    }

    /// Height and width of the images that its paper, or graft's recipe, trains on.
    #[must_use]
    pub fn input(self) -> [usize; 2] {
        match self {
            Architecture::Vgg(_) | Architecture::ResNet(_) => [224; 2],
            Architecture::Original(_) | Architecture::PreActivation(_) | Architecture::TfLearn(_) => [32; 2],
            Architecture::Inverted(_) => [64; 2],
        }
    }

    /// The number of classes in its paper or recipe.
    #[must_use]
    pub fn classes(self) -> usize {
        match self {
            Architecture::Vgg(_) | Architecture::ResNet(_) => 1000,
            Architecture::Original(_) | Architecture::PreActivation(_) | Architecture::TfLearn(_) => 10,
            Architecture::Inverted(_) => 200,
        }
    }

    /// The network from normalized `[n, 3, h, w]` to logits `[n, classes]`; `input` is `[h, w]`.
    ///
    /// # Errors
    /// [`GraphError`] when the input is too small.
    pub fn graph(self, input: [usize; 2], classes: usize) -> Result<Graph, GraphError> {
        match self {
            Architecture::Vgg(row) => row.graph(input, classes),
            Architecture::ResNet(row) => row.graph(input, classes),
            Architecture::Original(row) => row.graph(input, classes),
            Architecture::PreActivation(row) => row.graph(input, classes),
            Architecture::TfLearn(row) => row.graph(input, classes),
            Architecture::Inverted(row) => row.graph(input, classes),
        }
    }
}
