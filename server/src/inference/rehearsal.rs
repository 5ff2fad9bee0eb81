//! A model's engines before it serves: each gives the recorded answers, and is timed.

use std::time::{Duration, Instant};

use models::preprocess::{ImageBatch, Limits, PreparedImage};
use onnx::{Engine, EngineSet};

use super::admission::Throughput;
use super::lanes::RunProfile;
use super::run::rows;
use super::self_test::{self_test, settle};
use crate::store::StoredModel;

/// Runs that are timed; the fastest counts, since other programs only make them slower.
const RUNS: usize = 2;

/// How a model is run, by a measurement when it was loaded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RunPlan {
    /// What its engines are chosen for.
    pub(super) profile: RunProfile,
    /// How many images run at a time, with a thread each, where there are several.
    pub(super) lanes: usize,
    /// An image that is alone, with all threads, in milliseconds of the clock.
    pub(super) alone_ms: f64,
    /// An image among as many others as there are lanes, with one thread, in milliseconds of the clock.
    pub(super) busy_ms: f64,
}

/// What a model's engines are tested with.
pub(super) struct Rehearsal<'a> {
    pub(super) model: &'a StoredModel,
    /// What the user wants them for.
    pub(super) profile: RunProfile,
    /// The most images in one run.
    pub(super) max_batch: usize,
    /// Gets a first measure.
    pub(super) throughput: &'a Throughput,
}

impl Rehearsal<'_> {
    /// Tests all engines and times them. With [`RunProfile::Auto`], all threads are for an image that is alone only if that
    /// is faster than one thread.
    ///
    /// # Errors
    /// Why the model cannot serve.
    pub(super) fn run(&self, engines: &mut EngineSet) -> Result<RunPlan, String> {
        self_test(&mut *engines.wide, self.model, self.max_batch, self.throughput)?;
        let input = example(self.model)?;
        let alone = self.timed(&mut *engines.wide, input.as_ref())?;
        let lanes = engines.narrow.len();
        let busy = self.timed_together(engines, input.as_ref())?.unwrap_or(alone);
        let profile = match self.profile {
            RunProfile::Auto if lanes > 0 && busy <= alone => RunProfile::Throughput,
            profile => profile,
        };
        let lanes = if profile == RunProfile::Latency { 1 } else { lanes.max(1) };
        if lanes > 1 {
            self.throughput.record(lanes, busy);
        }
        let milliseconds = |time: Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
        Ok(RunPlan { profile, lanes, alone_ms: milliseconds(alone), busy_ms: milliseconds(busy) })
    }

    /// The slowest of the engines with one thread when they run together, as they will; nothing if there are none.
    fn timed_together(&self, engines: &mut EngineSet, input: Option<&ImageBatch>) -> Result<Option<Duration>, String> {
        std::thread::scope(|scope| {
            let test = |engine: &mut dyn Engine| {
                self_test(engine, self.model, 1, &Throughput::default())?;
                self.timed(engine, input)
            };
            let tests = engines.narrow.iter_mut().map(|engine| scope.spawn(move || test(&mut **engine)));
            let tests: Vec<_> = tests.collect();
            let panicked = || Err("an engine panicked".to_owned());
            let times = tests.into_iter().map(|test| test.join().unwrap_or_else(|_| panicked()));
            Ok(times.collect::<Result<Vec<Duration>, String>>()?.into_iter().max())
        })
    }

    /// The fastest of some runs, behind which the engine gives back what its largest batch took.
    fn timed(&self, engine: &mut dyn Engine, input: Option<&ImageBatch>) -> Result<Duration, String> {
        let Some(input) = input else { return Ok(Duration::ZERO) };
        let classes = self.model.spec.labels.as_ref().map_or(0, models::Labels::len);
        let mut fastest = Duration::MAX;
        for _ in 0..RUNS {
            let clock = Instant::now();
            rows(engine, input, classes)?;
            fastest = fastest.min(clock.elapsed());
        }
        settle(engine, self.model);
        Ok(fastest)
    }
}

/// An image to time: a golden one, or noise; none if the model takes images of any size and has no golden ones.
fn example(model: &StoredModel) -> Result<Option<ImageBatch>, String> {
    if let Some(golden) = model.golden.first() {
        let input: PreparedImage = model
            .spec
            .preprocess
            .apply(&golden.bytes, &Limits::default())
            .map_err(|error| format!("golden image {}: {error}", golden.file_name))?;
        return Ok(Some(ImageBatch::from(input)));
    }
    let size = model.spec.preprocess.output_size();
    Ok(size.map(|(height, width)| ImageBatch::noise(1, [3, height as usize, width as usize], 0)))
}
