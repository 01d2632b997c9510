//! Forks for tests, so that no test needs `unsafe` for one.

/// Forks; the child runs `f`, which only does what a forked child may, and ends with its result. Returns its number.
pub(crate) fn fork(f: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the locks of this crate and of the allocator are free in the child; it leaves with _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: takes a number only. A child that hangs ends by the signal, and its test fails.
        unsafe { libc::alarm(60) };
        let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(false);
        // SAFETY: ends the child without running the parent's handlers.
        unsafe { libc::_exit(i32::from(!fine)) };
    }
    child
}

/// Waits for what [`fork`] started and tells whether `f` was true.
pub(crate) fn ended_well(child: i32) -> bool {
    let mut status = -1;
    // SAFETY: waits for a child of this process.
    unsafe { libc::waitpid(child, &raw mut status, 0) == child && status == 0 }
}

/// prctl(2): forbids this process for ever to execute memory that was writable (Linux 6.3).
const PR_SET_MDWE: libc::c_int = 65;

/// Does to this process what systemd's `MemoryDenyWriteExecute=` does; false where the kernel cannot.
pub(crate) fn forbid_executable_memory() -> bool {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0 }
}
