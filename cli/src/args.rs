//! The command line.

mod agree;
mod audit;
mod backup;
mod compat;
mod domain;
mod exchange;
mod file;
mod global;
mod hsm;
mod hsm_probe;
mod import;
mod jwt;
mod key;
mod life;
mod policy;
mod quota;
mod report;
mod rule;
mod seal;
mod service;
mod token;
mod tokenize;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::agree::{DecapsulateArgs, DerivationFunction, DeriveSecretArgs, EncapsulateArgs, NewSecretArgs};
pub(crate) use self::audit::{
    AgentArgs, AgentCommand, AlarmCommand, ColorArg, ExportArgs, ExportFormat, RecordArgs, SeverityArg, TailArgs,
};
pub(crate) use self::backup::{BackupArgs, BackupCommand, OpenArchiveArgs, RestoreArgs};
pub(crate) use self::compat::{CompatCommand, CompatEncryptArgs, UserKeyFor};
pub(crate) use self::domain::{DomainArgs, DomainCommand, SealCommand, StoreCommand};
pub(crate) use self::exchange::{CertExportArgs, CertFormat, ImportArgs, MigrateArgs, MigrateCommand, PublicFormat};
pub(crate) use self::file::{ChunkAlgorithm, FileCommand, FileOpenArgs, FileSealArgs};
pub(crate) use self::global::{Global, ServerArgs};
pub(crate) use self::hsm::{AdoptArgs, CloneArgs, HsmCommand};
pub(crate) use self::hsm_probe::{HsmProbeArgs, ProbeGroup};
pub(crate) use self::import::{
    ExportKeyArgs, HowWrapped, ImportBeginArgs, ImportCommand, ImportFinishArgs, OaepHash, UnwrapArgs, WishesArgs,
    WrappingType,
};
pub(crate) use self::jwt::{JwsArgs, JwtCommand, JwtSignArgs, JwtVerifyArgs};
pub(crate) use self::key::{AuditModeArg, DeriveArgs, HdCurve, MoveArgs, NamedKey};
pub(crate) use self::life::{
    AliasArgs, DeleteArgs, DescribeArgs, GrantArgs, LifeCommand, PurgeArgs, RevokeArgs, RotateArgs, RotateCommand,
    RotationArgs, ScheduleArgs,
};
pub(crate) use self::policy::{
    ApplyArgs, ApproveArgs, CompileArgs, ContentArgs, ExplainArgs, FmtArgs, PolicyCommand, ReplayArgs, RequestArgs,
    ScopeArgs, ShowArgs, SignArgs, TestArgs, TrustCommand,
};
pub(crate) use self::quota::{BlockAddArgs, BlockCommand, QuotaCommand, QuotaPlaceArgs, QuotaSetArgs};
pub(crate) use self::report::{FailOn, ReportArgs, ReportFormat};
pub(crate) use self::rule::{RuleCommand, RulePlaceArgs, RuleSetArgs};
pub(crate) use self::seal::{ArchiveArgs, CompressArgs, ProveArgs, PruneArgs, SealArgs, VerifyArgs};
pub(crate) use self::service::{
    BatchArgs, DataKeyArgs, DecryptArgs, EncryptArgs, EncryptionContextArgs, HashArgs, InputArgs, MacArgs,
    MessageAlgorithm, OutputArgs, RandomArgs, ReencryptArgs, SignDataArgs, SignatureArgs, VerifyDataArgs,
};
pub(crate) use self::token::{NewPinArgs, TokenArg, TokenCommand, TokenSettings, TokenUserCommand};
pub(crate) use self::tokenize::{DetokenizeArgs, TokenizeArgs, TokensArgs};

/// What scripts may rely on.
const EXIT_CODES: &str = "\
Exit codes:
  0  done; for checks: nothing is wrong
  1  failed, with a sentence on standard error; for `doctor`: something is wrong; for `hsm
     probe`: the device breaks the contract
  2  wrong usage
  3  tampered with or damaged (`audit verify`, `store check`, `backup verify`); not as it should be (`policy check`, `fmt --check`, `test`);
     of `policy replay`: decisions would change; of `report --fail-on`: something of that is there
  4  done in part: something could not be taken over (`migrate`), decided (`policy replay`), brought to an anchor
     (`audit seal`), delivered (`audit agent --once`), restored (`restore`) or done (`batch`)
  141  nobody reads the output any more (`| head`)";

