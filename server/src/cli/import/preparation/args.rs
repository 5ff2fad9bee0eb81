//! Asking for a preparation: a preset, and what is changed in it.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use models::Preprocess;
use models::channels::ChannelOrder;
use models::preprocess::{Crop, Filter, Preset, Resize};

use super::{Preparation, resized};
use crate::cli::import::origin::PreparationSource;

/// Why nothing but bytes goes into some networks.
const BYTES: &str = "the network's input holds bytes (UINT8), so pixels can only go in as 0..255";

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How images are prepared (a file that graft wrote says so itself)")]
pub(in crate::cli::import) struct PreparationArgs {
    /// How the network was trained to see images [default: what the file says, else torchvision]
    #[arg(long, env = "GRAFT_PREPROCESS", value_enum)]
    preprocess: Option<PresetArg>,

    /// How an image is resized first: `none`, `exact` to the input's size, or its shorter side to so many pixels
    #[arg(long, env = "GRAFT_RESIZE", value_name = "HOW", value_parser = parse_resize)]
    resize: Option<ResizeArg>,

    /// What is cut out of the centre: `none`, or pixels as 224 or 224x320
    #[arg(long, env = "GRAFT_CROP", value_name = "PIXELS", value_parser = parse_crop)]
    crop: Option<CropArg>,

    /// The filter for resizing
    #[arg(long, env = "GRAFT_FILTER", value_enum)]
    filter: Option<FilterArg>,

    /// Mean of red, green and blue, subtracted from pixels 0..1 (see --pixel-max)
    #[arg(long, env = "GRAFT_MEAN", value_name = "R,G,B", value_delimiter = ',', num_args = 1..=3, allow_negative_numbers = true)]
    mean: Option<Vec<f32>>,

    /// Deviation of red, green and blue, which pixels are divided by
    #[arg(long, env = "GRAFT_STD", value_name = "R,G,B", value_delimiter = ',', num_args = 1..=3)]
    std: Option<Vec<f32>>,

    /// What a white pixel is in the units of --mean and --std: 1, or 255
    #[arg(long, env = "GRAFT_PIXEL_MAX", value_name = "N", default_value_t = 1.0)]
    pixel_max: f32,

