//! Variants of a version beside the one in `f32`: their files, and what the manifest records of them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use trainer::quantize::{Variant, VariantAccuracy, VariantKind};

use super::{Golden, MODEL_FILE, ModelName, ModelStore, StoreError, StoredModel, read, sync, write};

/// The files of the variants.
const VARIANTS_DIR: &str = "variants";

/// A variant of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantRecord {
    /// How its weights and activations are stored.
    pub variant: VariantKind,
    /// The size of its ONNX file.
    pub bytes: u64,
    /// What it costs.
    #[serde(flatten)]
    pub accuracy: VariantAccuracy,
    /// How far its logits may be from the golden ones, relative to the largest.
    pub tolerance: f64,
    /// Its logits for each golden image of the version.
    pub golden: Vec<Vec<f32>>,
}

impl VariantRecord {
    /// Writes the files into the folder of a version that is not published yet.
    pub(super) fn stage(folder: &Path, variants: &[Variant]) -> Result<Vec<Self>, StoreError> {
        if variants.is_empty() {
            return Ok(vec![]);
        }
        let folder = folder.join(VARIANTS_DIR);
        fs::create_dir(&folder).map_err(StoreError::io(&folder))?;
        for Variant { kind, onnx, .. } in variants {
            write(&folder.join(file_name(*kind)), onnx)?;
        }
        sync(&folder)?;
        let record = |variant: &Variant| Self {
            variant: variant.kind,
            bytes: variant.onnx.len() as u64,
            accuracy: variant.accuracy,
            tolerance: variant.tolerance,
            golden: variant.golden.clone(),
        };
        Ok(variants.iter().map(record).collect())
    }
}

impl StoredModel {
    /// The same version with this variant's file, which must reproduce this variant's logits, as if it had no other.
    #[must_use]
    pub fn in_variant(&self, record: &VariantRecord, onnx: Vec<u8>) -> Self {
        let largest = |logits: &[f32]| logits.iter().fold(0.0_f64, |most, &logit| most.max(f64::from(logit).abs()));
        let golden = self.golden.iter().zip(&record.golden).map(|(golden, logits)| Golden {
            logits: logits.clone(),
            noise: record.tolerance * largest(logits),
            ..golden.clone()
        });
        Self {
            name: self.name.clone(),
            version: self.version,
            onnx,
            spec: self.spec.clone(),
            golden: golden.collect(),
            report: self.report.clone(),
            variant: record.variant,
            variants: vec![],
        }
    }
}

impl ModelStore {
    /// The ONNX file of a variant.
    ///
    /// # Errors
    /// [`StoreError`] when the version has no such variant, or its file cannot be read.
    pub fn variant(&self, name: &ModelName, version: u32, kind: VariantKind) -> Result<Vec<u8>, StoreError> {
        let folder = self.folder(name, self.resolve(name, Some(version))?);
        let file = match kind {
            VariantKind::F32 => folder.join(MODEL_FILE),
            kind => folder.join(VARIANTS_DIR).join(file_name(kind)),
        };
        match read(&file) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound && kind != VariantKind::F32 => {
                Err(StoreError::NoVariant { name: name.clone(), version, kind })
            }
            bytes => bytes,
        }
    }
}

fn file_name(kind: VariantKind) -> String {
    format!("{kind}.onnx")
}
