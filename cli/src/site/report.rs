//! Reports, on a home or on a server's.

use std::ops::ControlFlow;

use libkmss::auth::Credential;
use libkmss::clock::Timestamp;
use libkmss::kms::Kms;
use libkmss::tenant::Namespace;
use remote::client::Client;
use remote::proto::{self, make_report_response::Kind};
use report::{Opened, Order, Period, Report, Step};

use crate::context::Context;
use crate::output::{self, Failure};
use crate::pin;

/// Most bytes of a report that are taken from a server.
const MOST: usize = 1 << 30;

/// What is asked for.
pub(crate) struct Wanted<'a> {
    /// Labels of the tokens that it is about; all where there are none.
    pub tokens: &'a [String],
    /// Begin of the period.
    pub since: Option<Timestamp>,
    /// Its end.
    pub until: Option<Timestamp>,
    /// Days after which a key is due for rotation.
    pub max_age_days: u64,
    /// Whether the audit trail is to be verified.
    pub verify: bool,
}

impl Context {
    /// A report; `told` hears how far it is.
    ///
    /// # Errors
    /// No such token, a wrong PIN, a store that cannot be read; those of the server.
    pub(crate) fn report(&self, wanted: &Wanted<'_>, told: &mut dyn FnMut(Step)) -> Result<Report, Failure> {
        match self.server() {
            None => of_home(self, wanted, told),
            Some(server) => of_server(server, wanted, told),
        }
    }
}

fn of_home(context: &Context, wanted: &Wanted<'_>, told: &mut dyn FnMut(Step)) -> Result<Report, Failure> {
    let kms = context.kms()?;
    let now = kms.now();
    let period = Period::of(wanted.since, wanted.until, now).ok_or("the period ends before it begins")?;
    let all = report::chosen(kms.namespaces()?, wanted.tokens)?;
    // A wrong PIN counts: one is shown to tokens that somebody named, and to the only one there is.
    let show_pin = !wanted.tokens.is_empty() || all.len() == 1;
    let mut tokens = Vec::new();
    for namespace in all {
        tokens.push(open(context, &kms, namespace, show_pin, !wanted.tokens.is_empty())?);
    }
    let order = Order {
        now,
        period,
        tokens: wanted.tokens.to_vec(),
        max_age_days: wanted.max_age_days,
        verify: wanted.verify,
        home: context.config()?.home.display().to_string(),
        most_objects: usize::MAX,
    };
    let made = report::make(&kms, order, tokens, &mut |step| {
        told(step);
        true
    })?;
    kms.close()?;
    made.ok_or_else(|| "the report was given up".into())
}

/// A token, with what is private in it where its PIN is shown.
fn open(context: &Context, kms: &Kms, namespace: Namespace, show_pin: bool, ask: bool) -> Result<Opened, Failure> {
    let caller = kms.enter(&namespace, 0)?;
    if namespace.settings.pinless {
        return Ok(Opened { namespace, caller, closed: None });
    }
    let what = format!("user PIN of `{}`", output::plain(&namespace.name));
    let source = context.user_source(&what);
    let pin = match (show_pin, ask) {
        (true, true) => pin::offered(&source)?,
        (true, false) => pin::given(&source)?,
        (false, _) => None,
    };
    match pin {
        Some(pin) => {
            let caller = kms.login(&caller, &Credential::UserPin { name: "user", pin: &pin })?;
            Ok(Opened { namespace, caller, closed: None })
        }
        None => {
            let closed = Some("name it with --token and give its user PIN".to_owned());
            Ok(Opened { namespace, caller, closed })
        }
    }
}

fn of_server(server: &Client, wanted: &Wanted<'_>, told: &mut dyn FnMut(Step)) -> Result<Report, Failure> {
    let request = proto::MakeReportRequest {
        tokens: wanted.tokens.to_vec(),
        since_ms: wanted.since.map(|since| since.0),
        until_ms: wanted.until.map(|until| until.0),
        max_age_days: Some(wanted.max_age_days),
        without_verification: !wanted.verify,
    };
    let (mut json, mut whole) = (Vec::new(), false);
    server.listen(&request, |part| {
        match part.kind {
            Some(Kind::Verifying(at)) => told(Step::Verifying(at.bytes, at.bytes_total)),
            Some(Kind::Reading(at)) => told(Step::Reading(at.bytes, at.bytes_total)),
            Some(Kind::Part(part)) if json.len().saturating_add(part.len()) <= MOST => json.extend(part),
            Some(Kind::Part(_)) => return ControlFlow::Break(()),
            Some(Kind::Length(length)) => whole = u64::try_from(json.len()).is_ok_and(|len| len == length),
            None => {}
        }
        ControlFlow::Continue(())
    })?;
    if !whole {
        return Err("the server ended before the report was made".into());
    }
    Ok(Report::from_json(&json)?)
}
