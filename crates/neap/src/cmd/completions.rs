//! `neap completions`: what a shell needs to complete neap's options. Used when neap is packaged.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Command, ValueHint};
use clap_complete::{Shell, generate, generate_to};

use crate::failure::Failure;

pub(crate) const ABOUT: &str = "Print or write the completions of shells";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap completions bash > ~/.local/share/bash-completion/completions/neap
  neap completions --out dist/completions     bash, zsh and fish";

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Print the completions of one shell
    #[arg(required_unless_present = "out")]
    pub(crate) shell: Option<clap_complete::Shell>,

    /// Write those of bash, zsh and fish into DIR
    #[arg(long, value_name = "DIR", conflicts_with = "shell", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
}

/// `command` is the whole command line.
pub(crate) fn main(args: &CompletionsArgs, mut command: Command) -> Result<u8, Failure> {
    if let Some(shell) = args.shell {
        let mut text = Vec::new();
        generate(shell, &mut command, "neap", &mut text);
        // A reader that has had enough (`| head`) is no failure.
        let _ = std::io::stdout().write_all(&text);
    }
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).map_err(|error| Failure::own(folder.display(), error))?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            generate_to(shell, &mut command, "neap", folder)
                .map_err(|error| Failure::own(folder.display(), error))?;
        }
    }
    Ok(0)
}
