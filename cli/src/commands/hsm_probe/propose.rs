//! What the outcomes of the suite say of a device, as an entry of the table of quirks.

use backend_contract::{Outcome, Report};
use libkmss::config::{GcmIv, PssSalt, Quirks};

/// What is known of the device, with what was seen.
pub(super) fn quirks(known: Quirks, reports: &[Report]) -> Quirks {
    let seen = Seen(reports);
    let mut quirks = Quirks::default();
    let oaep = "a key of RSA 2048 decrypts by RSA_PKCS_OAEP";
    if seen.holds(&format!("{oaep} of SHA-1")) && seen.lacks(&format!("{oaep} of SHA-256")) {
        quirks.oaep_hashes = Some(vec!["sha1".to_owned()]);
    }
    if seen.holds(&format!("{oaep} of SHA-256")) && seen.lacks(&format!("{oaep} with a label")) {
        quirks.oaep_label = Some(false);
    }
    let pss = "a key of RSA 2048 signs by SHA256_RSA_PKCS_PSS";
    if seen.holds(pss) {
        if seen.lacks(&format!("{pss} without salt")) && seen.lacks(&format!("{pss} with a salt of 20 bytes")) {
            quirks.pss_salt = Some(PssSalt::Hash);
        }
        if seen.lacks(&format!("{pss} with MGF1 of SHA-1")) {
            quirks.one_hash = Some(true);
        }
    }
    let gcm = "AES_GCM encrypts as the software engine does";
    if seen.holds("AES_CBC encrypts as the software engine does") && seen.failed(gcm) {
        quirks.gcm_iv = Some(GcmIv::Device);
    }
    if reports.iter().any(|report| {
        matches!(&report.outcome, Outcome::Failed(why) if why.contains("altered") && why.contains("DeviceError from"))
    }) {
        quirks.device_error_of_data = Some(true);
    }
    known.with(&quirks)
}

/// Outcomes by name.
struct Seen<'a>(&'a [Report]);

impl Seen<'_> {
    fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.0.iter().find(|report| report.name == name).map(|report| &report.outcome)
    }

    fn holds(&self, name: &str) -> bool {
        self.outcome(name) == Some(&Outcome::Passed)
    }

    fn failed(&self, name: &str) -> bool {
        matches!(self.outcome(name), Some(Outcome::Failed(_)))
    }

    fn lacks(&self, name: &str) -> bool {
        matches!(self.outcome(name), Some(Outcome::Failed(_) | Outcome::NotOffered(_)))
    }
}

#[cfg(test)]
mod tests {
    use backend_contract::Group;

    use super::*;

    fn report(name: &str, outcome: Outcome) -> Report {
        Report { group: Group::Rsa, name: name.to_owned(), outcome, milliseconds: 1 }
    }

    #[test]
    fn the_names_that_are_looked_for_are_names_of_the_suite() {
        let suite: Vec<String> = backend_contract::suite().into_iter().map(|behaviour| behaviour.name).collect();
        for name in [
            "a key of RSA 2048 decrypts by RSA_PKCS_OAEP of SHA-1",
            "a key of RSA 2048 decrypts by RSA_PKCS_OAEP of SHA-256",
            "a key of RSA 2048 decrypts by RSA_PKCS_OAEP with a label",
            "a key of RSA 2048 signs by SHA256_RSA_PKCS_PSS",
            "a key of RSA 2048 signs by SHA256_RSA_PKCS_PSS without salt",
            "a key of RSA 2048 signs by SHA256_RSA_PKCS_PSS with a salt of 20 bytes",
            "a key of RSA 2048 signs by SHA256_RSA_PKCS_PSS with MGF1 of SHA-1",
            "AES_GCM encrypts as the software engine does",
            "AES_CBC encrypts as the software engine does",
        ] {
            assert!(suite.iter().any(|known| known == name), "`{name}` is not in the suite");
        }
    }

    #[test]
    fn a_device_that_knows_oaep_with_sha_1_alone_is_described_so() {
        let no = || Outcome::Failed("no".to_owned());
        let reports = [
            report("a key of RSA 2048 decrypts by RSA_PKCS_OAEP of SHA-1", Outcome::Passed),
            report("a key of RSA 2048 decrypts by RSA_PKCS_OAEP of SHA-256", no()),
            report("a key of RSA 2048 signs by SHA256_RSA_PKCS_PSS", Outcome::Passed),
            report("a key of RSA 2048 signs by SHA256_RSA_PKCS_PSS with MGF1 of SHA-1", no()),
        ];
        let quirks = quirks(Quirks { label_bytes: Some(40), ..Quirks::default() }, &reports);
        assert_eq!(quirks.oaep_hashes, Some(vec!["sha1".to_owned()]));
        assert_eq!((quirks.one_hash, quirks.label_bytes, quirks.pss_salt), (Some(true), Some(40), None));
    }
}
