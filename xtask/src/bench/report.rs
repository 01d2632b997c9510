//! The report of a comparison: the marks of the project, and the table with every figure.

use super::marks::{MARKS, judge, slower_with_session_keys};
use crate::error::Error;
use crate::project::{Project, read};
use serde::Deserialize;
use std::fmt::Write as _;

/// What p11bench wrote.
#[derive(Deserialize)]
pub(super) struct Results {
    seconds: f64,
    rounds: u32,
    modules: Vec<Module>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Module {
    name: String,
    about: String,
    peak_rss_kib: u64,
}

/// One workload with one number of threads.
#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) workload: String,
    pub(super) threads: u32,
    unit: String,
    modules: Vec<Figures>,
    pub(super) ratios: Vec<Ratio>,
    foreign_load: f64,
}

#[derive(Deserialize)]
struct Figures {
    median: Option<f64>,
    #[serde(default)]
    switches_per_op: Option<f64>,
    note: String,
    status: String,
}

/// KMSS over another module.
#[derive(Deserialize)]
pub(super) struct Ratio {
    pub(super) vs: String,
    min: f64,
    pub(super) median: f64,
    max: f64,
}

/// The marks of a section.
#[derive(Default)]
pub(super) struct Verdicts {
    lines: String,
    /// Why those that are missed are.
    missed: String,
}

/// Says that a mark is reached.
pub(super) const REACHED: &str = "reached";
/// Says that it is not.
pub(super) const MISSED: &str = "**not reached**";

impl Verdicts {
    /// A mark, whether it is reached, what was measured, and why it is missed where it is.
    pub(super) fn add(&mut self, words: &str, reached: bool, measured: &str, why: &str) {
        self.tell(words, if reached { REACHED } else { MISSED }, measured, why);
    }

    fn tell(&mut self, words: &str, verdict: &str, measured: &str, why: &str) {
        let _ = writeln!(self.lines, "| {words} | {verdict} | {measured} |");
        if verdict == MISSED {
            let _ = writeln!(self.missed, "- {words}: {why}.");
        }
    }

    /// The table, and the reasons below it.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("| mark | | measured |\n|---|---|---|\n{}", self.lines);
        if !self.missed.is_empty() {
            let _ = write!(text, "\n### What is not reached, and why\n\n{}", self.missed);
        }
        text
    }
}

/// Where it was measured.
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    system: String,
    rustc: String,
    packages: String,
    commit: String,
    date: String,
}

/// Others used the machine meanwhile (CPU seconds per second); p11bench's own threshold.
const NOISY: f64 = 0.10;

impl Results {
    /// Reads p11bench's JSON file.
    pub(super) fn parse(json: &str) -> Result<Results, Error> {
        serde_json::from_str(json).map_err(|source| Error::Json { what: "the benchmark's figures", source })
    }

    /// The marks as lines for the terminal.
    pub(super) fn marks_for_people(&self) -> String {
        let mut text = String::from("\n");
        for mark in MARKS {
            let (verdict, measured) = judge(self, mark);
            let _ = writeln!(text, "  {verdict:<15} {:<54} {measured}", mark.words);
        }
        text
    }

    /// The whole report; `session` is the run with session keys, `sections` what was measured otherwise.
    pub(super) fn markdown(&self, session: &Results, sections: &str, machine: &Machine) -> String {
        let mut text = String::from(
            "# Benchmarks\n\nWritten by `cargo xtask bench`; do not edit. KMSS runs as it is shipped: policy checks and audit \
             trail on, every record in the\nkernel before the result is released.\n\n",
        );
        text += &self.circumstances(machine);
        text += "\n## Marks\n\nToken keys; one thread where no number is said.\n\n";
        let mut verdicts = Verdicts::default();
        for mark in MARKS {
            let (verdict, measured) = judge(self, mark);
            verdicts.tell(mark.words, verdict, &measured, &mark.why(self));
        }
        text += &verdicts.markdown();
        text += "\n### Session keys\n\nTheir uses are counted and summarised in the audit. Slower than another module's are:\n\n";
        let slower = slower_with_session_keys(session);
        if slower.is_empty() {
            text += "- none.\n";
        }
        slower.iter().for_each(|line| {
            let _ = writeln!(text, "- {line}");
        });
        text += sections;
        text += "\n## Figures with token keys\n\nThe figures are medians over the rounds. Ratios are taken within each round, KMSS \
                 over the other, as median [min max];\nabove 1 KMSS is faster, also for rows in ms. `n/a`: not offered. A `*` \
                 marks rows during which other programs used the machine.\n`switches` are KMSS's voluntary context switches \
                 for each operation. `bare`: the calls of aws-lc without any module. Cold starts are without `C_Login`,\nwhich \
                 has rows of its own: KMSS stretches PINs with Argon2id (19 MiB), the others do not.\n\n";
        text += &self.table();
        text += "\n## Figures with session keys\n\n";
        text += &session.table();
        text += &self.remarks();
        text
    }

