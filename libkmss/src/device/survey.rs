//! What a module has: its tokens and their state, without logging in.

use std::path::Path;

use super::fault;
use super::module::Module;
use crate::error::{Error, ErrorKind, Result};

/// A token of a module, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct SeenToken {
    /// The number of its slot.
    pub slot: u64,
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it, and which model it is.
    pub model: String,
    /// Whether it was initialized.
    pub initialized: bool,
    /// Whether it wants a PIN.
    pub login_required: bool,
    /// Whether its PIN is locked.
    pub locked: bool,
    /// Whether a wrong PIN has been tried, or one attempt is left.
    pub low: bool,
    /// Sessions of this process and, where the device counts them, of others.
    pub sessions: Option<u64>,
}

/// Every token in `module`.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where the module cannot be used, and those of its path.
pub fn survey(module: &Path) -> Result<Vec<SeenToken>> {
    let loaded = Module::load(module)?;
    let library = loaded.library();
    let cannot = |e: cryptoki::error::Error| {
        let why = format!("the module `{}` does not describe its tokens: {}", module.display(), fault::words(&e));
        Error::new(ErrorKind::BackendUnavailable, why)
    };
    let mut seen = Vec::new();
    for slot in library.get_slots_with_token().map_err(cannot)? {
        let info = library.get_token_info(slot).map_err(cannot)?;
        seen.push(SeenToken {
            slot: slot.id(),
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            model: format!("{} {}", info.manufacturer_id(), info.model()),
            initialized: info.token_initialized(),
            login_required: info.login_required(),
            locked: info.user_pin_locked(),
            low: info.user_pin_count_low() || info.user_pin_final_try(),
            sessions: info.session_count(),
        });
    }
    Ok(seen)
}
