//! `kmss backup` and `kmss restore`: archives of a tenant, and the shares of their keys.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libkmss::backup::{ArchiveFile, ArchiveHeader, ArchiveKey, ArchiveReader, Items, Share, Summary, combine};
use libkmss::error::{Error, ErrorKind};
use libkmss::kms::{BackupPlan, Kms, NamespaceFate, RestorePlan, RestoreReport, RuleOutcome};
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::{BackupArgs, BackupCommand, OpenArchiveArgs, RestoreArgs};
use crate::context::Context;
use crate::output::{self, Failure};

/// Exit code of what cannot be trusted.
const DAMAGED: u8 = 3;
/// Exit code of what was done in part.
const PARTIAL: u8 = 4;

/// Runs `kmss backup`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: BackupCommand) -> Result<ExitCode, Failure> {
    match command {
        BackupCommand::Create(args) => create(context, &args)?,
        BackupCommand::Inspect { archive } => inspect(context.global.json, &archive)?,
        BackupCommand::Verify(args) => return verify(context.global.json, &args),
        BackupCommand::Epoch { tenant } => {
            let kms = context.kms()?;
            let epochs = kms.backup_epochs(&tenant.tenant)?;
            kms.close()?;
            told(context, &tenant.tenant, epochs)?;
        }
        BackupCommand::Retire { tenant, least } => {
            let kms = context.kms()?;
            let caller = kms.administrator(Some(&tenant.tenant))?;
            let epochs = kms.retire_backups(&caller, &tenant.tenant, least)?;
            kms.close()?;
            told(context, &tenant.tenant, epochs)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn told(context: &Context, tenant: &str, epochs: libkmss::kms::Epochs) -> Result<(), Failure> {
    if context.global.json {
        return output::json(&json!({ "tenant": tenant, "newest": epochs.newest, "least": epochs.least }));
    }
    output::line(&format!(
        "The newest archive of `{}` has epoch {}; nothing below {} is restored here.",
        output::plain(tenant),
        epochs.newest,
        epochs.least
    ))
}

fn create(context: &Context, args: &BackupArgs) -> Result<(), Failure> {
    let places: Vec<PathBuf> =
        args.custodians.iter().map(|(_, file)| std::path::absolute(file)).collect::<Result<_, _>>()?;
    apart(&places, args.together)?;
    let mut archive = ArchiveFile::create(&args.archive)?;
    let names: Vec<String> = args.custodians.iter().map(|(name, _)| name.clone()).collect();
    let kms = context.kms()?;
    let tenant = &args.tenant.tenant;
    let caller = kms.administrator(Some(tenant))?;
    let plan = BackupPlan { tenant, custodians: &names, needed: args.needed };
    let made = kms.back_up(&caller, &plan, &mut archive, &mut |_| ())?;
    kms.close()?;
    // The archive appears last: one without its shares could never be opened.
    let mut written = Vec::new();
    for (share, place) in made.shares.iter().zip(&places) {
        let mut file = Target::new(place)?;
        file.file.write_all(share.text().as_bytes())?;
        file.file.sync_all()?;
        written.push(file);
    }
    for directory in places.iter().filter_map(|place| place.parent()) {
        File::open(directory)?.sync_all()?;
    }
    archive.finish()?;
    written.iter_mut().for_each(|file| file.done = true);
    if context.global.json {
        return output::json(&json!({ "backup": made, "file": args.archive, "needed": args.needed, "shares": names }));
    }
    output::line(&format!(
        "Wrote the archive {} of `{}`: epoch {}, {} tokens, {} records.",
        made.archive,
        output::plain(tenant),
        made.epoch,
        made.namespaces,
        made.items
    ))?;
    elsewhere(made.in_devices, &made.elsewhere)?;
    for ((name, _), place) in args.custodians.iter().zip(&places) {
        output::line(&format!("Share of {}: {}", output::plain(name), place.display()))?;
    }
    output::line(&format!(
        "{} of these open it, and nothing else does. Give each to its custodian, and remove it here.",
        args.needed
    ))
}

/// That no two shares lie in one directory.
fn apart(places: &[PathBuf], together: bool) -> Result<(), Failure> {
    let mut seen: Vec<PathBuf> = Vec::new();
    for place in places {
        let directory = place.parent().ok_or("a share is a file")?;
        let directory = directory
            .canonicalize()
            .map_err(|e| format!("the directory `{}` cannot be entered: {e}", directory.display()))?;
        if seen.contains(&directory) && !together {
            let why = "two shares would lie in one directory, where whoever reads it has both: give each custodian a place \
                       of their own, or say --together";
            return Err(why.into());
        }
        seen.push(directory);
    }
    Ok(())
}

/// What is not in an archive.
fn elsewhere(in_devices: u64, names: &[String]) -> Result<(), Failure> {
    if in_devices > 0 {
        output::line(&format!("{in_devices} keys are references only: their material is in an HSM, and stays there."))?;
    }
    if !names.is_empty() {
        let names = names.iter().map(|name| output::plain(name)).collect::<Vec<_>>().join(", ");
        output::line(&format!("Needed beside it: {names}."))?;
    }
    Ok(())
}

/// A file that goes again unless it is done.
struct Target {
    path: PathBuf,
    file: File,
    done: bool,
}

impl Target {
    fn new(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|e| format!("`{}` cannot be made: {e}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, done: false })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn opened(archive: &Path) -> Result<BufReader<File>, Error> {
    let cannot = |e| {
        let what = format!("the archive `{}` cannot be read", archive.display());
        Error::new(ErrorKind::Storage, what).with_source(e)
    };
    Ok(BufReader::new(File::open(archive).map_err(cannot)?))
}

/// The key of an archive, from the shares in files.
fn key(header: &ArchiveHeader, files: &[PathBuf]) -> Result<ArchiveKey, Failure> {
    let mut shares = Vec::new();
    for file in files {
        let cannot = |e| format!("the share `{}` cannot be read: {e}", file.display());
        let mut text = Zeroizing::new(String::with_capacity(8192));
        File::open(file).and_then(|open| open.take(8192).read_to_string(&mut text)).map_err(cannot)?;
        shares.push(Share::parse(&text).map_err(|e| format!("`{}`: {}", file.display(), e.sentence()))?);
    }
    Ok(combine(header, &shares)?)
}

/// Runs `kmss backup inspect`.
///
/// # Errors
/// It is no archive.
pub(super) fn inspect(json: bool, archive: &Path) -> Result<(), Failure> {
    let header = ArchiveHeader::read(&mut opened(archive)?)?;
    if json {
        return output::json(&report::json::archive(&header));
    }
    output::line(&format!("Archive {} of the tenant `{}`", header.archive, output::plain(&header.tenant)))?;
    output::line(&format!("Epoch {}, made {}", header.epoch, output::time(header.created.0)))?;
    output::line(&format!("Suite {}; {} of {} shares open it", header.suite.name(), header.needed, header.shares))?;
    output::line("Nothing of this is proven: `kmss backup verify` does that, with the shares.")
}

/// Runs `kmss backup verify`.
///
/// # Errors
/// The shares are not those of the archive.
pub(super) fn verify(json: bool, args: &OpenArchiveArgs) -> Result<ExitCode, Failure> {
    let mut file = opened(&args.archive)?;
    let header = ArchiveHeader::read(&mut file)?;
    let key = key(&header, &args.shares)?;
    let read = ArchiveReader::begin(&header, &key, &mut file)
        .and_then(|reader| Summary::read(&header, &mut Items::of(reader), &mut |_| Ok(())));
    let summary = match read {
        Err(e) if e.kind() == ErrorKind::Damaged => {
            output::error(&e);
            return Ok(ExitCode::from(DAMAGED));
        }
        read => read?,
    };
    if json {
        output::json(&json!({ "archive": header.archive.to_string(), "epoch": header.epoch, "holds": summary }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (epoch, items) = (header.epoch, summary.items);
    output::line(&format!("The archive {} is whole: epoch {epoch}, {items} records.", header.archive))?;
    let rows = summary.namespaces.iter().map(|of| {
        let counts = [of.objects, of.credentials, of.tombstones, of.tokens, of.counters].map(|n| n.to_string());
        let [objects, credentials, tombstones, tokens, counters] = counts;
        [output::plain(&of.name), of.id.to_string(), objects, credentials, tombstones, tokens, counters]
    });
    let header = ["TOKEN", "ID", "OBJECTS", "CREDENTIALS", "TOMBSTONES", "VAULT", "COUNTERS"];
    output::table(header, rows.collect(), "It holds no tokens.")?;
    for policy in &summary.policies {
        output::line(&format!("Policy {}", output::plain(policy)))?;
    }
    for rule in &summary.rules {
        output::line(&format!("Rule on what is made, for {}", output::plain(rule)))?;
    }
    elsewhere(summary.manifest.in_devices, &summary.manifest.elsewhere)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `kmss restore`.
///
/// # Errors
/// A sentence for standard error; nothing was restored, or not all of it, and running it again goes on.
pub(super) fn restore(context: &Context, args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let header = ArchiveHeader::read(&mut opened(&args.open.archive)?)?;
    let key = key(&header, &args.open.shares)?;
    // Where there is no home, a dry run is one into a home that is thrown away.
    let mut scratch = None;
    let kms = match context.home()? {
        Some(kms) => kms,
        None => {
            let mut config = context.config()?.clone();
            config.suite = header.suite;
            if args.dry_run {
                let cannot = |error| format!("a folder for the dry run could not be made: {error}");
                config.home = scratch.insert(tempfile::tempdir().map_err(cannot)?).path().join("home");
            }
            Kms::create_with(&config, None, remote::client::backends(&config)?)?
        }
    };
    let caller = kms.administrator(Some(&header.tenant))?;
    let plan = RestorePlan { dry_run: args.dry_run, least_epoch: args.least_epoch };
    let archive = args.open.archive.clone();
    let mut reopen = || opened(&archive).map(|file| Box::new(file) as Box<dyn Read>);
    let report = kms.restore(&caller, &key, &mut reopen, plan, &mut |_| ())?;
    kms.close()?;
    let code = if report.is_partial() { ExitCode::from(PARTIAL) } else { ExitCode::SUCCESS };
    if context.global.json {
        output::json(&json!({ "restore": report }))?;
        return Ok(code);
    }
    shown(&report)?;
    if scratch.is_some() {
        let home = &context.config()?.home;
        output::line(&format!(
            "There is no home at {} yet: a restore makes it.",
            output::plain(&home.display().to_string())
        ))?;
    }
    Ok(code)
}

fn shown(report: &RestoreReport) -> Result<(), Failure> {
    let rows = report.namespaces.iter().map(|of| {
        let fate = match of.fate {
            NamespaceFate::Restored if report.dry_run => "would be restored".to_owned(),
            NamespaceFate::Restored => "restored".to_owned(),
            NamespaceFate::Kept { there, buried, gone } => {
                let gone = buried + gone;
                format!("is here, and stays as it is: {there} objects there, {gone} destroyed since stay so")
            }
            NamespaceFate::Over => "was removed or initialised anew here: stays so".to_owned(),
            NamespaceFate::NameTaken => "not restored: another token has its name".to_owned(),
        };
        [output::plain(&of.name), of.objects.to_string(), fate]
    });
    output::table(["TOKEN", "OBJECTS", "WHAT BECAME OF IT"], rows.collect(), "The archive holds no tokens.")?;
    for rule in &report.rules {
        let became = match &rule.outcome {
            RuleOutcome::Restored if report.dry_run => "would be in force".to_owned(),
            RuleOutcome::Restored => "in force".to_owned(),
            RuleOutcome::There => "is here".to_owned(),
            RuleOutcome::Stands { here } => {
                format!(
                    "NOT in force: another one is here, and stays ({}); look which it shall be",
                    output::plain(here)
                )
            }
            RuleOutcome::Away => "not taken: what it is for stays as it is here".to_owned(),
        };
        let (scope, says) = (output::plain(&rule.scope), output::plain(&rule.says));
        output::line(&format!("Rule for {scope} ({says}): {became}"))?;
    }
    for policy in &report.policies {
        let name = output::plain(&policy.name);
        match &policy.refused {
            None => output::line(&format!("Policy {name}: in force"))?,
            Some(why) => output::line(&format!(
                "Policy {name}: NOT in force ({}); what it is for is denied until it is applied",
                output::plain(why)
            ))?,
        }
    }
    elsewhere(report.in_devices, &report.elsewhere)
}
