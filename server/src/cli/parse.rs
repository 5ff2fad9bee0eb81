//! From arguments, environment and configuration file to the options of a command.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use server::config::{ConfigFile, ConfigFileError};
use thiserror::Error;

use super::{Cli, output};

/// What was asked for, and where each part of it came from.
pub(super) struct CommandLine {
    pub(super) cli: Cli,
    pub(super) matches: ArgMatches,
    /// The options that there are, those of the configuration file as defaults.
    pub(super) command: Command,
    pub(super) file: Option<ConfigFile>,
}

/// Why a command line is no order.
#[derive(Debug, Error)]
pub(super) enum ParseError {
    /// clap's, which may also be the answer to `--help`.
    #[error(transparent)]
    Arguments(clap::Error),
    #[error(transparent)]
    File(ConfigFileError),
}

/// What a shell expects of a program whose arguments are wrong.
const USAGE: u8 = 2;

impl ParseError {
    /// Prints the error, or the answer.
    pub(super) fn exit(self) -> ExitCode {
        match self {
            ParseError::Arguments(error) => {
                // Nothing can be done when even that cannot be written.
                drop(error.print());
                u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }
            ParseError::File(error) => {
                output::error(&error.into());
                ExitCode::from(USAGE)
            }
        }
    }
}

const CONFIG_FLAG: &str = "--config";
const CONFIG_VARIABLE: &str = "GRAFT_CONFIG";
/// A job is told everything by its server, and reads no file that may have changed meanwhile.
const JOB: &str = "job";

/// Reads the arguments of this process; without a command, those of `serve`.
///
/// # Errors
/// [`ParseError`].
pub(super) fn parse() -> Result<CommandLine, ParseError> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (command, file) = command(&arguments).map_err(ParseError::File)?;
    let matches =
        matches(&command, &arguments).map_err(|error| ParseError::Arguments(with_file(error, file.as_ref())))?;
    let cli = Cli::from_arg_matches(&matches).map_err(ParseError::Arguments)?;
    Ok(CommandLine { cli, matches, command, file })
}

/// The options, with the values of the configuration file if there is one.
fn command(arguments: &[OsString]) -> Result<(Command, Option<ConfigFile>), ConfigFileError> {
    let mut command = Cli::command();
    // Global options are known to the commands from then on.
    command.build();
    let is_job = arguments.get(1).is_some_and(|argument| argument == JOB);
    let Some(path) = config_path(arguments).filter(|_| !is_job) else { return Ok((command, None)) };
    let file = ConfigFile::read(&path, &command)?;
    let mut command = file.apply(Cli::command());
    command.build();
    Ok((command, Some(file)))
}

/// The file has to be known before the other options can be read.
fn config_path(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    while let Some(argument) = rest.next() {
        if argument == CONFIG_FLAG {
            return rest.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix(CONFIG_FLAG)?.strip_prefix('=')) {
            return Some(path.into());
        }
    }
    #[expect(clippy::disallowed_methods, reason = "clap reads the variable too, but needs the file's values first")]
    let path = std::env::var_os(CONFIG_VARIABLE);
    path.filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn matches(command: &Command, arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let refused = match command.clone().try_get_matches_from(arguments) {
        Ok(matches) if matches.subcommand().is_some() => return Ok(matches),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    // `--help` and `--version` are answers that come as errors, and must not become those of `serve`.
    match refused {
        Some(error) if error.kind() != ErrorKind::UnknownArgument => Err(error),
        refused => {
            let (program, options) = arguments.split_at(1.min(arguments.len()));
            let serving = program.iter().cloned().chain([OsString::from("serve")]).chain(options.iter().cloned());
            command.clone().try_get_matches_from(serving).map_err(|error| refused.unwrap_or(error))
        }
    }
}

/// clap takes the file's values for its own defaults and says nothing of where they are from.
fn with_file(error: clap::Error, file: Option<&ConfigFile>) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    let invalid = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
    let Some(file) = file.filter(|_| invalid) else { return error };
    let flag = error.get(ContextKind::InvalidArg).and_then(|argument| match argument {
        ContextValue::String(text) => text.split_whitespace().next()?.strip_prefix("--").map(str::to_owned),
        _ => None,
    });
    let Some(flag) = flag.filter(|flag| file.sets("", flag)) else { return error };
    let mut error = error;
    let text = format!("the configuration file {} sets `{flag}`", file.path().display());
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![text.into()]));
    error
}
