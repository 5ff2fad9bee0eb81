//! ONNX files kept as they are: wrapped in every way, or refused; what comes out is a file with the spec inside.

#![no_main]

use fuzz::mutate;
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use models::channels::ChannelOrder;
use models::{Labels, ModelSpec, Preprocess};
use onnx::{Adoption, Batching, ModelFile, metadata};

fuzz_target!(|file: &[u8]| {
    let Ok(model) = ModelFile::decode_with(file.to_vec(), &mut mutate::zeros) else { return };
    let spec = ModelSpec {
        architecture: "fuzzed".to_owned(),
        labels: Some(Labels::new(vec!["rose".to_owned(), "lady's slipper".to_owned()])),
        preprocess: Preprocess::torchvision(32, 32),
        training: None,
    };
    for (channel_order, batch) in [
        (ChannelOrder::Rgb, Batching::Dynamic),
        (ChannelOrder::Rgb, Batching::Declared),
        (ChannelOrder::Bgr, Batching::Dynamic),
        (ChannelOrder::Bgr, Batching::Declared),
    ] {
        let Ok(adopted) = model.adopt(&Adoption { spec: &spec, channel_order, batch }) else { return };
        assert_eq!(metadata::spec(&adopted).expect("it was written by graft").as_ref(), Some(&spec));
        let adopted = ModelFile::decode(adopted).expect("it was written by graft");
        let shape = adopted.image_shape().expect("it has graft's input");
        assert_eq!(shape, model.image_shape().expect("it was found before"));
        let fixed = adopted.fixed_batch().expect("as its shape");
        assert!(fixed.is_none() || batch == Batching::Declared);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| { mutate::model(data, size, most, seed) });
fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| { mutate::join(one, other, out, seed) });
