//! Pointers and lengths from C become slices here, and nowhere else.

use cryptoki_sys::*;
use zeroize::{Zeroize, Zeroizing};

use super::template::u64_of;
use crate::rv::{Result, Rv};

const BAD: Rv = Rv(CKR_ARGUMENTS_BAD);

/// Bits of the largest address that Linux gives a process (five levels of page tables).
const ADDRESS_BITS: u32 = 56;

/// The length of an object in memory. No object is longer than the address space, so larger numbers are errors: they
/// come from callers whose subtraction went wrong.
pub(crate) fn length(len: CK_ULONG) -> Result<usize> {
    let possible = u64_of(len) >> ADDRESS_BITS == 0;
    usize::try_from(len).ok().filter(|&n| possible && isize::try_from(n).is_ok()).ok_or(BAD)
}

/// `len` elements at `data`; NULL only with length 0.
///
/// # Safety
/// Where `data` is not NULL it is valid for reads of `len` elements that nobody changes while the slice lives.
pub(crate) unsafe fn slice<'a, T>(data: *const T, len: CK_ULONG) -> Result<&'a [T]> {
    let len = length(len)?;
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null()
        || !data.is_aligned()
        || len.checked_mul(size_of::<T>()).is_none_or(|n| isize::try_from(n).is_err())
    {
        return Err(BAD);
    }
    // SAFETY: not NULL, aligned, of a possible size, and valid by the contract of the caller.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// As [`slice`], to be written.
///
/// # Safety
/// Where `data` is not NULL it is valid for reads and writes of `len` elements that nobody else touches meanwhile.
pub(crate) unsafe fn slice_mut<'a, T>(data: *mut T, len: CK_ULONG) -> Result<&'a mut [T]> {
    // SAFETY: the contract is stricter than the one of `slice`; only its checks are wanted here.
    let checked = unsafe { slice(data.cast_const(), len) }?.len();
    if checked == 0 {
        return Ok(&mut []);
    }
    // SAFETY: as checked, and exclusive by the contract.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, checked) })
}

/// The value at `place`.
///
/// # Safety
/// Where `place` is not NULL it is valid for reads and writes, and nobody else touches it while the reference lives.
pub(crate) unsafe fn reference<'a, T>(place: *mut T) -> Result<&'a mut T> {
    if !place.is_aligned() {
        return Err(BAD);
    }
    // SAFETY: aligned, NULL is handled by `as_mut`, the rest is the caller's contract.
    unsafe { place.as_mut() }.ok_or(BAD)
}

/// Writes `value` to `place`.
///
/// # Safety
/// Where `place` is not NULL it is valid for writes.
pub(crate) unsafe fn write<T>(place: *mut T, value: T) -> Result<()> {
    if place.is_null() || !place.is_aligned() {
        return Err(BAD);
    }
    // SAFETY: not NULL, aligned, valid by the contract.
    unsafe { place.write(value) };
    Ok(())
}

/// Where a result goes: the convention of PKCS#11 3.2, 5.2. A NULL buffer asks for the length.
pub(crate) struct Output<'a> {
    // INVARIANT: NULL, or valid for writes of `capacity` bytes while `'a` lasts.
    data: *mut u8,
    capacity: usize,
    len: &'a mut CK_ULONG,
}

impl<'a> Output<'a> {
    /// The buffer `data` of `*len` bytes.
    ///
    /// # Safety
    /// Where `len` is not NULL it is valid and exclusive for `'a`; so are, where `data` is not NULL, `*len` bytes there.
    pub(crate) unsafe fn new(data: *mut CK_BYTE, len: *mut CK_ULONG) -> Result<Self> {
        // SAFETY: the contract of this function.
        let len = unsafe { reference(len) }?;
        // Some callers pass "as much as you like"; no more than a possible object is ever used of it.
        let capacity = usize::try_from(*len).unwrap_or(usize::MAX).min(isize::MAX as usize);
        Ok(Self { data, capacity, len })
    }

    /// Whether only the length is asked for.
    pub(crate) const fn is_query(&self) -> bool {
        self.data.is_null()
    }

    /// Tells the length that is needed, or was written.
    pub(crate) fn tell(&mut self, len: usize) {
        *self.len = len as CK_ULONG;
    }

    /// Bytes that fit.
    pub(crate) const fn capacity(&self) -> usize {
        if self.data.is_null() { 0 } else { self.capacity }
    }

    /// The first `len` bytes of the buffer, or `None` where they do not fit.
    pub(crate) fn space(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.data.is_null() || len > self.capacity {
            return None;
        }
        // SAFETY: by the invariant of `data`; the slice borrows `self` exclusively.
        Some(unsafe { std::slice::from_raw_parts_mut(self.data, len) })
    }

