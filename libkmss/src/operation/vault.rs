//! Random tokens from the vault, and their values.
//!
//! The same actions as with FF1 ([`Action::of_cipher`](crate::key::Action::of_cipher)); the key seals the values, so that its
//! owner, its policies and its end are those of the tokens.

use std::sync::Arc;

use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::backend::Ciphering;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, BackendId, Object, Opener, Storage};
use crate::mechanism::{BlockCipher, CipherMode, Format, Gcm, Mechanism, Template};
use crate::permit::{Granted, Permit};
use crate::random::Random;
use crate::tenant::ObjectId;
use crate::vault::{Held, Shelf, Sought, Vault};

/// How many tokens are tried before the vault is called full.
const TRIES: u32 = 64;
/// Bytes of a nonce, before the ciphertext.
const NONCE: usize = 12;
/// Bytes of a tag.
const TAG: usize = 16;

/// Gives a value a random token, or the one that it has. Returns the token.
pub struct Tokenize {
    /// The key that seals the value: AES or SM4.
    pub key: ObjectRef,
    /// Its cipher.
    pub cipher: BlockCipher,
    /// What value and token look like.
    pub format: Format,
    /// The value, UTF-8.
    pub value: Zeroizing<Vec<u8>>,
    /// For how many seconds, one at least, the token stands for the value; for ever where it is absent. A token that there is keeps
    /// its time.
    pub life: Option<u64>,
}

/// Gets the value of a token back: [`Kms::detokenize`](crate::kms::Kms::detokenize), which finds the version of the key that sealed
/// it.
pub struct Detokenize {
    /// The version of the key that sealed the value: to another one the token stands for nothing.
    pub key: ObjectRef,
    /// Its cipher.
    pub cipher: BlockCipher,
    /// What value and token look like.
    pub format: Format,
    /// The token, UTF-8.
    pub token: Vec<u8>,
    /// Whether most of the value is hidden.
    pub masked: bool,
}

impl Operation for Tokenize {
    type Running = Zeroizing<String>;

