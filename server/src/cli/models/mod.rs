//! `graft models`: list and manage the stored models. A server on the same data folder follows within seconds.

mod decide;
mod list;
mod prune;
mod shadow;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};
use server::store::ModelStore;

use super::CommandContext;
use super::output::OutputArgs;

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(flatten)]
    output: OutputArgs,

    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Show a model with its versions
    Show(show::ShowArgs),
    /// Let a version answer: a newer one, or one from before. It has to pass its self-test on this machine first
    Live(decide::LiveArgs),
    /// Choose the model that answers where a request names none, or say which it is
    Default(decide::DefaultArgs),
    /// Serve a model that was unloaded
    Load(decide::LoadArgs),
    /// Stop serving a model, until it is loaded again
    Unload(decide::LoadArgs),
    /// Delete a version; its number is not given again
    Delete(decide::DeleteArgs),
    /// Give the classes of a version other names
    Label(decide::LabelArgs),
    /// Note something about a model or a version
    Note(decide::NoteArgs),
    /// Let a version answer copies of requests, or say what it has counted
    Shadow(shadow::ShadowArgs),
    /// Remove old versions. The newest that can be read stays in any case, and so do the live one and its shadow
    Prune(prune::PruneArgs),
}

/// What the commands of `graft models` work with.
struct ModelsContext<'a> {
    store: ModelStore,
    output: OutputArgs,
    command: &'a CommandContext,
}

pub(super) fn run(args: &ModelsArgs, command: &CommandContext) -> Result<()> {
    let store = command.store()?;
    let context = ModelsContext { store, output: args.output, command };
    match &args.command {
        None => list::run(&context),
        Some(ModelsCommand::Show(args)) => show::run(args, &context),
        Some(ModelsCommand::Live(args)) => decide::live(args, &context),
        Some(ModelsCommand::Default(args)) => decide::default(args, &context),
        Some(ModelsCommand::Load(args)) => decide::load(args, &context),
        Some(ModelsCommand::Unload(args)) => decide::unload(args, &context),
        Some(ModelsCommand::Delete(args)) => decide::delete(args, &context),
        Some(ModelsCommand::Label(args)) => decide::label(args, &context),
        Some(ModelsCommand::Note(args)) => decide::note(args, &context),
        Some(ModelsCommand::Shadow(args)) => shadow::run(args, &context),
        Some(ModelsCommand::Prune(args)) => prune::run(args, &context),
    }
}
