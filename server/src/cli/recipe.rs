//! What commands on recipes have in common: which recipe, with which settings, on which images.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use models::Network;
use models::preprocess::Limits;
use server::runtime::SelectedKernels;
use server::store::{ModelContent, ModelName, OpaqueModel, StoreError};
use trainer::data::{BadFilePolicy, OpenOptions};
use trainer::events::{Event, Observer, Phase};
use trainer::finetune::FinetuneOptions;
use trainer::recipe::{LoadOptions, Plan, Recipe, RecipeError, Setting, Teacher, TeacherError};

use super::images::DatasetArgs;
use super::{CommandContext, output};

#[derive(Debug, Args)]
pub(super) struct RecipeArgs {
    /// The recipe: a name of `graft train --list`, or a file
    #[arg(long, env = "GRAFT_RECIPE", value_name = "NAME|FILE")]
    recipe: Option<String>,

    /// The images: a folder with one folder per class, a zip or tar archive of one, a CSV table, Oxford-17 or CIFAR-10; or
    /// the name of a published data set, `oxford17` or `cifar10`
    #[arg(long, env = "GRAFT_DATA", value_name = "PATH|NAME")]
    data: Option<PathBuf>,

    #[command(flatten)]
    dataset: DatasetArgs,

    /// Sets an option of the recipe; graft's names with dots, tflearn's, or the recipe's own parameter. Can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,

    /// What to do with images that cannot be read
    #[arg(long, env = "GRAFT_BAD_FILES", value_enum, default_value_t)]
    bad_files: BadFilePolicy,

    /// The largest image that is read, in millions of pixels
    #[arg(long, env = "GRAFT_TRAIN_MAX_MEGAPIXELS", value_name = "N", default_value_t = FinetuneOptions::default().max_megapixels)]
    max_megapixels: u64,
}

/// What is to be trained, before its images are looked at.
pub(super) struct TrainingDraft<'a> {
    pub(super) name: String,
    pub(super) recipe: Recipe,
    /// The stored model to train, where the recipe's own is not meant.
    pub(super) base: Option<&'a ModelName>,
}

/// A recipe with its images.
pub(super) struct TrainingSetup {
    pub(super) name: String,
    pub(super) recipe: Recipe,
    pub(super) plan: Plan,
    pub(super) kernels: SelectedKernels,
}

impl RecipeArgs {
    /// The recipe and its name, with these settings behind the user's.
    pub(super) fn open(&self, more: impl IntoIterator<Item = Setting>) -> Result<(String, Recipe)> {
        let name = self.recipe.as_deref();
        let name = name.context("name a recipe with --recipe; `graft train --list` lists them")?;
        let settings: Vec<Setting> = self.set.iter().cloned().chain(more).collect();
        Ok(Recipe::open(name, &settings)?)
    }

    /// Lists the images and prepares a run: upon this stored model, or the one that the recipe names, if there is any.
    pub(super) fn prepare(
        &self,
        draft: TrainingDraft<'_>,
        context: &CommandContext,
        observer: &mut dyn Observer,
    ) -> Result<TrainingSetup> {
        let TrainingDraft { name, recipe, base } = draft;
        let data = self.data.as_ref().context("name the images with --data")?;
        let threads = context.engine.threads;
        // Only an error when there is a pool already, which then serves as well.
        drop(rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global());
        observer.event(Event::Phase { phase: Phase::Data });
        let recipe_base = recipe.base.as_deref().map(str::parse).transpose()?;
        let base = base.cloned().or(recipe_base).map(|name| stored_base(&name, context)).transpose()?;
        let source = self.dataset.locate(data, context, observer)?;
        let plan_of = |dataset| {
            let loading =
                LoadOptions { threads, bad_files: self.bad_files, limits: Limits::megapixels(self.max_megapixels) };
            match &base {
                None => Plan::new(&recipe, dataset, loading),
                Some(base) => Plan::grafted(&recipe, base, dataset, loading),
            }
        };
        let options = OpenOptions { archives: Some(&context.data.archives_dir()), ..OpenOptions::default() };
        let dataset = source.open_in(&options, self.bad_files)?;
        for fault in dataset.account.faults() {
            observer.event(Event::Warning { message: format!("left out: {}", fault.reason) });
        }
        let summary = Plan::summary(&recipe, &dataset)?;
        observer.event(Event::Dataset { summary: Box::new(summary) });
        let (mut plan, kernels) = (plan_of(dataset)?, context.kernels()?);
        plan.fit_head(&kernels.kernels, observer)?;
        if let Some(options) = &recipe.teacher {
            let name = options.model.parse()?;
            let missing = || TeacherError::Missing { model: options.model.clone() }.into();
            let network = network(&name, context, missing)?;
            let cache = context.data.cache_dir();
            plan.ask_teacher(
                Teacher { options, network: &network, cache: &cache, backend: &kernels.kernels },
                observer,
            )?;
        }
        Ok(TrainingSetup { name, recipe, plan, kernels })
    }
}

fn stored_base(name: &ModelName, context: &CommandContext) -> Result<Network> {
    network(name, context, || RecipeError::Base { base: name.to_string() })
}

/// The stored network of this name, or this error where there is none.
fn network(name: &ModelName, context: &CommandContext, unknown: impl FnOnce() -> RecipeError) -> Result<Network> {
    let store = context.store()?;
    let version = store.resolve(name, None).map_err(|error| match error {
        StoreError::Unknown { .. } => unknown().into(),
        error => anyhow::Error::from(error),
    })?;
    match store.content(name, version)? {
        ModelContent::Native(network) => Ok(*network),
        ModelContent::Opaque(_) => Err(OpaqueModel(name.clone()).into()),
    }
}

impl TrainingSetup {
    /// What is going to happen, in three lines.
    pub(super) fn announce(&self) -> Result<()> {
        let Self { name, recipe, plan, kernels } = self;
        let counts = plan.graph.counts();
        output::line(format_args!(
            "{name}: {}, {} classes, {:.2} M parameters, {:.3} GMAC an image",
            recipe.network.as_deref().or(recipe.base.as_deref()).unwrap_or_default(),
            plan.labels.len(),
            counts.parameters as f64 / 1e6,
            counts.macs as f64 / 1e9,
        ))?;
        let counts = plan.counts;
        output::line(format_args!(
            "{} images train, {} validate, {} test; {} steps an epoch in batches of {}, {} steps in all",
            counts.training,
            counts.validation,
            counts.test,
            counts.steps_per_epoch,
            plan.options.batch_size,
            counts.steps,
        ))?;
        output::line(format_args!("kernels {}: {}", kernels.kernels, kernels.reason))?;
        Ok(())
    }
}
