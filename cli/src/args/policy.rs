//! Policies: signing them, putting them in force, and who may publish.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `kmss policy …`
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say what is wrong with policies in the policy language (exit code 0 nothing, 3 something)
    Check {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Put policies in the policy language into their canonical form
    Fmt(FmtArgs),
    /// Compile a policy into a WebAssembly module
    Compile(CompileArgs),
    /// Hold a policy against a table of cases (exit code 0 as expected, 3 not)
    Test(TestArgs),
    /// Sign a policy: the bundle can be applied wherever its publisher is trusted
    Sign(Box<SignArgs>),
    /// Put a policy in force: a signed bundle, or a policy that this home signs itself (by the SO or an admin)
    Apply(ApplyArgs),
    /// List policies and what is in force
    List {
        /// Only those that speak of this token
        #[arg(long, value_name = "LABEL")]
        token: Option<String>,
    },
    /// Show a policy that is in force, or what a bundle says of itself
    Show(ShowArgs),
    /// Say which rule decides, and why: on what an audit record tells of, or on a request in words
    Explain(Box<ExplainArgs>),
    /// Try a policy on past audit records: whose decisions would change (exit code 0 none, 3 some, 4 none that is known of)
    Replay(ReplayArgs),
    /// Take a policy out of force; what it was required for is then denied (by the SO or an admin)
    Remove {
        /// Its name
        name: String,
        /// Where it is in force
        #[command(flatten)]
        scope: ScopeArgs,
        /// The one that runs in the shadow
        #[arg(long)]
        shadow: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Whose bundles are taken
    #[command(subcommand)]
    Trust(TrustCommand),
}

/// `kmss policy trust …`
#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Take bundles signed by a public key; `local` lets this home sign again what is applied without a signature
    Add {
        /// What to call it
        name: String,
        /// Its public key: Ed25519 or SM2 (PEM, DER or JWK)
        file: Option<PathBuf>,
        /// What it may publish for
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// List whose bundles are taken
    List,
    /// Take no bundle of this publisher any more; without `local`, signed bundles only
    Remove {
        /// What it is called
        name: String,
        /// What it may publish for
        #[command(flatten)]
        scope: ScopeArgs,
    },
}

/// What a policy speaks of.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ScopeArgs {
    /// The whole home
    #[arg(long, conflicts_with_all = ["tenant", "token", "key"])]
    pub platform: bool,
    /// All tokens of this tenant; with --token, the token's tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// This token
    #[arg(long, value_name = "LABEL")]
    pub token: Option<String>,
    /// The keys of this name in the token
    #[arg(long, value_name = "NAME", requires = "token")]
    pub key: Option<String>,
}

/// What is in a policy, where that is not a bundle.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ContentArgs {
    /// Name of the policy [default: the one it gives itself, else the file's]
    #[arg(long)]
    pub name: Option<String>,
    /// data.json of an OPA module
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The entrypoint of an OPA module that decides, where it has several
    #[arg(long, value_name = "PATH")]
    pub entrypoint: Option<String>,
}

/// `kmss policy sign`
#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// The policy: text of the policy language, or a module (.wasm)
    pub file: PathBuf,
    /// Where to write the bundle
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// What it speaks of
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// What is in it
    #[command(flatten)]
    pub content: ContentArgs,
    /// Grows with every edition of the policy; lower ones are refused [default: the seconds since 1970]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub sequence: Option<u64>,
    /// Not valid before this time: YYYY-MM-DD or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub valid_from: Option<String>,
    /// Not valid from this time on [default: it does not expire]
    #[arg(long, value_name = "TIME")]
    pub valid_until: Option<String>,
    /// Fuel of one decision [default: what its kind usually needs]
    #[arg(long, value_name = "N")]
    pub fuel: Option<u64>,
    /// Most memory of an instance in pages of 64 KiB [default: what the module declares, or its kind usually needs]
    #[arg(long, value_name = "N")]
    pub pages: Option<u32>,
    /// Leave the text of the policy out of the bundle
    #[arg(long)]
    pub without_source: bool,
    /// Sign with the private key in this file: Ed25519 or SM2 (PEM, PKCS #8, JWK)
    #[arg(long, value_name = "FILE", required_unless_present = "with_key")]
    pub key_file: Option<PathBuf>,
    /// Sign with this key of the token --with-token
    #[arg(long, value_name = "NAME", requires = "with_token", conflicts_with = "key_file")]
    pub with_key: Option<String>,
    /// The token of --with-key
    #[arg(long, value_name = "LABEL", requires = "with_key")]
    pub with_token: Option<String>,
    /// Read the key file's passphrase from this environment variable [default: KMSS_PASSPHRASE where set]
    #[arg(long, value_name = "VAR")]
    pub passphrase_env: Option<String>,
    /// Read the key file's passphrase from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_env")]
    pub passphrase_file: Option<PathBuf>,
}

/// `kmss policy apply`
#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    /// A bundle of `kmss policy sign`; or text of the policy language or a module, which this home signs itself
    pub file: PathBuf,
    /// What it speaks of [default for bundles: what they say]
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// What is in it, where it is no bundle
    #[command(flatten)]
    pub content: ContentArgs,
    /// Run it in the shadow of the active policy: it decides nothing, differences are recorded
    #[arg(long)]
    pub shadow: bool,
}

