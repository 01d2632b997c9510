//! Streams: data of any length, in parts.
//!
//! Each part crosses to the core by itself, so that a slow peer holds no thread.

use std::sync::Arc;
use std::time::Duration;

use libkmss::backend::{Ciphering, Signing, Verifying};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::BackendId;
use libkmss::operation::{Decrypt, Encrypt, Sign, Verify};
use libkmss::pipeline::Unfinished;
use tokio::time::timeout;
use tonic::Streaming;

use super::Server;
use super::bridge::Way;
use super::call::{Asked, argument};
use super::crypto::{chosen, of};
use super::peer::Connection;
use super::queue::{Inlet, Queued, queue};
use super::route::Context;
use super::shares::{Kept, Share};
use crate::convert;
use crate::proto::{self, StreamStart};

/// How long a stream may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// Parts of output that wait to be fetched.
const AHEAD: usize = 4;

/// A part of a stream.
pub(super) enum Part {
    Start(StreamStart),
    Data(Vec<u8>),
    Signature(Vec<u8>),
}

/// A message that is a part of a stream.
pub(super) trait Parted {
    fn part(self) -> Option<Part>;
}

macro_rules! parted {
    ($message:ident, $module:ident $(, $signature:ident)?) => {
        impl Parted for proto::$message {
            fn part(self) -> Option<Part> {
                use proto::$module::Part as Wire;
                Some(match self.part? {
                    Wire::Start(start) => Part::Start(start),
                    Wire::Data(data) => Part::Data(data),
                    $(Wire::$signature(signature) => Part::Signature(signature),)?
                })
            }
        }
    };
}

parted!(SignStreamRequest, sign_stream_request);
parted!(VerifyStreamRequest, verify_stream_request, Signature);
parted!(EncryptStreamRequest, encrypt_stream_request);
parted!(DecryptStreamRequest, decrypt_stream_request);

/// The next part; `None` at the end.
async fn next<M: Parted>(stream: &mut Streaming<M>) -> Result<Option<Part>> {
    let broken = |why| Error::new(ErrorKind::OperationInactive, why);
    let message = timeout(SILENCE, stream.message()).await.map_err(|_| broken("the stream was silent for too long"))?;
    match message.map_err(|_| broken("the stream broke off"))? {
        None => Ok(None),
        Some(message) => message.part().ok_or_else(|| argument("a part of the stream is empty")).map(Some),
    }
}

async fn start<M: Parted>(stream: &mut Streaming<M>) -> Result<StreamStart> {
    match next(stream).await? {
        Some(Part::Start(start)) => Ok(start),
        _ => Err(argument("a stream begins with its start")),
    }
}

/// Hands a part of the output on; whether somebody takes it. Who asks for it and does not fetch it holds it no longer than
/// who is silent.
async fn sent(out: &Inlet<Vec<u8>>, part: Vec<u8>, share: Option<Share>) -> Result<bool> {
    let late = |_| Error::new(ErrorKind::OperationInactive, "the output of the stream was not fetched for too long");
    timeout(SILENCE, out.put(Ok(part), share)).await.map_err(late)
}

fn full() -> Error {
    let why = "streams hold as much as the server has for them, or for one peer: try again, or in smaller parts";
    Error::new(ErrorKind::Busy, why)
}

const fn method(encrypts: bool) -> &'static str {
    if encrypts { "EncryptStream" } else { "DecryptStream" }
}

/// What of a stream is in memory until its end, of what its peer and the server may hold.
struct Held {
    bytes: usize,
    most: usize,
    /// Absent where nothing is held.
    share: Option<Share>,
}

impl Held {
    fn of(server: &Server, connection: &Connection) -> Self {
        let most = usize::try_from(server.config.max_stream_bytes).unwrap_or(usize::MAX);
        Self { bytes: 0, most, share: server.shares.bytes.take(connection.owner(), 0) }
    }

    /// That of a signature or of its check: what is not hashed as it comes is held, by the engine or before a device.
    fn new(server: &Server, connection: &Connection, start: &StreamStart) -> Self {
        let key = start.key.as_ref();
        let hashed = start.mechanism.as_ref().is_some_and(is_hashed)
            && server.host.backend_of(of(key), key) == BackendId::soft();
        if hashed { Self { bytes: 0, most: usize::MAX, share: None } } else { Self::of(server, connection) }
    }

