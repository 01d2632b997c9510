//! Compressed segments. How they are made and read is for the program to bring along: the module in a host process does
//! neither, and is not linked with what does.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use once_cell::race::OnceBox;

/// A compressed segment that is read like the segment.
pub trait Unpacked: Read + Seek + Send + fmt::Debug {}

impl<T: Read + Seek + Send + fmt::Debug> Unpacked for T {}

/// What a compressed segment has.
pub type OpenSegment = Box<dyn Unpacked>;

/// How segments are compressed, and read again.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// Compresses all there is, and gives its length.
    pub pack: fn(&mut dyn Read, &mut dyn Write) -> io::Result<u64>,
    /// Opens a compressed segment, and gives its length; what was not made by `pack` is [`io::ErrorKind::InvalidData`].
    pub unpack: fn(File) -> io::Result<(OpenSegment, u64)>,
}

static CODEC: OnceBox<Codec> = OnceBox::new();

/// Lets this process read and make compressed segments from now on. The first call counts.
pub fn use_codec(codec: Codec) {
    let _ = CODEC.set(Box::new(codec));
}

pub(super) fn codec() -> io::Result<Codec> {
    let missing = || io::Error::new(io::ErrorKind::Unsupported, "this program does not read compressed audit segments");
    CODEC.get().copied().ok_or_else(missing)
}

/// Opens a compressed segment, and gives its length.
pub(super) fn unpack(file: File) -> io::Result<(OpenSegment, u64)> {
    (codec()?.unpack)(file)
}

/// Whether a segment could not be read because its compressed file is not what it was.
pub(super) fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}
