//! Compiles the protobuf contract: without `protoc`, so that nobody needs one.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let (root, package) = (Path::new("proto"), Path::new("proto/kmss/v1"));
    println!("cargo::rerun-if-changed={}", package.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(package)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    files.sort();
    let descriptors = protox::compile(files, [root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // For the reflection service.
    fs::write(out.join("kmss.v1.bin"), prost::Message::encode_to_vec(&descriptors))?;
    let on = |feature: &str| env::var_os(feature).is_some();
    tonic_prost_build::configure()
        .build_client(on("CARGO_FEATURE_CLIENT"))
        .build_server(on("CARGO_FEATURE_SERVER"))
        .build_transport(false)
        .codec_path("crate::codec::Buffers")
        // Equal messages have equal bytes.
        .btree_map(".")
        // Messages hold keys, PINs and plaintext: none can print itself.
        .skip_debug(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
