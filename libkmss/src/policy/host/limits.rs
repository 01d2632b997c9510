//! What a policy may use up.

/// Limits of one policy; its bundle may lower or raise them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Limits {
    /// Fuel for one decision, about one unit an instruction; `None`: what its interface usually needs.
    pub fuel: Option<u64>,
    /// Pages of 64 KiB that its memory may have; `None`: what its interface usually needs.
    pub pages: Option<u32>,
}

impl Limits {
    /// Fuel for a guest of `kmss-policy/1`.
    pub const FUEL: u64 = 100_000;
    /// Fuel for an OPA module.
    pub const OPA_FUEL: u64 = 5_000_000;
    /// Memory of a guest of `kmss-policy/1`: 1 MiB.
    pub const PAGES: u32 = 16;
    /// Memory of an OPA module: 2 MiB.
    pub const OPA_PAGES: u32 = 32;
    /// No bundle may ask for more memory than this: 16 MiB.
    pub const MOST_PAGES: u32 = 256;
    /// No bundle may ask for more fuel than this, some tenths of a second.
    pub const MOST_FUEL: u64 = 1_000_000_000;
    /// Largest module in bytes.
    pub const MODULE: usize = 16 << 20;
    /// Most entries of a table.
    pub const TABLE: usize = 10_000;
    /// Bytes of stack for a guest's calls.
    pub const STACK: usize = 256 << 10;

    /// Fuel for a decision of a policy of `kmss-policy/1`.
    pub(crate) fn native_fuel(&self) -> u64 {
        self.fuel.unwrap_or(Self::FUEL).min(Self::MOST_FUEL)
    }

    /// The same of an OPA module.
    pub(crate) fn opa_fuel(&self) -> u64 {
        self.fuel.unwrap_or(Self::OPA_FUEL).min(Self::MOST_FUEL)
    }

    /// Pages of a policy of `kmss-policy/1`.
    pub(crate) fn native_pages(&self) -> u32 {
        self.pages.unwrap_or(Self::PAGES).min(Self::MOST_PAGES)
    }

    /// The same of an OPA module.
    pub(crate) fn opa_pages(&self) -> u32 {
        self.pages.unwrap_or(Self::OPA_PAGES).min(Self::MOST_PAGES)
    }
}
