//! What calls give out: into a buffer of the caller's by the two-call pattern, or into memory that `kmss_free` wipes and frees.
#![expect(unsafe_code, reason = "writes through pointers of C callers")]

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::marker::PhantomData;

use libkmss::error::{Error, ErrorKind};
use libkmss::os::{Lock, Rank};
use once_cell::race::OnceBox;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::guard::freeing;

/// What was given out and not freed yet, by its address. Looked up, never trusted: freeing twice frees once.
static GIVEN: OnceBox<Lock<Given>> = OnceBox::new();

type Given = HashMap<usize, Zeroizing<Box<[u8]>>>;

fn given() -> &'static Lock<Given> {
    GIVEN.get_or_init(|| Box::new(Lock::new(Rank::Door, HashMap::new())))
}

/// Where the bytes of a result go.
pub(crate) struct Out<'a> {
    to: To,
    len: *mut usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

enum To {
    /// A buffer of the caller's with so much room; NULL where only the length is asked for.
    Buffer { buffer: *mut u8, room: usize },
    /// Memory of ours, whose address goes here.
    Memory(*mut *mut u8),
}

impl Out<'_> {
    /// A buffer of the caller's.
    ///
    /// # Safety
    /// `len` is NULL or points to a readable, writable `size_t`; `buffer` is NULL or points to `*len` writable bytes; both for as
    /// long as what is returned lives.
    pub(crate) unsafe fn buffer(buffer: *mut u8, len: *mut usize) -> Result<Self, Failure> {
        if len.is_null() {
            return Err(Failure::argument("the length pointer is NULL"));
        }
        // SAFETY: not NULL, and readable by the contract above.
        let room = unsafe { len.read() };
        Ok(Self { to: To::Buffer { buffer, room }, len, borrowed: PhantomData })
    }

    /// Memory that `kmss_free` frees.
    ///
    /// # Safety
    /// Both are NULL or point to what their types say, writable for as long as what is returned lives.
    pub(crate) unsafe fn memory(data: *mut *mut u8, len: *mut usize) -> Result<Self, Failure> {
        if data.is_null() || len.is_null() {
            return Err(Failure::argument("an output pointer is NULL"));
        }
        // SAFETY: not NULL, and writable by the contract above.
        unsafe {
            data.write(std::ptr::null_mut());
            len.write(0);
        }
        Ok(Self { to: To::Memory(data), len, borrowed: PhantomData })
    }

    /// Whether a result of at most `most` bytes is wanted: `false` where only its length was asked for, which was said then.
    pub(crate) fn takes(&self, most: usize) -> Result<bool, Failure> {
        let To::Buffer { buffer, room } = self.to else { return Ok(true) };
        // SAFETY: writable, by the contract of `buffer`.
        unsafe { self.len.write(most) };
        if buffer.is_null() {
            return Ok(false);
        }
        if room < most {
            return Err(Error::new(ErrorKind::BufferTooSmall, format!("the buffer needs {most} bytes")).into());
        }
        Ok(true)
    }

    /// Gives `value` out.
    pub(crate) fn put(self, value: &[u8]) -> Result<(), Failure> {
        match self.to {
            To::Buffer { buffer, .. } => {
                if !self.takes(value.len())? {
                    return Ok(());
                }
                // SAFETY: `takes` says that the buffer has room; nobody else's memory overlaps a value of ours.
                unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), buffer, value.len()) };
            }
            To::Memory(data) => {
                let address = allocated(value);
                // SAFETY: writable, by the contract of `memory`.
                unsafe {
                    data.write(address);
                    self.len.write(value.len());
                }
            }
        }
        Ok(())
    }
}

/// A copy of `value` with a NUL behind it, which is the caller's now.
fn allocated(value: &[u8]) -> *mut u8 {
    let mut copy = Zeroizing::new(vec![0; value.len() + 1].into_boxed_slice());
    copy.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    let address = copy.as_mut_ptr();
    given().lock().insert(address.addr(), copy);
    address
}

/// Gives a text out.
///
/// # Safety
/// `out` is NULL or points to a writable pointer.
pub(crate) unsafe fn put_text(out: *mut *mut c_char, text: &str) -> Result<(), Failure> {
    if out.is_null() {
        return Err(Failure::argument("an output pointer is NULL"));
    }
    if text.as_bytes().contains(&0) {
        return Err(Error::new(ErrorKind::Internal, "a text holds a NUL").into());
    }
    // SAFETY: not NULL, and writable by the contract above.
    unsafe { out.write(allocated(text.as_bytes()).cast()) };
    Ok(())
}

/// Wipes and frees what a call of this library allocated for its caller. NULL is ignored, and so is what was freed already or
/// never allocated here.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_free(memory: *mut c_void) {
    freeing(|| {
        let freed = given().lock().remove(&memory.addr());
        drop(freed);
    });
}
