//! The processes of the machine, or one of them, watched: what `neap top` reads, keeps and decides.
//!
//! [`mod@watcher`] reads all processes, [`mod@follower`] one; both keep to [`mod@budget`], a share of one
//! processor. [`mod@view`] is the screen's state: which rows, in which order, what a key does. It reads
//! nothing, so every key can be tried in a test. [`mod@live`] runs them: one thread reads, one waits for
//! keys, one for signals, and the main one draws, so that a process that takes a second to read never holds
//! up a key.
//!
//! Does not: draw (that is `report::top`), or touch a process but when asked to with the key `t`.

pub(crate) mod budget;

pub(crate) mod machine;

pub(crate) mod footprints;

pub(crate) mod row;

pub(crate) mod order;

pub(crate) mod watcher;

pub(crate) mod history;

pub(crate) mod heap_figures;

pub(crate) mod follower;

pub(crate) mod view;

pub(crate) mod trimming;

pub(crate) mod terminal;

pub(crate) mod live;
