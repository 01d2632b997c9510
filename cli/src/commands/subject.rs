//! What certificates and requests say of their subject.

use std::net::IpAddr;

use rcgen::{CertificateParams, DistinguishedName, DnType};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Any, Ia5String, ObjectIdentifier};
use x509_cert::der::{Decode as _, Encode as _, Tag};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use crate::args::SubjectArgs;
use crate::output::Failure;

/// A distinguished name, and the hosts it is for.
pub(super) struct Subject {
    fields: Vec<(Field, String)>,
    hosts: Vec<String>,
}

/// A field of a distinguished name (RFC 4519, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    CommonName,
    Organization,
    Unit,
    Country,
    State,
    Locality,
}

impl Subject {
    /// Parses the options `--subject` and `--dns`.
    ///
    /// # Errors
    /// The subject is no list of fields.
    pub(super) fn parse(args: &SubjectArgs) -> Result<Self, Failure> {
        Ok(Self { fields: fields(&args.subject)?, hosts: args.names.clone() })
    }

    /// As rcgen wants it.
    ///
    /// # Errors
    /// A host's name cannot stand in a certificate.
    pub(super) fn params(&self) -> Result<CertificateParams, Failure> {
        let mut params = CertificateParams::new(self.hosts.clone())
            .map_err(|e| format!("a --dns name cannot stand in a certificate: {e}"))?;
        let mut name = DistinguishedName::new();
        for (field, value) in &self.fields {
            name.push(field.rcgen(), value.as_str());
        }
        params.distinguished_name = name;
        Ok(params)
    }

    /// As x509-cert wants it.
    ///
    /// # Errors
    /// A value cannot stand in a certificate.
    pub(super) fn name(&self) -> Result<Name, Failure> {
        let mut sequence = RdnSequence::default();
        for (field, value) in &self.fields {
            // RFC 5280, appendix A.1: the country is a PrintableString.
            let tag = if *field == Field::Country { Tag::PrintableString } else { Tag::Utf8String };
            let attribute = AttributeTypeAndValue { oid: field.oid(), value: Any::new(tag, value.as_bytes())? };
            sequence.push(RelativeDistinguishedName::try_from(vec![attribute])?);
        }
        Ok(Name::from_der(&sequence.to_der()?)?)
    }

    /// The hosts, where there are any.
    ///
    /// # Errors
    /// A host's name cannot stand in a certificate.
    pub(super) fn alternative_names(&self) -> Result<Option<SubjectAltName>, Failure> {
        let name = |host: &String| match host.parse::<IpAddr>() {
            Ok(address) => Ok(GeneralName::from(address)),
            Err(_) => Ia5String::new(host)
                .map(GeneralName::DnsName)
                .map_err(|e| format!("`{host}` cannot stand in a certificate: {e}")),
        };
        let names = self.hosts.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        Ok((!names.is_empty()).then_some(SubjectAltName(names)))
    }
}

impl Field {
    fn parse(text: &str) -> Result<Self, Failure> {
        Ok(match text.trim().to_ascii_uppercase().as_str() {
            "CN" => Self::CommonName,
            "O" => Self::Organization,
            "OU" => Self::Unit,
            "C" => Self::Country,
            "ST" => Self::State,
            "L" => Self::Locality,
            _ => return Err(format!("`{text}` is no subject field: say CN, O, OU, C, ST or L").into()),
        })
    }

    const fn rcgen(self) -> DnType {
        match self {
            Self::CommonName => DnType::CommonName,
            Self::Organization => DnType::OrganizationName,
            Self::Unit => DnType::OrganizationalUnitName,
            Self::Country => DnType::CountryName,
            Self::State => DnType::StateOrProvinceName,
            Self::Locality => DnType::LocalityName,
        }
    }

    const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::CommonName => "2.5.4.3",
            Self::Organization => "2.5.4.10",
            Self::Unit => "2.5.4.11",
            Self::Country => "2.5.4.6",
            Self::State => "2.5.4.8",
            Self::Locality => "2.5.4.7",
        })
    }
}

/// Parses `CN=localhost,O=Example`; a comma in a value is written `\,`.
fn fields(text: &str) -> Result<Vec<(Field, String)>, Failure> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => parts.last_mut().into_iter().for_each(|p| p.extend(chars.next())),
            ',' => parts.push(String::new()),
            c => parts.last_mut().into_iter().for_each(|p| p.push(c)),
        }
    }
    parts
        .iter()
        .map(|part| {
            let (field, value) =
                part.split_once('=').ok_or_else(|| format!("`{part}` in the subject is not FIELD=value"))?;
            Ok((Field::parse(field)?, value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn subjects_are_fields_with_escaped_commas() {
        let found = fields("CN=localhost, O=Acme\\, Inc").unwrap();
        let wanted = [(Field::CommonName, "localhost"), (Field::Organization, "Acme, Inc")];
        assert_eq!(found, wanted.map(|(f, v)| (f, v.to_owned())));
        assert!(fields("localhost").is_err());
        assert!(fields("XX=1").is_err());
    }

    #[test]
    fn both_libraries_are_told_the_same_name() {
        let args = SubjectArgs { subject: "CN=h,C=CN".to_owned(), names: vec!["h".to_owned(), "::1".to_owned()] };
        let subject = Subject::parse(&args).unwrap();
        assert_eq!(subject.name().unwrap().iter_rdn().count(), 2);
        assert_eq!(subject.params().unwrap().distinguished_name.iter().count(), 2);
        assert_eq!(subject.alternative_names().unwrap().unwrap().0.len(), 2);
    }
}
