//! Link settings of the shared object.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Hosts call dlclose and then exit or fork: handlers registered with the C library must stay mapped.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libkmss.so");
}
