//! The gate: a new version against numbers and against the live version, on the same test images.

use trainer::data::NamedImage;
use trainer::evaluate::{EvaluateError, NamedTask, top1_by_name};
use trainer::events::Observer;
use trainer::finetune::report::FinetuneReport;
use trainer::finetune::{DeployDecision, Deployment, FinetuneError, GateResult};

use super::{DeployMode, DeployOptions};
use crate::finetune::{FinetuneFailure, FinetuneSpec};
use crate::runtime::Backends;
use crate::store::{ModelStore, StoreError};

/// Shares of images are quotients of whole numbers: less than this is no difference between two of them.
const ROUNDING: f64 = 1e-9;

/// A version that is not published yet.
pub(in crate::finetune) struct Candidate<'a> {
    pub(in crate::finetune) spec: &'a FinetuneSpec,
    /// What was measured of it.
    pub(in crate::finetune) report: &'a FinetuneReport,
    /// The images that measured it.
    pub(in crate::finetune) measured: &'a [NamedImage],
    pub(in crate::finetune) store: &'a ModelStore,
    pub(in crate::finetune) backends: &'a Backends,
}

/// Decides what becomes of a version.
pub(in crate::finetune) fn decide(
    candidate: &Candidate<'_>,
    observer: &dyn Observer,
) -> Result<Deployment, FinetuneFailure> {
    let (options, live) = (candidate.spec.deploy, candidate.live()?);
    let gate = candidate.gate(live, observer)?;
    if let Some(reason) = gate.as_ref().and_then(refusal) {
        let goes_on = live.map_or("it does not answer".to_owned(), |live| format!("version {live} goes on answering"));
        return Ok(Deployment { decision: DeployDecision::Refused, reason: format!("{reason}; {goes_on}"), gate });
    }
    let (decision, reason) = match (options.mode, live) {
        (_, None) => (DeployDecision::First, "it is the first version of the model, and answers".to_owned()),
        (DeployMode::None, Some(live)) => {
            let reason = format!(
                "version {live} goes on answering; `PUT /models/{name}/live` or `graft models live {name}` lets the new one answer",
                name = candidate.spec.name
            );
            (DeployDecision::Stored, reason)
        }
        (DeployMode::OnSuccess, Some(live)) => {
            (DeployDecision::Promoted, format!("it takes the place of version {live}{}", passed(gate.as_ref())))
        }
        (DeployMode::Shadow, Some(live)) => {
            let share = 100.0 * options.share();
            let reason =
                format!("it answers a copy of {share} % of what version {live} answers{}", passed(gate.as_ref()));
            (DeployDecision::Shadow, reason)
        }
    };
    Ok(Deployment { decision, reason, gate })
}

impl Candidate<'_> {
    /// The version that answers, if there is one.
    fn live(&self) -> Result<Option<u32>, StoreError> {
        let versions = self.store.versions(&self.spec.name)?;
        Ok(self.store.settings(&self.spec.name)?.live_of(&versions).filter(|_| !versions.is_empty()))
    }

    /// What is measured for the gate, if there is one.
    fn gate(&self, live: Option<u32>, observer: &dyn Observer) -> Result<Option<GateResult>, FinetuneFailure> {
        let DeployOptions { min_top1, max_drop, .. } = self.spec.deploy;
        if min_top1.is_none() && max_drop.is_none() {
            return Ok(None);
        }
        let test = &self.report.test;
        let compared = live.filter(|_| max_drop.is_some() && test.images > 0);
        let live_top1 = compared.map(|version| self.live_top1(version, observer)).transpose()?.flatten();
        let live = compared.filter(|_| live_top1.is_some());
        Ok(Some(GateResult { min_top1, max_drop, images: test.images, top1: test.top1, live, live_top1 }))
    }

    /// The share of the images that the live version has right; `None` for a backbone, which answers nothing.
    fn live_top1(&self, version: u32, observer: &dyn Observer) -> Result<Option<f64>, FinetuneFailure> {
        let live = self.store.read(&self.spec.name, version)?;
        if live.spec.labels.is_none() {
            return Ok(None);
        }
        let task = NamedTask {
            onnx: &live.onnx,
            spec: &live.spec,
            images: self.measured,
            limits: self.spec.options.limits(),
            // A live version may be one that a provider does not run, and the training was not for nothing.
            engine: self.backends.engine.own_kernels(),
        };
        match top1_by_name(&task, observer) {
            Ok(top1) => Ok(Some(top1)),
            Err(EvaluateError::Stopped) => Err(FinetuneError::Stopped.into()),
            Err(EvaluateError::Dataset(error)) => Err(error.into()),
            Err(EvaluateError::Engine(error)) => Err(FinetuneError::from(error).into()),
            Err(error) => Err(FinetuneFailure::Gate(error)),
        }
    }
}

/// Why a gate does not let a version through.
fn refusal(gate: &GateResult) -> Option<String> {
    let GateResult { min_top1, max_drop, images, top1, live, live_top1 } = *gate;
    if images == 0 {
        return Some("there are no test images to measure it by; set `test` above 0".to_owned());
    }
    if let Some(least) = min_top1.filter(|least| top1 < least - ROUNDING) {
        let [top1, least] = [top1, least].map(|share| 100.0 * share);
        return Some(format!(
            "it has {top1:.1} % of the {images} test images right, and min_top1 asks for {least:.1} %"
        ));
    }
    let (allowed, live, before) = (max_drop?, live?, live_top1?);
    (before - top1 > allowed + ROUNDING).then(|| {
        let [top1, before, allowed] = [top1, before, allowed].map(|share| 100.0 * share);
        format!(
            "it has {top1:.1} % of the {images} test images right, version {live} has {before:.1} % of the same, and max_drop \
             allows {allowed:.1} points less"
        )
    })
}

/// What a gate has measured of a version that it lets through.
fn passed(gate: Option<&GateResult>) -> String {
    let Some(GateResult { images, top1, live_top1, .. }) = gate else { return String::new() };
    let before = live_top1.map_or(String::new(), |before| format!(", which has {:.1} %", 100.0 * before));
    format!("{before}: it has {:.1} % of the {images} test images right", 100.0 * top1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(top1: f64, live_top1: Option<f64>) -> GateResult {
        let (min_top1, max_drop, live) = (Some(0.9), Some(0.02), live_top1.map(|_| 3));
        GateResult { min_top1, max_drop, images: 50, top1, live, live_top1 }
    }

    #[test]
    fn a_gate_compares_with_its_numbers_and_with_the_live_version() {
        assert_eq!(refusal(&gate(0.9, None)), None, "as much as is asked for");
        // 48 of 50 against 47 of 50 is a drop of one in fifty: as much as is allowed.
        assert_eq!(refusal(&gate(0.94, Some(0.96))), None);
        let reason = refusal(&gate(0.88, None)).unwrap();
        assert_eq!(reason, "it has 88.0 % of the 50 test images right, and min_top1 asks for 90.0 %");
        let reason = refusal(&gate(0.92, Some(0.98))).unwrap();
        let expected = "it has 92.0 % of the 50 test images right, version 3 has 98.0 % of the same, and max_drop allows 2.0 \
                        points less";
        assert_eq!(reason, expected);
        let none = GateResult { images: 0, ..gate(0.0, None) };
        assert!(refusal(&none).unwrap().starts_with("there are no test images"));
    }
}
