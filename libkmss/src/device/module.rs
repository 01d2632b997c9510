//! Vendors' modules in this process: each is loaded once and never unloaded, initialized once in each process of a fork
//! tree, and finalized by the last of its users, if it was we who initialized it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use once_cell::race::OnceBox;

use super::{fault, path};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Lock, Rank, beside_forks, epoch, is_leaving};
use crate::secret::Secret;

/// How often who waits for the end of another thread's C_Finalize looks.
const NAP: Duration = Duration::from_millis(1);
/// How many looks it takes at most.
const LOOKS: u32 = 5_000;

static LOADED: OnceBox<Lock<Vec<Loaded>>> = OnceBox::new();

/// A module that was loaded.
struct Loaded {
    path: PathBuf,
    library: Pkcs11,
    /// The process that the rest is about, but for the PINs.
    epoch: u32,
    users: usize,
    /// We initialized it, so that it is ours to finalize.
    ours: bool,
    /// A thread finalizes it; who comes meanwhile waits.
    finalizing: bool,
    /// The PINs that tokens refused, by their serial numbers: one more attempt could lock them.
    refused: Vec<(String, Secret)>,
}

/// One use of an initialized module.
pub(super) struct Module {
    library: Pkcs11,
    // INVARIANT: counted once in `users` for each `Module` that is alive, in process `epoch`.
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
        if of(&real, |_| ()).is_none() {
            let library = Pkcs11::new(&real).map_err(|e| cannot("loaded", &e))?;
            keep(&real, library);
        }
        let module = Self::use_of(real)?;
        // Also where it was before: somebody may have finalized it, and a child must.
        match module.library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => drop(of(&module.path, |loaded| loaded.ours = true)),
            Err(e) if fault::is_initialized_already(&e) => {}
            Err(e) => return Err(cannot("initialized", &e)),
        }
        Ok(module)
    }

    /// Counts as a user, so that nobody finalizes it any more.
    fn use_of(path: Arc<Path>) -> Result<Self> {
        let now = epoch();
        for _ in 0..LOOKS {
            let library = of(&path, |loaded| {
                if loaded.epoch != now {
                    (loaded.epoch, loaded.users, loaded.ours, loaded.finalizing) = (now, 0, false, false);
                }
                let free = !loaded.finalizing;
                loaded.users += usize::from(free);
                free.then(|| loaded.library.clone())
            });
            if let Some(library) = library.flatten() {
                return Ok(Self { library, path, epoch: now });
            }
            std::thread::sleep(NAP);
        }
        let why = format!("the module `{}` of an HSM does not come to an end with C_Finalize", path.display());
        Err(Error::new(ErrorKind::BackendUnavailable, why))
    }

    pub(super) const fn library(&self) -> &Pkcs11 {
        &self.library
    }

    /// Whether the token with this serial number has refused `pin`.
    pub(super) fn has_refused(&self, serial: &str, pin: &Secret) -> bool {
        let known =
            |loaded: &mut Loaded| loaded.refused.iter().any(|(token, refused)| token == serial && refused == pin);
        of(&self.path, known).unwrap_or_default()
    }

    /// Notes the PIN that the token with this serial number has refused; none, where it took one.
    pub(super) fn note_refusal(&self, serial: &str, pin: Option<Secret>) {
        let _ = of(&self.path, |loaded| {
            loaded.refused.retain(|(token, _)| token != serial);
            loaded.refused.extend(pin.map(|pin| (serial.to_owned(), pin)));
        });
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.epoch != epoch() {
            return;
        }
        // While the process ends the libraries that the module stands on may be gone.
        let last = of(&self.path, |loaded| {
            loaded.users = loaded.users.saturating_sub(1);
            let last = loaded.users == 0 && std::mem::take(&mut loaded.ours) && !is_leaving();
            loaded.finalizing |= last;
            last
        });
        if last == Some(true) {
            let library = self.library.clone();
            let _ = beside_forks(|| library.finalize());
            let _ = of(&self.path, |loaded| loaded.finalizing = false);
        }
    }
}

/// Runs `f` on what is known of the module at `path`, where it was loaded.
fn of<R>(path: &Path, f: impl FnOnce(&mut Loaded) -> R) -> Option<R> {
    all().lock().iter_mut().find(|module| *module.path == *path).map(f)
}

/// Keeps a module that was loaded, for good: threads of its vendor's may run in it.
fn keep(path: &Path, library: Pkcs11) {
    let mut loaded = all().lock();
    if loaded.iter().all(|module| *module.path != *path) {
        loaded.push(Loaded {
            path: path.to_path_buf(),
            library,
            epoch: epoch(),
            users: 0,
            ours: false,
            finalizing: false,
            refused: Vec::new(),
        });
    }
}

fn all() -> &'static Lock<Vec<Loaded>> {
    LOADED.get_or_init(|| Box::new(Lock::new(Rank::Module, Vec::new())))
}
