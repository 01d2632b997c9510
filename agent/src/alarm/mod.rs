//! Alarms: rules over the audit, each with a memory that outlives the process.
//!
//! An alarm becomes a record of its own, which is forwarded like any other: that is how somebody is notified, with the queue and
//! the retries of every destination. What stops somebody is enforced by the core, in every process of the host.

mod baseline;
mod expiry;
mod measure;
mod memory;
mod raised;
mod rules;
mod watcher;

pub(crate) use watcher::Watcher;
