//! Several files joined into one view.

mod footprint;
mod process_table;
mod space;
mod tree;

mod compare;

pub mod pmap;

pub use compare::{Change, Comparison, Fate, KindChange, Side};
pub use footprint::{Footprint, FootprintSource, footprints};
pub use process_table::{Process, ProcessTable, Processes, Rates};
pub use space::{Kind, Known, Space, Total};
pub use tree::{Member, Source, descendants};
