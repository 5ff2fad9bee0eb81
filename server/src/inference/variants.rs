//! Which variant of a version answers: the fastest on this machine of those that are good enough.

#[cfg(test)]
mod tests;

use std::fmt;

use onnx::Engine;
use serde::Serialize;
use trainer::quantize::{VariantAccuracy, VariantKind};
use utoipa::ToSchema;

use super::admission::Throughput;
use super::opener::Opener;
use super::race::race;
use super::self_test::self_test;
use crate::store::{ModelStore, StoreError, StoredModel, VariantRecord};

/// By how much a variant must be faster than `f32` to answer in its place. Less is within what a busy machine makes of equal files.
pub(super) const WORTH: f64 = 1.1;

/// A variant of the version that answers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VariantStatus {
    /// `f32`, `fp16` or `int8`.
    #[schema(value_type = String, example = "int8")]
    pub variant: VariantKind,
    /// Whether it answers.
    pub serving: bool,
    /// Why it answers, or why another does.
    #[schema(example = "3.1 times as fast as f32")]
    pub reason: String,
    /// The size of its ONNX file.
    #[schema(example = 2_957_312)]
    pub bytes: u64,
    /// Milliseconds for one image alone, measured when the model was loaded: the fastest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 12.5)]
    pub milliseconds: Option<f64>,
    /// How it compares with `f32` on the images that measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub accuracy: Option<VariantAccuracy>,
}

/// What a choice between variants needs.
pub(super) struct VariantContext<'a> {
    pub(super) open: &'a Opener,
    pub(super) store: &'a ModelStore,
    pub(super) max_batch: usize,
    /// How many percentage points of accuracy a variant may cost.
    pub(super) max_accuracy_drop: f64,
}

impl VariantContext<'_> {
    /// What a variant costs too much, if it does.
    fn excess(&self, record: &VariantRecord) -> Option<String> {
        let (lost, allowed) = (record.accuracy.drop_points(), self.max_accuracy_drop);
        // A share of images is a quotient, which is rounded.
        let exceeds = lost > allowed + 1e-9;
        exceeds.then(|| format!("it costs {lost:.2} points of accuracy, and --max-accuracy-drop allows {allowed}"))
    }
}

/// The outcome of a choice between variants.
pub(super) struct VariantChoice {
    /// The variant that answers in the place of `f32`, if one does.
    pub(super) faster: Option<StoredModel>,
    /// Empty for a version that has one variant.
    pub(super) statuses: Vec<VariantStatus>,
}

/// Runs each variant of a version on this machine and takes the fastest whose accuracy is within the bound. A variant that does not
/// open, or does not reproduce its golden logits here, is passed over. What the version in `f32` fails at is left to the caller's
/// self-test.
pub(super) fn choose(stored: &StoredModel, context: &VariantContext<'_>) -> VariantChoice {
    let alone = || VariantChoice { faster: None, statuses: vec![] };
    if stored.variants.is_empty() {
        return alone();
    }
    let reference = (context.open)(&stored.onnx).map_err(|error| error.to_string());
    let reference = reference.map(|engines| engines.wide);
    let tested = reference.and_then(|mut engine| {
        self_test(&mut *engine, stored, context.max_batch, &Throughput::default())?;
        Ok(engine)
    });
    let Ok(mut reference) = tested else { return alone() };
    let (mut single, mut best) = (None, None::<(f64, StoredModel)>);
    let mut statuses = Vec::new();
    for record in &stored.variants {
        let mut status = VariantStatus::of(record);
        match measure(&mut *reference, stored, record, context) {
            Ok(Timed { variant, times: [in_f32, own] }) => {
                let ratio = in_f32 / own;
                single.get_or_insert(in_f32);
                status.milliseconds = Some(own);
                let excess = context.excess(record);
                let is_best = best.as_ref().is_none_or(|(fastest, _)| ratio > *fastest) && ratio >= WORTH;
                if excess.is_none() && is_best {
                    best = Some((ratio, variant));
                }
                let speed = format!("{ratio:.1} times as fast as f32");
                status.reason = excess.map_or(speed.clone(), |excess| format!("{speed}, but {excess}"));
            }
            Err(reason) => status.reason = reason,
        }
        statuses.push(status);
    }
    let kind = best.as_ref().map_or(VariantKind::F32, |(_, variant)| variant.variant);
    statuses.insert(0, VariantStatus::single(stored, single, kind));
    statuses.iter_mut().for_each(|status| status.serving = status.variant == kind);
    VariantChoice { faster: best.map(|(_, variant)| variant), statuses }
}

/// A variant that passed, and the fastest runs of `f32` and of itself.
struct Timed {
    variant: StoredModel,
    times: [f64; 2],
}

/// An error is the reason why the variant does not answer.
fn measure(
    reference: &mut dyn Engine,
    stored: &StoredModel,
    record: &VariantRecord,
    context: &VariantContext<'_>,
) -> Result<Timed, String> {
    let file = context.store.variant(&stored.name, stored.version, record.variant);
    let variant = stored.in_variant(record, file.map_err(|error: StoreError| error.to_string())?);
    if variant.golden.len() != stored.golden.len() {
        return Err(format!("it has logits for {} of {} golden images", variant.golden.len(), stored.golden.len()));
    }
    let mut engine = (context.open)(&variant.onnx).map_err(|error| error.to_string())?.wide;
    self_test(&mut *engine, &variant, context.max_batch, &Throughput::default())?;
    let times = race([reference, &mut *engine], &variant).map_err(|error| error.to_string())?;
    Ok(Timed { variant, times })
}

impl VariantStatus {
    fn of(record: &VariantRecord) -> Self {
        Self {
            variant: record.variant,
            serving: false,
            reason: String::new(),
            bytes: record.bytes,
            milliseconds: None,
            accuracy: Some(record.accuracy),
        }
    }

    fn single(stored: &StoredModel, milliseconds: Option<f64>, serving: VariantKind) -> Self {
        let reason = match serving {
            VariantKind::F32 => "no other variant is good enough and 1.1 times as fast".to_owned(),
            kind => format!("{kind} is faster"),
        };
        let bytes = stored.onnx.len() as u64;
        Self { variant: VariantKind::F32, serving: false, reason, bytes, milliseconds, accuracy: None }
    }
}

impl fmt::Display for VariantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variant, reason, .. } = self;
        match self.milliseconds {
            Some(milliseconds) => write!(f, "{variant} {milliseconds:.1} ms ({reason})"),
            None => write!(f, "{variant} ({reason})"),
        }
    }
}
