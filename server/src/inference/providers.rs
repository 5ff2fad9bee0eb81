//! What computes inside ONNX Runtime for a model: the faster on this machine of those that reproduce its answers.

#[cfg(test)]
mod tests;

use std::fmt;

use onnx::{EngineError, EngineSet, Provider};
use serde::Serialize;
use utoipa::ToSchema;

use super::admission::Throughput;
use super::lanes::RunProfile;
use super::opener::Opener;
use super::race::race;
use super::rehearsal::{Rehearsal, RunPlan};
use super::variants::WORTH;

/// What computes inside ONNX Runtime for the version that answers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProviderStatus {
    /// `cpu`: ONNX Runtime's own kernels. `openvino`: OpenVINO. `cuda`, `webgpu`: a graphics processor.
    #[schema(value_type = String, example = "openvino")]
    pub provider: Provider,
    /// Why it is this one.
    #[schema(
        example = "it is 1.41 times as fast as cpu for an image that is alone, and 1.28 times for one of several"
    )]
    pub reason: String,
}

/// How the engines of a model are opened, with what computes in them.
#[derive(Clone)]
pub(super) struct Providers {
    pub(super) open: Opener,
    /// Missing where an engine has no choice.
    pub(super) first: Option<ProviderStatus>,
    /// What takes its place for a model that it runs faster.
    pub(super) rival: Option<Rival>,
}

/// What may compute in the place of another.
#[derive(Clone)]
pub(super) struct Rival {
    pub(super) provider: Provider,
    pub(super) open: Opener,
}

/// Engines that have given the recorded answers and were timed.
pub(super) struct RehearsedEngines {
    pub(super) engines: EngineSet,
    pub(super) run: RunPlan,
    pub(super) provider: Option<ProviderStatus>,
}

impl Providers {
    /// Opens and rehearses the engines of a model. A rival that refuses the model, or does not give the recorded answers, is passed
    /// over with a reason.
    ///
    /// # Errors
    /// Why the model cannot serve.
    pub(super) fn open(&self, rehearsal: &Rehearsal<'_>) -> Result<RehearsedEngines, String> {
        let opened = (self.open)(&rehearsal.model.onnx);
        let mut engines = opened.map_err(|error: EngineError| error.to_string())?;
        let run = rehearsal.run(&mut engines)?;
        let mut own = RehearsedEngines { engines, run, provider: self.first.clone() };
        let Some(rival) = &self.rival else { return Ok(own) };
        match compete(&mut own, rival, rehearsal) {
            Ok((engines, speed)) if speed.gain(rehearsal.profile) >= WORTH => return Ok(engines),
            Ok((_, speed)) => own.explain(format!("{} is {speed}", rival.provider)),
            Err(reason) => own.explain(format!("{} does not run it: {reason}", rival.provider)),
        }
        Ok(own)
    }
}

impl RehearsedEngines {
    fn explain(&mut self, reason: String) {
        if let Some(status) = &mut self.provider {
            status.reason = reason;
        }
    }
}

/// How many times as fast a rival's engines are.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Speed {
    alone: f64,
    /// The engines with one thread.
    busy: f64,
}

impl Speed {
    /// One number for what this profile is for.
    fn gain(self, profile: RunProfile) -> f64 {
        match profile {
            RunProfile::Auto => (self.alone * self.busy).sqrt(),
            RunProfile::Latency => self.alone,
            RunProfile::Throughput => self.busy,
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alone, busy } = self;
        write!(f, "{alone:.2} times as fast as cpu for an image that is alone, and {busy:.2} times for one of several")
    }
}

/// The rival's engines and how fast they are. An error is the reason why they cannot serve.
fn compete(
    own: &mut RehearsedEngines,
    rival: &Rival,
    rehearsal: &Rehearsal<'_>,
) -> Result<(RehearsedEngines, Speed), String> {
    let model = rehearsal.model;
    let mut engines = (rival.open)(&model.onnx).map_err(|error| error.to_string())?;
    let run = Rehearsal { throughput: &Throughput::default(), ..*rehearsal }.run(&mut engines)?;
    let speed = |engines| race(engines, model).map(|[first, second]| first / second).map_err(|error| error.to_string());
    let alone = speed([&mut *own.engines.wide, &mut *engines.wide])?;
    let busy = match (own.engines.narrow.first_mut(), engines.narrow.first_mut()) {
        (Some(first), Some(second)) => speed([&mut **first, &mut **second])?,
        _ => alone,
    };
    let speed = Speed { alone, busy };
    let status = ProviderStatus { provider: rival.provider, reason: format!("it is {speed}") };
    Ok((RehearsedEngines { engines, run, provider: Some(status) }, speed))
}
