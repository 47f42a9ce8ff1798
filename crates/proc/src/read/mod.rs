//! Opens the files. The only module that does.

mod process;

pub use process::Proc;
