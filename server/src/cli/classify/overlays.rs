//! Pictures of where a model looks.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use models::files::write_atomically;
use models::preprocess::Limits;
use models::scores::top_k;
use server::explain::{ModelExplainer, Question};

use crate::cli::model::ModelSource;

/// A folder with a picture for each image: where the model sees its best class.
pub(super) struct Overlays {
    folder: PathBuf,
    explainer: ModelExplainer,
    limits: Limits,
    /// How many pictures have been written for images of each file name.
    written: HashMap<OsString, usize>,
}

impl Overlays {
    /// Makes the folder if it is not there.
    pub(super) fn open(folder: &Path, model: &ModelSource, limits: Limits) -> Result<Self> {
        let network = onnx::import(model.onnx.clone()).with_context(|| {
            format!("`{}` runs as the file that it is; graft's own executor, which explains, cannot run it", model.name)
        })?;
        let explainer = ModelExplainer::new(&network.graph, &network.params, model.spec.preprocess.clone())?;
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.to_owned(), explainer, limits, written: HashMap::new() })
    }

    /// Writes `photo.jpg.cam.png` for `photo.jpg`, `photo.jpg.2.cam.png` for the second image with this name.
    pub(super) fn add(&mut self, path: &Path, logits: &[f32]) -> Result<()> {
        let Some(class) = top_k(logits, 1).first().copied() else { return Ok(()) };
        let image = std::fs::read(path).with_context(|| path.display().to_string())?;
        let explanation = self.explainer.answer(&Question { image: image.into(), class }, &self.limits)?;
        let mut picture = path.file_name().with_context(|| format!("{} has no name", path.display()))?.to_owned();
        let number = self.written.entry(picture.clone()).or_default();
        *number += 1;
        if *number > 1 {
            picture.push(format!(".{number}"));
        }
        picture.push(".cam.png");
        let picture = self.folder.join(picture);
        write_atomically(&picture, &explanation.overlay).with_context(|| picture.display().to_string())
    }
}