    /// Writes `bytes` and tells their length; false where they do not fit (the length is told all the same).
    pub(crate) fn put(&mut self, bytes: &[u8]) -> bool {
        self.tell(bytes.len());
        match self.space(bytes.len()) {
            Some(space) => {
                space.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    /// Wipes the first `len` bytes, or all there are.
    pub(crate) fn wipe(&mut self, len: usize) {
        let len = len.min(self.capacity());
        if let Some(space) = self.space(len) {
            space.zeroize();
        }
    }

    fn overlaps(&self, data: *const u8, len: usize) -> bool {
        let (start, end) = (self.data.addr(), self.data.addr().saturating_add(self.capacity()));
        data.addr() < end && start < data.addr().saturating_add(len)
    }
}

/// Input that may share memory with the output: PKCS#11 allows work in place.
pub(crate) enum Input<'a> {
    /// Memory of its own.
    Apart(&'a [u8]),
    /// A copy, because the two overlap.
    Copied(Zeroizing<Vec<u8>>),
}

impl Input<'_> {
    /// `len` bytes at `data`, to be processed into `output`.
    ///
    /// # Safety
    /// As [`slice`], but that writing to `output` may change the bytes.
    pub(crate) unsafe fn beside(data: *const CK_BYTE, len: CK_ULONG, output: &Output<'_>) -> Result<Self> {
        // SAFETY: nothing is written to `output` before this function returns.
        let bytes = unsafe { slice(data, len) }?;
        if output.is_query() || !output.overlaps(data, bytes.len()) {
            return Ok(Self::Apart(bytes));
        }
        let mut copy = zeroed(bytes.len())?;
        copy.copy_from_slice(bytes);
        Ok(Self::Copied(copy))
    }
}

/// `len` zero bytes that are wiped when dropped. `CKR_HOST_MEMORY` where there is no room, instead of an abort.
pub(crate) fn zeroed(len: usize) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Rv(CKR_HOST_MEMORY))?;
    bytes.resize(len, 0);
    Ok(Zeroizing::new(bytes))
}

impl std::ops::Deref for Input<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Apart(bytes) => bytes,
            Self::Copied(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn sizes_near_the_top_of_the_range_and_null_are_errors() {
        let byte = 0_u8;
        for len in [CK_ULONG::MAX, CK_ULONG::MAX / 2 + 1] {
            // SAFETY: refused before anything is read.
            assert_eq!(unsafe { slice(&raw const byte, len) }, Err(BAD));
        }
        // SAFETY: NULL is refused, or not read.
        unsafe {
            assert_eq!(slice::<u8>(std::ptr::null(), 1), Err(BAD));
            assert_eq!(slice::<u8>(std::ptr::null(), 0), Ok([].as_slice()));
            assert_eq!(slice::<u64>(std::ptr::dangling(), CK_ULONG::MAX / 4), Err(BAD));
            assert_eq!(write(std::ptr::null_mut::<u8>(), 1), Err(BAD));
        }
    }

    #[test]
    fn input_that_overlaps_the_output_is_copied() {
        let mut memory = [1_u8, 2, 3, 4, 5, 6];
        let start = memory.as_mut_ptr();
        let mut len = 3;
        // SAFETY: all ranges lie in `memory`.
        unsafe {
            let output = Output::new(start.add(1), &raw mut len).unwrap();
            assert!(matches!(Input::beside(start, 2, &output).unwrap(), Input::Copied(_)));
            assert!(matches!(Input::beside(start, 1, &output).unwrap(), Input::Apart(_)));
            assert!(matches!(Input::beside(start.add(4), 2, &output).unwrap(), Input::Apart(_)));
        }
    }

    #[test]
    fn an_output_tells_what_it_needs_and_takes_only_what_fits() {
        let (mut memory, mut len) = ([0_u8; 4], 4);
        // SAFETY: `memory` and `len` are valid for the life of the output.
        let mut output = unsafe { Output::new(memory.as_mut_ptr(), &raw mut len) }.unwrap();
        assert!(!output.put(&[9; 5]));
        assert!(output.put(&[7; 3]));
        assert_eq!((len, memory), (3, [7, 7, 7, 0]));
        // SAFETY: as above; a NULL buffer only asks.
        let mut query = unsafe { Output::new(std::ptr::null_mut(), &raw mut len) }.unwrap();
        assert!(query.is_query() && query.space(0).is_none());
    }
}
