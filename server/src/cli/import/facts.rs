//! What a foreign ONNX file says of itself: by its metadata, and by its inputs and outputs.

use models::channels::ChannelOrder;
use models::preprocess::Preset;
use onnx::conventions::Conventions;
use onnx::signature::{ImageSize, InputEvidence, PixelScale};
use onnx::{ImportError, ModelFile, Signature, SignatureOptions};

use super::labels::NamedLabels;
use super::origin::PreparationSource;

/// What a file says of itself.
#[derive(Debug, Clone)]
pub(in crate::cli) struct FileFacts {
    pub(in crate::cli) signature: Signature,
    pub(in crate::cli) labels: Option<NamedLabels>,
    /// How its images are prepared, if it says so.
    pub(in crate::cli) known: Option<PreparationSource>,
}

impl FileFacts {
    /// Of a file of which the caller knows this; class names in the metadata count as known.
    pub(in crate::cli) fn of(file: &ModelFile, options: &SignatureOptions<'_>) -> Result<Self, ImportError> {
        let conventions = file.conventions();
        let classes = options.classes.or(conventions.labels.as_ref().map(|(_, labels)| labels.len()));
        let signature = file.signature(&SignatureOptions { classes, ..*options })?;
        signature.input.check()?;
        let zipped = signature.output().labels.clone().map(|labels| NamedLabels::new(labels, "the file's `ZipMap`"));
        let named = |(key, labels)| NamedLabels::new(labels, format!("the file's metadata `{key}`"));
        // graft's own files say so whole; one that cannot be parsed is an opaque model that was exported.
        let known = match file.spec()? {
            Some(spec) => Some(PreparationSource::Spec(Box::new(spec))),
            None => preparation(&signature.input, &conventions),
        };
        Ok(Self { labels: zipped.or(conventions.labels.map(named)), signature, known })
    }

    /// A line for the input and for each output.
    pub(in crate::cli) fn lines(&self) -> Vec<String> {
        let Signature { input, outputs, chosen } = &self.signature;
        let used = |index: usize| if index == *chosen || outputs.len() == 1 { "" } else { ", not used" };
        let outputs = outputs.iter().enumerate().map(|(index, output)| format!("{output}{}", used(index)));
        std::iter::once(input.to_string()).chain(outputs).collect()
    }
}

/// How images are prepared.
fn preparation(input: &InputEvidence, conventions: &Conventions) -> Option<PreparationSource> {
    let scaled = scaled(input, conventions);
    match input.size {
        ImageSize::Resized(_) => Some(PreparationSource::Squashed(scaled.map(Box::new))),
        ImageSize::Declared | ImageSize::Open => scaled,
    }
}

/// How pixels are scaled, by the type of the input, else by the metadata, else by the network's first operators.
fn scaled(input: &InputEvidence, conventions: &Conventions) -> Option<PreparationSource> {
    let order = conventions.channel_order;
    let keys = || format!("by the file's metadata ({})", conventions.keys.join(", "));
    let preset = |preset: Preset, origin: String| Some(PreparationSource::Preset { preset, order, origin });
    match (input.pixels, conventions.preset, input.preset()) {
        (PixelScale::Bytes, ..) => Some(PreparationSource::Bytes { order }),
        (_, Some(known), _) => preset(known, keys()),
        (_, None, Some(known)) => preset(known, "as the network's own arithmetic on its input wants it".to_owned()),
        (PixelScale::Unclear, None, None) => Some(PreparationSource::Unclear),
        (_, None, None) if order == Some(ChannelOrder::Bgr) => {
            preset(Preset::Torchvision, format!("{}, and as torchvision does for the rest", keys()))
        }
        (_, None, None) if input.channels == 1 => {
            preset(Preset::ZeroOne, "as 0..1, because the file does not say how (see --preprocess)".to_owned())
        }
        (_, None, None) => None,
    }
}