    fn request(&self) -> Request {
        Request {
            mechanism: Some(gcm(self.cipher, [0; NONCE], Vec::new())),
            data_len: Some(self.value.len() as u64),
            ..Request::new(Action::Tokenize, Target::Object(self.key.clone()))
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Zeroizing<String>> {
        let vault = vault_of(hall, permit)?;
        if self.life == Some(0) {
            let why = "a token that ends at once stands for nothing: let it live a second at least";
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        let template = self.format.take(&self.value)?;
        let (value, format) = (template.bare(), self.format.to_string());
        let (shelf, now) = (shelf_of(permit)?, permit.issued());
        let end = |life: u64| Timestamp(now.0.saturating_add(life.saturating_mul(1000)));
        let entropy = hall.software()?.entropy();
        let mark = mark_of(permit, &shelf, &format, value.as_bytes())?;
        let sought = Sought { value: value.as_bytes(), mark: &mark };
        for _ in 0..TRIES {
            if let Some(held) = vault.by_value(&shelf, &format, sought, now)? {
                if is_there(hall, permit.caller(), held.by)? {
                    if held.by == permit.key()?.object.id {
                        vault.remark(&shelf, &held, &mark)?;
                    }
                    return Ok(template.dressed(&held.token));
                }
                vault.forget(&shelf, &held)?;
            }
            let token = drawn(&template, entropy)?;
            let bare = self.format.take(token.as_bytes())?.bare();
            if bare == value {
                continue;
            }
            let sealed = sealed(hall, permit, self.cipher, &bare, value.as_bytes())?;
            let sealed = (sealed, permit.key()?.object.id);
            let held = Held::new(format.clone(), bare.to_string(), sealed, self.life.map(end));
            if vault.put(&shelf, held, sought, now)? {
                return Ok(token);
            }
        }
        let why = "no free token was found: the format has too few values for what the vault holds; let tokens expire, or \
                   keep less of the value";
        Err(Error::new(ErrorKind::Conflict, why))
    }
}

impl Operation for Detokenize {
    type Running = Zeroizing<String>;

    fn request(&self) -> Request {
        let action = if self.masked { Action::ReadMasked } else { Action::Detokenize };
        Request {
            mechanism: Some(gcm(self.cipher, [0; NONCE], Vec::new())),
            data_len: Some(self.token.len() as u64),
            ..Request::new(action, Target::Object(self.key.clone()))
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Zeroizing<String>> {
        let vault = vault_of(hall, permit)?;
        // Whether it could be a token, was one, or is one of somebody else, is one answer.
        let unknown = || Error::new(ErrorKind::EncryptedDataInvalid, "the token stands for nothing here");
        let template = self.format.take(&self.token).map_err(|_| unknown())?;
        let (token, format) = (template.bare(), self.format.to_string());
        let held = vault.by_token(&shelf_of(permit)?, &format, &token, permit.issued())?;
        let held = held.filter(|held| permit.key().is_ok_and(|key| key.object.id == held.by)).ok_or_else(unknown)?;
        let value = opened(hall, permit, self.cipher, &token, &held.value)?;
        let value = std::str::from_utf8(&value).map_err(|_| unknown())?;
        let value = template.dressed(value);
        Ok(if self.masked { self.format.take(value.as_bytes())?.masked() } else { value })
    }
}

impl Detokenize {
    /// The same with the version of the key that sealed the value of the token, where that is another one and there still.
    pub(crate) fn by_its_version(self, hall: &Hall, caller: &Caller, now: Timestamp) -> Result<Self> {
        let ObjectRef::Stored(id) = self.key else { return Ok(self) };
        let Some(object) = found(hall, caller, id)? else { return Ok(self) };
        let elsewhere = object.key().is_none_or(|key| key.lifecycle.line.is_none() && key.lifecycle.role.is_none());
        let token = self.format.take(&self.token).ok().map(|template| template.bare());
        let Some(token) = token.filter(|_| !elsewhere) else { return Ok(self) };
        let (shelf, format) = (Shelf::of(&caller.namespace, &object), self.format.to_string());
        let held = hall.vault.by_token(&shelf, &format, &token, now)?;
        match held.map(|held| held.by) {
            Some(by) if by != id && is_there(hall, caller, by)? => Ok(Self { key: ObjectRef::Stored(by), ..self }),
            _ => Ok(self),
        }
    }
}

fn found(hall: &Hall, caller: &Caller, id: ObjectId) -> Result<Option<Arc<Object>>> {
    match hall.catalog.get(caller, id) {
        Ok(object) => Ok(Some(object)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the version of a key that sealed a value was not destroyed.
fn is_there(hall: &Hall, caller: &Caller, version: ObjectId) -> Result<bool> {
    found(hall, caller, version).map(|found| found.is_some())
}

/// The vault of this home, where the key is one of this home.
fn vault_of<'a>(hall: &'a Hall, permit: &Permit) -> Result<&'a Vault> {
    if hall.backend_of(permit)?.custody().is_some() {
        let why = "the key is on a server, and the vault of its tokens too: ask there (`kmss --server`)";
        return Err(Error::new(ErrorKind::Unsupported, why));
    }
    Ok(&hall.vault)
}

fn shelf_of(permit: &Permit) -> Result<Shelf> {
    Ok(Shelf::of(&permit.caller().namespace, permit.key()?.object))
}

/// What finds the token of a value in another home; empty of a key that no archive carries whole. Whoever has the mark and what the
/// key lies under could try values, and has the key itself then; of a key that a device keeps, or seals, they would not have it.
fn mark_of(permit: &Permit, shelf: &Shelf, format: &str, value: &[u8]) -> Result<String> {
    let Granted { object, version, .. } = permit.key()?;
    let ring = &permit.caller().keyring;
    let domain = if object.private { ring.private.as_ref() } else { Some(&ring.public) };
    let carried = object.storage == Storage::Stored && version.backend == BackendId::soft();
    match domain.filter(|domain| carried && domain.opener(&version.locator) == Some(Opener::Memory)) {
        Some(domain) => Vault::mark(domain, shelf, format, value),
        None => Ok(String::new()),
    }
}

/// A random text in the place of the value's.
fn drawn(template: &Template<'_>, entropy: &dyn Random) -> Result<Zeroizing<String>> {
    let radix = template.radix();
    let whole = u32::MAX - u32::MAX % radix.max(1);
    let mut numerals = Zeroizing::new(Vec::with_capacity(template.numerals().len()));
    while numerals.len() < template.numerals().len() {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes)?;
        let number = u32::from_ne_bytes(bytes);
        // What is beyond the last whole multiple would come too often.
        if number < whole {
            numerals.push(number % radix);
        }
    }
    template.with(&numerals)
}

fn gcm(cipher: BlockCipher, nonce: [u8; NONCE], aad: Vec<u8>) -> Mechanism {
    Mechanism::Cipher(cipher, CipherMode::Gcm(Gcm { iv: nonce.to_vec().into(), aad, tag_len: TAG }))
}

/// The value under the permit's key, bound to its token.
fn sealed(hall: &Hall, permit: &Permit, cipher: BlockCipher, token: &str, value: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    hall.software()?.entropy().fill(&mut nonce)?;
    let how = gcm(cipher, nonce, token.as_bytes().to_vec());
    let sealed = whole(hall.backend_of(permit)?.encrypt(permit, &how)?, value)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn opened(
    hall: &Hall,
    permit: &Permit,
    cipher: BlockCipher,
    token: &str,
    sealed: &ByteBuf,
) -> Result<Zeroizing<Vec<u8>>> {
    let damaged = || Error::new(ErrorKind::Damaged, "a value in the vault is damaged");
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
    let how = gcm(cipher, *nonce, token.as_bytes().to_vec());
    whole(hall.backend_of(permit)?.decrypt(permit, &how)?, sealed)
}

fn whole(mut running: Box<dyn Ciphering>, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(vec![0; running.finish_len(input.len())]);
    let len = running.finish(input, &mut out)?;
    out.truncate(len);
    Ok(out)
}
