//! What all stages do: begin, report progress, stop when asked to, and collect bad images.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::FinetuneError;
use crate::data::{BadFile, BadFilePolicy, DatasetError};
use crate::events::{Event, Observer, Phase};

/// Wall-clock time of each phase, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhaseSeconds {
    /// Finding and checking the images.
    pub data: f64,
    /// Running the frozen part.
    pub features: f64,
    /// Training the head.
    pub training: f64,
    /// Training layers of the base, where that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub tuning: Option<f64>,
    /// Writing the file.
    pub export: f64,
    /// Comparing it on every engine.
    pub parity: f64,
    /// From the beginning of the run to its end.
    pub total: f64,
}

/// Announces phases and measures the wall-clock time of each.
pub(super) struct PhaseClock {
    start: Instant,
    /// The current phase and when it began.
    current: Option<(Phase, Instant)>,
    seconds: PhaseSeconds,
}

impl PhaseClock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), current: None, seconds: PhaseSeconds::default() }
    }

    /// Ends the current phase and begins another.
    pub(super) fn enter(&mut self, phase: Phase, observer: &mut dyn Observer) {
        self.leave();
        self.current = Some((phase, Instant::now()));
        observer.event(Event::Phase { phase });
    }

    /// Ends the last phase.
    pub(super) fn finish(mut self) -> PhaseSeconds {
        self.leave();
        PhaseSeconds { total: self.start.elapsed().as_secs_f64(), ..self.seconds }
    }

    fn leave(&mut self) {
        let Some((phase, begin)) = self.current.take() else { return };
        let seconds = match phase {
            Phase::Data => &mut self.seconds.data,
            Phase::Features => &mut self.seconds.features,
            Phase::Training => &mut self.seconds.training,
            Phase::Tuning => self.seconds.tuning.insert(0.0),
            Phase::Export => &mut self.seconds.export,
            Phase::Parity => &mut self.seconds.parity,
            Phase::Quantization | Phase::Evaluation => return,
        };
        *seconds = begin.elapsed().as_secs_f64();
    }
}

/// Progress within a phase.
pub(super) struct Progress {
    pub(super) phase: Phase,
    pub(super) done: usize,
    pub(super) total: usize,
}

impl Progress {
    /// Tells the observer, unless it asks to stop.
    pub(super) fn report(self, observer: &mut dyn Observer) -> Result<(), FinetuneError> {
        if observer.stopped() {
            return Err(FinetuneError::Stopped);
        }
        let Self { phase, done, total } = self;
        observer.event(Event::Progress { phase, done: done as u64, total: total as u64 });
        Ok(())
    }
}

/// The bad files of a stage: left out one by one with a warning each, or named all together at its end.
pub(super) struct BadFiles {
    policy: BadFilePolicy,
    files: Vec<BadFile>,
}

impl BadFiles {
    pub(super) fn new(policy: BadFilePolicy) -> Self {
        Self { policy, files: vec![] }
    }

    pub(super) fn add(&mut self, file: BadFile, observer: &mut dyn Observer) {
        if self.policy == BadFilePolicy::Skip {
            observer.event(Event::Warning { message: format!("left out: {}", file.reason) });
        }
        self.files.push(file);
    }

    /// Whether the run will end over them.
    pub(super) fn are_refused(&self) -> bool {
        self.policy == BadFilePolicy::Refuse && !self.files.is_empty()
    }

    /// Ends the run over all of them, if the policy says so.
    pub(super) fn refuse(self) -> Result<(), DatasetError> {
        if self.are_refused() { Err(DatasetError::BadFiles { files: self.files }) } else { Ok(()) }
    }
}
