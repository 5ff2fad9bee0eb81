//! The engines of a model: one with all threads for an image that is alone, and one with a single thread for each image where
//! there are several.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use onnx::{Engine, EngineKind, EngineSet};
use serde::Serialize;
use utoipa::ToSchema;

/// How often an engine gives back the memory that its largest batch took.
const RELEASE_EVERY: Duration = Duration::from_secs(10);

/// What a model's engines are chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RunProfile {
    /// All threads for an image that is alone, if that is faster by measurement, and one for each where there are several
    #[default]
    Auto,
    /// All threads for each image, one image after another
    Latency,
    /// One thread for each image
    Throughput,
}

/// Whether an image is the only one in the server, from its arrival on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    Others,
}

/// The engines that are not running. Each belongs to one run at a time.
pub(super) struct Lanes {
    /// With all threads; none while it runs, or where the profile has no use for it.
    wide: Option<LaneEngine>,
    wide_runs: bool,
    /// With one thread each.
    narrow: Vec<LaneEngine>,
    /// How many of those run.
    narrow_runs: usize,
}

/// An engine with what it is.
pub(super) struct LaneEngine {
    engine: Box<dyn Engine>,
    width: Width,
    /// When it last gave memory back.
    released: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Wide,
    Narrow,
}

impl Lanes {
    /// The engines that this profile runs; those that it does not are closed, and their memory is free.
    pub(super) fn new(engines: EngineSet, profile: RunProfile) -> Self {
        let EngineSet { wide, narrow, .. } = engines;
        let narrow = if profile == RunProfile::Latency { vec![] } else { narrow };
        let is_wide = profile != RunProfile::Throughput || narrow.is_empty();
        Self {
            wide: is_wide.then(|| LaneEngine::new(wide, Width::Wide)),
            wide_runs: false,
            narrow: narrow.into_iter().map(|engine| LaneEngine::new(engine, Width::Narrow)).collect(),
            narrow_runs: 0,
        }
    }

    /// Which engine it is, for labels of measurements.
    pub(super) fn kind(&self) -> Option<EngineKind> {
        self.wide.iter().chain(&self.narrow).map(|lane| lane.engine.kind()).next()
    }

    /// Whether another run can begin: not while one has all threads.
    pub(super) fn is_free(&self) -> bool {
        let has_wide = self.wide.is_some() && self.narrow_runs == 0;
        !self.wide_runs && (has_wide || !self.narrow.is_empty())
    }

    /// An engine for an image in this company; `None` if none is free.
    pub(super) fn take(&mut self, company: Company) -> Option<LaneEngine> {
        let is_wide = self.narrow_runs == 0 && (company == Company::Alone || self.narrow.is_empty());
        if is_wide && let Some(engine) = self.wide.take() {
            self.wide_runs = true;
            return Some(engine);
        }
        let engine = self.narrow.pop()?;
        self.narrow_runs += 1;
        Some(engine)
    }

    /// An engine whose run has ended.
    pub(super) fn give_back(&mut self, engine: LaneEngine) {
        match engine.width {
            Width::Wide => (self.wide, self.wide_runs) = (Some(engine), false),
            Width::Narrow => {
                self.narrow_runs -= 1;
                self.narrow.push(engine);
            }
        }
    }
}

impl LaneEngine {
    fn new(engine: Box<dyn Engine>, width: Width) -> Self {
        Self { engine, width, released: Instant::now() }
    }

    /// The engine, which gives memory back with this run if it has not for a while.
    pub(super) fn for_run(&mut self) -> &mut dyn Engine {
        if self.released.elapsed() > RELEASE_EVERY {
            self.engine.release_memory();
            self.released = Instant::now();
        }
        &mut *self.engine
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::inference::testing::colors;

    fn lanes(threads: usize, profile: RunProfile) -> Lanes {
        let file = onnx::export(&colors(), &onnx::ExportOptions::default()).unwrap();
        let engines = onnx::engine::open_set(EngineKind::Tract, &file, NonZeroUsize::new(threads).unwrap());
        Lanes::new(engines.unwrap(), profile)
    }

    #[test]
    fn an_image_that_is_alone_has_all_threads_and_nothing_runs_beside_it() {
        let mut lanes = lanes(2, RunProfile::Auto);
        let engine = lanes.take(Company::Alone).unwrap();
        assert_eq!(engine.width, Width::Wide);
        assert!(!lanes.is_free());
        lanes.give_back(engine);
        assert!(lanes.is_free());
    }

    #[test]
    fn images_in_company_have_a_thread_each() {
        let mut lanes = lanes(2, RunProfile::Auto);
        let first = lanes.take(Company::Others).unwrap();
        // Also one that finds the server empty but for the first.
        let second = lanes.take(Company::Alone).unwrap();
        assert_eq!([first.width, second.width], [Width::Narrow; 2]);
        assert!(!lanes.is_free() && lanes.take(Company::Others).is_none());
        lanes.give_back(first);
        assert!(lanes.is_free());
        lanes.give_back(second);
        assert_eq!(lanes.take(Company::Alone).unwrap().width, Width::Wide);
    }

    #[test]
    fn a_profile_opens_what_it_runs() {
        let width = |profile, threads, company| lanes(threads, profile).take(company).unwrap().width;
        assert_eq!(width(RunProfile::Latency, 2, Company::Others), Width::Wide);
        assert_eq!(width(RunProfile::Throughput, 2, Company::Alone), Width::Narrow);
        // One thread is all threads.
        for profile in [RunProfile::Auto, RunProfile::Latency, RunProfile::Throughput] {
            assert_eq!(width(profile, 1, Company::Others), Width::Wide, "{profile:?}");
        }
    }
}
