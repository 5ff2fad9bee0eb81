//! Output of commands: results on standard output, errors on standard error.

use std::fmt::Arguments;
use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;
use server::failure::chain;

/// For people or for programs.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct OutputArgs {
    /// How to print the result
    #[arg(long, visible_alias = "format", env = "GRAFT_FORMAT", value_enum, default_value_t, global = true)]
    output: OutputFormat,

    /// The same as --output json
    #[arg(long, env = "GRAFT_JSON", global = true)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl OutputArgs {
    /// Whether programs read it.
    pub(super) fn is_json(self) -> bool {
        self.json || self.output == OutputFormat::Json
    }
}

/// One line of a result. A closed pipe, as behind `head`, is no error.
pub(super) fn line(text: Arguments<'_>) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// A result for programs.
pub(super) fn json(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    line(format_args!("{text}"))
}

/// Rows under headings, columns padded to their widest cell.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or_default()
    });
    let headings = headings.map(str::to_owned);
    for row in std::iter::once(&headings).chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        line(format_args!("{}", cells.collect::<Vec<_>>().join("  ").trim_end()))?;
    }
    Ok(())
}

/// What is worth knowing beside the result.
pub(super) fn note(text: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What went wrong and ends nothing.
pub(super) fn warning(error: &(dyn std::error::Error + 'static)) {
    let _ = writeln!(io::stderr().lock(), "warning: {}", chain(error));
}

/// The error with its causes. Nothing can be done when even that cannot be written.
pub(super) fn error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr().lock(), "error: {}", chain(error.as_ref()));
}
