//! Opens the files. The only module that does.

mod groups;
mod host;
mod memory;
mod node;
mod pages;
mod pressure;
mod process;
mod space;

pub use groups::GroupLevel;
pub use host::{GroupMemory, Host};
pub use memory::{GroupUse, HugePageSettings, HugePageSize, HugePool, Ksm, Zram};
pub use node::Node;
pub use pages::{PageRun, PageState};
pub use pressure::Resource;
pub use process::Proc;

#[cfg(test)]
mod tests;
