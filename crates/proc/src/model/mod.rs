//! Several files joined into one view.

mod tree;

pub use tree::{Member, Source, descendants};
