//! `kmss approve`: the word of several, where a policy asks for it.

use libkmss::auth::Credential;
use libkmss::kms::Kms;
use libkmss::policy::approval::{OpenRequest, RequestId};
use libkmss::tenant::Namespace;
use serde_json::{Value, json};

use crate::args::ApproveArgs;
use crate::context::{Context, find_token};
use crate::output::{self, Failure};

/// Fewest digits that name a request.
const DIGITS: usize = 6;

/// Runs `kmss approve`.
///
/// # Errors
/// There is no such request, or whoever asks may not approve it.
pub(super) fn run(context: &Context, args: &ApproveArgs) -> Result<(), Failure> {
    let kms = context.kms()?;
    let namespace = find_token(&kms, &args.token)?;
    let Some(named) = &args.request else { return list(context, &kms, &namespace) };
    let id = find(&kms, &namespace, named)?;
    let mut caller = kms.enter(&namespace, 0)?;
    if !namespace.settings.pinless {
        let pin = context.user_pin(&args.token)?;
        caller = kms.login(&caller, &Credential::UserPin { name: &args.user, pin: &pin })?;
    }
    let request = kms.approve(&caller, id)?;
    kms.close()?;
    if context.global.json {
        return output::json(&described(&request));
    }
    let (given, needed) = (request.approvers.len(), request.wanted.approvals);
    output::line(&format!("Approved as `{}`: {}", output::plain(&caller.principal.name), sentence(&request)))?;
    output::line(&if given >= usize::from(needed) {
        format!("It has {given} of {needed} approvals, and can be done now.")
    } else {
        format!("It has {given} of {needed} approvals.")
    })
}

/// The request that begins with these digits.
fn find(kms: &Kms, namespace: &Namespace, named: &str) -> Result<RequestId, Failure> {
    if let Ok(id) = named.parse() {
        return Ok(id);
    }
    let named = named.to_ascii_lowercase();
    if named.len() < DIGITS || !named.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(
            format!("a request is named by at least {DIGITS} of its hex digits: see `kmss approve --list`").into()
        );
    }
    let waiting = kms.waiting_requests(namespace)?;
    let found: Vec<RequestId> =
        waiting.iter().map(|request| request.id).filter(|id| id.to_string().starts_with(&named)).collect();
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(format!("no request `{named}` waits for approval").into()),
        _ => Err(format!("several requests begin with `{named}`: give more digits").into()),
    }
}

fn list(context: &Context, kms: &Kms, namespace: &Namespace) -> Result<(), Failure> {
    let waiting = kms.waiting_requests(namespace)?;
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
            format!("{} of {} {}", request.approvers.len(), wanted.approvals, output::plain(&wanted.role)),
            output::time(request.expires.0),
        ]
    });
    let header = ["REQUEST", "WHO", "ACTION", "KEY", "MECHANISM", "APPROVED", "UNTIL (UTC)"];
    output::table(header, rows.collect(), "No request waits for approval.")
}

/// What is wanted, as a sentence.
fn sentence(request: &OpenRequest) -> String {
    let wanted = &request.wanted;
    let key =
        wanted.key.as_ref().map(|key| format!(" with key `{}`, version {}", output::plain(&key.name), key.version));
    let mechanism = wanted.mechanism.as_ref().map(|name| format!(", by {name}"));
    let data = match (&wanted.data, wanted.window) {
        (Some(digest), _) => format!(", on data with SHA-256 {}", output::hex(digest.as_slice())),
        (None, 0) => String::new(),
        (None, seconds) => format!(", for {seconds} seconds"),
    };
    format!(
        "`{}` may {}{}{}{data}.",
        output::plain(&wanted.requester),
        wanted.action,
        key.unwrap_or_default(),
        mechanism.unwrap_or_default()
    )
}

fn described(request: &OpenRequest) -> Value {
    let wanted = &request.wanted;
    let key = wanted.key.as_ref().map(|key| json!({ "id": key.id, "name": key.name, "version": key.version }));
    json!({
        "request": request.id.to_string(),
        "tenant": wanted.tenant,
        "namespace": wanted.namespace,
        "requester": wanted.requester,
        "action": wanted.action,
        "key": key,
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
