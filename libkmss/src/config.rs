//! LOCAL STUB, replaced by the auth wing.
/// Configuration.
#[derive(Clone, Debug)]
pub struct Config {}
impl Config {
    /// Loads it from KMSS_CONF, KMSS_HOME, ~/.config/kmss/kmss.toml, /etc/kmss/kmss.toml or the defaults.
    ///
    /// # Errors
    /// `Config` or `HomeUnsafe`.
    pub fn load() -> crate::error::Result<Self> {
        Ok(Self {})
    }
}
