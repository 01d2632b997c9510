//! The report of a comparison: the marks of the project, and the table with every figure.

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

#[derive(Deserialize)]
struct Row {
    workload: String,
    threads: u32,
    unit: String,
    modules: Vec<Figures>,
    ratios: Vec<Ratio>,
    foreign_load: f64,
}

#[derive(Deserialize)]
struct Figures {
    median: Option<f64>,
    note: String,
    status: String,
}

#[derive(Deserialize)]
struct Ratio {
    min: f64,
    median: f64,
    max: f64,
}

/// Where it was measured.
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    system: String,
    rustc: String,
    softhsm: String,
    commit: String,
    date: String,
}

/// One figure that the project set out to reach, with audit on, token keys and one thread.
struct Mark {
    workload: &'static str,
    goal: Goal,
    words: &'static str,
}

enum Goal {
    /// So many times SoftHSM2.
    Ratio(f64),
    /// So many a second.
    Rate(f64),
}

const MARKS: &[Mark] = &[
    Mark { workload: "rsa2048-sign-pkcs", goal: Goal::Ratio(1.0), words: "RSA-2048 signing above SoftHSM2" },
    Mark { workload: "p256-sign", goal: Goal::Ratio(1.0), words: "P-256 signing above SoftHSM2" },
    Mark { workload: "aes256-gcm-enc-1k", goal: Goal::Ratio(4.0), words: "AES-256-GCM of 1 KiB 4 × SoftHSM2" },
    Mark {
        workload: "find-by-id-10000",
        goal: Goal::Rate(50_000.0),
        words: "find by CKA_ID among 10,000 objects above 50,000/s",
    },
];

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
            let (verdict, measured) = self.judge(mark);
            let _ = writeln!(text, "  {verdict:<12} {:<54} {measured}", mark.words);
        }
        text
    }

    /// The whole report.
    pub(super) fn markdown(&self, machine: &Machine) -> String {
        let mut text = String::from(
            "# Benchmarks\n\nWritten by `cargo xtask bench`; do not edit. KMSS runs as it is shipped: its audit trail on, \
             every record in the\nkernel before the result is released. Keys are token keys on both sides.\n\n",
        );
        text += &self.circumstances(machine);
        text += "\n## Marks\n\nOne thread.\n\n| mark | | measured |\n|---|---|---|\n";
        for mark in MARKS {
            let (verdict, measured) = self.judge(mark);
            let _ = writeln!(text, "| {} | {verdict} | {measured} |", mark.words);
        }
        text += "\n## Figures\n\nThe figures are medians over the rounds. The ratio is taken within each round, KMSS over \
                 SoftHSM2, as median [min max];\nabove 1 KMSS is faster, also for rows in ms. `n/a`: not offered. A `*` \
                 marks rows during which other programs used the machine.\n\n";
        text += "| workload | threads | unit |";
        for module in &self.modules {
            let _ = write!(text, " {} |", module.name);
        }
        text += " ratio |\n|---|--:|---|";
        text += &"--:|".repeat(self.modules.len());
        text += "---|\n";
        for row in &self.rows {
            text += &row.markdown();
        }
        text += &self.remarks();
        text
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
        line("SoftHSM2", &machine.softhsm);
        for module in &self.modules {
            let rss = module.peak_rss_kib as f64 / 1024.0;
            line(&format!("module `{}`", module.name), &format!("{}; peak memory {rss:.1} MiB", module.about));
        }
        line("runs", &format!("{} rounds of {} s each, in turns", self.rounds, self.seconds));
        text
    }

    /// Whether the mark is reached, and the figure that says so.
    fn judge(&self, mark: &Mark) -> (&'static str, String) {
        let Some(row) = self.rows.iter().find(|row| row.workload == mark.workload && row.threads == 1) else {
            return ("not measured", String::new());
        };
        // `find-by-id-10000` says nothing when the token was not filled with 10,000 objects in time.
        let filled = mark.workload.replace("find-by-id", "token-create");
        let filling = self.rows.iter().find(|other| filled != mark.workload && other.workload == filled);
        if let Some(note) = filling.map(|other| other.note(0)).filter(|note| !note.is_empty()) {
            return ("not measured", note);
        }
        let figure = row.modules.first().and_then(|figures| figures.median);
        let (reached, measured) = match (&mark.goal, row.ratios.first(), figure) {
            (Goal::Ratio(goal), Some(ratio), _) => (ratio.median > *goal, format!("{} ×", ratio.text())),
            (Goal::Rate(goal), _, Some(rate)) => (rate > *goal, format!("{} {}", short(rate), row.unit())),
            _ => return ("not measured", row.note(0)),
        };
        (if reached { "reached" } else { "not reached" }, measured)
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
    fn unit(&self) -> &str {
        match self.unit.as_str() {
            "ops" => "/s",
            "m_bs" => "MB/s",
            other => other,
        }
    }

    fn note(&self, index: usize) -> String {
        self.modules.get(index).map(|figures| figures.note.clone()).unwrap_or_default()
    }

    fn markdown(&self) -> String {
        let noise = if self.foreign_load > NOISY { "\\*" } else { "" };
        let mut text = format!("| {}{noise} | {} | {} |", self.workload, self.threads, self.unit());
        for figures in &self.modules {
            let _ = write!(text, " {} |", figures.median.map_or_else(|| figures.status.clone(), short));
        }
        let _ = writeln!(text, " {} |", self.ratios.first().map(Ratio::text).unwrap_or_default());
        text
    }
}

impl Ratio {
    fn text(&self) -> String {
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
            softhsm: said("dpkg-query", &["--show", "--showformat", "Debian package ${Version}", "softhsm2"])?,
            commit: said("git", &["rev-parse", "--short", "HEAD"])?,
            date: said("date", &["--utc", "+%Y-%m-%d %H:%M UTC"])?,
        })
    }
}

/// Three to four significant digits, thousands set apart.
fn short(value: f64) -> String {
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
        let rows = [row("p256-sign", "ops", 9.0, 1.5), row("aes256-gcm-enc-1k", "m_bs", 9.0, 3.9)].join(",");
        let text = results(&rows).marks_for_people();
        let line = |word: &str| text.lines().find(|line| line.contains(word)).unwrap().trim().to_owned();
        assert!(line("P-256").starts_with("reached"));
        assert!(line("AES-256-GCM").starts_with("not reached"));
        assert!(line("RSA-2048").starts_with("not measured"));
    }

    #[test]
    fn the_rate_of_finds_counts_whatever_the_other_module_does() {
        let text = results(&row("find-by-id-10000", "ops", 123_456.0, 0.5)).marks_for_people();
        assert!(text.contains("123,456 /s"), "{text}");
    }

    #[test]
    fn a_token_that_was_not_filled_in_time_proves_no_rate() {
        let mut rows = results(
            &[row("token-create-10000", "ops", 9.0, 1.0), row("find-by-id-10000", "ops", 90_000.0, 1.0)].join(","),
        );
        rows.rows[0].modules[0].note = "only 12 objects within 1 s".to_owned();
        let text = rows.marks_for_people();
        assert!(text.contains("only 12 objects") && !text.contains("90,000"), "{text}");
    }

    #[test]
    fn figures_are_short_and_grouped() {
        assert_eq!(short(1_234_567.8), "1,234,568");
        assert_eq!(short(0.5), "0.50");
        assert_eq!(short(45.67), "45.7");
    }
}
