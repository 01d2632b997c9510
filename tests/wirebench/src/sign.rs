//! Signatures through a PKCS#11 module, each caller a thread with a session of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::Error;
use crate::figures::{Calls, Figures, Pace};

/// Who signs, with what.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The module
    #[arg(long)]
    module: PathBuf,
    /// Label of the token
    #[arg(long)]
    token: String,
    /// Its PIN
    #[arg(long)]
    pin: String,
    /// Label of the private key
    #[arg(long)]
    key: String,
    /// How to sign
    #[arg(long, value_enum, default_value_t = How::Ecdsa)]
    how: How,
    /// Search for the key before each signature, as programs do that keep no handles
    #[arg(long)]
    search: bool,
    #[command(flatten)]
    pace: Pace,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum How {
    /// A hash of 32 bytes by CKM_ECDSA
    Ecdsa,
    /// 32 bytes by CKM_RSA_PKCS
    Rsa,
}

impl How {
    const fn mechanism(self) -> Mechanism<'static> {
        match self {
            Self::Ecdsa => Mechanism::Ecdsa,
            Self::Rsa => Mechanism::RsaPkcs,
        }
    }
}

/// Signs, all callers at once.
pub(crate) fn call(options: &Options) -> Result<Figures, Error> {
    let module = Pkcs11::new(&options.module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = slot(&module, &options.token)?;
    let login = module.open_ro_session(slot)?;
    login.login(UserType::User, Some(&AuthPin::new(options.pin.clone().into())))?;
    let start = Instant::now() + options.pace.warm_up() + Duration::from_millis(100);
    let all = std::thread::scope(|scope| -> Result<Vec<Calls>, Error> {
        let mut callers = Vec::new();
        for _ in 0..options.pace.callers {
            let session = module.open_ro_session(slot)?;
            callers.push(scope.spawn(move || one(&session, options, start)));
        }
        callers.into_iter().map(|caller| caller.join().map_err(|_| Error::from("a caller panicked"))?).collect()
    })?;
    Ok(Figures::of(all, options.pace.length()))
}

fn slot(module: &Pkcs11, label: &str) -> Result<Slot, Error> {
    for slot in module.get_slots_with_token()? {
        if module.get_token_info(slot)?.label() == label {
            return Ok(slot);
        }
    }
    Err(format!("there is no token `{label}`").into())
}

fn find(session: &Session, label: &str) -> Result<ObjectHandle, Error> {
    let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())];
    let found = session.find_objects(&wanted)?;
    found.first().copied().ok_or_else(|| format!("there is no key `{label}`").into())
}

/// One caller.
fn one(session: &Session, options: &Options, start: Instant) -> Result<Calls, Error> {
    let mut key = find(session, &options.key)?;
    let mut calls = Calls::default();
    let end = start + options.pace.length();
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(calls);
        }
        let mut signed = || -> Result<(), Error> {
            if options.search {
                key = find(session, &options.key)?;
            }
            session.sign(&options.how.mechanism(), key, &[7; 32])?;
            Ok(())
        };
        let outcome = signed();
        if begun >= start {
            calls.note(begun, outcome);
        }
        if let Some(step) = options.pace.step() {
            std::thread::sleep((begun + step).saturating_duration_since(Instant::now()));
        }
    }
}
