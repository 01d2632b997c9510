//! Rules for keys: which types and sizes may be made, which is preferred, how often they rotate, and whether services keep
//! apart; for a tenant or a namespace, as a whole or for one service in it.

mod book;
mod rule;
#[cfg(test)]
mod tests;

pub use book::{RuleBook, RuleSet};
pub use rule::{AllowedType, KeyRule, Made, RuleScope};
