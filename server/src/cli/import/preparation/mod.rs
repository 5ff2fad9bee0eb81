//! How a foreign network's images are prepared.

mod args;

use std::fmt;

use anyhow::Result;
use models::Preprocess;
use models::channels::ChannelOrder;
use models::preprocess::{Crop, Resize};

use super::origin::PreparationSource;
pub(super) use args::PreparationArgs;
pub(in crate::cli) use args::parse_size;

/// How a network's images are prepared, and why so.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Preparation {
    pub(in crate::cli) preprocess: Preprocess,
    pub(in crate::cli) order: ChannelOrder,
    pub(in crate::cli) origin: String,
}

impl fmt::Display for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { preprocess, order, origin } = self;
        write!(f, "{origin}: ")?;
        match preprocess.resize {
            Resize::None => f.write_str("not resized")?,
            Resize::ShorterSide { size } => write!(f, "shorter side to {size}")?,
            Resize::Exact { width, height } => write!(f, "squashed to {height}x{width}")?,
        }
        if let Some(Crop { height, width }) = preprocess.crop {
            write!(f, ", centre {height}x{width}")?;
        }
        let shown = |numbers: [f32; 3]| numbers.map(|number| format!("{number:.4}")).join(" ");
        let order = if *order == ChannelOrder::Bgr { "BGR" } else { "RGB" };
        write!(f, ", {order}, mean {}, deviation {}", shown(preprocess.mean), shown(preprocess.std))
    }
}

impl Preparation {
    /// What is known of a file with images of this height and width, nothing changed.
    pub(in crate::cli) fn of_source(known: &PreparationSource, size: [u32; 2]) -> Result<Self> {
        PreparationArgs::default().choose(Some(known), size)
    }

    /// The same with images squashed to this height and width, nothing cut off.
    fn squashed(self, [height, width]: [u32; 2]) -> Self {
        let preprocess = Preprocess { resize: Resize::Exact { width, height }, crop: None, ..self.preprocess };
        let origin = format!("{}; squashed, as the network's own `Resize` does", self.origin);
        Self { preprocess, origin, ..self }
    }
}

/// The same preparation for images of another size than it was published for: resized in proportion.
fn resized(preprocess: &Preprocess, [height, width]: [u32; 2]) -> Preprocess {
    let mut resized = preprocess.clone();
    match (preprocess.resize, preprocess.crop) {
        (Resize::ShorterSide { size }, Some(crop)) => {
            let scale = f64::from(height.min(width)) / f64::from(crop.height.min(crop.width));
            resized.resize = Resize::ShorterSide { size: (f64::from(size) * scale).round() as u32 };
            resized.crop = Some(Crop { height, width });
        }
        (Resize::Exact { .. }, None) => resized.resize = Resize::Exact { width, height },
        _ => {}
    }
    resized
}
