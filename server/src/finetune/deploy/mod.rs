//! What becomes of a new version of a model that answers already: nothing unless somebody asks for it.

mod gate;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use trainer::events::Event;
use trainer::finetune::{DeployDecision, Deployment};
use utoipa::ToSchema;

use super::PublishedModel;
use crate::optional::not_null;
use crate::store::{ModelStore, StoreError};
pub(super) use gate::{Candidate, decide};

/// The share of images that a shadow gets unless somebody says otherwise.
pub(crate) const SHADOW_SHARE: f64 = 0.1;

/// What becomes of the new version. The first version of a model answers in any case, unless a gate refuses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema, Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "What becomes of the new version (the first of a model answers in any case)")]
pub struct DeployOptions {
    /// Whether a new version of a model takes the place of the one that answers.
    #[serde(default)]
    #[arg(long = "deploy", env = "GRAFT_DEPLOY", value_enum, default_value_t)]
    pub mode: DeployMode,

    /// A gate: the share of the test images, 0 to 1, that the new version must have right. Without it, it is stored and does not
    /// answer.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 1, example = 0.9)]
    #[arg(long, env = "GRAFT_MIN_TOP1", value_name = "SHARE")]
    pub min_top1: Option<f64>,

    /// A gate: how much less of the test images than the live version, on the same images, the new one may have right; 0.01 is a
    /// point.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 1, example = 0.01)]
    #[arg(long, env = "GRAFT_MAX_DROP", value_name = "SHARE")]
    pub max_drop: Option<f64>,

    /// The share of images that the new version answers as a shadow [default: 0.1].
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, exclusive_minimum = 0, maximum = 1, example = 0.1)]
    #[arg(long, env = "GRAFT_SHADOW_SHARE", value_name = "SHARE")]
    pub shadow_share: Option<f64>,
}

/// Whether a new version takes the place of the one that answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum DeployMode {
    /// It is stored, and the live version goes on answering.
    #[default]
    None,
    /// It does, if it passes its gate and its self-test.
    OnSuccess,
    /// It answers copies of requests, to be compared with the live version.
    Shadow,
}

/// Options that make no sense.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum DeployError {
    /// A number out of its range.
    #[error("{option} is {value}; it must be {range}")]
    Range {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: f64,
        /// The range, in words.
        range: &'static str,
    },
    /// An option that has no effect.
    #[error("{option} has no effect with `deploy` `{mode}`; {advice}")]
    Unused {
        /// The option's name.
        option: &'static str,
        /// What was asked for.
        mode: &'static str,
        /// How to make it have an effect, as the end of a sentence.
        advice: &'static str,
    },
}

impl DeployMode {
    /// As requests spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::OnSuccess => "on_success",
            Self::Shadow => "shadow",
        }
    }
}

impl DeployOptions {
    /// The new version takes the place of the one before it, without a gate.
    #[must_use]
    pub fn on_success() -> Self {
        Self { mode: DeployMode::OnSuccess, ..Self::default() }
    }

    /// Whether these are what happens without any.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The share of images that a shadow gets.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.shadow_share.unwrap_or(SHADOW_SHARE)
    }

    /// Refuses numbers out of their range, and options that would have no effect.
    ///
    /// # Errors
    /// [`DeployError`].
    pub fn validate(&self) -> Result<(), DeployError> {
        let mode = self.mode.name();
        for (option, value) in [("min_top1", self.min_top1), ("max_drop", self.max_drop)] {
            let Some(value) = value else { continue };
            if !(0.0..=1.0).contains(&value) {
                return Err(DeployError::Range { option, value, range: "between 0 and 1" });
            }
            if self.mode == DeployMode::None {
                return Err(DeployError::Unused {
                    option,
                    mode,
                    advice: "ask for `on_success` or `shadow`, or leave it out",
                });
            }
        }
        let Some(value) = self.shadow_share else { return Ok(()) };
        let option = "shadow_share";
        if !(value > 0.0 && value <= 1.0) {
            return Err(DeployError::Range { option, value, range: "above 0 and at most 1" });
        }
        match self.mode {
            DeployMode::Shadow => Ok(()),
            _ => Err(DeployError::Unused { option, mode, advice: "ask for `shadow`, or leave it out" }),
        }
    }

    /// Does in the store what was decided about a version, where no server is asked to.
    ///
    /// # Errors
    /// [`StoreError`] when the settings cannot be written.
    pub fn apply(&self, store: &ModelStore, published: &PublishedModel) -> Result<(), StoreError> {
        let PublishedModel { name, version, report } = published;
        match report.deployment.as_ref().map(|deployment| deployment.decision) {
            Some(DeployDecision::Promoted) => store.set_live(name, *version),
            Some(DeployDecision::Shadow) => store.set_shadow(name, *version, self.share()),
            Some(DeployDecision::First | DeployDecision::Stored | DeployDecision::Refused) | None => Ok(()),
        }
    }
}

/// What a run says about the version that it has made.
pub(crate) fn deployment_event(Deployment { decision, reason, .. }: &Deployment) -> Event {
    match decision {
        DeployDecision::Refused => Event::Warning { message: format!("the new version is not deployed: {reason}") },
        _ => Event::Note { message: format!("the new version: {reason}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_without_effect_and_numbers_out_of_range_are_refused() {
        let base = DeployOptions::on_success();
        base.validate().unwrap();
        DeployOptions { min_top1: Some(1.0), max_drop: Some(0.0), ..base }.validate().unwrap();
        DeployOptions { mode: DeployMode::Shadow, shadow_share: Some(1.0), ..base }.validate().unwrap();
        for (options, expected) in [
            (DeployOptions { min_top1: Some(90.0), ..base }, "min_top1 is 90; it must be between 0 and 1"),
            (DeployOptions { max_drop: Some(-0.1), ..base }, "max_drop is -0.1; it must be between 0 and 1"),
            (
                DeployOptions { max_drop: Some(0.1), mode: DeployMode::None, ..base },
                "max_drop has no effect with `deploy` `none`; ask for `on_success` or `shadow`, or leave it out",
            ),
            (
                DeployOptions { mode: DeployMode::Shadow, shadow_share: Some(0.0), ..base },
                "shadow_share is 0; it must be above 0 and at most 1",
            ),
            (
                DeployOptions { shadow_share: Some(0.5), ..base },
                "shadow_share has no effect with `deploy` `on_success`; ask for `shadow`, or leave it out",
            ),
        ] {
            assert_eq!(options.validate().unwrap_err().to_string(), expected);
        }
        let error = DeployOptions { min_top1: Some(f64::NAN), ..base }.validate().unwrap_err();
        assert_eq!(error.to_string(), "min_top1 is NaN; it must be between 0 and 1");
    }
}
