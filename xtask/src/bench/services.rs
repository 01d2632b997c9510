//! What messages, data keys and tokens cost, through the whole pipeline, beside what `openssl speed` says of the same ciphers.

use super::report::Verdicts;
use super::{LABEL, PIN, SO_PIN};
use crate::error::Error;
use crate::project::{Products, Project};
use serde::Deserialize;
use std::fmt::Write as _;
use tempfile::TempDir;

/// What was measured.
pub(super) struct Services {
    ours: Ours,
    /// Messages of 1 KiB and data keys a second through the C interface.
    c: [Option<f64>; 2],
    openssl: OpenSsl,
    many: Many,
}

/// Why messages may be too slow.
const MESSAGE: &str = "each message has a key of its own (two CMACs, HKDF, an AES-GCM key schedule) and a record of its own with marks of its \
                       context; a quarter of the time is hashing for these two, a sixth AES, the rest the decision and the memory for what comes \
                       and goes";

/// What many keys cost, as the example prints it.
#[derive(Deserialize)]
struct Many {
    keys: u32,
    /// Made a second, of the first tenth and of the last.
    create_first: f64,
    create_last: f64,
    seconds: f64,
    /// Microseconds to find one by its name among a tenth of them, and among all.
    lookup_few_us: f64,
    lookup_many_us: f64,
    page_ms: f64,
    page_slowest_ms: f64,
}

/// Operations a second of one thread, as the example prints them.
#[derive(Deserialize)]
struct Ours {
    encrypt_1k: f64,
    decrypt_1k: f64,
    encrypt_16k: f64,
    sm4_encrypt_16k: f64,
    data_key: f64,
    ff1_card: f64,
    sm2_sign: f64,
    sm2_verify: f64,
    /// The same file of 16 MiB, sealed for a recipient and by the AEAD alone.
    file_seal: f64,
    file_aead: f64,
}

/// What `openssl speed` says.
struct OpenSsl {
    /// SM4 in CTR mode, 16 KiB blocks, in bytes a second: Debian's OpenSSL 3.0 has no SM4-GCM.
    sm4_ctr: Option<f64>,
    sm2_sign: Option<f64>,
    sm2_verify: Option<f64>,
}

impl Services {
    /// Builds, measures.
    pub(super) fn measure(
        project: &Project,
        products: &Products,
        scratch: &TempDir,
        (seconds, keys): (&str, u32),
    ) -> Result<Services, Error> {
        let example = project.build_example("service_speed")?;
        let home = scratch.path().join("services");
        let kmss = |words: &[&str]| {
            let job = project.job(&products.command).env("KMSS_HOME", &home);
            job.env("KMSS_PIN", PIN).env("KMSS_SO_PIN", SO_PIN).args(words).run()
        };
        kmss(&["home", "init"])?;
        kmss(&["token", "init", LABEL])?;
        for (kind, name) in [("aes:256", "aes"), ("sm4", "sm4"), ("sm2", "sm2")] {
            kmss(&["key", "generate", name, "--token", LABEL, "--type", kind])?;
        }
        let job = project.job(example).env("KMSS_PIN", PIN).arg(&home).args([LABEL, seconds]).limit_seconds(600);
        let output = job.run()?.stdout;
        let ours =
            serde_json::from_str(&output).map_err(|source| Error::Json { what: "the services' figures", source })?;
        let program = scratch.path().join("abi_speed");
        let folder = |name: &str| project.root.join(name);
        let cc = project.job("cc").args(["-std=c99", "-D_GNU_SOURCE", "-O2", "-I"]).arg(folder("include"));
        let cc = cc.arg(folder("tests/c/abi_speed.c")).arg("-o").arg(&program).arg(&products.module);
        let place = products.module.parent().unwrap_or(&project.target);
        cc.arg(format!("-Wl,-rpath,{}", place.display())).run()?;
        let job = project.job(&program).env("KMSS_PIN", PIN).arg(&home).args([LABEL, "aes", seconds]);
        let output = job.limit_seconds(600).run()?.stdout;
        let c = ["messages of 1 KiB with a context", "data keys"].map(|what| a_second(&output, what));
        let example = project.build_example("many_keys")?;
        kmss(&["token", "init", "many"])?;
        let job = project.job(example).env("KMSS_PIN", PIN).arg(&home).args(["many", &keys.to_string()]);
        let output = job.limit_seconds(1800).run()?.stdout;
        let many = serde_json::from_str(&output);
        let many = many.map_err(|source| Error::Json { what: "the figures of many keys", source })?;
        Ok(Services { ours, c, openssl: OpenSsl::measure(project)?, many })
    }

