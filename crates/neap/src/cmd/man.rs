//! `neap man`: the manual pages, made from the command line's own description. Used when neap is packaged.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Command, ValueHint};

use crate::failure::Failure;

pub(crate) const ABOUT: &str = "Print or write the manual pages";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap man | man -l -              read neap.1
  neap man --out dist/man          neap.1, neap-run.1, ...";

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Write neap.1 and a page for each verb into DIR; without it neap.1 goes to stdout
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
}

/// `command` is the whole command line.
pub(crate) fn main(args: &ManArgs, command: Command) -> Result<u8, Failure> {
    match &args.out {
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|error| Failure::own(folder.display(), error))?;
            clap_mangen::generate_to(command, folder)
                .map_err(|error| Failure::own(folder.display(), error))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(|error| Failure::own("the manual page", error))?;
            // A reader that has had enough (`| head`) is no failure.
            let _ = std::io::stdout().write_all(&page);
        }
    }
    Ok(0)
}