    /// The order in which the network takes the colors
    #[arg(long, env = "GRAFT_CHANNEL_ORDER", value_enum)]
    channel_order: Option<OrderArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresetArg {
    /// RGB, ImageNet's mean and deviation; shorter side to 8/7 of the input, centre crop: torchvision, timm.
    Torchvision,
    /// As torchvision, but squashed to the input, nothing cut off: networks for small images, CIFAR's among them.
    Squashed,
    /// BGR, 0..255 less ImageNet's mean; geometry as torchvision's: Caffe, and Keras' VGG and ResNet.
    CaffeBgr,
    /// RGB scaled to -1..1; squashed to the input: Keras' MobileNet, Inception, ResNet v2.
    KerasTf,
    /// RGB scaled to 0..1; shorter side to the input, centre crop: Ultralytics.
    ZeroOne,
    /// RGB 0..255 as it is; squashed to the input: networks that scale by themselves, as Keras' EfficientNet.
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FilterArg {
    /// Triangle.
    Bilinear,
    /// Catmull-Rom.
    Bicubic,
    /// Lanczos, three lobes.
    Lanczos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OrderArg {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResizeArg {
    None,
    Exact,
    ShorterSide(u32),
}

/// `none`, or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CropArg(Option<Crop>);

impl PreparationArgs {
    /// Whether nothing about the preparation was said.
    pub(in crate::cli::import) fn is_open(&self) -> bool {
        self.preprocess.is_none() && !self.changes()
    }

    /// What was asked for, or what is known, or torchvision's; for images of this size.
    pub(in crate::cli::import) fn choose(
        &self,
        known: Option<&PreparationSource>,
        size: [u32; 2],
    ) -> Result<Preparation> {
        self.changed(self.preset(known, size)?, size)
    }

    /// What was asked for as a whole, or is known, or torchvision's.
    fn preset(&self, known: Option<&PreparationSource>, [height, width]: [u32; 2]) -> Result<Preparation> {
        let preset = |preset: Preset, origin: String| Preparation {
            preprocess: preset.preprocess(height, width),
            order: preset.channel_order(),
            origin,
        };
        Ok(match (self.preprocess, known) {
            (_, Some(PreparationSource::Squashed(scaled))) => {
                self.preset(scaled.as_deref(), [height, width])?.squashed([height, width])
            }
            (None, Some(PreparationSource::Spec(spec))) => {
                if self.changes() {
                    bail!("graft wrote the file, and it says itself how its images are prepared; leave that out");
                }
                let (preprocess, order) = (spec.preprocess.clone(), ChannelOrder::Rgb);
                Preparation { preprocess, order, origin: "as the file says".to_owned() }
            }
            (Some(_), Some(PreparationSource::Spec(_))) => {
                bail!("graft wrote the file, and it says itself how its images are prepared; leave out --preprocess")
            }
            (Some(asked), Some(PreparationSource::Bytes { .. })) if asked != PresetArg::Bytes => {
                bail!("{BYTES}; leave out --preprocess, or take --preprocess bytes")
            }
            (_, Some(PreparationSource::Bytes { .. })) if self.mean.is_some() || self.std.is_some() => {
                bail!("{BYTES}; leave out --mean and --std")
            }
            (asked, Some(PreparationSource::Bytes { order })) => {
                let origin =
                    if asked.is_some() { "as asked" } else { "as bytes, which is what the input's type holds" };
                let preparation = preset(Preset::Bytes, origin.to_owned());
                Preparation { order: order.unwrap_or(preparation.order), ..preparation }
            }
            (Some(asked), _) => preset(asked.into(), "as asked".to_owned()),
            (None, Some(PreparationSource::Unclear)) => bail!(
                "the network begins with arithmetic of its own on the pixels, which fits no common scale; say what it takes with \
                 --preprocess: bytes for 0..255, zero-one for 0..1"
            ),
            (None, Some(PreparationSource::Parameters { preprocess, origin })) => {
                let preprocess = resized(preprocess, [height, width]);
                Preparation { preprocess, order: ChannelOrder::Rgb, origin: origin.clone() }
            }
            (None, Some(PreparationSource::Preset { preset: known, order, origin })) => {
                let preparation = preset(*known, origin.clone());
                Preparation { order: order.unwrap_or(preparation.order), ..preparation }
            }
            (None, None) => preset(
                Preset::Torchvision,
                "as torchvision does, because the file does not say how (see --preprocess and --verify)".to_owned(),
            ),
        })
    }

    fn changes(&self) -> bool {
        self.resize.is_some()
            || self.crop.is_some()
            || self.filter.is_some()
            || self.mean.is_some()
            || self.std.is_some()
            || self.channel_order.is_some()
    }

    /// With what was asked for in particular.
    fn changed(&self, preparation: Preparation, [height, width]: [u32; 2]) -> Result<Preparation> {
        let Preparation { mut preprocess, mut order, origin } = preparation;
        if self.changes() {
            match self.resize {
                Some(ResizeArg::None) => preprocess.resize = Resize::None,
                Some(ResizeArg::Exact) => {
                    preprocess.resize = Resize::Exact { width, height };
                    preprocess.crop = None;
                }
                Some(ResizeArg::ShorterSide(size)) => {
                    preprocess.resize = Resize::ShorterSide { size };
                    preprocess.crop = Some(Crop { height, width });
                }
                None => {}
            }
            if let Some(CropArg(crop)) = self.crop {
                preprocess.crop = crop;
            }
            if let Some(filter) = self.filter {
                preprocess.filter = filter.into();
            }
            if let Some(mean) = &self.mean {
                preprocess.mean = self.triple("--mean", mean)?;
            }
            if let Some(std) = &self.std {
                preprocess.std = self.triple("--std", std)?;
            }
            if let Some(asked) = self.channel_order {
                order = asked.into();
            }
            preprocess.validate()?;
        }
        let origin = if self.changes() { "as asked".to_owned() } else { origin };
        Ok(Preparation { preprocess, order, origin })
    }

    /// One number for all colors, or one for each, in units of pixels 0..1.
    fn triple(&self, option: &str, numbers: &[f32]) -> Result<[f32; 3]> {
        let numbers = match *numbers {
            [number] => [number; 3],
            [red, green, blue] => [red, green, blue],
            _ => bail!("{option} takes one number, or three for red, green and blue"),
        };
        if !(self.pixel_max == 1.0 || self.pixel_max == 255.0) {
            bail!("--pixel-max is 1 or 255");
        }
        Ok(numbers.map(|number| number / self.pixel_max))
    }
}

/// `224`, or `224x320` for height and width.
pub(in crate::cli) fn parse_size(text: &str) -> Result<[u32; 2], String> {
    let (height, width) = text.split_once(['x', 'X', '×']).unwrap_or((text, text));
    let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=Preprocess::MAX_SIDE).contains(side));
    match (side(height), side(width)) {
        (Some(height), Some(width)) => Ok([height, width]),
        _ => Err(format!("`{text}` is no size; write 224, or 224x320 for height and width")),
    }
}

fn parse_resize(text: &str) -> Result<ResizeArg, String> {
    match text {
        "none" => Ok(ResizeArg::None),
        "exact" => Ok(ResizeArg::Exact),
        number => match number.parse() {
            Ok(size @ 1..=Preprocess::MAX_SIDE) => Ok(ResizeArg::ShorterSide(size)),
            _ => Err(format!("`{text}` is neither none, exact, nor the pixels of a shorter side")),
        },
    }
}

fn parse_crop(text: &str) -> Result<CropArg, String> {
    match text {
        "none" => Ok(CropArg(None)),
        size => parse_size(size).map(|[height, width]| CropArg(Some(Crop { height, width }))),
    }
}

impl From<PresetArg> for Preset {
    fn from(preset: PresetArg) -> Self {
        match preset {
            PresetArg::Torchvision => Self::Torchvision,
            PresetArg::Squashed => Self::Squashed,
            PresetArg::CaffeBgr => Self::CaffeBgr,
            PresetArg::KerasTf => Self::KerasTf,
            PresetArg::ZeroOne => Self::ZeroOne,
            PresetArg::Bytes => Self::Bytes,
        }
    }
}

impl From<FilterArg> for Filter {
    fn from(filter: FilterArg) -> Self {
        match filter {
            FilterArg::Bilinear => Self::Bilinear,
            FilterArg::Bicubic => Self::Bicubic,
            FilterArg::Lanczos => Self::Lanczos,
        }
    }
}

impl From<OrderArg> for ChannelOrder {
    fn from(order: OrderArg) -> Self {
        match order {
            OrderArg::Rgb => Self::Rgb,
            OrderArg::Bgr => Self::Bgr,
        }
    }
}
