//! Every order in which threads can act on a slab's shared word, on the granules' masks, and on the lock.
//!
//! The modules under test are the crate's own source files, compiled here with loom's atomics. What other
//! modules do with them (`small`, `ebb`, `sweep`) is repeated in a few lines, step for step. Blocks are
//! real memory, so a link that is read before it is written shows as a lost block.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p neap-heap --release --test loom
//! ```
// Each model uses a part of what the files offer.
#![cfg(loom)]
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../src/block.rs"]
mod block;
#[path = "../src/class.rs"]
mod class;
#[path = "../src/granules.rs"]
mod granules;
#[path = "../src/layout.rs"]
mod layout;
#[path = "../src/slab.rs"]
mod slab;
#[path = "../src/sync.rs"]
mod sync;

#[path = "loom/granule.rs"]
mod granule_models;
#[path = "loom/lock.rs"]
mod lock_models;
#[path = "loom/model.rs"]
mod model;
#[path = "loom/remote.rs"]
mod remote_models;
#[path = "loom/shelf.rs"]
mod shelf_models;