    fn table(&self) -> String {
        let mut text = String::from("| workload | threads | unit |");
        for module in &self.modules {
            let _ = write!(text, " {} |", module.name);
        }
        for module in self.modules.iter().skip(1) {
            let _ = write!(text, " to {} |", module.name);
        }
        text += " switches |\n|---|--:|---|";
        text += &"--:|".repeat(self.modules.len());
        text += &"---|".repeat(self.modules.len().saturating_sub(1));
        text += "--:|\n";
        for row in &self.rows {
            text += &row.markdown(&self.modules);
        }
        text
    }

    /// Every row.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a workload.
    pub(super) fn row(&self, workload: &str, threads: u32) -> Option<&Row> {
        self.rows.iter().find(|row| row.workload == workload && row.threads == threads)
    }

    /// How many times the rate of one thread the calls of aws-lc without any module reach with two.
    pub(super) fn bare_threads(&self, workload: &str) -> Option<f64> {
        let bare = self.modules.iter().position(|module| module.name == "bare")?;
        let of = |threads| self.row(workload, threads)?.figure_of(bare);
        Some(of(2)? / of(1)?)
    }

    /// What kept the token from being filled for this workload: `find-by-id-10000` says nothing then.
    pub(super) fn unfilled(&self, workload: &str) -> Option<String> {
        let size = workload.strip_prefix("find-by-id-").or_else(|| workload.strip_prefix("find-by-label-"))?;
        let filling = self.row(&format!("token-create-{size}"), 1)?;
        Some(filling.note(0)).filter(|note| !note.is_empty())
    }

    fn circumstances(&self, machine: &Machine) -> String {
        let mut text = String::from("| | |\n|---|---|\n");
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "| {name} | {value} |");
        };
        line("date", &machine.date);
        line("commit", &machine.commit);
        line("CPU", &format!("{}, {} cores", machine.cpu, machine.cores));
        line("system", &format!("{}, Linux {}", machine.system, machine.kernel));
        line("compiler", &machine.rustc);
        line("Debian packages", &machine.packages);
        for module in &self.modules {
            let rss = module.peak_rss_kib as f64 / 1024.0;
            line(&format!("module `{}`", module.name), &format!("{}; peak memory {rss:.1} MiB", module.about));
        }
        line("runs", &format!("{} rounds of {} s each, in turns", self.rounds, self.seconds));
        text
    }

    /// What p11bench had to say on single figures.
    fn remarks(&self) -> String {
        let mut text = String::new();
        for row in self.rows.iter().filter(|row| row.threads == 1) {
            for (index, module) in self.modules.iter().enumerate() {
                let note = row.note(index);
                // What the others do not offer, the table says already.
                let offered = index == 0 || row.modules.get(index).is_some_and(|figures| figures.status == "ok");
                if offered && !note.is_empty() {
                    let _ = writeln!(text, "- `{}`, {}: {note}", row.workload, module.name);
                }
            }
        }
        if text.is_empty() { text } else { format!("\n## Remarks\n\n{text}") }
    }
}

impl Row {
    /// The first module's figure.
    pub(super) fn figure(&self) -> Option<f64> {
        self.modules.first()?.median
    }

    /// The figure of the module at `index`.
    fn figure_of(&self, index: usize) -> Option<f64> {
        self.modules.get(index)?.median
    }

    /// The first module's voluntary context switches for each operation.
    pub(super) fn switches(&self) -> Option<f64> {
        self.modules.first()?.switches_per_op
    }

    /// The ratio to the module `vs`.
    pub(super) fn ratio(&self, vs: &str) -> Option<&Ratio> {
        self.ratios.iter().find(|ratio| ratio.vs == vs)
    }

    /// The unit, for people.
    pub(super) fn unit(&self) -> &str {
        match self.unit.as_str() {
            "ops" => "/s",
            "m_bs" => "MB/s",
            other => other,
        }
    }

    /// What p11bench says of a module's figure.
    pub(super) fn note(&self, index: usize) -> String {
        self.modules.get(index).map(|figures| figures.note.clone()).unwrap_or_default()
    }

    fn markdown(&self, modules: &[Module]) -> String {
        let noise = if self.foreign_load > NOISY { "\\*" } else { "" };
        let mut text = format!("| {}{noise} | {} | {} |", self.workload, self.threads, self.unit());
        for figures in &self.modules {
            let _ = write!(text, " {} |", figures.median.map_or_else(|| figures.status.clone(), short));
        }
        for module in modules.iter().skip(1) {
            let _ = write!(text, " {} |", self.ratio(&module.name).map(Ratio::text).unwrap_or_default());
        }
        let _ = writeln!(text, " {} |", self.switches().map(|s| format!("{s:.4}")).unwrap_or_default());
        text
    }
}

