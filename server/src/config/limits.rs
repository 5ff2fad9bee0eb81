//! How large an image may be.

use clap::Args;
use models::preprocess::Limits;

/// How large an image may be.
#[derive(Debug, Clone, Copy, Args)]
pub struct LimitArgs {
    /// The largest image, in megapixels, judged by its header before it is decoded
    #[arg(long, env = "GRAFT_MAX_MEGAPIXELS", default_value_t = LARGEST, value_name = "MP",
          value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub max_megapixels: u64,
}

/// In megapixels.
const LARGEST: u64 = 50;

impl Default for LimitArgs {
    fn default() -> Self {
        Self { max_megapixels: LARGEST }
    }
}

impl LimitArgs {
    /// The limits for decoders.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::megapixels(self.max_megapixels)
    }
}
