//! `graft key`.

use std::io::{self, Write};

use anyhow::Result;
use clap::{Args, Subcommand};
use server::access::{NewKey, Role};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make an API key: the text that a client sends, and the line that the server reads with --keys
    New(NewKeyArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewKeyArgs {
    /// The key's name in the log
    #[arg(long)]
    name: String,

    /// What its holder may do: `infer` classifies, `train` fine-tunes, `admin` everything
    #[arg(long = "role", value_delimiter = ',', required = true)]
    roles: Vec<Role>,
}

pub(super) fn run(command: &KeyCommand) -> Result<()> {
    let KeyCommand::New(NewKeyArgs { name, roles }) = command;
    let new = NewKey::generate(name, roles.clone())?;
    let mut out = io::stdout().lock();
    writeln!(out, "key, shown this once: {}", new.secret)?;
    writeln!(out, "line for the server's file of keys: {}", new.key)?;
    Ok(())
}
