//! Which process writes: what genesis and resume records bind.

use std::fs;
use std::os::unix::ffi::OsStringExt;

use crate::error::Result;
use crate::os;
use crate::random::Random;

/// A writing process. What the system does not tell (no `/proc`, as in a bare chroot) is empty or [`Self::UNKNOWN_UID`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Name of the host.
    pub(super) host: Vec<u8>,
    /// The kernel's id of this boot.
    pub(super) boot: Vec<u8>,
    pub(super) pid: u32,
    /// Effective user.
    pub(super) uid: u32,
    /// Path of the executable.
    pub(super) executable: Vec<u8>,
    /// Random, so that processes with one pid are told apart.
    pub(super) writer: [u8; 16],
    /// Forks between the process that loaded us and this one.
    pub(super) fork: u32,
}

impl Origin {
    /// `(uid_t) -1`, which no user has.
    pub(super) const UNKNOWN_UID: u32 = u32::MAX;

    /// This process.
    pub(super) fn current(random: &dyn Random) -> Result<Self> {
        let mut writer = [0; 16];
        random.fill(&mut writer)?;
        Ok(Self {
            host: line("/proc/sys/kernel/hostname"),
            boot: boot(),
            pid: std::process::id(),
            uid: effective_uid().unwrap_or(Self::UNKNOWN_UID),
            executable: fs::read_link("/proc/self/exe").map(|p| p.into_os_string().into_vec()).unwrap_or_default(),
            writer,
            fork: os::epoch(),
        })
    }
}

/// The kernel's id of this boot; empty where the system does not tell.
pub(super) fn boot() -> Vec<u8> {
    line("/proc/sys/kernel/random/boot_id")
}

fn line(path: &str) -> Vec<u8> {
    fs::read(path).map(|text| text.trim_ascii().to_vec()).unwrap_or_default()
}

/// The second number of the `Uid:` line (proc(5), `/proc/pid/status`).
fn effective_uid() -> Option<u32> {
    let status = fs::read("/proc/self/status").ok()?;
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}
