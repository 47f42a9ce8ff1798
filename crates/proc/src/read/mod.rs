//! Opens the files. The only module that does.

mod host;
mod memory;
mod node;
mod process;
mod space;

pub use host::{GroupMemory, Host};
pub use memory::{GroupUse, HugePageSettings, HugePageSize, HugePool, Ksm, Zram};
pub use node::Node;
pub use process::Proc;

#[cfg(test)]
mod tests;
