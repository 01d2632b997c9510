//! How messages go into buffers: one that is as long as the message, not the eight kilobytes with which tonic begins each.
//!
//! A call has four of them. So large ones are not among those that the allocator has at hand.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Bytes of a buffer to begin with.
const BEGINNING: usize = 512;
/// Bytes of a stream's messages that leave together, as tonic has it.
const TOGETHER: usize = 32 << 10;

/// Messages of protobuf, `T` out and `U` in.
pub(crate) struct Buffers<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Buffers<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Buffers<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Exact<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Exact<T> {
        Exact(ProstCodec::<T, U>::raw_encoder(settings()))
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BEGINNING, TOGETHER)
}

/// Makes room for a message before it is written: what grows meanwhile leaves copies behind.
pub(crate) struct Exact<T>(ProstEncoder<T>);

impl<T: Message> Encoder for Exact<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(message.encoded_len());
        self.0.encode(message, into)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
