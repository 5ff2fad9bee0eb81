//! The import of what a client has sent to a server.

use std::ffi::OsString;

use anyhow::Error;
use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser};
use server::failure::{chain, is_full_disk};
use server::imports::{ImportFailure, ImportSpec, ImportSummary, UploadedFile};
use server::store::{JobOrigin, StoreError};
use trainer::events::Observer;

use super::session::ImportSession;
use super::{ImportArgs, import};
use crate::cli::CommandContext;

/// The options that a client may choose are those of the command.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct JobArgs {
    #[command(flatten)]
    import: ImportArgs,
}

/// Runs `graft import` for an attempt of a job.
///
/// # Errors
/// [`ImportFailure`] in the words of the command; nothing is published then.
pub(in crate::cli) fn run(
    spec: &ImportSpec,
    origin: JobOrigin,
    observer: &mut dyn Observer,
    context: &CommandContext,
) -> Result<ImportSummary, ImportFailure> {
    // Messages name files as the client does, and files beside a model are looked for beside it.
    let folder = context.data.incoming_dir().join(&spec.folder);
    std::env::set_current_dir(folder).map_err(|error| {
        ImportFailure::Refused(format!("the files that were sent are gone; send them again ({error})"))
    })?;
    let args = parse(spec)?;
    let version = import(&args, &ImportSession::of_job(context, origin, observer)).map_err(|error| failure(&error))?;
    Ok(ImportSummary { name: spec.name.clone(), version })
}

/// As the command line has it. What the server's environment says to commands is not meant for this.
fn parse(spec: &ImportSpec) -> Result<ImportArgs, ImportFailure> {
    let file = spec.files.first().ok_or_else(|| ImportFailure::Refused("there is no file".to_owned()))?;
    let mut arguments: Vec<OsString> = vec![(&file.name).into(), "--name".into(), spec.name.as_str().into()];
    if let Some(UploadedFile { name, .. }) = &spec.labels {
        arguments.extend(["--labels".into(), name.into()]);
    }
    // In one word, so that no value is taken for an option.
    arguments.extend(spec.options.iter().map(|(option, value)| format!("{}={value}", option.flag()).into()));
    let command = JobArgs::command().mut_args(|argument| argument.env(Resettable::Reset));
    let parsed = command.try_get_matches_from(arguments).and_then(|matches| JobArgs::from_arg_matches(&matches));
    parsed.map(|args| args.import).map_err(|error| ImportFailure::Refused(told(&error.to_string())))
}

/// Why the import has failed.
fn failure(error: &Error) -> ImportFailure {
    let of_store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
    let text = told(&chain(error.as_ref()));
    match of_store {
        Some(StoreError::Withdrawn) => ImportFailure::Stopped,
        _ if is_full_disk(error.as_ref()) => ImportFailure::Full(text),
        Some(StoreError::Io { .. } | StoreError::Settings { .. }) => ImportFailure::Store(text),
        _ => ImportFailure::Refused(text),
    }
}

/// A message in one line. Behind an empty line clap explains its own `--help`.
fn told(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    message.split("\n\n").next().unwrap_or(message).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use server::imports::ImportOption;

    use super::*;

    fn spec(options: &[(ImportOption, &str)]) -> ImportSpec {
        let file = |name: &str| UploadedFile { name: name.to_owned(), bytes: 1, sha256: String::new() };
        ImportSpec {
            name: "flowers".parse().unwrap(),
            files: vec![file("model.onnx"), file("weights.bin")],
            labels: Some(file("labels.txt")),
            options: options.iter().map(|(option, value)| (*option, (*value).to_owned())).collect(),
            folder: "upload-a".to_owned(),
        }
    }

    #[test]
    fn the_options_of_a_form_are_those_of_the_command() {
        let args = parse(&spec(&[(ImportOption::Size, "64x96"), (ImportOption::Mean, "-0.5,0,1")])).unwrap();
        assert_eq!((args.file.to_str(), args.size), (Some("model.onnx"), Some([64, 96])));
        assert_eq!(args.labels.unwrap().to_str(), Some("labels.txt"));
        assert!(args.verify.is_none() && args.trial_seconds == 120, "the rest is as for the command");
    }

    #[test]
    fn every_option_of_forms_is_one_of_the_command() {
        let command = JobArgs::command();
        for option in ImportOption::ALL {
            let known = command.get_arguments().any(|argument| argument.get_long() == option.flag().strip_prefix("--"));
            assert!(known, "{}", option.flag());
        }
    }

    #[test]
    fn a_refusal_is_the_error_of_the_command_without_its_advice_about_help() {
        let refused = parse(&spec(&[(ImportOption::Preprocess, "fancy")])).unwrap_err();
        assert_eq!(refused.code(), ImportFailure::REFUSED);
        let text = refused.to_string();
        assert!(text.starts_with("invalid value 'fancy' for '--preprocess <"), "{text}");
        assert!(!text.contains("--help") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn a_failure_of_the_store_is_told_from_one_of_the_file() {
        let of_store = |kind: io::ErrorKind| Error::from(StoreError::Io { path: "models".into(), source: kind.into() });
        for (error, code) in [
            (of_store(io::ErrorKind::StorageFull).context("model.onnx"), "storage_full"),
            (of_store(io::ErrorKind::PermissionDenied), "store_failed"),
            (StoreError::Withdrawn.into(), "stopped"),
            (StoreError::BuiltIn { name: "starter".parse().unwrap() }.into(), "model_refused"),
            (Error::msg("this is a picture").context("model.onnx"), "model_refused"),
        ] {
            assert_eq!(failure(&error).code(), code);
        }
        let told = failure(&Error::msg("this is a picture").context("model.onnx")).to_string();
        assert_eq!(told, "model.onnx: this is a picture");
    }
}
