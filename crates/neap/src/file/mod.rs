//! `neap file`: which files are in the page cache, and bringing them in, letting them go, keeping them there.
//!
//! [`selection`] says which files, [`mod@walk`] opens them one by one, [`mod@cache`] counts their pages;
//! [`touch`], [`evict`] and [`lock`] change something and count again, because what was asked for and what
//! came of it are two things. [`job`] does one action over all files; [`record`] is what is told of it. No
//! file is written to, and none is mapped but to be locked, or on kernels without cachestat to be counted.

pub(crate) mod selection;

pub(crate) mod walk;

pub(crate) mod cache;

pub(crate) mod mapped;

pub(crate) mod record;

pub(crate) mod progress;

mod touch;

pub(crate) mod evict;

pub(crate) mod job;

pub(crate) mod lock;

pub(crate) mod stay;
