//! What policies cost: single decisions by an example of the core, and signing in a token under three layers of them beside
//! the same token without.

use super::report::{self, Verdicts};
use super::{LABEL, PIN, SO_PIN};
use crate::dist;
use crate::error::Error;
use crate::project::{Products, Project, create_folder, read, write};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What every layer says: all that a benchmark does.
const LAYER: &str = "allow anyone to anything\n";

/// The mark of signing under [`LAYER`], three times.
const LAYERED: &str = "P-256 signing under three layers 0.95 × the same without";
/// Why a decision may take too long.
const DECISION: &str = "the request is written into the guest's memory, and the guest is entered and left";

/// What was measured.
pub(super) struct Policies {
    single: Single,
    /// Signing under three layers over signing without, as median and text.
    signing: Option<(f64, String)>,
    module_bytes: u64,
}

/// Least times of single decisions, as the example prints them; nanoseconds, or microseconds where the name says so.
#[derive(Deserialize)]
struct Single {
    native: f64,
    native_10000_rules: f64,
    three_layers: f64,
    opa_rbac: f64,
    compile_10000_rules_us: f64,
    first_decision_us: f64,
}

impl Policies {
    /// Builds, measures.
    pub(super) fn measure(
        project: &Project,
        products: &Products,
        tool: &Path,
        scratch: &TempDir,
        time: (&str, &str),
    ) -> Result<Policies, Error> {
        let single = single(project, scratch)?;
        let signing = signing(project, products, tool, scratch, time)?;
        let stripped = scratch.path().join("libkmss.so");
        dist::strip(project, &products.module, &stripped)?;
        let module = std::fs::metadata(&stripped).map_err(Error::file("examine", &stripped))?;
        Ok(Policies { single, signing, module_bytes: module.len() })
    }

    /// Figures for the tests of the report.
    #[cfg(test)]
    pub(super) const fn example() -> Policies {
        let single = Single {
            native: 90.0,
            native_10000_rules: 120.0,
            three_layers: 501.0,
            opa_rbac: 7_000.0,
            compile_10000_rules_us: 40_000.0,
            first_decision_us: 300.0,
        };
        Policies { single, signing: None, module_bytes: 19_600_000 }
    }

    /// The section of the report.
    pub(super) fn markdown(&self) -> String {
        let Single { native, native_10000_rules, three_layers, opa_rbac, compile_10000_rules_us, first_decision_us } =
            self.single;
        let mut text = String::from(
            "\n## Policies\n\nSingle decisions are the least of several measurements, in one thread, with the request in hand, OPA's \
             with a time and counts that pass and the same key and principal.\n\n",
        );
        let mut verdicts = Verdicts::default();
        let mut line = |words: &str, reached: bool, measured: String, why: &str| {
            verdicts.add(words, reached, &measured, why);
        };
        let nanoseconds = |ns: f64| format!("{ns:.0} ns");
        line("decision of one rule below 150 ns, request encoded", native < 150.0, nanoseconds(native), DECISION);
        line(
            "decision among 10,000 rules below 150 ns, request encoded",
            native_10000_rules < 150.0,
            nanoseconds(native_10000_rules),
            DECISION,
        );
        line("three layers below 500 ns, with the encoding", three_layers < 500.0, nanoseconds(three_layers), DECISION);
        let opa = "OPA's own modules build and read their input in the memory of the guest";
        line("OPA rbac bundle below 8 µs", opa_rbac < 8_000.0, format!("{:.1} µs", opa_rbac / 1e3), opa);
        line(
            "10,000 rules read and compiled in less than 50 ms",
            compile_10000_rules_us < 50_000.0,
            format!("{:.1} ms", compile_10000_rules_us / 1e3),
            "the rules are read, checked and laid out on one processor, once for each policy",
        );
        line(
            "first decision of a process below 1 ms, code in the cache",
            first_decision_us < 1_000.0,
            format!("{:.2} ms", first_decision_us / 1e3),
            "compiled code is read from the cache, and held against its MAC",
        );
        match &self.signing {
            Some((ratio, measured)) => {
                let why = "a signature takes some 15 µs, of which three layers, and what the record says of them, are more than a twentieth";
                line(LAYERED, *ratio >= 0.95, measured.clone(), why);
            }
            None => line(LAYERED, false, "not measured".to_owned(), "p11bench gave no figure"),
        }
        text += &verdicts.markdown();
        let megabytes = self.module_bytes as f64 / 1e6;
        let _ = writeln!(
            text,
            "\nThe shared object has {megabytes:.1} MB; before the backend for servers was linked in it had 15.7, of at most 16."
        );
        text
    }
}

fn single(project: &Project, scratch: &TempDir) -> Result<Single, Error> {
    let example = project.build_example("policy_speed")?;
    let bundle = scratch.path().join("rbac");
    create_folder(&bundle)?;
    let archive = project.root.join("policy-modules/prebuilt/rbac.tar.gz");
    let names = ["/policy.wasm", "/data.json"];
    project.job("tar").arg("-xzf").arg(&archive).arg("-C").arg(&bundle).args(names).run()?;
    let job = project.job(example);
    let job = job.arg(scratch.path().join("policy-home"));
    let output = job.arg(bundle.join("policy.wasm")).arg(bundle.join("data.json")).limit_seconds(600).run()?;
    serde_json::from_str(&output.stdout).map_err(|source| Error::Json { what: "the policies' figures", source })
}

/// Two homes with one token each; one has a policy for platform, tenant and token.
fn signing(
    project: &Project,
    products: &Products,
    tool: &Path,
    scratch: &TempDir,
    (seconds, rounds): (&str, &str),
) -> Result<Option<(f64, String)>, Error> {
    let (free, governed) = (scratch.path().join("free"), scratch.path().join("governed"));
    for home in [&free, &governed] {
        let kmss = |words: &[&str]| command(project, products, home).args(words).run();
        kmss(&["home", "init"])?;
        kmss(&["token", "init", LABEL])?;
    }
    let file = scratch.path().join("anything.kmss");
    write(&file, LAYER)?;
    for scope in [["--platform"].as_slice(), &["--tenant", "default"], &["--token", LABEL]] {
        command(project, products, &governed).args(["policy", "apply"]).arg(&file).args(scope).run()?;
    }
    let json: PathBuf = project.target.join("bench-policies.json");
    let mut job = project.job(tool).limit_seconds(3600);
    for (option, name, home) in [("--module", "governed", &governed), ("--vs", "free", &free)] {
        job = job.arg(option).arg(&products.module).args(["--name", name, "--token-label", LABEL, "--pin", PIN]);
        job = job.arg("--module-env").arg(format!("KMSS_HOME={}", home.display()));
    }
    let job = job.args(["--token-keys", "--threads", "1", "--only", "p256-sign", "--seconds", seconds]);
    job.args(["--rounds", rounds]).arg("--json").arg(&json).show()?;
    let results = report::Results::parse(&read(&json)?)?;
    let ratio = results.row("p256-sign", 1).and_then(|row| row.ratio("free"));
    Ok(ratio.map(|ratio| (ratio.median, ratio.text())))
}

fn command(project: &Project, products: &Products, home: &Path) -> crate::process::Job {
    project.job(&products.command).env("KMSS_HOME", home).env("KMSS_PIN", PIN).env("KMSS_SO_PIN", SO_PIN)
}