    /// Figures for the tests of the report.
    #[cfg(test)]
    pub(super) const fn example() -> Services {
        let ours = Ours {
            encrypt_1k: 301_000.0,
            decrypt_1k: 310_000.0,
            encrypt_16k: 100_000.0,
            sm4_encrypt_16k: 6_000.0,
            data_key: 160_000.0,
            ff1_card: 140_000.0,
            sm2_sign: 3_000.0,
            sm2_verify: 3_000.0,
            file_seal: 250.0,
            file_aead: 300.0,
        };
        let c = [Some(302_000.0), None];
        let openssl = OpenSsl { sm4_ctr: Some(110e6), sm2_sign: None, sm2_verify: Some(2_900.0) };
        let many = Many {
            keys: 1_000_000,
            create_first: 9_000.0,
            create_last: 6_000.0,
            seconds: 150.0,
            lookup_few_us: 20.0,
            lookup_many_us: 25.0,
            page_ms: 2.0,
            page_slowest_ms: 6.0,
        };
        Services { ours, c, openssl, many }
    }

    /// The section of the report.
    pub(super) fn markdown(&self) -> String {
        let Ours {
            encrypt_1k, decrypt_1k, encrypt_16k, sm4_encrypt_16k, data_key, ff1_card, sm2_sign, sm2_verify, ..
        } = self.ours;
        let Ours { file_seal, file_aead, .. } = self.ours;
        let mut text = String::from(
            "\n## Messages, data keys, tokens\n\nOne thread, the best of five rounds, with policy checks and audit on: each \
             operation is decided and recorded as an operation of its own. `openssl speed` is Debian's.\n\n",
        );
        let mut verdicts = Verdicts::default();
        let mut line = |words: &str, reached: bool, measured: String, why: &str| {
            verdicts.add(words, reached, &measured, why);
        };
        let often = |rate: f64| format!("{rate:.0} /s");
        let told = |rate: Option<f64>| rate.map_or("not measured".to_owned(), often);
        let [message, key] = self.c;
        let reached = |rate: Option<f64>, mark| rate.is_some_and(|rate| rate >= mark);
        line(
            "1 KiB encrypted with a context through the C interface 300,000/s",
            reached(message, 300_000.0),
            told(message),
            MESSAGE,
        );
        line("data keys through the C interface 150,000/s", reached(key, 150_000.0), told(key), MESSAGE);
        line(
            "card numbers by FF1 150,000/s",
            ff1_card >= 150_000.0,
            often(ff1_card),
            "each of FF1's ten rounds is a chain of AES blocks",
        );
        let sm4 = sm4_encrypt_16k * f64::from(1 << 14);
        let beside = |ours: f64, theirs: Option<f64>| theirs.is_some_and(|theirs| ours >= theirs);
        let megabytes =
            |rate: Option<f64>| rate.map_or("not measured".to_owned(), |rate| format!("{:.0} MB/s", rate / 1e6));
        let OpenSsl { sm4_ctr, sm2_sign: their_sign, sm2_verify: their_verify } = self.openssl;
        line(
            "SM4-GCM of 16 KiB as fast as `openssl speed` in CTR mode",
            beside(sm4, sm4_ctr),
            format!("{} beside {}", megabytes(Some(sm4)), megabytes(sm4_ctr)),
            "no vetted crate of SM4 is quicker than ours, and CTR does not authenticate",
        );
        let pair = |ours: f64, theirs| format!("{} beside {}", often(ours), told(theirs));
        let sm2 = "the arithmetic of the curve is the vetted crate's";
        line("SM2 signing as fast as `openssl speed`", beside(sm2_sign, their_sign), pair(sm2_sign, their_sign), sm2);
        line(
            "SM2 verifying as fast as `openssl speed`",
            beside(sm2_verify, their_verify),
            pair(sm2_verify, their_verify),
            sm2,
        );
        let file = |rate: f64| megabytes(Some(rate * f64::from(1 << 24)));
        line(
            "a file sealed at 0.8 of the speed of its AEAD alone, in memory",
            file_seal >= 0.8 * file_aead,
            format!("{:.2} ({} beside {})", file_seal / file_aead, file(file_seal), file(file_aead)),
            "the file is copied into its chunks and out of them",
        );
        let Many { keys, create_first, create_last, seconds, lookup_few_us, lookup_many_us, page_ms, page_slowest_ms } =
            self.many;
        let slowest_tenth = create_first.min(create_last);
        line(
            &format!("{keys} keys made in batches, 5,000/s"),
            slowest_tenth >= 5_000.0,
            format!("{create_first:.0} /s in the first tenth, {create_last:.0} /s in the last, {seconds:.0} s in all"),
            "what an index finds a key by are MACs, so that its entries stand anywhere in it: of so many, each new key writes pages of \
             its own, some 40 KiB, which the disk and SQLite's checksums take (docs/adr/0070)",
        );
        // Twice as long is what another level of the tree and a colder cache may cost.
        line(
            &format!("a key found by its name among {keys} as among a tenth of them"),
            lookup_many_us <= 2.0 * lookup_few_us,
            format!("{lookup_many_us:.0} µs, {lookup_few_us:.0} µs among a tenth"),
            "the tree of the index is deeper, and no longer in SQLite's cache, but in the kernel's",
        );
        line(
            &format!("a page of 100 of {keys} keys below 5 ms"),
            page_ms < 5.0,
            format!("{page_ms:.1} ms, the slowest {page_slowest_ms:.1} ms"),
            "each key of a page is read, opened and shown",
        );
        text += &verdicts.markdown();
        let _ = writeln!(
            text,
            "\nBeside the marks, in Rust: 1 KiB encrypted {encrypt_1k:.0} /s, decrypted {decrypt_1k:.0} /s, data keys {data_key:.0} /s, 16 KiB \
             encrypted {encrypt_16k:.0} /s ({:.0} MB/s).",
            encrypt_16k * f64::from(1 << 14) / 1e6,
        );
        text
    }
}

