//! What is read at the moment of a scrape.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{BuildLabels, JobLabels, NameLabels, StateLabels};
use super::process::ProcessUsage;

type Seconds = Gauge<f64, AtomicU64>;

/// The gauges that a scrape sets.
#[derive(Default)]
pub struct Gauges {
    scraping: Mutex<()>,
    queue: Family<NameLabels, Gauge>,
    wait: Family<NameLabels, Seconds>,
    version: Family<NameLabels, Gauge>,
    memory: Family<NameLabels, Gauge>,
    memory_limit: Gauge,
    state: Family<StateLabels, Gauge>,
    jobs: Family<JobLabels, Gauge>,
    build: Family<BuildLabels, Gauge>,
    body_bytes: Gauge,
    body_bytes_limit: Gauge,
    pixels: Gauge,
    pixels_limit: Gauge,
    lost_lines: Counter,
    process: ProcessGauges,
}

/// Named as every Prometheus client names them.
#[derive(Default)]
struct ProcessGauges {
    resident: Gauge,
    cpu: Counter<f64, AtomicU64>,
    open_files: Gauge,
    max_files: Gauge,
    threads: Gauge,
}

/// A model at the moment of a scrape.
#[derive(Debug, Clone)]
pub struct ModelGauges {
    /// What requests call it.
    pub model: String,
    /// Its state as `GET /models` has it.
    pub state: String,
    /// The version that answers, or 0.
    pub version: u32,
    /// Images that are being decoded for it or wait.
    pub waiting: usize,
    /// How long another image would wait, in seconds.
    pub wait: f64,
    /// What it takes in memory, in bytes; 0 if it is not there.
    pub memory: u64,
}

impl Gauges {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        let mut add = super::Registered(registry);
        add.metric("graft_queue_images", "Images that are being decoded for a model or wait for it", &gauges.queue);
        add.metric("graft_predicted_wait_seconds", "How long another image would wait for a model", &gauges.wait);
        add.metric("graft_model_version", "The version of a model that answers", &gauges.version);
        add.metric("graft_model_memory_bytes", "What a model in memory was measured to take", &gauges.memory);
        add.metric("graft_model_memory_limit_bytes", "What models may take together; 0 for all", &gauges.memory_limit);
        add.metric("graft_model_state", "1 for the state that a model is in", &gauges.state);
        add.metric("graft_jobs", "Fine-tunes by state", &gauges.jobs);
        add.metric("graft_build_info", "The program's version and the engine that runs models", &gauges.build);
        add.metric("graft_body_bytes_in_flight", "Bytes of request bodies in memory", &gauges.body_bytes);
        add.metric("graft_body_bytes_limit", "The most bytes of bodies in memory", &gauges.body_bytes_limit);
        add.metric("graft_pixels_in_flight", "Pixels of the images being decoded", &gauges.pixels);
        add.metric("graft_pixels_limit", "The most pixels being decoded", &gauges.pixels_limit);
        add.metric("graft_log_lines_lost", "Lines of the log that nobody took", &gauges.lost_lines);
        let ProcessGauges { resident, cpu, open_files, max_files, threads } = &gauges.process;
        add.metric("process_resident_memory_bytes", "Resident memory", resident);
        add.metric("process_cpu_seconds", "Processor time of all threads", cpu);
        add.metric("process_open_fds", "Open file descriptors", open_files);
        add.metric("process_max_fds", "The most file descriptors that may be open", max_files);
        add.metric("process_threads", "Threads", threads);
        gauges
    }

    /// Models that are gone have no numbers any more.
    pub fn set_models(&self, models: &[ModelGauges]) {
        self.queue.clear();
        self.wait.clear();
        self.version.clear();
        self.memory.clear();
        self.state.clear();
        for ModelGauges { model, state, version, waiting, wait, memory } in models {
            let name = NameLabels { model: model.clone() };
            self.queue.get_or_create(&name).set(*waiting as i64);
            self.wait.get_or_create(&name).set(*wait);
            self.version.get_or_create(&name).set(i64::from(*version));
            self.memory.get_or_create(&name).set(*memory as i64);
            self.state.get_or_create(&StateLabels { model: model.clone(), state: state.clone() }).set(1);
        }
    }

    /// How many jobs are in each state; none while their database does not answer.
    pub fn set_jobs(&self, counts: impl IntoIterator<Item = (&'static str, i64)>) {
        self.jobs.clear();
        for (state, jobs) in counts {
            self.jobs.get_or_create(&JobLabels { state }).set(jobs);
        }
    }

    /// What models may take together; nothing where they may take all.
    pub fn set_memory_limit(&self, limit: Option<u64>) {
        self.memory_limit.set(limit.map_or(0, |bytes| bytes as i64));
    }

    /// How many lines of the log were lost so far.
    pub fn set_lost_lines(&self, lines: u64) {
        let counted = self.lost_lines.get();
        self.lost_lines.inc_by(lines.saturating_sub(counted));
    }

    /// What runs the models.
    pub fn set_build(&self, engine: &str) {
        let labels = BuildLabels { version: env!("CARGO_PKG_VERSION"), engine: engine.to_owned() };
        self.build.get_or_create(&labels).set(1);
    }

    /// Bytes of bodies in memory, and their limit.
    pub fn set_body_bytes(&self, used: usize, limit: usize) {
        self.body_bytes.set(used as i64);
        self.body_bytes_limit.set(limit as i64);
    }

    /// Pixels being decoded, and their limit.
    pub fn set_pixels(&self, used: u64, limit: u64) {
        self.pixels.set(used as i64);
        self.pixels_limit.set(limit as i64);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        self.scraping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the system says of this process; nothing where there is no `/proc`.
    pub(super) fn read_process(&self) {
        let Some(usage) = ProcessUsage::read() else { return };
        let ProcessGauges { resident, cpu, open_files, max_files, threads } = &self.process;
        resident.set(usage.resident_bytes);
        let more = usage.cpu_seconds - cpu.get();
        if more > 0.0 {
            cpu.inc_by(more);
        }
        open_files.set(usage.open_files);
        max_files.set(usage.max_files);
        threads.set(usage.threads);
    }
}
