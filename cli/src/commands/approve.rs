//! `kmss approve`: the word of several, where a policy asks for it.

use std::fs::File;
use std::io::Read as _;

use libkmss::policy::approval::{DataDigest, OpenRequest, RequestId, WantedKey};
use serde_json::{Value, json};

use crate::args::ApproveArgs;
use crate::context::Context;
use crate::output::{self, Failure};
use crate::site::Approvals;

/// Fewest digits that name a request.
const DIGITS: usize = 6;

/// Runs `kmss approve`.
///
/// # Errors
/// There is no such request, or whoever asks may not approve it.
pub(super) fn run(context: &Context, args: &ApproveArgs) -> Result<(), Failure> {
    let approvals = context.approvals(&args.token, args.user.as_deref())?;
    if args.list {
        return list(context, &approvals.waiting()?);
    }
    let data = data_of(args)?;
    let id = match (&args.request, data) {
        (Some(named), _) => find(&*approvals, named)?,
        (None, Some(data)) => find_by_data(&approvals.waiting()?, data)?,
        (None, None) => return Err("name a request, or its data".into()),
    };
    let (principal, request) = approvals.approve(id, data)?;
    if context.global.json {
        return output::json(&described(&request));
    }
    let (given, needed) = (request.approvers.len(), request.wanted.approvals);
    output::line(&format!("Approved as `{}`: {}", output::plain(&principal), sentence(&request)))?;
    output::line(&if given >= usize::from(needed) {
        format!("It has {given} of {needed} approvals, and can be done now.")
    } else {
        format!("It has {given} of {needed} approvals.")
    })
}

/// SHA-256 of the data that is approved.
fn data_of(args: &ApproveArgs) -> Result<Option<[u8; 32]>, Failure> {
    if let Some(path) = &args.data {
        let mut file = File::open(path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
        let (mut digest, mut part) = (DataDigest::default(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut part) {
                Ok(0) => return Ok(Some(digest.finish())),
                Ok(len) => digest.update(part.get(..len).unwrap_or_default()),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("`{}` cannot be read: {e}", path.display()).into()),
            }
        }
    }
    let Some(text) = &args.digest else { return Ok(None) };
    let bytes = super::key::parse_hex(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(Some).ok_or_else(|| "a digest is a SHA-256: 64 hex digits".into())
}

/// The one request about this data.
fn find_by_data(waiting: &[OpenRequest], data: [u8; 32]) -> Result<RequestId, Failure> {
    let about = |request: &&OpenRequest| request.wanted.data.is_some_and(|wanted| *wanted == data);
    match waiting.iter().filter(about).collect::<Vec<_>>().as_slice() {
        [request] => Ok(request.id),
        [] => Err(format!("no request about data with SHA-256 {} waits for approval", output::hex(&data)).into()),
        _ => Err("several requests are about this data: name one of them, see `kmss approve --list`".into()),
    }
}

/// The request that begins with these digits.
fn find(approvals: &dyn Approvals, named: &str) -> Result<RequestId, Failure> {
    if let Ok(id) = named.parse() {
        return Ok(id);
    }
    let named = named.to_ascii_lowercase();
    if named.len() < DIGITS || !named.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(
            format!("a request is named by at least {DIGITS} of its hex digits: see `kmss approve --list`").into()
        );
    }
    let waiting = approvals.waiting()?;
    let found: Vec<RequestId> =
        waiting.iter().map(|request| request.id).filter(|id| id.to_string().starts_with(&named)).collect();
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(format!("no request `{named}` waits for approval").into()),
        _ => Err(format!("several requests begin with `{named}`: give more digits").into()),
    }
}

fn list(context: &Context, waiting: &[OpenRequest]) -> Result<(), Failure> {
    if context.global.json {
        return output::json(&waiting.iter().map(described).collect::<Vec<_>>());
    }
    let rows = waiting.iter().map(|request| {
        let wanted = &request.wanted;
        [
            request.id.to_string().chars().take(12).collect(),
            output::plain(&wanted.requester),
            wanted.action.clone(),
            wanted.key.as_ref().map(|key| output::plain(&key.name)).unwrap_or_default(),
            wanted.mechanism.clone().unwrap_or_default(),
            wanted.data.map(|data| output::hex(data.as_slice()).chars().take(12).collect()).unwrap_or_default(),
            format!("{} of {} {}", request.approvers.len(), wanted.approvals, output::plain(&wanted.role)),
            output::time(request.expires.0),
        ]
    });
    let header = ["REQUEST", "WHO", "ACTION", "KEY", "MECHANISM", "DATA", "APPROVED", "UNTIL (UTC)"];
    output::table(header, rows.collect(), "No request waits for approval.")
}

/// What is wanted, as a sentence.
fn sentence(request: &OpenRequest) -> String {
    let wanted = &request.wanted;
    let key = wanted.key.as_ref().map(|key| match (output::plain(&key.name), key.version) {
        (name, _) if name.is_empty() => " a key without a name".to_owned(),
        (name, 0) => format!(" key `{name}`"),
        (name, version) => format!(" with key `{name}`, version {version}"),
    });
    let with: Vec<String> = wanted.with.iter().map(|key| format!("`{}`", output::plain(&key.name))).collect();
    let with = if with.is_empty() { String::new() } else { format!(", together with {}", with.join(", ")) };
    let mechanism = wanted.mechanism.as_ref().map(|name| format!(", by {name}"));
    let data = match (&wanted.data, wanted.window) {
        (Some(digest), _) => format!(", on data with SHA-256 {}", output::hex(digest.as_slice())),
        (None, 0) => String::new(),
        (None, seconds) => format!(", for {seconds} seconds"),
    };
    format!(
        "`{}` may {}{}{with}{}{data}.",
        output::plain(&wanted.requester),
        wanted.action,
        key.unwrap_or_default(),
        mechanism.unwrap_or_default()
    )
}

fn described(request: &OpenRequest) -> Value {
    let wanted = &request.wanted;
    let key = |key: &WantedKey| {
        let public = key.public.map(|public| output::hex(public.as_slice()));
        json!({ "id": key.id, "name": key.name, "version": key.version, "public_sha256": public })
    };
    json!({
        "request": request.id.to_string(),
        "tenant": wanted.tenant,
        "namespace": wanted.namespace,
        "requester": wanted.requester,
        "action": wanted.action,
        "key": wanted.key.as_ref().map(key),
        "with": wanted.with.iter().map(key).collect::<Vec<_>>(),
        "mechanism": wanted.mechanism,
        "role": wanted.role,
        "approvals": wanted.approvals,
        "window": wanted.window,
        "data_sha256": wanted.data.as_ref().map(|digest| output::hex(digest.as_slice())),
        "created": request.created,
        "expires": request.expires,
        "approvers": request.approvers,
    })
}
