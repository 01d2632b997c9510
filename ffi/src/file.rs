//! Sealed files of any length (docs/sealed-files.md).
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;
use std::fs::{File, OpenOptions};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use libkmss::envelope::file::FileAlgorithm;
use libkmss::envelope::stream::{self, Recipient};
use libkmss::error::{Error, ErrorKind};
use libkmss::mechanism::{EncryptionContext, NativeAlgorithm};
use libkmss::operation::ObjectRef;

use crate::boundary::{Versioned, context, elements, enter, kmss_pair, options, word};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{KEYS, kmss_key};
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;

/// AES-256-GCM encrypts the chunks of a sealed file.
pub const KMSS_FILE_AES_256_GCM: u32 = 0;
/// ChaCha20-Poly1305 encrypts the chunks of a sealed file.
pub const KMSS_FILE_CHACHA20_POLY1305: u32 = 1;

/// For whom a file is sealed. Set all of it to zero, then `size` to `sizeof(kmss_seal_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_seal_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// The keys that open it, any one of them: secret keys, 1 to 32.
    pub keys: *const *mut kmss_key,
    /// How many they are.
    pub keys_len: usize,
    /// What encrypts the chunks (KMSS_FILE_…).
    pub algorithm: u32,
    /// The encryption context, as for `kmss_encrypt`.
    pub context: *const kmss_pair,
    /// How many pairs it has.
    pub context_len: usize,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_seal_options {}

struct Sealing {
    recipients: Vec<Recipient>,
    algorithm: FileAlgorithm,
    context: EncryptionContext,
}

impl Sealing {
    /// # Safety
    /// `given` is what C callers promise of it.
    unsafe fn read(given: *const kmss_seal_options) -> Result<Self, Failure> {
        // SAFETY: passed on.
        let given = unsafe { options(given, "kmss_seal_options") }?;
        // SAFETY: passed on.
        let (keys, context) =
            unsafe { (elements(given.keys, given.keys_len, "keys")?, context(given.context, given.context_len)?) };
        let algorithm = match given.algorithm {
            KMSS_FILE_AES_256_GCM => FileAlgorithm::Aes256Gcm,
            KMSS_FILE_CHACHA20_POLY1305 => FileAlgorithm::ChaCha20Poly1305,
            _ => return Err(Failure::argument("algorithm is none of KMSS_FILE_…")),
        };
        let recipient = |key: &*mut kmss_key| {
            let found = KEYS.find(*key)?;
            let unfit =
                || Error::new(ErrorKind::KeyType, "files are sealed under AES (256 bits), SM4 and ChaCha20 keys");
            let native = NativeAlgorithm::usual(found.key_type).ok_or_else(unfit)?;
            Ok::<_, Failure>((ObjectRef::clone(&found.object), native))
        };
        let recipients = keys.iter().map(recipient).collect::<Result<_, _>>()?;
        Ok(Self { recipients, algorithm, context })
    }

    fn seal(&self, session: &LoggedIn, source: &mut File, target: &mut File) -> Result<(), Failure> {
        let home = (&*session.kms, &session.caller);
        let random = libkmss::kms::software()?;
        let to = (self.recipients.as_slice(), &self.context);
        Ok(stream::seal(home, to, self.algorithm, (source, target), random.entropy())?)
    }
}

/// Seals the file `from` as the file `to`, which has its name when all of it is on the disk, and whose mode is 0600.
///
/// The data key is made as `kmss_data_key` makes it, one for each file; `kmss_file_open` wants the same context.
///
/// Errors: KMSS_STORAGE where a file cannot be read or written; KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED,
/// KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `seal_options` points to its struct; `from` and `to` are NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_file_seal(
    session: *mut kmss_session,
    seal_options: *const kmss_seal_options,
    from: *const c_char,
    to: *const c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (sealing, from, to) = unsafe { (Sealing::read(seal_options)?, word(from, "from")?, word(to, "to")?) };
        whole(from, to, |source, target| sealing.seal(&session, source, target))
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_file_seal`, from the descriptor `from` to its end to the descriptor `to`; pipes will do. Both stay open.
///
/// # Safety
/// As `kmss_file_seal`; both descriptors are open for as long as the call lasts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_file_seal_fd(
    session: *mut kmss_session,
    seal_options: *const kmss_seal_options,
    from: i32,
    to: i32,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (sealing, mut source, mut target) =
            unsafe { (Sealing::read(seal_options)?, descriptor(from)?, descriptor(to)?) };
        sealing.seal(&session, &mut source, &mut target)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Opens the sealed file `from` as the file `to`, with the first of its keys that is in the token. `to` has its name when all of
/// it is right and on the disk; its mode is 0600.
///
/// Errors: KMSS_INVALID_DATA for what is no sealed file, was altered or has another context; KMSS_NOT_FOUND where none of its keys
/// is in the token; KMSS_STORAGE, KMSS_KEY_STATE, KMSS_DENIED, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `pairs` points to `pairs_len` pairs, or `pairs_len` is 0; `from` and `to` are NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_file_open(
    session: *mut kmss_session,
    pairs: *const kmss_pair,
    pairs_len: usize,
    from: *const c_char,
    to: *const c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (context, from, to) = unsafe { (context(pairs, pairs_len)?, word(from, "from")?, word(to, "to")?) };
        whole(from, to, |source, target| opened(&session, &context, source, target))
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_file_open`, from the descriptor `from` to its end to the descriptor `to`; pipes will do. Both stay open. Everything
/// that is written is right, but may be the beginning of it only: that all of it came is known when this returns KMSS_OK.
///
/// # Safety
/// As `kmss_file_open`; both descriptors are open for as long as the call lasts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_file_open_fd(
    session: *mut kmss_session,
    pairs: *const kmss_pair,
    pairs_len: usize,
    from: i32,
    to: i32,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (context, mut source, mut target) =
            unsafe { (context(pairs, pairs_len)?, descriptor(from)?, descriptor(to)?) };
        opened(&session, &context, &mut source, &mut target)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn opened(
    session: &LoggedIn,
    context: &EncryptionContext,
    source: &mut File,
    target: &mut File,
) -> Result<(), Failure> {
    Ok(stream::open((&session.kms, &session.caller), context, (source, target))?)
}

/// A descriptor of the caller's, under a number of our own.
///
/// # Safety
/// `fd` is open.
unsafe fn descriptor(fd: i32) -> Result<File, Failure> {
    if fd < 0 {
        return Err(Failure::argument("a descriptor is negative"));
    }
    // SAFETY: not -1, and open by the contract above.
    let owned = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
    owned.map(File::from).map_err(|e| io_failure("the descriptor cannot be used", e))
}

/// Lets `work` write a file, which gets its name when all of it is there.
fn whole(from: &str, to: &str, work: impl FnOnce(&mut File, &mut File) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut source = File::open(from).map_err(|e| io_failure(&format!("cannot read `{from}`"), e))?;
    let part = PathBuf::from(format!("{to}.part"));
    let unwritten = |e| io_failure(&format!("cannot write `{}`", part.display()), e);
    let mut target =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(unwritten)?;
    let done = work(&mut source, &mut target).and_then(|()| target.sync_all().map_err(unwritten)).and_then(|()| {
        std::fs::rename(&part, Path::new(to)).map_err(|e| io_failure(&format!("cannot write `{to}`"), e))
    });
    if done.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    done
}

fn io_failure(what: &str, error: std::io::Error) -> Failure {
    Error::new(ErrorKind::Storage, what.to_owned()).with_source(error).into()
}
