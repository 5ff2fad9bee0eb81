//! The command line: a file a command.

mod arch;
mod check;
mod classify;
mod completions;
mod config;
mod data;
mod demo;
mod destination;
mod evaluate;
mod export;
mod findings;
mod finetune;
mod health;
mod images;
mod import;
mod interrupt;
mod key;
mod lr_find;
mod measures;
mod model;
mod models;
mod output;
mod parse;
mod progress;
mod pull;
mod quantize;
mod recipe;
mod report;
mod runtime;
mod stored;
mod train;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use server::config::{DataArgs, DataDir, DataRootArgs, EngineArgs, KernelArgs, LogArgs, ProviderArgs, ServeArgs};
use server::config::{EngineOptions, KernelChoice, KernelOptions, StarterChoice};
use server::imports::RunImport;
use server::run_context::RunContext;
use server::runtime::{Backends, KernelError, SelectError, SelectedEngine, SelectedKernels};
use server::serve::{LiveSettings, Reload};
use server::store::{ModelStore, StoreError};
use server::{allocator, http::router, jobs, serve, starter, telemetry};
use trainer::backend::DeviceChoice;

use parse::CommandLine;

/// For scripts; `docs/operations.md` has the same table.
const EXIT_CODES: &str = "Exit codes:
  0    it is done
  1    it failed, or, where a command checks something, that is not as it should be; standard error says why
  2    the command line or the configuration file is wrong; nothing was begun
  3    some images could not be classified, the others are (classify)
  130  it was interrupted";

/// Takes a pretrained image network, grafts a new head onto it, and serves the result.
///
/// Without a command it serves. Every option can also be given by its environment variable or in a configuration file;
/// `graft config` prints what is in force.
#[derive(Debug, Parser)]
#[command(name = "graft", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    kernels: KernelArgs,
    #[command(flatten)]
    log: LogArgs,
    /// A TOML file of options: those of the server as keys, those of another command in a table of its name
    #[arg(long, env = "GRAFT_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
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
    /// Draw pictures, train on them and classify new ones: the main job with nothing at hand
    Demo(demo::DemoArgs),
    /// Measure a model on images whose classes are known
    Evaluate(evaluate::EvaluateArgs),
    /// Store a model in 8-bit integers as well, and measure what that costs and gains
    Quantize(quantize::QuantizeArgs),
    /// Images with classes: say how they are understood, store, list and export them
    #[command(subcommand)]
    Data(data::DataCommand),
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
    /// Write the report of a fine-tune as one page for browsers
    Report(report::ReportArgs),
    /// List the stored models, and manage them: versions, notes, names of classes
    Models(models::ModelsArgs),
    /// Print every option of the server that is in force, and where it came from: flag, environment, file or default
    Config(config::ConfigArgs),
    /// Say what is in a file, run it on every engine, compare the answers, and say what to do about each problem
    Check(check::CheckArgs),
    /// The ONNX Runtime library: which is used, and how to get one
    #[command(subcommand)]
    Runtime(runtime::RuntimeCommand),
    /// API keys, which a server that others reach asks for
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Print the OpenAPI description of the HTTP interface
    Openapi,
    /// Print what a shell needs to complete commands and options
    Completions(completions::CompletionsArgs),
    /// Write a manual page for each command
    Man(completions::ManArgs),
    /// Ask a running server whether it is ready; for container health checks
    Health(health::HealthArgs),
    /// Run one job for a server, which speaks to it through standard input and output
    #[command(hide = true)]
    Job(JobArgs),
}

/// What a server tells the process of a job.
#[derive(Debug, Args)]
struct JobArgs {
    #[command(flatten)]
    roots: DataRootArgs,

    #[command(flatten)]
    provider: ProviderArgs,
}

/// What every command works with.
struct CommandContext {
    data: DataDir,
    starter: StarterChoice,
    engine: EngineOptions,
    kernels: KernelOptions,
    log: LogArgs,
}

impl CommandContext {
    /// The stored models, with the one that graft comes with unless the user leaves it out.
    fn store(&self) -> Result<ModelStore, StoreError> {
        let store = ModelStore::open(&self.data.models_dir())?;
        if self.starter == StarterChoice::Provided {
            starter::provide(&store);
        }
        Ok(store)
    }

    /// The engine that the user wants, its library loaded.
    fn select(&self) -> Result<SelectedEngine, SelectError> {
        server::runtime::select(&self.engine, &self.data)
    }