/// Keys that live in KMSS: tokens, keys, certificates, audit.
#[derive(Debug, Parser)]
#[command(name = "kmss", version, propagate_version = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The home directory
    #[command(subcommand)]
    Home(HomeCommand),
    /// The seal of the home: the root key, and who holds it
    #[command(subcommand)]
    Seal(SealCommand),
    /// Tokens: what PKCS#11 programs see as slots
    #[command(subcommand)]
    Token(TokenCommand),
    /// Domain keys: what seals the records and the key material of a token
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Bring a key in that its owner wrapped under a key of ours (BYOK)
    #[command(subcommand)]
    Import(ImportCommand),
    /// Give a key out that may leave, wrapped under another
    #[command(visible_alias = "wrap")]
    Export(ExportKeyArgs),
    /// Take a key in that is wrapped under a key of ours, which stays
    Unwrap(UnwrapArgs),
    /// Derive a key from another, or agree on one with somebody (`kmss key derive` is about seeds)
    Derive(DeriveSecretArgs),
    /// Make a key that the holder of a private key can make, too
    Encapsulate(EncapsulateArgs),
    /// Make the key that somebody encapsulated for us
    Decapsulate(DecapsulateArgs),
    /// Rotating keys that are due
    #[command(subcommand)]
    Rotate(RotateCommand),
    /// Encrypt a message under a key
    Encrypt(EncryptArgs),
    /// Decrypt a message; it says itself under which key
    Decrypt(DecryptArgs),
    /// Encrypt a message anew, under another key, algorithm or context; its plaintext is shown to nobody
    Reencrypt(ReencryptArgs),
    /// Make a key for whoever encrypts on its own, in clear and encrypted
    Datakey(DataKeyArgs),
    /// Sign a message, or its digest
    Sign(SignDataArgs),
    /// Verify a signature
    Verify(VerifyDataArgs),
    /// JSON Web Tokens: signed, verified, and the keys that verify them
    #[command(subcommand)]
    Jwt(JwtCommand),
    /// Many signatures, verifications, MACs, encryptions and decryptions: one JSON object in a line, one result in a line
    Batch(BatchArgs),
    /// Compute or check a message authentication code
    Mac(MacArgs),
    /// Hash what comes in
    Hash(HashArgs),
    /// Draw random bytes
    Random(RandomArgs),
    /// Files of any length, sealed for one or several keys (`kmss seal` is about the root key)
    #[command(subcommand)]
    File(FileCommand),
    /// Say as JSON what a ciphertext says of itself; no key is needed
    Inspect(InputArgs),
    /// Certificates and certificate requests
    #[command(subcommand)]
    Cert(CertCommand),
    /// Policies: what is allowed, to whom, and who says so
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Approve what a policy wants approved by several
    Approve(ApproveArgs),
    /// Blocks: who or what does nothing until an operator releases it
    #[command(subcommand)]
    Block(BlockCommand),
    /// Quotas: how many operations or bytes, for whom
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Rules for keys: which types and sizes may be made, how often they rotate, and whether services keep apart
    #[command(subcommand)]
    Rule(RuleCommand),
    /// The audit trail
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What the audit agent was alarmed by
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// Report what keys there are, who used them, what was refused and changed, and what of standards that shows
    Report(ReportArgs),
    /// Archives of a tenant: everything in it, under a key that is split among custodians
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Restore a tenant from an archive, onto a machine that has nothing of it or beside what is there
    Restore(RestoreArgs),
    /// The store
    #[command(subcommand)]
    Store(StoreCommand),
    /// HSMs: devices that hold keys
    #[command(subcommand)]
    Hsm(HsmCommand),
    /// Bring keys from another key store into a token
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Print ready configuration for a client program
    Config(ConfigArgs),
    /// Find out why a program cannot load the module or see its keys
    Doctor(DoctorArgs),
    /// Whether the module can be loaded and lists its slots; `doctor` runs this in a process of its own
    #[command(hide = true)]
    Probe {
        /// The module
        module: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Put tokens of the same format in the place of card numbers, identity numbers and other values, one in a line
    Tokenize(TokenizeArgs),
    /// Get the values of tokens back
    Detokenize(DetokenizeArgs),
    /// Business keys and user keys in the formats of other products: for compatibility, never for what is new
    #[command(subcommand)]
    Compat(CompatCommand),
    /// Write man pages into a directory
    #[command(hide = true)]
    Man {
        /// The directory
        directory: PathBuf,
    },
}

