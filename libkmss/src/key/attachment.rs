//! What somebody hangs on an object for as long as it is in memory.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use once_cell::race::OnceBox;

/// One value that lives as long as the object it hangs on. A clone of the object shares it: it is the same object, changed.
#[derive(Default)]
pub struct Attachment(OnceBox<Arc<dyn Any + Send + Sync>>);

impl Attachment {
    /// What hangs here, where it is a `T`.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.get()?.downcast_ref()
    }

    /// Hangs a value here; a no-op where there is one already.
    pub fn put<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) {
        self.0.get_or_init(|| Box::new(Arc::new(make())));
    }
}

impl Clone for Attachment {
    fn clone(&self) -> Self {
        self.0.get().map_or_else(Self::default, |shared| Self(OnceBox::with_value(Box::new(Arc::clone(shared)))))
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attachment(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_put_once_and_shared_by_clones() {
        let first = Attachment::default();
        assert_eq!(first.clone().get::<u32>(), None);
        first.put(|| 1_u32);
        first.put(|| 2_u32);
        assert_eq!((first.get::<u32>(), first.get::<u64>()), (Some(&1), None));
        assert!(std::ptr::eq(first.clone().get::<u32>().unwrap_or(&0), first.get::<u32>().unwrap_or(&0)));
    }
}
