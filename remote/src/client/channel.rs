//! One call over HTTP/2, as tonic's clients make it: on the thread that calls, beside others on the same connection.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{Request, Response, Uri};
use http_body::{Body as _, Frame};
use tonic::Status;
use tonic::body::Body;

use crate::farewell::Farewell;

/// What calls are sent through.
#[derive(Clone)]
pub struct Channel {
    sender: SendRequest<Bytes>,
    origin: Uri,
}

impl Channel {
    pub(super) const fn new(sender: SendRequest<Bytes>, origin: Uri) -> Self {
        Self { sender, origin }
    }

    /// What its calls are addressed to.
    pub fn origin(&self) -> Uri {
        self.origin.clone()
    }
}

/// A call was cut off.
#[derive(Debug)]
pub struct Cut {
    why: String,
    /// Whether the server took no call at all over the connection.
    turned_away: bool,
}

impl Cut {
    fn new(why: String) -> Self {
        Self { why, turned_away: false }
    }

    /// Why the server took no call over the connection, where `status` says that it is so.
    pub(super) fn turned_away(status: &Status) -> Option<String> {
        let mut cause = status.source();
        while let Some(error) = cause {
            if let Some(cut) = error.downcast_ref::<Self>() {
                return cut.turned_away.then(|| cut.why.clone());
            }
            cause = error.source();
        }
        None
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for Cut {}

impl From<h2::Error> for Cut {
    fn from(error: h2::Error) -> Self {
        match Farewell::of(&error) {
            Some(said) => Self { why: said.to_string(), turned_away: matches!(said, Farewell::TurnedAway(_)) },
            None => Self::new(chain(&error)),
        }
    }
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Answer>;
    type Error = Cut;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Cut>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        // tonic makes an answer of the server's of what fails here: the call itself is to fail, with its cause.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(call(self.sender.clone(), request))
    }
}

async fn call(sender: SendRequest<Bytes>, request: Request<Body>) -> Result<Response<Answer>, Cut> {
    let mut sender = sender.ready().await?;
    let (head, body) = request.into_parts();
    let (response, mut stream) = sender.send_request(Request::from_parts(head, ()), false)?;
    let mut body = pin!(body);
    let mut last = Bytes::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(data) = frame.map_err(|status| Cut::new(status.message().to_owned()))?.into_data() else { continue };
        let before = std::mem::replace(&mut last, data);
        if !before.is_empty() {
            let _ = stream.send_data(before, false);
        }
    }
    // All of it is here, and HTTP/2 keeps what the server has no room for yet. Where it wants no more, its answer says why.
    let _ = stream.send_data(last, true);
    Ok(response.await?.map(|stream| Answer { stream, all: false }))
}

/// What the server says.
pub struct Answer {
    stream: RecvStream,
    /// Whether the data is here, and what is left is how it ended.
    all: bool,
}

/// A server that has answered may say that it wants no more of the question (RFC 9113, 8.1).
fn unless_satisfied(error: h2::Error) -> Option<Result<Frame<Bytes>, Cut>> {
    (error.reason() != Some(Reason::NO_ERROR)).then(|| Err(error.into()))
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if !self.all {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(data)) => {
                    // There is room for as much again.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(e)) => return Poll::Ready(unless_satisfied(e)),
                None => self.all = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(context)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(e) => unless_satisfied(e),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// An error with its causes, each said once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        cause = error.source();
    }
    told
}
