//! Opens the files. The only module that does.

mod host;
mod memory;
mod process;
mod space;

pub use host::{GroupMemory, Host};
pub use memory::{GroupUse, HugePageSettings, HugePageSize, HugePool, Ksm, Zram};
pub use process::Proc;
