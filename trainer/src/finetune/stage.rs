//! What all stages do: begin, report progress, stop when asked to, and leave out bad images.

use std::time::Instant;

use super::FinetuneError;
use super::report::PhaseSeconds;
use crate::data::{BadFilePolicy, DatasetError};
use crate::events::{Event, Observer, Phase};

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
            Phase::Export => &mut self.seconds.export,
            Phase::Parity => &mut self.seconds.parity,
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

/// Ends the run over a bad file, or warns that the file is left out.
pub(super) fn leave_out(
    error: DatasetError,
    policy: BadFilePolicy,
    observer: &mut dyn Observer,
) -> Result<(), FinetuneError> {
    match policy {
        BadFilePolicy::Refuse => Err(error.into()),
        BadFilePolicy::Skip => {
            observer.event(Event::Warning { message: format!("left out: {error}") });
            Ok(())
        }
    }
}
