//! Which classified images wait for feedback.

use std::str::FromStr;

use clap::{Args, value_parser};

use crate::datasets::DatasetName;
use crate::datasets::stored::InboxLimits;

/// Which classified images wait for feedback.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Feedback")]
pub struct CollectArgs {
    /// The stored data set that gets images with the label of `POST /feedback`. With it, images that are sent to
    /// `POST /classify?keep=true` wait in an inbox [default: none, so that no image is kept]
    #[arg(long, env = "GRAFT_COLLECT", value_name = "DATA SET")]
    collect: Option<DatasetName>,

    /// Which of these images wait: `all`, `uncertain` (the answer says so, or its highest score is below 0.7), or a share at random, `sampled:0.01`
    #[arg(long, env = "GRAFT_COLLECT_POLICY", value_name = "POLICY", default_value = "all")]
    collect_policy: CollectPolicy,

    /// The most images that wait; the oldest make room
    #[arg(long, env = "GRAFT_MAX_INBOX_IMAGES", value_name = "N", default_value_t = 10_000, value_parser = value_parser!(u64).range(1..=10_000_000))]
    max_inbox_images: u64,

    /// The most bytes of these images, in megabytes; the oldest make room
    #[arg(long, env = "GRAFT_MAX_INBOX_MB", value_name = "MB", default_value_t = 1024, value_parser = value_parser!(u64).range(1..=10_000_000))]
    max_inbox_mb: u64,
}

/// Which images are worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum CollectPolicy {
    /// Every image.
    #[default]
    All,
    /// Those whose highest score is low.
    Uncertain,
    /// So large a share of them, at random.
    Sampled(f64),
}

/// Which classified images are kept, for which data set, and how many.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// The data set that feedback puts them into.
    pub dataset: DatasetName,
    /// Which are kept.
    pub policy: CollectPolicy,
    /// How many are kept.
    pub limits: InboxLimits,
}

impl CollectArgs {
    /// What is kept, if anything is.
    #[must_use]
    pub fn resolve(&self) -> Option<CollectOptions> {
        let limits = InboxLimits { images: self.max_inbox_images, bytes: self.max_inbox_mb.saturating_mul(1 << 20) };
        Some(CollectOptions { dataset: self.collect.clone()?, policy: self.collect_policy, limits })
    }
}

impl FromStr for CollectPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = |text: &str| text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
        match (text, text.strip_prefix("sampled:").and_then(share)) {
            ("all", _) => Ok(Self::All),
            ("uncertain", _) => Ok(Self::Uncertain),
            (_, Some(share)) => Ok(Self::Sampled(share)),
            _ => Err(format!("`{text}` is no policy; use `all`, `uncertain` or `sampled:0.01`, a share from 0 to 1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_word_or_a_share() {
        assert_eq!("all".parse(), Ok(CollectPolicy::All));
        assert_eq!("uncertain".parse(), Ok(CollectPolicy::Uncertain));
        assert_eq!("sampled:0.01".parse(), Ok(CollectPolicy::Sampled(0.01)));
        for text in ["", "some", "sampled", "sampled:", "sampled:2", "sampled:-1", "sampled:NaN"] {
            assert!(text.parse::<CollectPolicy>().is_err_and(|error| error.contains("sampled:0.01")), "{text}");
        }
    }
}
