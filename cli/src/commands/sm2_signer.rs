//! Requests and certificates signed with an SM2 key in a token, which rcgen does not know (GB/T 32918.2, RFC 8998, 3.2).

use std::sync::Arc;
use std::time::Duration;

use libkmss::key::Object;
use libkmss::mechanism::{Mechanism, Sm2Mechanism};
use signature::Keypair;
use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder, CertificateBuilder};
use x509_cert::der::asn1::{BitString, GeneralizedTime, ObjectIdentifier, OctetString};
use x509_cert::der::{Document, Encode as _};
use x509_cert::ext::pkix::{BasicConstraints, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name;
use x509_cert::request::RequestBuilder;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    self, AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, SubjectPublicKeyInfoOwned,
    SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};

use super::subject::Subject;
use super::token_key::ecdsa_der;
use crate::objects::Objects;
use crate::output::Failure;

/// sm2-with-SM3 (GM/T 0006)
const SM2_WITH_SM3: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.501");

/// An SM2 key that stays where it is.
pub(super) struct Sm2Signer<'a> {
    objects: &'a dyn Objects,
    object: &'a Arc<Object>,
    public: Sm2Public,
}

/// Its public half (SubjectPublicKeyInfo).
#[derive(Clone)]
struct Sm2Public(Vec<u8>);

impl<'a> Sm2Signer<'a> {
    /// The private key `object`.
    ///
    /// # Errors
    /// Its public half is not known.
    pub(super) fn new(objects: &'a dyn Objects, object: &'a Arc<Object>) -> Result<Self, Failure> {
        let public = object.key().ok_or("the object is no key")?.primary()?.public.spki();
        let public = Sm2Public(public.ok_or("the public half of the key is not known")?);
        Ok(Self { objects, object, public })
    }

    /// A request (PKCS #10) in DER.
    ///
    /// # Errors
    /// The token refuses to sign.
    pub(super) fn request(&self, subject: &Subject) -> Result<Vec<u8>, Failure> {
        let mut request = RequestBuilder::new(subject.name()?)?;
        request.add_extension(&END_ENTITY)?;
        if let Some(names) = subject.alternative_names()? {
            request.add_extension(&names)?;
        }
        let signature = self.sign(&request.finalize(&self.keypair())?)?;
        Ok(request.assemble(signature, &self.keypair())?.to_der()?)
    }

    /// A certificate signed by the key itself, in DER. Times are seconds since the epoch.
    ///
    /// # Errors
    /// The token refuses to sign.
    pub(super) fn self_signed(
        &self,
        subject: &Subject,
        serial: &[u8],
        (from, until): (u64, u64),
    ) -> Result<Vec<u8>, Failure> {
        let time =
            |seconds| Ok::<_, Failure>(Time::from(GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?));
        let validity = Validity::new(time(from)?, time(until)?);
        let key = SubjectPublicKeyInfoOwned::try_from(self.public.0.as_slice())?;
        let profile = SelfSigned(subject.name()?);
        let mut certificate = CertificateBuilder::new(profile, SerialNumber::new(serial)?, validity, key)?;
        if let Some(names) = subject.alternative_names()? {
            certificate.add_extension(&names)?;
        }
        let signature = self.sign(&certificate.finalize(&self.keypair())?)?;
        Ok(certificate.assemble(signature, &self.keypair())?.to_der()?)
    }

    fn sign(&self, message: &[u8]) -> Result<BitString, Failure> {
        let mechanism = Mechanism::Sm2(Sm2Mechanism::SignSm3 { id: Sm2Mechanism::DEFAULT_ID.to_vec() });
        let raw = self.objects.sign(self.object, &mechanism, message)?;
        Ok(BitString::from_bytes(&ecdsa_der(&raw)?)?)
    }

    fn keypair(&self) -> Sm2Public {
        self.public.clone()
    }
}

impl Keypair for Sm2Public {
    type VerifyingKey = Self;

    fn verifying_key(&self) -> Self {
        self.clone()
    }
}

impl EncodePublicKey for Sm2Public {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.as_slice())?)
    }
}

impl DynSignatureAlgorithmIdentifier for Sm2Public {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(AlgorithmIdentifierOwned { oid: SM2_WITH_SM3, parameters: None })
    }
}

const END_ENTITY: BasicConstraints = BasicConstraints { ca: false, path_len_constraint: None };

/// A certificate that only vouches for itself.
struct SelfSigned(Name);

impl BuilderProfile for SelfSigned {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        // RFC 5280, 4.2.1.2 lets the identifier be any value that is unique; part of the point is.
        let point = key.subject_public_key.as_bytes().unwrap_or_default();
        let identifier = SubjectKeyIdentifier(OctetString::new(point.get(1..21).unwrap_or(point))?);
        let subject = tbs.subject();
        Ok(vec![END_ENTITY.to_extension(subject, &[])?, identifier.to_extension(subject, &[])?])
    }
}
