//! `graft completions` and `graft man`: what shells and manuals say of the commands.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell: put what is printed where it looks for completions
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder that the pages are written to, one a command; it is made if it is not there
    #[arg(long, env = "GRAFT_OUT", value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "graft", &mut script);
    match io::stdout().lock().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

pub(super) fn man(args: &ManArgs) -> Result<()> {
    let folder = || args.out.display().to_string();
    std::fs::create_dir_all(&args.out).with_context(folder)?;
    clap_mangen::generate_to(Cli::command(), &args.out).with_context(folder)?;
    let pages = std::fs::read_dir(&args.out).with_context(folder)?.count();
    output::line(format_args!("{pages} pages in {}; read one with `man {}/graft.1`", folder(), folder()))?;
    Ok(())
}
