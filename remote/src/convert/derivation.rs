//! Mechanisms of key derivation.

use libkmss::error::{Error, Result};
use libkmss::mechanism::{
    BlockCipher, Hash, Hkdf, HkdfSalt, Kbkdf, KbkdfInput, KbkdfMode, KdfMechanism, MacMechanism, MasterBinding,
    NumberFormat, Pbkdf2, Randoms, TlsMechanism,
};
use libkmss::secret::Secret;

use super::{Numbered, exactly, parameter, required, size, small};
use crate::proto::{self, NoParameters, hkdf, kbkdf, kbkdf_input, kdf_mechanism, tls_master, tls_mechanism};

/// Most pieces of which the input of SP 800-108 is made.
const MAX_PIECES: usize = 64;
/// Longest password of PBKDF2, and longest data of the simple mechanisms, in bytes.
const MAX_SECRET: usize = 1 << 16;
/// Longest random, label or context, and hash of a handshake, in bytes.
const MAX_SEED: usize = 1 << 16;
/// Longest key or initialisation vector of a key block in bytes.
const MAX_KEY: usize = 512;
/// Longest and shortest Finished MAC (RFC 5246, 7.4.9) in bytes.
const FINISHED: std::ops::RangeInclusive<u32> = 12..=256;

impl From<&KdfMechanism> for proto::KdfMechanism {
    fn from(mechanism: &KdfMechanism) -> Self {
        use kdf_mechanism::Kind;
        let kind = match mechanism {
            KdfMechanism::Hkdf(hkdf) => Kind::Hkdf(hkdf.into()),
            KdfMechanism::HkdfData(hkdf) => Kind::HkdfData(hkdf.into()),
            KdfMechanism::Kbkdf(kbkdf) => Kind::Kbkdf(kbkdf.into()),
            KdfMechanism::Pbkdf2(pbkdf2) => Kind::Pbkdf2(proto::Pbkdf2 {
                hash: pbkdf2.hash.number(),
                password: pbkdf2.password.expose().to_vec(),
                salt: pbkdf2.salt.clone(),
                iterations: pbkdf2.iterations,
            }),
            KdfMechanism::ConcatenateKey => Kind::ConcatenateKey(NoParameters {}),
            KdfMechanism::AppendData(data) => Kind::AppendData(data.expose().to_vec()),
            KdfMechanism::PrependData(data) => Kind::PrependData(data.expose().to_vec()),
            KdfMechanism::Xor(data) => Kind::Xor(data.expose().to_vec()),
            KdfMechanism::Extract { first_bit } => Kind::ExtractFirstBit(*first_bit),
            KdfMechanism::EncryptData { cipher, iv, data } => Kind::EncryptData(proto::EncryptData {
                cipher: cipher.number(),
                iv: iv.map(|iv| iv.to_vec()),
                data: data.clone(),
            }),
            KdfMechanism::PublicKey => Kind::PublicKey(NoParameters {}),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::KdfMechanism> for KdfMechanism {
    type Error = Error;

    fn try_from(mechanism: proto::KdfMechanism) -> Result<Self> {
        use kdf_mechanism::Kind;
        Ok(match required(mechanism.kind)? {
            Kind::Hkdf(hkdf) => Self::Hkdf(hkdf.try_into()?),
            Kind::HkdfData(hkdf) => Self::HkdfData(hkdf.try_into()?),
            Kind::Kbkdf(kbkdf) => Self::Kbkdf(kbkdf.try_into()?),
            Kind::Pbkdf2(pbkdf2) if pbkdf2.iterations > 0 => Self::Pbkdf2(Pbkdf2 {
                hash: Numbered::of(pbkdf2.hash)?,
                password: secret(pbkdf2.password)?,
                salt: pbkdf2.salt,
                iterations: pbkdf2.iterations,
            }),
            Kind::Pbkdf2(_) => return Err(parameter("PBKDF2 has one iteration at least")),
            Kind::ConcatenateKey(NoParameters {}) => Self::ConcatenateKey,
            Kind::AppendData(data) => Self::AppendData(secret(data)?),
            Kind::PrependData(data) => Self::PrependData(secret(data)?),
            Kind::Xor(data) => Self::Xor(secret(data)?),
            Kind::ExtractFirstBit(first_bit) => Self::Extract { first_bit },
            Kind::EncryptData(proto::EncryptData { cipher, iv, data }) => {
                if data.is_empty() || data.len() % BlockCipher::BLOCK != 0 || data.len() > MAX_SECRET {
                    return Err(parameter("the data to be encrypted into a key is no number of whole blocks"));
                }
                let iv = iv.map(|iv| exactly(&iv)).transpose()?;
                Self::EncryptData { cipher: Numbered::of(cipher)?, iv, data }
            }
            Kind::PublicKey(NoParameters {}) => Self::PublicKey,
        })
    }
}

fn secret(bytes: Vec<u8>) -> Result<Secret> {
    let bytes = Secret::new(bytes);
    if bytes.len() <= MAX_SECRET { Ok(bytes) } else { Err(parameter("the data of the mechanism is too long")) }
}

fn seed(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if bytes.len() < MAX_SEED { Ok(bytes) } else { Err(parameter("a random, label or context is too long")) }
}

impl From<&Hkdf> for proto::Hkdf {
    fn from(hkdf: &Hkdf) -> Self {
        use hkdf::Salt;
        let salt = match &hkdf.salt {
            HkdfSalt::Zeros => Salt::Zeros(NoParameters {}),
            HkdfSalt::Bytes(bytes) => Salt::SaltBytes(bytes.clone()),
            HkdfSalt::Key => Salt::SaltKey(NoParameters {}),
        };
        Self {
            hash: hkdf.hash.number(),
            extract: hkdf.extract,
            expand: hkdf.expand,
            salt: Some(salt),
            info: hkdf.info.clone(),
        }
    }
}

impl TryFrom<proto::Hkdf> for Hkdf {
    type Error = Error;

    fn try_from(hkdf: proto::Hkdf) -> Result<Self> {
        use hkdf::Salt;
        if !hkdf.extract && !hkdf.expand {
            return Err(parameter("HKDF extracts or expands, or both"));
        }
        let salt = match hkdf.salt {
            None | Some(Salt::Zeros(NoParameters {})) => HkdfSalt::Zeros,
            Some(Salt::SaltBytes(bytes)) => HkdfSalt::Bytes(bytes),
            Some(Salt::SaltKey(NoParameters {})) => HkdfSalt::Key,
        };
        Ok(Self { hash: Numbered::of(hkdf.hash)?, extract: hkdf.extract, expand: hkdf.expand, salt, info: hkdf.info })
    }
}

impl From<&Kbkdf> for proto::Kbkdf {
    fn from(function: &Kbkdf) -> Self {
        use kbkdf::Mode;
        let mode = match &function.mode {
            KbkdfMode::Counter => Mode::Counter(NoParameters {}),
            KbkdfMode::Feedback { iv } => Mode::FeedbackIv(iv.clone()),
            KbkdfMode::DoublePipeline => Mode::DoublePipeline(NoParameters {}),
        };
        let input = function.input.iter().map(Into::into).collect();
        Self { mode: Some(mode), prf: Some((&function.prf).into()), input }
    }
}

impl TryFrom<proto::Kbkdf> for Kbkdf {
    type Error = Error;

    fn try_from(function: proto::Kbkdf) -> Result<Self> {
        use kbkdf::Mode;
        if function.input.len() > MAX_PIECES {
            return Err(parameter("the input of the key derivation has too many pieces"));
        }
        let mode = match required(function.mode)? {
            Mode::Counter(NoParameters {}) => KbkdfMode::Counter,
            Mode::FeedbackIv(iv) => KbkdfMode::Feedback { iv },
            Mode::DoublePipeline(NoParameters {}) => KbkdfMode::DoublePipeline,
        };
        let prf = pseudorandom(required(function.prf)?.try_into()?)?;
        let input: Vec<KbkdfInput> = function.input.into_iter().map(TryInto::try_into).collect::<Result<_>>()?;
        let count = |f: fn(&KbkdfInput) -> bool| input.iter().filter(|piece| f(piece)).count();
        let counters = count(|piece| matches!(piece, KbkdfInput::Counter(_)));
        let previous = count(|piece| matches!(piece, KbkdfInput::Previous));
        let lengths = count(|piece| matches!(piece, KbkdfInput::Length { .. }));
        let complete = match mode {
            KbkdfMode::Counter => (counters, previous) == (1, 0),
            _ => previous == 1 && counters <= 1,
        };
        if !complete || lengths > 1 {
            return Err(parameter("the input of the key derivation lacks a piece, or has one too often"));
        }
        Ok(Self { mode, prf, input })
    }
}

/// A MAC with its full length that SP 800-108 takes.
fn pseudorandom(prf: MacMechanism) -> Result<MacMechanism> {
    match &prf {
        MacMechanism::Hmac { hash, len } if *len == hash.len() => Ok(prf),
        MacMechanism::Cmac { len: BlockCipher::BLOCK, .. } => Ok(prf),
        _ => Err(parameter("the pseudorandom function is an HMAC or CMAC with its full length")),
    }
}

impl From<&KbkdfInput> for proto::KbkdfInput {
    fn from(input: &KbkdfInput) -> Self {
        use kbkdf_input::Kind;
        let kind = match input {
            KbkdfInput::Previous => Kind::Previous(NoParameters {}),
            KbkdfInput::Counter(format) => Kind::Counter((*format).into()),
            KbkdfInput::Length { of_rounds, format } => {
                Kind::Length(proto::KbkdfLength { of_rounds: *of_rounds, format: Some((*format).into()) })
            }
            KbkdfInput::Bytes(bytes) => Kind::Bytes(bytes.clone()),
            KbkdfInput::Key(index) => Kind::Key(small(*index)),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::KbkdfInput> for KbkdfInput {
    type Error = Error;

    fn try_from(input: proto::KbkdfInput) -> Result<Self> {
        use kbkdf_input::Kind;
        Ok(match required(input.kind)? {
            Kind::Previous(NoParameters {}) => Self::Previous,
            Kind::Counter(format) => Self::Counter(format.try_into()?),
            Kind::Length(length) => {
                Self::Length { of_rounds: length.of_rounds, format: required(length.format)?.try_into()? }
            }
            Kind::Bytes(bytes) => Self::Bytes(bytes),
            Kind::Key(index) => Self::Key(size(index)),
        })
    }
}

impl From<NumberFormat> for proto::NumberFormat {
    fn from(format: NumberFormat) -> Self {
        Self { little_endian: format.little_endian, len: small(format.len) }
    }
}

impl TryFrom<proto::NumberFormat> for NumberFormat {
    type Error = Error;

    fn try_from(format: proto::NumberFormat) -> Result<Self> {
        match format.len {
            1..=8 => Ok(Self { little_endian: format.little_endian, len: size(format.len) }),
            _ => Err(parameter("a number is written in 1 to 8 bytes")),
        }
    }
}

impl From<&TlsMechanism> for proto::TlsMechanism {
    fn from(mechanism: &TlsMechanism) -> Self {
        use tls_master::Binding;
        use tls_mechanism::Kind;
        let kind = match mechanism {
            TlsMechanism::Premaster { version } => Kind::PremasterVersion(version.to_vec()),
            TlsMechanism::Master { hash, binding, versioned } => Kind::Master(proto::TlsMaster {
                hash: hash.number(),
                binding: Some(match binding {
                    MasterBinding::Randoms(randoms) => Binding::Randoms(randoms.into()),
                    MasterBinding::Handshake(hash) => Binding::Handshake(hash.clone()),
                }),
                versioned: *versioned,
            }),
            TlsMechanism::KeyBlock { hash, randoms, mac_len, key_len, iv_len } => Kind::KeyBlock(proto::TlsKeyBlock {
                hash: hash.number(),
                randoms: Some(randoms.into()),
                mac_len: small(*mac_len),
                key_len: small(*key_len),
                iv_len: iv_len.map(small),
            }),
            TlsMechanism::Export { hash, label, randoms, context } => Kind::Export(proto::TlsExport {
                hash: hash.number(),
                label: label.clone(),
                randoms: Some(randoms.into()),
                context: context.clone(),
            }),
            TlsMechanism::Finished { hash, len, server } => {
                Kind::Finished(proto::TlsFinished { hash: hash.number(), len: small(*len), server: *server })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::TlsMechanism> for TlsMechanism {
    type Error = Error;

    fn try_from(mechanism: proto::TlsMechanism) -> Result<Self> {
        use tls_mechanism::Kind;
        Ok(match required(mechanism.kind)? {
            Kind::PremasterVersion(version) => Self::Premaster { version: exactly(&version)? },
            Kind::Master(master) => Self::Master {
                hash: tls_hash(master.hash)?,
                binding: binding(required(master.binding)?)?,
                versioned: master.versioned,
            },
            Kind::KeyBlock(block) => Self::KeyBlock {
                hash: tls_hash(block.hash)?,
                randoms: required(block.randoms)?.try_into()?,
                mac_len: key_len(block.mac_len)?,
                key_len: key_len(block.key_len)?,
                iv_len: block.iv_len.map(key_len).transpose()?,
            },
            Kind::Export(export) => Self::Export {
                hash: tls_hash(export.hash)?,
                label: seed(export.label)?,
                randoms: required(export.randoms)?.try_into()?,
                context: export.context.map(seed).transpose()?,
            },
            Kind::Finished(finished) if FINISHED.contains(&finished.len) => {
                Self::Finished { hash: tls_hash(finished.hash)?, len: size(finished.len), server: finished.server }
            }
            Kind::Finished(_) => return Err(parameter("the data of a Finished message has 12 to 256 bytes")),
        })
    }
}

fn binding(binding: tls_master::Binding) -> Result<MasterBinding> {
    match binding {
        tls_master::Binding::Randoms(randoms) => randoms.try_into().map(MasterBinding::Randoms),
        tls_master::Binding::Handshake(hash) if hash.is_empty() => Err(parameter("the hash of the handshake is empty")),
        tls_master::Binding::Handshake(hash) => seed(hash).map(MasterBinding::Handshake),
    }
}

fn key_len(len: u32) -> Result<usize> {
    let len = size(len);
    if len <= MAX_KEY { Ok(len) } else { Err(parameter("a key of the connection is too long")) }
}

/// A hash of TLS 1.2.
fn tls_hash(number: i32) -> Result<Hash> {
    match Numbered::of(number)? {
        Hash::Sm3 => Err(parameter("TLS 1.2 has no pseudorandom function with SM3")),
        hash => Ok(hash),
    }
}

impl From<&Randoms> for proto::TlsRandoms {
    fn from(randoms: &Randoms) -> Self {
        Self { client: randoms.client.clone(), server: randoms.server.clone() }
    }
}

impl TryFrom<proto::TlsRandoms> for Randoms {
    type Error = Error;

    fn try_from(randoms: proto::TlsRandoms) -> Result<Self> {
        if randoms.client.is_empty() || randoms.server.is_empty() {
            return Err(parameter("a random of TLS is empty"));
        }
        Ok(Self { client: seed(randoms.client)?, server: seed(randoms.server)? })
    }
}
