//! Who lives and who does not: stopped, dead but not reaped, forked, replaced by `exec`, with its
//! descriptors closed, seen from another namespace, twice in one process, large and slow to
//! die; and who comes while a heap grows.
//!
//! Two promises are tried: a live process is never robbed, and a dead one holds nobody up. Parts
//! that need the superuser say visibly when they were skipped.

#[path = "../support/mod.rs"]
mod support;
mod scene;
mod deaths;
mod forked;
mod descriptors;
mod replaced;
mod elsewhere;
mod growing;
mod references;
mod locks;
mod leaving;
#[cfg(feature = "failpoints")]
mod unfinished;