/// `kmss policy show`
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Its name
    #[arg(required_unless_present = "file")]
    pub name: Option<String>,
    /// A bundle, instead of a policy that is in force; its signature is not checked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "platform", "tenant", "token", "key", "shadow"])]
    pub file: Option<PathBuf>,
    /// Where it is in force, where several have the name
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// The one that runs in the shadow
    #[arg(long)]
    pub shadow: bool,
    /// Print only the text it was compiled from
    #[arg(long)]
    pub source: bool,
    /// Write the bundle to this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `kmss policy explain`
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The record: SEGMENT:SEQ (`kmss audit tail --ids`), or the first digits of its hash `h`
    #[arg(required_unless_present = "principal", conflicts_with = "principal")]
    pub record: Option<String>,
    /// Ask this policy instead of those in force: text of the policy language, a module or a bundle
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// `data.json` of an OPA module
    #[arg(long, value_name = "FILE", requires = "principal")]
    pub data: Option<PathBuf>,
    /// The entrypoint of an OPA module that decides, where it has several
    #[arg(long, value_name = "PATH", requires = "principal")]
    pub entrypoint: Option<String>,
    /// A request in words, which needs no token
    #[command(flatten)]
    pub request: RequestArgs,
}

/// A request in words.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    /// Who: `kind:name`
    #[arg(long, requires = "action", requires = "policy")]
    pub principal: Option<String>,
    /// What
    #[arg(long, requires = "principal")]
    pub action: Option<String>,
    /// Name of the key
    #[arg(long, requires = "principal")]
    pub key: Option<String>,
    /// Name of the mechanism, such as AES_GCM
    #[arg(long, requires = "principal")]
    pub mechanism: Option<String>,
    /// A role that the principal has
    #[arg(long, requires = "principal")]
    pub role: Vec<String>,
    /// A tag that the key has
    #[arg(long, requires = "key")]
    pub tag: Vec<String>,
    /// Type of the key, such as AES
    #[arg(long, requires = "key")]
    pub key_type: Option<String>,
    /// Size of the key
    #[arg(long, requires = "key", default_value_t = 0)]
    pub bits: u32,
    /// Age of the key: 100d, 12h
    #[arg(long, requires = "key")]
    pub key_age: Option<String>,
    /// The key is a session key
    #[arg(long, requires = "key")]
    pub session_key: bool,
    /// The tenant
    #[arg(long, default_value = "default")]
    pub tenant: String,
    /// The token
    #[arg(long, default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// When: 2026-11-20T10:00:00Z [default: now]
    #[arg(long, requires = "principal")]
    pub time: Option<String>,
    /// Bytes of data
    #[arg(long, requires = "principal")]
    pub data_length: Option<u64>,
    /// Numeric user of the process
    #[arg(long, requires = "principal")]
    pub uid: Option<u32>,
    /// Path of the program
    #[arg(long, default_value = "", hide_default_value = true)]
    pub process: String,
    /// Network address of the caller
    #[arg(long, default_value = "", hide_default_value = true)]
    pub source: String,
    /// An entry of the encryption context, NAME=VALUE
    #[arg(long, requires = "principal")]
    pub context: Vec<String>,
    /// Such decisions within the last second
    #[arg(long, requires = "principal")]
    pub last_second: Option<u32>,
    /// Such decisions within the last minute
    #[arg(long, requires = "principal")]
    pub last_minute: Option<u32>,
    /// The user authenticated for this one operation
    #[arg(long, requires = "principal")]
    pub mfa: bool,
    /// A person is present
    #[arg(long, requires = "principal")]
    pub interactive: bool,
    /// The token forbids what is not approved for FIPS 140-3
    #[arg(long, requires = "principal")]
    pub fips: bool,
}

/// `kmss policy fmt`
#[derive(Args, Debug)]
pub(crate) struct FmtArgs {
    /// The files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Change nothing; exit code 3 where something would change
    #[arg(long)]
    pub check: bool,
}

/// `kmss policy compile`
#[derive(Args, Debug)]
pub(crate) struct CompileArgs {
    /// The policy
    pub file: PathBuf,
    /// Where the module goes [default: beside the policy, as .wasm]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `kmss policy test`
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// The table of cases (TOML)
    pub cases: PathBuf,
    /// The policy: text of the policy language, a module or a bundle [default: what the table names]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// `data.json` of an OPA module
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The entrypoint of an OPA module that decides, where it has several
    #[arg(long, value_name = "PATH")]
    pub entrypoint: Option<String>,
}

/// `kmss policy replay`
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// The candidate: text of the policy language, a module or a bundle; it is asked alone
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Only records of this token
    #[arg(long, value_name = "LABEL")]
    pub token: Option<String>,
    /// Only records from this time on: YYYY-MM-DD or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only records before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// `kmss approve`
#[derive(Args, Debug)]
pub(crate) struct ApproveArgs {
    /// The request: the first digits will do where they tell it apart
    #[arg(required_unless_present_any = ["list", "data", "digest"])]
    pub request: Option<String>,
    /// List the requests that wait
    #[arg(long, conflicts_with_all = ["request", "data", "digest"])]
    pub list: bool,
    /// Approve this data and no other; names the request, too, where only one is about it
    #[arg(long, value_name = "FILE", conflicts_with = "digest")]
    pub data: Option<PathBuf>,
    /// The same by the SHA-256 of the data in hex digits
    #[arg(long, value_name = "HEX")]
    pub digest: Option<String>,
    /// Label of the token
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    /// The user who approves, where the token has several; a server knows who asks [default: user]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}