impl Ratio {
    /// Median, least and most.
    pub(super) fn text(&self) -> String {
        format!("{} [{} {}]", short(self.median), short(self.min), short(self.max))
    }
}

impl Machine {
    /// Asks the system.
    pub(super) fn look(project: &Project) -> Result<Machine, Error> {
        let cpuinfo = read("/proc/cpuinfo".as_ref())?;
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
        let said = |program: &str, args: &[&str]| -> Result<String, Error> {
            Ok(project.job(program).args(args).attempt()?.stdout.trim().to_owned())
        };
        Ok(Machine {
            cpu: cpu.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease".as_ref())?.trim().to_owned(),
            system: system.trim_matches('"').to_owned(),
            rustc: said("rustc", &["--version"])?,
            packages: said(
                "dpkg-query",
                &["--show", "--showformat", "${Package} ${Version}  ", "softhsm2", "libnss3"],
            )?,
            commit: said("git", &["rev-parse", "--short", "HEAD"])?,
            date: said("date", &["--utc", "+%Y-%m-%d %H:%M UTC"])?,
        })
    }
}

/// Three to four significant digits, thousands set apart.
pub(super) fn short(value: f64) -> String {
    match value {
        v if v >= 1000.0 => grouped(&format!("{v:.0}")),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::super::backends::Backends;
    use super::super::policies::Policies;
    use super::super::services::Services;
    use super::*;

    fn results(rows: &str) -> Results {
        let modules =
            r#"[{"name":"kmss","about":"a","peak_rss_kib":2048},{"name":"softhsm2","about":"b","peak_rss_kib":1024}]"#;
        Results::parse(&format!(r#"{{"seconds":1.0,"rounds":5,"modules":{modules},"rows":[{rows}]}}"#)).unwrap()
    }

    fn row(workload: &str, unit: &str, ours: f64, ratio: f64) -> String {
        format!(
            r#"{{"workload":"{workload}","threads":1,"unit":"{unit}","foreign_load":0.0,
            "modules":[{{"median":{ours},"note":"","status":"ok"}},{{"median":1.0,"note":"","status":"ok"}}],
            "ratios":[{{"vs":"softhsm2","min":{ratio},"median":{ratio},"max":{ratio}}}]}}"#
        )
    }

    #[test]
    fn a_mark_is_reached_only_above_its_goal() {
        let rows = [row("p256-sign", "ops", 9.0, 2.5), row("aes256-gcm-enc-1k", "m_bs", 9.0, 7.9)].join(",");
        let text = results(&rows).marks_for_people();
        let line = |word: &str| text.lines().find(|line| line.contains(word)).unwrap().trim().to_owned();
        assert!(line("P-256").starts_with("reached"));
        assert!(line("AES-256-GCM").starts_with("**not reached**"));
        assert!(line("RSA-2048").starts_with("not measured"));
        let machine = Machine {
            cpu: String::new(),
            cores: 2,
            kernel: String::new(),
            system: String::new(),
            rustc: String::new(),
            packages: String::new(),
            commit: String::new(),
            date: String::new(),
        };
        let report = results(&rows).markdown(
            &results(&row("hmac-sha256-1k", "m_bs", 9.0, 0.5)),
            &(Policies::example().markdown() + &Services::example().markdown() + &Backends::example().markdown()),
            &machine,
        );
        assert!(report.contains("- AES-256-GCM of 1 KiB 8 × SoftHSM2: each operation"), "{report}");
        assert!(report.contains("- `hmac-sha256-1k` is 0.50 [0.50 0.50] of softhsm2's"), "{report}");
        assert!(report.contains("| card numbers by FF1 150,000/s | **not reached** | 140000 /s |"), "{report}");
    }

    #[test]
    fn the_rate_of_finds_counts_whatever_the_other_module_does() {
        let text = results(&row("find-by-id-10000", "ops", 123_456.0, 0.5)).marks_for_people();
        assert!(text.contains("123,456 /s"), "{text}");
    }

    #[test]
    fn a_token_that_was_not_filled_in_time_proves_no_rate() {
        let mut rows = results(
            &[row("token-create-10000", "ops", 9.0, 1.0), row("find-by-id-10000", "ops", 190_000.0, 1.0)].join(","),
        );
        rows.rows[0].modules[0].note = "only 12 objects within 1 s".to_owned();
        let text = rows.marks_for_people();
        assert!(text.contains("only 12 objects") && !text.contains("190,000"), "{text}");
    }

    #[test]
    fn figures_are_short_and_grouped() {
        assert_eq!(short(1_234_567.8), "1,234,568");
        assert_eq!(short(0.5), "0.50");
        assert_eq!(short(45.67), "45.7");
    }
}
