//! `graft config`: what is in force, and who said so.

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args};
use serde::Serialize;
use server::config::ServeArgs;

use super::output::{self, OutputArgs};
use super::parse::CommandLine;

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The options of the server, which this command takes as `graft serve` does.
    #[command(flatten)]
    _serve: ServeArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The name of this command.
const NAME: &str = "config";
/// Options that are not the server's.
const OWN: [&str; 3] = [NAME, "output", "json"];

/// An option and who said so.
#[derive(Serialize)]
struct Setting {
    option: String,
    /// As on the command line; empty for one that is not set or secret.
    values: Vec<String>,
    source: String,
    #[serde(skip)]
    line: String,
}

/// Prints every option of the server as a line of a configuration file, with its source behind it.
pub(super) fn run(args: &ConfigArgs, line: &CommandLine) -> Result<()> {
    let Some(command) = line.command.find_subcommand(NAME) else { return Ok(()) };
    let Some(matches) = line.matches.subcommand_matches(NAME) else { return Ok(()) };
    let shown = |option: &&Arg| {
        let answer = matches!(option.get_action(), ArgAction::Help | ArgAction::HelpLong | ArgAction::Version);
        !answer && !option.is_hide_set() && option.get_long().is_some_and(|flag| !OWN.contains(&flag))
    };
    let settings: Vec<Setting> =
        command.get_arguments().filter(shown).map(|option| describe(option, matches, line)).collect();
    if args.output.is_json() {
        return Ok(output::json(&settings)?);
    }
    if let Some(file) = &line.file {
        output::line(format_args!("# {}", file.path().display()))?;
    }
    Ok(settings.iter().try_for_each(|setting| output::line(format_args!("{}", setting.line)))?)
}

fn describe(option: &Arg, matches: &ArgMatches, line: &CommandLine) -> Setting {
    let (id, flag) = (option.get_id().as_str(), option.get_long().unwrap_or_default());
    let source = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => format!("flag --{flag}"),
        Some(ValueSource::EnvVariable) => {
            format!("environment {}", option.get_env().unwrap_or_default().to_string_lossy())
        }
        _ => match &line.file {
            Some(file) if file.sets(NAME, flag) => "file".to_owned(),
            _ => "default".to_owned(),
        },
    };
    let values: Vec<String> = matches
        .get_raw(id)
        .map(|values| values.map(|value| value.to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let secret = option.is_hide_env_values_set();
    let text = match (&values[..], secret) {
        ([], _) => format!("# {flag} is not set"),
        (_, true) => format!("# {flag} is set and secret  # {source}"),
        ([value], false) if !matches!(option.get_action(), ArgAction::Append) => {
            format!("{flag} = {}  # {source}", toml(value))
        }
        (values, false) => {
            let list: Vec<String> = values.iter().map(|value| toml(value)).collect();
            format!("{flag} = [{}]  # {source}", list.join(", "))
        }
    };
    Setting { option: flag.to_owned(), values: if secret { vec![] } else { values }, source, line: text }
}

/// Numbers and truths as they are, everything else in quotes.
fn toml(value: &str) -> String {
    let plain = value == "true" || value == "false" || value.parse::<i64>().is_ok_and(|_| !value.starts_with('+'));
    if plain { value.to_owned() } else { toml::Value::String(value.to_owned()).to_string() }
}
