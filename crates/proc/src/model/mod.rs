//! Several files joined into one view.

mod footprint;
mod space;
mod tree;

mod compare;

pub mod pmap;

pub use compare::{Change, Comparison, Fate, KindChange, Side};
pub use footprint::{Footprint, footprints};
pub use space::{Kind, Known, Space, Total};
pub use tree::{Member, Source, descendants};