impl OpenSsl {
    fn measure(project: &Project) -> Result<OpenSsl, Error> {
        let speed = |words: &[&str]| {
            let job = project.job("openssl").args(["speed", "-mr", "-seconds", "1"]).args(words);
            job.limit_seconds(60).run().map(|output| output.stdout)
        };
        let sm4 = speed(&["-bytes", "16384", "-evp", "sm4-ctr"])?;
        let sm2 = speed(&["sm2"])?;
        let (sm2_sign, sm2_verify) = signing(&sm2);
        Ok(OpenSsl { sm4_ctr: bytes_a_second(&sm4), sm2_sign, sm2_verify })
    }
}

/// Of the line `NUMBER/s WHAT`.
fn a_second(output: &str, what: &str) -> Option<f64> {
    output.lines().find_map(|line| line.strip_suffix(what)?.trim_end().strip_suffix("/s")?.parse().ok())
}

/// Of the line `+F:NUMBER:NAME:BYTES-A-SECOND`, which is for machines.
fn bytes_a_second(output: &str) -> Option<f64> {
    output.lines().find_map(|line| line.strip_prefix("+F:"))?.rsplit(':').next()?.trim().parse().ok()
}

/// Of the line `+F…:NUMBER:BITS:NAME:SIGNATURES:VERIFICATIONS`: how often a second.
fn signing(output: &str) -> (Option<f64>, Option<f64>) {
    let line = output.lines().find(|line| line.starts_with("+F") && line.contains("SM2")).unwrap_or_default();
    let mut fields = line.rsplit(':').map(|field| field.trim().parse().ok());
    let verify = fields.next().flatten();
    (fields.next().flatten(), verify)
}

#[cfg(test)]
mod tests {
    use super::{a_second, bytes_a_second, signing};

    #[test]
    fn the_c_program_says_how_fast_it_is() {
        assert_eq!(a_second("12/s messages\n34/s data keys\n", "data keys"), Some(34.0));
        assert_eq!(a_second("nothing", "data keys"), None);
    }

    #[test]
    fn openssl_says_how_fast_it_is() {
        assert_eq!(bytes_a_second("+H:16384\n+F:25:SM4-CTR:118700408.16\n"), Some(118_700_408.16));
        assert_eq!(signing("+F7:0:256:CurveSM2:3076.404494:3381.481481\n"), (Some(3076.404494), Some(3381.481481)));
        assert_eq!(bytes_a_second("nothing"), None);
        assert_eq!(signing("nothing"), (None, None));
    }
}
