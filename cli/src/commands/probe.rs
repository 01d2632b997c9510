//! Loading the module as a client does. In a process of its own: a module that hangs or crashes takes nobody with it, and
//! the second copy of the store's engine that it brings must not meet ours.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use serde_json::json;

use crate::output::{self, Failure};

/// Loads the module, lists its tokens as JSON, and unloads it.
///
/// # Errors
/// What the loader or the module says.
pub(super) fn run(module: &Path) -> Result<(), Failure> {
    let pkcs11 = Pkcs11::new(module)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let info = pkcs11.get_library_info()?;
    let mut tokens = Vec::new();
    for slot in pkcs11.get_slots_with_initialized_token()? {
        let token = pkcs11.get_token_info(slot)?;
        tokens.push(json!({
            "slot": slot.id(),
            "label": token.label(),
            "pin_locked": token.user_pin_locked(),
            "pin_low": token.user_pin_count_low() || token.user_pin_final_try(),
            "pin_set": token.user_pin_initialized(),
        }));
    }
    output::json(&json!({ "library": info.library_description(), "tokens": tokens }))
}
