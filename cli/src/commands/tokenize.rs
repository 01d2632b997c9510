//! `kmss tokenize` and `kmss detokenize`: one value in a line, one token in a line.

use libkmss::key::KeyClass;
use libkmss::mechanism::{BlockCipher, Ff1, KeyType, Mechanism};
use serde_json::json;
use zeroize::Zeroizing;

use super::stream::read_from;
use crate::args::{DetokenizeArgs, TokenizeArgs, TokensArgs};
use crate::context::Context;
use crate::objects::Vaulted;
use crate::output::{self, Failure};

/// Most bytes of values at once.
const MOST: usize = 64 << 20;

/// Runs `kmss tokenize`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn tokenize(context: &Context, args: &TokenizeArgs) -> Result<(), Failure> {
    run(context, &args.how, Way { encrypt: true, masked: false, life: args.expires })
}

/// Runs `kmss detokenize`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn detokenize(context: &Context, args: &DetokenizeArgs) -> Result<(), Failure> {
    run(context, &args.how, Way { encrypt: false, masked: args.masked, life: None })
}

/// Which way.
struct Way {
    encrypt: bool,
    masked: bool,
    life: Option<u64>,
}

fn run(context: &Context, args: &TokensArgs, way: Way) -> Result<(), Failure> {
    let Way { encrypt, masked, life } = way;
    let values = read_from(args.input.as_deref(), MOST, "these are too many values at once: 64 MiB at most")?;
    let objects = context.objects(&args.token.token)?;
    let missing = || format!("no secret key is named `{}`", args.name);
    let mut key = objects.key(&args.name, KeyClass::Secret)?.ok_or_else(missing)?;
    if let (Some(version), Some(named)) = (args.key_version, key.key())
        && version != named.version_number()
    {
        let missing = || format!("`{}` has no version {version}", args.name);
        let version = format!("{}@{version}", named.base_name());
        key = objects.key(&version, KeyClass::Secret)?.ok_or_else(missing)?;
    }
    let cipher = match key.key().map(|key| key.key_type) {
        Some(KeyType::Aes) => BlockCipher::Aes,
        Some(KeyType::Sm4) => BlockCipher::Sm4,
        _ => return Err(format!("`{}` is no key of AES or SM4", args.name).into()),
    };
    let lines: Vec<&[u8]> =
        values.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    // What ends with a line feed has no line behind it.
    let lines = match lines.split_last() {
        Some(([], before)) => before,
        _ => &lines,
    };
    let made = if args.vault {
        let how = Vaulted { cipher, format: args.format.clone(), life };
        if encrypt { objects.tokenize(&key, &how, lines) } else { objects.detokenize(&key, &how, masked, lines) }
    } else {
        let how = Ff1::new(cipher, args.format.clone(), args.tweak.clone().into_bytes())?;
        let how = match args.key_version {
            Some(version) => how.by_version(version),
            None => how,
        };
        let mechanism = Mechanism::Ff1(if masked { how.masked() } else { how });
        objects.crypt_each(&key, &mechanism, encrypt, lines)
    };
    objects.close()?;
    let made = made?;
    if context.global.json {
        let texts: Vec<&str> = made.iter().map(|one| std::str::from_utf8(one)).collect::<Result<_, _>>()?;
        return output::json(&json!({ if encrypt { "tokens" } else { "values" }: texts }));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(made.iter().map(|one| one.len() + 1).sum()));
    for one in &made {
        text.extend_from_slice(one);
        text.push(b'\n');
    }
    output::bytes(&text)
}
