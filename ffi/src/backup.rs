//! Archives of a tenant, and the shares of their keys (docs/backup.md).
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use libkmss::backup::{ArchiveFile, ArchiveHeader, ArchiveKey, ArchiveReader, Items, Share, Summary, combine};
use libkmss::error::{Error, ErrorKind};
use libkmss::kms::{Backup, BackupPlan, Kms, RestorePlan, RestoreReport};
use libkmss::tenant::Namespace;
use serde_json::{Value, json};

use crate::boundary::{Versioned, enter, options, text, word, words};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::home::{HOMES, kmss};
use crate::out::put_text;
use crate::status::kmss_status;

/// `kmss_backup_restore`: nothing is changed, only told what would be.
pub const KMSS_RESTORE_DRY_RUN: u32 = 1;

/// Writes an archive of everything of the tenant `tenant` (NULL for the usual one, `default`) to the file `archive`, which must not
/// exist, while others go on working. Its key is split among custodians: `custodians` names them, 2 to 32, and `needed` of them open
/// the archive. For root, the home's owner and the admins of the configuration.
///
/// `shares` has room for `custodians_len` texts: each becomes the share of the custodian in the same place, which is kept nowhere
/// else and which `kmss_free` wipes and frees. Give each to its custodian, apart from the others; without `needed` of them the archive
/// is worthless. `json` may be NULL; else `*json` says of the archive `archive` (its identity), `epoch`, `created`, `namespaces`, `items`,
/// `in_devices` and `elsewhere`, and `kmss_free` frees it.
///
/// Errors: KMSS_DENIED, KMSS_NOT_FOUND for a tenant without tokens, KMSS_ALREADY_EXISTS for a file that is there, and for an archive
/// that was left unfinished, with `.partial` behind its name, and may be removed; KMSS_CONFLICT where tokens, policies or
/// rules were changed meanwhile, KMSS_BUSY where keys were all the time: begin anew then; KMSS_INVALID_ARGUMENT,
/// KMSS_STORAGE, KMSS_AUDIT_UNAVAILABLE. There is no archive then, and no share.
///
/// # Safety
/// `tenant` is NULL or NUL-terminated, `archive` is NUL-terminated; `custodians` points to `custodians_len` NUL-terminated strings and
/// `shares` to as many writable pointers; `json` is NULL or points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_backup_create(
    home: *mut kmss,
    tenant: *const c_char,
    archive: *const c_char,
    custodians: *const *const c_char,
    custodians_len: usize,
    needed: u32,
    shares: *mut *mut c_char,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let kms = HOMES.find(home)?;
        // SAFETY: the caller's promise, passed on.
        let (tenant, archive, names) = unsafe {
            let names = words(custodians, custodians_len, "custodians")?;
            (tenant_of(tenant)?, word(archive, "archive")?, names)
        };
        // SAFETY: as above; an array of so many elements was readable above, so that their number is a possible one.
        unsafe { emptied(shares, names.len()) }?;
        let needed = u8::try_from(needed).map_err(|_| Failure::argument("needed is more than 32"))?;
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let made = created(&kms, &BackupPlan { tenant, custodians: &names, needed }, Path::new(archive))?;
        for (place, share) in made.shares.iter().enumerate() {
            // SAFETY: there is room for one text for each custodian, of whom there is one for each share.
            unsafe { put_text(shares.wrapping_add(place), &share.text()) }?;
        }
        let said = serde_json::to_value(&made).map_err(|_| unsaid())?;
        // SAFETY: as above.
        unsafe { tell(json, &said) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Sets so many pointers to NULL.
///
/// # Safety
/// `to` is NULL or points to `len` writable pointers.
unsafe fn emptied(to: *mut *mut c_char, len: usize) -> Result<(), Failure> {
    if to.is_null() {
        return Err(Failure::argument("shares is NULL"));
    }
    // SAFETY: not NULL, and writable by the contract above.
    (0..len).for_each(|place| unsafe { to.wrapping_add(place).write(std::ptr::null_mut()) });
    Ok(())
}

/// A tenant's name, or that of the usual one.
///
/// # Safety
/// As [`text`].
unsafe fn tenant_of<'a>(given: *const c_char) -> Result<&'a str, Failure> {
    // SAFETY: passed on.
    Ok(unsafe { text(given, "tenant") }?.unwrap_or(Namespace::DEFAULT_TENANT))
}

/// Gives a value out as JSON where somebody wants to know.
///
/// # Safety
/// `json` is NULL or points to a writable pointer.
unsafe fn tell(json: *mut *mut c_char, said: &Value) -> Result<(), Failure> {
    // SAFETY: passed on.
    if json.is_null() { Ok(()) } else { unsafe { put_text(json, &said.to_string()) } }
}

fn unsaid() -> Failure {
    Error::new(ErrorKind::Internal, "what was done cannot be said").into()
}

fn created(kms: &Kms, plan: &BackupPlan<'_>, archive: &Path) -> Result<Backup, Failure> {
    let caller = kms.administrator(Some(plan.tenant))?;
    let mut file = ArchiveFile::create(archive)?;
    let made = kms.back_up(&caller, plan, &mut file, &mut |_| ())?;
    file.finish()?;
    Ok(made)
}

fn reader(archive: &str) -> Result<BufReader<File>, Error> {
    let unread = |e| Error::new(ErrorKind::Storage, format!("the archive `{archive}` cannot be read")).with_source(e);
    Ok(BufReader::new(File::open(archive).map_err(unread)?))
}

/// The key of an archive, from shares.
fn key_of(header: &ArchiveHeader, shares: &[&str]) -> Result<ArchiveKey, Failure> {
    let parsed = shares.iter().map(|share| Share::parse(share)).collect::<Result<Vec<_>, _>>()?;
    Ok(combine(header, &parsed)?)
}

/// Says what the file `archive` says of itself, as JSON: `archive`, `tenant`, `epoch`, `created`, `suite`, `shares` and `needed`. Needs
/// no share, and proves nothing. `*json` is freed by `kmss_free`.
///
/// Errors: KMSS_INVALID_DATA or KMSS_DAMAGED for what is no archive, KMSS_STORAGE.
///
/// # Safety
/// `archive` is NUL-terminated; `json` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_backup_inspect(
    archive: *const c_char,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let header = ArchiveHeader::read(&mut reader(unsafe { word(archive, "archive") }?)?)?;
        // SAFETY: as above.
        unsafe { put_text(json, &report::json::archive(&header).to_string()) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Reads the archive `archive` to its end with as many shares as it needs: whether it is whole, and what is in it. Needs no home.
///
/// `json` may be NULL; else `*json` becomes `{"archive": …, "epoch": …, "holds": …}`, which `kmss_free` frees.
///
/// Errors: KMSS_INVALID_ARGUMENT for what is no share, too few of them, or one of another archive; KMSS_DAMAGED for an archive that is
/// not whole; KMSS_STORAGE.
///
/// # Safety
/// `archive` is NUL-terminated; `shares` points to `shares_len` NUL-terminated strings; `json` is NULL or points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_backup_verify(
    archive: *const c_char,
    shares: *const *const c_char,
    shares_len: usize,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (archive, shares) = unsafe { (word(archive, "archive")?, words(shares, shares_len, "shares")?) };
        let mut file = reader(archive)?;
        let header = ArchiveHeader::read(&mut file)?;
        let key = key_of(&header, &shares)?;
        let mut items = Items::of(ArchiveReader::begin(&header, &key, &mut file)?);
        let holds = Summary::read(&header, &mut items, &mut |_| Ok(()))?;
        let said = json!({ "archive": header.archive.to_string(), "epoch": header.epoch, "holds": holds });
        // SAFETY: as above.
        unsafe { tell(json, &said) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// How an archive is restored. Set all of it to zero, then `size` to `sizeof(kmss_restore_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_restore_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_RESTORE_…, or-ed together.
    pub flags: u32,
    /// An archive of a lower epoch is refused, whatever the home knows; 0 for whatever the home knows.
    pub least_epoch: u64,
}

// SAFETY: `repr(C)`, begins with its size, and holds numbers alone.
unsafe impl Versioned for kmss_restore_options {}

/// Restores the archive `archive` into a home, with as many shares as it needs: tokens that the home does not have, each whole or not
/// at all. What the home has stays as it is, and what was destroyed, revoked or removed there since does not come back. The archive is
/// read to its end before anything is written. For root, the home's owner and the admins of the configuration. On an empty machine
/// `kmss restore` or `kmss home init` makes the home first.
///
/// `restore_options` may be NULL. `json` may be NULL; else `*json` says what became of it, which `kmss_free` frees: `archive`, `tenant`,
/// `epoch`, `dry_run`, `namespaces` (each with its `name`, `id`, `objects` and `fate`: `restored`, `kept`, `over` or `name-taken`),
/// `rules` on what is made (each with its `scope`, what it `says`, and its `fate`: `restored`, `there`, `stands` where another rule is
/// `here` for the same and stays, or `away` where nothing of what it is for is restored),
/// `policies` (with why each is `refused`, or null), `in_devices`, `elsewhere`, and `partial`: whether something that is not there now
/// did not have to stay away.
///
/// Errors: KMSS_DENIED, also for an archive that is older than what was restored or is allowed; KMSS_DAMAGED and KMSS_INVALID_DATA for
/// one that is not whole; KMSS_INVALID_ARGUMENT for wrong shares and for one of another suite: nothing was changed then. KMSS_CONFLICT
/// where somebody else restores the same; KMSS_STORAGE, KMSS_AUDIT_UNAVAILABLE, after which it may be begun again.
///
/// # Safety
/// `archive` is NUL-terminated; `shares` points to `shares_len` NUL-terminated strings; `restore_options` is NULL or points to its
/// struct; `json` is NULL or points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_backup_restore(
    home: *mut kmss,
    archive: *const c_char,
    shares: *const *const c_char,
    shares_len: usize,
    restore_options: *const kmss_restore_options,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let kms = HOMES.find(home)?;
        // SAFETY: the caller's promise, passed on.
        let (archive, shares, plan) =
            unsafe { (word(archive, "archive")?, words(shares, shares_len, "shares")?, plan(restore_options)?) };
        let header = ArchiveHeader::read(&mut reader(archive)?)?;
        let key = key_of(&header, &shares)?;
        let caller = kms.administrator(Some(&header.tenant))?;
        let mut reopen = || reader(archive).map(|file| Box::new(file) as Box<dyn Read>);
        let report = kms.restore(&caller, &key, &mut reopen, plan, &mut |_| ())?;
        // SAFETY: as above.
        unsafe { tell(json, &told(&report)?) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// `given` is what C callers promise of it.
unsafe fn plan(given: *const kmss_restore_options) -> Result<RestorePlan, Failure> {
    // SAFETY: passed on.
    let given = unsafe { options(given, "kmss_restore_options") }?;
    if given.flags & !KMSS_RESTORE_DRY_RUN != 0 {
        return Err(Failure::argument("flags of kmss_restore_options are none of KMSS_RESTORE_…"));
    }
    let least_epoch = (given.least_epoch != 0).then_some(given.least_epoch);
    Ok(RestorePlan { dry_run: given.flags & KMSS_RESTORE_DRY_RUN != 0, least_epoch })
}

fn told(report: &RestoreReport) -> Result<Value, Failure> {
    let mut said = serde_json::to_value(report).map_err(|_| unsaid())?;
    if let Value::Object(members) = &mut said {
        members.insert("partial".to_owned(), report.is_partial().into());
    }
    Ok(said)
}

/// Says which epoch the newest archive of the tenant `tenant` (NULL for the usual one) has, 0 where there was none, and below which
/// none is restored in this home. Both outputs may be NULL.
///
/// Errors: KMSS_STORAGE, KMSS_DAMAGED.
///
/// # Safety
/// `tenant` is NULL or NUL-terminated; `newest` and `least` are NULL or point to writable numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_backup_epochs(
    home: *mut kmss,
    tenant: *const c_char,
    newest: *mut u64,
    least: *mut u64,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let kms = HOMES.find(home)?;
        // SAFETY: the caller's promise, passed on.
        let epochs = kms.backup_epochs(unsafe { tenant_of(tenant) }?)?;
        for (to, epoch) in [(newest, epochs.newest), (least, epochs.least)] {
            if !to.is_null() {
                // SAFETY: not NULL, and writable.
                unsafe { to.write(epoch) };
            }
        }
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Has this home restore no archive of the tenant `tenant` (NULL for the usual one) any more whose epoch is below `least`, which only
/// grows. For root, the home's owner and the admins of the configuration.
///
/// Errors: KMSS_DENIED; KMSS_INVALID_ARGUMENT for an epoch that no archive had yet, other than the next; KMSS_STORAGE,
/// KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `tenant` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_backup_retire(
    home: *mut kmss,
    tenant: *const c_char,
    least: u64,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let kms = HOMES.find(home)?;
        // SAFETY: the caller's promise, passed on.
        let tenant = unsafe { tenant_of(tenant) }?;
        let caller = kms.administrator(Some(tenant))?;
        kms.retire_backups(&caller, tenant, least)?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
