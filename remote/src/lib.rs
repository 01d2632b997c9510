//! KMSS over gRPC: the `kmssd` server, and the backend of the modules that use one.
