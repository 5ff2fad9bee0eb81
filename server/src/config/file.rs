//! The configuration file: options of the command line as TOML.
//!
//! There is one table of options, the command line's. The file's values become the defaults of its flags, so that a flag
//! and an environment variable come before the file, and a new flag is a key of the file without another line.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use thiserror::Error;
use toml::{Table, Value};
use trainer::nearest;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;
/// The commands that take the keys outside of tables: those that serve, describe or ask the server.
const SERVER_COMMANDS: [&str; 3] = ["serve", "config", "health"];

/// The values of a configuration file, by option.
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    path: PathBuf,
    /// Of the server: by flag, without the dashes.
    server: BTreeMap<String, Vec<String>>,
    /// Of other commands: by command, then by flag.
    commands: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// Why a configuration file cannot be used.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("cannot read the configuration file {}: {source}", .path.display())]
    Read {
        /// The configuration file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is not TOML.
    #[error("the configuration file {} is not TOML: {reason}", .path.display())]
    Syntax {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A key that is no option.
    #[error("the configuration file {} has the key `{key}`, which is no option{hint}", .path.display())]
    Unknown {
        /// The configuration file.
        path: PathBuf,
        /// The key, with the command that its table is for.
        key: String,
        /// The nearest option, or where they are listed.
        hint: String,
    },
    /// A value of a type that no option has.
    #[error(
        "the configuration file {} gives `{key}` a value that is no text, number, `true`, `false` or list of them",
        .path.display()
    )]
    Type {
        /// The configuration file.
        path: PathBuf,
        /// As the file has it, behind the command whose table it is in.
        key: String,
    },
}

impl ConfigFile {
    /// Reads a file for this command line.
    ///
    /// # Errors
    /// [`ConfigFileError`] naming the key and the nearest option.
    pub fn read(path: &Path, command: &Command) -> Result<Self, ConfigFileError> {
        let bytes = trainer::data::FileAccess::Everywhere.file(path).read(LARGEST);
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
        let text = text.map_err(|source| ConfigFileError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text, command)
    }

    fn parse(path: &Path, text: &str, command: &Command) -> Result<Self, ConfigFileError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigFileError::Syntax {
            path: path.to_owned(),
            reason: error.to_string().trim().to_owned(),
        })?;
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for (key, value) in table {
            let command_of_table = command.find_subcommand(&key).filter(|_| value.is_table());
            match (value, command_of_table) {
                (Value::Table(options), Some(subcommand)) => {
                    let values = file.options(Some(&key), options, &local_options(subcommand))?;
                    file.commands.insert(key, values);
                }
                (value, _) => {
                    let options = Table::from_iter([(key, value)]);
                    let values = file.options(None, options, &server_options(command))?;
                    file.server.extend(values);
                }
            }
        }
        Ok(file)
    }

    /// The values of options that are known.
    fn options(
        &self,
        command: Option<&str>,
        table: Table,
        known: &[&Arg],
    ) -> Result<BTreeMap<String, Vec<String>>, ConfigFileError> {
        let mut values = BTreeMap::new();
        for (key, value) in table {
            let flag = key.replace('_', "-");
            let shown = command.map_or_else(|| key.clone(), |command| format!("{command}.{key}"));
            if !known.iter().any(|option| option.get_long() == Some(&flag)) {
                let near = nearest(&flag, known.iter().filter_map(|option| option.get_long()));
                let hint = near.map_or_else(
                    || format!("; `graft {} --help` lists them", command.unwrap_or("serve")),
                    |near| format!("; did you mean `{near}`?"),
                );
                return Err(ConfigFileError::Unknown { path: self.path.clone(), key: shown, hint });
            }
            let texts = texts(value).ok_or(ConfigFileError::Type { path: self.path.clone(), key: shown })?;
            values.insert(flag, texts);
        }
        Ok(values)
    }

    /// The command line with the file's values as defaults.
    #[must_use]
    pub fn apply(&self, command: Command) -> Command {
        let mut command = with_defaults(command, &self.server);
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for name in names {
            let own = self.commands.get(&name);
            let server = SERVER_COMMANDS.contains(&&*name).then_some(&self.server);
            for values in server.into_iter().chain(own) {
                command = command.mut_subcommand(&name, |sub| with_defaults(sub, values));
            }
        }
        command
    }

    /// Whether the file sets an option of a command.
    #[must_use]
    pub fn sets(&self, command: &str, flag: &str) -> bool {
        self.server.contains_key(flag) || self.commands.get(command).is_some_and(|own| own.contains_key(flag))
    }

    /// The configuration file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The options of the server: its own, and those of every command.
fn server_options(command: &Command) -> Vec<&Arg> {
    let serve = command.find_subcommand("serve");
    let own = serve.into_iter().flat_map(local_options);
    command.get_arguments().filter(|option| is_key(option)).chain(own).collect()
}

