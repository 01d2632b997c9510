//! `kmss token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::domain;

/// `kmss token …`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, with SO PIN and user PIN
    Init {
        /// Its label, at most 32 bytes
        label: String,
        /// Users need no PIN: whoever can open the home uses its private keys (the SO PIN stays)
        #[arg(long)]
        no_pin: bool,
        /// Where its keys are made: `soft`, or the name of an HSM or server of the configuration
        #[arg(long, value_name = "NAME", default_value = "soft")]
        backend: String,
        /// What seals the material of its keys: `in-memory`, or `in-device:NAME` for the [[hsm]] of that name in kmss.toml, which is
        /// asked whenever a process makes a key or uses one for the first time
        #[arg(long, value_name = "WHERE", value_parser = domain::material, default_value = "in-memory")]
        seal: libkmss::kms::MaterialSeal,
        /// What it is set to from the start
        #[command(flatten)]
        settings: TokenSettings,
    },
    /// List tokens
    List,
    /// Show one token
    Show {
        /// Its label
        label: String,
    },
    /// Destroy a token with all its objects
    Delete {
        /// Its label
        label: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Change a PIN, or let the SO reset the user's
    SetPin {
        /// The token's label
        label: String,
        /// Change the SO PIN instead of the user PIN
        #[arg(long, conflicts_with = "reset")]
        so: bool,
        /// The SO sets a new user PIN, which also unlocks it; every object stays
        #[arg(long)]
        reset: bool,
        /// Whose PIN, where the token has several users
        #[arg(long, value_name = "NAME", default_value = "user", conflicts_with = "so")]
        user: String,
        /// Where the new PIN comes from
        #[command(flatten)]
        new_pin: NewPinArgs,
    },
    /// Let a user try again after too many wrong PINs (by the SO); PIN and objects stay
    Unlock {
        /// The token's label
        label: String,
        /// The user
        #[arg(long, value_name = "NAME", default_value = "user")]
        user: String,
    },
    /// Users, each with a PIN of their own (by the SO)
    #[command(subcommand)]
    User(TokenUserCommand),
    /// Change where the token's keys are made (by the SO); those that are there stay where they are
    Backend {
        /// The token's label
        label: String,
        /// `soft`, or the name of an HSM of the configuration
        backend: String,
    },
    /// Show what a token is set to, or change it (by the SO)
    Profile {
        /// The token's label
        label: String,
        /// What to change
        #[command(flatten)]
        settings: TokenSettings,
    },
}

/// `kmss token user …`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenUserCommand {
    /// Add a user, who reaches the same objects by another PIN
    Add {
        /// The token's label
        label: String,
        /// The user's name, for C_LoginUser
        user: String,
        /// Where the new PIN comes from
        #[command(flatten)]
        new_pin: NewPinArgs,
    },
    /// Take a user away; objects stay
    Remove {
        /// The token's label
        label: String,
        /// The user's name
        user: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give a user these roles and no others, for policies and approvals
    Roles {
        /// The token's label
        label: String,
        /// The user's name
        user: String,
        /// The roles, for example `custodian`; none takes all away
        roles: Vec<String>,
    },
    /// List users, their roles and the state of their PINs
    List {
        /// The token's label
        label: String,
    },
}

/// Where a new PIN comes from.
#[derive(Args, Clone, Debug)]
pub(crate) struct NewPinArgs {
    /// Read the new PIN from this environment variable [default: KMSS_NEW_PIN where set]
    #[arg(long, value_name = "VAR")]
    pub new_pin_env: Option<String>,
    /// Read the new PIN from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub new_pin_file: Option<PathBuf>,
}

/// What a token is set to.
#[derive(Args, Clone, Debug)]
pub(crate) struct TokenSettings {
    /// Whose numbers SM2, SM3 and SM4 have: luna or sansec
    #[arg(long, value_name = "VENDOR")]
    pub vendor: Option<String>,
    /// Weak things to forbid, separated by commas: nothing, fips, sha1-signatures, pkcs1-encryption, raw-rsa, short-rsa,
    /// ecb, cbc-padding, short-macs, short-secrets, unapproved
    #[arg(long, value_name = "LIST")]
    pub forbid: Option<String>,
    /// Whether to forbid keys that both wrap and decrypt
    #[arg(long, value_name = "BOOL")]
    pub separate_wrap_and_decrypt: Option<bool>,
}

/// The token a command works on.
#[derive(Args, Clone, Debug)]
pub(crate) struct TokenArg {
    /// Label of the token
    #[arg(long, value_name = "LABEL")]
    pub token: String,
}
