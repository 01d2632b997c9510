//! What is peculiar to a device: the one place that is asked.

use cryptoki::context::Pkcs11;
use cryptoki::slot::TokenInfo;

/// How a device differs from the standard. The default is one that does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Who made the module, as it says.
    pub manufacturer: String,
    /// The model of the token, as it says.
    pub model: String,
}

impl Quirks {
    /// Those of a token.
    pub(super) fn of(library: &Pkcs11, token: &TokenInfo) -> Self {
        let manufacturer = library.get_library_info().map(|info| info.manufacturer_id().to_owned());
        Self { manufacturer: manufacturer.unwrap_or_default(), model: token.model().to_owned() }
    }
}
