//! The command line: a file a command.

mod arch;
mod check;
mod classify;
mod export;
mod finetune;
mod health;
mod images;
mod import;
mod interrupt;
mod lr_find;
mod models;
mod output;
mod progress;
mod pull;
mod recipe;
mod runtime;
mod train;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use server::config::{DataArgs, DataDir, DataRootArgs, EngineArgs, KernelArgs, ListenArgs, LogArgs, ServeArgs};
use server::config::{EngineOptions, KernelChoice, KernelOptions};
use server::finetune::FinetuneContext;
use server::runtime::{Backends, KernelError, SelectError, SelectedEngine, SelectedKernels};
use server::{http::router, jobs, serve, telemetry};

/// Takes a pretrained image network, grafts a new head onto it, and serves the result.
///
/// Without a command it serves. Every option can also be given by its environment variable.
#[derive(Debug, Parser)]
#[command(name = "graft", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    kernels: KernelArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer HTTP requests (what `graft` does without a command)
    Serve(ServeArgs),
    /// Classify image files with a stored model, without a server
    Classify(classify::ClassifyArgs),
    /// Train a new head on a stored model with your own images, and store the result
    Finetune(finetune::FinetuneArgs),
    /// Train a network from the beginning, as a recipe says
    Train(train::TrainArgs),
    /// Try learning rates from very low to very high, and say where to begin
    LrFind(lr_find::LrFindArgs),
    /// Put a network into the store: an ONNX file, or a file of weights
    Import(import::ImportArgs),
    /// Fetch pretrained ImageNet weights from the Hugging Face Hub and store the network
    Pull(pull::PullArgs),
    /// The networks that graft builds itself: VGG, ResNet, CIFAR ResNets
    #[command(subcommand)]
    Arch(arch::ArchCommand),
    /// Write a stored model as one self-contained ONNX file
    Export(export::ExportArgs),
    /// List the stored models
    Models(models::ModelsArgs),
    /// Say what is in a file, run it on every engine, compare the answers, and say what to do about each problem
    Check(check::CheckArgs),
    /// The ONNX Runtime library: which is used, and how to get one
    #[command(subcommand)]
    Runtime(runtime::RuntimeCommand),
    /// Print the OpenAPI description of the HTTP interface
    Openapi,
    /// Ask a running server whether it is ready; for container health checks
    Health(ListenArgs),
    /// Run one fine-tune job for a server, which speaks to it through standard input and output
    #[command(hide = true)]
    Job(DataRootArgs),
}

/// What every command works with.
struct CommandContext {
    data: DataDir,
    engine: EngineOptions,
    kernels: KernelOptions,
}

impl CommandContext {
    /// The engine that the user wants, its library loaded.
    fn select(&self) -> Result<SelectedEngine, SelectError> {
        server::runtime::select(&self.engine, &self.data)
    }

    /// The kernels that the user wants, their library loaded.
    fn kernels(&self) -> Result<SelectedKernels, KernelError> {
        server::runtime::kernels(&self.kernels, &self.data)
    }

    fn backends(&self) -> Result<Backends> {
        Ok(Backends { engine: self.select()?, kernels: self.kernels()? })
    }

    /// Answers requests. A compute backend that is asked for by name and is missing is an error at start, not a job's.
    fn serve(&self, args: &ServeArgs) -> Result<()> {
        if self.kernels.kernels != KernelChoice::Auto {
            self.kernels()?;
        }
        serve::serve(args.resolve(self.data.clone(), self.kernels.clone()), self.select()?)
    }
}

/// Runs the command and turns its error into a sentence and an exit code.
pub(crate) fn main() -> ExitCode {
    let Cli { data, engine, kernels, log, command } = parse();
    let context = CommandContext { data: data.resolve(), engine: engine.resolve(), kernels: kernels.resolve() };
    let result = match telemetry::init(&log) {
        Ok(()) => run(command, &context),
        Err(error) => Err(error.into()),
    };
    result.unwrap_or_else(|error| {
        output::error(&error);
        ExitCode::FAILURE
    })
}

/// The arguments; without a command, those of `serve`, its own options included.
fn parse() -> Cli {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let refused = match Cli::try_parse_from(&arguments) {
        Ok(cli) if cli.command.is_some() => return cli,
        Ok(_) => None,
        Err(error) => Some(error),
    };
    // `--help` and `--version` are answers that come as errors, and must not become those of `serve`.
    if let Some(error) = refused.as_ref().filter(|error| error.kind() != ErrorKind::UnknownArgument) {
        error.exit();
    }
    let (program, options) = arguments.split_at(1.min(arguments.len()));
    let serving = program.iter().cloned().chain([OsString::from("serve")]).chain(options.iter().cloned());
    Cli::try_parse_from(serving).unwrap_or_else(|error| refused.unwrap_or(error).exit())
}

fn run(command: Option<Command>, context: &CommandContext) -> Result<ExitCode> {
    match command {
        None => {}
        Some(Command::Serve(args)) => context.serve(&args)?,
        Some(Command::Classify(args)) => classify::run(&args, context)?,
        Some(Command::Finetune(args)) => finetune::run(&args, context)?,
        Some(Command::Train(args)) => train::run(&args, context)?,
        Some(Command::LrFind(args)) => lr_find::run(&args, context)?,
        Some(Command::Import(args)) => import::run(&args, context)?,
        Some(Command::Pull(args)) => pull::run(&args, context)?,
        Some(Command::Arch(command)) => arch::run(&command)?,
        Some(Command::Export(args)) => export::run(&args, context)?,
        Some(Command::Models(args)) => models::run(&args, context)?,
        Some(Command::Check(args)) => return check::run(&args, context),
        Some(Command::Runtime(command)) => runtime::run(&command, context)?,
        Some(Command::Openapi) => output::json(&router::openapi())?,
        Some(Command::Health(args)) => health::run(&args)?,
        Some(Command::Job(roots)) => {
            let place = FinetuneContext { data: context.data.clone(), access: roots.access(&context.data) };
            return Ok(jobs::child::main(&place, &context.backends()?)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
