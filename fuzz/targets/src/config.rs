//! `kmss.toml`: any bytes are a configuration or an error.

use std::sync::OnceLock;

use libkmss::config::Config;

/// Reads `data` as the configuration.
pub fn run(data: &[u8]) {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        #[expect(unsafe_code, reason = "the configuration is found through the environment")]
        // SAFETY: the one place of this program that writes it; nothing else reads it meanwhile.
        unsafe {
            std::env::set_var("KMSS_CONF", folder.path().join("kmss.toml"));
        }
        folder
    });
    std::fs::write(folder.path().join("kmss.toml"), data).unwrap();
    let _ = Config::load();
}
