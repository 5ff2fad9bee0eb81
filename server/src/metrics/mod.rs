//! What the server counts, as Prometheus scrapes it. Counters live here and not in the models, so that a reload keeps
//! them.
//!
//! Every request that is received ends as exactly one outcome: `received = answered + shed + failed + abandoned`, plus
//! what is in flight.

mod gauges;
mod labels;
mod process;
mod statistics;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use gauges::{Gauges, ModelGauges};
pub use labels::{ConnectionEnd, Outcome, ShadowOutcome, Stage};
use labels::{ConnectionLabels, ModelLabels, NameLabels, RequestLabels, RouteLabels, ShadowLabels, StageLabels};
pub use process::resident_bytes;
pub use statistics::{DurationSum, RunStatistics, VersionStatistics};
use statistics::{Statistics, VersionCounter};

/// From half a millisecond, which a small image takes to decode, to a minute.
const SECONDS: [f64; 15] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
const BATCHES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the process; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    received: Family<RouteLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histograms<RouteLabels>,
    stage_seconds: Histograms<StageLabels>,
    batches: Histograms<ModelLabels>,
    images: Family<ModelLabels, Counter>,
    answered_again: Family<ModelLabels, Counter>,
    loads: Family<NameLabels, Counter>,
    unloads: Family<NameLabels, Counter>,
    shadow_images: Family<ShadowLabels, Counter>,
    connections: Gauge,
    connections_ended: Family<ConnectionLabels, Counter>,
    gauges: Gauges,
    statistics: Statistics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let sizes: fn() -> Histogram = || Histogram::new(BATCHES);
        let inner = Inner {
            received: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            stage_seconds: Family::new_with_constructor(seconds),
            batches: Family::new_with_constructor(sizes),
            images: Family::default(),
            answered_again: Family::default(),
            loads: Family::default(),
            unloads: Family::default(),
            shadow_images: Family::default(),
            connections: Gauge::default(),
            connections_ended: Family::default(),
            gauges: Gauges::new(&mut registry),
            statistics: Statistics::default(),
            registry: Registry::default(),
        };
        let mut add = Registered(&mut registry);
        add.metric("graft_requests_received", "Requests whose head has arrived", &inner.received);
        add.metric("graft_requests", "Requests by outcome: answered, shed, failed or abandoned", &inner.requests);
        add.metric("graft_request_seconds", "From the head of a request to its answer", &inner.request_seconds);
        add.metric("graft_stage_seconds", "Stages of a classification, for each image", &inner.stage_seconds);
        add.metric("graft_batch_images", "Images in one run of a model", &inner.batches);
        add.metric("graft_images", "Images that a model has answered", &inner.images);
        add.metric("graft_images_answered_again", "Images answered from the cache of answers", &inner.answered_again);
        add.metric("graft_model_loads", "How often a version of a model was loaded", &inner.loads);
        add.metric("graft_model_unloads", "How often a model was unloaded to make room", &inner.unloads);
        add.metric(
            "graft_shadow_images",
            "Images that shadows were given, by what became of them",
            &inner.shadow_images,
        );
        add.metric("graft_connections", "Open connections", &inner.connections);
        add.metric("graft_connections_ended", "Connections by why they ended", &inner.connections_ended);
        Self(Arc::new(Inner { registry, ..inner }))
    }
}

/// Registers clones, which share their numbers.
struct Registered<'a>(&'a mut Registry);

impl Registered<'_> {
    fn metric<M: prometheus_client::registry::Metric + Clone>(&mut self, name: &str, help: &str, metric: &M) {
        self.0.register(name, help, metric.clone());
    }
}

impl Metrics {
    /// A request's head has arrived.
    pub fn received(&self, route: &str) {
        self.0.received.get_or_create(&RouteLabels { route: route.to_owned() }).inc();
    }

    /// A request has ended; `reason` is the code of its error, or empty.
    pub fn ended(&self, request: EndedRequest<'_>) {
        let EndedRequest { route, model, outcome, reason, duration } = request;
        let (route, model) = (route.to_owned(), model.to_owned());
        self.0.request_seconds.get_or_create(&RouteLabels { route: route.clone() }).observe(duration.as_secs_f64());
        let labels = RequestLabels { route, model, outcome: outcome.name(), reason };
        self.0.requests.get_or_create(&labels).inc();
    }

    /// An image that was chosen for the shadow of a model is done with.
    pub fn shadow_image(&self, model: &str, outcome: ShadowOutcome) {
        let labels = ShadowLabels { model: model.to_owned(), outcome: outcome.name() };
        self.0.shadow_images.get_or_create(&labels).inc();
    }

    /// A connection was accepted.
    pub fn connected(&self) {
        self.0.connections.inc();
    }

