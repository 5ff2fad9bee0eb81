//! How a loaded model runs, and the measurements that decided it.

use serde::Serialize;
use trainer::quantize::VariantKind;
use utoipa::ToSchema;

use super::lanes::RunProfile;
use super::providers::ProviderStatus;
use super::rehearsal::RunPlan;
use super::variants::VariantStatus;
use crate::store::ModelName;

/// How a loaded model runs, as measured on this machine when it was loaded.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ServingPlan {
    /// The variant of the version that answers; `variants` says why.
    #[schema(value_type = String, example = "int8")]
    pub variant: VariantKind,
    /// What the model's engines are chosen for: `auto` has all threads for an image that is alone and one for each where there are
    /// several, `latency` all threads for each image, `throughput` one thread for each.
    pub profile: RunProfile,
    /// How many images run at a time, with a thread each, where there are several.
    #[schema(example = 2)]
    pub lanes: usize,
    /// Milliseconds of an image that is alone, with all threads.
    #[schema(example = 12.5)]
    pub alone_ms: f64,
    /// Milliseconds of an image among as many others as there are lanes, with one thread.
    #[schema(example = 17.6)]
    pub busy_ms: f64,
    /// Why it runs so.
    #[schema(
        example = "an image that is alone takes 12.5 ms with all threads; among 2, each takes 17.6 ms with one thread"
    )]
    pub reason: String,
    /// What computes inside ONNX Runtime; missing where another engine runs the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub provider: Option<ProviderStatus>,
    /// The variants of the version, which of them answers, why, and what the others would take; empty for a version that has one.
    pub variants: Vec<VariantStatus>,
}

/// What a model's engines were opened and measured as.
pub(super) struct PlanInput {
    /// What the user wants them for.
    pub(super) asked: RunProfile,
    /// What was measured.
    pub(super) run: RunPlan,
    /// Why the weights cannot be shared, so that there is one engine.
    pub(super) obstacle: Option<String>,
    /// What computes in it.
    pub(super) provider: Option<ProviderStatus>,
    /// The variant that answers, and all of them.
    pub(super) variants: (VariantKind, Vec<VariantStatus>),
}

impl ServingPlan {
    pub(super) fn new(input: PlanInput) -> Self {
        let reason = input.reason();
        let PlanInput { run, provider, variants: (variant, variants), .. } = input;
        let RunPlan { profile, lanes, alone_ms, busy_ms } = run;
        Self { variant, profile, lanes, alone_ms, busy_ms, reason, provider, variants }
    }

    /// Tells the log.
    pub(super) fn log(&self, model: &ModelName, version: u32) {
        let Self { variant, profile, lanes, alone_ms, busy_ms, reason, provider, variants } = self;
        tracing::info!(%model, version, ?profile, lanes, alone_ms, busy_ms, reason, "measured");
        if let Some(ProviderStatus { provider, reason }) = provider {
            tracing::info!(%model, version, %provider, reason, "what computes inside ONNX Runtime");
        }
        if !variants.is_empty() {
            let measured = variants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::info!(%model, version, %variant, measured, "the fastest variant that is good enough was chosen");
        }
    }
}

impl PlanInput {
    fn reason(&self) -> String {
        let RunPlan { profile, lanes, alone_ms, busy_ms } = self.run;
        if let Some(obstacle) = &self.obstacle {
            return format!("one image runs after another: {obstacle}");
        }
        match (self.asked, profile) {
            (RunProfile::Latency, _) => "`--profile latency` gives all threads to each image".to_owned(),
            (RunProfile::Throughput, _) => "`--profile throughput` gives one thread to each image".to_owned(),
            (RunProfile::Auto, _) if lanes == 1 => "there is one thread".to_owned(),
            (RunProfile::Auto, RunProfile::Throughput) => format!(
                "an image that is alone takes {alone_ms} ms with all threads, which is no less than {busy_ms} ms with one thread"
            ),
            (RunProfile::Auto, _) => format!(
                "an image that is alone takes {alone_ms} ms with all threads; among {lanes}, each takes {busy_ms} ms with one thread"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_says_what_was_measured_or_asked_for() {
        let run = |profile, lanes| RunPlan { profile, lanes, alone_ms: 34.1, busy_ms: 57.0 };
        let reason = |asked, run, obstacle: Option<&str>| {
            let (obstacle, variants) = (obstacle.map(str::to_owned), (VariantKind::F32, vec![]));
            ServingPlan::new(PlanInput { asked, run, obstacle, provider: None, variants }).reason
        };
        for (asked, profile, lanes, expected) in [
            (RunProfile::Auto, RunProfile::Auto, 1, "there is one thread"),
            (RunProfile::Latency, RunProfile::Latency, 1, "`--profile latency` gives all threads to each image"),
            (
                RunProfile::Throughput,
                RunProfile::Throughput,
                2,
                "`--profile throughput` gives one thread to each image",
            ),
            (
                RunProfile::Auto,
                RunProfile::Auto,
                2,
                "an image that is alone takes 34.1 ms with all threads; among 2, each takes 57 ms with one thread",
            ),
            (
                RunProfile::Auto,
                RunProfile::Throughput,
                2,
                "an image that is alone takes 34.1 ms with all threads, which is no less than 57 ms with one thread",
            ),
        ] {
            assert_eq!(reason(asked, run(profile, lanes), None), expected);
        }
        let one = reason(RunProfile::Auto, run(RunProfile::Auto, 1), Some("its weights are in two files"));
        assert_eq!(one, "one image runs after another: its weights are in two files");
    }
}
