//! Models: what threads can do to the heap at the same moment, in every order of events.
//!
//! Each runs the heap's own code, all of it, over a kernel of plain memory (`shore`), with atomics that loom
//! schedules (`crate::model`). `set` is the heap, three threads' blocks and a mailbox; a model says what is
//! there before, what each thread does, and what must be so when all have ended, the proof walk of
//! `crate::verify` included. loom also finds accesses to a block that nobody handed over in order.
//!
//! Every model can fail: its doc names a change of the code with which it did (*Fails with*).
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p neap-heap --release --lib -- models
//! ```

mod direct;
mod fork;
mod granules;
mod handlers;
mod helper;
mod large;
mod lock;
mod remote;
mod set;
mod shelf;
mod shore;
mod threads;
