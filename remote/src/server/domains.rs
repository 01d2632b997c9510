//! Domain keys and the root key of the home, for administrators.

use std::sync::Arc;

use libkmss::caller::Caller;
use libkmss::error::Result;
use libkmss::kms::{DomainStatus, MaterialSeal, RewrapReport};
use libkmss::seal::RootInfo;
use libkmss::tenant::Namespace;

use super::Server;
use super::admin::secret;
use super::bridge::Way;
use super::call::{Asked, Call, argument};
use super::queue::Queued;
use super::route::Context;
use super::trail::Outlet;
use crate::proto::{self, rewrap_domain_response::Kind};

/// Records after which it is told how far the rewrapping is.
const STEP: u64 = 500;

fn domain(status: DomainStatus) -> proto::Domain {
    let version = |version: libkmss::kms::DomainVersionStatus| proto::DomainVersion {
        number: version.number,
        created_ms: version.created.map(|created| created.0),
        records: version.records,
        device: version.device.map(Into::into),
    };
    proto::Domain {
        namespace: status.namespace.unwrap_or_default(),
        versions: status.versions.into_iter().map(version).collect(),
        left_in_device: status.left_in_device.into_iter().map(Into::into).collect(),
    }
}

fn root_key(root: RootInfo) -> proto::RootKey {
    proto::RootKey {
        holder: root.holder,
        key_id: root.key_id,
        serial: root.serial.unwrap_or_default(),
        mechanism: root.mechanism.unwrap_or_default(),
    }
}

impl Asked<'_> {
    /// The caller in any namespace, served or not, where it is to show the officer's PIN: as whom rules know it there.
    pub(super) fn visitor(&self, namespace: &Namespace) -> Result<Caller> {
        let kms = &self.host.kms;
        let principal = Arc::new(self.connection.peer.principal(&self.host.config, &namespace.name)?);
        let visitor = kms.enter(namespace, 0)?.introduce(principal, self.connection.number, kms.now());
        Ok(self.call.map_or_else(|| visitor.clone(), |id| visitor.calling(id)))
    }
}

impl Call for proto::ListDomainsRequest {
    type Answer = proto::ListDomainsResponse;
    const METHOD: &'static str = "ListDomains";
    const WAY: Way = Way::Long;
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListDomainsResponse> {
        asked.admin()?;
        let kms = &asked.host.kms;
        let mut domains = vec![domain(kms.domain_status(None)?)];
        for namespace in kms.namespaces()? {
            domains.push(domain(kms.domain_status(Some(&namespace))?));
        }
        Ok(proto::ListDomainsResponse { domains })
    }
}

impl Call for proto::RotateDomainRequest {
    type Answer = proto::RotateDomainResponse;
    const METHOD: &'static str = "RotateDomain";
    const PIN: bool = true;
    const WAY: Way = Way::Home;
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RotateDomainResponse> {
        asked.admin()?;
        let kms = &asked.host.kms;
        let seal: Option<MaterialSeal> = (!self.seal.is_empty()).then(|| self.seal.parse()).transpose()?;
        if self.namespace.is_empty() {
            if seal.is_some() {
                return Err(argument("the home has no key material that could be sealed otherwise: name a namespace"));
            }
            return Ok(proto::RotateDomainResponse { version: kms.rotate_home_domain(&asked.caller)? });
        }
        let officer = asked.logged_in(&asked.visitor(&asked.named(&self.namespace)?)?, self.officer_pin)?;
        Ok(proto::RotateDomainResponse { version: kms.rotate_domain(&officer, seal.as_ref())? })
    }
}

impl Call for proto::GetSealStatusRequest {
    type Answer = proto::GetSealStatusResponse;
    const METHOD: &'static str = "GetSealStatus";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GetSealStatusResponse> {
        asked.admin()?;
        let status = asked.host.kms.seal_status()?;
        Ok(proto::GetSealStatusResponse {
            suite: status.suite.to_owned(),
            root: status.root.map(root_key),
            next: status.next.map(root_key),
        })
    }
}

impl Server {
    /// Seals everything of a domain anew.
    pub(super) async fn rewrap_domain(
        self: &Arc<Self>,
        context: &Context,
        asked: proto::RewrapDomainRequest,
    ) -> Result<Queued<proto::RewrapDomainResponse>> {
        self.pour(
            ("RewrapDomain", context),
            Way::Home,
            |who| who.admin(),
            move |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let kms = &who.host.kms;
                let mut told = 0;
                let mut progress = |_, anew: u64| {
                    if anew >= told + STEP {
                        told = anew;
                        outlet.put(Ok(proto::RewrapDomainResponse { kind: Some(Kind::Progress(anew)) }));
                    }
                };
                let report = if asked.namespace.is_empty() {
                    kms.rewrap_home_domain(&who.caller, &mut progress)?
                } else {
                    let visitor = who.visitor(&who.named(&asked.namespace)?)?;
                    let pin = secret(asked.officer_pin)?;
                    let turn = who.turn()?;
                    let officer = who.try_pin(&visitor, || kms.administer(&visitor, &pin))?;
                    drop(turn);
                    kms.rewrap_domain(&officer, &mut progress)?
                };
                let RewrapReport { version, records, erased, kept, damaged, left_in_device: left } = report;
                let left_in_device = left.into_iter().map(Into::into).collect();
                let outcome = proto::RewrapOutcome { version, records, erased, kept, damaged, left_in_device };
                let outcome = Kind::Outcome(outcome);
                outlet.put(Ok(proto::RewrapDomainResponse { kind: Some(outcome) }));
                Ok(())
            },
        )
        .await
    }
}
