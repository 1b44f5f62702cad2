//! The body of a response: whole, or passed on piece by piece as the function writes it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body_util::Full;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::functions::environment::Part;
use crate::reply::Reply;

/// A body that is known, or that comes.
pub(crate) enum Body {
    Whole(Full<Bytes>),
    Streamed(Streamed),
}

/// A body that comes.
pub(crate) struct Streamed {
    /// What is to be sent before more is awaited.
    pub(super) ready: Bytes,
    pub(super) parts: mpsc::Receiver<Part>,
    /// The invocation: its end, when all parts have come. `None`: after that.
    pub(super) end: Option<JoinHandle<Result<Bytes, Cut>>>,
}

/// The body cannot be completed; the connection is to be broken off, so that nobody takes what
/// came for the whole.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the function failed within its response")
    }
}

impl std::error::Error for Cut {}

impl Streamed {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            if !self.ready.is_empty() {
                return Poll::Ready(Some(Ok(std::mem::take(&mut self.ready))));
            }
            let Some(end) = &mut self.end else {
                return Poll::Ready(None);
            };
            match ready!(self.parts.poll_recv(context)) {
                Some(Part::Data(piece)) => self.ready = piece,
                Some(Part::Head { .. }) => {}
                None => {
                    let last = ready!(Pin::new(end).poll(context));
                    self.end = None;
                    match last {
                        Ok(Ok(last)) => self.ready = last,
                        Ok(Err(cut)) => return Poll::Ready(Some(Err(cut))),
                        Err(_) => return Poll::Ready(Some(Err(Cut))),
                    }
                }
            }
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Self::Streamed(body) => body
                .poll(context)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.ready.is_empty() && body.end.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}

/// A reply of another room as a response of this one.
pub(super) fn whole(reply: Reply) -> hyper::Response<Body> {
    reply.map(Body::Whole)
}
