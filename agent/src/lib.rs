//! The agent: a process of ours beside those that use KMSS. It follows the audit, hands its records on, raises alarms, and says
//! in the audit that it lives. The host process knows nothing of it: all it does is to read what was recorded, and it adds
//! records of its own.
//!
//! [`Agent::run`] is all of it in one call, for `kmss audit agent` and, later, for the server.

mod agent;
mod alarm;
mod batch;
mod error;
pub mod format;
mod forward;
mod home;
mod seal;
mod service;
mod status;
mod stop;
pub mod text;

pub use agent::{Agent, Options, Outcome};
pub use error::{AgentError, ForwardError};
pub use home::{AgentHome, forget};
pub use status::{AgentStatus, DestinationStatus, State};
