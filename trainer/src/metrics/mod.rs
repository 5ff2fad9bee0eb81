//! How good a classifier is on images whose classes are known: one way to say it for trainings, fine-tunes and stored
//! models alike.

mod evaluation;
mod interval;
mod missing;
mod mistakes;
mod reliability;
mod temperature;
#[cfg(test)]
mod tests;

pub use evaluation::{ClassResult, Evaluation};
pub use interval::ConfidenceInterval;
pub(crate) use missing::null_is_nan;
pub use mistakes::{ConfusedPair, ImageAnswer, NotableAnswers, NotableRows, RankedAnswers, confused_pairs};
pub use reliability::{Reliability, ReliabilityBin};
pub use temperature::fit_temperature;
