//! Opens the files. The only module that does.

mod host;
mod process;

pub use host::{GroupMemory, Host};
pub use process::Proc;
