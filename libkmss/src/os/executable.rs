//! Whether this process may make code of its own and run it. systemd's `MemoryDenyWriteExecute=`, PR_SET_MDWE, SELinux and
//! hardened kernels forbid it.

/// prctl(2): the process's Memory-Deny-Write-Execute bits, since Linux 6.3.
const PR_GET_MDWE: libc::c_int = 66;
/// Memory that was writable never becomes executable.
const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_int = 1;

/// Asks the kernel, then tries with one page what a compiler does: write first, execute later.
#[must_use]
pub fn may_execute_own_memory() -> bool {
    // SAFETY: takes numbers only; an unknown request is an error.
    let bits = unsafe { libc::prctl(PR_GET_MDWE, 0, 0, 0, 0) };
    if bits > 0 && bits & PR_MDWE_REFUSE_EXEC_GAIN != 0 {
        return false;
    }
    let (flags, size) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, 4096);
    // SAFETY: a new mapping of one page, which no one else knows.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return false;
    }
    // SAFETY: the page just mapped; nothing is executed in it.
    let allowed = unsafe { libc::mprotect(page, size, libc::PROT_READ | libc::PROT_EXEC) } == 0;
    // SAFETY: as above.
    unsafe { libc::munmap(page, size) };
    allowed
}
