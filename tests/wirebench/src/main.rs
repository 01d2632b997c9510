//! wirebench: what a key costs whose home is elsewhere. One role for each process, so that nothing is shared:
//!
//! * `serve`: a bare tonic server that echoes, over a Unix socket or TCP with TLS on both sides;
//! * `echo`: its callers;
//! * `sign`: callers of a PKCS#11 module, any.
//!
//! The callers print one line of JSON: how many calls, at which rate, how long the middle one and the slowest took.

mod echo;
mod figures;
mod sign;
mod wire;

use std::process::ExitCode;

use clap::Parser;

/// Measures echoes of tonic and signatures of PKCS#11 modules in the same way.
#[derive(Parser)]
#[command(version)]
enum Role {
    /// Serve echoes until killed
    Serve(wire::Wire),
    /// Call an echo server
    Echo(echo::Options),
    /// Sign with a PKCS#11 module
    Sign(sign::Options),
}

fn main() -> ExitCode {
    let done = match Role::parse() {
        Role::Serve(wire) => echo::serve(&wire),
        Role::Echo(options) => echo::call(&options).and_then(|figures| figures.print()),
        Role::Sign(options) => sign::call(&options).and_then(|figures| figures.print()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wirebench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever went wrong, for people.
type Error = Box<dyn std::error::Error + Send + Sync>;
