//! Class names and pixel formats in the metadata of other programs.

use models::Labels;
use models::channels::ChannelOrder;
use models::preprocess::Preset;

use crate::file::ModelFile;

/// Facts that a foreign file declares by a known convention. Most files declare none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conventions {
    /// The class names, in the order of the outputs, and the key that declares them.
    pub labels: Option<(&'static str, Labels)>,
    /// The scale of the pixels.
    pub preset: Option<Preset>,
    /// The order of the color channels.
    pub channel_order: Option<ChannelOrder>,
    /// The metadata keys that declare the pixels.
    pub keys: Vec<&'static str>,
}

/// Keys under which programs keep class names; Ultralytics' is the first.
const LABEL_KEYS: [&str; 5] = ["names", "labels", "classes", "class_names", "id2label"];
/// Pixel ranges of ONNX's metadata for images.
const RANGES: [(&str, Preset); 3] =
    [("NominalRange_0_255", Preset::Bytes), ("Normalized_0_1", Preset::ZeroOne), ("Normalized_1_1", Preset::KerasTf)];
const RANGE_KEY: &str = "Image.NominalPixelRange";
const FORMAT_KEY: &str = "Image.BitmapPixelFormat";

impl ModelFile {
    /// Reads the metadata of Ultralytics' exporter and of ONNX's conventions for images.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        let mut conventions = Conventions::default();
        let labels = LABEL_KEYS.iter().find_map(|key| Some((*key, Labels::parse_metadata(self.metadata(key)?)?)));
        if let Some((key, labels)) = labels {
            conventions.labels = Some((key, labels));
        }
        let range = self.metadata(RANGE_KEY).and_then(|range| RANGES.iter().find(|(name, _)| *name == range));
        if let Some((_, preset)) = range {
            conventions.preset = Some(*preset);
            conventions.keys.push(RANGE_KEY);
        } else if self.metadata("author") == Some("Ultralytics") {
            conventions.preset = Some(Preset::ZeroOne);
            conventions.keys.push("author");
        }
        let order = match self.metadata(FORMAT_KEY) {
            Some("Bgr8" | "Bgra8") => Some(ChannelOrder::Bgr),
            Some("Rgb8" | "Rgba8") => Some(ChannelOrder::Rgb),
            _ => None,
        };
        if order.is_some() {
            conventions.channel_order = order;
            conventions.keys.push(FORMAT_KEY);
        }
        conventions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{GraphProto, ModelProto, StringStringEntryProto};

    fn file(entries: &[(&str, &str)]) -> ModelFile {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto { key: (*key).into(), value: (*value).into() };
        let metadata_props = entries.iter().map(entry).collect();
        ModelFile { proto: ModelProto { metadata_props, graph: Some(GraphProto::default()), ..ModelProto::default() } }
    }

    #[test]
    fn ultralytics_names_and_scale_are_understood() {
        let conventions =
            file(&[("author", "Ultralytics"), ("names", "{0: 'rose', 1: \"colts' foot\"}")]).conventions();
        assert_eq!(conventions.labels.unwrap().1.names(), ["rose", "colts' foot"]);
        assert_eq!((conventions.preset, conventions.channel_order), (Some(Preset::ZeroOne), None));
    }

    #[test]
    fn onnx_image_conventions_are_understood() {
        let conventions = file(&[(RANGE_KEY, "Normalized_1_1"), (FORMAT_KEY, "Bgr8")]).conventions();
        assert_eq!((conventions.preset, conventions.channel_order), (Some(Preset::KerasTf), Some(ChannelOrder::Bgr)));
        assert_eq!(conventions.keys, [RANGE_KEY, FORMAT_KEY]);
    }

    #[test]
    fn a_file_that_says_nothing_is_not_guessed_at() {
        assert_eq!(file(&[("names", "whatever"), (RANGE_KEY, "?")]).conventions(), Conventions::default());
    }
}