    /// The kernels that the user wants, their library loaded.
    fn kernels(&self) -> Result<SelectedKernels, KernelError> {
        server::runtime::kernels(&self.kernels, &self.data)
    }

    /// The engine that the user wants, with the provider that is named.
    fn select_with(&self, provider: &ProviderArgs) -> Result<SelectedEngine> {
        Ok(self.select()?.with_named_provider(&provider.resolve(), &self.data)?)
    }

    fn backends(&self) -> Result<Backends> {
        self.backends_with(&ProviderArgs::default())
    }

    fn backends_with(&self, provider: &ProviderArgs) -> Result<Backends> {
        Ok(Backends { engine: self.select_with(provider)?, kernels: self.kernels()? })
    }

    /// Answers requests. A compute backend that is asked for by name and is missing is an error at start, not a job's.
    fn serve(&self, args: &ServeArgs) -> Result<()> {
        serve::survive_hangup();
        allocator::configure();
        if self.kernels.kernels != KernelChoice::Auto || self.kernels.device != DeviceChoice::Auto {
            self.kernels()?;
        }
        self.store()?;
        let config = args.resolve(self.data.clone(), self.kernels.clone(), self.log.clone());
        let reload: Reload = Box::new(|| Ok(LiveSettings { log: parse::parse()?.cli.log.log }));
        let engine = self.select()?.with_providers(&args.provider.resolve(), &self.data)?;
        serve::serve(config, engine, &reload)
    }
}

/// Runs the command and turns its error into a sentence and an exit code.
pub(crate) fn main() -> ExitCode {
    let line = match parse::parse() {
        Ok(line) => line,
        Err(error) => return error.exit(),
    };
    let Cli { data, engine, kernels, log, .. } = &line.cli;
    let context = CommandContext {
        data: data.resolve(),
        starter: data.starter(),
        engine: engine.clone().resolve(),
        kernels: kernels.clone().resolve(),
        log: log.clone(),
    };
    let _last_lines;
    let result = match telemetry::init(log) {
        Ok(guard) => {
            _last_lines = guard;
            interrupt::survive_large_files().and_then(|()| run(line, &context))
        }
        Err(error) => Err(error.into()),
    };
    result.unwrap_or_else(|error| {
        output::error(&error);
        ExitCode::FAILURE
    })
}

fn run(mut line: CommandLine, context: &CommandContext) -> Result<ExitCode> {
    match line.cli.command.take() {
        None => {}
        Some(Command::Serve(args)) => {
            // A server runs for months, and has no use for the description of every option.
            drop(line);
            context.serve(&args)?;
        }
        Some(Command::Classify(args)) => return classify::run(&args, context),
        Some(Command::Finetune(args)) => finetune::run(&args, context)?,
        Some(Command::Demo(args)) => return demo::run(&args, context),
        Some(Command::Evaluate(args)) => evaluate::run(&args, context)?,
        Some(Command::Quantize(args)) => quantize::run(&args, context)?,
        Some(Command::Data(command)) => return data::run(&command, context),
        Some(Command::Train(args)) => train::run(&args, context)?,
        Some(Command::LrFind(args)) => lr_find::run(&args, context)?,
        Some(Command::Import(args)) => import::run(&args, context)?,
        Some(Command::Pull(args)) => pull::run(&args, context)?,
        Some(Command::Arch(command)) => arch::run(&command)?,
        Some(Command::Export(args)) => export::run(&args, context)?,
        Some(Command::Report(args)) => report::run(&args, context)?,
        Some(Command::Models(args)) => models::run(&args, context)?,
        Some(Command::Config(args)) => config::run(&args, &line)?,
        Some(Command::Completions(args)) => completions::completions(&args)?,
        Some(Command::Man(args)) => completions::man(&args)?,
        Some(Command::Check(args)) => return check::run(&args, context),
        Some(Command::Runtime(command)) => runtime::run(&command, context)?,
        Some(Command::Key(command)) => key::run(&command)?,
        Some(Command::Openapi) => output::json(&router::openapi())?,
        Some(Command::Health(args)) => health::run(&args)?,
        Some(Command::Job(args)) => {
            let access = args.roots.access(&context.data);
            let place = RunContext { data: context.data.clone(), access, origin: None };
            telemetry::log_panics();
            let import: RunImport<'_> = &|spec, origin, observer| import::job::run(spec, origin, observer, context);
            return Ok(jobs::child::main(&place, &context.backends_with(&args.provider)?, import)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A share for people; a dash where there is none.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}