/// `kmss home …`
#[derive(Debug, Subcommand)]
pub(crate) enum HomeCommand {
    /// Make the home directory (otherwise the first token does)
    Init {
        /// Let the members of this group use it (mode 2770 instead of 0700)
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
        /// Cipher suite of the home [default: the configuration's, else nist]
        #[arg(long)]
        suite: Option<SuiteArg>,
        /// Who holds the root key: `file`, or `hsm:NAME` for the [[hsm]] of that name in kmss.toml [default: file]
        #[arg(long, value_name = "HOLDER", value_parser = domain::holding)]
        seal: Option<libkmss::seal::Holding>,
    },
}

/// A cipher suite.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SuiteArg {
    /// AES-256-GCM, HMAC-SHA-256, SHA-256
    Nist,
    /// SM4-GCM, HMAC-SM3, SM3
    Gm,
}

/// `kmss key …`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Generate a key or key pair
    Generate {
        /// Its name and label
        name: String,
        /// The token
        #[command(flatten)]
        token: TokenArg,
        /// rsa:2048…8192, ec:p256|p384|p521|secp256k1, ed25519, ed448, x25519, x448, sm2, dh:ffdhe2048…8192, ml-dsa:44|65|87,
        /// ml-kem:512|768|1024, slh-dsa:sha2-128s (sha2|shake, 128|192|256, s|f), aes:128|192|256, sm4, hmac:BITS, and hd-seed, from which
        /// `key derive` makes pairs [default: what a rule prefers]
        #[arg(long = "type", value_name = "TYPE")]
        key_type: Option<String>,
        /// CKA_ID in hex [default: 8 random bytes]
        #[arg(long, value_name = "HEX")]
        id: Option<String>,
        /// Allow the key to be wrapped by other keys (it stays sensitive)
        #[arg(long)]
        extractable: bool,
        /// Where it is made: `soft`, or the name of an HSM of the configuration [default: where the token's keys are made]
        #[arg(long, value_name = "NAME")]
        backend: Option<String>,
        /// It does nothing until it is enabled, or a moment comes that `key schedule` names
        #[arg(long)]
        pre_active: bool,
        /// Make this many, named NAME-1, NAME-2 and so on: nothing is made where a key has one of these names, or a destroyed one
        /// keeps it
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "id")]
        count: Option<u32>,
        /// The number of the first of them
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=999_999_999), default_value = "1",
              requires = "count")]
        from: u32,
    },
    /// Derive a pair from a seed by a path (BIP-32; SLIP-10 on P-256 and Ed25519); the seed stays where it is
    Derive(DeriveArgs),
    /// List keys
    List {
        /// The token
        #[command(flatten)]
        token: TokenArg,
        /// Only those of this owner
        #[arg(long, value_name = "TEXT")]
        owner: Option<String>,
        /// Only those of this purpose
        #[arg(long, value_name = "PURPOSE")]
        purpose: Option<String>,
        /// Only those that belong to this service
        #[arg(long, value_name = "SERVICE")]
        service: Option<String>,
        /// Only those with this tag; may be repeated
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Import a key: PEM, PKCS #8 (also encrypted), PKCS #1, SEC 1, PKCS #12 with its certificates, JWK
    Import(ImportArgs),
    /// Write the public half of a key to a file or to standard output
    ExportPublic {
        /// The key
        #[command(flatten)]
        key: NamedKey,
        /// How it is written
        #[arg(long, value_enum, default_value_t = PublicFormat::Pem)]
        format: PublicFormat,
        /// Where to write it; else to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show one key
    Show(NamedKey),
    /// Change the label (CKA_LABEL) that PKCS#11 programs see, of both halves; the name stays
    Label {
        /// The key
        #[command(flatten)]
        key: NamedKey,
        /// The new label
        label: String,
    },
    /// Change the name that policies and commands use, of both halves; the label stays
    Rename {
        /// The key
        #[command(flatten)]
        key: NamedKey,
        /// The new name
        new_name: String,
    },
    /// Give a key these tags and no others; policies choose keys by them (by the SO)
    Tag {
        /// The key
        #[command(flatten)]
        key: NamedKey,
        /// The tags, for example `payment`; none takes all away
        tags: Vec<String>,
    },
    /// Say how records of the key's uses are kept: `sync` waits for the disk before a result is released (by the SO)
    Audit {
        /// The key
        #[command(flatten)]
        key: NamedKey,
        /// How
        #[arg(value_enum)]
        mode: AuditModeArg,
    },
    /// Disable a key: it protects nothing new, but still decrypts and verifies (by the SO)
    Disable(NamedKey),
    /// Enable a disabled key (by the SO)
    Enable(NamedKey),
    /// Move a key to another backend (by the SO); name, identity, policies and history stay. Again after a crash: it goes on
    Move(MoveArgs),
    /// Destroy a key for good, both halves of a pair
    Destroy {
        /// The key
        #[command(flatten)]
        key: NamedKey,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// What changes in its life
    #[command(flatten)]
    Life(LifeCommand),
}

/// `kmss cert …`
#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Make a certificate request (PKCS #10), signed inside the token
    Request {
        /// The key
        #[command(flatten)]
        key: NamedKey,
        /// What it says
        #[command(flatten)]
        subject: SubjectArgs,
        /// Where to write it (PEM); else to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make a self-signed certificate, signed inside the token, and store it beside its key
    #[command(visible_alias = "self-signed")]
    SelfSign {
        /// The key
        #[command(flatten)]
        key: NamedKey,
        /// What it says
        #[command(flatten)]
        subject: SubjectArgs,
        /// Days until it expires
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Also write it to this file (PEM)
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Store a certificate (PEM or DER) beside the key it belongs to
    Import {
        /// The file
        file: PathBuf,
        /// The token
        #[command(flatten)]
        token: TokenArg,
        /// Its label; the key of that name gives the CKA_ID
        #[arg(long)]
        name: String,
    },
    /// List certificates
    List {
        /// The token
        #[command(flatten)]
        token: TokenArg,
    },
    /// Write a certificate to a file or to standard output
    Export(CertExportArgs),
}

/// What a certificate or request says.
#[derive(Args, Clone, Debug)]
pub(crate) struct SubjectArgs {
    /// Subject, for example `CN=localhost,O=Example`
    #[arg(long)]
    pub subject: String,
    /// A DNS name or IP address it is for; may be repeated
    #[arg(long = "dns", value_name = "NAME")]
    pub names: Vec<String>,
}

/// `kmss audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the newest records
    Tail(TailArgs),
    /// Send records to where they are watched, raise alarms, and say in the audit that somebody watches: what
    /// `[[audit.forward]]` and `[[alarm]]` of the configuration ask for
    Agent(AgentArgs),
    /// Print records for spreadsheets (CSV) or security information systems (OCSF), segment by segment from the oldest
    Export(ExportArgs),
    /// Check that nothing was changed, removed or reordered (exit code 0 whole, 3 tampered, 1 could not verify)
    Verify(VerifyArgs),
    /// Append what is new to the sealed log and sign a checkpoint (exit code 3 where a segment contradicts itself)
    Seal(SealArgs),
    /// Bring the newest checkpoint to every `[[audit.anchor]]` now; `seal` does for which it is time
    Anchor,
    /// Prove that a record is in the sealed log, for `kmss-audit-verify`
    Prove(ProveArgs),
    /// Print the public keys that verify checkpoints and proofs: the root key, and how each key handed over to the next
    Key {
        /// The root key alone
        #[arg(long)]
        root: bool,
        /// The key that witnesses are to know the log by, which lasts over all epochs
        #[arg(long, conflicts_with = "root")]
        witness: bool,
    },
    /// Print the newest checkpoint, for whoever keeps it elsewhere
    Checkpoint,
    /// Compress the segments that ended and are sealed; every command reads them as before
    Compress(CompressArgs),
    /// Copy the segments that ended and are sealed to a folder that an auditor verifies alone (exit code 4 where some that
    /// ended were not copied, or not removed)
    Archive(ArchiveArgs),
    /// Remove segments that are older than they must be kept; the hashes of their records stay, and a record says what went
    Prune(PruneArgs),
}

/// `kmss config …`
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// The client
    pub client: Client,
    /// Label of the token
    #[arg(long, value_name = "LABEL")]
    pub token: Option<String>,
    /// Name of the key
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Path of the module [default: found beside this command or in the library directories]
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
}

/// A client program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// OpenSSL through its PKCS#11 engine or provider
    Openssl,
    /// nginx
    Nginx,
    /// Apache httpd
    Apache,
    /// Java's SunPKCS11
    Java,
    /// OpenSSH: ssh, ssh-agent, sshd
    Ssh,
    /// GnuTLS: p11tool, certtool, gnutls-serv
    Gnutls,
    /// NSS: modutil, certutil, Firefox
    Nss,
    /// p11-kit, and with it every program that asks it for modules
    P11Kit,
    /// Python: python-pkcs11 and PyKCS11
    Python,
}

/// `kmss doctor`
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Path of the module [default: found beside this command or in the library directories]
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
    /// Also look at what this client needs
    #[arg(long)]
    pub client: Option<Client>,
}
