//! KMSS over gRPC: the contract, and its two sides.
//!
//! The contract is `proto/kmss/v1`; docs/server.md says how it is meant to be used. [`convert`] translates between its
//! messages and the types of libkmss, in both directions; [`status`] does the same for errors.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
mod codec;
#[cfg(all(test, feature = "server"))]
mod contract;
pub mod convert;
#[cfg(feature = "client")]
mod farewell;
#[cfg(feature = "server")]
pub mod server;
pub mod status;

/// What the contract compiles to.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::indexing_slicing, clippy::unwrap_used)]
pub mod proto {
    tonic::include_proto!("kmss.v1");

    /// The contract itself, as a `google.protobuf.FileDescriptorSet`.
    #[cfg(feature = "server")]
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kmss.v1.bin"));
}
