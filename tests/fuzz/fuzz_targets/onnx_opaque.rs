//! ONNX files kept as they are: wrapped in every way and given another head, or refused; what comes out is a file with the
//! spec inside.

#![no_main]

use fuzz::mutate;
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use models::channels::ChannelOrder;
use models::ops::{Linear, Shape};
use models::{GraphBuilder, Labels, ModelSpec, Network, Preprocess, init};
use onnx::{Batching, ModelFile, OpaqueOptions, SignatureOptions, metadata};

fuzz_target!(|file: &[u8]| {
    let Ok(model) = ModelFile::decode_with(file.to_vec(), &mut mutate::zeros) else { return };
    let spec = ModelSpec::new("fuzzed", Some(Labels::new(vec!["rose".to_owned(), "lady's slipper".to_owned()])), Preprocess::torchvision(32, 32));
    let Ok(signature) = model.signature(&SignatureOptions::default()) else { return };
    let scored = model.scored(&signature).expect("it has a signature");
    for (channel_order, batch) in [
        (ChannelOrder::Rgb, Batching::Dynamic),
        (ChannelOrder::Rgb, Batching::Declared),
        (ChannelOrder::Bgr, Batching::Dynamic),
        (ChannelOrder::Bgr, Batching::Declared),
        (ChannelOrder::Rgb, Batching::One),
    ] {
        let options = OpaqueOptions { spec: &spec, channel_order, batch, width: Some(2) };
        let Ok(opaque) = scored.wrap_opaque(&options) else { return };
        assert_eq!(metadata::spec(&opaque).expect("it was written by graft").as_ref(), Some(&spec));
        let opaque = ModelFile::decode(opaque).expect("it was written by graft");
        let shape = opaque.image_shape().expect("it has graft's input");
        // graft's nodes make gray of RGB.
        let found = model.image_shape().expect("it was found before");
        let colors = if found.dims()[0] == 1 { Shape::image(3, found.dims()[1], found.dims()[2]) } else { found };
        assert_eq!(shape, colors);
        let fixed = opaque.fixed_batch().expect("as its shape");
        assert!(fixed.is_none() || batch != Batching::Dynamic);
        let Ok(extractor) = opaque.feature_extractor() else { continue };
        let features = ModelFile::decode(extractor.encode()).expect("it was written by graft");
        assert_eq!(features.image_shape().expect("it has graft's input"), shape);
        let grafted = extractor.with_head(&head(&spec)).expect("labels that fit the head");
        assert_eq!(metadata::spec(&grafted).expect("it was written by graft").as_ref(), Some(&spec));
        let again = ModelFile::decode(grafted).expect("it was written by graft").feature_extractor();
        assert!(again.is_ok(), "the head that was put there is not found: {again:?}");
    }
});

/// A linear layer behind four features.
fn head(spec: &ModelSpec) -> Network {
    let mut graph = GraphBuilder::new("features", Shape::new([4]));
    let head = graph.push("graft.head", Linear::new(4, 2), &[graph.input()]).expect("it fits");
    let graph = graph.finish(head);
    Network::new(graph.clone(), &init::he(&graph, 0), spec.clone()).expect("its own weights")
}

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| { mutate::model(data, size, most, seed) });
fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| { mutate::join(one, other, out, seed) });
