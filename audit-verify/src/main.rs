//! `kmss-audit-verify`: checks that a record is in the sealed audit log of KMSS, or that an archive of the log is whole, with a
//! proof or the archive and a public key alone.
//!
//! Exit codes: 0 proven, 1 the files could not be read, 2 wrong usage, 3 not proven.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use audit_archive::{Demands, ManifestHash, Verdict};
use audit_proof::{Lineage, ProofError, RecordProof, Verified};
use clap::{CommandFactory as _, Parser, ValueEnum};
use clap_complete::Shell;

/// Largest file that is read.
const LARGEST: u64 = 256 << 20;
/// What scripts may rely on.
const EXIT_CODES: &str = "\
Exit codes:
  0  proven: the record is printed on standard output, or what the archive has
  1  a file could not be read
  2  wrong usage
  3  not proven, with a sentence on standard error";

/// Check the proof of an audit record: that it is in the log, at its place, and that a key of the log signed that. Or check an
/// archive: that every record in it is.
#[derive(Debug, Parser)]
#[command(name = "kmss-audit-verify", version, after_help = EXIT_CODES)]
struct Cli {
    /// The proof, which `kmss audit prove` wrote
    #[arg(required_unless_present_any = ["generate", "archive"])]
    proof: Option<PathBuf>,
    /// Check an archive instead, which `kmss audit archive` wrote: every record in it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["proof", "record"])]
    archive: Option<PathBuf>,
    /// The SHA-256 of the archive's manifest, which `kmss audit archive` printed: it binds all of the archive
    #[arg(long, value_name = "SHA256", requires = "archive")]
    manifest: Option<ManifestHash>,
    /// The log's root key, or the file that `kmss audit key` wrote
    #[arg(long, value_name = "KEY|FILE", required_unless_present = "generate")]
    key: Option<String>,
    /// Certificates of keys, where `--key` is a root key alone: a file that `kmss audit key` wrote
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// The record, where the proof does not bring it along, or is to be compared
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print what is proven as JSON
    #[arg(long)]
    json: bool,
    /// Print the man page or completions
    #[arg(long, value_enum, hide = true)]
    generate: Option<Document>,
}

/// What the command writes about itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Document {
    /// The man page.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

/// Why nothing is proven.
enum Failure {
    /// A file cannot be read.
    File(String),
    /// The proof does not hold.
    Refused(ProofError),
    /// The archive was changed; everything is said.
    Tampered,
    /// Some of the archive could not be read; everything is said.
    Unverified,
}

impl From<ProofError> for Failure {
    fn from(error: ProofError) -> Self {
        Self::Refused(error)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (message, code) = match run(&cli) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::File(message)) => (message, 1),
        Err(Failure::Refused(error)) => (format!("NOT proven: {error}"), 3),
        Err(Failure::Tampered) => return ExitCode::from(3),
        Err(Failure::Unverified) => return ExitCode::FAILURE,
    };
    let _ = writeln!(std::io::stderr(), "kmss-audit-verify: {message}");
    ExitCode::from(code)
}

fn run(cli: &Cli) -> Result<(), Failure> {
    if let Some(document) = cli.generate {
        return print(&generate(document)?);
    }
    let Some(key) = &cli.key else { return Ok(()) };
    let mut lineage = match key.parse() {
        Ok(root) => Lineage::new(root)?,
        Err(_) => Lineage::parse(&text(Path::new(key))?)?,
    };
    if let Some(certificates) = &cli.certificates {
        add(&mut lineage, &text(certificates)?)?;
    }
    if let Some(folder) = &cli.archive {
        return archive(folder, &Demands { keys: Some(&lineage), manifest: cli.manifest }, cli.json);
    }
    let Some(proof) = &cli.proof else { return Ok(()) };
    let record = cli.record.as_deref().map(bytes).transpose()?;
    let record = record.as_deref().map(|r| r.strip_suffix(b"\n").unwrap_or(r));
    let proven = RecordProof::parse(&text(proof)?)?.verify(record, &lineage)?;
    if cli.json {
        return print(format!("{:#}\n", as_json(&proven)).as_bytes());
    }
    let summary = format!(
        "Proven: record {} of the log {}, in the checkpoint over {} records{}, signed by the key of epoch {}.\n",
        proven.index,
        proven.origin,
        proven.size,
        proven.time.map(|ms| format!(" of {ms} ms since 1970-01-01T00:00:00Z")).unwrap_or_default(),
        proven.epoch
    );
    let _ = std::io::stderr().write_all(summary.as_bytes());
    print(&[proven.record.as_slice(), b"\n"].concat())
}

/// Checks every record of an archive.
fn archive(folder: &Path, demands: &Demands<'_>, json: bool) -> Result<(), Failure> {
    let report = audit_archive::check(folder, demands, &mut |_| ()).map_err(|e| {
        let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}")).unwrap_or_default();
        Failure::File(format!("{e}{cause}"))
    })?;
    if json {
        let text = serde_json::to_string_pretty(&report).map_err(|e| Failure::File(e.to_string()))?;
        print(format!("{text}\n").as_bytes())?;
    } else {
        print(report.to_string().as_bytes())?;
    }
    match report.verdict {
        Verdict::Whole => Ok(()),
        Verdict::Tampered => Err(Failure::Tampered),
        Verdict::Unverified => Err(Failure::Unverified),
    }
}

/// Adds the certificates of a file that names the same root key.
fn add(lineage: &mut Lineage, text: &str) -> Result<(), ProofError> {
    let other = Lineage::parse(text)?;
    if other.root() != lineage.root() {
        return Err(ProofError::Lineage("they are of another root key"));
    }
    *lineage = other;
    Ok(())
}

fn as_json(proven: &Verified) -> serde_json::Value {
    let text = String::from_utf8_lossy(&proven.record);
    let record = serde_json::from_str(&text).unwrap_or_else(|_| serde_json::Value::from(text.into_owned()));
    serde_json::json!({
        "proven": true,
        "origin": proven.origin,
        "index": proven.index,
        "size": proven.size,
        "epoch": proven.epoch,
        "time": proven.time,
        "record": record,
    })
}

fn generate(document: Document) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let mut command = Cli::command();
    let shell = match document {
        Document::Bash => Shell::Bash,
        Document::Zsh => Shell::Zsh,
        Document::Fish => Shell::Fish,
        Document::Man => {
            let rendered = clap_mangen::Man::new(command).render(&mut out);
            rendered.map_err(|e| Failure::File(format!("cannot write the man page: {e}")))?;
            return Ok(out);
        }
    };
    clap_complete::generate(shell, &mut command, "kmss-audit-verify", &mut out);
    Ok(out)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| Failure::File(format!("cannot read `{}`: {e}", path.display()));
    let mut found = Vec::new();
    File::open(path).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut found).map_err(failed)?;
    if found.len() as u64 > LARGEST {
        return Err(Failure::File(format!("`{}` is too large", path.display())));
    }
    Ok(found)
}

fn text(path: &Path) -> Result<String, Failure> {
    let not_text = |_| Failure::File(format!("`{}` is no text", path.display()));
    String::from_utf8(bytes(path)?).map_err(not_text)
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|e| Failure::File(format!("cannot write to standard output: {e}")))
}