fn local_options(command: &Command) -> Vec<&Arg> {
    command.get_arguments().filter(|option| is_key(option)).collect()
}

/// Whether an option may stand in the file: all may but the file's own name and what prints something and ends.
fn is_key(option: &Arg) -> bool {
    let action = !matches!(option.get_action(), ArgAction::Help | ArgAction::HelpLong | ArgAction::Version);
    action && option.get_long().is_some_and(|flag| flag != "config")
}

fn with_defaults(mut command: Command, values: &BTreeMap<String, Vec<String>>) -> Command {
    for (flag, texts) in values {
        let option = command.get_arguments().find(|option| option.get_long() == Some(flag));
        let Some(id) = option.map(|option| option.get_id().clone()) else { continue };
        command = command.mut_arg(id, |option| option.default_values(texts.iter().cloned()).required(false));
    }
    command
}

/// The value as it would be typed.
fn texts(value: Value) -> Option<Vec<String>> {
    let text = |value| match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    };
    match value {
        Value::Array(values) => values.into_iter().map(text).collect(),
        value => text(value).map(|text| vec![text]),
    }
}

#[cfg(test)]
mod tests {
    use clap::parser::ValueSource;
    use clap::{Args, Parser, Subcommand};

    use super::*;

    #[derive(Parser)]
    #[command(name = "graft")]
    struct Cli {
        #[arg(long, global = true)]
        data_dir: Option<PathBuf>,
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(Subcommand)]
    enum Sub {
        Serve(Serve),
        Export(Export),
    }

    #[derive(Args)]
    struct Serve {
        #[arg(long, default_value_t = 8080)]
        port: u16,
        #[arg(long = "data-root", value_delimiter = ':')]
        data_roots: Vec<String>,
        #[arg(long)]
        insecure: bool,
    }

    #[derive(Args)]
    struct Export {
        #[arg(long)]
        model: String,
    }

    fn parse(text: &str) -> Result<ConfigFile, ConfigFileError> {
        ConfigFile::parse(Path::new("graft.toml"), text, &<Cli as clap::CommandFactory>::command())
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_flag_comes_before_the_file_and_the_file_before_the_default() {
        let file = parse(
            "port = 9000\ndata_root = ['/a', '/b']\ninsecure = true\ndata-dir = '/data'\n[export]\nmodel = 'flowers'\n",
        );
        let file = file.unwrap();
        let command = || file.apply(<Cli as clap::CommandFactory>::command());
        let matches = command().try_get_matches_from(["graft", "serve"]).unwrap();
        let (_, serve) = matches.subcommand().unwrap();
        assert_eq!(serve.get_one::<u16>("port"), Some(&9000));
        assert!(serve.get_flag("insecure"));
        let roots: Vec<&String> = serve.get_many("data_roots").unwrap().collect();
        assert_eq!(roots, ["/a", "/b"]);
        assert_eq!(serve.get_one::<PathBuf>("data_dir"), Some(&PathBuf::from("/data")));
        assert_eq!(serve.value_source("port"), Some(ValueSource::DefaultValue));
        assert!(file.sets("serve", "port") && !file.sets("serve", "model"));

        let matches = command().try_get_matches_from(["graft", "serve", "--port", "1", "--data-root", "/c"]).unwrap();
        let (_, serve) = matches.subcommand().unwrap();
        let roots: Vec<&String> = serve.get_many("data_roots").unwrap().collect();
        assert_eq!((serve.get_one::<u16>("port"), roots), (Some(&1), vec![&"/c".to_owned()]));

        let matches = command().try_get_matches_from(["graft", "export"]).unwrap();
        let (_, export) = matches.subcommand().unwrap();
        assert_eq!(export.get_one::<String>("model").map(String::as_str), Some("flowers"), "it is required otherwise");
    }

    #[test]
    fn what_is_no_option_is_refused_with_the_nearest() {
        assert_eq!(
            refusal("prot = 1"),
            "the configuration file graft.toml has the key `prot`, which is no option; did you mean `port`?"
        );
        assert!(
            refusal("[export]\nmodelx = 'x'").ends_with("`export.modelx`, which is no option; did you mean `model`?")
        );
        assert!(refusal("color = 1").ends_with("which is no option; `graft serve --help` lists them"));
        assert!(refusal("model = 'x'").contains("`model`, which is no option"), "an option of another command");
        assert!(refusal("config = 'x'").contains("`config`, which is no option"));
        assert!(refusal("[paint]\nx = 1").contains("`paint`, which is no option"));
        assert!(refusal("port = { a = 1 }").contains("gives `port` a value that is no text"));
        assert!(refusal("port = ").contains("is not TOML"));
    }
}
