//! The images of a folder, archive or table as images of a data set, as the trainer understands them.

use std::num::NonZeroUsize;

use models::preprocess::{Limits, decode};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use trainer::data::{Dataset, DatasetError, DatasetFolder, DatasetSummary, Sample};
use trainer::events::{Event, Observer, Phase};
use trainer::finetune::FinetuneOptions;
use utoipa::ToSchema;

use super::content::{self, WriteGuard};
use super::{Addition, DatasetName, DatasetStore, DatasetStoreError, Label, NewImage, file_name};

/// Files that are read at a time.
const CHUNK: usize = 64;
/// How many refusals a report names.
const NAMED: usize = 100;

/// An import that has begun: into the data set that had this name then.
#[derive(Debug, Clone)]
pub struct Import {
    id: i64,
    name: DatasetName,
    folder: DatasetFolder,
}

/// How an import reads images.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions {
    /// The largest image.
    pub limits: Limits,
    /// How many images are decoded at a time.
    pub threads: NonZeroUsize,
}

/// Images whose bytes are in the folder of the data set, and which no row names yet.
pub struct ImportedFiles {
    images: Vec<NewImage>,
    /// Each with its path, for what is said of it later.
    paths: Vec<String>,
    refusals: Vec<String>,
    understood: DatasetSummary,
    guard: WriteGuard,
}

/// What became of the images of a folder, archive or table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// How they were understood, with what was left out and why.
    pub understood: DatasetSummary,
    /// How many images are new.
    #[schema(example = 1358)]
    pub added: usize,
    /// How many were there already, with the same label.
    #[schema(example = 0)]
    pub present: usize,
    /// How many were refused.
    #[schema(example = 2)]
    pub refused: usize,
    /// Why, for the first hundred of them.
    #[schema(example = json!(["flowers.zip/rose/a.jpg: the jpeg is truncated: the file ends before the image does"]))]
    pub refusals: Vec<String>,
}

/// The import was told to stop.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The images cannot be listed.
    #[error(transparent)]
    Source(#[from] DatasetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DatasetStoreError),
    /// The observer asked to stop.
    #[error("stopped; nothing was added")]
    Stopped,
}

impl DatasetStore {
    /// Begins an import.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`].
    pub async fn begin_import(&self, name: &DatasetName) -> Result<Import, DatasetStoreError> {
        let id = self.id(&mut *self.pool().await?.acquire().await?, name).await?;
        Ok(Import { id, name: name.clone(), folder: self.folder(name) })
    }

    /// Names the images that an import has read, all at once: until then none of them is in the data set.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`] when the data set was deleted meanwhile, [`DatasetStoreError::Full`].
    pub async fn finish_import(
        &self,
        import: &Import,
        files: ImportedFiles,
    ) -> Result<ImportReport, DatasetStoreError> {
        let ImportedFiles { images, paths, mut refusals, understood, guard } = files;
        let inserted = self.insert(import.id, &import.name, &images).await;
        drop(guard);
        if inserted.is_err() {
            self.sweep(&import.name, images.iter().map(|image| image.sha256).collect()).await?;
        }
        let (mut added, mut present) = (0, 0);
        for (addition, path) in inserted?.iter().zip(paths) {
            match addition {
                Addition::Added(_) => added += 1,
                Addition::Present(_) => present += 1,
                Addition::LabeledOtherwise { label, .. } => {
                    refusals.push(format!("{path}: the image is in the data set with the label `{label}`"));
                }
            }
        }
        let refused = refusals.len();
        refusals.truncate(NAMED);
        Ok(ImportReport { understood, added, present, refused, refusals })
    }
}

impl Import {
    /// Reads and decodes the images, and writes those that can be used into the folder of the data set. Blocks. Emits
    /// [`Event::Progress`] of [`Phase::Data`].
    ///
    /// # Errors
    /// [`ImportError`]; what has been written is named by nobody then.
    pub fn read(
        &self,
        dataset: &Dataset,
        options: &ImportOptions,
        observer: &mut dyn Observer,
    ) -> Result<ImportedFiles, ImportError> {
        let guard = WriteGuard::take(&self.folder)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads.get()).build();
        let pool = pool.map_err(|error| DatasetStoreError::io(self.folder.path())(std::io::Error::other(error)))?;
        let total = dataset.samples.len() as u64;
        let mut refusals: Vec<String> = dataset.account.faults().iter().map(|fault| fault.reason.clone()).collect();
        let (mut images, mut paths) = (Vec::new(), Vec::new());
        for chunk in dataset.samples.chunks(CHUNK) {
            if observer.stopped() {
                return Err(ImportError::Stopped);
            }
            let read = |sample: &Sample| self.store(sample, dataset, &options.limits);
            let files: Vec<_> = pool.install(|| chunk.par_iter().map(read).collect());
            for (sample, file) in chunk.iter().zip(files) {
                match file? {
                    Ok(image) => {
                        images.push(image);
                        paths.push(sample.path.display().to_string());
                    }
                    Err(reason) => refusals.push(reason),
                }
            }
            observer.event(Event::Progress { phase: Phase::Data, done: (images.len() + refusals.len()) as u64, total });
        }
        content::settle(&self.folder, &images.iter().map(|image| image.sha256).collect::<Vec<_>>())?;
        let defaults = FinetuneOptions::default();
        let understood = DatasetSummary::new(dataset, &defaults.split(dataset, &dataset.samples));
        Ok(ImportedFiles { images, paths, refusals, understood, guard })
    }

    /// One image; the inner error is why it is refused.
    fn store(
        &self,
        sample: &Sample,
        dataset: &Dataset,
        limits: &Limits,
    ) -> Result<Result<NewImage, String>, DatasetStoreError> {
        let shown = sample.path.display();
        let label = match Label::of(dataset.labels_of(sample)) {
            Ok(label) => label,
            Err(error) => return Ok(Err(format!("{shown}: {error}"))),
        };
        let bytes = match sample.read(limits) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let image = match decode(&bytes, limits) {
            Ok(image) => image,
            Err(error) => return Ok(Err(format!("{shown}: {error}"))),
        };
        Ok(Ok(NewImage {
            sha256: content::put(&self.folder, &bytes)?,
            label,
            file_name: sample.path.file_name().and_then(|name| file_name(&name.to_string_lossy())),
            subset: sample.subset,
            bytes: bytes.len() as u64,
            width: image.width(),
            height: image.height(),
        }))
    }
}
