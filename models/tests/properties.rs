//! Properties of random graphs and images.

mod support;

use models::Graph;
use models::graph::{Cut, GraphError};
use models::preprocess::{Limits, Preprocess, Resize, RgbImage};
use proptest::prelude::*;
use support::graphs;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_stored_graph_is_read_back(graph in graphs()) {
        let json = graph.to_json();
        prop_assert_eq!(serde_json::from_str::<Graph>(&json).expect("it was written by graft"), graph);
    }

    #[test]
    fn a_prefix_and_its_suffix_are_the_whole(graph in graphs()) {
        for (at, node) in graph.iter() {
            let Cut { prefix, suffix } = match graph.cut(at) {
                Ok(cut) => cut,
                Err(GraphError::Crossing { at: named, .. }) => {
                    prop_assert_eq!(&named, &node.name);
                    continue;
                }
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            };
            prop_assert_eq!(prefix.shape(prefix.output()), suffix.shape(suffix.input()));
            prop_assert_eq!(suffix.shape(suffix.output()), graph.shape(graph.output()));
            prop_assert_eq!(prefix.nodes().len() + suffix.nodes().len(), graph.nodes().len() + 1);
            let (whole, parts) = (graph.counts(), [prefix.counts(), suffix.counts()]);
            prop_assert_eq!(parts.iter().map(|counts| counts.macs).sum::<u64>(), whole.macs);
            prop_assert_eq!(parts.iter().map(|counts| counts.parameters).sum::<u64>(), whole.parameters);
        }
    }

    #[test]
    fn the_shorter_side_is_as_asked_and_the_longer_is_truncated(
        width in 1..48_u32, height in 1..48_u32, size in 1..48_u32,
    ) {
        let preprocess = Preprocess { resize: Resize::ShorterSide { size }, crop: None, ..Preprocess::torchvision(8, 8) };
        let image = RgbImage::new(width, height, vec![7; 3 * (width * height) as usize]).expect("three bytes a pixel");
        let resized = preprocess.fit(&image, &Limits::default()).expect("within the limits");
        let (shorter, longer) = (width.min(height), width.max(height));
        let (short, side) = match width <= height {
            true => (resized.width(), resized.height()),
            false => (resized.height(), resized.width()),
        };
        prop_assert_eq!(short, size);
        // The longest side that does not exceed the aspect ratio.
        prop_assert!(side * shorter <= size * longer && size * longer < (side + 1) * shorter);
    }

    #[test]
    fn a_crop_has_its_size_whatever_the_image(
        width in 1..48_u32, height in 1..48_u32, crop in 1..32_u32,
    ) {
        let preprocess = Preprocess::torchvision(crop, crop);
        let image = RgbImage::new(width, height, vec![7; 3 * (width * height) as usize]).expect("three bytes a pixel");
        let cropped = preprocess.fit(&image, &Limits::default()).expect("within the limits");
        prop_assert_eq!((cropped.width(), cropped.height()), (crop, crop));
        // The image is never smaller than the crop, so there is no black border.
        prop_assert!(cropped.data().iter().all(|&byte| byte == 7));
    }
}