    fn take(&mut self, len: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > self.most {
            let why = "the stream has more data than the server holds until its end";
            return Err(Error::new(ErrorKind::DataLength, why));
        }
        if self.share.as_mut().is_some_and(|share| !share.grow(len)) {
            return Err(full());
        }
        Ok(())
    }
}

/// Whether the software engine needs no more of a message than its hash, or the state of a MAC.
fn is_hashed(mechanism: &proto::Mechanism) -> bool {
    use libkmss::mechanism::{EcMechanism, Mechanism, RsaMechanism};
    match Mechanism::try_from(mechanism.clone()) {
        Ok(Mechanism::Ec(EcMechanism::Ecdsa { hash })) => hash.is_some(),
        Ok(Mechanism::Rsa(RsaMechanism::PkcsHash(_) | RsaMechanism::Pss { message: true, .. })) => true,
        Ok(Mechanism::Mac(_) | Mechanism::Sm2(_)) => true,
        _ => false,
    }
}

/// Begins what `start` says; with it come the key's version, and the backend that it crosses to.
async fn begun<R: Send + 'static>(
    (server, method): (&Arc<Server>, &'static str),
    connection: &Arc<Connection>,
    start: StreamStart,
    begin: impl FnOnce(&Asked<'_>, StreamStart) -> Result<Unfinished<R>> + Send + 'static,
) -> Result<(Unfinished<R>, u32, BackendId)> {
    let (whole, connection) = (Arc::clone(server), Arc::clone(connection));
    let (namespace, key) = (of(start.key.as_ref()), start.key.as_ref());
    // Once it has begun, the key is open.
    let (lane, backend) = (server.host.lane_of(namespace, key), server.host.backend_of(namespace, key));
    let begin = move || {
        let host = &*whole.host;
        let call = convert::request_id(&start.request_id)?;
        let caller = host.caller(&connection, of(start.key.as_ref()), call, method)?;
        let asked = Asked { method, server: &whole, host, connection: &connection, caller, call };
        let version = asked.version(&asked.object(start.key.as_ref())?);
        Ok((begin(&asked, start)?, version))
    };
    let (running, version) = server.bridge.cross(&lane, server.deadline(), begin).await?;
    Ok((running, version, backend))
}

impl Server {
    pub(super) async fn sign_stream(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        mut stream: Streaming<proto::SignStreamRequest>,
    ) -> Result<proto::SignStreamResponse> {
        let start = start(&mut stream).await?;
        let _share = self.share(Way::Keys, connection)?;
        let mut held = Held::new(self, connection, &start);
        let begin = |asked: &Asked<'_>, start: StreamStart| {
            let (key, how) = (asked.object(start.key.as_ref())?, chosen(start.mechanism)?);
            asked.host.kms.begin(&asked.caller, Sign { key, how })
        };
        let (mut running, key_version, backend): (Unfinished<Box<dyn Signing>>, _, _) =
            begun((self, "SignStream"), connection, start, begin).await?;
        while let Some(part) = next(&mut stream).await? {
            let Part::Data(data) = part else { return Err(argument("behind the start of a stream comes data")) };
            held.take(data.len())?;
            running = self
                .bridge
                .cross(&backend, self.deadline(), move || {
                    running.update(&data, |signing| signing.update(&data))?;
                    Ok(running)
                })
                .await?;
        }
        let finish = move || {
            running.finish(&[], |signing| {
                let mut made = vec![0; signing.signature_len()];
                let len = signing.finish(&mut made)?;
                made.truncate(len);
                Ok(made)
            })
        };
        let signature = self.bridge.cross(&backend, self.deadline(), finish).await?;
        Ok(proto::SignStreamResponse { signature, key_version })
    }

    pub(super) async fn verify_stream(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        mut stream: Streaming<proto::VerifyStreamRequest>,
    ) -> Result<proto::VerifyStreamResponse> {
        let start = start(&mut stream).await?;
        let _share = self.share(Way::Keys, connection)?;
        let mut held = Held::new(self, connection, &start);
        let begin = |asked: &Asked<'_>, start: StreamStart| {
            let (key, how) = (asked.object(start.key.as_ref())?, chosen(start.mechanism)?);
            asked.host.kms.begin(&asked.caller, Verify { key, how })
        };
        let (mut running, key_version, backend): (Unfinished<Box<dyn Verifying>>, _, _) =
            begun((self, "VerifyStream"), connection, start, begin).await?;
        loop {
            match next(&mut stream).await? {
                Some(Part::Data(data)) => {
                    held.take(data.len())?;
                    let update = move || {
                        running.update(&data, |verifying| verifying.update(&data))?;
                        Ok(running)
                    };
                    running = self.bridge.cross(&backend, self.deadline(), update).await?;
                }
                Some(Part::Signature(signature)) => {
                    let finish = move || running.finish(&[], |verifying| verifying.finish(&signature));
                    self.bridge.cross(&backend, self.deadline(), finish).await?;
                    return Ok(proto::VerifyStreamResponse { key_version });
                }
                _ => return Err(argument("a stream to be verified ends with the signature")),
            }
        }
    }

    /// Encrypts or decrypts what comes in on `stream`; the results, and an error at the end, come out of the channel.
    pub(super) fn cipher_stream<M: Parted + Send + 'static>(
        self: &Arc<Self>,
        context: &Context,
        mut stream: Streaming<M>,
        encrypts: bool,
    ) -> Queued<Vec<u8>> {
        let (out, results) = queue(AHEAD, &context.kept);
        let (server, connection, kept) = (Arc::clone(self), Arc::clone(&context.connection), context.kept.clone());
        let told = self.told(method(encrypts), context);
        tokio::spawn(async move {
            let ciphered = server.ciphered((&connection, &kept), &mut stream, encrypts, &out);
            // What comes byte by byte would hold what it holds for ever.
            let most = Duration::from_secs(server.config.max_stream_s.into());
            let late = |_| Err(Error::new(ErrorKind::OperationInactive, "the stream took longer than `max_stream_s`"));
            let ciphered = timeout(most, ciphered).await.unwrap_or_else(late);
            told.end(&ciphered);
            if let Err(error) = ciphered {
                out.fail(error);
            }
        });
        results
    }

    async fn ciphered<M: Parted>(
        self: &Arc<Self>,
        (connection, kept): (&Arc<Connection>, &Kept),
        stream: &mut Streaming<M>,
        encrypts: bool,
        out: &Inlet<Vec<u8>>,
    ) -> Result<()> {
        let start = start(stream).await?;
        kept.keep(self.share(Way::Keys, connection)?);
        let begin = move |asked: &Asked<'_>, start: StreamStart| {
            let (key, how) = (asked.object(start.key.as_ref())?, chosen(start.mechanism)?);
            if encrypts {
                asked.host.kms.begin(&asked.caller, Encrypt { key, how })
            } else {
                asked.host.kms.begin(&asked.caller, Decrypt { key, how })
            }
        };
        let (mut running, _, backend): (Unfinished<Box<dyn Ciphering>>, _, _) =
            begun((self, method(encrypts)), connection, start, begin).await?;
        let mut held = Held::of(self, connection);
        while let Some(part) = next(stream).await? {
            let Part::Data(data) = part else { return Err(argument("behind the start of a stream comes data")) };
            let len = data.len();
            let room = running.running().update_len(len);
            // What comes of it is in memory until it was fetched.
            let share = match room {
                0 => None,
                room => {
                    let share = self.shares.bytes.take_when_free(connection.owner(), room);
                    Some(timeout(SILENCE, share).await.map_err(|_| full())?)
                }
            };
            let update = move || {
                let mut made = vec![0; room];
                let written = if room == 0 {
                    running.update(&data, |ciphering| ciphering.update(&data, &mut made))?
                } else {
                    running.produce(&data, |ciphering| ciphering.update(&data, &mut made))?
                };
                made.truncate(written);
                Ok((running, made))
            };
            let (next, made) = self.bridge.cross(&backend, self.deadline(), update).await?;
            running = next;
            if made.is_empty() {
                held.take(len)?;
            } else if !sent(out, made, share).await? {
                return Ok(());
            }
        }
        // What was held comes out now, and is in memory until it was fetched.
        if let Some(share) = held.share.take() {
            kept.keep(share);
        }
        let finish = move || {
            running.finish(&[], |ciphering| {
                let mut made = vec![0; ciphering.finish_len(0)];
                let len = ciphering.finish(&[], &mut made)?;
                made.truncate(len);
                Ok(made)
            })
        };
        let last = self.bridge.cross(&backend, self.deadline(), finish).await?;
        // In parts that a peer takes.
        for part in last.chunks(1 << 20) {
            if !sent(out, part.to_vec(), None).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}
