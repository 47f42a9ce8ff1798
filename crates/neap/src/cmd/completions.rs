//! `neap completions`: what a shell needs to complete neap's options. Used when neap is packaged.

use std::fs;
use std::io::Write;

use clap::CommandFactory;
use clap_complete::{Shell, generate, generate_to};

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;

pub(crate) const ABOUT: &str = "Print or write the completions of shells";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap completions bash > ~/.local/share/bash-completion/completions/neap
  neap completions --out dist/completions     bash, zsh and fish";

pub(crate) fn main(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut command = Cli::command();
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
