//! Vendors' modules in this process: each is loaded once and never unloaded, initialized once in each process of a fork
//! tree, and finalized by the last of its users, if it was we who initialized it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use once_cell::race::OnceBox;

use super::{fault, path};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Lock, Rank, beside_forks, epoch, is_leaving};

static LOADED: OnceBox<Lock<Vec<Loaded>>> = OnceBox::new();

/// A module that was loaded.
struct Loaded {
    path: PathBuf,
    library: Pkcs11,
    /// The process that the rest is about.
    epoch: u32,
    users: usize,
    /// We initialized it, so that it is ours to finalize.
    ours: bool,
}

/// One use of an initialized module.
pub(super) struct Module {
    library: Pkcs11,
    // INVARIANT: taken once for each `Module` that is alive, in process `epoch`.
    path: Arc<Path>,
    epoch: u32,
}

impl Module {
    /// Loads and initializes the module at `path`, as far as that was not done. May take long.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let real: Arc<Path> = path::module(path)?.into();
        let cannot = |what: &str, e: &cryptoki::error::Error| {
            let why = format!("the module `{}` of an HSM cannot be {what}: {}", path.display(), fault::words(e));
            Error::new(ErrorKind::BackendUnavailable, why)
        };
        let known = all().lock().iter().find(|module| *module.path == *real).map(|module| module.library.clone());
        let library = match known {
            Some(library) => library,
            None => Pkcs11::new(&real).map_err(|e| cannot("loaded", &e))?,
        };
        // Also where it was before: somebody may have finalized it, and a child must.
        let ours = match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => true,
            Err(e) if fault::is_initialized_already(&e) => false,
            Err(e) => return Err(cannot("initialized", &e)),
        };
        let epoch = epoch();
        let mut loaded = all().lock();
        match loaded.iter_mut().find(|module| *module.path == *real) {
            Some(module) if module.epoch == epoch => {
                module.users += 1;
                module.ours |= ours;
            }
            Some(module) => (module.epoch, module.users, module.ours) = (epoch, 1, ours),
            None => {
                loaded.push(Loaded { path: real.to_path_buf(), library: library.clone(), epoch, users: 1, ours });
            }
        }
        Ok(Self { library, path: real, epoch })
    }

    pub(super) const fn library(&self) -> &Pkcs11 {
        &self.library
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.epoch != epoch() {
            return;
        }
        let last = {
            let mut loaded = all().lock();
            let module = loaded.iter_mut().find(|module| *module.path == *self.path && module.epoch == self.epoch);
            module.is_some_and(|module| {
                module.users = module.users.saturating_sub(1);
                module.users == 0 && std::mem::take(&mut module.ours)
            })
        };
        // While the process ends the libraries that the module stands on may be gone.
        if last && !is_leaving() {
            let library = self.library.clone();
            let _ = beside_forks(|| library.finalize());
        }
    }
}

fn all() -> &'static Lock<Vec<Loaded>> {
    LOADED.get_or_init(|| Box::new(Lock::new(Rank::Module, Vec::new())))
}
