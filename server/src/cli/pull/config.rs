//! `config.json` of a timm repository: what the weights are, and how they were evaluated.

use anyhow::{Context, Result, bail};
use models::preprocess::{Crop, Filter, Resize};
use models::zoo::PublishedWeights;
use models::{Labels, Preprocess};
use serde::Deserialize;

/// What graft needs of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    pub(super) architecture: String,
    pub(super) preprocess: Preprocess,
    pub(super) labels: Option<Labels>,
}

/// The file. Older ones have the inner part at the top.
#[derive(Deserialize)]
struct ConfigFile {
    architecture: String,
    pretrained_cfg: Option<PretrainedConfig>,
    #[serde(default)]
    label_names: Option<Vec<String>>,
}

/// How the weights were trained, and, where that differs, evaluated.
#[derive(Deserialize)]
struct PretrainedConfig {
    input_size: [u32; 3],
    test_input_size: Option<[u32; 3]>,
    #[serde(default = "whole")]
    crop_pct: f64,
    test_crop_pct: Option<f64>,
    #[serde(default)]
    crop_mode: Option<String>,
    interpolation: String,
    mean: [f32; 3],
    std: [f32; 3],
}

fn whole() -> f64 {
    1.0
}

impl Config {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let stored: ConfigFile = serde_json::from_slice(bytes).context("it is not one of timm's")?;
        let inner = match stored.pretrained_cfg {
            Some(inner) => inner,
            None => serde_json::from_slice(bytes).context("it does not say how its images are prepared")?,
        };
        let labels = stored.label_names.map(Labels::new);
        Ok(Self { architecture: stored.architecture, preprocess: inner.preprocess()?, labels })
    }

    /// Of weights that graft knows, where the repository says nothing.
    pub(super) fn of(published: &PublishedWeights) -> Self {
        let architecture = published.architecture.to_owned();
        Self { architecture, preprocess: published.preprocess(), labels: None }
    }
}

impl PretrainedConfig {
    fn preprocess(&self) -> Result<Preprocess> {
        let [channels, height, width] = self.test_input_size.unwrap_or(self.input_size);
        if channels != 3 {
            bail!("its images have {channels} channels");
        }
        let share = self.test_crop_pct.unwrap_or(self.crop_pct);
        if !(share > 0.0 && share <= 1.0) {
            bail!("crop_pct is {share}");
        }
        let filter = match self.interpolation.as_str() {
            "bilinear" => Filter::Bilinear,
            "bicubic" => Filter::Bicubic,
            "lanczos" => Filter::Lanczos,
            other => bail!("it resizes by `{other}`, which graft does not do"),
        };
        // timm rounds down, `math.floor(size / crop_pct)`.
        let enlarged = |side: u32| (f64::from(side) / share).floor() as u32;
        let resize = match self.crop_mode.as_deref() {
            None | Some("center") => Resize::ShorterSide { size: enlarged(height.min(width)) },
            Some("squash") => Resize::Exact { width: enlarged(width), height: enlarged(height) },
            Some(other) => bail!("it crops by `{other}`, which graft does not do"),
        };
        let crop = Some(Crop { height, width });
        let preprocess =
            Preprocess { resize, filter, crop, mean: self.mean, std: self.std, ..Preprocess::torchvision(1, 1) };
        preprocess.validate()?;
        Ok(preprocess)
    }
}

#[cfg(test)]
mod tests {
    use models::zoo::PUBLISHED;

    use super::*;

    fn timm(architecture: &str, evaluated: &str) -> Vec<u8> {
        format!(
            r#"{{"architecture": "{architecture}", "num_classes": 1000, "pretrained_cfg": {{
                "tag": "x", "interpolation": "bilinear", "crop_mode": "center",
                "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], {evaluated}}}}}"#
        )
        .into_bytes()
    }

    /// timm's numbers for the weights that torchvision calls V1 and V2 come to torchvision's.
    #[test]
    fn timm_and_torchvision_say_the_same_of_the_same_weights() {
        for row in PUBLISHED.iter().filter(|row| row.repository.is_some()) {
            let evaluated = match row.weights {
                "IMAGENET1K_V1" => r#""input_size": [3, 224, 224], "crop_pct": 0.875"#,
                _ => {
                    r#""input_size": [3, 176, 176], "test_input_size": [3, 224, 224],
                       "crop_pct": 0.875, "test_crop_pct": 0.965"#
                }
            };
            let config = Config::parse(&timm(row.architecture, evaluated)).unwrap();
            assert_eq!(config, Config::of(row), "{} {}", row.architecture, row.weights);
        }
    }

    #[test]
    fn what_cannot_be_reproduced_is_refused() {
        for (evaluated, reason) in [
            (r#""input_size": [1, 28, 28], "crop_pct": 1.0"#, "1 channels"),
            (r#""input_size": [3, 224, 224], "crop_pct": 0.0"#, "crop_pct"),
        ] {
            let error = Config::parse(&timm("resnet18", evaluated)).unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
        let error = Config::parse(b"{\"architectures\": [\"ResNetForImageClassification\"]}").unwrap_err();
        assert_eq!(error.to_string(), "it is not one of timm's");
    }
}
