//! What `kmss report` says of a home: what keys there are, who used them, what was refused and changed, and what of standards
//! that evidences.
//!
//! The command makes it of a home, kmssd of the one that it serves; both hand in what they may look at, and nothing is printed
//! here. docs/report.md describes the fields of the JSON form; [`SCHEMA`] counts changes that a reader must know of.

mod changes;
mod coverage;
mod facts;
mod form;
pub mod json;
mod known;
mod ledger;
mod make;
mod period;
mod rows;
#[cfg(test)]
mod tests;
mod trail;
mod weak;
mod words;

pub use self::changes::{Change, Changes, Kind};
pub use self::coverage::{Requirement, Standard, Status};
pub use self::form::{Audit, Report, SCHEMA, Seal};
pub use self::known::{Deed, Past};
pub use self::ledger::{CertificateRow, KeyRow, Opened, Token, User, chosen};
pub use self::make::{Order, Step, make};
pub use self::period::{DAY, Period, day};
pub use self::rows::{Row, Table};
pub use self::trail::{Day, DayKey, LoginKey, Logins, Records, RefusalKey, Times, Use, UseKey, WeakKey};
pub use self::words::{class_name, describe, plain, uses};
