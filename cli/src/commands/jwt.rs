//! `kmss jwt`: JSON Web Tokens, and the sets of keys that verify them.

use std::sync::Arc;

use libkmss::jose::{Content, Expected, Jws, LONGEST, Life, Wanted};
use libkmss::key::{KeyClass, Object};
use serde_json::{Value, json};

use super::stream::{base64, read, write};
use crate::args::{JwsArgs, JwtCommand, JwtSignArgs, JwtVerifyArgs};
use crate::context::Context;
use crate::moment;
use crate::objects::Objects;
use crate::output::{self, Failure};

/// Runs `kmss jwt …`.
///
/// # Errors
/// A sentence for standard error; a token that is not as it should be is one.
pub(super) fn run(context: &Context, command: JwtCommand) -> Result<(), Failure> {
    match command {
        JwtCommand::Sign(args) => sign(context, &args),
        JwtCommand::Verify(args) => verify(context, &args),
        JwtCommand::Jwks { names, token, algorithm, output } => {
            let objects = context.objects(&token.token)?;
            let keys = names.iter().map(|name| public(&*objects, name)).collect::<Result<Vec<_>, _>>()?;
            let set = objects.jwks(&keys, algorithm)?;
            objects.close()?;
            write(&output, format!("{set:#}\n").as_bytes(), true)
        }
    }
}

fn sign(context: &Context, args: &JwtSignArgs) -> Result<(), Failure> {
    let input = read(&args.input, LONGEST, "what a token holds has at most 64 KiB")?;
    let life = match &args.lifetime {
        Some(text) => Life::Seconds(moment::duration(text)? / 1000),
        None if args.how.endless => Life::Endless,
        None => Life::Stated,
    };
    let content = if args.how.payload { Content::Bytes(&input) } else { Content::Claims(&input, life) };
    let objects = context.objects(&args.how.token.token)?;
    let name = &args.how.name;
    let missing = || format!("there is no private key `{name}`; `kmss key list` shows what there is");
    let key = objects.key(name, KeyClass::Private)?.ok_or_else(missing)?;
    let signed = objects.sign_jws(&key, &jws(&args.how), content)?;
    objects.close()?;
    if context.global.json {
        let algorithm = signed.algorithm.name();
        return output::json(&json!({ "token": signed.token, "kid": signed.kid, "algorithm": algorithm }));
    }
    write(&args.output, format!("{}\n", signed.token).as_bytes(), true)
}

fn verify(context: &Context, args: &JwtVerifyArgs) -> Result<(), Failure> {
    let input = read(&args.input, 2 * LONGEST, "what comes in is too long for a token")?;
    let token = std::str::from_utf8(&input).map_err(|_| "what comes in is no token")?.trim_ascii();
    let wanted = match args.how.payload {
        true => Wanted::Bytes,
        false => Wanted::Claims(Expected {
            issuer: args.issuer.clone(),
            audience: args.audience.clone(),
            leeway: args.leeway,
            endless: args.how.endless,
        }),
    };
    let objects = context.objects(&args.how.token.token)?;
    let key = public(&*objects, &args.how.name)?;
    let verified = objects.verify_jws(&key, &jws(&args.how), &wanted, token)?;
    objects.close()?;
    if context.global.json {
        let (kid, algorithm) = (verified.kid, verified.algorithm.name());
        let (name, held) = match args.how.payload {
            true => ("payload", Value::String(base64(&verified.payload))),
            false => ("claims", serde_json::from_slice(&verified.payload)?),
        };
        return output::json(&json!({ "kid": kid, "algorithm": algorithm, name: held }));
    }
    if args.how.payload {
        return write(&args.output, &verified.payload, false);
    }
    write(&args.output, &[verified.payload.trim_ascii(), b"\n"].concat(), true)
}

fn jws(args: &JwsArgs) -> Jws {
    Jws { algorithm: args.algorithm, typ: args.typ.clone() }
}

fn public(objects: &dyn Objects, name: &str) -> Result<Arc<Object>, Failure> {
    let missing = || format!("there is no public key `{name}`; `kmss key list` shows what there is");
    Ok(objects.key(name, KeyClass::Public)?.ok_or_else(missing)?)
}
