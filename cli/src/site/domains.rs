//! Domain keys and the root key, of a home or of a server's.

use std::ops::ControlFlow;

use libkmss::auth::Credential;
use libkmss::clock::Timestamp;
use libkmss::kms::{DomainStatus, DomainVersionStatus, Kms, MaterialSeal, RewrapReport};
use libkmss::seal::{RootInfo, SealStatus};
use libkmss::secret::Secret;
use libkmss::suite::Suite;
use libkmss::tenant::Namespace;
use remote::client::Client;
use remote::proto::rewrap_domain_response::Kind;
use remote::{convert, proto};

use super::wire::some;
use crate::context::Context;
use crate::objects::text;
use crate::output::Failure;

/// Domain keys; without a namespace, the home's own.
pub(crate) trait Domains {
    /// Every namespace.
    fn namespaces(&self) -> Result<Vec<Namespace>, Failure>;

    /// The versions of one, and how many records name each.
    fn status(&self, of: Option<&Namespace>) -> Result<DomainStatus, Failure>;

    /// Makes a new version; its number. That of a namespace takes the officer's PIN, and may say what seals key material
    /// from now on.
    fn rotate(&self, of: Option<(&Namespace, &Secret)>, seal: Option<&MaterialSeal>) -> Result<u32, Failure>;

    /// Seals everything anew; `told` hears how many records it was so far.
    fn rewrap(&self, of: Option<(&Namespace, &Secret)>, told: &mut dyn FnMut(u64)) -> Result<RewrapReport, Failure>;

    /// Ends what was begun.
    fn close(&self) -> Result<(), Failure>;
}

impl Context {
    /// The domain keys.
    pub(crate) fn domains(&self) -> Result<Box<dyn Domains + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomeDomains(self.kms()?)),
            Some(server) => Box::new(ServerDomains(server)),
        })
    }

    /// Who holds the root key.
    pub(crate) fn seal_status(&self) -> Result<SealStatus, Failure> {
        let Some(server) = self.server() else {
            let kms = self.kms()?;
            let status = kms.seal_status()?;
            kms.close()?;
            return Ok(status);
        };
        let status = server.ask(proto::GetSealStatusRequest {})?;
        let suite = [Suite::Nist, Suite::Gm].into_iter().find(|suite| suite.name() == status.suite);
        let root = |root: proto::RootKey| RootInfo {
            holder: root.holder,
            key_id: root.key_id,
            serial: some(root.serial),
            mechanism: some(root.mechanism),
        };
        Ok(SealStatus {
            suite: suite.ok_or("the suite of the server's home is not known here")?.name(),
            root: status.root.map(root),
            next: status.next.map(root),
        })
    }
}

struct HomeDomains(Kms);

impl Domains for HomeDomains {
    fn namespaces(&self) -> Result<Vec<Namespace>, Failure> {
        Ok(self.0.namespaces()?)
    }

    fn status(&self, of: Option<&Namespace>) -> Result<DomainStatus, Failure> {
        Ok(self.0.domain_status(of)?)
    }

    fn rotate(&self, of: Option<(&Namespace, &Secret)>, seal: Option<&MaterialSeal>) -> Result<u32, Failure> {
        let kms = &self.0;
        let number = match of {
            Some((namespace, pin)) => {
                let officer = kms.login(&kms.enter(namespace, 0)?, &Credential::OfficerPin(pin))?;
                kms.rotate_domain(&officer, seal)?
            }
            None => kms.rotate_home_domain(&kms.administrator(None)?)?,
        };
        Ok(number)
    }

    fn rewrap(&self, of: Option<(&Namespace, &Secret)>, told: &mut dyn FnMut(u64)) -> Result<RewrapReport, Failure> {
        let kms = &self.0;
        let mut progress = |_, anew: u64| told(anew);
        let report = match of {
            Some((namespace, pin)) => {
                let officer = kms.administer(&kms.enter(namespace, 0)?, pin)?;
                kms.rewrap_domain(&officer, &mut progress)?
            }
            None => kms.rewrap_home_domain(&kms.administrator(None)?, &mut progress)?,
        };
        Ok(report)
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(self.0.close()?)
    }
}

struct ServerDomains<'a>(&'a Client);

/// What names a domain, and the PIN for it.
fn named(of: Option<(&Namespace, &Secret)>) -> Result<(String, String), Failure> {
    Ok(match of {
        Some((namespace, pin)) => (namespace.to_string(), text(pin)?),
        None => (String::new(), String::new()),
    })
}

impl Domains for ServerDomains<'_> {
    fn namespaces(&self) -> Result<Vec<Namespace>, Failure> {
        let all = self.0.ask(proto::ListAllNamespacesRequest {})?.namespaces;
        all.into_iter().map(|one| Ok(convert::namespace(one)?)).collect()
    }

    fn status(&self, of: Option<&Namespace>) -> Result<DomainStatus, Failure> {
        let wanted = of.map(ToString::to_string).unwrap_or_default();
        let all = self.0.ask(proto::ListDomainsRequest {})?.domains;
        let domain = all.into_iter().find(|domain| domain.namespace == wanted);
        let version = |version: proto::DomainVersion| DomainVersionStatus {
            number: version.number,
            created: version.created_ms.map(Timestamp),
            records: version.records,
            device: version.device.map(Into::into),
        };
        let domain = domain.ok_or("the server does not know this domain key")?;
        Ok(DomainStatus {
            namespace: some(wanted),
            versions: domain.versions.into_iter().map(version).collect(),
            left_in_device: domain.left_in_device.into_iter().map(Into::into).collect(),
        })
    }

    fn rotate(&self, of: Option<(&Namespace, &Secret)>, seal: Option<&MaterialSeal>) -> Result<u32, Failure> {
        let (namespace, officer_pin) = named(of)?;
        let seal = seal.map(ToString::to_string).unwrap_or_default();
        let request = proto::RotateDomainRequest { namespace, officer_pin, seal, request_id: Vec::new() };
        Ok(self.0.ask(request)?.version)
    }

    fn rewrap(&self, of: Option<(&Namespace, &Secret)>, told: &mut dyn FnMut(u64)) -> Result<RewrapReport, Failure> {
        let (namespace, officer_pin) = named(of)?;
        let mut outcome = None;
        self.0.listen(&proto::RewrapDomainRequest { namespace, officer_pin }, |part| {
            match part.kind {
                Some(Kind::Progress(anew)) => told(anew),
                Some(Kind::Outcome(done)) => outcome = Some(done),
                None => {}
            }
            ControlFlow::Continue(())
        })?;
        let outcome = outcome.ok_or("the server ended before everything was sealed anew: run it again")?;
        let proto::RewrapOutcome { version, records, erased, kept, damaged, left_in_device: left } = outcome;
        let left_in_device = left.into_iter().map(Into::into).collect();
        Ok(RewrapReport { version, records, erased, kept, damaged, left_in_device })
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}
