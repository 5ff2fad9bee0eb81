//! The record of a shadow: its counts, and the last of what it was compared on.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::counts::{Disagreement, ShadowCounts};
use super::report::{LatencyQuantiles, ShadowLatency, ShadowReport, ShadowState};
use crate::store::ShadowSettings;

/// The disagreements that are remembered, the last ones.
const DISAGREEMENTS: usize = 100;
/// The runs whose durations are remembered, the last ones.
const DURATIONS: usize = 1000;

/// The counts, the last disagreements and durations; as a file, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ShadowRecord {
    /// When the shadow was decided, which tells it from others.
    pub(super) decided: Timestamp,
    pub(super) version: u32,
    pub(super) share: f64,
    /// The version that it is compared with, and since when.
    pub(super) live: Option<u32>,
    pub(super) since: Timestamp,
    pub(super) counts: ShadowCounts,
    pub(super) disagreements: VecDeque<Disagreement>,
    live_ms: VecDeque<f32>,
    shadow_ms: VecDeque<f32>,
}

/// What both versions say to an image, and how long each run took, in milliseconds.
pub(super) struct Comparison {
    pub(super) disagreement: Disagreement,
    pub(super) live_ms: f32,
    pub(super) shadow_ms: f32,
}

impl ShadowRecord {
    /// Of a shadow that has seen nothing yet.
    pub(super) fn new(settings: &ShadowSettings) -> Self {
        Self {
            decided: settings.since,
            version: settings.version,
            share: settings.share,
            live: None,
            since: settings.since,
            counts: ShadowCounts::default(),
            disagreements: VecDeque::new(),
            live_ms: VecDeque::new(),
            shadow_ms: VecDeque::new(),
        }
    }

    /// Begins anew if another version is live than the one that was compared with so far.
    pub(super) fn compare_with(&mut self, live: u32) {
        if self.live == Some(live) {
            return;
        }
        if self.live.is_some() {
            let settings = ShadowSettings { version: self.version, share: self.share, since: self.decided };
            // The image at hand is the first.
            let counts = ShadowCounts { sampled: 1, ..ShadowCounts::default() };
            *self = Self { since: Timestamp::now(), counts, ..Self::new(&settings) };
        }
        self.live = Some(live);
    }

    /// Takes an answer of the shadow into account. Whether it is that of the live version.
    pub(super) fn add(&mut self, comparison: Comparison) -> bool {
        let Comparison { disagreement, live_ms, shadow_ms } = comparison;
        let agreed = disagreement.live.labels == disagreement.shadow.labels;
        self.counts.compared += 1;
        self.counts.agreed += u64::from(agreed);
        remember(&mut self.live_ms, live_ms, DURATIONS);
        remember(&mut self.shadow_ms, shadow_ms, DURATIONS);
        if !agreed {
            remember(&mut self.disagreements, disagreement, DISAGREEMENTS);
        }
        agreed
    }

    /// As the outside sees it.
    pub(super) fn report(&self, state: ShadowState, reason: Option<String>) -> ShadowReport {
        let agreement = (self.counts.compared > 0).then(|| self.counts.agreed as f64 / self.counts.compared as f64);
        ShadowReport {
            version: self.version,
            variant: None,
            live: self.live,
            share: self.share,
            state,
            reason,
            since: self.since,
            images: self.counts,
            agreement,
            latency_ms: ShadowLatency {
                live: LatencyQuantiles::of(&self.live_ms),
                shadow: LatencyQuantiles::of(&self.shadow_ms),
            },
            disagreements: self.disagreements.iter().rev().cloned().collect(),
        }
    }
}

impl ShadowReport {
    /// Of a shadow that has not begun.
    pub(in crate::inference) fn waiting(settings: &ShadowSettings, reason: &str) -> Self {
        ShadowRecord::new(settings).report(ShadowState::Waiting, Some(reason.to_owned()))
    }
}

/// Adds to the last so many.
fn remember<T>(last: &mut VecDeque<T>, new: T, most: usize) {
    if last.len() == most {
        last.pop_front();
    }
    last.push_back(new);
}

#[cfg(test)]
mod tests {
    use super::super::counts::ShadowAnswer;
    use super::*;

    fn settings() -> ShadowSettings {
        ShadowSettings { version: 2, share: 0.5, since: "2026-11-23T18:52:40Z".parse().unwrap() }
    }

    fn comparison([live, shadow]: [&str; 2], ms: f32) -> Comparison {
        let answer = |label: &str| ShadowAnswer { labels: vec![label.to_owned()], score: 0.9 };
        let (at, request_id, sha256) = (settings().since, "request".to_owned(), "00".to_owned());
        let disagreement =
            Disagreement { at, request_id, image: 1, sha256, live: answer(live), shadow: answer(shadow) };
        Comparison { disagreement, live_ms: ms, shadow_ms: 2.0 * ms }
    }

    #[test]
    fn agreement_and_latency_are_as_computed_on_paper() {
        let mut record = ShadowRecord::new(&settings());
        record.compare_with(1);
        assert_eq!(record.report(ShadowState::Running, None).agreement, None, "nothing is compared yet");
        // Three of four agree; the durations are 1 to 4 ms, whose median is 2 and whose 95th percentile is 4 (nearest rank).
        for (labels, ms) in [["a", "a"], ["b", "b"], ["a", "b"], ["c", "c"]].into_iter().zip([1.0, 2.0, 3.0, 4.0]) {
            record.add(comparison(labels, ms));
        }
        let report = record.report(ShadowState::Running, None);
        assert_eq!((report.images.compared, report.images.agreed, report.agreement), (4, 3, Some(0.75)));
        let ShadowLatency { live, shadow } = report.latency_ms;
        let (live, shadow) = (live.unwrap(), shadow.unwrap());
        assert_eq!((live.mean, live.p50, live.p95), (2.5, 2.0, 4.0));
        assert_eq!((shadow.mean, shadow.p50, shadow.p95), (5.0, 4.0, 8.0));
        assert_eq!(report.disagreements.len(), 1);
        assert_eq!(report.disagreements[0].shadow.labels, ["b"]);
    }

    #[test]
    fn only_the_last_disagreements_are_remembered_and_the_newest_comes_first() {
        let mut record = ShadowRecord::new(&settings());
        for number in 0..=DISAGREEMENTS {
            record.add(comparison(["a", &format!("b{number}")], 1.0));
        }
        let report = record.report(ShadowState::Running, None);
        assert_eq!(report.disagreements.len(), DISAGREEMENTS);
        assert_eq!(report.disagreements[0].shadow.labels, ["b100"]);
        assert_eq!(report.disagreements[DISAGREEMENTS - 1].shadow.labels, ["b1"]);
    }

    #[test]
    fn another_live_version_begins_the_counts_anew() {
        let mut record = ShadowRecord::new(&settings());
        record.compare_with(1);
        record.add(comparison(["a", "a"], 1.0));
        record.compare_with(1);
        assert_eq!(record.counts.compared, 1);
        record.compare_with(3);
        assert_eq!((record.counts.compared, record.live, record.decided), (0, Some(3), settings().since));
    }
}
