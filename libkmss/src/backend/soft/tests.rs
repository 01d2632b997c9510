//! Tests of the software engine.