    /// A connection has ended.
    pub fn disconnected(&self, end: ConnectionEnd) {
        self.0.connections.dec();
        self.refused(end);
    }

    /// A connection that was never served has ended.
    pub fn refused(&self, end: ConnectionEnd) {
        self.0.connections_ended.get_or_create(&ConnectionLabels { reason: end.name() }).inc();
    }

    /// A version of a model was loaded.
    pub fn model_loaded(&self, model: &str) {
        self.0.loads.get_or_create(&NameLabels { model: model.to_owned() }).inc();
    }

    /// A model was unloaded to make room.
    pub fn model_unloaded(&self, model: &str) {
        self.0.unloads.get_or_create(&NameLabels { model: model.to_owned() }).inc();
    }

    /// What is counted for a version of a model; the numbers outlive it.
    #[must_use]
    pub fn of_model(&self, model: &str, version: u32, engine: &str) -> ModelMetrics {
        let labels = ModelLabels { model: model.to_owned(), engine: engine.to_owned() };
        ModelMetrics { metrics: self.clone(), labels, counter: self.0.statistics.of_version(model, version) }
    }

    /// What each version of each model has done since the server started, by name and number.
    #[must_use]
    pub fn statistics(&self) -> Vec<VersionStatistics> {
        self.0.statistics.read()
    }

    /// All metrics in the `OpenMetrics` text format. `read` sets the gauges; they belong to one scrape at a time.
    #[must_use]
    pub fn encode(&self, read: impl FnOnce(&Gauges)) -> String {
        let _one_scrape = self.0.gauges.lock();
        read(&self.0.gauges);
        self.0.gauges.read_process();
        let mut text = String::new();
        // Writing to a string does not fail.
        let _infallible = encode(&mut text, &self.0.registry);
        text
    }
}

/// A request that is over.
#[derive(Debug, Clone, Copy)]
pub struct EndedRequest<'a> {
    /// The address with its variable parts by name, or `other`.
    pub route: &'a str,
    /// The model that was asked, or nothing.
    pub model: &'a str,
    /// How it ended.
    pub outcome: Outcome,
    /// The code of its error, or nothing.
    pub reason: &'static str,
    /// From its head to its answer.
    pub duration: Duration,
}

/// What is counted for a model.
#[derive(Clone)]
pub struct ModelMetrics {
    metrics: Metrics,
    labels: ModelLabels,
    counter: VersionCounter,
}

impl ModelMetrics {
    /// How long a stage took.
    pub fn stage(&self, stage: Stage, duration: Duration) {
        let ModelLabels { model, engine } = self.labels.clone();
        let labels = StageLabels { stage: stage.name(), model, engine };
        self.metrics.0.stage_seconds.get_or_create(&labels).observe(duration.as_secs_f64());
        self.counter.stage(stage, duration);
    }

    /// One run of the model, and how long it took.
    pub fn batch(&self, images: usize, duration: Duration) {
        self.metrics.0.batches.get_or_create(&self.labels).observe(images as f64);
        self.metrics.0.images.get_or_create(&self.labels).inc_by(images as u64);
        self.counter.batch(images, duration);
    }

    /// An image had its logits from the cache of answers.
    pub fn answered_again(&self) {
        self.metrics.0.answered_again.get_or_create(&self.labels).inc();
    }

    /// A request's images have their logits.
    pub fn succeeded(&self, duration: Duration) {
        self.counter.succeeded(duration);
    }

    /// A request for the model was refused, or none of its images could be answered.
    pub fn failed(&self, duration: Duration) {
        self.counter.failed(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_by_route_model_outcome_and_reason() {
        let metrics = Metrics::default();
        for (outcome, reason) in [(Outcome::Answered, ""), (Outcome::Shed, "overloaded"), (Outcome::Answered, "")] {
            metrics.received("/classify");
            let duration = Duration::from_millis(30);
            metrics.ended(EndedRequest { route: "/classify", model: "flowers", outcome, reason, duration });
        }
        metrics.of_model("flowers", 1, "tract").stage(Stage::Decode, Duration::from_millis(3));
        let text = metrics.encode(|_| {});
        for line in [
            "graft_requests_received_total{route=\"/classify\"} 3",
            "graft_requests_total{route=\"/classify\",model=\"flowers\",outcome=\"answered\",reason=\"\"} 2",
            "graft_requests_total{route=\"/classify\",model=\"flowers\",outcome=\"shed\",reason=\"overloaded\"} 1",
            "graft_request_seconds_bucket{le=\"0.05\",route=\"/classify\"} 3",
            "graft_stage_seconds_count{stage=\"decode\",model=\"flowers\",engine=\"tract\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
